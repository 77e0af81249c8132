"""Fragmentation; RFC 6455 §5.4."""

from __future__ import annotations

from ..case import MUST, SHOULD, Case
from ..scripts import answers, binary, close, closes, fragments, more, ping, pong, refuses, text
from ..wire import BINARY, TEXT
from .framing import letters, octets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..case import Script

SECTION = "RFC 6455 §5.4"


def _case(name: str, says: str, script: Script) -> Case:
    return Case(f"fragments/{name}", SECTION, MUST, says, script)


def _pieces(payload: bytes, size: int) -> list[bytes]:
    return [payload[start : start + size] for start in range(0, len(payload), size)]


_PINGED = [text("a", fin=False), ping(b"1"), more(b"b", fin=False), ping(b"2"), more(b"c")]

CASES = [
    _case("text-2", "a text in two", answers(*fragments(TEXT, b"one, ", b"two"))),
    _case("binary-2", "a binary message in two", answers(*fragments(BINARY, b"\xff", b"\xfe"))),
    _case("text-3-by-1", "three, byte by byte", answers(*fragments(TEXT, b"a", b"b", b"c"), by=1)),
    _case(
        "of-1-byte",
        "a text in 200 of one byte",
        answers(*fragments(TEXT, *_pieces(letters(200), 1))),
    ),
    _case(
        "of-1300",
        "65,536 bytes in pieces of 1300",
        answers(*fragments(BINARY, *_pieces(octets(65536), 1300))),
    ),
    _case(
        "of-every-form",
        "lengths in 0, 2 and 8 more bytes within one message",
        answers(*fragments(BINARY, octets(125), octets(126), octets(65535), octets(65536))),
    ),
    _case("empty-first", "the first is empty", answers(*fragments(TEXT, b"", b"text"))),
    _case("empty-last", "the last is empty", answers(*fragments(TEXT, b"text", b""))),
    _case("empty-between", "one between is empty", answers(*fragments(TEXT, b"a", b"", b"b"))),
    _case(
        "all-empty-text",
        "three empty ones are an empty text",
        answers(*fragments(TEXT, b"", b"", b"")),
    ),
    _case(
        "all-empty-binary",
        "three empty ones are an empty binary message",
        answers(*fragments(BINARY, b"", b"", b"")),
    ),
    _case(
        "two-messages",
        "two fragmented messages in one packet",
        answers(*fragments(TEXT, b"a", b"b"), *fragments(BINARY, b"c", b"d")),
    ),
    _case("ping-between", "Pings between fragments are answered", answers(*_PINGED)),
    _case("ping-between-by-1", "the same, byte by byte", answers(*_PINGED, by=1)),
    _case(
        "ping-125-between",
        "the longest Ping between fragments",
        answers(text("a", fin=False), ping(octets(125)), more(b"b")),
    ),
    _case(
        "pong-between",
        "a Pong between fragments is no part of the message",
        answers(text("a", fin=False), pong(b"heartbeat"), more(b"b")),
    ),
    Case(
        "fragments/close-between",
        SECTION,
        SHOULD,  # no word of the RFC forbids to leave within a message
        "a Close frame between fragments ends the connection all the same",
        closes(text("a", fin=False), close(1001), code=1001),
    ),
    _case("lone-continuation", "a message begins with CONT", refuses(more(b"a"), code=1002)),
    _case(
        "lone-continuation-unfinished",
        "a message begins with CONT without FIN",
        refuses(more(b"a", fin=False), more(b"b"), code=1002),
    ),
    _case("lone-continuation-empty", "a lone empty CONT", refuses(more(b""), code=1002)),
    _case(
        "continuation-behind-message",
        "a CONT behind a message that was complete",
        refuses(text("whole"), more(b"more"), code=1002, spare=1),
    ),
    _case(
        "continuation-behind-fragments",
        "a CONT behind the last fragment",
        refuses(*fragments(TEXT, b"a", b"b"), more(b"more"), code=1002, spare=1),
    ),
    _case(
        "continuation-behind-ping",
        "a Ping begins no message that a CONT could go on with",
        refuses(pong(b"a"), more(b"b"), code=1002),
    ),
    _case(
        "text-within-text",
        "a new text before the last fragment of another",
        refuses(text("a", fin=False), text("b"), code=1002),
    ),
    _case(
        "text-within-text-unfinished",
        "two texts begun, none finished",
        refuses(text("a", fin=False), text("b", fin=False), more(b"c"), code=1002),
    ),
    _case(
        "binary-within-text",
        "a binary frame before the last fragment of a text",
        refuses(text("a", fin=False), binary(b"b"), code=1002),
    ),
    _case(
        "text-within-binary",
        "a text frame before the last fragment of a binary message",
        refuses(binary(b"a", fin=False), text("b"), code=1002),
    ),
    _case(
        "text-within-text-after-ping",
        "a Ping between does not end the message",
        refuses(text("a", fin=False), pong(b""), text("b"), code=1002),
    ),
]

"""Pings and Pongs, and what a control frame must not be; RFC 6455 §5.5."""

from __future__ import annotations

from ..case import INFO, MUST, Case, Script
from ..scripts import answers, close, ignores, ping, pong, refuses, text
from ..talk import told
from ..wire import CLOSE, PING, PONG, TEXT, Frame, Message
from .framing import octets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..talk import Talk

RFC = "RFC 6455"


def _not_minimal(opcode: int) -> Frame:
    return Frame(opcode, b"\x03\xe8" if opcode == CLOSE else b"no", form=2)


def _too_long() -> list[Case]:
    """§5.5: at most 125 bytes, not fragmented; of each kind."""
    cases = []
    for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE)):
        payload = b"\x03\xe8" + b"x" * 124
        cases += [
            Case(
                f"control/{name}-126",
                f"{RFC} §5.5",
                MUST,
                f"a {name} frame of 126 bytes",
                refuses(Frame(opcode, payload), code=1002),
            ),
            Case(
                f"control/{name}-fragmented",
                f"{RFC} §5.5",
                MUST,
                f"a {name} frame without FIN",
                refuses(Frame(opcode, payload[:9], fin=False), code=1002),
            ),
            Case(
                f"control/{name}-not-minimal",
                f"{RFC} §5.2",
                MUST,
                f"a {name} frame of 2 bytes with its length in 2 bytes",
                refuses(_not_minimal(opcode), code=1002),
            ),
        ]
    return cases


def _order() -> Script:
    """Which comes first is a matter of design."""

    def play(talk: Talk) -> str:
        talk.send(text("slow"), ping(b"quick"))
        first = talk.next()
        second = talk.next()
        if {type(first), type(second)} != {Message, Frame}:
            return f"{told(first)}, then {told(second)}"
        return "the Pong came first" if isinstance(first, Frame) else "the message came first"

    return Script("both, in either order", play)


CASES = [
    *[
        Case(f"ping/{n}", f"{RFC} §5.5.2", MUST, f"a Ping of {n} bytes", answers(ping(octets(n))))
        for n in (0, 1, 4, 124, 125)
    ],
    Case(
        "ping/bytes-that-are-no-text",
        f"{RFC} §5.5.2",
        MUST,
        "the payload of a Ping is any bytes",
        answers(ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")),
    ),
    Case(
        "ping/125-by-1",
        f"{RFC} §5.5.2",
        MUST,
        "a Ping of 125 bytes, byte by byte",
        answers(ping(octets(125)), by=1),
    ),
    Case(
        "ping/ten",
        f"{RFC} §5.5.3",
        MUST,
        "ten Pings in one packet: each is answered, or only the latest",
        answers(*[ping(b"payload %d" % number) for number in range(10)]),
    ),
    Case(
        "ping/between-messages",
        f"{RFC} §5.5.2",
        MUST,
        "Pings between messages in one packet",
        answers(ping(b"1"), text("a"), ping(b"2"), text("b"), ping(b"3")),
    ),
    Case(
        "ping/order",
        f"{RFC} §5.5.2",
        INFO,
        "a message and a Ping in one packet: which answer comes first",
        _order(),
    ),
    Case(
        "pong/unsolicited",
        f"{RFC} §5.5.3",
        MUST,
        "a Pong that answers nothing is a heartbeat",
        ignores(pong()),
    ),
    Case(
        "pong/unsolicited-125",
        f"{RFC} §5.5.3",
        MUST,
        "a Pong of 125 bytes that answers nothing",
        ignores(pong(octets(125))),
    ),
    Case(
        "pong/then-ping",
        f"{RFC} §5.5.3",
        MUST,
        "an unsolicited Pong does not answer the Ping behind it",
        answers(pong(b"mine"), ping(b"yours")),
    ),
    *_too_long(),
    Case(
        "control/ping-126-within-message",
        f"{RFC} §5.5",
        MUST,
        "a Ping of 126 bytes between fragments",
        refuses(Frame(TEXT, b"a", fin=False), ping(octets(126)), code=1002),
    ),
    Case(
        "control/close-64-bit-length",
        f"{RFC} §5.5",
        MUST,
        "a Close frame that declares a gigabyte",
        refuses(close()._replace(form=8, length=1 << 30), code=1002),
    ),
]

"""Text is UTF-8; RFC 6455 §5.6 and §8.1."""

from __future__ import annotations

from ..case import MUST, SHOULD, Case, Script
from ..scripts import answers, binary, failure, fragments, more, ping, refuses, text
from ..wire import TEXT, Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..talk import Talk

TEXTS = "RFC 6455 §5.6"
ERRORS = "RFC 6455 §8.1"
VALID = "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\uffff\U00010000\U0003ffff\U0010ffff"
INVALID = {
    "continuation-80": ("80", "a continuation byte alone"),
    "continuation-bf": ("bf", "a continuation byte alone"),
    "start-c2": ("c2", "a start byte alone"),
    "start-e2-82": ("e2 82", "a code point cut short"),
    "start-f0-9f-98": ("f0 9f 98", "a code point cut short"),
    "start-then-ascii": ("e2 82 41", "a code point broken off"),
    "two-starts": ("c3 c3", "a start byte behind another"),
    "overlong-c0-80": ("c0 80", "U+0000 in two bytes"),
    "overlong-c0-af": ("c0 af", "a slash in two bytes"),
    "overlong-c1-bf": ("c1 bf", "U+007F in two bytes"),
    "overlong-e0-80-80": ("e0 80 80", "U+0000 in three bytes"),
    "overlong-e0-9f-bf": ("e0 9f bf", "U+07FF in three bytes"),
    "overlong-f0-80-80-80": ("f0 80 80 80", "U+0000 in four bytes"),
    "overlong-f0-8f-bf-bf": ("f0 8f bf bf", "U+FFFF in four bytes"),
    "surrogate-d800": ("ed a0 80", "the first surrogate"),
    "surrogate-dfff": ("ed bf bf", "the last surrogate"),
    "surrogate-pair": ("ed a0 bd ed b8 80", "a pair of surrogates, as CESU-8 has it"),
    "above-10ffff": ("f4 90 80 80", "U+110000"),
    "above-1fffff": ("f7 bf bf bf", "U+1FFFFF"),
    "five-bytes": ("f8 88 80 80 80", "a sequence of five bytes"),
    "six-bytes": ("fc 84 80 80 80 80", "a sequence of six bytes"),
    "byte-fe": ("fe", "a byte that is in no code point"),
    "byte-ff": ("ff", "a byte that is in no code point"),
    "latin-1": ("6e 6f 6e 20 73 e9 72 69 65 75 78", "Latin-1"),
}
MIXED = "κόσμε · Übergröße · 日本語 · 😀🏳️‍🌈 · ascii"


def _invalid() -> list[Case]:
    return [
        Case(
            f"utf8/{name}",
            ERRORS,
            MUST,
            f"{says}: {data}",
            refuses(text(bytes.fromhex(data)), code=1007),
        )
        for name, (data, says) in INVALID.items()
    ]


def _valid() -> list[Case]:
    return [
        Case(f"utf8/u+{ord(point):04x}", TEXTS, MUST, f"U+{ord(point):04X}", answers(text(point)))
        for point in VALID
    ]


def _fail_fast(data: bytes, within_frame: bool = False) -> Script:
    """What is sent is wrong already, and not finished: who checks as it reads need not wait."""

    def play(talk: Talk) -> str:
        if within_frame:
            talk.send(Frame(TEXT, data, length=len(data) + 40))
            return failure(talk, within=min(1.0, talk.timeout))
        talk.send(text(data, fin=False), ping(b"are you still reading?"))
        return failure(talk)

    return Script("the connection failed before the message ends", play)


def _split(*payloads: bytes) -> Script:
    return answers(*fragments(TEXT, *payloads))


SMILE = "😀".encode()
LONG = b"a" * 70_000

CASES = [
    *_valid(),
    Case("utf8/mixed", TEXTS, MUST, "many scripts", answers(text(MIXED))),
    Case("utf8/mixed-by-1", TEXTS, MUST, "byte by byte", answers(text(MIXED), by=1)),
    Case("utf8/byte-order-mark", TEXTS, MUST, "U+FEFF stays", answers(text("\ufefftext"))),
    Case("utf8/null", TEXTS, MUST, "U+0000 within a text", answers(text("a\0b"))),
    Case(
        "utf8/long",
        TEXTS,
        MUST,
        "100,000 bytes of four-byte code points",
        answers(text("😀" * 25_000)),
    ),
    Case(
        "utf8/binary-is-not-checked",
        TEXTS,
        MUST,
        "a binary message that is no UTF-8",
        answers(binary(b"\xff\xfe\xc0\x80")),
    ),
    Case(
        "utf8/split",
        TEXTS,
        MUST,
        "a code point over two fragments",
        _split(b"a" + SMILE[:2], SMILE[2:] + b"b"),
    ),
    Case(
        "utf8/split-in-each-byte",
        TEXTS,
        MUST,
        "every byte a fragment of its own",
        _split(*[bytes([byte]) for byte in MIXED.encode()]),
    ),
    Case(
        "utf8/split-by-an-empty-fragment",
        TEXTS,
        MUST,
        "an empty fragment within a code point",
        _split(SMILE[:3], b"", SMILE[3:]),
    ),
    Case(
        "utf8/split-by-a-ping",
        TEXTS,
        MUST,
        "a Ping, no UTF-8 in it, within a code point",
        answers(text(SMILE[:1], fin=False), ping(b"\xff"), more(SMILE[1:])),
    ),
    *_invalid(),
    Case(
        "utf8/late",
        ERRORS,
        MUST,
        "the last of 70,001 bytes is wrong",
        refuses(text(LONG + b"\xff"), code=1007),
    ),
    Case(
        "utf8/in-the-middle",
        ERRORS,
        MUST,
        "one wrong byte within 140,000",
        refuses(text(LONG + b"\x80" + LONG), code=1007),
    ),
    Case(
        "utf8/cut-by-the-end",
        ERRORS,
        MUST,
        "a code point that the last fragment leaves unfinished",
        refuses(*fragments(TEXT, b"a" + SMILE[:2], b""), code=1007),
    ),
    Case(
        "utf8/broken-by-a-fragment",
        ERRORS,
        MUST,
        "the next fragment does not go on with the code point",
        refuses(*fragments(TEXT, SMILE[:2], b"text"), code=1007),
    ),
    Case(
        "utf8/overlong-over-fragments",
        ERRORS,
        MUST,
        "an overlong form split in two",
        refuses(*fragments(TEXT, b"\xe0", b"\x9f\xbf"), code=1007),
    ),
    Case(
        "utf8/fails-fast-in-a-fragment",
        ERRORS,
        SHOULD,
        "the first fragment is wrong, the message goes on",
        _fail_fast(b"caf\xe9 au lait"),
    ),
    Case(
        "utf8/fails-fast-at-the-second-byte",
        ERRORS,
        SHOULD,
        "a fragment ends in ED A0: no code point begins so",
        _fail_fast(b"\xed\xa0"),
    ),
    Case(
        "utf8/fails-fast-within-a-frame",
        ERRORS,
        SHOULD,
        "the wrong byte is there, the rest of the frame is not",
        _fail_fast(b"caf\xe9 au lait", within_frame=True),
    ),
]

"""Frames as they are: every length, any chopping, the mask; RFC 6455 §5.1 to §5.3 and §5.7."""

from __future__ import annotations

from ..case import CLIENT, MUST, SERVER, Case
from ..scripts import answers, binary, close, more, ping, refuses, text
from ..wire import Frame

LENGTHS = (0, 1, 125, 126, 127, 128, 65535, 65536, 65537)
BYTES = bytes(range(256))
RFC = "RFC 6455"


def letters(length: int) -> bytes:
    return (b"abcdefghijklmnopqrstuvwxyz." * (length // 27 + 1))[:length]


def octets(length: int) -> bytes:
    return (BYTES * (length // 256 + 1))[:length]


def _lengths() -> list[Case]:
    cases = []
    for n in LENGTHS:
        script = answers(text(letters(n)))
        cases.append(Case(f"framing/text-{n}", f"{RFC} §5.2", MUST, f"a text of {n} bytes", script))
        script = answers(binary(octets(n)))
        says = f"a binary message of {n} bytes"
        cases.append(Case(f"framing/binary-{n}", f"{RFC} §5.2", MUST, says, script))
    return cases


def _chopped() -> list[Case]:
    pieces = ((126, 1), (125, 7), (1000, 13), (65536, 997))
    return [
        Case(
            f"framing/text-{n}-by-{by}",
            f"{RFC} §5.2",
            MUST,
            f"a text of {n} bytes that arrives in pieces of {by}",
            answers(text(letters(n)), by=by),
        )
        for n, by in pieces
    ]


def _not_minimal() -> list[Case]:
    return [
        Case(
            f"framing/length-{n}-in-{form}-bytes",
            f"{RFC} §5.2",
            MUST,
            f"a length of {n} in {form} bytes is not the minimal number of bytes",
            refuses(Frame(2, octets(n), form=form), code=1002),
        )
        for n, form in ((0, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8))
    ]


def _direction() -> list[Case]:
    """§5.1: a server refuses what is not masked, a client what is."""
    frames = {
        "text": text("unsafe"),
        "empty-text": text(""),
        "binary": binary(b"unsafe"),
        "ping": ping(b"unsafe"),
        "close": close(),
    }
    return [
        Case(
            f"framing/{word}-{name}",
            f"{RFC} §5.1",
            MUST,
            f"a {name.replace('-', ' ')} frame that is {word}",
            refuses(frame._replace(masked=masked), code=1002),
            sides=(side,),
        )
        for side, word, masked in ((SERVER, "unmasked", False), (CLIENT, "masked", True))
        for name, frame in frames.items()
    ]


CASES = [
    *_lengths(),
    *_chopped(),
    Case(
        "framing/all-octets",
        f"{RFC} §5.2",
        MUST,
        "every value of a byte",
        answers(binary(BYTES)),
    ),
    Case(
        "framing/hello",
        f"{RFC} §5.7",
        MUST,
        "the example of the RFC",
        answers(Frame(1, b"Hello", key=b"\x37\xfa\x21\x3d")),
    ),
    Case(
        "framing/key-zero",
        f"{RFC} §5.3",
        MUST,
        "a masking key of four zeros is one like any other",
        answers(Frame(1, letters(300), key=bytes(4))),
        sides=(SERVER,),
    ),
    Case(
        "framing/many-in-one-packet",
        f"{RFC} §5.2",
        MUST,
        "fifty messages in one packet",
        answers(*[text(f"message {number}") for number in range(50)]),
    ),
    Case(
        "framing/all-in-turn",
        f"{RFC} §5.2",
        MUST,
        "messages of 120 to 130 bytes in one packet, both forms of the length",
        answers(*[binary(octets(n)) for n in range(120, 131)]),
    ),
    Case(
        "framing/two-by-1",
        f"{RFC} §5.2",
        MUST,
        "two messages, byte by byte",
        answers(text("first"), binary(b"second"), by=1),
    ),
    *_not_minimal(),
    Case(
        "framing/length-msb",
        f"{RFC} §5.2",
        MUST,
        "the most significant bit of a length in 8 bytes is 0",
        refuses(Frame(2, b"some", form=8, length=(1 << 63) + 4), code=1002),
    ),
    Case(
        "framing/length-all-bits",
        f"{RFC} §5.2",
        MUST,
        "a length of 2**64 - 1",
        refuses(Frame(2, b"some", form=8, length=(1 << 64) - 1), code=1002),
    ),
    *_direction(),
    Case(
        "framing/unmasked-continuation",
        f"{RFC} §5.1",
        MUST,
        "the second fragment is not masked",
        refuses(text("a", fin=False), more(b"b")._replace(masked=False), code=1002),
        sides=(SERVER,),
    ),
    Case(
        "framing/masked-continuation",
        f"{RFC} §5.1",
        MUST,
        "the second fragment is masked",
        refuses(text("a", fin=False), more(b"b")._replace(masked=True), code=1002),
        sides=(CLIENT,),
    ),
]

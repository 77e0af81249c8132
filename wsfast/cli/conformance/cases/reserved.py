"""Reserved bits and opcodes; RFC 6455 §5.2, without any extension."""

from __future__ import annotations

from ..case import MUST, Case
from ..scripts import binary, close, more, ping, pong, refuses, text
from ..wire import RSV1, RSV2, RSV3, Frame

SECTION = "RFC 6455 §5.2"
OPCODES = (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)


def _named(rsv: int) -> str:
    bits = ((RSV1, "1"), (RSV2, "2"), (RSV3, "3"))
    return "rsv" + "".join([name for bit, name in bits if rsv & bit])


def _bits() -> list[Case]:
    cases = [
        Case(
            f"reserved/{_named(rsv)}-text",
            SECTION,
            MUST,
            "reserved bits on a text frame, nothing negotiated",
            refuses(text("reserved", rsv=rsv), code=1002),
        )
        for rsv in range(1, 8)
    ]
    frames = {
        "binary": [binary(b"reserved")],
        "ping": [ping(b"reserved")],
        "pong": [pong(b"reserved")],
        "close": [close()],
        "continuation": [text("a", fin=False), more(b"b")],
    }
    for name, sent in frames.items():
        for rsv in (RSV1, RSV2, RSV3):
            changed = [*sent[:-1], sent[-1]._replace(rsv=rsv)]
            cases.append(
                Case(
                    f"reserved/{_named(rsv)}-{name}",
                    SECTION,
                    MUST,
                    f"a reserved bit on a {name} frame, nothing negotiated",
                    refuses(*changed, code=1002),
                )
            )
    return cases


CASES = [
    *_bits(),
    *[
        Case(
            f"reserved/opcode-{opcode}",
            SECTION,
            MUST,
            f"a frame of the reserved opcode {opcode}",
            refuses(Frame(opcode, b"reserved"), code=1002),
        )
        for opcode in OPCODES
    ],
    *[
        Case(
            f"reserved/opcode-{opcode}-empty",
            SECTION,
            MUST,
            f"an empty frame of the reserved opcode {opcode}, behind a message",
            refuses(text("before"), Frame(opcode), code=1002, spare=1),
        )
        for opcode in (3, 11)
    ],
    Case(
        "reserved/opcode-3-within-message",
        SECTION,
        MUST,
        "a frame of a reserved opcode between fragments",
        refuses(text("a", fin=False), Frame(3, b"b"), more(b"c"), code=1002),
    ),
]

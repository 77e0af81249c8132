"""Streams of frames to feed decoders: mostly valid, then mutated. Independent of wsfast.

Random bytes hardly get past the first header; a valid stream with one byte changed reaches every
rule. Loaded through the ``streams`` fixture.
"""

from __future__ import annotations

from hypothesis import strategies as st

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7


def xor(data: bytes, key: bytes) -> bytes:
    """The definition of §5.3, byte by byte."""
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = None,
    length: int | None = None,
    width: int | None = None,
) -> bytes:
    """One frame; ``length`` and ``width`` (0, 2, 8 extended bytes) may lie about the payload."""
    if length is None:
        length = len(payload)
    if width is None:
        width = 0 if length < 126 else 2 if length < 1 << 16 else 8
    short = {0: length, 2: 126, 8: 127}[width]
    head = bytes([fin << 7 | rsv << 4 | opcode, (key is not None) << 7 | short])
    head += length.to_bytes(width, "big") if width else b""
    return head + (payload if key is None else key + xor(payload, key))


# Every class of character (1 to 4 bytes), and every way to break one.
_TEXTS = ["", "a", "Hello", "é", "€", "\U0001f600", "κόσμε", "￿\U0010ffff", "x" * 40, "ü" * 33]
_BROKEN = [
    b"\x80",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xff",
    b"\xc3(",
    b"\xf4\x81\x96\xe8",
]
_codes = st.sampled_from([1000, 1001, 1003, 1007, 1014, 3000, 4999])
_bad_codes = st.sampled_from([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])


def texts() -> st.SearchStrategy[bytes]:
    """UTF-8, mostly right, short and around the sizes of vectors."""
    pieces = st.lists(st.sampled_from(_TEXTS) | st.text(max_size=8), max_size=5)
    good = pieces.map(lambda parts: "".join(parts).encode())
    bad = st.tuples(good, st.sampled_from(_BROKEN), good).map(b"".join)
    return st.one_of(good, good, good, bad)


def binaries() -> st.SearchStrategy[bytes]:
    sizes = st.sampled_from([0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 125, 126, 127, 128, 300])
    return st.binary(max_size=12) | sizes.map(bytes)


@st.composite
def _control(draw: st.DrawFn) -> tuple[int, bytes]:
    opcode = draw(st.sampled_from([PING, PONG, PING, CLOSE]))
    if opcode != CLOSE:
        return opcode, draw(st.binary(max_size=8) | st.just(b"p" * 125))
    code = draw(st.one_of(_codes, _codes, _bad_codes))
    return opcode, draw(
        st.sampled_from([b"", b"\x03", code.to_bytes(2, "big")])
        | texts().map(lambda reason: (code.to_bytes(2, "big") + reason)[:125])
    )


@st.composite
def _message(draw: st.DrawFn) -> list[tuple[int, bytes, bool]]:
    """``(opcode, payload, fin)`` of a message's frames, control frames in between."""
    opcode = draw(st.sampled_from([TEXT, TEXT, BINARY]))
    payload = draw(texts() if opcode == TEXT else binaries())
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(payload)]):
        found.append((opcode, payload[start:end], False))
        opcode = CONT
        if draw(st.integers(0, 5)) == 0:
            found.append((*draw(_control().filter(lambda c: c[0] != CLOSE)), True))
    last = max(i for i, (op, _, _) in enumerate(found) if op < CLOSE)
    found[last] = (*found[last][:2], True)
    return found


@st.composite
def frames(draw: st.DrawFn, masked: bool | None = True) -> list[bytes]:
    """Frames in an order the protocol allows; their payloads may be wrong."""
    plan: list[tuple[int, bytes, bool]] = []
    for _ in range(draw(st.integers(1, 4))):
        plan += draw(st.one_of(_message(), _message(), _control().map(lambda c: [(*c, True)])))
    keys = st.binary(min_size=4, max_size=4) | st.just(KEY)
    found = []
    for opcode, payload, fin in plan:
        with_key = draw(st.booleans()) if masked is None else masked
        rsv = draw(st.sampled_from([0] * 12 + [1, 2, 4, 7]))
        key = draw(keys) if with_key else None
        found.append(frame(opcode, payload, fin=fin, rsv=rsv, key=key))
    return found


@st.composite
def mutated(draw: st.DrawFn, masked: bool | None = True) -> bytes:
    """A stream of frames; half of them with bytes changed, lost, doubled, or frames swapped."""
    parts = draw(frames(masked))
    if draw(st.integers(0, 3)) == 0:
        parts = draw(st.permutations(parts))
    stream = bytearray(b"".join(parts))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        at = draw(st.integers(0, len(stream)))
        kind = draw(st.sampled_from(["flip", "set", "insert", "delete", "cut"]))
        if kind == "insert":
            stream[at:at] = draw(st.binary(min_size=1, max_size=3))
        elif kind == "flip" and at < len(stream):
            stream[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and at < len(stream):
            stream[at] = draw(st.sampled_from([0, 0x7E, 0x7F, 0xFE, 0xFF, 0x88, 0x80, 0xC0]))
        elif kind == "delete":
            del stream[at : at + draw(st.integers(1, 3))]
        elif kind == "cut":
            del stream[at:]
    return bytes(stream)


@st.composite
def chunked(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """``stream`` in pieces: whole, byte by byte, or cut anywhere."""
    kind = draw(st.sampled_from(["whole", "bytes", "cuts", "cuts", "cuts"]))
    if kind == "whole":
        return [stream]
    if kind == "bytes":
        return [stream[i : i + 1] for i in range(len(stream))]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)])]

"""The vectors of ``vectors/*.toml``, each fed whole, byte by byte, and cut in two everywhere."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from wsfast import deflate
from wsfast.errors import ERRORS, LocalProtocolError, RemoteProtocolError
from wsfast.frames import STRICT_CLIENT, STRICT_SERVER, Header, Limits, Opcode, Policy, Role

FILES = sorted(Path(__file__).with_name("vectors").glob("*.toml"))
CASES = {
    f"{file.stem}: {case['name']}": case
    for file in FILES
    for case in tomllib.loads(file.read_text("utf-8"))["case"]
}
KEY = b"\x37\xfa\x21\x3d"


def wire_of(case: dict[str, Any]) -> bytes:
    count, filler = case.get("fill", (0, ""))
    return bytes.fromhex(case["wire"]) + bytes.fromhex(filler) * count


def decoder_of(module: ModuleType, case: dict[str, Any]) -> Any:
    role = Role(case["role"])
    strict = STRICT_SERVER if role is Role.SERVER else STRICT_CLIENT
    return module.MessageDecoder(
        role,
        policy=strict.replace(**case.get("policy", {})),
        limits=Limits(**case.get("limits", {})),
        inflate=deflate.Inflater(15, takeover=True) if case.get("inflate") else None,
    )


def in_words(item: Any) -> list[Any]:
    """An item of a decoder as the vectors write it."""
    if isinstance(item, RemoteProtocolError):
        return ["error", item.name, item.offset]
    if isinstance(item, str):
        return ["text", item]
    if isinstance(item, bytes):
        return ["binary", item.hex()]
    return [type(item).__name__.lower(), *map(plain, item._fields())]


def plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def expected(item: list[Any]) -> list[Any]:
    if len(item) == 3 and item[0] in ("binary", "ping"):
        return [item[0], item[2] * item[1]]
    return item


def ways(wire: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, and in two; of long ones only cuts near the ends."""
    near = [i for i in range(len(wire) + 1) if i < 40 or len(wire) - i < 40]
    cuts = [[wire[:cut], wire[cut:]] for cut in near]
    return [[wire], [wire[i : i + 1] for i in range(len(wire))], *cuts]


@pytest.mark.parametrize("name", CASES)
def test_vector(backend: ModuleType, name: str) -> None:
    case = CASES[name]
    for chunks in ways(wire_of(case)):
        decoder = decoder_of(backend, case)
        items = [item for chunk in chunks for item in decoder.feed(chunk)]
        if case.get("eof"):
            items += decoder.feed_eof()
        assert [in_words(item) for item in items] == [expected(i) for i in case["items"]], chunks


def test_every_error_has_a_vector() -> None:
    told = {item[1] for case in CASES.values() for item in case["items"] if item[0] == "error"}
    assert told == ERRORS.keys() - {"too_slow"}  # time is the connection's


# ---- precedence ---------------------------------------------------------------------------------

# In the order of docs/api.md; (name, offset of the byte at fault).
PRECEDENCE = [
    ("invalid_opcode", 0),
    ("reserved_bits", 0),
    ("control_fragmented", 0),
    ("control_too_long", 1),
    ("mask_required", 1),
    ("length_not_minimal", 2),
    ("length_msb", 2),
    ("frame_too_big", 1),
    ("message_too_big", 1),
    ("unexpected_continuation", 0),
    ("expected_continuation", 0),
    ("too_many_fragments", 0),
]
OFFSETS = dict(PRECEDENCE)
ORDER = {"unexpected_continuation", "expected_continuation", "too_many_fragments"}
CONTROL = {"control_fragmented", "control_too_long"}


def possible(faults: set[str]) -> bool:
    """Whether one header can have all of them."""
    if len(faults & ORDER) > 1 or faults >= {"length_not_minimal", "length_msb"}:
        return False
    return not (faults & ORDER and faults & (CONTROL | {"invalid_opcode"}))


def header_with(faults: set[str]) -> tuple[bytes, bytes]:
    """What comes before, and a header that has exactly these faults."""
    opened = faults & {"expected_continuation", "too_many_fragments"}
    before = b"\x01\x80" + KEY if opened else b""
    opcode = Opcode.PING if faults & CONTROL else Opcode.BINARY
    if faults & {"unexpected_continuation", "too_many_fragments"}:
        opcode = Opcode.CONT
    first = 0x0B if faults & CONTROL else 0x03
    first = first if "invalid_opcode" in faults else int(opcode)
    first |= 0 if "control_fragmented" in faults else 0x80
    first |= 0x70 if "reserved_bits" in faults else 0
    masked = 0 if "mask_required" in faults else 0x80
    if "length_msb" in faults:
        size = bytes([masked | 127]) + (1 << 63 | 5).to_bytes(8, "big")
    elif "length_not_minimal" in faults:
        size = bytes([masked | 126]) + (5).to_bytes(2, "big")
    elif "control_too_long" in faults:
        size = bytes([masked | 126]) + (200).to_bytes(2, "big")
    else:
        size = bytes([masked | 5])
    # A length in more than 7 bits is itself too long for a control frame: not a fault to add.
    return before, bytes([first]) + size + (KEY if masked else b"")


def several() -> list[set[str]]:
    """All possible sets of faults, as they really show."""
    names = [name for name, _ in PRECEDENCE]
    found = []
    for count in range(1, 6):
        for chosen in itertools.combinations(names, count):
            faults = set(chosen)
            if "control_fragmented" in faults and faults & {"length_not_minimal", "length_msb"}:
                faults.add("control_too_long")
            if possible(faults):
                found.append(faults)
    return found


def test_precedence(backend: ModuleType) -> None:
    """Every set of faults that one header can have: the first of the table is told."""
    for faults in several():
        limits = Limits(
            max_frame=4 if "frame_too_big" in faults else None,
            max_message=4 if "message_too_big" in faults else None,
            max_fragments=1 if "too_many_fragments" in faults else None,
        )
        before, header = header_with(faults)
        name = next(name for name, _ in PRECEDENCE if name in faults)
        if name == "message_too_big" and faults & CONTROL:
            continue
        whole = before + header
        for chunks in ([whole], [whole[i : i + 1] for i in range(len(whole))]):
            decoder = backend.FrameDecoder(Role.SERVER, limits=limits)
            items = [item for chunk in chunks for item in decoder.feed(chunk)]
            told = items[-1].name, items[-1].offset - len(before)
            assert told == (name, OFFSETS[name]), (faults, header.hex())


def test_precedence_is_that_of_parse_header(backend: ModuleType) -> None:
    remembered = {"frame_too_big", "message_too_big", *ORDER}
    for faults in several():
        if faults & remembered:
            continue
        name = next(name for name, _ in PRECEDENCE if name in faults)
        with pytest.raises(RemoteProtocolError) as caught:
            backend.parse_header(header_with(faults)[1])
        assert (caught.value.name, caught.value.offset) == (name, OFFSETS[name]), faults


# ---- lengths and close codes --------------------------------------------------------------------

LENGTHS = {
    0: "00",
    125: "7d",
    126: "7e 007e",
    127: "7e 007f",
    65535: "7e ffff",
    65536: "7f 0000000000010000",
    1 << 31: "7f 0000000080000000",
    1 << 32: "7f 0000000100000000",
    (1 << 63) - 1: "7f 7fffffffffffffff",
}


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths(backend: ModuleType, length: int) -> None:
    wire = b"\x82" + bytes.fromhex(LENGTHS[length])
    assert backend.build_header(Opcode.BINARY, length) == wire
    header = Header(Opcode.BINARY, True, 0, False, length, b"", len(wire))
    assert backend.parse_header(wire, policy=STRICT_CLIENT) == header
    assert backend.parse_header(b"??" + wire + b"?", 2, policy=STRICT_CLIENT) == header
    for cut in range(len(wire)):
        assert backend.parse_header(wire[:cut], policy=STRICT_CLIENT) is None
    masked = wire[:1] + bytes([wire[1] | 0x80]) + wire[2:] + KEY
    assert backend.build_header(2, length, key=KEY) == masked
    assert backend.parse_header(masked).key == KEY
    assert backend.parse_header(masked[:-1]) is None


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1])
def test_lengths_with_the_top_bit(backend: ModuleType, length: int) -> None:
    with pytest.raises(ValueError, match=r"length must be 0\.\.2\*\*63-1"):
        backend.build_header(Opcode.BINARY, length)
    wire = b"\x82\x7f" + length.to_bytes(8, "big")
    accept = Policy(mask="forbid", msb="accept")
    assert backend.parse_header(wire, policy=accept).length == length
    # Taken as a number it is a frame that never ends, not one that wraps around.
    decoder = backend.FrameDecoder(Role.CLIENT, policy=accept, limits=Limits(max_message=None))
    assert decoder.feed(wire + b"x" * 100) == []
    assert (decoder.buffered, decoder.unfinished) == (100, True)
    assert backend.scan(wire + b"x" * 100, policy=accept) == ([], 0, None)


def on_the_wire(code: int) -> bool:
    """§7.4.1, §7.4.2 and the IANA registry (§11.7)."""
    if 1000 <= code <= 1014:
        return code not in (1004, 1005, 1006)
    return 3000 <= code <= 4999


def test_every_close_code(backend: ModuleType) -> None:
    for code in range(1 << 16):
        payload = code.to_bytes(2, "big")
        [item] = backend.MessageDecoder(Role.CLIENT).feed(b"\x88\x02" + payload)
        allowed = on_the_wire(code)
        assert in_words(item) == (["close", code, ""] if allowed else ["error", "close_code", 2])


def test_every_close_code_sent(backend: ModuleType) -> None:
    encoder = backend.FrameEncoder(Role.SERVER)
    for code in range(1 << 16):
        if on_the_wire(code):
            assert encoder.close(code) == b"\x88\x02" + code.to_bytes(2, "big")
        elif code != 1005:  # without a reason the empty Close
            with pytest.raises(LocalProtocolError):
                encoder.close(code)
    assert encoder.close(1005) == b"\x88\x00"
    with pytest.raises(LocalProtocolError):
        encoder.close(1005, "why")

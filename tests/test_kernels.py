"""Masking and UTF-8 against definitions too simple to be wrong."""

from __future__ import annotations

import itertools
import random
from types import ModuleType

import pytest

KEY = b"\x37\xfa\x21\x3d"
_noise = random.Random(6455)
NOISE = _noise.randbytes(1024)
# Beyond 300: where loops begin to align their stores.
LENGTHS = [*range(301), *range(500, 660)]


def naive_mask(data: bytes, key: bytes, offset: int) -> bytes:
    """§5.3: octet i of the payload is XORed with octet i MOD 4 of the key."""
    return bytes(octet ^ key[(offset + i) % 4] for i, octet in enumerate(data))


def naive_valid(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# ---- masking ------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", range(4))
def test_mask_all_lengths(backend: ModuleType, phase: int) -> None:
    for length in LENGTHS:
        data = NOISE[:length]
        assert backend.mask(data, KEY, phase) == naive_mask(data, KEY, phase), length


@pytest.mark.parametrize("start", [*range(1, 9), 15, 16, 17, 31, 32, 33, 63])
def test_mask_any_alignment(backend: ModuleType, start: int) -> None:
    """From and in any address, neighbours untouched: dst is src."""
    lengths = [*range(70), *range(124, 133), 255, 256, 257, 300, *range(508, 516), 600, 641, 800]
    for phase, length in itertools.product(range(4), lengths):
        expected = naive_mask(NOISE[start : start + length], KEY, phase)
        place = bytearray(NOISE)
        with memoryview(place)[start : start + length] as view:
            assert backend.mask(view, KEY, phase) == expected
            assert backend.mask_inplace(view, KEY, phase) is None
        assert place == NOISE[:start] + expected + NOISE[start + length :]


@pytest.mark.parametrize("size", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, (1 << 18) + 7])
def test_mask_without_the_gil(backend: ModuleType, size: int) -> None:
    data = _noise.randbytes(size)
    once = backend.mask(data, KEY, 3)
    whole = KEY[3:] + KEY[:3]
    key = int.from_bytes((whole * (size // 4 + 1))[:size], "big")
    assert once == (int.from_bytes(data, "big") ^ key).to_bytes(size, "big")
    place = bytearray(data)
    backend.mask_inplace(place, KEY, 3)
    assert place == once


def test_mask_offset_is_a_position(backend: ModuleType) -> None:
    for offset in (4, 5, 1 << 20, (1 << 32) + 1, (1 << 63) + 2, (1 << 64) + 3, (1 << 100) + 1):
        assert backend.mask(NOISE, KEY, offset) == naive_mask(NOISE, KEY, offset % 4)


def test_mask_degenerate_keys(backend: ModuleType) -> None:
    for key in (bytes(4), b"\xff" * 4, b"\x00\x00\x00\x01", b"\x80\x00\x00\x00"):
        for length in (1, 2, 3, 4, 31, 32, 300):
            assert backend.mask(NOISE[:length], key) == naive_mask(NOISE[:length], key, 0)


# ---- UTF-8 --------------------------------------------------------------------------------------

# Every byte that begins or ends a class of leads and of continuations in RFC 3629 §4.
EDGES = sorted(
    {
        *(0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF),
        *(0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFC, 0xFF),
    }
)
INSIDE = [0x61, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
HIGH = [edge for edge in EDGES if edge >= 0x80]


def short_strings() -> list[bytes]:
    """All of one and two bytes, all of three and four at the edges of the classes."""
    pairs = itertools.product(range(256), range(256))
    triples = itertools.product(EDGES, INSIDE, INSIDE)
    quads = itertools.product(HIGH, INSIDE, INSIDE, INSIDE)
    singles = zip(range(256))
    return [b"", *map(bytes, itertools.chain(singles, pairs, triples, quads))]


SHORT = [(data, naive_valid(data)) for data in short_strings()]


def test_utf8_short_strings(backend: ModuleType) -> None:
    wrong = [data for data, valid in SHORT if backend.utf8_valid(data) is not valid]
    assert not wrong


@pytest.mark.parametrize("before", [29, 61, 64])
@pytest.mark.parametrize("filler", ["a", "é", "€", "éa"])
def test_utf8_in_long_strings(backend: ModuleType, filler: str, before: int) -> None:
    """The same strings inside text long enough for vectors, across the seam of two."""
    head = (filler * 200).encode()[: before + 64].decode(errors="ignore").encode()
    sample = SHORT[before % 23 :: 23]
    wrong = [d for d, valid in sample if backend.utf8_valid(head + d + b"z" * 70) is not valid]
    assert not wrong


SEQUENCES = [
    *(chr(c).encode() for c in (0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF)),
    *(b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf"),
    *(b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xf4\x81\x96\xe8"),
    *(b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xe2a", b"\xf0\x9f\x98a", b"\xc3\xc3\xa9"),
]


@pytest.mark.parametrize("sequence", SEQUENCES, ids=bytes.hex)
def test_utf8_at_every_position(backend: ModuleType, sequence: bytes) -> None:
    """One sequence anywhere in two blocks of 64 bytes, also as the very end (cut or not)."""
    valid = naive_valid(sequence)
    for length in (32, 63, 64, 65, 96, 128, 131):
        for at in range(length - len(sequence) + 1):
            text = b"a" * at + sequence + b"b" * (length - at - len(sequence))
            assert backend.utf8_valid(text) is naive_valid(text), (length, at)
            assert valid or not backend.utf8_valid(b"a" * at + sequence)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=bytes.hex)
def test_utf8_fault_position(backend: ModuleType, sequence: bytes) -> None:
    """In one piece and cut in two: the position and length that CPython reports."""
    for at in (0, 1, 29, 30, 31, 32, 33, 61, 62, 63, 64, 65, 95, 127):
        text = "é".encode() * (at // 2) + b"a" * (at % 2) + sequence + b"b" * 40
        try:
            expected = text.decode() and None
        except UnicodeDecodeError as exc:
            expected = (exc.start, exc.end, exc.reason)
        for cut in (0, at, at + 1, at + 2, len(text)):
            assert fault(backend, [text[:cut], text[cut:]]) == expected, (at, cut)


def fault(backend: ModuleType, pieces: list[bytes]) -> object:
    validator = backend.Utf8Validator()
    try:
        for i, piece in enumerate(pieces):
            validator.feed(piece, i == len(pieces) - 1)
    except UnicodeDecodeError as exc:
        return exc.start, exc.end, exc.reason
    return None


def test_utf8_mutated_texts(backend: ModuleType) -> None:
    """One byte changed in good text: random bytes never get there (F4 81 96 E8)."""
    noise = random.Random(3629)
    alphabet = "aé€\U0001f600\U0010ffffߐ￿z"
    for _ in range(4000):
        text = bytearray("".join(noise.choices(alphabet, k=noise.randrange(1, 60))).encode())
        text[noise.randrange(len(text))] = noise.choice(HIGH)
        assert backend.utf8_valid(text) is naive_valid(bytes(text)), bytes(text)


@pytest.mark.parametrize("cut", [b"\xc3", b"\xe2\x82", b"\xe2", b"\xf0\x9f\x98", b"\xf0"])
def test_utf8_cut_before_ascii_block(backend: ModuleType, cut: bytes) -> None:
    """A sequence cut by the seam must not be forgiven because all that follows is ASCII."""
    for size in (32, 64, 96, 128, 192):
        for shift in range(4):
            text = b"a" * (size - len(cut) + shift) + cut
            assert not backend.utf8_valid(text + b"b" * 128)
            assert not backend.utf8_valid(text)

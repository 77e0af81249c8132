"""One byte that is not ASCII, anywhere in a text of any length, is noticed on every path.

A text that looks like ASCII is unmasked straight into a ``str``: a high bit overlooked there is a
corrupt string.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from wsfast.frames import Role, Text

KEY = b"\x37\xfa\x21\x3d"
LENGTHS = [*range(1, 20), 31, 32, 33, 40, 63, 64, 65, 100, 127, 128, 129, 160, 200, 300, 515, 600]


def positions(length: int) -> Iterator[int]:
    """All of short texts; of long ones the ends, and a few between."""
    return (at for at in range(length) if at < 70 or length - at < 70 or at % 13 == 0)


def ways(wire: bytes, header: int, at: int) -> list[list[bytes]]:
    """Whole; cut before the byte in question; cut behind it."""
    place = header + at
    return [[wire], [wire[:place], wire[place:]], [wire[: place + 1], wire[place + 1 :]]]


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("form", ["str", "bytes"])
def test_one_character(backend: ModuleType, frame: Any, form: str, key: bytes | None) -> None:
    role = Role.SERVER if key else Role.CLIENT
    for length in LENGTHS:
        for at in positions(length):
            text = "a" * at + "é" + "b" * (length - at - 1)
            payload = text.encode()
            wire = frame(1, payload, key=key)
            for chunks in ways(wire, len(wire) - len(payload), at):
                decoder = backend.MessageDecoder(role, text=form)
                [item] = [item for chunk in chunks for item in decoder.feed(chunk)]
                assert item == (text if form == "str" else Text(payload)), (length, at)


@pytest.mark.parametrize("name", ["MessageDecoder", "FrameDecoder"])
def test_one_bad_byte(backend: ModuleType, frame: Any, name: str) -> None:
    for length in LENGTHS:
        for at in positions(length):
            wire = frame(1, b"a" * at + b"\xff" + b"b" * (length - at - 1), key=KEY)
            header = len(wire) - length
            for chunks in ways(wire, header, at):
                decoder = getattr(backend, name)(Role.SERVER)
                items = [item for chunk in chunks for item in decoder.feed(chunk)]
                told = [(item.name, item.offset) for item in items]
                assert told == [("invalid_utf8", header + at)], (length, at)


def test_one_character_sent(backend: ModuleType) -> None:
    """And the other way: a ``str`` that is not ASCII is encoded, bytes are checked."""
    encoder = backend.FrameEncoder(Role.CLIENT, keys=lambda: KEY)
    for length in LENGTHS:
        for at in positions(length):
            text = "a" * at + "é" + "b" * (length - at - 1)
            wire = encoder.text(text)
            assert encoder.text(text.encode()) == wire
            assert backend.MessageDecoder(Role.SERVER).feed(wire) == [text]


class Held:
    """An ``inflate`` that yields nothing before the message ends, as zlib does for a few bytes."""

    def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes:
        return b"whole" if fin else b""


@pytest.mark.parametrize("text", ["str", "bytes"])
def test_text_after_a_compressed_message_that_began_with_nothing(
    backend: ModuleType, frame: Any, text: str
) -> None:
    """What one message leaves behind must not decide the type of the next."""
    decoder = backend.MessageDecoder(Role.CLIENT, text=text, inflate=Held())
    binary = frame(2, b"x", fin=False, rsv=4) + frame(0, b"y")
    pieces = frame(1, b"he", fin=False) + frame(0, b"llo")
    expected = "hello" if text == "str" else Text(b"hello")
    assert decoder.feed(binary + pieces + binary + pieces) == [b"whole", expected] * 2

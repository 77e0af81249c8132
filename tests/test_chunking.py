"""How the stream is cut does not matter: not for what comes out, not for what it costs (S4–S6)."""

from __future__ import annotations

import sys
import tracemalloc
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfast.frames import Frame, Limits, Policy, Role

KEY = b"\x37\xfa\x21\x3d"
MIB = 1 << 20
rules = st.builds(
    Policy,
    check=st.sampled_from(["header", "payload"]),
    utf8=st.sampled_from(["fail_fast", "message"]),
    rsv=st.sampled_from([0, 7]),
)
bounds = st.builds(
    Limits,
    max_message=st.sampled_from([MIB, 5, 64]),
    max_frame=st.sampled_from([None, 5, 64]),
    max_fragments=st.sampled_from([None, 2]),
)


def fed(decoder: Any, chunks: list[bytes]) -> list[object]:
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    return [*items, *decoder.feed_eof()]


def seen(items: list[Any]) -> list[object]:
    return [(i.name, i.offset) if isinstance(i, Exception) else (type(i), i) for i in items]


def joined(items: list[Any]) -> list[Any]:
    """``items`` of a decoder with ``partial``, the pieces of a frame put together again."""
    whole: list[Any] = []
    for item in items:
        if whole and not whole[-1].complete:
            item = Frame(*item._fields()[:3], whole.pop().payload + item.payload, item.complete)
        whole.append(item)
    return whole


@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
@given(data=st.data(), policy=rules, limits=bounds)
def test_items_do_not_depend_on_chunks(
    backend: ModuleType, streams: ModuleType, name: str, data: Any, policy: Policy, limits: Limits
) -> None:
    stream = data.draw(streams.mutated())
    cuts = data.draw(streams.chunked(stream))
    single = [stream[i : i + 1] for i in range(len(stream))]
    found = []
    for chunks in ([stream], single, cuts):
        decoder = getattr(backend, name)(Role.SERVER, policy=policy, limits=limits)
        found.append(seen(fed(decoder, chunks)))
    assert found[0] == found[1] == found[2]


@given(data=st.data())
def test_pieces_make_up_the_frames(backend: ModuleType, streams: ModuleType, data: Any) -> None:
    stream = data.draw(streams.mutated())
    chunks = data.draw(streams.chunked(stream))
    whole = backend.FrameDecoder(Role.SERVER)
    pieces = backend.FrameDecoder(Role.SERVER, partial=True)
    frames = fed(whole, [stream])
    if whole.failed is None:
        assert joined(fed(pieces, chunks)) == frames


@given(data=st.data(), most=st.sampled_from([1, 5, 64, MIB]))
def test_items_do_not_depend_on_parts(
    backend: ModuleType, streams: ModuleType, data: Any, most: int
) -> None:
    """``feed_some`` in as many calls as it takes is ``feed``; it stops where it says it does."""
    stream = data.draw(streams.mutated())
    found = []
    for parts in (False, True):
        counted = Counted()
        decoder = backend.MessageDecoder(Role.SERVER, inflate=counted)
        items, left = decoder.feed(stream) if not parts else [], stream if parts else b""
        while left:
            counted.pieces.clear()
            some, taken = decoder.feed_some(left, most)
            assert taken == len(left) or sum(counted.pieces) >= most
            assert sum(counted.pieces[:-1]) < most
            items, left = items + some, left[taken:]
        found.append((seen(items), decoder.unfinished, decoder.buffered))
    assert found[0] == found[1]


class Counted:
    """An ``inflate`` that doubles, and knows what it made."""

    def __init__(self) -> None:
        self.pieces: list[int] = []

    def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes:
        self.pieces.append(2 * len(data))
        return 2 * data


# ---- what it costs ------------------------------------------------------------------------------


def long_streams(frame: Any) -> dict[str, bytes]:
    big = bytes(range(128)) * 768
    fragments = frame(0, b"b", fin=False, key=KEY) * 3000
    return {
        "one frame": frame(2, big, key=KEY),
        "one text": frame(1, big, key=KEY),
        "one text, not ASCII": frame(1, b"\xc3\xa9" * 40_000, key=KEY),
        "fragments of one byte": frame(2, b"", fin=False, key=KEY) + fragments + frame(0, key=KEY),
        "text in fragments": frame(1, "é".encode(), fin=False, key=KEY) + fragments,
        "empty fragments": frame(2, fin=False, key=KEY) + frame(0, fin=False, key=KEY) * 3000,
        "small messages": frame(1, b"hello", key=KEY) * 3000,
        "pings": frame(9, b"p" * 125, key=KEY) * 200,
    }


@pytest.mark.parametrize("size", [1, 7, 1000, MIB])
@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
def test_bytes_moved_are_linear(backend: ModuleType, frame: Any, name: str, size: int) -> None:
    """S5: at most 4 bytes are copied for each one fed, however the stream is cut."""
    for kind, stream in long_streams(frame).items():
        decoder = getattr(backend, name)(Role.SERVER)
        fed(decoder, [stream[i : i + size] for i in range(0, len(stream), size)])
        assert decoder._moved <= 4 * len(stream), kind


@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
@pytest.mark.parametrize("opcode", [1, 2])
def test_declared_length_reserves_little(
    backend: ModuleType, frame: Any, name: str, opcode: int
) -> None:
    """S6: 64 KiB at most on the word of a header, then in proportion to what came."""
    decoder = getattr(backend, name)(Role.SERVER, limits=Limits(max_message=None))
    head = frame(opcode, b"", key=bytes(4), length=1 << 40)
    tracemalloc.start()
    try:
        decoder.feed(head + b"x")
        assert tracemalloc.get_traced_memory()[1] < 80 << 10
        for _ in range(300):
            decoder.feed(b"x" * 1024)
        assert tracemalloc.get_traced_memory()[0] < 700 << 10
    finally:
        tracemalloc.stop()
    assert decoder.buffered == 300 * 1024 + 1


def test_limit_is_checked_before_memory(backend: ModuleType, frame: Any) -> None:
    decoder = backend.MessageDecoder(Role.SERVER, limits=Limits(max_message=None, max_frame=MIB))
    [error] = decoder.feed(frame(2, b"", key=KEY, length=MIB + 1)[:10])
    assert (error.name, error.offset, decoder.buffered) == ("frame_too_big", 1, 0)


@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
def test_no_reference_to_the_chunk_is_kept(backend: ModuleType, frame: Any, name: str) -> None:
    bad = [frame(1, b"\xff" * 40, key=KEY), frame(3, b"", key=KEY), frame(8, b"\0", key=KEY)]
    for stream in [frame(2, b"x" * 500, fin=False, key=KEY) + b"\x80", *bad]:
        decoder = getattr(backend, name)(Role.SERVER)
        chunk, mutable = bytes(bytearray(stream)), bytearray(stream)
        before = sys.getrefcount(chunk)
        items = decoder.feed(chunk)
        assert sys.getrefcount(chunk) == before
        getattr(backend, name)(Role.SERVER).feed(mutable)
        mutable.clear()  # BufferError while anyone holds a view
        assert all(getattr(item, "__traceback__", None) is None for item in items)


@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
def test_after_an_error_input_is_dropped(backend: ModuleType, frame: Any, name: str) -> None:
    """S17: nothing is kept, nothing is said again."""
    decoder = getattr(backend, name)(Role.SERVER)
    good = frame(2, b"x", key=KEY)
    items = decoder.feed(good + frame(1, b"abc", fin=False, key=KEY) + frame(1, key=KEY) + good)
    assert items[-1] is decoder.failed
    assert (decoder.failed.name, len(items)) == ("expected_continuation", len(items))
    for chunk in (good, b"", frame(1, b"x" * 9999, key=KEY)):
        assert decoder.feed(chunk) == []
    assert decoder.feed_eof() == []
    assert (decoder.buffered, decoder.unfinished) == (0, False)


@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
def test_after_close_input_is_dropped(backend: ModuleType, frame: Any, name: str) -> None:
    decoder = getattr(backend, name)(Role.SERVER)
    stream = frame(1, b"abc", fin=False, key=KEY) + frame(8, b"\x03\xe8", key=KEY)
    assert decoder.feed(stream + b"\xff" * 100)[-1] is not decoder.failed is None
    assert decoder.feed(b"\xff" * 100) == decoder.feed_eof() == decoder.feed(b"\xff") == []
    assert not decoder.unfinished

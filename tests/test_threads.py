"""One decoder belongs to one thread at a time; different ones do not know of each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from wsfast.frames import Limits, Ping, Policy, Role

KEY = b"\x37\xfa\x21\x3d"
IN_USE = "decoder is in use by another thread"
UNLIMITED = Limits(max_message=None)


class Inside:
    """An ``inflate`` that runs something while its decoder is at work."""

    def __init__(self) -> None:
        self.act: Callable[[], object] = lambda: None
        self.said: list[str] = []

    def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes:
        try:
            self.act()
        except RuntimeError as exc:
            self.said.append(str(exc))
        return b"out"


@pytest.fixture
def inside(backend: ModuleType) -> tuple[Any, Inside]:
    inflate = Inside()
    return backend.MessageDecoder(Role.CLIENT, inflate=inflate), inflate


# ---- re-entry: the same question, without chance ------------------------------------------------


@pytest.mark.parametrize("method", ["feed", "feed_some", "feed_eof", "buffer_updated"])
def test_reentry(inside: tuple[Any, Inside], frame: Any, method: str) -> None:
    decoder, inflate = inside
    decoder.get_buffer(0)
    arguments = {"feed": (b"\x82\x01x",), "feed_some": (b"\x82\x01x", 1)}
    arguments |= {"feed_eof": (), "buffer_updated": (3,)}
    inflate.act = lambda: getattr(decoder, method)(*arguments[method])
    wire = frame(2, b"in", rsv=4) + frame(2, b"plain") + frame(9, b"p")
    assert decoder.feed(wire) == [b"out", b"plain", Ping(b"p")]
    assert inflate.said == [IN_USE]
    inflate.act = lambda: None
    assert decoder.feed(frame(2, b"in", rsv=4)) == [b"out"]


def test_looking_is_no_entry(inside: tuple[Any, Inside], frame: Any) -> None:
    decoder, inflate = inside
    seen = []
    inflate.act = lambda: seen.append((decoder.buffered, decoder.unfinished, decoder.failed))
    decoder.feed(frame(2, b"a", rsv=4, fin=False) + frame(0, b"b"))
    assert [(type(a), b, c) for a, b, c in seen] == [(int, True, None), (int, seen[1][1], None)]


def test_receive_buffer_is_pinned(inside: tuple[Any, Inside], frame: Any) -> None:
    """The memory being read cannot be taken away by what is called meanwhile."""
    decoder, inflate = inside
    wire = frame(2, b"in", rsv=4) + frame(2, b"plain" * 20)
    view = decoder.get_buffer(1 << 17)
    place = view.obj
    view[: len(wire)] = wire
    view.release()

    def take_away() -> None:
        decoder.get_buffer(1 << 18)[:200] = b"\xff" * 200
        try:
            place.clear()
        except BufferError:
            return

    inflate.act = take_away
    assert decoder.buffer_updated(len(wire)) == [b"out", b"plain" * 20]


@pytest.mark.parametrize("name", ["Utf8Validator", "Utf8Decoder"])
def test_reset_inside_is_refused(backend: ModuleType, name: str) -> None:
    """It takes away what a thread in ``feed`` counts with: without the GIL, places in memory."""

    class Final:
        def __bool__(self) -> bool:
            with pytest.raises(RuntimeError, match=IN_USE):
                text.reset()
            asked.append(True)
            return False

    asked: list[bool] = []
    text = getattr(backend, name)()
    text.feed(b"a\xc3", Final())
    assert (asked, text.pending) == ([True], 1)
    text.reset()
    assert text.pending == 0


def test_init_inside_is_refused(inside: tuple[Any, Inside], frame: Any) -> None:
    decoder, inflate = inside

    def init() -> None:
        decoder.__init__(Role.SERVER)

    inflate.act = init
    try:
        decoder.feed(frame(2, b"in", rsv=4))
    except RuntimeError as exc:
        inflate.said.append(str(exc))
    assert inflate.said


def test_error_of_ours_ends_the_decoder(inside: tuple[Any, Inside], frame: Any) -> None:
    """Half a chunk is gone: what follows could not be understood."""
    decoder, inflate = inside

    def fail() -> None:
        raise OSError("ours")

    inflate.act = fail
    with pytest.raises(OSError, match="ours"):
        decoder.feed(frame(2, b"in", rsv=4) + frame(2, b"lost"))
    assert decoder.failed is None
    assert decoder.feed(frame(2, b"after")) == decoder.feed_eof() == []


@pytest.mark.parametrize("role", list(Role))
def test_encoder_reentry_does_not_crash(backend: ModuleType, role: Role) -> None:
    class Squeeze:
        threshold = 0

        def deflate(self, data: bytes, fin: bool) -> bytes:
            if data == b"outer":
                encoder.ping(b"inner")
            return data

    def keys() -> bytes:
        if not inner:
            inner.append(True)
            encoder.ping()
        return KEY

    inner: list[bool] = []
    encoder = backend.FrameEncoder(role, keys=keys, deflate=Squeeze())
    wire = encoder.binary(b"outer")
    [frame], _, error = backend.scan(wire, policy=Policy(mask="any", rsv=4))
    assert (frame.payload, error) == (b"outer", None)


# ---- real threads -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
def test_two_threads_in_one_decoder(backend: ModuleType, name: str) -> None:
    """Large chunks are unmasked without the GIL: the other thread is told, nothing is spoilt."""
    payload = bytes(range(256)) * (1 << 14)
    wire = backend.FrameEncoder(Role.CLIENT, keys=lambda: KEY).binary(payload)
    decoder = getattr(backend, name)(Role.SERVER, limits=UNLIMITED)
    stop, told = threading.Event(), []

    def disturb() -> None:
        while not stop.is_set():
            try:
                assert decoder.feed(b"") == []
            except RuntimeError as exc:
                told.append(str(exc))

    other = threading.Thread(target=disturb)
    other.start()
    received, end = 0, time.monotonic() + 5
    try:
        while not (told and received > 3) and time.monotonic() < end:
            try:
                [item] = decoder.feed(wire)
            except RuntimeError as exc:
                assert str(exc) == IN_USE
                continue
            received += 1
            assert getattr(item, "payload", item) == payload
    finally:
        stop.set()
        other.join()
    assert received
    assert set(told) <= {IN_USE}
    if backend.backend() != "python":
        assert told, "the GIL was never released"
    assert decoder.failed is None


def test_a_decoder_for_each_thread(backend: ModuleType) -> None:
    """Nothing is shared: every thread gets what it would get alone."""
    texts = ["a" * 70_000, "é" * 50_000, "short", "😀" * 999]
    failures: list[BaseException] = []

    def work(text: str) -> None:
        try:
            encoder = backend.FrameEncoder(Role.CLIENT)
            decoder = backend.MessageDecoder(Role.SERVER)
            for _ in range(60):
                wire = encoder.text(text)
                assert decoder.feed(wire[:100]) + decoder.feed(wire[100:]) == [text]
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures

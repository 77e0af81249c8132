"""Our own rows, C and Python, and the floors: the least that any library has to do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import repeat
from typing import Any

import floor
from cases import KEY, Case
from offers import Work, calls, drive, event_loop, offers, read_frame, simple

import wsfast.codec
from wsfast.frames import Role

OURS = "wsfast"
WRITTEN = "wsfast + write"
FLOOR = "minimal C"
FLOORS = (FLOOR, "memcpy", "callable(x)")  # they do less than the job
DECODING = ("decode", "bulk")
ENCODING = ("encode", "encode-masked")
MASKING = ("mask", "mask-inplace")


def our_decoder(codec: Any) -> Any:
    return codec.MessageDecoder(Role.SERVER)


def role(case: Case) -> Role:
    return Role.CLIENT if case.op == "encode-masked" else Role.SERVER


def our_encode(codec: Any, case: Case) -> Work:
    encoder = codec.FrameEncoder(role(case))
    return calls(encoder.text, case.text), lambda: read_frame(encoder.text(case.text))


def judged(valid: Callable[[bytes], object], case: Case) -> Work:
    """Work of a validator, which must also refuse."""
    payload = case.payload
    return calls(valid, payload), lambda: bool(valid(payload)) and not valid(payload + b"\xc3")


def in_place(function: Callable[..., Any], case: Case, *, key_first: bool = False) -> Work:
    args = (KEY, case.buffer) if key_first else (case.buffer, KEY)

    def once() -> bytes:
        case.buffer[:] = case.payload
        function(*args)
        return bytes(case.buffer)

    return calls(function, *args), once


def our_work(codec: Any, case: Case) -> Work:
    if case.op in ("decode", "bulk"):
        return simple(our_decoder(codec).feed, case.chunk)
    if case.op in ("encode", "encode-masked"):
        return our_encode(codec, case)
    if case.op == "mask":
        return simple(codec.mask, case.payload, KEY)
    if case.op == "mask-inplace":
        return in_place(codec.mask_inplace, case)
    if case.op == "utf8":
        return judged(codec.utf8_valid, case)
    return simple(codec.Utf8Decoder().feed, case.payload, True)


@offers(OURS, *DECODING, delivers="list of str; UTF-8, limits, every rule of RFC 6455 checked")
@offers(OURS, *ENCODING, delivers="bytes; keys from the system's random source")
@offers(OURS, *MASKING, "utf8", "text", delivers="see title")
def wsfast_c(case: Case) -> Work:
    return our_work(wsfast.codec, case)


@offers("wsfast (Python)", *DECODING, delivers="list of str, every check", twin=True)
@offers("wsfast (Python)", *ENCODING, *MASKING, "utf8", "text", delivers="as C", twin=True)
def wsfast_python(case: Case) -> Work:
    from wsfast import _codec_py

    return our_work(_codec_py, case)


class Queue:
    """A decoder, a deque and a future: what an asyncio library puts around ``MessageDecoder``."""

    def __init__(self) -> None:
        self._feed = our_decoder(wsfast.codec).feed
        self._items: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._items.extend(self._feed(data))
        if (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def read(self) -> Any:
        if not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._items.popleft()


def queued(case: Case, feed: Callable[[bytes], Any], read: Any, value: Any = lambda x: x) -> Work:
    """Work that feeds a chunk and then awaits its messages, which are there already."""
    chunk, frames = case.chunk, case.frames

    async def consume(n: int) -> None:
        for _ in repeat(None, n):
            feed(chunk)
            for _ in repeat(None, frames):
                await read()

    async def once() -> list[Any]:
        feed(chunk)
        return [value(await read()) for _ in range(frames)]

    return lambda n: drive(consume(n)), lambda: drive(once())


def woken(case: Case, feed: Callable[[bytes], Any], read: Any, value: Any = lambda x: x) -> Work:
    """Work that wakes a task waiting in ``read`` with every frame."""
    loop, frame = event_loop(), case.frame

    async def consume(n: int) -> list[Any]:
        return [value(await read()) for _ in repeat(None, n)]

    async def produce(n: int) -> list[Any]:
        task = loop.create_task(consume(n))
        for _ in repeat(None, n):
            await asyncio.sleep(0)
            feed(frame)
        return await task

    def run(n: int) -> list[Any]:
        return loop.run_until_complete(produce(n))

    return run, lambda: run(1)


@offers("wsfast + deque", "decode", "bulk", delivers="str from await read(), as aiohttp")
@offers("wsfast + deque", "woken", delivers="str in a woken task")
def wsfast_queue(case: Case) -> Work:
    queue = Queue()
    return (woken if case.op == "woken" else queued)(case, queue.data_received, queue.read)


@offers("wsfast + buffer", *DECODING, delivers="list of str by buffer_updated(); its copy counts")
def wsfast_buffer(case: Case) -> Work:
    """By the calls that picows has from an event loop, its copy into the buffer included."""
    decoder, chunk, size = our_decoder(wsfast.codec), case.chunk, len(case.chunk)
    get_buffer, buffer_updated = decoder.get_buffer, decoder.buffer_updated

    def run(n: int) -> None:
        for _ in repeat(None, n):
            get_buffer(size)[:size] = chunk
            buffer_updated(size)

    def once() -> Any:
        get_buffer(size)[:size] = chunk
        return buffer_updated(size)

    return run, once


@offers(WRITTEN, *ENCODING, delivers="bytes to transport.write(), as aiohttp and picows")
def wsfast_written(case: Case) -> Work:
    encoder = wsfast.codec.FrameEncoder(role(case))
    encode, text, written = encoder.text, case.text, deque[bytes](maxlen=1)
    write = written.append

    def run(n: int) -> None:
        for _ in repeat(None, n):
            write(encode(text))

    def once() -> Any:
        write(encode(text))
        return read_frame(written.pop())

    return run, once


# ---- floors -------------------------------------------------------------------------------------


@offers("callable(x)", "call", delivers="a bool")
def bare_call(case: Case) -> Work:
    return calls(callable, None), lambda: case.wanted


@offers("memcpy", "mask", delivers="a copy")
def memcpy(case: Case) -> Work:
    return calls(floor.load().copy, case.payload), lambda: case.wanted


@offers(FLOOR, *MASKING, delivers="see title; AVX2 on x86-64")
@offers(FLOOR, *DECODING, delivers="list of str, no checks at all")
@offers(FLOOR, *ENCODING, delivers="bytes, no checks, one key")
def minimal_c(case: Case) -> Work:
    c = floor.load()
    if case.op in DECODING:
        return simple(c.decode, case.chunk)
    if case.op in ENCODING:
        encode = c.encode_masked if case.op == "encode-masked" else c.encode
        return calls(encode, case.text), lambda: read_frame(encode(case.text))
    if case.op == "mask":
        return simple(c.mask, case.payload, KEY)
    return in_place(c.mask_inplace, case)


@offers("bytes.decode()", "text", delivers="str")
@offers("bytes.decode()", "utf8", delivers="a str nobody asked for")
def bytes_decode(case: Case) -> Work:
    payload = case.payload

    def run(n: int) -> None:
        for _ in repeat(None, n):
            payload.decode()

    return run, lambda: payload.decode() if case.op == "text" else case.wanted

"""What is played with websockets' asyncio connections: scenarios by name, and drawn ones."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest
import websockets_lab as lab
from hypothesis import strategies as st
from websockets.asyncio import connection as host
from websockets.asyncio import messages
from websockets.protocol import Side, State
from websockets_wire import Act, chain, frame, perform, plain, texts

SERVER, CLIENT = Side.SERVER, Side.CLIENT
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MORE = {"fin": False}


def broadcast(*args: Any, **options: Any) -> None:
    """The library's or ours, whichever is there now."""
    host.broadcast(*args, **options)


# ---- scenarios ----------------------------------------------------------------------------------

SCENARIOS: dict[str, tuple[Any, dict[str, Any]]] = {}


def scenario(**options: Any) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        SCENARIOS[function.__name__] = (function, options)
        return function

    return add


@scenario()
async def receiving(act: Act) -> None:
    """Waiting before and after; every kind of message; decode in all its values."""
    kinds = [
        (TEXT, "é€😀".encode()),
        (BINARY, b"\xff\x00"),
        (TEXT, b""),
        (BINARY, b""),
        (TEXT, b"x" * 300),
    ]
    for decode in (None, True, False, 0, 1, ""):
        for opcode, payload in kinds:
            act.spawn(act.connection.recv(decode))
            await act.settle(2)
            act.feed(frame(act, opcode, payload))
            await act.settle()
            if act.connection.state is not State.OPEN:
                return
            act.feed(frame(act, opcode, payload))
            await act.get(act.connection.recv(decode=decode) if decode else act.connection.recv())


@scenario()
async def receiving_what_is_no_text(act: Act) -> None:
    act.feed(frame(act, TEXT, b"\xff\xfe"), texts(act, "after"))
    await act.get(act.connection.recv(False))
    await act.get(act.connection.recv())
    act.feed(frame(act, TEXT, b"ab\xe2\x82"), texts(act, "after"))
    act.spawn(act.connection.recv())
    await act.settle()


@scenario()
async def receiving_binary_as_text_that_is_none(act: Act) -> None:
    act.spawn(act.connection.recv(True))
    await act.settle()
    act.feed(frame(act, BINARY, b"\xff"))
    await act.settle()
    act.eof()
    await act.settle()


@scenario()
async def many_in_one_read(act: Act) -> None:
    act.feed(*[texts(act, str(i)) + frame(act, PING, b"%d" % i) for i in range(40)])
    for _ in range(40):
        await act.get(act.connection.recv())


@scenario(max_queue=4)
async def water_marks(act: Act) -> None:
    for count in (3, 1, 1, 1, 8, 30):
        act.feed(*[texts(act, str(i)) for i in range(count)])
        await act.settle(1)
    for _ in range(44):
        await act.get(act.connection.recv())
        await act.settle(1)


@scenario(max_queue=0)
async def water_marks_at_nothing(act: Act) -> None:
    act.spawn(act.connection.recv())
    await act.settle(2)
    act.feed(texts(act, "a"))
    await act.settle()
    act.feed(texts(act, "b", "c"), frame(act, PING, b"p"), frame(act, TEXT, b"d", **MORE))
    for _ in range(2):
        await act.get(act.connection.recv())
    act.spawn(act.connection.recv())
    act.feed(frame(act, CONT, b"e"))
    await act.settle()


@scenario(max_queue=(3, 1))
async def water_marks_with_fragments(act: Act) -> None:
    act.feed(texts(act, "a", "b"), frame(act, TEXT, b"1", **MORE), frame(act, CONT, b"2", **MORE))
    act.feed(frame(act, CONT, b"3", **MORE), frame(act, CONT, b"4"), texts(act, "c", "d", "e", "f"))
    for _ in range(7):
        await act.get(act.connection.recv())


@scenario(max_queue=None)
async def no_water_marks(act: Act) -> None:
    act.feed(*[texts(act, str(i)) for i in range(100)])
    for _ in range(100):
        await act.get(act.connection.recv())


@scenario()
async def iterating(act: Act) -> None:
    async def loop() -> None:
        async for message in act.connection:
            act.say("loop", lab.shown(message))
            if message == "wait":
                await asyncio.sleep(1)

    act.spawn(loop())
    await act.settle(2)
    act.feed(texts(act, "a", "b"), frame(act, BINARY, b"c"))
    await act.settle()
    act.feed(frame(act, TEXT, b"d", **MORE))
    await act.settle()
    act.feed(frame(act, PING, b"p"), frame(act, CONT, b"e"), texts(act, "wait", "f"))
    await act.settle(2)
    act.feed(texts(act, "g"), frame(act, CLOSE, b"\x03\xe8bye"), texts(act, "late"))
    await asyncio.sleep(2)
    act.eof()


@scenario()
async def iterating_until_a_fault(act: Act) -> None:
    async def loop() -> None:
        async for message in act.connection:
            act.say("loop", message)

    act.spawn(loop())
    await act.settle()
    act.feed(texts(act, "a"), frame(act, 3), texts(act, "late"))
    await act.settle()
    act.eof()


@scenario()
async def iterating_in_two_tasks(act: Act) -> None:
    async def loop(name: str) -> None:
        async for message in act.connection:
            act.say(name, message)

    for name in ("one", "two"):
        act.spawn(loop(name), name)
    act.spawn(act.connection.recv(), "three")
    await act.settle()
    act.feed(texts(act, "a", "b", "c", "d"))
    await act.settle()
    act.spawn(act.connection.recv(), "four")
    await act.settle()
    act.feed(texts(act, "e"))
    await act.settle()
    act.tasks["one"].cancel()
    await act.settle()
    act.feed(texts(act, "f"))
    await act.get(act.connection.recv())


@scenario()
async def leaving_an_iteration(act: Act) -> None:
    """The generator is closed while it waits, at a message, and by an exception thrown in."""
    act.feed(texts(act, "a", "b", "c"))
    loop = act.connection.__aiter__()
    act.say("main", type(loop).__name__, inspect.isasyncgen(loop), loop.__aiter__() is loop)
    await act.get(loop.__anext__())
    await act.get(loop.aclose())
    await act.get(act.connection.recv())
    loop = act.connection.__aiter__()
    await act.get(loop.__anext__())
    await act.get(loop.athrow(RuntimeError("BOOM")))
    loop = act.connection.__aiter__()
    waiting = act.spawn(loop.__anext__())
    await act.settle()
    waiting.cancel()
    await act.settle()
    act.feed(texts(act, "d"))
    await act.get(act.connection.recv())


def shown_as_bytes(part: str | bytes | bytearray) -> str | bytes:
    return bytes(part) if isinstance(part, bytearray) else part


@scenario()
async def streaming(act: Act) -> None:
    async def stream(decode: Any) -> list[Any]:
        parts = [part async for part in act.connection.recv_streaming(decode)]
        # A client of websockets 15 yields bytearrays; of the driver bytes, as it is documented.
        return parts if lab.PAIRS or decode else [shown_as_bytes(part) for part in parts]

    euro = "€".encode()
    for decode, opcode in itertools.product((None, True, False), (TEXT, BINARY)):
        whole = frame(act, opcode, euro)
        parts = [frame(act, opcode, euro[:1], **MORE), frame(act, CONT, euro[1:2], **MORE)]
        last = frame(act, CONT, euro[2:])
        act.spawn(stream(decode))
        await act.settle()
        act.feed(whole, *parts)
        await act.settle()
        act.spawn(stream(decode))
        await act.settle()
        act.spawn(act.connection.recv())
        await act.settle()
        act.feed(frame(act, PONG), last, whole)
        await act.settle()
        await act.get(act.connection.recv())


@scenario()
async def streaming_what_is_no_text(act: Act) -> None:
    async def stream() -> None:
        async for part in act.connection.recv_streaming():
            act.say("stream", part)

    act.spawn(stream())
    await act.settle()
    act.feed(frame(act, TEXT, b"ok\xe2", **MORE), frame(act, CONT, b"("), texts(act, "after"))
    await act.settle()
    act.spawn(act.connection.recv())
    await act.settle()


@scenario()
async def cancelled(act: Act) -> None:
    """No message is lost: not before it comes, not in the same turn, not between fragments."""
    for turns in (0, 1, 2, 3):
        task = act.spawn(act.connection.recv())
        await act.settle(turns)
        task.cancel()
        await act.settle()
        task = act.spawn(act.connection.recv())
        await act.settle()
        act.feed(texts(act, f"a{turns}", f"b{turns}"))
        await act.settle(turns)
        task.cancel("why")
        await act.settle()
        task = act.spawn(act.connection.recv())
        await act.settle()
        task.cancel()
        act.feed(texts(act, f"c{turns}"))
        await act.settle()
        while act.connection.recv_messages.frames.queue:
            await act.get(act.connection.recv())
    task = act.spawn(act.connection.recv())
    act.feed(frame(act, TEXT, b"d", **MORE), frame(act, CONT, b"e", **MORE))
    await act.settle()
    task.cancel()
    await act.settle()
    act.feed(frame(act, CONT, b"f"))
    await act.get(act.connection.recv())


@scenario()
async def timed_out(act: Act) -> None:
    async def within(seconds: float) -> Any:
        async with asyncio.timeout(seconds):
            return await act.connection.recv()

    for wait in (within(1), asyncio.wait_for(act.connection.recv(), 1), within(0), within(-1)):
        await act.get(wait)
        act.feed(texts(act, "a"))
        await act.get(asyncio.wait_for(act.connection.recv(), 1))
    act.feed(texts(act, "b", "c", "d"))
    await act.get(asyncio.wait_for(act.connection.recv(), 0))
    await act.get(within(0))
    await act.get(within(1))
    act.loop.call_later(0.5, act.feed, texts(act, "in time"))
    await act.get(within(1))
    await act.get(within(1))


async def just_in_time(act: Act) -> None:
    async def within(seconds: float) -> Any:
        async with asyncio.timeout(seconds):
            return await act.connection.recv()

    act.loop.call_later(1, act.feed, texts(act, "just in time"))
    await act.get(within(1))
    await act.get(within(1))


@scenario()
async def two_at_once(act: Act) -> None:
    for name in ("one", "two", "three"):
        act.spawn(act.connection.recv(), name)
    await act.settle()
    act.feed(texts(act, "a"))
    act.spawn(act.connection.recv(), "four")
    await act.settle()
    act.spawn(act.connection.recv(True), "five")
    act.spawn(act.connection.recv_streaming().__anext__(), "six")
    act.spawn(act.connection.recv(), "seven")
    await act.settle()
    act.feed(texts(act, "b", "c"))
    await act.settle()
    await act.get(act.connection.recv())


@scenario()
async def sending(act: Act) -> None:
    class Text(str):
        def encode(self, *args: Any) -> bytes:
            return b"encoded"

    values: list[Any] = [
        *("Hello", "é€😀", "", b"abc", b"", bytearray(b"abc"), memoryview(b"abc"), b"x" * 70_000),
        *("x" * 125, "é" * 63, "x" * 65535, Text("text"), memoryview(bytearray(b"xaxb"))[::2]),
        type("Bytes", (bytes,), {})(b"sub"),
        *(None, 5, {"a": 1}, ..., [], ["a", "b"], ["a", b"b"], [b"a", "b"], [5], ["a", 5]),
        *((b"a", bytearray(b"b")), iter(["a"]), [""], {"set"}, range(2)),
    ]
    for value, text in itertools.product(values, (None, True, False, 0, 1)):
        await act.get(act.connection.send(value, text=text))
        if act.connection.state is not State.OPEN:
            return


@scenario()
async def sending_what_cannot_be_encoded(act: Act) -> None:
    await act.get(act.connection.send("\ud800"))
    await act.get(act.connection.send("after"))


@scenario()
async def sending_what_cannot_be_encoded_behind_answers(act: Act) -> None:
    """The library aborts the transport then: what was sent before has left."""

    async def answer() -> None:
        await act.connection.send("answer")
        await act.connection.send("\ud800")

    act.feed(texts(act, "1", "2"))
    await act.get(answer())


@scenario()
async def sending_half_a_message(act: Act) -> None:
    await act.get(act.connection.send(["a", 5]))
    await act.get(act.connection.send("after"))
    act.feed(frame(act, CLOSE, b"\x03\xf3"))
    act.eof()


@scenario()
async def sending_with_a_position(act: Act) -> None:
    """Keyword-only since 17.0."""
    for arguments in (("a", True), ("a", None, 5), ()):
        try:
            coroutine = act.connection.send(*arguments)
        except TypeError as exc:
            act.say("main", str(exc))
        else:
            await act.get(coroutine)


@scenario()
async def sending_in_turns(act: Act) -> None:
    """Others wait until a fragmented message is complete; close() does not."""

    async def parts() -> Any:
        yield "a"
        await asyncio.sleep(1)
        yield "b"
        await asyncio.sleep(1)

    act.spawn(act.connection.send(parts()), "slow")
    await act.settle()
    act.spawn(act.connection.send("later"), "later")
    act.spawn(act.connection.send(b"binary"), "binary")
    act.spawn(act.connection.send(["c", "d"]), "fragments")
    act.spawn(act.connection.ping(b"now"), "ping")
    await act.settle()
    broadcast([act.connection], "skipped")
    await asyncio.sleep(5)

    def last() -> Any:
        yield "e"
        act.connection.pause_writing()

    act.spawn(act.connection.send(last()), "last")
    act.spawn(act.connection.send("f"), "behind it")
    await asyncio.sleep(1)
    act.connection.resume_writing()
    await asyncio.sleep(1)
    act.spawn(act.connection.send(parts()), "cut")
    await act.settle()
    act.spawn(act.connection.send("never"), "never")
    await act.settle()
    act.spawn(act.connection.close())
    await act.settle()
    act.feed(frame(act, CLOSE, b"\x03\xf3"))
    act.eof()


@scenario(write_limit=(100, 50))
async def back_pressure(act: Act) -> None:
    act.connection.pause_writing()
    for value in ("a", b"b", ["c", "d"], "e"):
        act.spawn(act.connection.send(value))
        await act.settle(2)
    act.spawn(act.connection.ping())
    await act.settle()
    broadcast([act.connection], "f")
    list(act.tasks.values())[1].cancel()
    await act.settle()
    act.connection.resume_writing()
    await act.settle()
    act.connection.pause_writing()
    act.spawn(act.connection.send("lost"))
    await act.settle()
    act.wire.lose(ConnectionResetError("gone"))


@scenario()
async def a_transport_that_fails(act: Act) -> None:
    act.wire.fault = OSError("no route")
    await act.get(act.connection.send("a"))
    await act.get(act.connection.send("b"))
    await act.get(act.connection.recv())


@scenario()
async def a_transport_that_fails_for_a_pong(act: Act) -> None:
    act.spawn(act.connection.recv())
    await act.settle()
    act.wire.fault = RuntimeError("no route")
    act.feed(texts(act, "a"), frame(act, PING, b"p"), texts(act, "b"))
    await act.settle()
    await act.get(act.connection.recv())
    act.wire.fault = None
    await act.get(act.connection.send("c"))


@scenario()
async def a_transport_that_is_closing(act: Act) -> None:
    async def send() -> None:
        act.wire.close()
        for word in ("a", "b", "c"):
            act.say("sender", word)
            await act.connection.send(word)

    await act.get(send())


@scenario()
async def pings(act: Act) -> None:
    waiters = [await act.connection.ping(data) for data in (b"1", "2", bytearray(b"3"), None, None)]
    for data in (b"1", 5, ["x"], "x" * 126):
        await act.get(act.connection.ping(data))
    await asyncio.sleep(2)
    act.feed(frame(act, PONG, b"2"), texts(act, "a"))
    act.feed(texts(act, "b"), frame(act, PONG, b"unknown"))
    await act.settle()
    for waiter in waiters:
        act.say("main", waiter.done() and waiter.result())
    act.say("main", act.connection.latency)
    await act.get(act.connection.pong())
    await act.get(act.connection.pong("x"))
    await act.get(act.connection.pong(5))
    act.spawn(waiters[-1])
    act.wire.lose(None)
    await act.settle()


@scenario(ping_interval=20, ping_timeout=10)
async def keepalive(act: Act) -> None:
    act.connection.start_keepalive()
    await asyncio.sleep(21)
    (sent,) = next(what[1] for _, *what in act.trace if what[0] == "written")
    payload = sent[2:] if isinstance(sent, bytes) else sent[2]
    act.feed(texts(act, "a"), frame(act, PONG, payload))
    act.spawn(act.connection.recv())
    await act.settle()
    act.spawn(act.connection.recv())
    await asyncio.sleep(60)


@scenario(close_timeout=5)
async def closing(act: Act) -> None:
    act.feed(texts(act, "a", "b"))
    act.spawn(act.connection.recv())
    act.spawn(act.connection.close(1001, "bye"), "close")
    act.spawn(act.connection.close(), "again")
    act.spawn(act.connection.send("late"), "send")
    await act.settle()
    act.feed(texts(act, "c"), frame(act, PING, b"p"), frame(act, CLOSE, b"\x03\xe9bye"), b"?")
    await act.settle()
    act.spawn(act.connection.recv())
    act.spawn(act.connection.wait_closed())
    await act.settle()
    act.eof()
    await act.settle()
    await act.get(act.connection.recv())
    await act.get(act.connection.recv())
    await act.get(act.connection.send("late"))


@scenario(close_timeout=5)
async def closing_without_an_answer(act: Act) -> None:
    act.spawn(act.connection.recv())
    await act.settle()
    act.spawn(act.connection.close())
    await act.settle()
    act.feed(texts(act, "a"))
    await asyncio.sleep(20)


@scenario(close_timeout=5)
async def closed_by_them(act: Act) -> None:
    act.spawn(act.connection.recv())
    await act.settle(2)
    act.feed(frame(act, CLOSE, b"\x03\xe8"))
    act.feed(texts(act, "late"))
    act.spawn(act.connection.send("late"))
    await act.settle()
    act.spawn(act.connection.close())
    act.eof()


@scenario()
async def closed_with_messages_waiting(act: Act) -> None:
    act.feed(texts(act, "a", "b"), frame(act, TEXT, b"c", **MORE), frame(act, CONT, b"d"))
    act.feed(frame(act, CLOSE, b"\x03\xe8"))
    act.eof()
    await act.settle()
    for _ in range(5):
        await act.get(act.connection.recv())


@scenario()
async def lost_while_receiving(act: Act) -> None:
    act.spawn(act.connection.recv())
    await act.settle()
    act.wire.lose(ConnectionResetError("gone"))
    await act.settle()
    await act.get(act.connection.recv())
    await act.get(act.connection.recv())
    await act.get(act.connection.send("a"))


@scenario()
async def lost_in_the_same_turn(act: Act) -> None:
    act.spawn(act.connection.recv())
    act.spawn(act.connection.recv_streaming().__anext__())
    await act.settle()
    act.feed(texts(act, "a"), frame(act, TEXT, b"half", **MORE))
    act.wire.lose(None)
    await act.settle()
    await act.get(act.connection.recv())
    await act.get(act.connection.recv())


@scenario()
async def too_many_fragments(act: Act) -> None:
    """Since 17.4 there is a limit, 4096 otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "MAX_FRAGMENTS", 5, raising=False)
        act.spawn(act.connection.recv())
        await act.settle()
        act.feed(frame(act, TEXT, b"a", **MORE), *[frame(act, CONT, b"", **MORE)] * 3)
        act.feed(frame(act, CONT), frame(act, TEXT, b"b", **MORE), frame(act, CONT, **MORE))
        await act.settle()
        act.spawn(act.connection.recv())
        act.feed(*[frame(act, CONT, b"", **MORE)] * 4, texts(act, "after"))
        await act.settle()
        act.feed(frame(act, CONT), texts(act, "after"))
        await act.settle()
    act.feed(frame(act, CLOSE, b"\x03\xf1"))
    act.eof()


@scenario(max_size=10)
async def too_big(act: Act) -> None:
    act.spawn(act.connection.recv())
    await act.settle()
    act.feed(texts(act, "x" * 10, "x" * 11), texts(act, "after"))
    await act.settle()
    await act.get(act.connection.recv())


@scenario()
async def faults(act: Act) -> None:
    act.feed(texts(act, "a"), frame(act, CONT, b"x"), texts(act, "b"))
    await act.get(act.connection.recv())
    await act.get(act.connection.recv())
    act.eof()


@scenario()
async def in_pieces(act: Act) -> None:
    """Byte by byte, in twos, and so that each read ends in a frame."""
    whole = texts(act, "a", "é" * 90) + frame(act, PING, b"p") + frame(act, BINARY, b"x" * 130)
    whole += frame(act, TEXT, b"1", **MORE) + frame(act, CONT, b"2") + texts(act, "b")
    act.spawn(collect(act, 100))
    for size in (1, 2, 3, 50, len(whole) - 1):
        for at in range(0, len(whole), size):
            act.feed(whole[at : at + size])
            if at % 5 == 0:
                await act.settle(2)
        await act.settle()


async def collect(act: Act, count: int) -> list[Any]:
    return [act.say("got", lab.shown(await act.connection.recv())) for _ in range(count)]


@scenario()
async def in_other_types(act: Act) -> None:
    """A loop may bring bytearrays, and use them again; somebody may call it with anything."""
    for kind in (bytes, bytearray, memoryview):
        for data in (texts(act, "a", "b"), texts(act, "c")[:3], texts(act, "c")[3:]):
            given = bytearray(data)
            act.connection.data_received(given if kind is bytearray else kind(data))
            given[:] = b"?" * len(given)
    for wrong in (None, "text", 5):
        try:
            act.connection.data_received(wrong)
        except TypeError as exc:
            act.say("main", str(exc))
    act.feed(texts(act, "d"))
    for _ in range(10):
        await act.get(act.connection.recv())


@scenario()
async def echoing(act: Act) -> None:
    async def echo() -> None:
        async for message in act.connection:
            await act.connection.send(message)

    act.spawn(echo())
    await act.settle()
    for count in (1, 5, 1, 30):
        act.feed(*[texts(act, str(i)) for i in range(count)], frame(act, BINARY, b"b"))
        await act.settle(count % 3)
    act.feed(texts(act, "x" * 40_000, "y" * 40_000, "z"), frame(act, PING, b"p"), texts(act, "w"))
    await act.settle()
    act.feed(texts(act, "one", "two"), frame(act, CLOSE, b"\x03\xe8"))
    await act.settle()
    act.eof()


@scenario()
async def answering_and_closing(act: Act) -> None:
    """What was sent leaves before the Close, whatever waits."""

    async def answer() -> None:
        for _ in range(2):
            await act.connection.send(await act.connection.recv())
        await act.connection.ping(b"p")
        await act.connection.send(["a", "b"])
        await act.connection.send(await act.connection.recv())
        await act.connection.close(1001)

    act.spawn(answer())
    act.feed(texts(act, "1", "2", "3", "4", "5"))
    await act.settle()
    act.feed(frame(act, CLOSE, b"\x03\xe9"))
    act.eof()


@scenario()
async def broadcasting(act: Act) -> None:
    parameters = inspect.signature(host.broadcast).parameters
    act.feed(texts(act, "1", "2"))
    await act.get(act.connection.recv())
    await act.get(act.connection.send("before"))
    for message in ("a", b"b", bytearray(b"c"), memoryview(b"d")):
        broadcast([act.connection, act.connection], message)
    if "text" in parameters:
        broadcast([act.connection], "a", text=False)
        broadcast([act.connection], b"b", text=True)
    await act.get(act.connection.send("after"))
    for message in (5, ["a"]):
        try:
            broadcast([act.connection], message, raise_exceptions=True)
        except TypeError as exc:
            act.say("main", chain(exc))
    act.wire.lose(None)
    broadcast([act.connection], "e")


@scenario()
async def broadcasting_in_vain(act: Act) -> None:
    act.wire.fault = OSError("no route")
    broadcast([act.connection], "c")
    try:
        broadcast([act.connection], "d", raise_exceptions=True)
    except ExceptionGroup as exc:
        act.say("main", chain(exc))
    act.wire.fault = None
    broadcast([act.connection], "e")


@scenario()
async def debug_in_the_middle(act: Act) -> None:
    act.feed(texts(act, "a"))
    await act.get(act.connection.send("a"))
    act.logger.setLevel(logging.DEBUG)
    act.logger._cache.clear()  # known loggers have theirs cleared
    act.connection.protocol.debug = act.connection.debug = True
    act.feed(texts(act, "b", "c")[:-1])
    await act.get(act.connection.send("b"))
    act.feed(texts(act, "c")[-1:], texts(act, "d"))
    for _ in range(4):
        await act.get(act.connection.recv())


@scenario()
async def written_by_hand(act: Act) -> None:
    """What somebody left in the protocol leaves with the next that is written or read."""
    act.connection.protocol.send_ping(b"1")
    await act.get(act.connection.send("a"))
    act.connection.protocol.send_ping(b"2")
    act.feed(texts(act, "b"))
    await act.settle()
    act.connection.protocol.send_text(b"c", fin=False)
    await act.get(act.connection.send("d"))
    act.connection.send_data()
    await act.get(act.connection.send("e"))


def trace_of(
    name: str, turn: Any = None, side: Side = SERVER, warm: bool = True, **more: Any
) -> Any:
    function, options = SCENARIOS[name]
    make = plain(side, **{**options, **more})
    return perform(function, make, turn or (lambda: None), warm=warm)


# ---- any scenario -------------------------------------------------------------------------------


def tuple_of(*items: Any) -> tuple[Any, ...]:
    return items


words = st.sampled_from([b"", b"a", b"bc", "é€".encode(), b"\xff", b"x" * 126, b"y" * 70_000])
plan = st.one_of(
    st.tuples(st.sampled_from([TEXT, TEXT, TEXT, BINARY]), words, st.just(True)),
    st.tuples(st.sampled_from([TEXT, BINARY, CONT, CONT]), words, st.booleans()),
    st.tuples(st.sampled_from([PING, PONG]), st.sampled_from([b"", b"p"]), st.just(True)),
    st.sampled_from([(CLOSE, b"\x03\xe8", True), (3, b"", True), (PING, b"", False)]),
)
plans = st.lists(plan, min_size=1, max_size=6)
quick = st.lists(st.tuples(st.just(TEXT), words, st.just(True)), min_size=1, max_size=4)
actions = st.one_of(
    st.tuples(st.just("feed"), quick | plans, st.integers(0, 3)),
    st.tuples(st.just("feed"), quick, st.just(0)),
    st.tuples(st.just("recv"), st.sampled_from([None, None, None, True, False])),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("settle"), st.integers(1, 4)),
    st.tuples(st.just("send"), st.sampled_from(["a", b"b", ["c", "d"], "x" * 70_000, "\ud800", 5])),
    st.tuples(st.just("task send"), st.sampled_from(["a", b"b", ["c", "d"]])),
    st.tuples(st.just("sleep"), st.sampled_from([0.5, 15])),
    st.sampled_from(["iterate", "stream", "echo", "ping", "pong", "close", "eof", "lose"]).map(
        tuple_of
    ),
    st.sampled_from(["pause", "resume", "fault", "broadcast"]).map(tuple_of),
)


async def iterate(act: Act, echo: bool = False) -> None:
    async for message in act.connection:
        act.say("iterate", lab.shown(message))
        if echo:
            await act.connection.send(message)


async def stream(act: Act) -> None:
    async for part in act.connection.recv_streaming():
        act.say("stream", lab.shown(shown_as_bytes(part)))


async def act_out(act: Act, step: Any) -> None:
    kind, *args = step
    connection = act.connection
    if kind == "feed":
        data = b"".join(frame(act, op, payload, fin=fin) for op, payload, fin in args[0])
        cut = len(data) * args[1] // 4
        act.feed(data[:cut]) if cut else None
        act.feed(data[cut:])
    elif kind in ("recv", "iterate", "stream", "echo", "close", "ping", "task send"):
        started = {
            "recv": lambda: connection.recv(*args), "iterate": lambda: iterate(act),
            "stream": lambda: stream(act), "echo": lambda: iterate(act, True),
            "close": connection.close, "ping": lambda: connection.ping(b"p"),
            "task send": lambda: connection.send(*args),
        }  # fmt: skip
        act.spawn(started[kind]())
    elif kind == "cancel":
        tasks = list(act.tasks.values())
        if args[0] < len(tasks):
            tasks[args[0]].cancel()
    elif kind == "settle":
        await act.settle(*args)
    elif kind == "sleep":
        await asyncio.sleep(*args)
    elif kind == "send":
        act.spawn(connection.send(*args))
        await act.settle(3)
    elif kind == "pong":
        act.feed(frame(act, PONG, b"p"))
    elif kind == "eof":
        act.eof()
    elif kind == "lose":
        act.wire.lose(ConnectionResetError("gone"))
    elif kind in ("pause", "resume"):
        if connection.paused is (kind == "resume"):
            connection.pause_writing() if kind == "pause" else connection.resume_writing()
    elif kind == "fault":
        act.wire.fault = None if act.wire.fault else OSError("no route")
    elif kind == "broadcast":
        broadcast([connection], "all")


def acting(steps: list[Any]) -> Any:
    async def scenario(act: Act) -> None:
        for step in steps:
            await act_out(act, step)

    return scenario


queues = st.sampled_from([16, 2, 0, None, (3, 0)])

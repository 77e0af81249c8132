"""websockets' asyncio connections, their own against those with our driver: one trace for each.

Scenarios run on a loop of asyncio's with a transport in memory. With ``cork`` only the order within
each task and on the wire is the same, not who comes first.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import secrets
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("websockets")

import streams
import websockets_lab as lab
import websockets_wire as stage_wire
from websockets.asyncio import connection as host
from websockets.asyncio import messages
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

SERVER, CLIENT = Side.SERVER, Side.CLIENT
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MORE = {"fin": False}
SIDES = {"server": SERVER, "client": CLIENT}
Act = Any


def broadcast(*args: Any, **options: Any) -> None:
    """The library's or ours, whichever is there now."""
    host.broadcast(*args, **options)


# ---- what plays ---------------------------------------------------------------------------------


def plain(side: Side, cls: type[Connection] = Connection, **options: Any) -> Callable[[Act], Any]:
    """A bare Connection behind its handshake. ``options`` are its own and the Protocol's."""
    known = {"max_size", "extensions", "protocol", "debug"}
    mine = {name: options.pop(name) for name in known & options.keys()}

    def make(act: Act) -> Any:
        if mine.get("debug"):
            act.logger.setLevel(logging.DEBUG)
        limit = mine.get("max_size", 1 << 20)
        protocol = mine.get("protocol", Protocol)(side, max_size=limit, logger=act.logger)
        protocol.extensions = [extension() for extension in mine.get("extensions", ())]
        return cls(protocol, **{"ping_interval": None, **options})

    return make


def grown(
    side: Side, server: type = ServerConnection, client: type = ClientConnection, **options: Any
):
    """A connection as ``serve()`` and ``connect()`` make it, behind its handshake."""

    class Stub:
        """Of a Server all that a connection asks for."""

        def start_connection_handler(self, connection: Any) -> None:
            pass

        async def handler(self, connection: Any) -> None:
            pass

        def __init__(self) -> None:
            self.handler_tasks: set[Any] = set()

    def make(act: Act) -> Any:
        options.setdefault("ping_interval", None)
        if side is SERVER:
            made = server(ServerProtocol(state=State.OPEN, logger=act.logger), Stub(), **options)
            made.request = Request("/", {})
        else:
            uri = parse_uri("ws://localhost/")
            made = client(ClientProtocol(uri, state=State.OPEN, logger=act.logger), **options)
            made.response = Response(101, "", {})
        return made

    return make


@pytest.fixture(scope="module")
def stage() -> Iterator[Any]:
    made = lab.Installed()
    yield made
    made.turn(False)


@pytest.fixture(scope="module")
def corking() -> Iterator[Any]:
    made = lab.Installed(cork=True)
    yield made
    made.turn(False)


@pytest.fixture(scope="module", params=SIDES)
def side(request: pytest.FixtureRequest) -> Side:
    return SIDES[request.param]


def frame(act: Act, opcode: int, payload: bytes = b"", **kw: Any) -> bytes:
    """A frame from the peer."""
    server = act.connection.protocol.side is SERVER
    kw.setdefault("key", streams.KEY if server else None)
    return streams.frame(opcode, payload, **kw)


def texts(act: Act, *words: str) -> bytes:
    return b"".join(frame(act, TEXT, word.encode()) for word in words)


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
            act.say("loop", act.lab.shown(message))
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
    return [act.say("got", act.lab.shown(await act.connection.recv())) for _ in range(count)]


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


chain = stage_wire.chain


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


RUNS = {name: (make, options) for name, (make, options) in SCENARIOS.items()}


def trace_of(
    name: str, turn: Any = None, side: Side = SERVER, warm: bool = True, **more: Any
) -> Any:
    function, options = SCENARIOS[name]
    make = plain(side, **{**options, **more})
    return perform(function, make, turn or (lambda: None), warm=warm)


def perform(*args: Any, **how: Any) -> Any:
    """The trace, and that of reading paused and resumed by itself: the library writes a pong before
    it pauses for what came with the ping, the driver after it."""
    found = stage_wire.perform(lab, *args, **how)
    return [each for each in found if each[0] != "flow"], [e for e in found if e[0] == "flow"]


@pytest.mark.parametrize("how", [{}, {"warm": False}, {"debug": True}], ids=["", "new", "debug"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios(stage: Any, side: Side, name: str, how: dict[str, bool]) -> None:
    found = stage.compare(lambda: trace_of(name, side=side, **how))
    assert not any(each[0] == "scenario" or each[1:] == ("hangs",) for each in found[0]), found


@pytest.mark.parametrize("first", [True, False], ids=["made with", "made without"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_turned_on_and_off_before_each_read(stage: Any, side: Side, name: str, first: bool) -> None:
    stage.turn(False)
    original = trace_of(name, side=side)
    for period in (1, 2, 3):
        turns = map(stage.turn, itertools.cycle([not first] * period + [first] * period))
        stage.turn(first)
        found = trace_of(name, side=side, turn=partial(next, turns))
        stage.turn(False)
        assert found == original, lab.difference(original, found)


def test_read_in_the_turn_of_its_time_limit(stage: Any, side: Side) -> None:
    """The library's task would run one turn later: when it is too late, and the message waits."""

    def seen() -> list[Any]:
        trace = perform(just_in_time, plain(side), lambda: None, warm=True)[0]
        return [each[1:] for each in trace if each[0] == "main"]

    stage.turn(False)
    (first, *_), second = seen()
    assert (first, second) == ("raised", ("returned", "just in time"))
    with stage.driver():
        first, (second, *_) = seen()
    assert (first, second) == (("returned", "just in time"), "raised")


def same_in_lanes(original: Any, found: Any) -> None:
    lanes = [(stage_wire.in_lanes(trace), flow) for trace, flow in (original, found)]
    assert lanes[0] == lanes[1], lab.difference(*lanes)
    assert stage_wire.writes(found[0]) <= stage_wire.writes(original[0])


@pytest.mark.parametrize("name", SCENARIOS)
def test_corked(corking: Any, side: Side, name: str) -> None:
    corking.turn(False)
    original = trace_of(name, side=side)
    with corking.driver():
        found = trace_of(name, side=side)
    same_in_lanes(original, found)


def test_cork_saves_writes(corking: Any) -> None:
    corking.turn(False)
    original = stage_wire.writes(trace_of("echoing")[0])
    with corking.driver():
        assert stage_wire.writes(trace_of("echoing")[0]) < original / 2


def test_what_is_seen_of_the_methods(stage: Any) -> None:
    """By who documents, traces, or calls them wrongly."""

    def run() -> Any:
        found = []
        for seam, owner, name in map(lab.place, stage.seams):
            method = getattr(owner, name)
            parameters = [
                (each.name, each.kind, each.default)
                for each in inspect.signature(method).parameters.values()
            ]
            asked = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isfunction)
            found.append((seam, method.__name__, method.__qualname__, parameters))
            found.append([question(method) for question in asked])
        return found

    stage.compare(run)


def test_uninstalled_while_corked(corking: Any, side: Side) -> None:
    """What was collected leaves before what is sent without the driver."""

    async def scenario(act: Act) -> None:
        act.feed(texts(act, "1", "2", "3", "4"))
        for _ in range(3):
            await act.connection.send(await act.connection.recv())
        corking.uninstall()
        await act.connection.send("after")
        await act.connection.close()

    async def answer(act: Act) -> None:
        act.spawn(scenario(act))
        await act.settle()
        act.feed(frame(act, CLOSE, b"\x03\xe8"))
        act.eof()

    corking.turn(False)
    original = perform(answer, plain(side))
    corking.install()
    try:
        found = perform(answer, plain(side))
    finally:
        corking.uninstall()
    same_in_lanes(original, found)


# ---- extensions, subclasses, replaced parts -----------------------------------------------------


@pytest.mark.parametrize("extension", [lab.deflate(), lab.Double, lab.deflate(False, False, 9, 9)])
@pytest.mark.parametrize("name", ["receiving", "sending", "in_pieces", "echoing", "back_pressure",
                                  "broadcasting", "broadcasting_in_vain"])  # fmt: skip
def test_extensions(stage: Any, side: Side, name: str, extension: Any) -> None:
    stage.compare(lambda: trace_of(name, side=side, extensions=[extension]))


SETTINGS = {"level": 2}
ALONE = lab.deflate(local_takeover=False, memLevel=5)
PARAMETERS = [
    [], [ALONE], [ALONE], [lab.deflate(False, False)], [lab.deflate(memLevel=5)],
    [lab.deflate(local_takeover=False, local_bits=9, memLevel=5)],
    [lab.deflate(local_takeover=False, level=1)], [lab.deflate(local_takeover=False, level=99)],
    [lab.deflate(local_takeover=False, memLevel=5, cls=lab.CountingDeflate)],
    [lab.Reverse], [lab.Reverse, ALONE], [ALONE, lab.Reverse],
]  # fmt: skip


async def broadcasting_to_many(act: Act, prepare: Any = None, **options: Any) -> None:
    """One message to connections with as many parameters; ``prepare`` sees each as it is sent."""
    several = []
    for extensions in PARAMETERS:
        make = plain(act.connection.protocol.side, extensions=extensions)
        several.append(stage_wire.Act(lab, make, lambda: None))
        several[-1].start()
    for message in ("a", "é€😀" * 3000, b"b" * 70_000, bytearray(b"c" * 300), ""):
        try:
            connections = [one.connection for one in several]
            broadcast(map(prepare, connections) if prepare else connections, message, **options)
        except ExceptionGroup as exc:
            act.say("main", chain(exc))
    for one in several:
        for extension in one.connection.protocol.extensions:
            one.say("extension", sorted(vars(extension)), getattr(extension, "calls", None))
        act.say("one of many", *one.trace)


def altered(connection: Any) -> Any:
    """Its parameters change from one to the next, though the settings are the same object."""
    if list(map(type, extensions := connection.protocol.extensions)) == [lab.PerMessageDeflate]:
        SETTINGS["level"] = 9 - SETTINGS["level"]
        extensions[0].compress_settings = SETTINGS
    return connection


def spied(connection: Any) -> Any:
    """Somebody counts what its extensions do."""

    def counted(extension: Any, message: Any) -> Any:
        extension.calls = getattr(extension, "calls", 0) + 1
        return type(extension).encode(extension, message)

    for extension in connection.protocol.extensions:
        extension.encode = partial(counted, extension)
    return connection


def in_a_message(connection: Any) -> Any:
    """It sends fragments meanwhile, whose context must stay what it is."""
    protocol = connection.protocol
    with suppress(Exception):  # of a level that there is not
        if protocol.expect_continuation_frame:
            protocol.send_continuation(b"and more", fin=False)
        else:
            protocol.send_text(b"more", fin=False)
        connection.send_data()
    return connection


@pytest.mark.parametrize("raising", [False, True], ids=["logged", "raised"])
@pytest.mark.parametrize("prepare", [None, altered, spied, in_a_message])
def test_broadcast_to_many(stage: Any, side: Side, prepare: Any, raising: bool) -> None:
    """Byte for byte what the library writes, and in the same state afterwards."""
    scenario = partial(broadcasting_to_many, prepare=prepare, raise_exceptions=raising)

    def run() -> Any:
        SETTINGS["level"] = 2
        return perform(scenario, plain(side))

    found = stage.compare(run)[0]
    assert "scenario" not in [who for who, *_ in found], found


def test_broadcast_compresses_once(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each set of parameters, where no context is kept."""
    made, compressobj = [], zlib.compressobj

    def counted(*args: Any, **options: Any) -> Any:
        made.append(options)
        return compressobj(*args, **options)

    async def scenario(act: Act) -> None:
        connections = []
        for extension in (ALONE, lab.deflate(local_takeover=False, local_bits=12, memLevel=5)):
            for _ in range(10):
                other = stage_wire.Act(lab, plain(SERVER, extensions=[extension]), lambda: None)
                other.start()
                connections.append(other.connection)
        made.clear()
        broadcast(connections, "a" * 300)

    monkeypatch.setattr(zlib, "compressobj", counted)
    with stage.driver():
        perform(scenario, plain(SERVER))
    assert made == [{"wbits": -bits, "memLevel": 5} for bits in (15, 12)]


@pytest.mark.parametrize("extension", [lab.Reverse, lab.Double])
def test_an_extension_of_later(stage: Any, side: Side, extension: Any) -> None:
    async def scenario(act: Act) -> None:
        for _ in range(2):
            act.feed(texts(act, "a"))
            await act.get(act.connection.send("b"))
            await act.get(act.connection.recv())
            act.connection.protocol.extensions.append(extension())

    stage.compare(lambda: perform(scenario, plain(side)))


class Events(Connection):
    def process_event(self, event: Any) -> None:
        self.logger.info("event %s", lab.shown(event))
        super().process_event(event)


class Receiving(Connection):
    async def recv(self, *args: Any, **options: Any) -> Any:
        self.logger.info("recv %s %s", args, options)
        return await super().recv(*args, **options)


class Sending(Connection):
    async def send(self, message: Any, **options: Any) -> None:
        self.logger.info("send %s %s", lab.shown(message), options)
        await super().send(message, **options)


class Writing(Connection):
    def send_data(self) -> None:
        self.logger.info("send_data")
        super().send_data()


class Draining(Connection):
    async def drain(self) -> None:
        self.logger.info("drain")
        await super().drain()


class Context(Connection):
    def send_context(self, **options: Any) -> Any:
        self.logger.info("send_context %s", options)
        return super().send_context(**options)


class Equal(Connection):
    """Not hashable."""

    def __eq__(self, other: object) -> bool:
        return True


class Reading(Connection):
    def data_received(self, data: bytes) -> None:
        self.logger.info("data_received %d", len(data))
        super().data_received(data)


@pytest.mark.parametrize(
    "cls",
    [Events, Receiving, Sending, Writing, Draining, Context, Equal, Reading],
    ids=lambda c: c.__name__,
)
@pytest.mark.parametrize("name", ["iterating", "sending", "in_pieces", "echoing", "closing"])
def test_subclasses(stage: Any, side: Side, name: str, cls: Any) -> None:
    stage.compare(lambda: trace_of(name, side=side, cls=cls))


@pytest.mark.parametrize("cls", lab.SUBCLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("name", ["iterating", "sending", "in_pieces", "echoing", "closing"])
def test_subclasses_of_the_protocol(stage: Any, side: Side, name: str, cls: Any) -> None:
    stage.compare(lambda: trace_of(name, side=side, protocol=cls))


@pytest.mark.parametrize("method", ["recv", "send", "data_received"])
@pytest.mark.parametrize("name", ["iterating", "echoing"])
def test_methods_set_on_the_instance(stage: Any, name: str, method: str) -> None:
    """The public ones, and the transport's; as tests and instrumentation do it."""

    async def scenario(act: Act) -> None:
        original = getattr(act.connection, method)

        def spy(*args: Any, **options: Any) -> Any:
            act.say("spy", method)
            return original(*args, **options)

        setattr(act.connection, method, spy)
        await SCENARIOS[name][0](act)

    found = stage.compare(lambda: perform(scenario, plain(SERVER)))
    assert ("spy", method) in found[0] or (name, method) == ("iterating", "send")


INNER_SPIES = [
    *[(None, name) for name in ("process_event", "send_data", "drain", "send_context")],
    *[("protocol", name) for name in ("receive_data", "events_received", "send_text")],
]


@pytest.mark.parametrize("owner,method", INNER_SPIES)
@pytest.mark.parametrize("name", ["iterating", "echoing"])
def test_inner_methods_set_on_the_instance(
    stage: Any, name: str, owner: str | None, method: str
) -> None:
    """Before it is used: as instrumentation does it where it is made."""

    def make(act: Act) -> Any:
        made = plain(SERVER)(act)
        target = made if owner is None else getattr(made, owner)
        original = getattr(target, method)

        def spy(*args: Any, **options: Any) -> Any:
            act.say("spy", method)
            return original(*args, **options)

        setattr(target, method, spy)
        return made

    stage.compare(lambda: perform(SCENARIOS[name][0], make))


CLASS_SPIES = [
    (Protocol, "events_received"), (Protocol, "send_text"), (Protocol, "receive_data"),
    (Protocol, "recv_frame"), (Protocol, "send_frame"), (Connection, "process_event"),
    (Connection, "recv"), (Connection, "send"), (Connection, "data_received"),
    (messages.Assembler, "put"), (messages.Assembler, "get"), (messages.SimpleQueue, "put"),
]  # fmt: skip


@pytest.mark.parametrize("cls,method", CLASS_SPIES)
@pytest.mark.parametrize("name", ["iterating", "echoing", "many_in_one_read"])
def test_methods_replaced_on_the_class(stage: Any, name: str, cls: Any, method: str) -> None:
    """Over ours, as websockets' own tests and tracers do it."""

    def run() -> Any:
        original = getattr(cls, method)
        calls = itertools.count()

        def spy(self: Any, *args: Any, **options: Any) -> Any:
            next(calls)
            return original(self, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cls, method, spy)
            return trace_of(name), next(calls)

    stage.compare(run)


@pytest.mark.parametrize("method", ["events_received", "send_text", "send_binary"])
def test_methods_replaced_later(stage: Any, method: str) -> None:
    """On the class, while connections have read and sent: as websockets' own tests do it."""

    async def scenario(act: Act) -> None:
        original = getattr(Protocol, method)

        def spy(self: Any, *args: Any, **options: Any) -> Any:
            act.say("spy", method)
            return original(self, *args, **options)

        for _ in range(2):
            act.feed(texts(act, "a"))
            await act.get(act.connection.send("b"))
            await act.get(act.connection.send(b"c"))
            patch.setattr(Protocol, method, spy)
        for _ in range(2):
            await act.get(act.connection.recv())

    def run() -> Any:
        nonlocal patch
        with pytest.MonkeyPatch.context() as patch:
            return perform(scenario, plain(SERVER))

    patch: Any = None
    assert ("spy", method) in stage.compare(run)[0]


def test_a_broken_unpack(stage: Any, side: Side) -> None:
    """As websockets' own tests do it."""

    def unpack(*args: Any) -> Any:
        raise RuntimeError("BOOM")

    async def scenario(act: Act) -> None:
        act.feed(texts(act, "a"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(struct, "unpack", unpack)
            act.feed(texts(act, "b"))
        act.feed(texts(act, "c"))
        act.spawn(act.connection.recv())
        act.spawn(act.connection.recv())
        await act.settle()

    stage.compare(lambda: perform(scenario, plain(side)))


def test_keys_are_drawn_from_secrets(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> Any:
        keys = itertools.count()
        monkeypatch.setattr(secrets, "token_bytes", lambda n: bytes([next(keys) % 256]) * n)
        return trace_of("sending", side=CLIENT), next(keys)

    stage.compare(run)


# ---- the classes that serve() and connect() use, and ours for create_connection= ----------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_grown_connections(stage: Any, side: Side, name: str) -> None:
    options = {key: value for key, value in SCENARIOS[name][1].items() if key != "max_size"}
    function = SCENARIOS[name][0]
    stage.compare(lambda: perform(function, grown(side, **options)))


@pytest.mark.parametrize("cork", [False, True], ids=["", "cork"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_our_classes(stage: Any, side: Side, name: str, cork: bool) -> None:
    """Without install(): what create_connection= gets."""
    from wsfast.websockets import asyncio as ours

    options = {key: value for key, value in SCENARIOS[name][1].items() if key != "max_size"}
    classes = {
        kind: type(cls.__name__, (cls,), {"cork": cork})
        for kind, cls in (("server", ours.ServerConnection), ("client", ours.ClientConnection))
    }
    stage.turn(False)
    function = SCENARIOS[name][0]
    original = perform(function, grown(side, **options))
    found = perform(function, grown(side, **classes, **options))
    if cork:
        same_in_lanes(original, found)
    else:
        assert found == original, lab.difference(original, found)


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
        act.say("iterate", act.lab.shown(message))
        if echo:
            await act.connection.send(message)


async def stream(act: Act) -> None:
    async for part in act.connection.recv_streaming():
        act.say("stream", act.lab.shown(shown_as_bytes(part)))


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


@given(st.data())
def test_any_scenario(stage: Any, side: Side, data: st.DataObject) -> None:
    steps = data.draw(st.lists(actions, max_size=12))
    extensions = data.draw(st.sampled_from([[], [], [], [lab.Reverse]]))
    options = {
        "max_queue": data.draw(queues),
        "max_size": data.draw(st.sampled_from([1 << 20, 200])),
    }
    make = plain(side, extensions=extensions, **options)
    original = stage.compare(lambda: perform(acting(steps), make))
    turns = map(
        stage.turn, itertools.cycle(data.draw(st.lists(st.booleans(), min_size=1, max_size=4)))
    )
    try:
        found = perform(acting(steps), make, partial(next, turns))
    finally:
        stage.turn(False)
    assert found == original, lab.difference(original, found)


@given(st.data())
def test_any_scenario_corked(corking: Any, side: Side, data: st.DataObject) -> None:
    steps = data.draw(st.lists(actions.filter(lambda step: step[0] != "fault"), max_size=12))
    make = plain(side, max_queue=data.draw(queues))
    corking.turn(False)
    original = perform(acting(steps), make)
    with corking.driver():
        found = perform(acting(steps), make)
    same_in_lanes(original, found)


# ---- on a socket --------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_served_and_connected(stage: Any, run: Any, compression: str | None) -> None:
    """serve() and connect() as they are, on each loop there is, with both sides patched."""

    async def main(found: list[Any]) -> None:
        async def handler(connection: Any) -> None:
            async for message in connection:
                await connection.send(message)
                await connection.send([message, message])
            closed.set_result(connection.close_code)

        closed = asyncio.get_running_loop().create_future()
        options = {"compression": compression, "ping_interval": None}
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}/", proxy=None, **options) as client:
                for message in ("a", b"b", "é" * 5000, b"", "x" * 200_000):
                    await client.send(message)
                    found += [await client.recv() for _ in range(2)]
                await asyncio.gather(*[client.send(str(i)) for i in range(50)])
                found += [await client.recv() for _ in range(100)]
                await (await client.ping())
            found += [client.close_code, client.close_reason, await closed]

    def both() -> list[Any]:
        found: list[Any] = []
        run(main(found))
        return found

    assert len(stage.compare(both)) == 113


def test_a_missing_frame_is_noticed() -> None:
    """That a difference makes a test fail."""
    put = Connection.process_event

    def losing(self: Any, event: Any) -> None:
        if event.data != b"b":
            put(self, event)

    with pytest.MonkeyPatch.context() as patch:
        change = patch.setattr
        wrong = lab.Stage(lambda on: change(Connection, "process_event", losing if on else put))
        with pytest.raises(AssertionError, match="original"):
            wrong.compare(lambda: trace_of("iterating"))

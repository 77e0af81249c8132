"""websockets, the asyncio connection: a message goes straight from the socket's bytes into the
queue that ``recv()`` reads, and from ``send()`` into the transport.

What is queued has the shape of the library's frames, and only whole messages take this way:
everything else goes through the library's own methods, which find the state they expect.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections import deque
from collections.abc import AsyncIterator
from types import FunctionType, MethodType
from typing import Any

from websockets.asyncio.connection import Connection
from websockets.asyncio.messages import Assembler, SimpleQueue
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import Frame
from websockets.protocol import OPEN, Protocol
from websockets.version import version

from wsfast._waiter import Waiter
from wsfast.codec import Whole

from . import _websockets as frames
from ._seams import Seam

_data_received = Connection.data_received
_recv: Any = Connection.recv
_send: Any = Connection.send
_send_data = Connection.send_data
_aiter = Connection.__aiter__
_send_context = Connection.send_context  # made by contextlib
_events_received = Protocol.events_received
_send_text, _send_binary = Protocol.send_text, Protocol.send_binary

OLD = frames.OLD  # websockets 15, where some attributes have other names
CLIENT, UNPACK, TOKEN_BYTES = frames.CLIENT, frames.UNPACK, frames.TOKEN_BYTES
BUILDERS = frames.PLAIN, frames.MASKED  # [role]
CORK_LIMIT = 64 << 10  # bytes that are collected at most
CORK_FRAME = 16 << 10  # bytes of a frame: to copy a larger one costs more than the write it saves

cork = False  # whether messages sent while received ones wait leave together
CORKING: set[type] = set()  # classes that cork whatever ``cork`` says
corked: dict[int, tuple[Any, bytearray]] = {}  # frames that have not left yet, by id(connection)


def configure(*, policy: str, cork: bool) -> None:
    """``cork``: one write for what is sent while received messages wait."""
    globals()["cork"] = cork
    for connection, _ in [] if cork else list(corked.values()):
        if asyncio._get_running_loop() is connection.loop:  # else it is its own thread's to write
            flush(connection)


CONNECTION = ("process_event", "send_context", "send_data", "drain")
PROTOCOL = (
    *("receive_data", "recv_frame", "events_received", "close_expected"),
    *("send_text", "send_binary", "send_frame", "data_to_send"),
)
ASSEMBLER, QUEUE = ("put", "get", "maybe_pause", "maybe_resume"), ("put", "get")


def own(self: Any) -> bool:
    """Whether the methods that we do without calling are the library's.

    ``__module__`` would not tell: wrappers copy it.
    """
    inbox = getattr(self, "recv_messages", None)  # there from connection_made() on
    queue = getattr(inbox, "frames", None)
    # process_event is what those of its subclasses call, serialize what send_frame calls.
    methods: list[Any] = [Connection.process_event, Frame.serialize]
    owners = (self, CONNECTION), (self.protocol, PROTOCOL), (inbox, ASSEMBLER), (queue, QUEUE)
    for one, names in owners:
        for name in names:
            method = getattr(type(one), name, None)  # a proxy has none
            # One may be set on the object. Not vars(): whose dict was asked for is 0.4 us slower.
            if getattr(getattr(one, name, None), "__func__", None) is not method:
                return False
            methods.append(method)
    return all(
        method is _send_context
        or (
            type(method) is FunctionType
            and method.__globals__["__name__"].partition(".")[0] in ("websockets", "wsfast")
        )
        for method in methods
    )


def role_of(self: Any) -> int | None:
    """1 for a client, 0 for a server; ``None`` where the library's own code must do it all. Asked
    once a connection, when the handshake has settled it."""
    protocol = self.protocol
    if protocol.state is not OPEN:
        return None
    role = self._wsfast_role = int(protocol.side is CLIENT) if own(self) else None
    return role


# ---- receiving ----------------------------------------------------------------------------------


def data_received(self: Any, data: bytes) -> None:
    protocol = self.protocol
    try:
        role = self._wsfast_role
        expected = protocol._wsfast_parser
    except AttributeError:
        role = role_of(self)
        expected = getattr(protocol, "_wsfast_parser", None)
    reader = protocol.reader
    assembler = self.recv_messages
    # Whether what comes next can be a whole message like any other, by the cheapest questions.
    if (
        role is None
        or expected is not protocol.parser
        or type(data) is not bytes
        or protocol._state is not OPEN
        or (protocol.debug or protocol.extensions)  # both may be set at any time
        or protocol.writes  # what somebody left there leaves with the next read
        or (protocol.cur_size if OLD else protocol.current_size) is not None
        or reader.eof
        or assembler.closed
        or struct.unpack is not UNPACK
        or Protocol.events_received is not _events_received
    ):
        _data_received(self, data)
        return
    scanner = frames.scanner_of[role][0]
    most = protocol.max_size if OLD else protocol.max_message_size
    if not OLD and protocol.max_fragment_size is not None:
        most = frames.largest(protocol, None)
    buffer = reader.buffer
    if not buffer and (message := scanner.message(data, most)) is not None:
        assembler.frames.queue.append(message)
        arrived(assembler, True)
        return
    if buffer:
        buffer += data
        messages, end, more = scanner.messages(buffer, 0, most)
        del buffer[:end]
        rest = b""
    else:
        messages, end, more = scanner.messages(data, 0, most)
        rest = data[end:] if end < len(data) else b""
        if more:
            buffer += rest
    if messages:
        assembler.frames.queue.extend(messages)
        arrived(assembler, more)
    if not more:
        _data_received(self, rest)


def arrived(assembler: Any, last: bool) -> None:
    """What ``Assembler.put`` does for messages that are queued. Where they are the ``last`` of a
    read, who waits for them runs at once: what else a read brings must be seen to before."""
    queue = assembler.frames
    if assembler.high is not None and len(queue.queue) > assembler.high:
        assembler.maybe_pause()
    waiter = queue.get_waiter
    if waiter is not None:
        if last and type(waiter) is Waiter:
            waiter.fire()
        elif not waiter.done():
            waiter.set_result(None)


async def recv(self: Any, decode: bool | None = None) -> Any:
    assembler = self.recv_messages
    if decode is not None or assembler.get_in_progress:
        return await _recv(self, decode)
    frames = assembler.frames
    queue = frames.queue
    if not queue and not assembler.closed:
        if corked:
            flush(self)
        # As SimpleQueue.get() waits, but the message stays queued until it is looked at.
        assembler.get_in_progress = True
        waiter = frames.get_waiter = getattr(frames, "_wsfast_waiter", None) or waiter_of(frames)
        try:
            await waiter
        except EOFError:
            pass  # the connection has ended; the library's recv() will say how
        finally:
            frames.get_waiter = None
            assembler.get_in_progress = False
    if not queue or type(queue[0]) is not Whole:
        return await _recv(self, decode)
    message = queue.popleft()
    if assembler.paused:
        assembler.maybe_resume()
    return message.payload


async def __aiter__(self: Any) -> AsyncIterator[Any]:
    """``recv()`` for ever, without a coroutine for each message."""
    method = self.recv
    if type(method) is not MethodType or method.__func__ is not recv:
        async for message in _aiter(self):
            yield message
        return
    assembler = self.recv_messages
    frames = assembler.frames
    queue = frames.queue
    waiter = getattr(frames, "_wsfast_waiter", None) or waiter_of(frames)
    try:
        while True:
            if queue and not assembler.get_in_progress:
                message = queue.popleft()
                if type(message) is Whole:
                    if assembler.paused:
                        assembler.maybe_resume()
                    yield message.payload
                else:
                    queue.appendleft(message)
                    yield await self.recv()
            elif queue or assembler.closed or assembler.get_in_progress:
                yield await self.recv()
            else:
                if corked:
                    flush(self)
                assembler.get_in_progress = True
                frames.get_waiter = waiter
                try:
                    await waiter
                except EOFError:
                    pass
                finally:
                    frames.get_waiter = None
                    assembler.get_in_progress = False
    except ConnectionClosedOK:
        return


def waiter_of(frames: Any) -> Waiter:
    """The one that tasks wait on for this queue, made when the first waits."""
    waiter = frames._wsfast_waiter = Waiter(frames.loop)
    return waiter


# ---- sending ------------------------------------------------------------------------------------


def written(self: Any, message: Any, text: bool | None, rsv1: int = 0) -> bool:
    """Frame and write a whole message; False where that is left to the library.

    ``rsv1``, 0x40: it is what the extensions made of one.
    """
    kind = type(message)
    protocol = self.protocol
    try:
        role = self._wsfast_role
    except AttributeError:
        role = role_of(self)
    as_text = text is not False if kind is str else text is True
    if not (
        role is not None
        and (kind is str or kind is bytes or kind is bytearray)
        and protocol._state is OPEN
        and (self.fragmented_send_waiter if OLD else self.send_in_progress) is None
        and (rsv1 or not protocol.extensions)
        and not (protocol.expect_continuation_frame or protocol.writes)
        and not protocol.debug
        and not (role and secrets.token_bytes is not TOKEN_BYTES)
        and (Protocol.send_text is _send_text if as_text else Protocol.send_binary is _send_binary)
    ):
        return False
    try:
        frame = BUILDERS[role].build((0x81 if as_text else 0x82) | rsv1, message)
        if not (corked or cork or CORKING) or not collected(self, frame):
            self.transport.write(frame)
    except Exception:
        return False  # the library will meet it too, and knows what to do
    return True


async def _send_positional(self: Any, message: Any, text: bool | None = None) -> None:
    if not written(self, message, text):
        flush(self)  # the library may abort the transport
        await _send(self, message, text)
    elif self.paused or self.transport.is_closing():
        async with self.send_context():
            pass  # it waits, and says what becomes of the connection meanwhile


async def _send_keyword(self: Any, message: Any, *, text: bool | None = None) -> None:
    if not written(self, message, text):
        flush(self)  # the library may abort the transport
        await _send(self, message, text=text)
    elif self.paused or self.transport.is_closing():
        async with self.send_context():
            pass  # it waits, and says what becomes of the connection meanwhile


send = _send_positional if version < "17" else _send_keyword
send.__name__ = send.__qualname__ = "send"


def send_data(self: Any) -> None:
    flush(self)
    _send_data(self)


# ---- corking ------------------------------------------------------------------------------------


def collected(self: Any, frame: bytes) -> bool:
    """Keep a frame to leave with others, while received messages wait and the peer reads."""
    if len(frame) > CORK_FRAME:
        flush(self)
        return False
    found = corked.get(id(self))  # its class may say what is equal
    if found is None:
        if not (cork or type(self) in CORKING) or self.paused:
            return False
        if not self.recv_messages.frames.queue:
            return False
        corked[id(self)] = self, bytearray(frame)
        self.loop.call_soon(flush, self)
    else:
        _, waiting = found
        waiting += frame
        if len(waiting) > CORK_LIMIT:
            flush(self)
    return True


def flush(self: Any) -> None:
    """Write what was collected. Also at the end of this iteration of the loop, before anything
    else is written, and before waiting for a message."""
    found = corked.pop(id(self), None)
    if found is not None:
        self.transport.write(found[1])


# ---- the seams ----------------------------------------------------------------------------------

_SOURCE = "websockets.asyncio.connection:Connection."
_QUEUE = "websockets.asyncio.messages:"
SEAMS = (
    Seam(f"{_SOURCE}data_received", data_received, reads=(
        f"{_SOURCE}process_event", f"{_QUEUE}Assembler.put", f"{_QUEUE}SimpleQueue.put")),
    Seam(f"{_SOURCE}recv", recv, reads=(
        f"{_QUEUE}Assembler.get", f"{_QUEUE}SimpleQueue.get", f"{_QUEUE}Assembler.maybe_resume")),
    Seam(f"{_SOURCE}__aiter__", __aiter__),
    Seam(f"{_SOURCE}send", send, reads=(f"{_SOURCE}send_context", f"{_SOURCE}drain")),
    Seam(f"{_SOURCE}send_data", send_data),
)  # fmt: skip


def selftest() -> None:
    """What is put into the library's queue comes out of ``recv()`` and out of the library's."""
    for receive in (recv, _recv):
        stub: Any = Stub()
        inbox = stub.recv_messages
        inbox.frames.queue += [Whole(frames.TEXT, "héllo"), Whole(frames.BINARY, b"\xff")]
        arrived(inbox, False)
        if [result(receive(stub)), result(receive(stub))] != ["héllo", b"\xff"]:
            raise AssertionError("messages do not come out of the queue as they went in")


class Stub:
    """A connection with no loop: nothing in it has to wait."""

    def __init__(self) -> None:
        queue = SimpleQueue.__new__(SimpleQueue)
        queue.queue = deque()
        queue.get_waiter = None
        self.recv_messages = Assembler.__new__(Assembler)
        self.recv_messages.frames = queue
        self.recv_messages.high = self.recv_messages.low = None
        self.recv_messages.closed = self.recv_messages.paused = False
        self.recv_messages.get_in_progress = False


def result(coroutine: Any) -> object:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("recv() waits for a message that is there")

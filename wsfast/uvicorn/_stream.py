"""Messages between a transport and an application: decoding, the queue, flow control, corking.

The hot path, for one message: ``data_received`` -> one call of the decoder -> the list it returned
*is* the queue -> the waiting task -> ``receive`` -> application -> ``send`` -> one call of the
encoder -> ``transport.write``. Nothing is made between them but the message and its ASGI dict.

The codec is used without a ``Connection`` between: its queue of output would be a second one
before the transport's, and its state a second one beside that of the ASGI conversation.
"""

from __future__ import annotations

import asyncio
from sys import maxsize

from wsfast.codec import FrameEncoder, MessageDecoder
from wsfast.errors import RemoteProtocolError
from wsfast.frames import Close, Ping, Pong, Role, Text

from ._wake import DirectWaiter, FutureWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Literal

    from wsfast._handshake_values import Negotiated
    from wsfast.frames import Limits

    from ._keepalive import Keepalive

CORK_BYTES = 64 << 10  # output collected beyond this leaves at once


_BARE = frozenset((str, bytes))


def _discard(data: bytes) -> list[Any]:
    return []


def _size(item: Any) -> int:
    """Bytes of a queued message."""
    kind = type(item)
    if kind is str:
        return len(item) if item.isascii() else len(item.encode())
    if kind is bytes:
        return len(item)
    return len(item.payload) if kind is Text else 0  # an event is no message


class Stream(asyncio.Protocol):
    """The open WebSocket; a subclass opens and ends it."""

    __slots__ = (
        "_cork",
        "_drained",
        "_encode_binary",
        "_encode_text",
        "_encoder",
        "_feed",
        "_flush_due",
        "_held",
        "_keepalive",
        "_length",
        "_limits",
        "_line",
        "_loop",
        "_open",
        "_outbox",
        "_pongs",
        "_queue",
        "_queued",
        "_reading",
        "_room",
        "_streaming",
        "_suspect",
        "_waiter",
        "_write",
        "extensions",
        "transport",
    )

    role = Role.SERVER  # with `extensions`, what PreparedMessage asks of a connection
    transport: asyncio.Transport
    extensions: tuple[Negotiated, ...]
    _write: Callable[[bytes], object]
    _encoder: FrameEncoder
    _encode_text: Callable[[Any], bytes]
    _encode_binary: Callable[[Any], bytes]
    _length: Callable[[Any], int]

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limits: Limits, cork: str, wake: str
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._cork = cork
        self._keepalive: Keepalive | None = None
        self.extensions = ()
        self._open = False

        # Input. The queue is the list a decoder returned, reversed: its end is the next message.
        self._feed: Callable[[bytes], list[Any]] = _discard
        self._queue: list[Any] = []
        self._queued = 0  # characters queued since the queue was empty; while paused, its bytes
        self._suspect = limits.queue_bytes // 4  # so many characters may be too many bytes
        self._reading = True
        self._waiter = DirectWaiter(loop) if wake == "direct" else FutureWaiter(loop)
        self._line: list[asyncio.Future[None]] = []  # tasks that wait behind the waiting one

        # Output. While it is held, or messages wait, frames are collected in the outbox.
        self._streaming = False  # open, and the transport takes more
        self._drained: asyncio.Event | None = None  # there while the transport takes no more
        self._held = cork == "burst"
        self._outbox: list[bytes] = []
        self._room = CORK_BYTES
        self._flush_due = False
        self._pongs: list[bytes] = []  # while the transport takes no more

    def _begin(self, text: Literal["str", "bytes"], agreed: tuple[Negotiated, ...]) -> None:
        """The handshake is done."""
        inflater = deflater = None
        for extension in agreed:
            inflater = extension.inflater(self._limits.max_ratio)
            deflater = extension.deflater()
        self.extensions = agreed
        self._feed = MessageDecoder(
            Role.SERVER, limits=self._limits, text=text, inflate=inflater
        ).feed
        self._encoder = FrameEncoder(Role.SERVER, deflate=deflater)
        self._encode_text = self._encoder.text
        self._encode_binary = self._encoder.binary
        self._length = len if text == "str" else _size  # Text has no len()
        self._open = True
        self._streaming = self._drained is None

    def _end(self) -> None:
        """No more messages in or out."""
        self._open = self._streaming = False
        self._feed = _discard
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None

    # What is not for this class

    def _ended_by(self, last: Close | RemoteProtocolError) -> None:
        """The peer closed, or broke a rule."""
        raise NotImplementedError

    def _converse(self, message: Mapping[str, Any]) -> None:
        """The application sent something that is not a message, or is out of place."""
        raise NotImplementedError

    # Input

    def data_received(self, data: bytes) -> None:
        """Decode, queue, wake."""
        events = self._feed(data)
        if not events:
            return
        if len(events) == 1 and self._waiter.waiting and not self._queue:
            kind = type(events[0])
            if kind is str or kind is bytes:
                self._queue = events
                self._waiter.fire()
                return
        self._take(events)

    def _take(self, events: list[Any]) -> None:
        """Queue what one read brought, answer what is not for the application, wake it."""
        last = None
        if not _BARE.issuperset(map(type, events)):
            events, last = self._sort(events)
        if events:
            self._enqueue(events)
        if last is not None:
            self._ended_by(last)
        self._flush_due = True  # what the application sends while it runs leaves below
        self._waiter.fire()
        self._flush_due = False
        if self._outbox:
            self._flush()
        if self._reading and self._queue:
            self._pause_if_full()

    def _sort(self, events: list[Any]) -> tuple[list[Any], Close | RemoteProtocolError | None]:
        """The messages, and what ends it all; answers the other control frames."""
        messages = []
        pongs = []
        last = None
        for item in events:
            kind = type(item)
            if kind is Ping:
                pongs.append(self._encoder.pong(item.payload))
            elif kind is Pong:
                if self._keepalive is not None:
                    self._keepalive.pong(item.payload)
            elif kind is Close or kind is RemoteProtocolError:
                last = item
            else:
                messages.append(item)
        if pongs and self._open:
            self._send_pongs(pongs)
        return messages, last

    def _enqueue(self, messages: list[Any]) -> None:
        queue = self._queue
        if self._reading:
            characters = sum(map(self._length, messages))
            self._queued = self._queued + characters if queue else characters
        else:
            self._queued += sum(map(_size, messages))
        messages.reverse()
        if queue:
            messages += queue
        self._queue = messages

    def _put(self, event: dict[str, Any]) -> None:
        """Queue an event behind all messages."""
        self._queue.insert(0, event)
        if self._waiter.waiting:
            self._loop.call_soon(self._waiter.fire)

    # Flow control of input

    def _pause_if_full(self) -> None:
        """Stop reading at ``queue_messages`` or ``queue_bytes`` undelivered.

        Nothing is counted while messages are delivered: ``_queued`` may be too much, but not less
        than a quarter of the bytes (a character is at most four). Only when that could be too
        many is the queue itself counted.
        """
        limits = self._limits
        full = len(self._queue) >= limits.queue_messages
        if not full and self._queued < self._suspect:
            return
        size = sum(map(_size, self._queue))
        if full or size >= limits.queue_bytes:
            self._queued = size
            self._reading = False
            self.transport.pause_reading()
            if self._keepalive is not None:
                self._keepalive.reading_paused()
        else:
            self._queued = size // 4 + 1

    def _delivered(self, message: Any) -> None:
        """A message left the queue while reading is paused: at half, resume."""
        self._queued -= _size(message)
        limits = self._limits
        few = len(self._queue) <= limits.queue_messages // 2
        if few and self._queued <= limits.queue_bytes // 2:
            self._resume_reading()

    def _resume_reading(self) -> None:
        self._reading = True
        self._queued = self._queued // 4 + 1
        if not self.transport.is_closing():
            self.transport.resume_reading()
        if self._keepalive is not None:
            self._keepalive.reading_resumed()

    # To the application

    async def receive(self) -> Any:
        """ASGI ``receive``."""
        while not self._queue:
            if self._outbox:
                self._flush()
            if self._waiter.waiting:
                await self._stand_in_line()
                continue
            try:
                await self._waiter
            except BaseException:
                self._waiter.waiting = False
                raise
            finally:
                if self._line:
                    self._call_next()
        message = self._queue.pop()
        if not self._reading:
            self._delivered(message)
        kind = type(message)
        if kind is str:
            return {"type": "websocket.receive", "text": message}
        if kind is bytes:
            return {"type": "websocket.receive", "bytes": message}
        if kind is Text:
            return {"type": "websocket.receive", "text": message.payload}
        return message

    async def _stand_in_line(self) -> None:
        """Wait for a turn while another task has the waiter; applications seldom do this."""
        turn = self._loop.create_future()
        self._line.append(turn)
        try:
            await turn
        finally:
            if turn in self._line:
                self._line.remove(turn)
            else:
                self._call_next()

    def _call_next(self) -> None:
        """The next in line may look: there are messages, or nobody has the waiter."""
        while self._line and (self._queue or not self._waiter.waiting):
            turn = self._line.pop(0)
            if not turn.done():
                turn.set_result(None)
                return

    # From the application

    async def send(self, message: Mapping[str, Any]) -> None:
        """ASGI ``send``; ``websocket.send`` may carry "wsfast.compress" and "wsfast.prepared".

        Raises uvicorn's ``ClientDisconnected`` (an ``OSError``) once the connection is gone, and
        its ``RuntimeError`` for a message that is out of place.
        """
        if not self._streaming or message["type"] != "websocket.send":
            while self._drained is not None:
                await self._drained.wait()
            if not self._open or message["type"] != "websocket.send":
                self._converse(message)
                return
        if len(message) == 2 and "text" in message and (text := message["text"]) is not None:
            frame = self._encode_text(text)
        else:
            other = self._encode(message)
            if other is None:
                return
            frame = other
        if self._queue and self._outbox:  # what _collect would do, for all but the first
            self._outbox.append(frame)
            self._room -= len(frame)
            if self._room < 0:
                self._flush()
        elif self._queue or self._held:
            self._collect(frame)
        else:
            self._write(frame)

    def _encode(self, message: Mapping[str, Any]) -> bytes | None:
        """The frame for a message with more than one payload key, or none: nothing to send."""
        prepared = message.get("wsfast.prepared")
        if prepared is not None:
            return prepared.frame_for(self)  # type: ignore[no-any-return]
        compress = message.get("wsfast.compress")
        data = message.get("bytes")
        if data is not None:
            return self._encoder.binary(data, compress=compress)
        data = message.get("text")
        if data is not None:
            return self._encoder.text(data, compress=compress)
        return None

    # Corking

    def _collect(self, frame: bytes) -> None:
        """Hold a frame back if the rule of ``cork`` says so, else send it behind what is held."""
        outbox = self._outbox
        if not outbox and not self._may_hold():
            self._write(frame)
            return
        outbox.append(frame)
        self._held = True
        self._room -= len(frame)
        if self._room < 0 or not (self._queue or self._cork == "burst"):
            self._flush()

    def _may_hold(self) -> bool:
        """Whether the first frame of an outbox is held back: until the end of the turn at most."""
        cork = self._cork
        if cork == "off":
            return False
        queue = self._queue
        hold = bool(queue) and type(queue[0]) is not dict  # "websocket.connect" is no message
        if cork == "burst":
            hold = hold or self._flush_due
        elif not hold:
            return False
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._end_of_turn)
        return hold

    def _end_of_turn(self) -> None:
        self._flush_due = False
        if self._outbox:
            self._flush()

    def _flush(self) -> None:
        outbox = self._outbox
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        outbox.clear()
        self._room = CORK_BYTES
        self._held = self._cork == "burst"
        self._write(data)

    # Flow control of output

    def pause_writing(self) -> None:
        """The transport has enough to write: ``send`` waits."""
        self._streaming = False
        if self._drained is None:
            self._drained = asyncio.Event()

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._streaming = self._open
        if self._drained is not None:
            self._drained.set()
            self._drained = None
        if self._pongs:
            pongs = b"".join(self._pongs)
            self._pongs.clear()
            if self._open:
                self._write(pongs)

    def _send_pongs(self, pongs: list[bytes]) -> None:
        """Answer Pings; to a peer that does not read, only ``max_pending_pongs`` of them.

        §5.5.3 allows to answer only the most recent Ping, so the newest replaces the last.
        """
        if self._drained is None:
            self._write(b"".join(pongs))
            return
        self._pongs += pongs
        del self._pongs[self._limits.max_pending_pongs - 1 : -1]


def bound(max_queue: int | None) -> int:
    """uvicorn's ``ws_max_queue`` as ``queue_messages``; 0 and None are no bound."""
    return max_queue or maxsize

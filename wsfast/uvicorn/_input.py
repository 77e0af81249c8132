"""From the transport to the application: decoding, the queue, flow control.

Hot path, for one message: ``data_received`` -> one call of the decoder -> the list it returned *is*
the queue -> the waiting task -> ``receive``. Nothing is made on it but the message and its dict.
"""

from __future__ import annotations

import asyncio

from wsfast._waiter import Waiter
from wsfast.codec import MessageDecoder
from wsfast.errors import RemoteProtocolError
from wsfast.frames import Close, Ping, Pong, Role, Text

from ._message_timer import MESSAGES, MessageTimer
from ._output import Output
from ._wake import FutureWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from wsfast.codec import Inflate
    from wsfast.frames import Limits

    from ._keepalive import Keepalive

MOST_RATIO = 1032  # inflated to compressed: DEFLATE's 258 bytes for two bits
_BARE = frozenset((str, bytes))


def _discard(data: bytes) -> list[Any]:
    return []


def end_event(last: Close | RemoteProtocolError) -> dict[str, Any]:
    """The event that tells the application how the peer ended it."""
    if isinstance(last, Close):
        return {"type": "websocket.disconnect", "code": last.code, "reason": last.reason}
    return {"type": "websocket.disconnect", "code": last.close_code, "reason": str(last)}


def _size(item: Any) -> int:
    """Bytes of a queued message."""
    kind = type(item)
    if kind is str:
        return len(item) if item.isascii() else len(item.encode())
    if kind is bytes:
        return len(item)
    return len(item.payload) if kind is Text else 0  # an event is no message


class Input(Output):
    """The receiving half of an open WebSocket, on top of the sending one."""

    __slots__ = (
        "_decode",
        "_decode_all",
        "_decode_some",
        "_feed",
        "_harmless",
        "_keepalive",
        "_length",
        "_line",
        "_message_timer",
        "_queued",
        "_reading",
        "_rest",
        "_suspect",
        "_turn",
        "_waiter",
    )

    _decode: Callable[[bytes], list[Any]]
    _decode_some: Callable[[bytes | memoryview, int], tuple[list[Any], int]]
    _length: Callable[[Any], int]

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limits: Limits, cork: str, wake: str
    ) -> None:
        super().__init__(loop, limits, cork)
        self._keepalive: Keepalive | None = None
        self._message_timer: MessageTimer | None = None
        self._feed: Callable[[bytes], list[Any]] = _discard
        self._queued = 0  # characters queued since the queue was empty; while paused, its bytes
        self._suspect = limits.queue_bytes // 4  # so many characters may be too many bytes
        self._reading = True
        self._rest: memoryview | None = None  # of a read: what is not inflated yet
        self._turn = False  # then comes the next part of it
        self._waiter = Waiter(loop) if wake == "direct" else FutureWaiter(loop)
        self._line: list[asyncio.Future[None]] = []  # tasks that wait behind the waiting one

    def _begin_input(self, text: Literal["str", "bytes"], inflate: Inflate | None) -> None:
        decoder = MessageDecoder(Role.SERVER, limits=self._limits, text=text, inflate=inflate)
        self._feed = self._decode = decoder.feed
        self._decode_some = decoder.feed_some
        self._length = len if text == "str" else _size  # Text has no len()
        timeout = self._limits.message_timeout
        if timeout is not None:
            timer = MessageTimer(self._loop, decoder, timeout, self._message_expired)
            self._feed = self._decode = timer.feed
            self._decode_some = timer.feed_some
            self._message_timer = timer
        if inflate is not None:
            self._harmless = self._limits.queue_bytes // MOST_RATIO  # bytes that are not too many
            self._decode_all = self._decode
            self._feed = self._decode = self._decode_part

    def _end(self) -> None:
        """No more messages in or out."""
        self._leave_rest()
        self._open = self._streaming = False
        self._feed = _discard
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None
        if self._message_timer is not None:
            self._message_timer.stop()
            self._message_timer = None

    def _end_but_for_close(self) -> None:
        """Our Close frame is sent: of what still comes, only the peer's matters, and its Pings."""
        rest, self._rest = self._rest, None
        self._end()
        self._rest = rest
        self._feed = self._await_close

    def _await_close(self, data: bytes) -> list[Any]:
        """Answer Pings, as §5.5.2 says "unless it already received a Close frame"."""
        _, last = self._sort(self._decode(data))
        return [] if last is None else [last]

    def _ended_by(self, last: Close | RemoteProtocolError) -> None:
        """The peer closed, or broke a rule."""
        raise NotImplementedError

    def _message_expired(self) -> None:
        """A message took longer than ``message_timeout``."""
        raise NotImplementedError

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
                if self._queue and self._open and self._reading:  # its reader comes later, or not
                    self._queued = sum(map(self._length, self._queue))
                    self._pause_if_full()
                return
        self._take(events)

    def _take(self, events: list[Any]) -> None:
        """Queue what one read brought, answer what is not for the application, wake it."""
        last = None
        if not _BARE.issuperset(map(type, events)):
            events, last = self._sort(events)
        answerable = bool(events)  # the list itself becomes the queue, and is emptied
        if answerable:
            self._enqueue(events)
        elif last is not None:
            self._ended_by(last)
        self._flush_due = True  # what the application sends while it runs leaves below
        try:
            self._waiter.fire()
        finally:
            self._flush_due = False
        if self._outbox:
            self._flush()
        if answerable and last is not None:
            self._end_after(last)
        elif self._open and self._reading and self._queue:
            self._pause_if_full()

    def _end_after(self, last: Close | RemoteProtocolError) -> None:
        """End, but let what came in the same read be answered first, if that is done at once."""
        if self._queue:
            self._loop.call_soon(self._ended_by, last)
        else:
            self._ended_by(last)

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
        if pongs:
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
        self._leave_rest()
        self._queue.insert(0, event)
        if self._waiter.waiting:
            self._loop.call_soon(self._waiter.fire)

    # A read whose messages are a thousand times its size

    def _decode_part(self, data: bytes) -> list[Any]:
        """Inflate ``queue_bytes`` in a turn of the loop; what is left of the read waits unread."""
        if self._rest is not None:  # more was under way when we paused
            self._rest = memoryview(bytes(self._rest) + data)
            return []
        if len(data) <= self._harmless:
            return self._decode_all(data)
        events, taken = self._decode_some(data, self._limits.queue_bytes)
        if taken < len(data):
            self._rest = memoryview(data)[taken:]
            self.transport.pause_reading()
            self._set_clock()
            self._read_on()
        return events

    def _next_part(self) -> None:
        """The rest of the loop had its turn."""
        self._turn = False
        if not self._reading:  # the queue is full: we are called again when it is not
            return
        if self.transport.is_closing():
            self._leave_rest()
            self._rest = None
            self._waiter.fire()
            return
        rest, self._rest = self._rest, None
        if rest is not None:
            try:
                self.data_received(rest)  # type: ignore[arg-type]
            except Exception:  # transports do so, and nobody would read on
                self.transport.abort()
                raise
        if self._reading:
            self._read_on()

    def _leave_rest(self) -> None:
        """To ``receive``, behind the messages: what is kept came before the end."""
        if self._rest is not None and self._open:
            self._queue.insert(0, self._rest)
            self._rest = None

    async def _unpack(self) -> None:
        """Put the next part of what was left into its place. Nobody is answered any more."""
        while self._queue and type(self._queue[-1]) is memoryview:
            rest = self._queue.pop()
            events, taken = self._decode_some(rest, self._limits.queue_bytes)
            last = events[-1] if events else None
            if taken < len(rest):
                self._queue.append(rest[taken:])
            elif type(last) is Close or type(last) is RemoteProtocolError:
                self._queue.append(end_event(last))
            self._queue += [event for event in reversed(events) if type(event) in MESSAGES]
            await asyncio.sleep(0)

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
            self._set_clock()
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
        self._read_on()

    def _read_on(self) -> None:
        """What is kept first, in the next turn of the loop."""
        if self._rest is None:
            if not self.transport.is_closing():
                self.transport.resume_reading()
            self._set_clock()
        elif not self._turn:
            self._turn = True
            self._loop.call_soon(self._next_part)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_clock()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._set_clock()

    def _set_clock(self) -> None:
        """Stop the clocks while a Pong, or the rest of a message, may be in what we do not read.

        But not the keepalive's if the peer does not read either: it could then pin us for ever.
        """
        held = not self._reading or self._rest is not None
        if self._keepalive is not None:
            self._keepalive.hold(held and not self._full)
        if self._message_timer is not None:
            self._message_timer.hold(held)

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
        if kind is memoryview:
            self._queue.append(message)
            await self._unpack()
            return await self.receive()
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

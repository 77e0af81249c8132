"""From the application to the transport: encoding, corking, flow control.

Hot path, for one message: ``send`` -> one call of the encoder -> ``transport.write``.

The codec is used without a ``Connection`` between: its queue of output would be a second one
before the transport's, and its state a second one beside that of the ASGI conversation.
"""

from __future__ import annotations

import asyncio
from functools import partial

from wsfast.codec import FrameEncoder
from wsfast.errors import LocalProtocolError
from wsfast.frames import Role
from wsfast.prepared import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from wsfast._handshake_values import Negotiated
    from wsfast.codec import Deflate
    from wsfast.frames import Limits
    from wsfast.prepared import PreparedMessage

CORK_BYTES = 64 << 10  # output collected beyond this leaves at once
IN_A_ROW = 128  # writes; then the loop has its turn, even if the peer reads as fast as we write
PONGS = 256  # that are written at once: at most 32 KiB
GRACE = 0.01  # seconds: what a transport needs for an orderly end, if no output waits
LEAST_READ = 64 << 10  # bytes a peer must read in each close_timeout to get the rest


class Output(asyncio.Protocol):
    """The sending half of an open WebSocket."""

    __slots__ = (
        "_abort_at",
        "_abort_timer",
        "_cork",
        "_drained",
        "_encode_binary",
        "_encode_text",
        "_encoder",
        "_flush_due",
        "_full",
        "_held",
        "_job",
        "_kind",
        "_limits",
        "_loop",
        "_offload",
        "_open",
        "_outbox",
        "_pongs",
        "_queue",
        "_room",
        "_senders",
        "_streaming",
        "_turn_in",
        "_unsent",
        "_write",
        "close_timeout",
        "close_timer",
        "extensions",
        "transport",
    )

    role = Role.SERVER  # with `extensions`, what PreparedMessage asks of a connection
    extensions: tuple[Negotiated, ...]
    transport: asyncio.Transport
    _write: Callable[[bytes], object]
    _encoder: FrameEncoder
    _encode_text: Callable[[Any], bytes]
    _encode_binary: Callable[[Any], bytes]

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, cork: str) -> None:
        self._loop = loop
        self._limits = limits
        self._cork = cork
        self.extensions = ()
        self._open = False
        self._queue: list[Any] = []  # what waits for the application; its end is the next
        self._streaming = False  # open, the transport takes more, and of any size
        self._offload: int | None = None  # the size from which a thread compresses
        self._job = False  # a thread has a message
        self._full = False  # the transport takes no more
        self._drained: asyncio.Event | None = None  # there while it is
        self._senders: list[asyncio.Event] = []  # who waits in ``send`` for either; the first goes
        self._held = cork == "burst"  # the next frame may have to be collected
        self._outbox: list[bytes] = []  # frames collected
        self._room = CORK_BYTES  # for more of them
        self._flush_due = False
        self._turn_in = IN_A_ROW  # writes of ``send`` the loop has its turn
        self._pongs: list[bytes] = []  # while the transport takes no more
        self.close_timeout = limits.close_timeout
        self.close_timer: asyncio.TimerHandle | None = None  # while the peer's Close is awaited
        self._abort_at: float | None = None
        self._abort_timer: asyncio.TimerHandle | None = None

    def _begin_output(self, deflate: Deflate | None, offload: int | None) -> None:
        self._encoder = FrameEncoder(Role.SERVER, deflate=deflate)
        self._encode_text = self._encoder.text
        self._encode_binary = self._encoder.binary
        self._kind = kind_of(self)  # type: ignore[arg-type]
        self._open = True
        self._offload = None if deflate is None else offload
        self._go_on()

    def _converse(self, message: Mapping[str, Any]) -> None:
        """The application sent something that is not a message, or is out of place."""
        raise NotImplementedError

    async def send(self, message: Mapping[str, Any]) -> None:
        """ASGI ``send``; ``websocket.send`` may carry "wsfast.compress" and "wsfast.prepared".

        Raises uvicorn's ``ClientDisconnected`` (an ``OSError``) once the connection is gone, and
        its ``RuntimeError`` for a message that is out of place.
        """
        if not self._streaming or message["type"] != "websocket.send":
            if self._full or self._job or self._senders:
                await self._wait_in_turn(message["type"])
            if not self._open or message["type"] != "websocket.send":
                self._converse(message)
                return
            if self._offload is not None and self._is_large(message):
                await self._send_from_thread(message)
                return
        frame: bytes | None
        if len(message) == 2 and "text" in message and (text := message["text"]) is not None:
            frame = self._encode_text(text)
        elif (frame := self._encode(message)) is None:
            return
        if self._queue and self._outbox:  # what _collect would do, for all but the first
            self._outbox.append(frame)
            self._room -= len(frame)
            if self._room >= 0:
                return
            self._flush()
        elif self._queue or self._held:
            self._collect(frame)
        else:
            self._write(frame)
        self._turn_in -= 1
        if not self._turn_in:
            self._turn_in = IN_A_ROW
            await asyncio.sleep(0)  # the loop alone can tell us that the peer is gone

    def _encode(self, message: Mapping[str, Any]) -> bytes | None:
        """The frame for any but a plain text message; None: there is nothing to send."""
        data = message.get("bytes")
        if data is not None and len(message) == 2:
            return self._encode_binary(data)
        prepared = message.get("wsfast.prepared")
        if prepared is not None:
            return prepared.frame_of(self._kind, self)  # type: ignore[no-any-return]
        compress = message.get("wsfast.compress")
        if data is not None:
            return self._encoder.binary(data, compress=compress)
        data = message.get("text")
        return None if data is None else self._encoder.text(data, compress=compress)

    # Compression off the event loop

    def _is_large(self, message: Mapping[str, Any]) -> bool:
        """Whether a thread compresses it; what may change meanwhile (a ``bytearray``) none does."""
        if message.get("wsfast.compress") is False:
            return False
        data = message.get("bytes")
        if data is None:
            data = message.get("text")
        return isinstance(data, (str, bytes)) and len(data) >= self._offload  # type: ignore[operator]

    async def _send_from_thread(self, message: Mapping[str, Any]) -> None:
        """Encode in the loop's executor; the other messages wait, but not Ping, Pong and Close.

        It leaves even if we are cancelled meanwhile: the compressor has seen it, and what it
        compresses next may refer to it (RFC 7692 §7.1.1.1).
        """
        message = dict(message)  # whoever is cancelled may change its own
        left = self._loop.create_future()
        job = self._loop.run_in_executor(None, self._encode, message)
        job.add_done_callback(partial(self._leave, message, left))
        self._job = True
        await left

    def _leave(
        self, message: Mapping[str, Any], left: asyncio.Future[None], job: asyncio.Future[Any]
    ) -> None:
        """A thread is done: send, as if it had taken no time."""
        self._job = False
        try:
            frame = job.result()
            if not self._open:
                self._converse(message)
            elif not self.transport.is_closing():
                self._collect(frame)
        except BaseException as exc:
            if not left.done():
                left.set_exception(exc)
        else:
            if not left.done():
                left.set_result(None)
        self._go_on()

    # For wsfast.broadcast

    @property
    def bytes_queued(self) -> int:
        """Bytes that wait in this process for the peer to read."""
        return CORK_BYTES - self._room + self._waiting()

    def send_prepared(self, message: PreparedMessage, max_unsent: int | None = None) -> bool:
        """Send without waiting; False, and nothing is sent, where more bytes than that wait."""
        if not self._open:
            raise LocalProtocolError("closing")
        if max_unsent is not None and self.bytes_queued > max_unsent:
            return False
        frame = message.frame_of(self._kind, self)  # type: ignore[arg-type]
        if self._queue or self._held:
            self._collect(frame)
        else:
            self._write(frame)
        return True

    async def drain(self) -> None:
        """Return when the transport takes more, or is gone."""
        if self._drained is not None:
            await self._drained.wait()

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
        hold = bool(self._queue) and type(self._queue[0]) is not dict  # an event is no message
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
        self._full = True
        if self._drained is None:
            self._drained = asyncio.Event()

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._full = False
        self._go_on()
        if self._drained is not None:
            self._drained.set()
            self._drained = None
        if self._pongs:
            if not self.transport.is_closing():  # else our last frame was a Close
                self._write(b"".join(self._pongs))
            self._pongs.clear()

    def _go_on(self) -> None:
        """Call the first of those that wait, or let all go straight on."""
        if self._full or self._job:
            return
        if self._senders:
            self._senders[0].set()
        else:
            self._streaming = self._open and self._offload is None

    def _send_pongs(self, pongs: list[bytes]) -> None:
        """Answer Pings; to a peer that does not read, only ``max_pending_pongs`` of each read.

        §5.5.3 allows to answer only the most recent Ping, so the newest replaces the last.
        """
        most = self._limits.max_pending_pongs
        while pongs and not self._full:
            if self._waiting():
                del pongs[most - 1 : -1]
            self._write(b"".join(pongs[:PONGS]))
            pongs = pongs[PONGS:]
        self._pongs += pongs
        del self._pongs[most - 1 : -1]

    async def _wait_in_turn(self, purpose: str) -> None:
        """Wait until the transport takes more, no thread has a message, and who came before went.

        To close, only while the peer reads LEAST_READ in each ``close_timeout``, as in ``_abort``.
        """
        patience = self.close_timeout if purpose == "websocket.close" else None
        senders = self._senders
        called = asyncio.Event()
        senders.append(called)
        try:
            while self._full or self._job or senders[0] is not called:
                called.clear()
                unsent = self._waiting()
                try:
                    async with asyncio.timeout(patience):
                        await called.wait()
                except TimeoutError:
                    if self._full and self._waiting() > unsent - LEAST_READ:
                        self._abort_at = self._loop.time()
                        return
                    patience = max(patience or 0.0, GRACE)  # for the others, if it was 0
        finally:  # what we send, or have a thread compress, goes before what the next one has
            senders.remove(called)
            self._go_on()

    # The end of the transport

    def _deadline(self) -> float | None:
        """When the transport must be gone: ``close_timeout`` after the end was first decided."""
        if self._abort_at is None and self.close_timeout is not None:
            self._abort_at = self._loop.time() + self.close_timeout
        return self._abort_at

    def _hang_up(self) -> None:
        """Close the transport, which flushes for as long as the peer likes; then abort it."""
        self._cancel_close_timer()
        if not self.transport.is_closing():  # asyncio's TLS cannot be aborted once closed twice
            self.transport.close()
        self._abort_in_time()

    def _half_close(self) -> bool:
        """End our direction only, so that our Close frame gets there (RFC 6455 §7.1.1).

        A socket that is closed with octets unread, or is sent more, resets its connection: proxies
        then pass nothing on. What comes until the peer ends its own, or the deadline, is discarded.
        """
        transport = self.transport
        can = getattr(transport, "can_write_eof", bool)  # a transport need not tell
        if self.close_timeout is None or transport.is_closing() or not can():
            return False
        self._pongs.clear()
        try:
            transport.write_eof()
        except OSError:  # what we wrote last met a peer that is gone, and was answered by a reset
            return False
        self._abort_in_time()
        return True

    def _abort_in_time(self) -> None:
        """Whatever the peer reads or sends."""
        deadline = self._deadline()
        if deadline is not None and self._abort_timer is None:
            self._unsent = self._waiting()  # bytes in the transport when the timer was set
            latest = max(deadline, self._loop.time() + GRACE)
            self._abort_timer = self._loop.call_at(latest, self._abort)

    def _abort(self) -> None:
        """Abort, unless the peer reads: a slow one gets all there is."""
        unsent, self._unsent = self._unsent, self._waiting()
        if self.close_timeout and 0 < self._unsent <= unsent - LEAST_READ:
            self._abort_timer = self._loop.call_later(self.close_timeout, self._abort)
        else:
            self.transport.abort()

    def _waiting(self) -> int:
        """Bytes in the transport, where it tells."""
        return getattr(self.transport, "get_write_buffer_size", int)()

    def _cancel_close_timer(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None

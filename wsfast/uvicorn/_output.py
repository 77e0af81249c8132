"""From the application to the transport: encoding, corking, flow control.

Hot path, for one message: ``send`` -> one call of the encoder -> ``transport.write``.

The codec is used without a ``Connection`` between: its queue of output would be a second one
before the transport's, and its state a second one beside that of the ASGI conversation.
"""

from __future__ import annotations

import asyncio

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
        "_held",
        "_kind",
        "_limits",
        "_loop",
        "_open",
        "_outbox",
        "_pongs",
        "_queue",
        "_room",
        "_streaming",
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
        self._streaming = False  # open, and the transport takes more
        self._drained: asyncio.Event | None = None  # there while the transport takes no more
        self._held = cork == "burst"  # the next frame may have to be collected
        self._outbox: list[bytes] = []  # frames collected
        self._room = CORK_BYTES  # for more of them
        self._flush_due = False
        self._pongs: list[bytes] = []  # while the transport takes no more
        self.close_timeout = limits.close_timeout
        self.close_timer: asyncio.TimerHandle | None = None  # while the peer's Close is awaited
        self._abort_at: float | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        self._unsent = 0  # bytes in the transport when the timer was set

    def _begin_output(self, deflate: Deflate | None) -> None:
        self._encoder = FrameEncoder(Role.SERVER, deflate=deflate)
        self._encode_text = self._encoder.text
        self._encode_binary = self._encoder.binary
        self._kind = kind_of(self)  # type: ignore[arg-type]
        self._open = True
        self._streaming = self._drained is None

    def _converse(self, message: Mapping[str, Any]) -> None:
        """The application sent something that is not a message, or is out of place."""
        raise NotImplementedError

    async def send(self, message: Mapping[str, Any]) -> None:
        """ASGI ``send``; ``websocket.send`` may carry "wsfast.compress" and "wsfast.prepared".

        Raises uvicorn's ``ClientDisconnected`` (an ``OSError``) once the connection is gone, and
        its ``RuntimeError`` for a message that is out of place.
        """
        if not self._streaming or message["type"] != "websocket.send":
            if self._drained is not None:
                await self._drain(message["type"])
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
        if data is not None:
            return self._encoder.text(data, compress=compress)
        return None

    # For wsfast.broadcast

    @property
    def bytes_queued(self) -> int:
        """Bytes that wait in this process for the peer to read."""
        return CORK_BYTES - self._room + self._waiting()

    def send_prepared(self, message: PreparedMessage) -> None:
        """Send without waiting, however much the transport holds: the caller's to watch."""
        if not self._open:
            raise LocalProtocolError("closing")
        frame = message.frame_of(self._kind, self)  # type: ignore[arg-type]
        if self._queue or self._held:
            self._collect(frame)
        else:
            self._write(frame)

    async def drain(self) -> None:
        """Return when the transport takes more, or is gone."""
        await self._drain("websocket.send")

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
            if not self.transport.is_closing():  # else our last frame was a Close
                self._write(pongs)

    def _send_pongs(self, pongs: list[bytes]) -> None:
        """Answer Pings; to a peer that does not read, only ``max_pending_pongs`` of each read.

        §5.5.3 allows to answer only the most recent Ping, so the newest replaces the last.
        """
        most = self._limits.max_pending_pongs
        while pongs and self._drained is None:
            if self._waiting():
                del pongs[most - 1 : -1]
            self._write(b"".join(pongs[:PONGS]))
            pongs = pongs[PONGS:]
        self._pongs += pongs
        del self._pongs[most - 1 : -1]

    async def _drain(self, purpose: str) -> None:
        """Wait until the transport takes more; to close, only for as long as the peer reads.

        As ``_abort`` has it: LEAST_READ in each ``close_timeout``, or the end is now.
        """
        patience = self.close_timeout if purpose == "websocket.close" else None
        while self._drained is not None:
            unsent = self._waiting()
            try:
                async with asyncio.timeout(patience):
                    await self._drained.wait()
            except TimeoutError:
                if self._waiting() > unsent - LEAST_READ:
                    self._abort_at = self._loop.time()
                    return

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
        deadline = self._deadline()
        if deadline is not None and self._abort_timer is None:
            self._unsent = self._waiting()
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
        size = getattr(self.transport, "get_write_buffer_size", None)
        return 0 if size is None else int(size())

    def _cancel_close_timer(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None

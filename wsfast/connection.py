"""A WebSocket connection without I/O or clock: messages, control frames, closing, deadlines.

Bytes from the peer go into ``receive``; what it returns is for the application, what there is to
answer (Pong, Close) waits in ``data_to_send()`` with what ``send`` and the others queued. Times
are numbers of seconds on any clock that never goes back; the owner calls ``tick(now)`` when
``next_deadline()`` is due. An object belongs to one thread or task at a time.

The order for an owner, whenever one of these was called: write ``data_to_send()``; then, if
``should_close_transport``, close the transport.
"""

from __future__ import annotations

from enum import Enum

from ._deadlines import Deadlines
from .codec import FrameEncoder, MessageDecoder
from .errors import LocalProtocolError, RemoteProtocolError
from .frames import Close, Limits, Ping, Pong, Role, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal

    from typing_extensions import Buffer

    from ._handshake_values import Negotiated
    from .frames import Policy
    from .prepared import PreparedMessage

    Event = str | bytes | Text | Ping | Pong | Close | RemoteProtocolError

_APART = 64 << 10  # bytes from which a payload is not copied behind its header
_UNEXPECTED_EOF = 1006  # §7.1.5, never on the wire


class State(Enum):
    """Where a connection is in its life.

    OPEN     messages go both ways
    CLOSING  our Close frame is queued; messages may still come in, none go out
    CLOSED   both Close frames are queued or sent, and received: nothing more in either direction
    FAILED   the peer broke the protocol, a limit or a deadline, or the stream just ended
    """

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"


_OPEN = State.OPEN


def _discard(data: Buffer) -> list[Any]:
    """``receive`` once nothing the peer says matters any more, §1.4 and §7.1.7."""
    return []


class Connection:
    """One end of an open WebSocket connection, RFC 6455 §5 to §7.

    ``subprotocol`` and ``extensions`` are what the handshake agreed on (``Response.subprotocol``,
    ``.extensions``). ``policy``, ``text`` and ``keys`` are those of the codec. With
    ``ping_interval`` a Ping is sent that many seconds after the last was, or the connection opened
    at ``now``; if no Pong answers within ``ping_timeout`` seconds the connection fails, 1011.

    Of ``limits``: the codec enforces ``max_message``, ``max_frame`` and ``max_fragments``, the
    inflater ``max_ratio``, this class ``max_pending_pongs``, ``close_timeout`` and
    ``message_timeout``. ``open_timeout``, ``max_head`` and ``max_headers`` are the handshake's;
    ``queue_messages`` and ``queue_bytes`` are the owner's, who holds the queue.
    """

    __slots__ = (
        "_binary",
        "_deadlines",
        "_decoder",
        "_deflater",
        "_encoder",
        "_farewell",
        "_feed",
        "_fragmented",
        "_last_pong",
        "_max_pongs",
        "_may_part",
        "_out",
        "_pings",
        "_pongs",
        "_read",
        "_text",
        "_times_messages",
        "bytes_queued",
        "close_rcvd",
        "close_sent",
        "extensions",
        "failed",
        "role",
        "should_close_transport",
        "state",
        "subprotocol",
    )

    def __init__(
        self,
        role: Role,
        *,
        subprotocol: str | None = None,
        extensions: Sequence[Negotiated] = (),
        limits: Limits | None = None,
        policy: Policy | None = None,
        text: Literal["str", "bytes"] = "str",
        keys: Callable[[], Buffer] | None = None,
        ping_interval: float | None = None,
        ping_timeout: float | None = None,
        now: float = 0.0,
    ) -> None:
        self.role = role
        self.subprotocol = subprotocol
        self.extensions = tuple(extensions)
        self.state = _OPEN
        self.close_rcvd: Close | None = None  # the peer's Close frame; code 1005 if it had none
        self.close_sent: Close | None = None  # ours, once it is queued
        self.failed: RemoteProtocolError | None = None  # why state is FAILED
        self.should_close_transport = False  # once data_to_send() has been written
        self.bytes_queued = 0  # in data_to_send()
        limits = Limits() if limits is None else limits
        self._set_codec(role, limits, policy, text, keys)
        self._out: list[bytes] = []
        self._farewell: bytes | None = None  # the Close frame that leaves behind all of _out
        self._pongs = self._last_pong = 0  # how many of them are Pongs, and where the last is
        self._fragmented = False  # send_fragment() has begun a message
        self._read = 0  # bytes received
        self._pings = 0  # Pings sent with a payload of ours
        self._max_pongs = limits.max_pending_pongs
        self._deadlines = Deadlines(limits, ping_interval, ping_timeout, now)
        self._times_messages = limits.message_timeout is not None

    def _set_codec(
        self,
        role: Role,
        limits: Limits,
        policy: Policy | None,
        text: Literal["str", "bytes"],
        keys: Callable[[], Buffer] | None,
    ) -> None:
        inflater = self._deflater = None
        for extension in self.extensions:
            inflater, self._deflater = extension.inflater(limits.max_ratio), extension.deflater()
        self._decoder = MessageDecoder(
            role, policy=policy, limits=limits, text=text, inflate=inflater
        )
        self._encoder = FrameEncoder(role, keys=keys, deflate=self._deflater)
        # Looked up once: these three are called for every message.
        self._feed: Callable[[Buffer], list[Event]] = self._decoder.feed
        self._text = self._encoder.text
        self._binary = self._encoder.binary
        self._may_part = role is Role.SERVER and self._deflater is None

    # Receiving

    def receive(
        self, data: bytes | bytearray | memoryview, now: float | None = None
    ) -> list[Event]:
        """What the next bytes of the stream complete: the items of ``MessageDecoder.feed``.

        Ping and Close have been answered (in ``data_to_send()``) when their events are returned; a
        ``RemoteProtocolError`` comes last and fails the connection. Messages that came along with a
        Close or an error can still be answered, until ``data_to_send()`` takes our Close frame: it
        leaves behind what is sent before. After either the list is empty, whatever comes. Without
        ``now``, a deadline that these bytes set starts at the next ``tick``.
        """
        events = self._feed(data)
        self._read += len(data)
        for event in events:
            kind = type(event)
            if kind is not str and kind is not bytes and kind is not Text:
                self._attend(events, now)
                break
        if self._times_messages:
            unfinished = self._decoder.unfinished
            completed = unfinished and any(isinstance(e, (str, bytes, Text)) for e in events)
            self._deadlines.time_message(unfinished, completed, now)
        return events

    def receive_eof(self) -> list[Event]:
        """The transport has ended; without a Close frame before, that is an ``unexpected_eof``."""
        events: list[Event] = []
        if self.close_rcvd is None and self.failed is None:
            events = self._decoder.feed_eof() or [RemoteProtocolError("unexpected_eof", self._read)]
            self._attend(events, None)
        self._feed = _discard
        self._deadlines.stop()
        self.should_close_transport = True
        return events

    def _attend(self, events: list[Event], now: float | None) -> None:
        """Answer what is not only for the application."""
        for event in events:
            if isinstance(event, Ping):
                self._answer(event.payload)
            elif isinstance(event, Pong):
                self._deadlines.ponged(event.payload)
            elif isinstance(event, Close):
                self._closed_by(event, now)
            elif isinstance(event, RemoteProtocolError):
                self._fail(event, event.close_code, str(event), now)
        if not any(isinstance(event, (str, bytes, Text)) for event in events):
            self._part_at_once()

    def _answer(self, payload: bytes) -> None:
        """§5.5.2: a Ping is answered unless the peer's Close came before it.

        §5.5.3 allows to answer only the latest of many: a peer that pings and never reads makes us
        hold no more than ``max_pending_pongs``.
        """
        frame = self._encoder.pong(payload)
        if self._pongs < self._max_pongs:
            self._pongs += 1
            self._last_pong = len(self._out)
            self._queue(frame)
        else:
            self.bytes_queued += len(frame) - len(self._out[self._last_pong])
            self._out[self._last_pong] = frame

    def _closed_by(self, event: Close, now: float | None) -> None:
        """§5.5.1: echo the Close frame, unless ours was first."""
        self.close_rcvd = event
        if self.close_sent is None:
            try:
                self._take_leave(event.code, event.reason)
            except LocalProtocolError:  # a code that only Policy(close_codes="any") lets in
                self._take_leave(1005, "")
        self.state = State.CLOSED
        self._part(now)

    # Sending

    def send(self, data: str | Buffer | Text, *, compress: bool | None = None) -> None:
        """Queue one message: ``str`` and ``Text`` as text, any buffer of bytes as binary.

        ``compress`` overrides the threshold of a negotiated permessage-deflate. Raises
        ``LocalProtocolError``: ``closing`` unless the state is OPEN (or our Close frame waits for
        answers, see ``receive``), ``expected_continuation`` within a fragmented message,
        ``invalid_utf8`` for a ``Text`` that is none.
        """
        if self.state is not _OPEN and self._farewell is None:
            raise LocalProtocolError("closing")
        if isinstance(data, str):
            frame = self._text(data, compress=compress)
        elif type(data) is bytes and self._may_part and len(data) >= _APART:
            header, frame = self._encoder.parts(data)
            self._queue(header)
        elif isinstance(data, Text):
            frame = self._text(data.payload, compress=compress)
        else:
            frame = self._binary(data, compress=compress)
        self._queue(frame)

    def send_prepared(self, message: PreparedMessage) -> None:
        """Queue a message framed for many connections, §5.4 permitting; the server's. As ``send``.

        It goes uncompressed where the peer would need our earlier messages to inflate it.
        """
        if self.state is not _OPEN and self._farewell is None:
            raise LocalProtocolError("closing")
        if self._fragmented:
            raise LocalProtocolError("expected_continuation")
        self._queue(message.frame_for(self))

    def send_fragment(self, data: str | Buffer | Text, *, fin: bool) -> None:
        """Queue the next fragment of a message, its first making it text or binary; §5.4.

        Control frames may be sent between. Raises as ``send`` does.
        """
        if self.state is not _OPEN and self._farewell is None:
            raise LocalProtocolError("closing")
        payload: str | Buffer = data.payload if isinstance(data, Text) else data
        if self._fragmented:
            frame = self._encoder.continuation(payload, fin=fin)
        elif isinstance(data, (str, Text)):
            frame = self._text(payload, fin=fin)
        else:
            frame = self._binary(data, fin=fin)
        self._fragmented = not fin
        self._queue(frame)

    def ping(self, payload: Buffer | None = None) -> bytes:
        """Queue a Ping; returns its payload, at most 125 bytes, unique if not given."""
        if self.state is not _OPEN:
            raise LocalProtocolError("closing")
        if payload is None:
            self._pings += 1
            payload = self._pings.to_bytes(4, "big")
        else:
            payload = bytes(memoryview(payload))  # bytes(3) would be three zeros
        self._queue(self._encoder.ping(payload))
        self._deadlines.also_pinged(payload)
        return payload

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake: queue a Close frame; 1005 and no reason make it empty.

        Raises ``LocalProtocolError``: ``closing`` unless the state is OPEN, ``close_code`` for one
        that must not be sent (§7.4), ``control_too_long`` for a reason of more than 123 bytes.
        """
        if self.state is not _OPEN:
            raise LocalProtocolError("closing")
        self._queue(self._encoder.close(code, reason))
        self.close_sent = Close(int(code), reason)
        self.state = State.CLOSING
        self._deadlines.stop_keepalive()
        self._deadlines.await_close(None)

    def data_to_send(self) -> list[bytes]:
        """Take what is queued, in order; the owner's to join or to write piece by piece."""
        self._part_at_once()
        out = self._out
        if not out:
            return []
        self._out = []
        self.bytes_queued = 0
        self._pongs = 0
        return out

    def _queue(self, frame: bytes) -> None:
        try:
            self._out.append(frame)
        except MemoryError:
            if self._deflater is not None:
                self._deflater.reset()
            raise
        self.bytes_queued += len(frame)

    def _take_leave(self, code: int, reason: str) -> None:
        """Close behind the answers to what came before the end: §5.5.1 allows the delay."""
        self._farewell = self._encoder.close(code, reason)
        self.bytes_queued += len(self._farewell)
        self.close_sent = Close(code, reason)

    def _part_at_once(self) -> None:
        """There is nothing left to answer."""
        if self._farewell is not None:
            self._out.append(self._farewell)
            self._farewell = None

    # Ending

    def _fail(self, error: RemoteProtocolError, code: int, reason: str, now: float | None) -> None:
        """_Fail the WebSocket Connection_, §7.1.7: a Close frame that says why, and no more."""
        self.failed = error
        self.state = State.FAILED
        if self.close_sent is None and code != _UNEXPECTED_EOF:
            self._take_leave(code, reason)
        self._part(now)

    def _part(self, now: float | None) -> None:
        """Nothing more is expected but the end of the transport; the server's duty, §7.1.1."""
        self._feed = _discard
        self._deadlines.stop_messages()
        if self.role is Role.SERVER:
            self.should_close_transport = True
        if self.should_close_transport:
            self._deadlines.stop()
        else:
            self._deadlines.await_close(now)

    # Time

    def next_deadline(self) -> float | None:
        """When ``tick`` is due; None: never, as things are. In the past: as soon as possible."""
        return self._deadlines.first()

    def tick(self, now: float) -> list[Event]:
        """Do what is due at ``now``: queue a Ping, or give up on the peer.

        The event then is a ``too_slow``: no Pong (``close_sent`` is 1011, "keepalive ping
        timeout"), a message that takes longer than ``message_timeout`` (1008), or no answer to our
        Close frame within ``close_timeout``.
        """
        deadlines = self._deadlines
        deadlines.start(now)
        passed = deadlines.passed(now)
        if passed == "close":
            deadlines.stop()
            self.should_close_transport = True
            return self._give_up(1008, "", now) if self.state is State.CLOSING else []
        if passed == "message":
            return self._give_up(1008, "message timeout", now)
        if passed == "pong":
            return self._give_up(1011, "keepalive ping timeout", now)
        if passed == "ping":
            deadlines.pinged(self.ping(), now)
        return []

    def _give_up(self, code: int, reason: str, now: float) -> list[Event]:
        error = RemoteProtocolError("too_slow", self._read)
        self._fail(error, code, reason, now)
        self._part_at_once()
        return [error]

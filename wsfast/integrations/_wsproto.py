"""wsproto: hypercorn, trio-websocket, simple-websocket, httpx-ws, uvicorn's ``--ws wsproto``.

Bytes wait in wsproto's own ``Buffer`` until their event is taken, and what has begun is noted
where wsproto notes it. So its own code can go on at any point, and does wherever something is not
ordinary: faults, Close, unknown extensions, subclasses, pieces of compressed and control frames.
"""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from collections import deque
from typing import TYPE_CHECKING, Any

from wsproto import WSConnection
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import (
    CloseReason,
    Frame,
    FrameProtocol,
    Header,
    Opcode,
    ParseFailed,
    RsvBits,
    XorMaskerNull,
    XorMaskerSimple,
)
from wsproto.handshake import H11Handshake

from wsfast.codec import Builder, Scanner, instance, mask, take, take_text
from wsfast.frames import Policy

from ._seams import Seam

if TYPE_CHECKING:
    from collections.abc import Generator

    from wsproto.events import Event
    from wsproto.frame_protocol import FrameDecoder, MessageDecoder

_receive_data, _events, _send = Connection.receive_data, Connection.events, Connection.send
_process, _both_events = XorMaskerSimple.process, WSConnection.events
_Utf8 = getincrementaldecoder("utf-8")
_urandom = os.urandom  # where a test has patched it, wsproto's own code must ask it for keys

# 1.2 hands bytearrays on where 1.3 copies them into bytes: payloads not masked, or empty.
_OLD = isinstance(XorMaskerSimple(b"1234").process(bytearray(1)), bytes)
# In 1.3.0 and 1.3.1 a BytesMessage holds a bytearray.
_connection = Connection(ConnectionType.CLIENT, trailing_data=b"\x82\x01x")
_COPIED = not _OLD and isinstance(vars(next(_events(_connection)))["data"], bytearray)
_OPEN, _READING = ConnectionState.OPEN, (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING)
_CONT, _TEXT, _BINARY = Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY
_NO_RSV, _RSV1 = RsvBits(False, False, False), RsvBits(True, False, False)
# First byte of a header -> opcode, FIN, event of a control frame. A Close is not here: that it
# came is noted in a generator's frame, out of reach.
_KINDS: dict[int, tuple[Opcode, bool, type[Event] | None]] = {
    0x81: (_TEXT, True, None), 0x01: (_TEXT, False, None), 0x80: (_CONT, True, None),
    0x82: (_BINARY, True, None), 0x02: (_BINARY, False, None), 0x00: (_CONT, False, None),
    0xC1: (_TEXT, True, None), 0x41: (_TEXT, False, None), 0x89: (Opcode.PING, True, Ping),
    0xC2: (_BINARY, True, None), 0x42: (_BINARY, False, None), 0x8A: (Opcode.PONG, True, Pong),
}  # fmt: skip
_HEADS: dict[Any, tuple[int, Opcode]] = {
    str: (0x81, _TEXT), bytes: (0x82, _BINARY), bytearray: (0x82, _BINARY),
}  # fmt: skip
_MESSAGES = {Message, TextMessage, BytesMessage}
_RAW = {bytes, bytearray}
_FIELDS = "data", "frame_finished", "message_finished"

_FROM_CLIENT = Scanner(Policy(mask="require"), decode=True)
_FROM_SERVER = Scanner(Policy(mask="forbid"), decode=True, mutable=_OLD)
# By our side: [client].
_COMPRESSED = (
    Scanner(Policy(mask="require", rsv=4)),
    Scanner(Policy(mask="forbid", rsv=4), mutable=_OLD),
)
_BUILDERS = Builder(masked=False), Builder(masked=True)


def hits() -> int:
    """Frames received and sent through here."""
    counters: tuple[Any, ...] = (_FROM_CLIENT, _FROM_SERVER, *_COMPRESSED, *_BUILDERS)
    return sum(counter.frames for counter in counters)


def _deflate(extensions: list[Any]) -> Any:
    """The one ``PerMessageDeflate`` they are, else ``False``."""
    known = len(extensions) == 1 and type(extensions[0]) is PerMessageDeflate
    return known and extensions[0]


# ---- receiving ----------------------------------------------------------------------------------


def receive_data(self: Connection, data: bytes | None) -> None:
    """In the place of ``Connection.receive_data``: one call instead of five."""
    proto = self._proto
    ours = type(self) is Connection and type(proto) is FrameProtocol
    if data is None or not ours or self._state not in _READING:
        _receive_data(self, data)
    else:
        proto._frame_decoder.buffer.buffer += data


def events(self: Connection) -> Generator[Event, None, None]:
    """In the place of ``Connection.events``."""
    while self._events:
        yield self._events.popleft()
    proto: Any = self._proto
    deflate: Any = False
    if type(self) is Connection and type(proto) is FrameProtocol:
        decoder = proto._frame_decoder
        deflate = _deflate(decoder.extensions) if decoder.extensions else None
    if deflate is False:
        yield from _events(self)
        return
    message, parser, buffer = proto._message_decoder, proto._parse_more, decoder.buffer.buffer
    while buffer:
        event = None
        if self._state in _READING and parser.gi_frame is not None:
            try:
                if deflate is not None:
                    event = _inflated(decoder, message, deflate)
                elif decoder.header is not None:
                    event = _piece(decoder, message)
                else:
                    event = _taken(decoder, message)
            except ParseFailed as exc:
                parser.close()
                event = CloseConnection(code=exc.code, reason=str(exc))
        if event is None and (event := _next(self)) is None:
            return
        yield event


def both_events(self: WSConnection) -> Generator[Event, None, None]:
    """In the place of ``WSConnection.events``: without the handshake's once they are all taken."""
    connection: Any = self.connection
    handshake = self.handshake
    over = type(connection) is Connection and type(handshake) is H11Handshake
    return connection.events() if over and not handshake._events else _both_events(self)


def _next(self: Connection) -> Event | None:
    """The next event as wsproto finds it, ``None`` where there is none yet.

    An end of the stream queued since ``events`` began stays behind the frames.
    """
    queue = self._events
    if queue:
        self._events = deque()
    try:
        return next(_events(self), None)
    finally:
        self._events = queue


def _taken(decoder: FrameDecoder, message: MessageDecoder) -> Event | None:
    """The next event; ``None``, and no byte is gone, where wsproto's own code must look."""
    buffer = decoder.buffer.buffer
    scanner = _FROM_SERVER if decoder.client else _FROM_CLIENT
    found = scanner.frame(buffer, 0, None)
    if type(found) is not tuple:
        begun = found is None and _begun(decoder, scanner)
        return _piece(decoder, message) if begun else None
    head, payload, end = found
    if head == 0x81 and message.opcode is None:  # the common case of what follows
        if type(payload) is not str:
            return None
        event: Event | None = instance(TextMessage, _FIELDS, (payload, True, True))
    elif head not in _KINDS or (_OLD and not payload):
        return None
    else:
        opcode, fin, control = _KINDS[head]
        if control is not None:
            event = instance(control, ("payload",), (payload,))
        else:
            event = _message(message, opcode, payload, fin)
    if event is not None:
        del buffer[:end]
    return event


def _inflated(decoder: FrameDecoder, message: MessageDecoder, deflate: Any) -> Event | None:
    """The same for a whole frame, with every call that ``FrameDecoder`` makes to the extension.

    They cannot be undone, so that the frame is gone before. Raises ``ParseFailed``.
    """
    buffer = decoder.buffer.buffer
    found = None
    if decoder.header is None:
        found = _COMPRESSED[decoder.client].frame(buffer, 0, None)
    if type(found) is not tuple or found[0] not in _KINDS or (_OLD and not found[1]):
        return None
    head, payload, end = found
    opcode, fin, control = _KINDS[head]
    del buffer[:end]
    rsv = _RSV1 if head & 0x40 else _NO_RSV
    deflate.frame_inbound_header(decoder, opcode, rsv, len(payload))
    payload = deflate.frame_inbound_payload_data(decoder, payload)
    rest = payload if type(payload) is CloseReason else deflate.frame_inbound_complete(decoder, fin)
    if type(rest) is CloseReason:
        raise ParseFailed("error in extension", rest)
    if rest:
        payload += rest
    if control is not None:
        return instance(control, ("payload",), (payload,))
    event = _message(message, opcode, payload, fin)
    if event is None:
        message.process_frame(Frame(opcode, payload, True, fin))  # raises, and says why
    return event


def _message(message: MessageDecoder, opcode: Any, payload: Any, fin: bool) -> Event | None:
    """``MessageDecoder.process_frame`` of a whole one; ``None``, and nothing has changed, where
    that raises."""
    kind: Any = message.opcode
    if (kind is None) is (opcode is _CONT):
        return None
    decoder: Any = message.decoder
    if kind is None:
        kind = opcode
        if kind is _TEXT:
            decoder = _Utf8()
    if decoder is not None:
        try:
            payload = decoder.decode(payload, fin)
        except UnicodeDecodeError:
            return None
    elif _COPIED:
        payload = bytearray(payload)
    message.opcode, message.decoder = (None, None) if fin else (kind, decoder)
    made: type[Event] = TextMessage if kind is _TEXT else BytesMessage
    return instance(made, _FIELDS, (payload, True, fin))


def _begun(decoder: FrameDecoder, scanner: Any) -> bool:
    """``FrameDecoder.parse_header`` of a data frame, where the scanner found no fault."""
    buffer = decoder.buffer.buffer
    opcode, fin, control = _KINDS.get(buffer[0], (_CONT, True, Ping))
    found = scanner.begin(buffer, 0) if control is None else None
    if found is None:
        return False
    _, length, key, end = found
    decoder.masker = XorMaskerNull() if key is None else XorMaskerSimple(key)
    decoder.header = Header(fin, _NO_RSV, opcode, length, None)
    decoder.effective_opcode = opcode
    decoder.payload_required = decoder.payload_consumed = 0
    del buffer[:end]
    return True


def _piece(decoder: FrameDecoder, message: MessageDecoder) -> Event | None:
    """What is there of the data frame under way: ``process_buffer`` and ``process_frame``."""
    header: Any = decoder.header
    masker: Any = decoder.masker
    opcode, kind = decoder.effective_opcode, message.opcode
    buffer = decoder.buffer.buffer
    left = header.payload_len - decoder.payload_consumed
    size = len(buffer)
    if size > left:
        size = left
    misplaced = (kind is None) is (opcode is _CONT)
    if not size or misplaced or decoder.payload_required:  # the last: a control frame
        return None
    key = masker._masking_key if type(masker) is XorMaskerSimple else None
    if key is None and type(masker) is not XorMaskerNull:  # somebody's own, in wsproto's place
        return None
    finished = size == left
    last = finished and header.fin
    utf8: Any = message.decoder
    payload: Any
    if kind is None:
        kind = opcode
        if kind is _TEXT:
            utf8 = _Utf8()
    if kind is _TEXT:
        found = take_text(buffer, size, key, utf8.buffer, last)
        if found is None:
            return None
        payload, utf8.buffer = found
    else:
        payload = take(buffer, size, key)
        if _COPIED or (_OLD and key is None):
            payload = bytearray(payload)
    if last:
        message.opcode = message.decoder = None
    elif opcode is not _CONT:
        message.opcode, message.decoder = kind, utf8
    decoder.payload_consumed += size
    if finished:
        decoder.header = decoder.effective_opcode = decoder.masker = None
    else:
        decoder.effective_opcode = _CONT
        if key is not None and size % 4:
            _rotate(masker, size)
    made: type[Event] = TextMessage if kind is _TEXT else BytesMessage
    return instance(made, _FIELDS, (payload, finished, last))


def _rotate(masker: XorMaskerSimple, size: int) -> None:
    """Turn the key to where the next piece begins, ``size`` bytes further on."""
    key, turn = masker._masking_key, size % 4
    masker._masking_key = key[turn:] + key[:turn]


def process(self: XorMaskerSimple, data: bytearray) -> bytearray:
    """In the place of ``XorMaskerSimple.process``: what wsproto's own code masks."""
    key = self._masking_key
    if not data or type(data) not in _RAW or type(key) not in _RAW or len(key) != 4:
        return _process(self, data)
    masked: Any = mask(data, key)
    _rotate(self, len(data))
    return masked if _OLD else bytearray(masked)


# ---- sending ------------------------------------------------------------------------------------


def send(self: Connection, event: Any) -> bytes:
    """In the place of ``Connection.send``: a message in one frame, the rest by the original."""
    proto = self._proto
    if (
        type(event) not in _MESSAGES
        or event.message_finished is not True
        or self._state is not _OPEN
        or type(self) is not Connection
        or type(proto) is not FrameProtocol
        or proto._outbound_opcode is not None
        or (proto.client and os.urandom is not _urandom)
        or type(event.data) not in _HEADS
        or (deflate := _deflate(proto.extensions) if proto.extensions else None) is False
    ):
        return _send(self, event)
    data = event.data
    head, opcode = _HEADS[type(data)]
    if deflate is not None:
        data = data.encode() if opcode is _TEXT else bytes(data)
        rsv, data = deflate.frame_outbound(proto, opcode, _NO_RSV, data, True)
        head += 0x40 * rsv.rsv1
    return _BUILDERS[proto.client].build(head, data)


# ---- what is replaced, and what must be as it was ------------------------------------------------

READS = tuple(
    f"wsproto.{module}:{name}"
    for module, names in (
        ("connection", "Connection.state ConnectionState"),
        ("events", "Message TextMessage BytesMessage Ping Pong CloseConnection"),
        ("extensions", "PerMessageDeflate"),
        ("frame_protocol", "Buffer Frame FrameDecoder FrameProtocol Header MessageDecoder Opcode"),
        ("frame_protocol", "RsvBits XorMaskerNull XorMaskerSimple"),
        ("handshake", "H11Handshake.events"),
    )
    for name in names.split()
)
SEAMS = (
    Seam("wsproto.connection:Connection.receive_data", receive_data),
    Seam("wsproto.connection:Connection.events", events, reads=READS),
    Seam("wsproto.connection:Connection.send", send),
    Seam("wsproto:WSConnection.events", both_events),
    Seam("wsproto.frame_protocol:XorMaskerSimple.process", process),
)


def selftest() -> None:
    """Play canned streams both ways; ``AssertionError`` where they differ."""
    begin: list[tuple[int, Any]] = [(0x81, "aé€😀"), (0x01, "é"), (0x89, b"p"), (0x80, "😀")]
    ends = [(0x82, b"\0" * 127), (0x88, b"\3\xe8bye"), (0x81, b"\xff"), (0x80, b""), (0xC1, b"?")]
    for kind in ConnectionType:
        build = _BUILDERS[kind is ConnectionType.SERVER].build
        for step, end in zip((20, 999, 999, 999, 999), ends):
            wire = b"".join(build(*frame) for frame in (*begin, end))
            theirs = _played(kind, wire, step, _receive_data, _events, _send)
            if _played(kind, wire, step, receive_data, events, send) != theirs:
                raise AssertionError(f"{kind.name}: other events are made of {wire.hex()}")


def _played(kind: ConnectionType, wire: bytes, step: int, *functions: Any) -> list[Any]:
    receive, events_of, send_to = functions
    connection, found = Connection(kind), []
    for start in range(0, len(wire), step):
        receive(connection, wire[start : start + step])
        for event in events_of(connection):
            found.append(repr(event))
            if kind is ConnectionType.SERVER and connection.state is _OPEN:
                found.append(send_to(connection, event))
    return found

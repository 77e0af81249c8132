"""simple-websocket (Flask-Sock): a message that comes in several reads, joined without events.

It reads 4 KiB at a time, so that 64 KiB are 17 events, each encoded again to be appended. Here a
piece goes from wsproto's ``Buffer`` to the end of ``incoming_message``, and what has become of the
frame and the message is noted where the two libraries note it. So their own code can go on at any
point, and does with all that is not a piece: whole and first frames, control frames, compression,
faults, and messages that may be too big.

It stands on wsproto's own attributes, not on our driver for it: each works without the other.
"""

from __future__ import annotations

from types import FunctionType, SimpleNamespace
from typing import Any

from simple_websocket.aiows import AioBase  # type: ignore[import-untyped, unused-ignore]
from simple_websocket.ws import Base  # type: ignore[import-untyped, unused-ignore]
from wsproto import WSConnection
from wsproto.connection import Connection, ConnectionType
from wsproto.frame_protocol import FrameProtocol, Opcode, XorMaskerNull, XorMaskerSimple

from wsfast.codec import Builder, take, take_utf8

from ._hosts import HOSTS
from ._live import check_version
from ._seams import Seam

check_version(HOSTS["wsproto"])  # where there is no source, versions decide: this one as well

_handle_events, _aio_handle_events = Base._handle_events, AioBase._handle_events
_CONT = Opcode.CONTINUATION
_HOMES = {"wsproto", "wsproto.connection", f"{__package__}._wsproto"}
_readers: set[Any] = set()  # what has been found to come from there
_pieces = 0


def hits() -> int:
    """Pieces joined here. A thread without the GIL may lose one that another counts."""
    return _pieces


def handle_events(self: Base) -> bool:
    """In the place of ``Base._handle_events``."""
    return _joined(self) or _handle_events(self)


async def aio_handle_events(self: AioBase) -> bool:
    """In the place of ``AioBase._handle_events``."""
    return _joined(self) or await _aio_handle_events(self)


def _joined(self: Any) -> bool:
    """Join a piece to the message under way, if that is what comes next; whether it was all.

    ``FrameDecoder.process_buffer``, ``MessageDecoder.process_frame`` and ``_handle_events``.
    """
    global _pieces
    joined = self.incoming_message
    if joined is None or (proto := _plain(self.ws)) is None:
        return False
    decoder, message = proto._frame_decoder, proto._message_decoder
    header, buffer = decoder.header, decoder.buffer.buffer
    if header is None or decoder.effective_opcode is not _CONT or message.opcode is None:
        return False
    size, left = len(buffer), header.payload_len - decoder.payload_consumed
    if size > left:
        size = left
    limit = self.max_message_size
    if not size or (limit and self.incoming_message_len + size > limit):  # characters are fewer
        return False
    last = size == left and header.fin
    masker, utf8 = decoder.masker, message.decoder
    key = masker._masking_key if type(masker) is XorMaskerSimple else None
    if key is None and type(masker) is not XorMaskerNull:  # somebody's own, in wsproto's place
        return False
    if utf8 is None:
        payload, count = take(buffer, size, key), size
    elif found := take_utf8(buffer, size, key, utf8.buffer, last):
        payload, count, utf8.buffer = found
    else:
        return False
    decoder.payload_consumed += size
    if size == left:
        decoder.header = decoder.effective_opcode = decoder.masker = None
    elif key is not None and (turn := size % 4):
        masker._masking_key = key[turn:] + key[:turn]
    if type(joined) is not bytearray:
        self.incoming_message = joined = bytearray(joined if utf8 is None else joined.encode())
    joined += payload
    self.incoming_message_len += count
    _pieces += 1
    if last:
        message.opcode = message.decoder = None
        self.input_buffer.append(bytes(joined) if utf8 is None else joined.decode())
        self.incoming_message, self.incoming_message_len = None, 0
        self.event.set()
    return not buffer


def _plain(ws: Any) -> Any:
    """Its ``FrameProtocol``, where nothing is queued before the frames and nothing is between."""
    if type(ws) is not WSConnection or ws.handshake._events:
        return None
    connection = ws.connection
    if type(connection) is not Connection or connection._events:
        return None
    if not (WSConnection.events in _readers or _known(WSConnection.events)):
        return None
    if not (Connection.events in _readers or _known(Connection.events)):
        return None
    proto: Any = connection._proto
    plain = type(proto) is FrameProtocol and not proto._frame_decoder.extensions
    return proto if plain and proto._parse_more.gi_frame is not None else None


def _known(events: Any) -> bool:
    """Whether it is wsproto's, or our driver's: who has put another there sees every event."""
    known = type(events) is FunctionType and events.__globals__["__name__"] in _HOMES
    if known:
        _readers.add(events)
    return known


# ---- what is replaced, and what must be as it was ------------------------------------------------

READS = tuple(
    f"wsproto{module}:{name}"
    for module, names in (
        ("", "WSConnection.events"),
        (".connection", "Connection.events"),
        (".frame_protocol", "Buffer FrameDecoder FrameProtocol Header MessageDecoder Opcode"),
        (".frame_protocol", "XorMaskerNull XorMaskerSimple"),
        (".handshake", "H11Handshake.events"),
    )
    for name in names.split()
)
SEAMS = (
    Seam("simple_websocket.ws:Base._handle_events", handle_events, reads=READS),
    Seam("simple_websocket.aiows:AioBase._handle_events", aio_handle_events),
)


def selftest() -> None:
    """Play canned streams both ways; ``AssertionError`` where they differ."""
    text, bad = "aé€😀".encode() * 9, b"\xff" * 90
    for kind in ConnectionType:
        build = Builder(masked=kind is ConnectionType.SERVER).build
        for head, payload, limit in (1, text, 0), (2, text, 0), (1, text, 30), (1, bad, 0):
            wire = build(head, payload[:41]) + build(0x00, payload[41:70])
            wire += build(0x89, b"") + build(0x80, payload[70:])
            theirs = _played(kind, wire, limit, _handle_events)
            ours = _played(kind, wire, limit, handle_events)
            aio = _played(kind, wire, limit, lambda host: _result(aio_handle_events(host)))
            if not theirs == ours == aio:
                raise AssertionError(f"{kind.name}: something else is made of {wire.hex()}")


def _played(kind: ConnectionType, wire: bytes, limit: int, handle: Any) -> list[Any]:
    seen: list[Any] = []
    ws = WSConnection(kind)
    ws.connection = Connection(kind)
    host = SimpleNamespace(
        ws=ws,
        is_server=kind is ConnectionType.SERVER,
        max_message_size=limit,
        incoming_message=None,
        incoming_message_len=0,
        input_buffer=seen,
        event=SimpleNamespace(set=lambda: seen.append("event")),
        sock=SimpleNamespace(send=lambda data: seen.append(len(data))),
        wsock=SimpleNamespace(write=lambda data: seen.append(len(data))),
    )
    for start in range(0, len(wire), 10):
        ws.receive_data(wire[start : start + 10])
        seen += handle(host), repr(host.incoming_message), host.incoming_message_len
    return seen


def _result(coroutine: Any) -> Any:
    """What it returns without having waited."""
    try:
        coroutine.send(None)
    except StopIteration as exc:
        return exc.value
    raise AssertionError("AioBase._handle_events waits for something")

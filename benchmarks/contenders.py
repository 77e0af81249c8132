"""The rivals: the only file here that knows other libraries.

Each contender does one operation of ``cases.py`` the way its own callers do, says what it delivers,
and proves once, before it is timed, that it delivers the right thing. What is delivered differs
between libraries; the tables print it beside the figure. Options that change the work (compression,
size limits, UTF-8 checks) are the same for all, or the difference is in the words.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import logging
import socket
from collections import deque
from functools import cache, partial
from itertools import repeat
from types import SimpleNamespace
from typing import Any

from cases import KEY, Case
from deflate_cases import DeflateCase
from offers import (
    Contender,
    Offer,
    Work,
    Wrong,
    calls,
    drive,
    event_loop,
    field,
    offers,
    read_frame,
    ready,
    simple,
)
from own import DECODING, ENCODING, FLOOR, FLOORS, OURS, WRITTEN, in_place, judged, queued, woken

__all__ = ["FLOOR", "FLOORS", "OURS", "WRITTEN", "Contender", "Offer", "Wrong", "field", "ready"]

MAX_MESSAGE = 1 << 20  # bytes; the same limit for every decoder
TEXT = 1


class Wire:
    """A transport that keeps what was written last; long frames come in two pieces.

    Its write buffer never looks empty, so that picows hands frames to it instead of to send(2).
    """

    def __init__(self) -> None:
        self.pieces: deque[Any] = deque(maxlen=2)
        self.write = self.pieces.append
        self.writelines = self.pieces.extend
        self.is_closing = bool
        self.get_write_buffer_size = (1).__int__

    def take(self) -> bytes:
        """The frame, whole."""
        data = b"".join(self.pieces)
        self.pieces.clear()
        return data

    def get_extra_info(self, name: str) -> Any:
        return one_socket() if name == "socket" else None


@cache
def one_socket() -> socket.socket:
    sock = socket.socket()
    atexit.register(sock.close)
    return sock


# ---- aiohttp: its compiled reader and queue, its writer -----------------------------------------


@offers("aiohttp", *DECODING, package="aiohttp", delivers="WSMessage from await queue.read()")
@offers("aiohttp", "woken", package="aiohttp", delivers="WSMessage in a woken task")
def aiohttp_reader(case: Case) -> Work:
    from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

    protocol: Any = SimpleNamespace(_reading_paused=False, pause_reading=None, resume_reading=None)
    queue = WebSocketDataQueue(protocol, 1 << 16, loop=event_loop())
    reader = WebSocketReader(queue, MAX_MESSAGE, compress=False, decode_text=True)
    work = woken if case.op == "woken" else queued
    return work(case, reader.feed_data, queue.read, lambda message: message.data)


@offers("aiohttp", *ENCODING, package="aiohttp", delivers="bytes to transport.write(); await")
def aiohttp_writer(case: Case) -> Work:
    from aiohttp._websocket.writer import WebSocketWriter

    wire: Any = Wire()
    protocol: Any = SimpleNamespace(_paused=False)
    writer = WebSocketWriter(protocol, wire, use_mask=case.op == "encode-masked")
    text = case.text

    async def send(n: int) -> None:
        for _ in repeat(None, n):
            await writer.send_frame(text.encode(), TEXT)

    def once() -> object:
        drive(writer.send_frame(text.encode(), TEXT))
        return read_frame(wire.take())

    return lambda n: drive(send(n)), once


@offers("aiohttp", "mask-inplace", package="aiohttp", delivers="see title; bytearray only")
def aiohttp_mask(case: Case) -> Work:
    from aiohttp._websocket.mask import _websocket_mask_cython

    return in_place(_websocket_mask_cython, case, key_first=True)


# ---- websockets: its sans-I/O protocol ----------------------------------------------------------


@offers(
    "websockets",
    *DECODING,
    package="websockets",
    delivers="list of Frame with bytes; UTF-8 unchecked",
)
def websockets_parser(case: Case) -> Work:
    from websockets.protocol import State
    from websockets.server import ServerProtocol

    protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE)
    chunk = case.chunk

    def run(n: int) -> None:
        for _ in repeat(None, n):
            protocol.receive_data(chunk)
            protocol.events_received()

    def once() -> list[str]:
        protocol.receive_data(chunk)
        return [bytes(event.data).decode() for event in protocol.events_received()]  # type: ignore

    return run, once


@offers("websockets", *ENCODING, package="websockets", delivers="list of bytes")
def websockets_serializer(case: Case) -> Work:
    from websockets.client import ClientProtocol
    from websockets.protocol import State
    from websockets.server import ServerProtocol
    from websockets.uri import parse_uri

    protocol: Any = ServerProtocol(state=State.OPEN)
    if case.op == "encode-masked":
        protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    text = case.text

    def run(n: int) -> None:
        for _ in repeat(None, n):
            protocol.send_text(text.encode())
            protocol.data_to_send()

    def once() -> object:
        protocol.send_text(text.encode())
        return read_frame(b"".join(protocol.data_to_send()))

    return run, once


@offers("websockets C", "mask", package="websockets", delivers="see title")
def websockets_mask(case: Case) -> Work:
    from websockets.speedups import apply_mask

    return simple(apply_mask, case.payload, KEY)


@offers("websockets (Python)", "mask", package="websockets", delivers="see title", twin=True)
def websockets_pure_mask(case: Case) -> Work:
    from websockets import frames, utils

    pure = utils.apply_mask if utils.apply_mask is not frames.apply_mask else None
    if pure is None:
        raise ImportError("websockets runs without its C extension: the row above is this one")
    return simple(pure, case.payload, KEY)


def websockets_end(side: str, *, alone: bool = False) -> Any:
    """An open protocol with permessage-deflate as its servers agree on it by default.

    ``alone``: each message of its own without context takeover.
    """
    from websockets.extensions.permessage_deflate import PerMessageDeflate
    from websockets.protocol import Protocol, Side, State

    protocol = Protocol(Side[side], state=State.OPEN, max_size=MAX_MESSAGE)
    protocol.extensions = [PerMessageDeflate(False, alone, 12, 12, {"memLevel": 5})]
    return protocol


@offers("websockets", "deflate", "deflate-send", package="websockets", delivers="Frame, decoded")
def websockets_deflate(case: DeflateCase) -> Work:
    server, client = websockets_end("SERVER"), websockets_end("CLIENT")
    messages = case.messages

    def run(n: int) -> None:
        for _ in repeat(None, n):
            for message in messages:
                server.send_text(message.encode())
                for data in server.data_to_send():
                    client.receive_data(data)
                for event in client.events_received():
                    bytes(event.data).decode()

    def sending(n: int) -> None:
        for _ in repeat(None, n):
            for message in messages:
                server.send_text(message.encode())
                server.data_to_send()

    def once() -> object:
        frames = []
        for message in messages:
            server.send_text(message.encode())
            frames.append(b"".join(server.data_to_send()))
            client.receive_data(frames[-1])
        case.note("websockets", frames)
        return [bytes(event.data).decode() for event in client.events_received()]

    return sending if case.op == "deflate-send" else run, once


# ---- picows: its Cython protocol, by way of the calls an event loop makes ------------------------


def picows_protocol(listener: Any, *, client: bool) -> tuple[Any, Wire]:
    """A protocol past its handshake, and its wire."""
    from picows import WSAutoPingStrategy
    from picows.picows import WSProtocol

    logger = logging.getLogger("picows")
    wire = Wire()

    async def open_() -> Any:
        protocol = WSProtocol(
            "localhost", "/", client, lambda *_: listener, logger, True, None, False, 10, 10,
            WSAutoPingStrategy.PING_WHEN_IDLE, True, MAX_MESSAGE, None, 128 << 10,
        )  # fmt: skip
        protocol.connection_made(wire)
        receive(protocol, handshake(wire.take() if client else None))
        wire.take()
        return protocol

    return event_loop().run_until_complete(open_()), wire


def handshake(request: bytes | None) -> bytes:
    """A request (for None), or the answer to one."""
    if request is None:
        return (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % base64.b64encode(accept)
    )


def receive(protocol: Any, data: bytes) -> None:
    """What an event loop does; the copy stands for recv_into()."""
    protocol.get_buffer(-1)[: len(data)] = data
    protocol.buffer_updated(len(data))


@offers(
    "picows",
    *DECODING,
    package="picows",
    delivers="on_ws_frame() and a str from it; the copy into its buffer counts",
)
def picows_parser(case: Case) -> Work:
    from picows import WSListener

    class Listener(WSListener):
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            frame.get_payload_as_utf8_text()  # and dropped, as ours is: keeping it costs 20 %

    class Collector(WSListener):
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            collected.append(frame.get_payload_as_utf8_text())

    collected: list[str] = []
    chunk, size = case.chunk, len(case.chunk)
    protocol, _ = picows_protocol(Listener(), client=False)
    get_buffer, buffer_updated = protocol.get_buffer, protocol.buffer_updated

    def run(n: int) -> None:
        for _ in repeat(None, n):
            get_buffer(-1)[:size] = chunk
            buffer_updated(size)

    def once() -> list[str]:
        receive(picows_protocol(Collector(), client=False)[0], chunk)
        return collected

    return run, once


@offers("picows", *ENCODING, package="picows", delivers="bytes to transport.write(); rand() keys")
def picows_sender(case: Case) -> Work:
    from picows import WSListener, WSMsgType

    protocol, wire = picows_protocol(WSListener(), client=case.op == "encode-masked")
    send = protocol.transport.send

    def once() -> object:
        send(WSMsgType.TEXT, case.text)
        return read_frame(wire.take())

    return calls(send, WSMsgType.TEXT, case.text), once


# ---- wsproto, tornado, wsaccel ------------------------------------------------------------------


def wsproto_connection(case: Case) -> Any:
    from wsproto.connection import Connection, ConnectionType

    client = case.op == "encode-masked"
    return Connection(ConnectionType.CLIENT if client else ConnectionType.SERVER)


@offers("wsproto", *DECODING, package="wsproto", delivers="TextMessage events with str")
def wsproto_parser(case: Case) -> Work:
    connection, chunk = wsproto_connection(case), case.chunk

    def run(n: int) -> None:
        for _ in repeat(None, n):
            connection.receive_data(chunk)
            for _event in connection.events():
                pass

    def once() -> list[str]:
        connection.receive_data(chunk)
        return [event.data for event in connection.events()]

    return run, once


@offers("wsproto", *ENCODING, package="wsproto", delivers="bytes")
def wsproto_sender(case: Case) -> Work:
    from wsproto.events import TextMessage

    connection, text = wsproto_connection(case), case.text

    def run(n: int) -> None:
        for _ in repeat(None, n):
            connection.send(TextMessage(data=text))

    return run, lambda: read_frame(connection.send(TextMessage(data=text)))


@offers("tornado C", "mask", package="tornado", delivers="see title")
def tornado_mask(case: Case) -> Work:
    from tornado.speedups import websocket_mask

    return calls(websocket_mask, KEY, case.payload), partial(websocket_mask, KEY, case.payload)


@offers("wsaccel", "mask", package="wsaccel", delivers="see title")
def wsaccel_mask(case: Case) -> Work:
    from wsaccel.xormask import XorMaskerSimple

    def mask(payload: bytes) -> bytes:
        return bytes(XorMaskerSimple(KEY).process(payload))

    return simple(mask, case.payload)


@offers("wsaccel", "utf8", package="wsaccel", delivers="a tuple")
def wsaccel_validator(case: Case) -> Work:
    from wsaccel.utf8validator import Utf8Validator

    def valid(payload: bytes) -> bool:
        found = Utf8Validator().validate(payload)
        return bool(found[0] and found[1])  # right, and not cut

    return judged(valid, case)

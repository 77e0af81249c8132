"""simple-websocket's _handle_events, its own against ours: what is seen after every read.

On the simple-websocket and the wsproto that are installed. Nothing here says what is right: they
do, and the driver must do the same, down to where they note how far a frame and a message are.
"""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("simple_websocket")

import streams
from simple_websocket import Server
from simple_websocket.aiows import AioBase
from simple_websocket.ws import Base
from wsproto import WSConnection, frame_protocol
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Ping
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameProtocol

from wsfast import codec, integrations
from wsfast.integrations import _seams, _simple_websocket, _wsproto

SERVER, CLIENT = ConnectionType.SERVER, ConnectionType.CLIENT
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LIMITS = [None, 0, 1, 5, 40, 300]
classes = st.sampled_from([Base, AioBase])


@contextmanager
def placed(*drivers: ModuleType) -> Iterator[None]:
    """The seams of these, quicker to swap than with ``install``."""
    found: list[Any] = []
    try:
        for driver in drivers:
            found += _seams.swap(driver.SEAMS)
        yield
    finally:
        _seams.put_back(found)


@pytest.fixture(scope="module", params=["server", "client"])
def kind(request: pytest.FixtureRequest) -> ConnectionType:
    return SERVER if request.param == "server" else CLIENT


@pytest.fixture(scope="module", params=["threads", "asyncio"])
def cls(request: pytest.FixtureRequest) -> type:
    return Base if request.param == "threads" else AioBase


@pytest.fixture(scope="module", autouse=True)
def steady_keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", lambda n: b"\x11\x22\x33\x44"[:n])
        yield


@pytest.fixture(scope="module", autouse=True)
def codecs(backend: ModuleType) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("take", "take_utf8"):
            patch.setattr(_simple_websocket, name, getattr(backend, name))
        yield


# ---- what can be seen ---------------------------------------------------------------------------


def deflate() -> list[Any]:
    made = PerMessageDeflate()
    made.finalize("")
    return [made]


class Actor:
    """A connection of simple-websocket behind its handshake, without socket and thread."""

    def __init__(self, cls: type, kind: ConnectionType, limit: Any, extensions: Any = None) -> None:
        self.log: list[Any] = []
        host: Any = object.__new__(cls)
        host.ws = WSConnection(kind)
        host.ws.connection = Connection(kind, extensions)
        host.is_server, host.max_message_size = kind is SERVER, limit
        host.subprotocol = host.close_message = host.incoming_message = None
        host.input_buffer, host.incoming_message_len = [], 0
        host.close_reason, host.connected, host.pong_received = CloseReason.NORMAL_CLOSURE, True, 0
        host.event = SimpleNamespace(set=lambda: self.log.append("set"))
        host.sock = SimpleNamespace(send=self.log.append)
        host.wsock = SimpleNamespace(write=self.log.append)
        self.host = host

    def read(self, data: bytes) -> list[Any]:
        """As _thread and _task do it, and all that is seen then."""
        host = self.host
        try:
            host.ws.receive_data(data)
            returned = host._handle_events()
            if isinstance(host, AioBase):
                with pytest.raises(StopIteration) as stopped:
                    returned.send(None)
                returned = stopped.value.value
        except Exception as exc:
            returned = type(exc), str(exc)
        names = "close_reason close_message connected pong_received incoming_message_len"
        values = [getattr(host, name) for name in names.split()]
        message = host.incoming_message
        queued = [(type(each), each) for each in host.input_buffer]
        return [returned, *values, (type(message), message and message[:]), queued, self.log[:]]

    def inside(self) -> list[Any]:
        """Where wsproto notes how far it is."""
        proto = self.host.ws.connection._proto
        decoder, message = proto._frame_decoder, proto._message_decoder
        found: dict[str, Any] = {**vars(decoder), "buffer": decoder.buffer.buffer[:]}
        found["masker"] = bytes(getattr(decoder.masker, "_masking_key", b""))
        del found["extensions"]
        state = message.decoder and message.decoder.getstate()
        return [found, message.opcode, state, proto._parse_more.gi_frame is not None]


def play(make: Callable[[], Actor], chunks: list[bytes], *modes: tuple[ModuleType, ...]) -> Any:
    """The same without a driver and with these: all that is seen after every read."""
    original, patched = make(), [make() for _ in modes]
    shown: list[Any] = []
    for chunk in chunks:
        shown.append(original.read(chunk))
        for actor, drivers in zip(patched, modes):
            with placed(*drivers):
                assert actor.read(chunk) == shown[-1]
            if _wsproto not in drivers:
                assert actor.inside() == original.inside()
    return shown


OURS, BOTH = (_simple_websocket,), (_wsproto, _simple_websocket)


# ---- any bytes ----------------------------------------------------------------------------------


@st.composite
def compressed(draw: st.DrawFn, kind: ConnectionType) -> bytes:
    peer = FrameProtocol(kind is SERVER, deflate())
    parts = [draw(st.text(max_size=40) | st.binary(max_size=40)) for _ in range(3)]
    return b"".join([bytes(peer.send_data(part)) for part in parts])


@given(st.data(), classes, st.sampled_from(LIMITS), st.booleans())
def test_any_bytes(kind: ConnectionType, data: Any, cls: type, limit: Any, squeezed: bool) -> None:
    wire = data.draw(streams.mutated(kind is SERVER))
    if squeezed:
        wire = data.draw(compressed(kind)) + wire
    chunks = data.draw(streams.chunked(wire))
    play(lambda: Actor(cls, kind, limit, deflate() if squeezed else None), chunks, OURS, BOTH)


@given(st.data(), classes, st.sampled_from(LIMITS))
def test_the_driver_comes_and_goes(kind: ConnectionType, data: Any, cls: type, limit: Any) -> None:
    """Between any two reads; that of wsproto too."""
    chunks = data.draw(streams.chunked(data.draw(streams.mutated(kind is SERVER))))
    original, patched = Actor(cls, kind, limit), Actor(cls, kind, limit)
    for chunk in chunks:
        with placed(*data.draw(st.sampled_from([(), OURS, BOTH, (_wsproto,)]))):
            found = patched.read(chunk)
        assert found == original.read(chunk)


# ---- behaviour by name --------------------------------------------------------------------------


def wire(kind: ConnectionType, *frames: tuple[Any, ...]) -> bytes:
    """Frames ``(opcode, payload[, fin])`` as ``kind`` must receive them."""
    key = streams.KEY if kind is SERVER else None
    return b"".join(
        [streams.frame(op, payload, fin=not more, key=key) for op, payload, *more in frames]
    )


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


MORE = True
TEXTS = "aé€😀".encode() * 3
BY_NAME: dict[str, tuple[tuple[Any, ...], ...]] = {
    "text": ((TEXT, TEXTS), (TEXT, b""), (TEXT, TEXTS)),
    "binary": ((BINARY, TEXTS), (BINARY, b""), (BINARY, bytes(70))),
    "fragments": (
        (TEXT, TEXTS[:2], MORE),
        (CONT, TEXTS[2:7], MORE),
        (CONT, TEXTS[7:]),
        (PING, b""),
    ),
    "empty fragments": ((TEXT, b"", MORE), (CONT, TEXTS, MORE), (CONT, b"", MORE), (CONT, b"")),
    "binary fragments": ((BINARY, b"12", MORE), (CONT, b"345", MORE), (CONT, b"6"), (TEXT, TEXTS)),
    "control between": ((TEXT, TEXTS, MORE), (PING, b"ping"), (PONG, b"pong"), (CONT, TEXTS)),
    "bad text": ((TEXT, TEXTS + b"\xff" + TEXTS), (TEXT, b"never")),
    "unfinished text": ((TEXT, TEXTS[:-1]), (TEXT, b"never")),
    "unfinished fragment": ((TEXT, TEXTS[:-2], MORE), (CONT, TEXTS), (TEXT, b"never")),
    "no beginning": ((CONT, TEXTS), (TEXT, b"never")),
    "no end": ((TEXT, TEXTS, MORE), (BINARY, TEXTS), (CONT, TEXTS)),
    "close between": ((TEXT, TEXTS, MORE), (CLOSE, b"\x03\xe8bye"), (CONT, TEXTS)),
}


@pytest.mark.parametrize("name", BY_NAME)
def test_by_name(cls: type, kind: ConnectionType, name: str) -> None:
    """Cut in two everywhere, with nothing in between, and into pieces of every small size."""
    data = wire(kind, *BY_NAME[name])
    plans = [[data[:at], b"", data[at:]] for at in range(1, len(data))]
    for chunks in plans + [cut(data, size) for size in range(1, 20)]:
        play(lambda: Actor(cls, kind, None), chunks, OURS, BOTH)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_limit_counts_characters_of_text(cls: type, kind: ConnectionType, opcode: int) -> None:
    """And the answer goes out with the very read in which it is passed."""
    data = wire(kind, (opcode, TEXTS), (opcode, TEXTS))
    length = len(TEXTS.decode()) if opcode == TEXT else len(TEXTS)
    for limit in (1, length - 1, length, length + 1):
        for size in range(1, 20):
            found = play(lambda limit=limit: Actor(cls, kind, limit), cut(data, size), OURS, BOTH)
            assert any(read[0] is False for read in found) is (limit < length)


def test_what_a_limit_leaves_behind_is_no_message(cls: type, kind: ConnectionType) -> None:
    """A frame that goes on with nothing is a fault, whatever ``incoming_message`` holds."""

    def make() -> Actor:
        actor = Actor(cls, kind, None)
        actor.host.incoming_message = "left"
        return actor

    for size in range(1, 20):
        play(make, cut(wire(kind, (CONT, TEXTS)), size), OURS, BOTH)


@pytest.mark.parametrize("text", ["x", "é", "€", "😀", None])
@pytest.mark.parametrize("size", [1000, 4096, 4099])
def test_large(cls: type, kind: ConnectionType, text: str | None, size: int) -> None:
    message: Any = bytes(range(256)) * 300 if text is None else text * 70_000
    payload = message if text is None else message.encode()
    data = wire(kind, (BINARY if text is None else TEXT, payload))
    before = _simple_websocket.hits()
    found = play(lambda: Actor(cls, kind, 1 << 20), cut(data, size), OURS)
    assert found[-1][-2] == [(type(message), message)]
    assert _simple_websocket.hits() - before == len(found) - 1  # all but the first


def loud(events: Any) -> Any:
    for event in events:
        object.__setattr__(event, "data", event.data.upper())
        yield event


class LoudConnection(Connection):
    def events(self) -> Any:
        return loud(super().events())


class LoudWSConnection(WSConnection):
    def events(self) -> Any:
        return loud(super().events())


class LoudProtocol(FrameProtocol):
    def received_frames(self) -> Any:
        for frame in super().received_frames():
            yield frame._replace(payload=frame.payload.upper())


@pytest.mark.parametrize("place", ["ws", "connection", "proto"])
def test_subclasses_of_wsproto_keep_what_they_override(
    cls: type, kind: ConnectionType, place: str
) -> None:
    def make() -> Actor:
        actor = Actor(cls, kind, None)
        if place == "ws":
            actor.host.ws.__class__ = LoudWSConnection
        elif place == "connection":
            actor.host.ws.connection.__class__ = LoudConnection
        else:
            actor.host.ws.connection._proto = LoudProtocol(kind is CLIENT, [])
        return actor

    found = play(make, cut(wire(kind, (TEXT, b"abcdefghijkl")), 5), OURS, BOTH)
    assert found[-1][-2] == [(str, "ABCDEFGHIJKL")]


@pytest.mark.parametrize("place", ["handshake", "connection"])
def test_what_is_queued_comes_first(cls: type, kind: ConnectionType, place: str) -> None:
    data = wire(kind, (TEXT, b"abcdefghijkl"))

    def make() -> Actor:
        actor = Actor(cls, kind, None)
        actor.read(data[:9])
        getattr(actor.host.ws, place)._events.append(Ping(b"queued"))
        return actor

    found = play(make, [data[9:]], OURS, BOTH)
    assert [type(each) for each in found[0][-1]] == [str, bytes]  # woken, then answered


@pytest.mark.parametrize("drivers", [OURS, BOTH, (_wsproto,)])
def test_a_masker_of_somebody_else_unmasks(
    cls: type, drivers: tuple[ModuleType, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was put there since; its frame is under way when the drivers come."""

    class Masker(frame_protocol.XorMaskerSimple):
        pass

    monkeypatch.setattr(frame_protocol, "XorMaskerSimple", Masker)
    first, *rest = cut(wire(SERVER, (BINARY, TEXTS)), 10)
    actor = Actor(cls, SERVER, None)
    actor.read(first)
    with placed(*drivers):
        found = [actor.read(chunk) for chunk in rest]
    assert found[-1][-2] == [(bytes, TEXTS)]


@pytest.mark.parametrize("patched", [WSConnection, Connection])
def test_who_has_patched_events_since_sees_them_all(
    cls: type, patched: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = cut(wire(SERVER, (TEXT, TEXTS), (BINARY, TEXTS)), 10)
    seen: list[list[str]] = []
    for drivers in ((), OURS, BOTH):
        with placed(*drivers), monkeypatch.context() as patch:
            events, found = patched.events, []  # type: ignore[attr-defined]

            @functools.wraps(events)
            def traced(self: Any, events: Any = events, found: list[str] = found) -> Any:
                for event in events(self):
                    found.append(repr(event))
                    yield event

            patch.setattr(patched, "events", traced)
            actor = Actor(cls, SERVER, None)
            for chunk in chunks:
                actor.read(chunk)
            seen.append(found)
    assert seen[0] == seen[1] == seen[2]


def test_a_mock_in_the_place_of_wsproto(cls: type) -> None:
    """As the library's own tests have it."""

    def make() -> Actor:
        actor = Actor(cls, SERVER, None)
        actor.host.ws = mock.Mock(events=lambda: iter([]))
        actor.host.incoming_message = "under way"
        return actor

    original, patched = make(), make()
    with placed(_simple_websocket):
        assert patched.read(b"x") == original.read(b"x")


# ---- through a socket ----------------------------------------------------------------------------

REQUEST = {
    "HTTP_HOST": "x",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.timeout(30)
def test_through_a_socket() -> None:
    """With its own thread, which reads 4 KiB at a time."""
    near, far = socket.socketpair()
    with near, placed(_wsproto, _simple_websocket):
        before = _simple_websocket.hits()
        server = Server({**REQUEST, "werkzeug.socket": far})
        for message in ("aé€😀" * 20_000, bytes(range(256)) * 500, "", "x" * 65_536):
            kind = BINARY if isinstance(message, bytes) else TEXT
            near.sendall(wire(SERVER, (kind, message if kind == BINARY else message.encode())))
            assert server.receive(timeout=10) == message
        near.shutdown(socket.SHUT_RDWR)
        server.thread.join()
    assert _simple_websocket.hits() - before > 80


# ---- the driver itself --------------------------------------------------------------------------


@pytest.mark.parametrize("drivers", [OURS, BOTH])
def test_selftest_passes(drivers: tuple[ModuleType, ...]) -> None:
    with placed(*drivers):
        _simple_websocket.selftest()


def test_selftest_finds_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_simple_websocket, "take", lambda buffer, size, key: bytes(size))
    with placed(*OURS), pytest.raises(AssertionError, match="something else is made of"):
        _simple_websocket.selftest()


def test_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSFAST", raising=False)
    monkeypatch.setattr(codec, "environment", lambda: {"WSFAST_BACKEND": codec.backend()})
    original = vars(Base)["_handle_events"]
    (status,) = integrations.install("simple-websocket", on_refusal="raise")
    try:
        assert (status.state, len(status.seams)) == ("active", len(_simple_websocket.SEAMS))
        assert vars(Base)["_handle_events"] is not original
    finally:
        integrations.uninstall("simple-websocket")
    assert vars(Base)["_handle_events"] is original

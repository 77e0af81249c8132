"""A uvicorn protocol without a socket, a real server, and a client that speaks frames.

And for the drivers of websockets the two sides, and our methods in place of the library's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

uvicorn = pytest.importorskip("uvicorn")

from uvicorn.server import ServerState  # noqa: E402

from wsfast import FrameEncoder, MessageDecoder, Role  # noqa: E402
from wsfast.uvicorn import WebSocketProtocol  # noqa: E402

try:
    import uvloop
except ModuleNotFoundError:
    uvloop = None

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
if uvloop is not None:
    LOOPS["uvloop"] = uvloop.new_event_loop

REQUEST = (
    b"GET /chat%20room?a=1 HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\n"
    b"connection: keep-alive, Upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """``run(coroutine)`` on each event loop there is, for at most ten seconds."""

    def call(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(main, 10))

    return call


@pytest.fixture(autouse=True)
def may_fail(caplog: pytest.LogCaptureFixture) -> Iterator[list[type[BaseException]]]:
    """What an application may raise; uvicorn logs the rest and lives on, the test must not."""
    allowed: list[type[BaseException]] = [asyncio.CancelledError]
    yield allowed
    for record in caplog.get_records("call"):
        if record.exc_info and not isinstance(record.exc_info[1], tuple(allowed)):
            raise AssertionError("the application failed") from record.exc_info[1]


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it, write by write.

    Once closed or ``ended`` it takes nothing more (``late``); closed, it cannot be told to read, as
    with uvloop.
    """

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 8001)})
        self.writes: list[bytes] = []
        self.late: list[bytes] = []
        self.paused = False
        self.ended = False
        self.closed = False
        self.aborted = False
        self.looks = 0  # at what it holds

    def write(self, data: Any) -> None:
        (self.late if self.over else self.writes).append(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        assert not self.closed, "after the second close() asyncio's TLS transport is of no use"
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    @property
    def over(self) -> bool:
        """The peer sees the end of it."""
        return self.ended or self.closed

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        if self.closed:
            raise RuntimeError("the transport is closed")
        self.paused = False


class Fake:
    """One connection over a ``Wire``, seen from the client's end."""

    def __init__(
        self, app: Any, cls: type[WebSocketProtocol], headers: bytes, options: Any
    ) -> None:
        options = {"lifespan": "off", "log_config": None, "proxy_headers": False} | options
        config = uvicorn.Config(app, ws=cls, **options)
        config.load()
        self.state = ServerState()
        self.protocol = cls(config=config, server_state=self.state, app_state={})
        self.wire = Wire()
        self.protocol.connection_made(self.wire)
        self.protocol.data_received(REQUEST + headers + b"\r\n")
        self.encoder = FrameEncoder(Role.CLIENT)
        self.decoder = MessageDecoder(Role.CLIENT)
        self.task = next(iter(self.state.tasks), None)

    async def opened(self) -> Fake:
        """Wait for the application to accept; forget the response."""
        while not self.wire.writes:
            await asyncio.sleep(0)
        assert self.wire.writes.pop(0).startswith(b"HTTP/1.1 101 ")
        await settle()
        return self

    def read(self, *messages: str | bytes, raw: bytes = b"") -> None:
        """The server reads these messages, and ``raw`` frames behind them, at once."""
        encode = self.encoder
        frames = [encode.text(m) if isinstance(m, str) else encode.binary(m) for m in messages]
        self.protocol.data_received(b"".join(frames) + raw)

    def read_soon(self, *messages: str | bytes, raw: bytes = b"") -> None:
        """The same from a callback of the loop, as a transport would."""
        asyncio.get_running_loop().call_soon(lambda: self.read(*messages, raw=raw))

    def written(self) -> list[list[Any]]:
        """What the server wrote since last asked, one list of items for each write."""
        writes = [self.decoder.feed(data) for data in self.wire.writes]
        self.wire.writes.clear()
        return writes

    def items(self) -> list[Any]:
        """The same in one list."""
        return [item for items in self.written() for item in items]

    async def lost(self) -> None:
        """The transport is gone; wait for the application to end."""
        self.wire.closed = True
        self.protocol.connection_lost(None)
        if self.task is not None:
            await asyncio.wait([self.task], timeout=5)


async def settle() -> None:
    """Let everything run that is ready, and what it makes ready."""
    for _ in range(6):
        await asyncio.sleep(0)


@pytest.fixture
def fake() -> Callable[..., Fake]:
    """``fake(app, cls=WebSocketProtocol, headers=b"", **options)``: a connection; see ``Fake``."""

    def connect(
        app: Any,
        cls: type[WebSocketProtocol] = WebSocketProtocol,
        headers: bytes = b"",
        **options: Any,
    ) -> Fake:
        return Fake(app, cls, headers, options)

    return connect


@pytest.fixture(name="settle")
def settle_fixture() -> Callable[[], Coroutine[Any, Any, None]]:
    return settle


class Client:
    """A raw client on a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.encoder = FrameEncoder(Role.CLIENT)
        self.decoder = MessageDecoder(Role.CLIENT)
        self.head = b""

    async def handshake(self, headers: bytes = b"") -> Client:
        self.writer.write(REQUEST + headers + b"\r\n")
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        return self

    async def items(self) -> list[Any]:
        """Everything until the server closes the connection."""
        found = []
        while data := await self.reader.read(1 << 16):
            found += self.decoder.feed(data)
        return found

    async def item(self) -> Any:
        """The next items, at least one."""
        while not (items := self.decoder.feed(await self.reader.read(1 << 16))):
            pass
        return items[0] if len(items) == 1 else items


class Serving:
    def __init__(self, server: Any) -> None:
        self.server = server
        self.port = server.servers[0].sockets[0].getsockname()[1]
        self.clients: list[Client] = []

    async def connect(self, headers: bytes | None = b"", tls: Any = None) -> Client:
        """A new client; with ``headers=None`` without a handshake."""
        name = None if tls is None else "localhost"
        streams = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, server_hostname=name
        )
        client = Client(*streams)
        self.clients.append(client)
        return client if headers is None else await client.handshake(headers)


@pytest.fixture(params=["h11", "httptools"])
def serve(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``async with serve(app, cls=WebSocketProtocol, **options) as server``: a real one."""
    if request.param == "httptools":
        pytest.importorskip("httptools")

    @asynccontextmanager
    async def serving(
        app: Any, cls: type[WebSocketProtocol] = WebSocketProtocol, **options: Any
    ) -> AsyncIterator[Serving]:
        options = {"lifespan": "off", "log_config": None, "port": 0} | options
        server = uvicorn.Server(uvicorn.Config(app, ws=cls, http=request.param, **options))
        server.capture_signals = no_signals
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        serving = Serving(server)
        try:
            yield serving
        finally:
            server.should_exit = True
            for client in serving.clients:
                client.writer.close()
            await task

    return serving


@pytest.fixture
def encrypted(tmp_path: Path) -> tuple[ssl.SSLContext, dict[str, str]]:
    """A client's context, and uvicorn's options."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context, {"ssl_certfile": str(tmp_path / "pem")}


def no_signals() -> Any:
    import contextlib

    return contextlib.nullcontext()


@pytest.fixture
def record() -> tuple[list[Any], Callable[..., Coroutine[Any, Any, None]]]:
    """``(events, app)``: an application that accepts and keeps all events until disconnected."""
    events: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            event = await receive()
            events.append(event)
            if event["type"] == "websocket.disconnect":
                return

    return events, app


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        key = "text" if "text" in event else "bytes"
        await send({"type": "websocket.send", key: event[key]})


@pytest.fixture(name="echo")
def echo_fixture() -> Callable[..., Coroutine[Any, Any, None]]:
    """The application that sends back what it receives."""
    return echo


@pytest.fixture(scope="module")
def stage() -> Iterator[Any]:
    """websockets' drivers, to put in place and take away; see ``websockets_lab.py``."""
    from websockets_lab import Installed

    made = Installed()
    yield made
    made.turn(False)


@pytest.fixture(scope="module", params=["server", "client"])
def side(request: pytest.FixtureRequest) -> Any:
    """Each ``Side`` of websockets."""
    from websockets.protocol import Side

    return Side[request.param.upper()]

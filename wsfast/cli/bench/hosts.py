"""The echo as each host's own users would write it; runs in the child that ``launch`` starts.

Each function imports its host, makes the application, calls ``job.ready`` and serves until the
process ends. Deflate is off but for the application ``deflate``, messages may be as long as
``MAX_SIZE``, a client may leave without a word; all else, keepalive among it, is as the host has it
by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple

from . import apps

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine
    from typing import Any

    from .contenders import Contender

MAX_SIZE = 16 << 20  # bytes; uvicorn's and hypercorn's own


class Job(NamedTuple):
    """What a server is to do."""

    contender: Contender
    loop: str
    app: str
    listener: socket.socket
    ready: Callable[[], None]  # to be called before it serves


def run_coroutine(loop: str, main: Coroutine[Any, Any, None]) -> None:
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


class RawEcho(asyncio.Protocol):
    """The floor: what the event loop and the kernel cost with no protocol at all."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked by isinstance: uvloop's transports are not asyncio's.
        self.write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.write(data)


def raw(job: Job) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(RawEcho, sock=job.listener)
        job.ready()
        await server.serve_forever()

    run_coroutine(job.loop, main())


def uvicorn(job: Job) -> None:
    from uvicorn import Config, Server

    config = Config(
        apps.load(job.app),
        loop=job.loop,
        http="h11",
        ws=job.contender.ws,
        ws_max_size=MAX_SIZE,
        ws_per_message_deflate=job.app == "deflate",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    config.load()  # a class that cannot be imported must fail before we say we are ready
    job.ready()
    Server(config).run(sockets=[job.listener])


def websockets(job: Job) -> None:
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosed

    options: dict[str, Any] = {}
    if job.contender.way == "hook":
        from wsfast.websockets.asyncio import ServerConnection

        options["create_connection"] = ServerConnection
    _like_websockets(job, serve, ConnectionClosed, options)


def picows_websockets(job: Job) -> None:
    from picows.websockets import ConnectionClosed, serve

    _like_websockets(job, serve, ConnectionClosed, {})


def picows(job: Job) -> None:
    """Its own interface: a callback for each frame, which nobody awaits."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    class Echo(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                transport.send(WSMsgType.TEXT, frame.get_payload_as_utf8_text())

    async def main() -> None:
        server = await ws_create_server(
            lambda request: Echo(), sock=job.listener, max_frame_size=MAX_SIZE
        )
        job.ready()
        await server.serve_forever()

    run_coroutine(job.loop, main())


def _like_websockets(
    job: Job, serve: Any, closed: type[Exception], options: dict[str, Any]
) -> None:
    async def echo(connection: Any) -> None:
        with contextlib.suppress(closed):
            async for message in connection:
                await connection.send(message)

    async def main() -> None:
        async with serve(
            echo, sock=job.listener, compression=None, max_size=MAX_SIZE, **options
        ) as it:
            job.ready()
            await it.serve_forever()

    run_coroutine(job.loop, main())


def hypercorn(job: Job) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{job.listener.detach()}"]
    config.loglevel = "WARNING"
    config.websocket_max_message_size = MAX_SIZE
    job.ready()
    run_coroutine(job.loop, serve(apps.load(job.app), config))


def simple_websocket(job: Job) -> None:
    """A thread per connection by the standard library, as Flask's development server does it."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from simple_websocket import (  # type: ignore[import-untyped, unused-ignore]
        ConnectionClosed,
        Server,
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in self.headers.items()}
            wsgi = {**headers, "werkzeug.socket": self.connection}
            connection = Server.accept(wsgi, max_message_size=MAX_SIZE)
            self.close_connection = True
            with contextlib.suppress(ConnectionClosed):
                while True:
                    connection.send(connection.receive())

    server = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = job.listener
    job.ready()
    server.serve_forever()


def trio_websocket(job: Job) -> None:
    import trio
    from trio_websocket import ConnectionClosed, WebSocketServer

    async def echo(request: Any) -> None:
        connection = await request.accept()
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send_message(await connection.get_message())

    async def main() -> None:
        accepting = trio.SocketListener(trio.socket.from_stdlib_socket(job.listener))
        job.ready()
        await WebSocketServer(echo, [accepting], max_message_size=MAX_SIZE).run()

    trio.run(main)


SERVE = {
    serve.__name__: serve
    for serve in (
        raw,
        uvicorn,
        websockets,
        picows_websockets,
        picows,
        hypercorn,
        simple_websocket,
        trio_websocket,
    )
}

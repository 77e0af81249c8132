"""One echo server of ``--peers``: what runs in the child, as each library's users would write it.

It listens on a free port of 127.0.0.1, prints one JSON line about that and ends with its standard
input. Messages may have ``peers.LIMIT`` bytes where the library has such a limit, deflate is on
where it has it; all else is as the library has it by itself.
"""

# What is not installed has no types: mypy must say the same with it and without.
# mypy: disable-error-code="import-not-found,import-untyped,misc,no-untyped-call"

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
import threading

from .peers import LIMIT, PEERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .peers import Peer


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """The echo for ASGI servers, which may be asked for plain HTTP too."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        key = "bytes" if message.get("text") is None else "text"
        await send({"type": "websocket.send", key: message[key]})


def uvicorn(peer: Peer, listener: socket.socket) -> None:
    from uvicorn import Config, Server

    config = Config(
        asgi,
        ws=peer.ws,
        http=peer.http,
        ws_max_size=LIMIT,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    config.load()
    Server(config).run(sockets=[listener])


def websockets(peer: Peer, listener: socket.socket) -> None:
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosed

    _like_websockets(listener, serve, ConnectionClosed)


def picows(peer: Peer, listener: socket.socket) -> None:
    from picows.websockets import ConnectionClosed, serve

    _like_websockets(listener, serve, ConnectionClosed)


def _like_websockets(listener: socket.socket, serve: Any, closed: type[Exception]) -> None:
    async def echo(connection: Any) -> None:
        with contextlib.suppress(closed):
            async for message in connection:
                await connection.send(message)

    async def main() -> None:
        async with serve(echo, sock=listener, max_size=LIMIT) as server:
            await server.serve_forever()

    asyncio.run(main())


def hypercorn(peer: Peer, listener: socket.socket) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "CRITICAL"
    config.websocket_max_message_size = LIMIT
    asyncio.run(serve(asgi, config))


def aiohttp(peer: Peer, listener: socket.socket) -> None:
    from aiohttp import WSMsgType, web

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(max_msg_size=LIMIT)
        await ws.prepare(request)
        async for message in ws:
            if message.type == WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await ws.send_bytes(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", echo)
    web.run_app(app, sock=listener, print=None, access_log=None, handle_signals=False)


def tornado(peer: Peer, listener: socket.socket) -> None:
    from tornado import httpserver, web, websocket

    class Echo(websocket.WebSocketHandler):
        def get_compression_options(self) -> dict[str, Any]:
            return {}

        def check_origin(self, origin: str) -> bool:
            return True

        async def on_message(self, message: str | bytes) -> None:
            await self.write_message(message, binary=isinstance(message, bytes))

    async def main() -> None:
        app = web.Application([("/", Echo)], websocket_max_message_size=LIMIT)
        server = httpserver.HTTPServer(app)
        listener.setblocking(False)
        server.add_sockets([listener])
        await asyncio.Event().wait()

    asyncio.run(main())


def autobahn(peer: Peer, listener: socket.socket) -> None:
    from autobahn.asyncio.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from autobahn.websocket.compress import (
        PerMessageDeflateOffer,
        PerMessageDeflateOfferAccept,
    )

    class Echo(WebSocketServerProtocol):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload, isBinary)

    def accept(offers: list[Any]) -> Any:
        for offer in offers:
            if isinstance(offer, PerMessageDeflateOffer):
                return PerMessageDeflateOfferAccept(offer)
        return None

    async def main() -> None:
        factory = WebSocketServerFactory()
        factory.protocol = Echo
        factory.setProtocolOptions(
            perMessageCompressionAccept=accept, maxMessagePayloadSize=LIMIT, failByDrop=False
        )
        server = await asyncio.get_running_loop().create_server(factory, sock=listener)
        await server.serve_forever()

    asyncio.run(main())


def simple_websocket(peer: Peer, listener: socket.socket) -> None:
    """A thread per connection by the standard library, as Flask's development server does it."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from simple_websocket import ConnectionClosed, Server

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in self.headers.items()}
            self.close_connection = True
            connection = Server.accept(
                {**headers, "werkzeug.socket": self.connection}, max_message_size=LIMIT
            )
            with contextlib.suppress(ConnectionClosed):
                while True:
                    connection.send(connection.receive())

    server = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.daemon_threads = True
    server.serve_forever()


def ws4py(peer: Peer, listener: socket.socket) -> None:
    from ws4py.server.wsgirefserver import (
        WebSocketWSGIHandler,
        WebSocketWSGIRequestHandler,
        WSGIServer,
    )
    from ws4py.server.wsgiutils import WebSocketWSGIApplication
    from ws4py.websocket import EchoWebSocket

    WebSocketWSGIHandler.http_version = "1.1"
    server = WSGIServer(("", 0), WebSocketWSGIRequestHandler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    server.server_name, server.server_port = server.server_address
    server.setup_environ()
    server.set_app(WebSocketWSGIApplication(handler_cls=EchoWebSocket))
    server.initialize_websockets_manager()
    server.serve_forever()


def gevent_websocket(peer: Peer, listener: socket.socket) -> None:
    from gevent import monkey

    monkey.patch_all(thread=False)
    import gevent.socket
    from geventwebsocket import Resource, WebSocketApplication, WebSocketServer

    class Echo(WebSocketApplication):
        def on_message(self, message: str | bytes | None) -> None:
            if message is not None:
                self.ws.send(message, binary=not isinstance(message, str))

    accepting = gevent.socket.socket(fileno=listener.detach())
    WebSocketServer(accepting, Resource({"/": Echo}), log=None).serve_forever()


def connection(peer: Peer, listener: socket.socket) -> None:
    """The sans-I/O parts of wsfast on asyncio, as ``examples/echo_server.py`` has them."""
    from .bare import serve

    async def main() -> None:
        server = await asyncio.start_server(serve, sock=listener)
        await server.serve_forever()

    asyncio.run(main())


SERVE: dict[str, Callable[[Peer, socket.socket], None]] = {
    serve.__name__: serve
    for serve in (
        uvicorn,
        connection,
        websockets,
        picows,
        hypercorn,
        aiohttp,
        tornado,
        autobahn,
        simple_websocket,
        ws4py,
        gevent_websocket,
    )
}


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main(name: str, *_: str) -> None:
    """Serve the peer ``name`` until standard input ends."""
    import wsfast

    peer = PEERS[name]
    logging.disable(logging.CRITICAL)  # they complain of what we do, and rightly
    if peer.accelerated:
        wsfast.install(peer.accelerated, on_refusal="raise")
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    # The kernel queues whoever connects before the host is ready to accept.
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    SERVE[peer.serve](peer, listener)

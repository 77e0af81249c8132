"""The echo servers that hostile.py attacks: ``python benchmarks/hostile_servers.py ID``.

Each as its own users would write it: compression on, messages up to LIMIT bytes, all else as the
library has it by itself. Prints the port as one line of JSON; the end of standard input ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import resource
import socket
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIMIT = 1 << 20  # bytes of a message
HALF_OPEN = 10_000


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        key = "text" if message.get("text") is not None else "bytes"
        await send({"type": "websocket.send", key: message[key]})


def announce(listener: socket.socket) -> None:
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)


def of_uvicorn(ws: str) -> Any:
    def serve(listener: socket.socket) -> None:
        from uvicorn import Config, Server

        config = Config(
            asgi, ws=ws, ws_max_size=LIMIT, lifespan="off", log_config=None, access_log=False,
            loop="asyncio", http="h11", backlog=4096,
        )  # fmt: skip
        config.load()
        announce(listener)
        Server(config).run(sockets=[listener])

    return serve


def of_websockets(module: str) -> Any:
    def serve(listener: socket.socket) -> None:
        from importlib import import_module

        library = import_module(module)

        async def echo(connection: Any) -> None:
            with contextlib.suppress(Exception):
                async for message in connection:
                    await connection.send(message)

        async def main() -> None:
            async with library.serve(echo, sock=listener, max_size=LIMIT) as server:
                announce(listener)
                await server.serve_forever()

        asyncio.run(main())

    return serve


def hypercorn(listener: socket.socket) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.loglevel = "CRITICAL"
    config.websocket_max_message_size = LIMIT
    config.bind = [f"fd://{listener.fileno()}"]
    announce(listener)
    asyncio.run(serve(asgi, config))


def aiohttp(listener: socket.socket) -> None:
    from aiohttp import WSMsgType, web

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(max_msg_size=LIMIT)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", echo)
    announce(listener)
    web.run_app(app, sock=listener, print=None, access_log=None, handle_signals=False)


def tornado(listener: socket.socket) -> None:
    from tornado import httpserver, web, websocket

    class Echo(websocket.WebSocketHandler):
        def get_compression_options(self) -> dict[str, Any]:
            return {}

        async def on_message(self, message: Any) -> None:
            with contextlib.suppress(websocket.WebSocketClosedError):
                await self.write_message(message, isinstance(message, bytes))

    async def main() -> None:
        app = web.Application([("/", Echo)], websocket_max_message_size=LIMIT)
        listener.setblocking(False)
        httpserver.HTTPServer(app).add_sockets([listener])
        announce(listener)
        await asyncio.Event().wait()

    asyncio.run(main())


def example(listener: socket.socket) -> None:
    """wsfast's ``Connection`` as examples/production_server.py owns it."""
    path = Path(__file__).parents[1] / "examples" / "production_server.py"
    spec = importlib.util.spec_from_file_location("example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    async def main() -> None:
        server = await asyncio.start_server(module.Server().serve, sock=listener, backlog=4096)
        announce(listener)
        await server.serve_forever()

    asyncio.run(main())


SERVERS: dict[str, tuple[Any, str]] = {  # and the distribution whose version is shown
    "wsfast.uvicorn": (of_uvicorn("wsfast.uvicorn:WebSocketProtocol"), "uvicorn"),
    "wsfast Connection": (example, "wsfast"),
    "websockets": (of_websockets("websockets.asyncio.server"), "websockets"),
    "aiohttp": (aiohttp, "aiohttp"),
    "tornado": (tornado, "tornado"),
    "picows.websockets": (of_websockets("picows.websockets"), "picows"),
    "uvicorn": (of_uvicorn("auto"), "uvicorn"),
    "uvicorn-wsproto": (of_uvicorn("wsproto"), "wsproto"),
    "hypercorn": (hypercorn, "hypercorn"),
}


def version_of(name: str) -> str | None:
    """None: it is not installed."""
    try:
        return version(SERVERS[name][1])
    except ModuleNotFoundError:
        return None


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    logging.disable()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.Thread(target=end_with_stdin, daemon=True).start()
    serve, _ = SERVERS[sys.argv[1]]
    serve(socket.create_server(("127.0.0.1", 0), backlog=4096))


if __name__ == "__main__":
    main()

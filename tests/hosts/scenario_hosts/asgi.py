"""One ASGI application, in uvicorn with each of its WebSocket implementations, and in hypercorn."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from stage import Ended, Stage

LIMIT = 1 << 20


class Line:
    def __init__(self, receive: Any, send: Any) -> None:
        self._receive, self._send = receive, send
        self._event: Any = None

    def content(self, event: Any) -> Any:
        text = event.get("text")
        return event["bytes"] if text is None else text

    async def receive(self) -> Any:
        event = await self._receive()
        if event["type"] != "websocket.receive":
            self._event = event
            raise Ended(f"{event}")
        return event

    async def send(self, message: Any) -> None:
        key = "text" if isinstance(message, str) else "bytes"
        await self._send({"type": "websocket.send", key: message})

    async def close(self, code: int, reason: Any) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def state(self) -> Any:
        return self._event


def application(stage: Stage) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (event := (await receive())["type"]) != "lifespan.shutdown":
                await send({"type": f"{event}.complete"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        await stage.play(scope["path"], Line(receive, send))

    return app


def uvicorn_server(stage: Stage, implementation: str, http: str, loop: str) -> None:
    import uvicorn

    config = uvicorn.Config(
        application(stage),
        ws=implementation,
        http=http,
        loop=loop,
        lifespan="off",
        log_config=None,
        ws_max_size=LIMIT,
        ws_ping_interval=None,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    stage.listening(listener.getsockname()[1])
    uvicorn.Server(config).run(sockets=[listener])


def hypercorn_server(stage: Stage) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.websocket_max_message_size = LIMIT
    config.errorlog = logging.getLogger("hypercorn.error")
    stage.listening(listener.getsockname()[1])
    asyncio.run(serve(application(stage), config))

"""The applications that are served, and what they must answer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]


async def raw(scope: Message, receive: Receive, send: Send) -> None:
    """The bare ASGI echo: no framework, no JSON."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def acknowledge(message: dict[str, Any]) -> dict[str, Any]:
    """What the JSON application answers: a chat server's reply, of about the question's size."""
    return {
        "type": "message.ack",
        "id": message["id"],
        "room": message["room"],
        "user": message["user"],
        "ts": message["ts"] + 1,
        "text": message["text"],
    }


def starlette() -> Any:
    """The realistic one: Starlette, JSON in, JSON out."""
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect

    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                await ws.send_json(acknowledge(await ws.receive_json()))
        except WebSocketDisconnect:
            pass

    return Starlette(routes=[WebSocketRoute("/", chat)])


_connections = 0  # that came with wsfast's extension


def accelerated() -> int:
    """Connections so far whose server was wsfast's own class."""
    return _connections


def load(name: str) -> Any:
    """The ASGI application called so; ``deflate`` is the raw one, served with compression."""
    app = starlette() if name == "starlette" else raw

    async def counted(scope: Message, receive: Receive, send: Send) -> None:
        global _connections
        _connections += "wsfast" in scope.get("extensions", ())
        await app(scope, receive, send)

    return counted

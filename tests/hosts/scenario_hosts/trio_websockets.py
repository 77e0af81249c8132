"""trio-websocket: serve_websocket() and wrap_client_stream()."""

from __future__ import annotations

from functools import partial
from typing import Any

import calm_trio
import trio
from stage import Stage
from trio_websocket import serve_websocket, wrap_client_stream


class Line:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def content(self, message: Any) -> Any:
        return message

    async def receive(self) -> Any:
        return await self.connection.get_message()

    async def receive_cancelled(self, seconds: float) -> Any:
        with trio.move_on_after(seconds):
            return await self.connection.get_message()

    async def send(self, message: Any) -> None:
        await self.connection.send_message(message)

    async def ping_awaited(self, payload: bytes) -> None:
        await self.connection.ping(payload)

    async def pong(self, payload: bytes) -> None:
        await self.connection.pong(payload)

    async def close(self, code: int, reason: Any) -> None:
        await self.connection.aclose(code, reason)

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def state(self) -> Any:
        return repr(self.connection.closed)


def server(stage: Stage) -> None:
    async def handle(request: Any) -> None:
        connection = await request.accept()
        await stage.play(request.path, Line(connection))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            serving = partial(serve_websocket, handle, "127.0.0.1", 0, None)
            listening = await nursery.start(serving)
            stage.listening(listening.port)

    calm_trio.run(main)


def client(stage: Stage) -> None:
    async def visit(name: str, port: int) -> None:
        # Not open_websocket(), which may leave the stream open until it is collected.
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream, trio.open_nursery() as nursery:
            connection = await wrap_client_stream(nursery, stream, "127.0.0.1", f"/{name}")
            await stage.play(name, Line(connection))
            await connection.aclose()

    calm_trio.run(partial(stage.visits, trio.to_thread.run_sync, visit))

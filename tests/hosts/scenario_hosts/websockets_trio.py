"""websockets on trio: serve() and connect()."""

from __future__ import annotations

from functools import partial
from typing import Any

import calm_trio
import trio
import websockets_line
from stage import Ended, Stage
from websockets.trio.client import connect
from websockets.trio.server import serve


class Line(websockets_line.Line):
    async def next(self, iterator: Any) -> Any:
        try:
            return await anext(iterator)
        except StopAsyncIteration:
            raise Ended from None

    async def receive_cancelled(self, seconds: float) -> Any:
        with trio.move_on_after(seconds):
            return await self.connection.recv()

    async def async_fragments(self, parts: list[Any]) -> None:
        async def produce() -> Any:
            for part in parts:
                await trio.lowlevel.checkpoint()
                yield part

        await self.connection.send(produce())

    async def ping_awaited(self, payload: bytes) -> None:
        await (await self.connection.ping(payload)).wait()

    async def close(self, code: int, reason: Any) -> None:
        await self.connection.aclose(code, reason)

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)


def server(stage: Stage) -> None:
    async def handle(connection: Any) -> None:
        await stage.play(connection.request.path, Line(connection))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            listening = await nursery.start(
                partial(serve, handle, 0, host="127.0.0.1", **websockets_line.LIMITS)
            )
            stage.listening(listening.listeners[0].socket.getsockname()[1])

    calm_trio.run(main)


def client(stage: Stage) -> None:
    async def visit(name: str, port: int) -> None:
        uri = f"ws://127.0.0.1:{port}/{name}"
        async with connect(uri, proxy=None, **websockets_line.LIMITS) as connection:
            await stage.play(name, Line(connection))

    calm_trio.run(partial(stage.visits, trio.to_thread.run_sync, visit))

"""websockets on asyncio: serve() and connect()."""

from __future__ import annotations

import asyncio
from typing import Any

import websockets_line
from stage import Ended, Stage
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


class Line(websockets_line.Line):
    async def next(self, iterator: Any) -> Any:
        try:
            return await anext(iterator)
        except StopAsyncIteration:
            raise Ended from None

    async def receive_cancelled(self, seconds: float) -> Any:
        return await asyncio.wait_for(self.connection.recv(), seconds)

    async def async_fragments(self, parts: list[Any]) -> None:
        async def produce() -> Any:
            for part in parts:
                await asyncio.sleep(0)
                yield part

        await self.connection.send(produce())

    async def ping_awaited(self, payload: bytes) -> None:
        await (await self.connection.ping(payload))

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def server(stage: Stage) -> None:
    async def handle(connection: Any) -> None:
        await stage.play(connection.request.path, Line(connection))

    async def main() -> None:
        async with serve(handle, "127.0.0.1", 0, **websockets_line.LIMITS) as listening:
            stage.listening(listening.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().create_future()

    asyncio.run(main())


def client(stage: Stage) -> None:
    async def visit(name: str, port: int) -> None:
        uri = f"ws://127.0.0.1:{port}/{name}"
        async with connect(uri, proxy=None, **websockets_line.LIMITS) as connection:
            await stage.play(name, Line(connection))

    asyncio.run(stage.visits(asyncio.to_thread, visit))

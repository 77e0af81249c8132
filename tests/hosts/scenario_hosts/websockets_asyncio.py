"""websockets on asyncio: serve() and connect()."""

from __future__ import annotations

import asyncio
from typing import Any

import websockets_line
from stage import Ended, Stage, raised
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve


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
                for _ in range(4):
                    await asyncio.sleep(0)
                yield part

        await self.connection.send(produce())

    async def ping_awaited(self, payload: bytes) -> None:
        await (await self.connection.ping(payload))

    async def together(self, *actions: Any) -> list[str]:
        calls = [getattr(self, verb.replace(" ", "_"))(*args) for verb, *args in actions]
        results = await asyncio.gather(*calls, return_exceptions=True)
        return [raised(one) for one in results if isinstance(one, Exception)]

    async def later(self, verb: str, *args: Any) -> None:
        """Not before others have begun."""
        for _ in range(6):
            await asyncio.sleep(0)
        await getattr(self, verb)(*args)

    async def broadcast(self, message: Any) -> None:
        broadcast([self.connection], message)

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


# Limits that the library has two of, and no extension.
NARROW: dict[str, Any] = {"max_size": (1 << 20, 1 << 16), "max_queue": (8, 2), "compression": None}


def server(stage: Stage, kind: str = "") -> None:
    options = websockets_line.LIMITS | (NARROW if kind == "narrow" else {})

    async def handle(connection: Any) -> None:
        await stage.play(connection.request.path, Line(connection))

    async def main() -> None:
        async with serve(handle, "127.0.0.1", 0, **options) as listening:
            stage.listening(listening.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().create_future()

    asyncio.run(main())


def client(stage: Stage) -> None:
    async def visit(name: str, port: int) -> None:
        uri = f"ws://127.0.0.1:{port}/{name}"
        async with connect(uri, proxy=None, **websockets_line.LIMITS) as connection:
            await stage.play(name, Line(connection))

    asyncio.run(stage.visits(asyncio.to_thread, visit))

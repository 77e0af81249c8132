"""httpx-ws: aconnect_ws()."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import wsproto.events
from httpx_ws import aconnect_ws
from stage import Ended, Stage


class Line:
    def __init__(self, session: Any) -> None:
        self.session = session
        self.closed = False

    def content(self, event: Any) -> Any:
        return event.data

    async def receive(self) -> Any:
        if self.closed:
            raise Ended("after close() of its own, receive() may wait forever")
        return await self.session.receive()

    async def receive_cancelled(self, seconds: float) -> Any:
        return await self.session.receive(timeout=seconds)

    async def send(self, message: Any) -> None:
        if isinstance(message, str):
            await self.session.send_text(message)
        else:
            await self.session.send_bytes(message)

    async def fragments(self, parts: list[Any]) -> None:
        for number, part in enumerate(parts, 1):
            event = wsproto.events.Message(part, message_finished=number == len(parts))
            await self.session.send(event)

    async def ping(self, payload: Any) -> None:
        await self.session.ping(payload or b"never empty")

    async def ping_awaited(self, payload: bytes) -> None:
        await (await self.session.ping(payload)).wait()

    async def pong(self, payload: Any) -> None:
        await self.session.send(wsproto.events.Pong(payload))

    async def close(self, code: int, reason: Any) -> None:
        await self.session.close(code, reason)
        self.closed = True

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def state(self) -> Any:
        return repr(self.session.connection.state)


def client(stage: Stage) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(trust_env=False) as http:

            async def visit(name: str, port: int) -> None:
                uri = f"ws://127.0.0.1:{port}/{name}"
                async with aconnect_ws(uri, http, keepalive_ping_interval_seconds=None) as session:
                    await stage.play(name, Line(session))

            await stage.visits(asyncio.to_thread, visit)

    asyncio.run(main())

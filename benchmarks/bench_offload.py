"""How long a large message holds the event loop up, compressed on it and by a thread.

    python benchmarks/bench_offload.py [--rounds N]

uvicorn's class over a transport that keeps nothing, asyncio. In milliseconds: CPU time of the
loop's thread, and the time until ``send`` returns; medians, compared within rounds.
"""

from __future__ import annotations

import argparse
import asyncio
from random import Random
from time import perf_counter_ns, thread_time_ns
from typing import Any

import machine
import tables
from rounds import summary
from uvicorn import Config
from uvicorn.server import ServerState

import wsfast
from wsfast.cli.bench.events import cut, live
from wsfast.uvicorn import WebSocketProtocol

SIZES = (256, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 8 << 20)
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)


class Offloading(WebSocketProtocol):
    offload = 1


class Nowhere(asyncio.Transport):
    def write(self, data: Any) -> None:
        pass

    def close(self) -> None:
        pass

    abort = close

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def opened(cls: type[WebSocketProtocol]) -> Any:
    """The ``send`` of a connection's application."""
    found = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        found.set_result(send)

    config = Config(app, ws=cls, lifespan="off", log_config=None)
    config.load()
    protocol = cls(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(Nowhere())
    protocol.data_received(REQUEST)
    return await found


def text(size: int) -> str:
    return cut(live, Random(7692), size, 1)[0]


async def race(size: int, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """By way, milliseconds of the loop's thread and until ``send`` returned."""
    ways = {"on the loop": WebSocketProtocol, "by a thread": Offloading}
    sends = {name: await opened(cls) for name, cls in ways.items()}
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ways}
    message = {"type": "websocket.send", "text": text(size)}
    for _ in range(rounds):
        for name, send in sends.items():
            cpu, wall = thread_time_ns(), perf_counter_ns()
            await send(message)
            found[name][0].append((thread_time_ns() - cpu) / 1e6)
            found[name][1].append((perf_counter_ns() - wall) / 1e6)
    return found


async def main(rounds: int) -> None:
    print(tables.heading(machine.describe(), wsfast.__version__, wsfast.backend()) + "\n")
    rows = []
    for size in SIZES:
        for name, (cpu, wall) in (await race(size, rounds)).items():
            figures = [f"{summary(times)[0]:,.3f}" for times in (cpu, wall)]
            rows.append([f"{size:,} B", *figures, name])
    print(tables.grid(["", "loop busy, ms", "until sent, ms", ""], rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    asyncio.run(main(parser.parse_args().rounds))

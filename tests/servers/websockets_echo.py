"""Echoes with websockets' asyncio server, on a port the system picks; see launch.py.

Prints one line of JSON once it listens: ``port``, ``protocol`` and ``backend``, which is null: no
class of ours serves. Ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

MAX_SIZE = 16 << 20  # bytes


async def echo(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


async def main() -> None:
    async with serve(echo, "127.0.0.1", 0, max_size=MAX_SIZE) as server:
        (listener,) = server.sockets
        ready = {
            "port": listener.getsockname()[1],
            "protocol": f"{ServerConnection.__module__}:{ServerConnection.__qualname__}",
            "backend": None,
        }
        print(json.dumps(ready), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

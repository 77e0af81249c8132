"""A proxy with a server behind it, as its clients see it; and the servers there are."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from dataclasses import dataclass

from clients.base import TIMEOUT, End
from launch import Server
from proxies.running import Proxy
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

MOST = 1 << 20  # bytes of a message


@dataclass(frozen=True)
class Behind:
    """How a server of tests/servers is started."""

    script: str
    arguments: tuple[str, ...] = ()
    through: tuple[str, ...] = ()


SERVERS = {
    "uvicorn": Behind("uvicorn_echo.py", ("--max-size", str(MOST))),
    "production": Behind("production_echo.py"),
    "hypercorn": Behind("hypercorn_echo.py", through=(sys.executable, "-m", "wsfast", "run", "--")),
}


@dataclass(frozen=True)
class Site:
    proxy: Proxy
    server: Server
    context: ssl.SSLContext

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.proxy.port}"

    def dial(self, path: str = "/", **options: object) -> connect:
        """A client that sends no Pings of its own."""
        settings = {
            "ssl": self.context,
            "proxy": None,
            "max_size": None,
            "ping_interval": None,
            "open_timeout": TIMEOUT,
            "close_timeout": TIMEOUT,
        }
        return connect(f"wss://{self.place}{path}", **settings | options)

    def ended(self, connection_id: str) -> dict:
        """How echo_app.py saw the connection end. Asked of the server itself."""
        url = f"http://127.0.0.1:{self.server.port}/ended?id={connection_id}"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return json.load(response)


async def end_of(client: ClientConnection) -> End:
    """How the client sees it end; what comes before is read."""
    try:
        while True:
            await client.recv()
    except ConnectionClosed:
        return End(client.close_code, client.close_reason)

"""One server process of ``wsfast bench``: what runs in the child that ``launch`` starts.

It listens on a free port of 127.0.0.1, prints one JSON line about itself, then obeys its standard
input: ``cpu`` prints the CPU nanoseconds used so far, and end of file, which is also what a killed
parent leaves behind, ends the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time

from . import apps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

# What uvicorn runs as each contestant; every other option is the same for all of them.
UVICORN_WS = {"uvicorn": "auto", "uvicorn+wsfast": "wsfast.uvicorn:WebSocketProtocol"}


class RawEcho(asyncio.Protocol):
    """The floor: what the event loop and the kernel cost with no protocol at all."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked by isinstance: uvloop's transports are not asyncio's.
        self.write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.write(data)


async def serve_raw(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(RawEcho, sock=listener)
    await server.serve_forever()


def run_coroutine(loop: str, main: Coroutine[Any, Any, None]) -> None:
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def run_uvicorn(name: str, loop: str, app: str, listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        apps.load(app),
        loop=loop,
        http="h11",
        ws=UVICORN_WS[name],
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    config.load()  # a class that cannot be imported must fail before we say we are ready
    announce(listener, uvicorn.__version__)
    uvicorn.Server(config).run(sockets=[listener])


def announce(listener: socket.socket, version: str | None) -> None:
    import wsfast

    ready = {"port": listener.getsockname()[1], "version": version, "backend": wsfast.backend()}
    print(json.dumps(ready), flush=True)


def obey_stdin() -> None:
    for line in sys.stdin:
        if line.strip() == "cpu":
            print(time.process_time_ns(), flush=True)
    os._exit(0)  # no clean shutdown: nothing here is worth waiting for


def allow_tracing() -> None:
    """Let ``strace`` attach where Yama allows it only for ancestors (prctl(2), PR_SET_PTRACER)."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    pr_set_ptracer, any_process = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(pr_set_ptracer, any_process, 0, 0, 0)


def main(name: str, loop: str, app: str) -> None:
    """Serve ``app`` by the server ``name`` on ``loop`` until standard input ends."""
    allow_tracing()
    threading.Thread(target=obey_stdin, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    if name == "raw-tcp":
        announce(listener, None)
        run_coroutine(loop, serve_raw(listener))
    else:
        run_uvicorn(name, loop, app, listener)

"""Runs the published production server, on a port the system picks; see launch.py.

Its application echoes, but for two messages: "fail", and "how many?", the answer to which is the
number of connections. Prints one line of JSON once it listens: ``port``, ``protocol`` and wsfast's
``backend``. Ends on SIGTERM as the example does: peers are told.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import signal
from pathlib import Path

import wsfast

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "production_server.py"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ping-interval", type=float, default=20.0, metavar="SECONDS")
    spec = importlib.util.spec_from_file_location("production_server", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.PING_INTERVAL = parser.parse_args().ping_interval
    server = example.Server()

    async def answer(message: str | bytes) -> str | bytes:
        assert message != "fail"
        return str(len(server.sessions)) if message == "how many?" else message

    example.answer = answer
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=4096)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    ready = {
        "port": listener.sockets[0].getsockname()[1],
        "protocol": "wsfast.connection:Connection",
        "backend": wsfast.backend(),
    }
    print(json.dumps(ready), flush=True)
    await stopped.wait()
    listener.close()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main())

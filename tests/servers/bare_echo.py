"""Runs the published example of a server on a bare ``Connection``; see launch.py.

What Autobahn passes is what people copy. Prints one line of JSON once it listens: ``port``,
``protocol`` and wsfast's ``backend``. Ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import runpy
from pathlib import Path

import wsfast

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "echo_server.py"


async def main() -> None:
    serve = runpy.run_path(str(EXAMPLE))["serve"]
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    ready = {
        "port": server.sockets[0].getsockname()[1],
        "protocol": "wsfast.connection:Connection",
        "backend": wsfast.backend(),
    }
    print(json.dumps(ready), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

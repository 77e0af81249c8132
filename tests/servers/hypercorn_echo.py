"""Runs the echo application through hypercorn, on a port the system picks; see launch.py.

Prints one line of JSON when it is about to listen: ``port``, ``protocol`` and ``backend``, which is
null: no class of ours serves. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import socket

from echo_app import app
from hypercorn.asyncio import serve
from hypercorn.config import Config

MAX_SIZE = 16 << 20  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ping-interval", type=float, metavar="SECONDS")
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.websocket_max_message_size = MAX_SIZE
    config.websocket_ping_interval = parser.parse_args().ping_interval
    config.errorlog = logging.getLogger("hypercorn.error")
    ready = {"port": listener.getsockname()[1], "protocol": "hypercorn", "backend": None}
    print(json.dumps(ready), flush=True)
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main()

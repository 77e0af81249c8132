"""Runs the echo application through uvicorn, on a port the system picks; see launch.py.

Prints one line of JSON once it listens: ``port``, the WebSocket ``protocol`` class in use, and
wsfast's ``backend`` (null where that class is not ours). Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import socket

import uvicorn

MIB = 1 << 20


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ws", default="wsfast.uvicorn:WebSocketProtocol", metavar="CLASS")
    parser.add_argument("--loop", default="asyncio", choices=["asyncio", "uvloop"])
    parser.add_argument("--certfile", metavar="PEM", help="certificate and key: serve wss")
    parser.add_argument("--no-compression", action="store_true")
    parser.add_argument("--max-size", type=int, default=16 * MIB, metavar="BYTES")
    parser.add_argument("--ping-interval", type=float, default=20.0, metavar="SECONDS")
    parser.add_argument("--ping-timeout", type=float, default=20.0, metavar="SECONDS")
    return parser.parse_args()


def backend_of(protocol: type) -> str | None:
    if not protocol.__module__.startswith("wsfast."):
        return None
    import wsfast

    return wsfast.backend()


def main() -> None:
    args = parse_arguments()
    config = uvicorn.Config(
        "echo_app:app",
        ws=args.ws,
        loop=args.loop,
        lifespan="off",
        log_level="warning",
        ssl_certfile=args.certfile,
        ws_max_size=args.max_size,
        ws_ping_interval=args.ping_interval,
        ws_ping_timeout=args.ping_timeout,
        ws_per_message_deflate=not args.no_compression,
    )
    config.load()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        protocol = config.ws_protocol_class
        ready = {
            "port": listener.getsockname()[1],
            "protocol": f"{protocol.__module__}:{protocol.__qualname__}",
            "backend": backend_of(protocol),
        }
        print(json.dumps(ready), flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()

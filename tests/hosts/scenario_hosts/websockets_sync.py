"""websockets on threads: serve() and connect()."""

from __future__ import annotations

import time
from typing import Any

import websockets_line
from stage import Ended, Stage
from websockets.sync.client import connect
from websockets.sync.server import serve


class Line(websockets_line.Line):
    def iterate(self) -> Any:
        return iter(self.connection)

    def stream(self, decode: Any = None) -> Any:
        return iter(self.connection.recv_streaming(decode))

    def next(self, iterator: Any) -> Any:
        try:
            return next(iterator)
        except StopIteration:
            raise Ended from None

    def receive_cancelled(self, seconds: float) -> Any:
        return self.connection.recv(timeout=seconds)

    def ping_awaited(self, payload: bytes) -> None:
        self.connection.ping(payload).wait()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


def server(stage: Stage) -> None:
    def handle(connection: Any) -> None:
        stage.play_blocking(connection.request.path, Line(connection))

    with serve(handle, "127.0.0.1", 0, **websockets_line.LIMITS) as listening:
        stage.listening(listening.socket.getsockname()[1])
        listening.serve_forever()


def client(stage: Stage) -> None:
    def visit(name: str, port: int) -> None:
        uri = f"ws://127.0.0.1:{port}/{name}"
        with connect(uri, proxy=None, **websockets_line.LIMITS) as connection:
            stage.play_blocking(name, Line(connection))

    stage.visits_blocking(visit)

"""simple-websocket: Server, as a WSGI server with a thread for each request has it, and Client."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from simple_websocket import Client, Server
from stage import Stage

LIMIT = 1 << 20


class Line:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def content(self, message: Any) -> Any:
        return message

    def receive(self) -> Any:
        return self.connection.receive()

    def receive_cancelled(self, seconds: float) -> Any:
        return self.connection.receive(timeout=seconds)

    def send(self, message: Any) -> None:
        if not isinstance(message, (str, bytes)):
            raise TypeError("simple-websocket would send its repr(), with an address in it")
        self.connection.send(message)

    def close(self, code: int, reason: Any) -> None:
        """Close while its thread reads, and wait for that: what it reads last is a race else."""
        time.sleep(0.005)
        self.connection.close(code, reason)
        self.connection.thread.join(1)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def state(self) -> Any:
        return f"{self.connection.close_reason!r} {self.connection.close_message!r}"


def server(stage: Stage) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    stage.listening(listener.getsockname()[1])
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=respond, args=(stage, sock), daemon=True).start()


def respond(stage: Stage, sock: socket.socket) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    request, *fields = head.decode().split("\r\n")
    environ: dict[str, Any] = {"werkzeug.socket": sock}
    for line in filter(None, fields):
        name, _, value = line.partition(": ")
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    connection = Server.accept(environ, max_message_size=LIMIT)
    stage.play_blocking(request.split()[1], Line(connection))


def client(stage: Stage) -> None:
    def visit(name: str, port: int) -> None:
        connection = Client.connect(f"ws://127.0.0.1:{port}/{name}", max_message_size=LIMIT)
        stage.play_blocking(name, Line(connection))

    stage.visits_blocking(visit)

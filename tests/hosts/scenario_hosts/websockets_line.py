"""What websockets' three connections have in common: the same names, awaited or not."""

from __future__ import annotations

from typing import Any

LIMITS: dict[str, Any] = {"max_size": 1 << 20, "ping_interval": None, "close_timeout": 4}


class Line:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def content(self, message: Any) -> Any:
        return message

    def receive(self) -> Any:
        return self.connection.recv()

    def receive_as(self, decode: bool) -> Any:
        return self.connection.recv(decode=decode)

    def send(self, message: Any) -> Any:
        return self.connection.send(message)

    fragments = send

    def send_as(self, message: Any, text: bool) -> Any:
        return self.connection.send(message, text=text)

    def ping(self, payload: Any) -> Any:
        return self.connection.ping(payload)

    def pong(self, payload: Any) -> Any:
        return self.connection.pong(payload)

    def close(self, code: int, reason: Any) -> Any:
        return self.connection.close(code, reason)

    def iterate(self) -> Any:
        return self.connection.__aiter__()

    def stream(self, decode: Any = None) -> Any:
        return self.connection.recv_streaming(decode).__aiter__()

    def state(self) -> Any:
        protocol = self.connection.protocol
        seen = (protocol.close_rcvd, protocol.close_sent, protocol.close_rcvd_then_sent)
        return f"{protocol.close_code} {protocol.close_reason!r} {seen}"

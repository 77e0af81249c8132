"""What a test may ask of a real WebSocket client, whatever language it is written in."""

from __future__ import annotations

import ssl
from typing import NamedTuple, Protocol

TIMEOUT = 20.0  # seconds, for every step: generous, since test machines are shared

Message = str | bytes


class End(NamedTuple):
    """How the client saw its connection end."""

    code: int
    reason: str


class Client(Protocol):
    """One connection at a time. Every call returns when the client is done, or raises.

    Made with the path of the certificate authority that wss servers are signed by.
    """

    extensions: str  # as negotiated: "" or "permessage-deflate; …"
    subprotocol: str | None

    def open(self, url: str, subprotocols: list[str]) -> None: ...
    def send(self, message: Message) -> None: ...
    def send_fragments(self, messages: list[Message]) -> None: ...
    def receive(self) -> Message: ...
    def ping(self, payload: bytes) -> bytes:
        """Returns the payload of the Pong."""
        ...

    def close(self, code: int, reason: str) -> None: ...
    def wait_closed(self) -> End: ...
    def stop(self) -> None:
        """Ends the client, with whatever process or event loop it runs in."""
        ...


class Unavailable(Exception):
    """The client is not installed here; the text says how to get it."""


def tls_context(url: str, ca_file: str) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=ca_file) if url.startswith("wss:") else None

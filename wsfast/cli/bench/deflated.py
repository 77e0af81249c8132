"""The load of ``--app deflate``: permessage-deflate as a browser and uvicorn agree on it.

Both sides keep their context, so what a message becomes depends on all those before it: it is
compressed as it goes, and every reply is inflated and compared as text. That takes a client in
Python, which costs the server nothing but its pace: messages per second are the client's.
"""

from __future__ import annotations

from random import Random

from wsfast import FrameEncoder, MessageDecoder, Role
from wsfast.deflate import PerMessageDeflate
from wsfast.errors import HandshakeError
from wsfast.handshake import ClientHandshake

from .._load_py import HEAD_MAX, Lane, Load, left
from .events import cut, live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

WINDOW = 64 << 10  # bytes; twice the largest window: no message is found whole in what came before


def event_lanes(connections: int, size: int) -> list[list[str]]:
    """By connection, JSON of ``size`` bytes."""
    count = max(2, WINDOW // size)
    return [cut(live, Random(connection), size, count) for connection in range(connections)]


class TextLane(Lane):
    """Sends texts round and round, and expects them back."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        self.texts = texts
        self.started = self.answered = 0
        self.out = bytearray()

    def greet(self, deadline: float) -> None:
        """ConnectionError where the server does not open the connection, compressed."""
        host, port = self.sock.getpeername()[:2]
        offer = PerMessageDeflate()
        handshake = ClientHandshake(f"ws://{host}:{port}/", extensions=[offer])
        self.sock.sendall(handshake.request())
        response = None
        while response is None:
            self.sock.settimeout(left(deadline))
            data = self.sock.recv(HEAD_MAX)
            if not data:
                raise ConnectionResetError("the server closed the connection after 0 messages")
            try:
                response = handshake.feed(data)
            except HandshakeError as exc:
                raise ConnectionError(f"the server refused the handshake: {exc}") from None
        if early := handshake.trailing[:16]:
            raise ConnectionError(f"the server spoke before it was spoken to: {early!r}")
        if not response.extensions:
            raise ConnectionError("the server did not agree on permessage-deflate")
        (agreed,) = response.extensions
        self.encoder = FrameEncoder(Role.CLIENT, deflate=agreed.deflater())
        self.decoder = MessageDecoder(Role.CLIENT, inflate=agreed.inflater())

    def start(self, count: int) -> None:
        for _ in range(count):
            self.out += self.encoder.text(self.texts[self.started % len(self.texts)])
            self.started += 1

    def unsent(self) -> bytearray:
        return self.out

    def gone(self, size: int) -> None:
        del self.out[:size]

    def take(self, data: bytes) -> tuple[int, int, int]:
        replies = self.decoder.feed(data)
        wrong = 0
        for reply in replies:
            if not isinstance(reply, str):
                raise ConnectionError(f"the server sent something else than text: {reply!r}")
            wrong += reply != self.texts[self.answered % len(self.texts)]
            self.answered += 1
        return len(replies), wrong, len(replies)


def run(
    host: str,
    port: int,
    lanes: Sequence[Sequence[str]],
    *,
    in_flight: int = 1,
    timeout: float = 5.0,
    **phases: Any,
) -> tuple[int, float, int]:
    """As ``wsfast.cli._load.run``, a lane being the texts of a connection."""
    load = Load([TextLane(texts) for texts in lanes], in_flight, timeout)
    return load.run(host, port, **phases)

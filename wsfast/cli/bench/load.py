"""What is sent: pre-built masked frames, the replies they must get, and what sends them."""

from __future__ import annotations

import base64
import json
import os

from wsfast import FrameEncoder, Role
from wsfast._handshake_values import accept_key

from .apps import acknowledge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Lane = tuple[bytes, bytes, int]

try:
    from wsfast.cli._load import run

    GENERATOR = "c"
except ModuleNotFoundError as exc:
    if exc.name != "wsfast.cli._load":
        raise
    from wsfast.cli._load_py import run

    GENERATOR = "python"

__all__ = ["GENERATOR", "JSON_SIZE", "json_lanes", "raw_lanes", "run", "text_lanes", "upgrade"]

JSON_SIZE = 200


def _turn(size: int) -> int:
    """How many messages differ: a swapped or repeated reply shows, and few stay in the cache."""
    return 4 if size <= 4096 else 2


def _text(connection: int, number: int, size: int) -> str:
    """ASCII of exactly ``size`` bytes, different for each connection and number."""
    label = f"{connection:03}.{number} "
    return (label * (size // len(label) + 1))[:size]


def _question(connection: int, number: int) -> dict[str, object]:
    """A chat message whose JSON is ``JSON_SIZE`` bytes."""
    message: dict[str, object] = {
        "type": "message.new",
        "id": f"{connection:03}-{number}",
        "room": "general",
        "user": {"id": 4211, "name": "Ada Lovelace"},
        "ts": 1764012345678,
        "text": "",
    }
    message["text"] = _text(connection, number, JSON_SIZE - len(_dumps(message)))
    return message


def _dumps(message: dict[str, object]) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)  # as Starlette does


def _lanes(pairs: Callable[[int, int], tuple[str, str]], connections: int, turn: int) -> list[Lane]:
    client, server = FrameEncoder(Role.CLIENT), FrameEncoder(Role.SERVER)
    lanes = []
    for connection in range(connections):
        texts = [pairs(connection, number) for number in range(turn)]
        requests = b"".join([client.text(request) for request, _ in texts])  # each its own key
        replies = b"".join([server.text(reply) for _, reply in texts])
        lanes.append((requests, replies, turn))
    return lanes


def text_lanes(connections: int, size: int) -> list[Lane]:
    """Text messages of ``size`` bytes that must come back as they are."""

    def pair(connection: int, number: int) -> tuple[str, str]:
        text = _text(connection, number, size)
        return text, text

    return _lanes(pair, connections, _turn(size))


def json_lanes(connections: int) -> list[Lane]:
    """JSON questions of ``JSON_SIZE`` bytes and the application's answers."""

    def pair(connection: int, number: int) -> tuple[str, str]:
        question = _question(connection, number)
        return _dumps(question), _dumps(acknowledge(question))

    return _lanes(pair, connections, _turn(JSON_SIZE))


def raw_lanes(connections: int, size: int) -> list[Lane]:
    """The same bytes as ``text_lanes``, for a TCP echo: the masked frames themselves come back."""
    return [(out, out, turn) for out, _, turn in text_lanes(connections, size)]


def upgrade() -> tuple[bytes, bytes]:
    """The request of an opening handshake, and the value its answer must hold."""
    key = base64.b64encode(os.urandom(16))
    request = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + key + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return request, accept_key(key)

"""Real clients against uvicorn with our class: both back ends, ws and wss, compressed or not."""

from __future__ import annotations

import json
import time
import uuid
from urllib.parse import urlencode

import pytest
from clients.base import Client, End
from clients.registry import CLIENTS

MESSAGES = {
    "ascii": "The quick brown fox jumps over the lazy dog. " * 4,
    "latin-1": "Grüße aus Zürich, à bientôt",
    "bmp": "ἐν ἀρχῇ ἦν ὁ λόγος 中文 עברית",
    "emoji": "👋🏽 🧑‍🚀 🏳️‍🌈 \U0010ffff",
    "empty-text": "",
    "empty-binary": b"",
    "every-octet": bytes(range(256)),
    "binary-300k": bytes(range(256)) * 1172,
    "text-300k": "0123456789abcdéf" * 18750,
}


def some_clients(ability: str | None = None) -> pytest.MarkDecorator:
    """Parametrizes `client` with those that have the ability (a field of registry.Entry)."""
    marks = {"node": [pytest.mark.node], "chromium": [pytest.mark.chromium]}
    return pytest.mark.parametrize(
        "client",
        [
            pytest.param(name, marks=marks.get(name, []), id=name)
            for name, entry in CLIENTS.items()
            if ability is None or getattr(entry, ability)
        ],
        indirect=True,
    )


@some_clients()
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_message_comes_back(client: Client, target, message) -> None:
    client.open(target.url(), [])
    client.send(message)
    assert client.receive() == message
    client.close(1000, "")


@some_clients()
def test_many_messages_in_flight_keep_their_order(client: Client, target) -> None:
    client.open(target.url(), [])
    messages = [f"{number} é" if number % 2 else number.to_bytes(4) * 50 for number in range(100)]
    for message in messages:
        client.send(message)
    assert [client.receive() for _ in messages] == messages
    client.close(1000, "")


@some_clients("fragments")
@pytest.mark.parametrize(
    "pieces",
    [["Grü", "ße ", "", "👋", "."], [b"\x00" * 70000, b"", b"\xff" * 10, b"\x80"]],
    ids=["text", "binary"],
)
def test_a_fragmented_message_comes_back_whole(client: Client, target, pieces) -> None:
    client.open(target.url(), [])
    client.send_fragments(pieces)
    assert client.receive() == type(pieces[0])().join(pieces)
    client.close(1000, "")


@some_clients("pings")
@pytest.mark.parametrize("payload", [b"", b"marco", bytes(range(125))], ids=len)
def test_a_ping_is_answered_with_its_payload(client: Client, target, payload) -> None:
    client.open(target.url(), [])
    assert client.ping(payload) == payload
    client.close(1000, "")


@some_clients()
def test_our_pings_are_answered(client: Client, keepalive_target) -> None:
    """The connection outlives the keepalive time-out, so the client's Pongs were understood."""
    client.open(keepalive_target.url(), [])
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline:  # clients without a thread answer pings only as they read
        client.send("still here")
        assert client.receive() == "still here"
        time.sleep(0.1)
    client.close(1000, "")


@some_clients()
def test_the_client_closes(client: Client, target) -> None:
    """Its code and reason reach the application, and our answer carries the code back."""
    connection_id = uuid.uuid4().hex
    client.open(target.url(f"/?id={connection_id}"), [])
    client.close(4002, "auf Wiederhören 👋")
    assert client.wait_closed().code == 4002
    end = json.loads(target.get(f"/ended?id={connection_id}"))
    assert end == {"code": 4002, "reason": "auf Wiederhören 👋"}


@some_clients()
@pytest.mark.parametrize("code, reason", [(1000, ""), (3001, "à bientôt 👋"), (4999, "x" * 123)])
def test_the_application_closes(client: Client, target, code, reason) -> None:
    client.open(target.url("/close?" + urlencode({"code": code, "reason": reason})), [])
    client.send("close, please")
    assert client.wait_closed() == End(code, reason)


@some_clients()
def test_a_message_above_the_limit_is_refused(client: Client, small_target) -> None:
    limit = small_target.kind.max_message
    client.open(small_target.url(), [])
    client.send("a" * limit)
    assert client.receive() == "a" * limit
    client.send("a" * (limit + 1))
    assert client.wait_closed().code == 1009


@some_clients()
def test_compression_is_negotiated_only_when_both_want_it(
    client: Client, target, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["client"]
    client.open(target.url(), [])
    both = CLIENTS[name].compresses and target.kind.compression
    assert client.extensions.partition(";")[0] == ("permessage-deflate" if both else "")
    client.close(1000, "")


@some_clients()
def test_a_subprotocol_is_agreed(client: Client, target) -> None:
    client.open(target.url(), ["wsfast.test", "other"])
    assert client.subprotocol == "wsfast.test"
    client.close(1000, "")

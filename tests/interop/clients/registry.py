"""The clients there are, and what each can do; known without importing any of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from clients.base import Client, Unavailable


@dataclass(frozen=True)
class Entry:
    module: str
    cls: str
    fragments: bool = True  # it can send a message in frames of the caller's choosing
    pings: bool = True  # it can send a Ping
    compresses: bool = True  # it offers permessage-deflate


CLIENTS = {
    "websockets": Entry("clients.websockets_client", "Websockets"),
    "websocket-client": Entry("clients.websocket_client", "WebsocketClient", compresses=False),
    "aiohttp": Entry("clients.aiohttp_client", "Aiohttp", fragments=False),
    "node": Entry("clients.javascript", "Node"),
    "chromium": Entry("clients.javascript", "Chromium", fragments=False, pings=False),
}


def make(name: str, ca_file: str) -> Client:
    entry = CLIENTS[name]
    try:
        client: Client = getattr(importlib.import_module(entry.module), entry.cls)(ca_file)
    except ModuleNotFoundError as exc:
        raise Unavailable(f"{exc}; run `make interop-deps`") from exc
    return client

"""The hosts of the scenarios: names and facts, nothing that imports one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """``module`` of this folder has ``function(stage, *options)``, which never returns."""

    module: str
    function: str
    requires: tuple[str, ...]  # what must be importable
    driver: str  # the name wsfast.status() has for what is patched
    client: bool = False  # the raw peer is the server
    http2: bool = False  # the raw peer speaks HTTP/2
    deflate: bool = True  # permessage-deflate is agreed on when it is offered
    options: tuple[str, ...] = ()
    cork: bool = False  # install(cork=True) is a mode of its own
    skip: tuple[str, ...] = ()  # scenarios, by their beginnings, that end differently every time
    threads: bool = False  # answers to pings and messages race; only the order within each holds


# simple-websocket wakes its application before it notes that the connection is closed: most times
# the application sleeps on.
_SLEEPS_ON = ("too-big-", "deflate-fault-bomb")
# One thread, or task, writes what does not fit while another reads what ends the connection.
_RACES = ("send-slow-close", "send-slow-reset")
# The end of a stream overtakes what its application has not received, or does not.
_OVERTAKEN = "queued"
_THREADS_RACE = (*_RACES, "send-close-reason-none")

HOSTS = {
    "websockets-asyncio-server": Host(
        "websockets_asyncio", "server", ("websockets",), "websockets", cork=True
    ),
    "websockets-asyncio-client": Host(
        "websockets_asyncio", "client", ("websockets",), "websockets", client=True, cork=True
    ),
    "websockets-asyncio-narrow": Host(
        "websockets_asyncio", "server", ("websockets",), "websockets",
        deflate=False, options=("narrow",), cork=True,
    ),
    "websockets-sync-server": Host(
        "websockets_sync", "server", ("websockets",), "websockets",
        skip=_THREADS_RACE, threads=True,
    ),
    "websockets-sync-client": Host(
        "websockets_sync", "client", ("websockets",), "websockets",
        client=True, skip=_THREADS_RACE, threads=True,
    ),
    "websockets-trio-server": Host(
        "websockets_trio", "server", ("websockets.trio", "trio"), "websockets"
    ),
    "websockets-trio-client": Host(
        "websockets_trio", "client", ("websockets.trio", "trio"), "websockets", client=True
    ),
    "uvicorn-sansio": Host(
        "asgi", "uvicorn_server", ("uvicorn", "httptools", "uvloop", "websockets"), "websockets",
        options=("websockets-sansio", "httptools", "uvloop"),
    ),
    "uvicorn-legacy": Host(
        "asgi", "uvicorn_server", ("uvicorn", "websockets.legacy"), "websockets",
        options=("websockets", "h11", "asyncio"), skip=_RACES,
    ),
    "uvicorn-wsproto": Host(
        "asgi", "uvicorn_server", ("uvicorn", "wsproto"), "wsproto",
        options=("wsproto", "h11", "asyncio"),
    ),
    "hypercorn": Host("asgi", "hypercorn_server", ("hypercorn",), "wsproto"),
    "hypercorn-h2": Host(
        "asgi", "hypercorn_server", ("hypercorn", "h2"), "wsproto", http2=True,
        skip=(*_RACES, _OVERTAKEN),
    ),
    "trio-websocket-server": Host(
        "trio_websockets", "server", ("trio_websocket",), "wsproto",
        deflate=False, skip=("send-fail", "too-big-then-more"),  # they take the whole server down
    ),
    "trio-websocket-client": Host(
        "trio_websockets", "client", ("trio_websocket",), "wsproto", client=True, deflate=False
    ),
    "httpx-ws-client": Host(
        "httpx_client", "client", ("httpx_ws",), "wsproto", client=True, deflate=False
    ),
    "simple-websocket-server": Host(
        "simple_websockets", "server", ("simple_websocket",), "simple-websocket",
        skip=(*_SLEEPS_ON, *_RACES), threads=True,
    ),
    "simple-websocket-client": Host(
        "simple_websockets", "client", ("simple_websocket",), "simple-websocket",
        client=True, deflate=False, skip=(*_SLEEPS_ON, *_RACES), threads=True,
    ),
}  # fmt: skip


def absent(modules: Iterable[str]) -> list[str]:
    """Those of them that are not installed."""
    found = []
    for module in modules:
        try:
            if importlib.util.find_spec(module) is None:
                found.append(module)
        except ModuleNotFoundError:  # of its package
            found.append(module)
    return found

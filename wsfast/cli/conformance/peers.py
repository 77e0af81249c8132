"""Who is compared: the echo servers that ``wsfast conformance --peers`` can start."""

from __future__ import annotations

import time
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from ..bench import launch
from ..bench.progress import progress
from ..bench.result import now
from . import report
from .opening import Url
from .prober import Prober, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .case import Case, Result

LIMIT = 1 << 20  # bytes of a message: what every server that has such a limit is told


class Peer(NamedTuple):
    """One echo server. ``accelerated``: the host that ``wsfast.install`` is called for."""

    id: str
    serve: str  # the function of hosts.SERVE
    needs: tuple[str, ...] = ()  # modules: the server first
    accelerated: str = ""
    ws: str = ""  # uvicorn's option
    http: str = "auto"  # and this one: httptools where it is installed
    limited: bool = True  # whether it has a limit of a message that can be set

    @property
    def packages(self) -> list[str]:
        """As pip calls them."""
        return [module.partition(".")[0].replace("_", "-") for module in self.needs]

    @property
    def versions(self) -> dict[str, str]:
        return {name: metadata.version(name) for name in self.packages}


_WSPROTO = ("uvicorn", "wsproto")
PEERS = {
    peer.id: peer
    for peer in (
        Peer("wsfast.uvicorn", "uvicorn", ("uvicorn",), ws="wsfast.uvicorn:WebSocketProtocol"),
        Peer(
            "wsfast.uvicorn-h11",
            "uvicorn",
            ("uvicorn", "h11"),
            ws="wsfast.uvicorn:WebSocketProtocol",
            http="h11",
        ),
        Peer("wsfast.Connection", "connection"),
        Peer("websockets", "websockets", ("websockets",)),
        Peer("websockets+wsfast", "websockets", ("websockets",), "websockets"),
        Peer("picows.websockets", "picows", ("picows",)),
        Peer("uvicorn", "uvicorn", ("uvicorn", "websockets"), ws="auto"),
        Peer("uvicorn+wsfast", "uvicorn", ("uvicorn", "websockets"), "websockets", ws="auto"),
        Peer("uvicorn-wsproto", "uvicorn", _WSPROTO, ws="wsproto"),
        Peer("uvicorn-wsproto+wsfast", "uvicorn", _WSPROTO, "wsproto", ws="wsproto"),
        Peer("hypercorn", "hypercorn", ("hypercorn", "wsproto")),
        Peer("hypercorn+wsfast", "hypercorn", ("hypercorn", "wsproto"), "wsproto"),
        Peer("aiohttp", "aiohttp", ("aiohttp",)),
        Peer("tornado", "tornado", ("tornado",)),
        Peer("autobahn", "autobahn", ("autobahn",)),
        Peer("simple-websocket", "simple_websocket", ("simple_websocket", "wsproto")),
        Peer("ws4py", "ws4py", ("ws4py",), limited=False),
        Peer("gevent-websocket", "gevent_websocket", ("gevent_websocket", "gevent"), limited=False),
    )
}
# What is imported, where pip's name is not the module's.
MODULES = {"gevent_websocket": "geventwebsocket"}

BOOT = launch.BOOT.replace("wsfast.cli.bench.servers", "wsfast.cli.conformance.hosts")


class PeerServer(launch.Server):
    """Its process, with the one application there is."""

    def __init__(self, peer: Peer) -> None:
        super().__init__((peer.id, "with", "echo"))

    def boot(self) -> str:
        return BOOT


def installed() -> tuple[list[Peer], dict[str, str]]:
    """Who can be started here, and who cannot, with the reason."""
    chosen, missing = [], {}
    for peer in PEERS.values():
        absent = [
            package
            for module, package in zip(peer.needs, peer.packages)
            if find_spec(MODULES.get(module, module)) is None
        ]
        if absent:
            missing[peer.id] = f"not installed: {', '.join(absent)}"
        else:
            chosen.append(peer)
    return chosen, missing


def compare(
    peers: Sequence[Peer], cases: Sequence[Case], timeout: float, missing: dict[str, str]
) -> dict[str, Any]:
    """Each peer in turn; the document of all."""
    from wsfast import __version__, backend

    started = time.monotonic()
    found = []
    for peer in peers:
        with progress(peer.id) as update:
            try:
                results = _probe(peer, cases, timeout, update)
            except (launch.ServerError, Unreachable) as exc:
                missing[peer.id] = str(exc)
                continue
        one = report.document("server", peer.id, results, started, LIMIT)
        found.append({"id": peer.id, "versions": peer.versions, **one})
    return {
        "schema": report.SCHEMA,
        "wsfast": __version__,
        "backend": backend(),
        "side": "peers",
        "finished": now(),
        "seconds": round(time.monotonic() - started, 2),
        "missing": missing,
        "peers": found,
    }


def _probe(
    peer: Peer, cases: Sequence[Case], timeout: float, update: Callable[[float], None]
) -> list[Result]:
    server = PeerServer(peer)
    try:
        server.wait_ready(time.monotonic() + launch.START_TIMEOUT)
        url = Url(False, "127.0.0.1", server.port, "/")
        prober = Prober(url, timeout=timeout, limit=LIMIT if peer.limited else None)
        prober.check()
        return prober.run(cases, update)
    finally:
        server.stop()

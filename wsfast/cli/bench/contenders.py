"""Who is measured: every server that ``wsfast bench`` can start, plain and with wsfast."""

from __future__ import annotations

from typing import NamedTuple

LOOPS = ("asyncio", "uvloop")
OWN_LOOPS = ("threads", "trio")  # of hosts that bring their own


class Contender(NamedTuple):
    """One server. ``id`` is ``HOST`` or ``HOST+WAY``, which is compared with plain ``HOST``."""

    id: str
    serve: str  # the function of servers.SERVE that runs it
    loops: tuple[str, ...] = LOOPS
    needs: tuple[str, ...] = ()  # modules: the host, and last what does its framing
    way: str = ""  # how wsfast is switched on, a key of WAYS; empty for not at all
    ws: str = ""  # uvicorn's option
    also: tuple[str, ...] = ()  # hosts of wsfast's beside the one that does the framing

    @property
    def plain(self) -> str:
        """The same host without wsfast."""
        return self.id.partition("+")[0]

    @property
    def hosts(self) -> tuple[str, ...]:
        """What ``wsfast.install()`` is called with."""
        return self.needs[-1], *self.also

    @property
    def installs(self) -> bool:
        """Whether it calls ``wsfast.install()``."""
        return self.way in ("install", "cork", "frames")


WAYS = {
    "install": "wsfast.install()",
    "cork": "wsfast.install(cork=True)",
    "frames": "wsfast.install() of the frames alone, not of asyncio connections",
    "hook": "create_connection=wsfast.websockets.asyncio.ServerConnection, nothing patched",
    "class": "--ws wsfast.uvicorn:WebSocketProtocol, nothing patched",
}

_WEBSOCKETS = ("websockets",)
_UVICORN = ("uvicorn", "websockets")
_UVICORN_WSPROTO = ("uvicorn", "wsproto")
_HYPERCORN = ("hypercorn", "wsproto")
_SIMPLE = ("simple_websocket", "wsproto")
_TRIO = ("trio_websocket", "wsproto")

CONTENDERS = {
    contender.id: contender
    for contender in (
        Contender("raw-tcp", "raw"),
        Contender("websockets", "websockets", LOOPS, _WEBSOCKETS),
        Contender("websockets+frames", "websockets", LOOPS, _WEBSOCKETS, "frames"),
        Contender("websockets+wsfast", "websockets", LOOPS, _WEBSOCKETS, "install"),
        Contender("websockets+cork", "websockets", LOOPS, _WEBSOCKETS, "cork"),
        Contender("websockets+hook", "websockets", LOOPS, _WEBSOCKETS, "hook"),
        Contender("picows.websockets", "picows_websockets", LOOPS, ("picows",)),
        Contender("picows", "picows", LOOPS, ("picows",)),
        Contender("uvicorn", "uvicorn", LOOPS, _UVICORN, ws="auto"),
        Contender("uvicorn+install", "uvicorn", LOOPS, _UVICORN, "install", ws="auto"),
        Contender(
            "uvicorn+wsfast",
            "uvicorn",
            LOOPS,
            ("uvicorn",),
            "class",
            ws="wsfast.uvicorn:WebSocketProtocol",
        ),
        Contender("uvicorn-wsproto", "uvicorn", LOOPS, _UVICORN_WSPROTO, ws="wsproto"),
        Contender(
            "uvicorn-wsproto+wsfast", "uvicorn", LOOPS, _UVICORN_WSPROTO, "install", ws="wsproto"
        ),
        Contender("hypercorn", "hypercorn", ("asyncio",), _HYPERCORN),
        Contender("hypercorn+wsfast", "hypercorn", ("asyncio",), _HYPERCORN, "install"),
        Contender("simple-websocket", "simple_websocket", ("threads",), _SIMPLE),
        Contender(
            "simple-websocket+wsfast",
            "simple_websocket",
            ("threads",),
            _SIMPLE,
            "install",
            also=("simple-websocket",),
        ),
        Contender("trio-websocket", "trio_websocket", ("trio",), _TRIO),
        Contender("trio-websocket+wsfast", "trio_websocket", ("trio",), _TRIO, "install"),
    )
}

RIVALS = ("picows.websockets", "picows")  # beside websockets, whose interface the first has

# (of, to): how many times cheaper `of` is than `to`. First each with its own host.
PAIRS = (
    *[(one.id, one.plain) for one in CONTENDERS.values() if one.way],
    ("uvicorn+wsfast", "raw-tcp"),
    *[(rival, "websockets") for rival in RIVALS],
    *[(f"websockets+{way}", rival) for rival in RIVALS for way in ("wsfast", "cork")],
)

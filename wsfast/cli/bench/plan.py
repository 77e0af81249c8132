"""What is measured: which servers, on which loops, with which application, sizes and depths."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from .load import JSON_SIZE, json_lanes, raw_lanes, text_lanes, upgrade

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .launch import Key
    from .load import Lane

SERVERS = ("raw-tcp", "uvicorn", "uvicorn+wsfast")
LOOPS = ("asyncio", "uvloop")
APPS = ("starlette", "raw")  # the realistic one first, here and in the table
SIZES = (32, 1024, 65536)
IN_FLIGHT = (1, 16)
CONNECTIONS = 8

# (of, to): how many times cheaper `of` is than `to`.
PAIRS = (("uvicorn+wsfast", "uvicorn"), ("uvicorn+wsfast", "raw-tcp"))


class Missing(Exception):
    """Something the user asked for is not installed."""


class Group(NamedTuple):
    """The servers that are compared with each other, and under what load."""

    loop: str
    app: str
    size: int
    in_flight: int
    servers: tuple[str, ...]

    def key(self, server: str) -> Key:
        return server, self.loop, self.app

    def lanes(self, server: str) -> list[Lane]:
        """What its connections send and expect, with fresh masking keys."""
        if server == "raw-tcp":
            return raw_lanes(CONNECTIONS, self.size)
        if self.app == "starlette":
            return json_lanes(CONNECTIONS)
        return text_lanes(CONNECTIONS, self.size)

    def handshake(self, server: str) -> tuple[bytes | None, bytes]:
        return (None, b"") if server == "raw-tcp" else upgrade()


def groups(loops: tuple[str, ...], apps: tuple[str, ...], servers: tuple[str, ...]) -> list[Group]:
    """Every combination that exists, in the order of the table."""
    result = []
    asgi = tuple([name for name in servers if name != "raw-tcp"])
    if "starlette" in apps and asgi:
        result += [Group(loop, "starlette", JSON_SIZE, 1, asgi) for loop in loops]
    if "raw" in apps:
        result += [
            Group(loop, "raw", size, in_flight, servers)
            for in_flight in IN_FLIGHT
            for size in SIZES
            for loop in loops
        ]
    return result


def choose_loops(wish: str | None) -> tuple[str, ...]:
    """The event loops to run on; without a wish, those that are installed."""
    if wish is None:
        return LOOPS if find_spec("uvloop") else LOOPS[:1]
    loops = LOOPS if wish == "both" else (wish,)
    if "uvloop" in loops:
        _require("uvloop")
    return loops


def choose_apps(wish: str | None) -> tuple[str, ...]:
    """The applications to serve; without a wish, those that are installed."""
    if wish is None:
        return APPS if find_spec("starlette") else ("raw",)
    if wish == "starlette":
        _require("starlette")
    return (wish,)


def check_servers(servers: tuple[str, ...]) -> None:
    """Missing when a server that was asked for cannot run here."""
    if set(servers) - {"raw-tcp"}:
        _require("uvicorn")


def _require(module: str) -> None:
    if not find_spec(module):
        raise Missing(f"{module} is not installed: pip install 'wsfast[bench]'")

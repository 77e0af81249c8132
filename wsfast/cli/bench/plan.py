"""What is measured: which servers, on which loops, with which application, sizes and depths."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

from . import deflated
from .contenders import CONTENDERS, LOOPS, OWN_LOOPS, RIVALS
from .load import JSON_SIZE, json_lanes, raw_lanes, run, text_lanes, upgrade

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .launch import Key

FLOOR = "raw-tcp"
APPS = ("starlette", "raw", "deflate")  # the realistic one first, here and in the table
SIZES = (32, 1024, 65536)
DEFLATE = ((200, 1), (1024, 1), (16384, 1), (200, 16))  # sizes and in flight: zlib takes its time
IN_FLIGHT = (1, 16)
CONNECTIONS = 8


class Kind(NamedTuple):
    """``wsfast bench KIND``: its servers, in families that take turns, and its default time."""

    families: tuple[tuple[str, ...], ...]
    seconds: float

    @property
    def servers(self) -> tuple[str, ...]:
        """In the order of the table; the floor belongs to whichever family is there."""
        return (FLOOR, *[name for family in self.families for name in family])


def _hosts() -> tuple[tuple[str, ...], ...]:
    """The contenders by host; the rivals take turns with websockets."""
    families: dict[str, list[str]] = {}
    for one in CONTENDERS.values():
        host = "websockets" if one.id in RIVALS else one.plain
        families.setdefault(host, []).append(one.id)
    del families[FLOOR]
    return tuple([tuple(family) for family in families.values()])


KINDS = {
    "echo": Kind((("uvicorn", "uvicorn+wsfast"),), 60.0),
    "hosts": Kind(_hosts(), 480.0),
}


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

    def lanes(self, server: str) -> list[Any]:
        """What its connections send and expect, with fresh masking keys; for ``load``."""
        if self.app == "deflate":
            return deflated.event_lanes(CONNECTIONS, self.size)
        if server == FLOOR:
            return raw_lanes(CONNECTIONS, self.size)
        if self.app == "starlette":
            return json_lanes(CONNECTIONS)
        return text_lanes(CONNECTIONS, self.size)

    def load(
        self, server: str, port: int, lanes: list[Any], **options: Any
    ) -> tuple[int, float, int]:
        """``wsfast.cli._load.run`` with the handshake and, of all, the client that this needs."""
        if self.app == "deflate":
            return deflated.run("127.0.0.1", port, lanes, in_flight=self.in_flight, **options)
        options["request"], options["accept"] = (None, b"") if server == FLOOR else upgrade()
        return run("127.0.0.1", port, lanes, in_flight=self.in_flight, **options)


def groups(
    kind: str, loops: tuple[str, ...], apps: tuple[str, ...], servers: tuple[str, ...]
) -> list[Group]:
    """Every combination that exists, in the order of the table."""
    result = []
    asgi = tuple([name for name in servers if CONTENDERS[name].serve == "uvicorn"])
    if "starlette" in apps and asgi:
        result += [Group(loop, "starlette", JSON_SIZE, 1, asgi) for loop in loops]
    if "raw" in apps:
        result += [
            Group(loop, "raw", size, in_flight, family)
            for in_flight in IN_FLIGHT
            for size in SIZES
            for loop in loops
            for family in _families(kind, loop, servers)
        ]
    if "deflate" in apps and asgi:
        result += [
            Group(loop, "deflate", size, in_flight, asgi)
            for size, in_flight in DEFLATE
            for loop in loops
        ]
    return result


def _families(kind: str, loop: str, servers: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Those of the servers that run on this loop, the floor with the first of them."""
    here = [name for name in servers if loop in CONTENDERS[name].loops]
    families = [tuple([name for name in family if name in here]) for family in KINDS[kind].families]
    families = [family for family in families if family]
    if FLOOR in here:
        families[:1] = [(FLOOR, *(families[0] if families else ()))]
    return families


def choose_loops(kind: str, wish: str | None) -> tuple[str, ...]:
    """The event loops to run on; without a wish, those that are installed, and of ``hosts`` also
    those that are a host's own."""
    if wish is None:
        own = OWN_LOOPS if kind == "hosts" else ()
        return (*(LOOPS if find_spec("uvloop") else LOOPS[:1]), *own)
    loops = LOOPS if wish == "both" else (wish,)
    if "uvloop" in loops:
        _require("uvloop")
    return loops


def choose_apps(kind: str, wish: str | None) -> tuple[str, ...]:
    """The applications to serve; without a wish, those that are installed."""
    if kind == "hosts":
        return ("raw",)
    if wish is None:
        return tuple([app for app in APPS if app != "starlette" or find_spec("starlette")])
    if wish == "starlette":
        _require("starlette")
    return (wish,)


def choose_servers(
    kind: str, wish: tuple[str, ...] | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The servers to start, and why others of this kind are left out.

    Missing when one that was asked for cannot run here, or, without a wish, when nothing can.
    """
    servers = wish or KINDS[kind].servers
    left_out = {name: why for name in servers if (why := lacking(name))}
    able = tuple([name for name in servers if name not in left_out])
    if left_out and (wish or kind == "echo" or able == (FLOOR,)):
        raise Missing(lacking(*left_out))
    return able, left_out


def lacking(*names: str) -> str:
    """Why these contenders cannot run here; empty where they can."""
    chosen = [CONTENDERS[name] for name in names]
    needed = dict.fromkeys([module for one in chosen for module in one.needs])
    missing = [module for module in needed if not find_spec(module)]
    if missing:
        return _advice(*missing)
    if any(one.installs for one in chosen) and not _installable():
        return "the C extension is not there, and wsfast.install() needs it: see wsfast status"
    return ""


def _installable() -> bool:
    """Whether ``wsfast.install()`` would do anything with this back end."""
    from wsfast import codec

    return codec.backend() != "python" or bool(codec.environment())


def _require(module: str) -> None:
    if not find_spec(module):
        raise Missing(_advice(module))


def _advice(*modules: str) -> str:
    be = "is" if len(modules) == 1 else "are"
    return f"{', '.join(modules)} {be} not installed: pip install 'wsfast[bench]'"

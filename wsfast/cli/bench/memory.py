"""Memory of an idle connection: what a fresh server grows by, after one message on each."""

from __future__ import annotations

from . import launch
from .load import run, text_lanes, upgrade
from .measure import BenchError
from .plan import CONNECTIONS, FLOOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .launch import Key, Server
    from .plan import Group

IDLE = 1000  # connections; fewer where fewer files may be open
OTHER_FILES = 64  # that a server has open besides
SIZE = 32  # bytes of the message
LOOP = "asyncio"
ROUNDS = 3  # each with a process of its own: what the heap had left over differs


def connections() -> int:
    """How many connections this process and a server it starts may have."""
    try:
        import resource
    except ModuleNotFoundError:
        return IDLE
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return IDLE if limit == resource.RLIM_INFINITY else max(1, min(IDLE, limit - OTHER_FILES))


def keys(groups: Sequence[Group]) -> list[Key]:
    """Whose memory is looked at: on one loop, since the transports' share is not the question."""
    found = [group.key(name) for group in groups for name in group.servers if name != FLOOR]
    return [key for key in dict.fromkeys(found) if key[1] == LOOP]


def measure(
    groups: Sequence[Group], update: Callable[[float], object]
) -> dict[Key, list[tuple[int, int]]]:
    """Per server and round (connections, bytes they took); nothing where the system does not
    say. BenchError where a server fails."""
    found: dict[Key, list[tuple[int, int]]] = {}
    todo = keys(groups) * ROUNDS
    for number, key in enumerate(todo):
        update(number / len(todo))
        with launch.servers([key]) as servers:
            count = connections()
            try:
                grown = _growth(servers[key], count)
            except OSError as exc:
                raise BenchError(f"{servers[key]}: {exc}; {servers[key].last_words()}") from exc
        if grown is not None:
            found.setdefault(key, []).append((count, grown))
    return found


def _growth(server: Server, count: int) -> int | None:
    sizes: list[int | None] = []
    for lanes in (CONNECTIONS, count):  # the first few load what is loaded late
        request, accept = upgrade()
        run(
            "127.0.0.1",
            server.port,
            text_lanes(lanes, SIZE),
            request=request,
            accept=accept,
            warmup=lanes,  # one message each, and then:
            messages=lanes,
            mark=lambda: sizes.append(server.pss()),
        )
    _, before, during, _ = sizes
    return None if before is None or during is None else during - before

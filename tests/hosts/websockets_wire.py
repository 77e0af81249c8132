"""A websockets asyncio Connection without a socket, on a loop whose time passes at once.

A *scenario* is a coroutine function of one ``Act``; ``perform`` returns its trace: what each task
met, and what the transport was told, in order. Nothing in it depends on the clock.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import streams
import websockets_lab as lab
from websockets.asyncio.connection import Connection
from websockets.protocol import Protocol, Side

Scenario = Callable[["Act"], Coroutine[Any, Any, None]]


class Clock(selectors.SelectSelector):
    """Waits by putting the clock forward; waiting for ever is an error."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("nothing will ever happen again")
        self.now += max(timeout, 0)
        return []


class Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


class Wire(asyncio.Transport):
    """Keeps what it is told. Like a socket's transport, it holds back what arrives while reading
    is paused, and takes nothing after its end."""

    def __init__(self, act: Act) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.act = act
        self.held: list[bytes] = []
        self.reading = True
        self.ended = self.closing = self.lost = False
        self.fault: Exception | None = None

    def write(self, data: Any) -> None:
        if self.fault is not None:
            raise self.fault
        if self.ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        kind = "written late" if self.closing else "written"
        self.act.say("wire", kind, self.act.clear(bytes(data)))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        self.act.say("flow", "pause", self.reading)
        self.reading = False

    def resume_reading(self) -> None:
        self.act.say("flow", "resume", self.reading)
        self.reading = True
        self.act.loop.call_soon(self.deliver)

    def deliver(self) -> None:
        while self.held and self.reading and not self.lost:
            self.act.connection.data_received(self.held.pop(0))

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        self.act.say("flow", "limits", high, low)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.act.say("wire", "eof")
        self.ended = True

    def close(self) -> None:
        self.act.say("wire", "close")
        self.end(None)

    def abort(self) -> None:
        self.act.say("wire", "abort")
        self.end(None)

    def end(self, exc: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            self.act.loop.call_soon(self.lose, exc)

    def lose(self, exc: Exception | None) -> None:
        if not self.lost:
            self.lost = self.closing = True
            self.act.connection.connection_lost(exc)


class Log(logging.Handler):
    def __init__(self, act: Act) -> None:
        super().__init__()
        self.act = act

    def emit(self, record: logging.LogRecord) -> None:
        exc = record.exc_info[1] if record.exc_info else None
        # The text of a frame that is logged fails for some in websockets 15 and 16.0.
        text = lab.outcome(record.getMessage)
        self.act.say("log", record.levelname, text, lab.raised(exc))


class Act:
    """What a scenario has to play with."""

    def __init__(self, make: Callable[[Act], Any], turn: Callable[[], None]) -> None:
        self.turn = turn  # before each feed: where drivers come and go
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self.unhandled)
        self.trace: list[Any] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.names = itertools.count()
        self.logger = logging.Logger("websockets.lab", logging.INFO)
        self.logger.addHandler(Log(self))
        self.connection = make(self)

    def start(self) -> None:
        self.wire = Wire(self)
        self.connection.connection_made(self.wire)

    def say(self, who: str, *what: Any) -> None:
        self.trace.append((who, *what))

    def clear(self, data: bytes) -> Any:
        """What is written, by frames; a client's without their keys, which are random."""
        shown = lab.unmasked if self.connection.protocol.side is lab.CLIENT else bytes
        return tuple(map(shown, split(data)))

    def unhandled(self, loop: Any, context: dict[str, Any]) -> None:
        self.say("loop", context["message"], lab.raised(context.get("exception")))

    # ---- the peer and the transport ----

    def feed(self, *parts: bytes) -> None:
        self.turn()
        self.wire.held.append(b"".join(parts))
        self.say("peer", "fed")
        try:
            self.wire.deliver()
        except Exception as exc:
            self.say("peer", lab.raised(exc))

    def eof(self) -> None:
        """As a transport does: what eof_received() returns says whether it stays."""
        if not self.wire.lost and not self.connection.eof_received():
            self.wire.end(None)

    # ---- tasks ----

    def spawn(self, awaitable: Any, name: str = "") -> asyncio.Task[None]:
        """Run it as a task, which says how it ended."""
        name = name or f"task {next(self.names)}"
        task = asyncio.ensure_future(self.run(name, awaitable))
        if not asyncio.isfuture(awaitable):  # it may be cancelled before it begins
            task.add_done_callback(lambda _: awaitable.close())
        self.tasks[name] = task
        return task

    async def run(self, name: str, awaitable: Awaitable[Any]) -> None:
        try:
            self.say(name, "returned", lab.shown(await awaitable))
        except asyncio.CancelledError as exc:
            self.say(name, "cancelled", str(exc))
        except Exception as exc:
            self.say(name, "raised", chain(exc))

    async def get(self, awaitable: Any, name: str = "main") -> None:
        """Wait for what comes of it, which is in the trace; for ever is a thousand seconds."""
        task = self.spawn(awaitable, name)
        await asyncio.wait([task], timeout=1000)
        if not task.done():
            self.say(name, "waits")

    async def settle(self, turns: int = 8) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """The connection ends and the tasks with it; then the last things to be seen."""
        await self.settle()
        if not self.wire.lost:
            self.wire.lose(None)
        await asyncio.sleep(100)
        for name, task in self.tasks.items():
            if not task.done():
                self.say(name, "hangs")
                task.cancel()
        await self.settle()
        connection = self.connection
        self.say("end", connection.state.name, connection.close_code, connection.close_reason)
        self.say("end", connection.latency, len(connection.recv_messages.frames))
        self.say("end", lab.outcome(lambda: connection.protocol.close_exc))


def chain(exc: BaseException | None) -> Any:
    """Type and text, and those of what it was raised from, and for a group those in it."""
    if exc is None:
        return None
    inner = [chain(each) for each in getattr(exc, "exceptions", ())]
    return type(exc).__name__, str(exc), inner, chain(exc.__cause__)


def split(data: bytes) -> list[bytes]:
    """The frames in it; as it is, where it is something else."""
    found, pos = [], 0
    while pos < len(data):
        if len(data) < pos + 2:
            return [data]
        size, at = data[pos + 1] & 0x7F, pos + 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        end = at + (4 if data[pos + 1] & 0x80 else 0) + size
        found.append(data[pos:end])
        pos = end
    return found if pos == len(data) else [data]


def plain(side: Side, cls: type[Connection] = Connection, **options: Any) -> Callable[[Act], Any]:
    """A bare Connection behind its handshake. ``options`` are its own and the Protocol's."""
    known = {"max_size", "extensions", "protocol", "debug"}
    mine = {name: options.pop(name) for name in known & options.keys()}

    def make(act: Act) -> Any:
        if mine.get("debug"):
            act.logger.setLevel(logging.DEBUG)
        limit = mine.get("max_size", 1 << 20)
        protocol = mine.get("protocol", Protocol)(side, max_size=limit, logger=act.logger)
        protocol.extensions = [extension() for extension in mine.get("extensions", ())]
        return cls(protocol, **{"ping_interval": None, **options})

    return make


def frame(act: Act, opcode: int, payload: bytes = b"", **kw: Any) -> bytes:
    """A frame from the peer."""
    server = act.connection.protocol.side is lab.SERVER
    kw.setdefault("key", streams.KEY if server else None)
    return streams.frame(opcode, payload, **kw)


def texts(act: Act, *words: str) -> bytes:
    return b"".join(frame(act, 1, word.encode()) for word in words)


def perform(
    scenario: Scenario,
    make: Callable[[Act], Any],
    turn: Callable[[], None] = lambda: None,
    warm: bool = True,
) -> tuple[list[Any], list[Any]]:
    """The trace of a scenario. What a driver replaces must be in place before.

    That of reading paused and resumed is by itself: the library writes a pong before it pauses for
    what came with the ping, the driver after it.

    ``warm``: something was read before; a driver may look at a connection once.
    """

    async def main() -> list[Any]:
        act = Act(make, turn)
        act.start()
        if warm:
            act.connection.data_received(b"")
        try:
            await scenario(act)
        except Exception as exc:
            act.say("scenario", chain(exc))
        await act.finish()
        return act.trace

    random.seed(1)  # payloads of pings come from there
    with asyncio.Runner(loop_factory=Loop) as runner:
        trace = runner.run(main())
    return [each for each in trace if each[0] != "flow"], [e for e in trace if e[0] == "flow"]


def in_lanes(trace: list[Any]) -> dict[str, list[Any]]:
    """A trace by who met it, with the frames written one by one: for what may write later and less
    often."""
    lanes: dict[str, list[Any]] = {}
    for who, *what in trace:
        if what[0] in ("written", "written late"):
            lanes.setdefault(who, []).extend(what[1])
        else:
            lanes.setdefault(who, []).append(what)
    return lanes


def writes(trace: list[Any]) -> int:
    return sum(what[:1] in (["written"], ["written late"]) for _, *what in trace)


def same_in_lanes(original: Any, found: Any) -> None:
    lanes = [(in_lanes(trace), flow) for trace, flow in (original, found)]
    assert lanes[0] == lanes[1], lab.difference(*lanes)
    assert writes(found[0]) <= writes(original[0])

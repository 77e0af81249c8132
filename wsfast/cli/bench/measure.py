"""How it is measured, on machines whose speed changes under the measurement.

The servers of one group take turns, one batch each, so that a round's ratio compares batches run
back to back; order and starting point rotate from round to round. What counts is the CPU time of
the server's process, not the wall clock. Load generator and server share one core: a message then
costs no wake-up of an idle core, which would be most of the figure. Between the batches a fixed
calculation is timed; a turn in which it ran slow is dropped and run again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from typing import NamedTuple

from .contenders import CONTENDERS
from .plan import CONNECTIONS
from .stats import FEWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .launch import Key, Server
    from .plan import Group

SLOW = 1.12  # a turn is slow when its slowest calibration exceeds the reference by this
BATCH = 0.15  # seconds we would like one batch to last
OVERHEAD = 0.02  # seconds around a batch: handshakes, warm-up, calibration
MAIN_SHARE = 0.85  # of the time for measuring; the rest is for turns that must be run again
WARMUP = 64  # messages per batch before the clock starts, at least


class BenchError(Exception):
    """A server answered wrongly or not at all."""


class Sample(NamedTuple):
    cpu_us: float
    msgs_per_s: float


class Turn(NamedTuple):
    """One round of one group: a sample per server, and the calibrations between them."""

    samples: dict[str, Sample]
    spins: tuple[float, ...]


def spin() -> float:
    """CPU seconds of a fixed calculation; the best of three, so that only slowness shows."""
    best = float("inf")
    for _ in range(3):
        start = time.thread_time()
        sum(range(20_000))
        best = min(best, time.thread_time() - start)
    return best


@contextlib.contextmanager
def pinned(servers: Sequence[Server]) -> Iterator[bool]:
    """Put us and the servers on one core; yields whether that is possible here."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    cpu = max(before)  # interrupts and other people's work tend to sit on the first
    for server in servers:
        server.pin(cpu)
    os.sched_setaffinity(0, {cpu})
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)


def rotated(items: Sequence[str], by: int) -> list[str]:
    """Another first one each round, and every second time round backwards."""
    by, backwards = by % len(items), by // len(items) % 2
    order = [*items[by:], *items[:by]]
    return order[::-1] if backwards else order


class Session:
    """All the turns of one run."""

    def __init__(
        self,
        groups: Sequence[Group],
        servers: dict[Key, Server],
        seconds: float,
        progress: Callable[[float], object],
    ) -> None:
        self.groups = groups
        self.servers = servers
        self.seconds = seconds
        self.progress = progress
        self.turns: dict[Group, list[Turn]] = {group: [] for group in groups}
        # Built once: masking megabytes before each batch would cost more than the batch.
        self.lanes = {(g, name): g.lanes(name) for g in groups for name in g.servers}
        self.messages: Counter[Key] = Counter()  # answered by each server
        self.start = time.monotonic()
        batches = sum([len(group.servers) for group in groups])
        self.rounds, self.batch_seconds = schedule(seconds * MAIN_SHARE, batches)

    def verify(self) -> None:
        """Nothing is timed before every server has answered every kind of message rightly, and
        by wsfast where it should."""
        for group in self.groups:
            for name in group.servers:
                self.batch(group, name, messages=CONNECTIONS * group.in_flight * 2)
        self.hits()

    def measure(self) -> None:
        """The rounds, then again what was slow, until the time is over."""
        self.start = time.monotonic()
        for number in range(self.rounds):
            first = number % len(self.groups)
            for group in [*self.groups[first:], *self.groups[:first]]:
                self._turn(group, number)
        while time.monotonic() - self.start < self.seconds:
            lacking = [group for group in self.groups if len(self.good(group)) < self.rounds]
            if not lacking:
                break
            group = min(lacking, key=lambda group: len(self.good(group)))
            self._turn(group, len(self.turns[group]))
        self.progress(1.0)

    def _turn(self, group: Group, number: int) -> None:
        samples, spins = {}, [spin()]
        for name in rotated(group.servers, number):
            samples[name] = self._sample(group, name)
            spins.append(spin())
        self.turns[group].append(Turn(samples, tuple(spins)))
        self.progress(min(1.0, (time.monotonic() - self.start) / self.seconds))

    def _sample(self, group: Group, name: str) -> Sample:
        cpu: list[int] = []
        server = self.servers[group.key(name)]
        done, took = self.batch(
            group, name, seconds=self.batch_seconds, mark=lambda: cpu.append(server.cpu_ns())
        )
        return Sample((cpu[1] - cpu[0]) / 1000 / done, done / took)

    def batch(
        self,
        group: Group,
        name: str,
        *,
        seconds: float = 0.0,
        messages: int = 0,
        mark: Callable[[], object] | None = None,
    ) -> tuple[int, float]:
        """Load one server: (messages, seconds). BenchError unless every reply is as it must be."""
        server = self.servers[group.key(name)]
        warmup = max(WARMUP, CONNECTIONS * group.in_flight)
        try:
            done, took, mismatches = group.load(
                name,
                server.port,
                self.lanes[group, name],
                warmup=warmup,
                seconds=seconds,
                messages=messages,
                mark=mark,
            )
        except OSError as exc:
            raise BenchError(f"{server}: {exc}; {server.last_words()}") from exc
        if mismatches:
            raise BenchError(f"{server}: {mismatches} of {done + warmup} replies are wrong")
        self.messages[server.key] += done + warmup
        return done, took

    def hits(self) -> dict[Key, int]:
        """What wsfast did in each server that has it; BenchError where that is nothing."""
        found = {}
        for key, server in self.servers.items():
            if CONTENDERS[key[0]].way:
                found[key] = server.hits()
                if not found[key]:
                    raise BenchError(f"{server}: wsfast is on, but nothing went through it")
        return found

    def reference(self) -> float:
        """The speed of an undisturbed core: the tenth percentile, as a minimum can be a fluke."""
        spins = sorted([s for turns in self.turns.values() for turn in turns for s in turn.spins])
        return spins[len(spins) // 10]

    def good(self, group: Group) -> list[Turn]:
        limit = self.reference() * SLOW
        return [turn for turn in self.turns[group] if max(turn.spins) <= limit]

    def used(self, group: Group) -> list[Turn]:
        """The turns that count: the good ones, at most one per round; where the machine never
        held still long enough, completed by the steadiest of the others, in which all servers
        were at least slowed alike."""
        good = self.good(group)
        others = [turn for turn in self.turns[group] if turn not in good]
        others.sort(key=lambda turn: max(turn.spins) / min(turn.spins))
        return [*good, *others[: max(0, FEWEST - len(good))]][: max(self.rounds, FEWEST)]


def schedule(seconds: float, batches: int) -> tuple[int, float]:
    """(rounds, seconds of one batch): more time gives more rounds, little time shorter batches."""
    rounds = int(seconds / (batches * (BATCH + OVERHEAD)))
    rounds = min(max(rounds, FEWEST + 1), 61)
    return rounds, min(max(seconds / (batches * rounds) - OVERHEAD, 0.01), 2.0)

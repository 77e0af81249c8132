"""Timing on a machine that changes its speed: interleaved rounds, beside a calibration spin.

Everything here counts CPU time of this process, not wall time. A round runs one batch of every
contender, in an order of its own: who always came behind the same one would find its caches warm.
Before and after every batch a spin of fixed work is timed, and batches beside a slow spin are
dropped. Ratios are taken within rounds.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from random import Random
from statistics import median
from time import process_time_ns
from typing import Any

BATCH_NS = 3_000_000  # long against the clock's own cost, short against a change of speed
SPIN = 6_000  # turns of an empty loop, about 0.1 ms
SLOW = 1.15  # times the quick spins: the speeds seen differ by 1.3 to 1.7
PATIENCE = 4  # times the rounds asked for, until as many quick ones are found


def spin() -> int:
    start = process_time_ns()
    for _ in repeat(None, SPIN):
        pass
    return process_time_ns() - start


@dataclass
class Lane:
    """One contender's batches: ``n`` operations each, of ``frames`` frames."""

    run: Callable[[int], Any]
    frames: int
    n: int = 1
    ns: list[float] = field(default_factory=list)  # per frame
    spins: list[int] = field(default_factory=list)  # the slower of both neighbours

    def calibrate(self) -> None:
        """Warm up, and find how many operations take as long as a batch should."""
        while (took := self.once()) < BATCH_NS / 2:
            self.n = max(2 * self.n, min(100 * self.n, int(self.n * BATCH_NS / max(took, 1000))))
        self.n = max(1, int(self.n * BATCH_NS / took))

    def once(self) -> int:
        start = process_time_ns()
        self.run(self.n)
        return process_time_ns() - start

    def batch(self) -> None:
        before = spin()
        took = self.once()
        self.spins.append(max(before, spin()))
        self.ns.append(took / self.n / self.frames)


def one_round(lanes: Sequence[Lane], turn: int) -> None:
    for lane in Random(turn).sample(lanes, len(lanes)):
        lane.batch()


def quick(lanes: Sequence[Lane], limit: float) -> list[list[bool]]:
    """Which batches count. A lane's own pace does too: some work leaves the core, for as long as
    nothing else runs, up to 1.3 times slower at the spin."""
    limits = [max(limit, usual(lane.spins)) for lane in lanes]
    return [[s <= most for s in lane.spins] for lane, most in zip(lanes, limits)]


def usual(spins: Sequence[float]) -> float:
    """The slowest spin that still counts as the machine's usual full speed."""
    return SLOW * sorted(spins)[len(spins) // 10]


@dataclass
class Track:
    """Races one after the other on one machine; what they learn of its speed is shared."""

    rounds: int  # quick batches wanted of every contender
    spins: list[int] = field(default_factory=list)

    def race(self, runs: Sequence[Callable[[int], Any]], frames: int) -> list[list[float | None]]:
        """Nanoseconds per frame of each contender in each round; None for a dropped batch.

        Ends when every contender has its quick batches, or after ``PATIENCE`` times the rounds.
        """
        lanes = [Lane(run, frames) for run in runs]
        collecting = gc.isenabled()
        gc.disable()  # a collection would fall on whoever is running
        try:
            for lane in lanes:
                lane.calibrate()
            for turn in range(PATIENCE * self.rounds):
                one_round(lanes, turn)
                if turn + 1 >= self.rounds and self.done(lanes):
                    break
        finally:
            if collecting:
                gc.enable()
        return self.finish(lanes)

    def limit(self, lanes: Sequence[Lane]) -> float:
        return usual([*self.spins, *(s for lane in lanes for s in lane.spins)])

    def done(self, lanes: Sequence[Lane]) -> bool:
        return all(sum(marks) >= self.rounds for marks in quick(lanes, self.limit(lanes)))

    def finish(self, lanes: Sequence[Lane]) -> list[list[float | None]]:
        marks = quick(lanes, self.limit(lanes))
        here = [s for lane in lanes for s in lane.spins]
        self.spins += here
        return [
            [ns if kept else None for ns, kept in zip(lane.ns, row)]
            for lane, row in zip(lanes, marks)
        ]


def kept(times: Sequence[float | None]) -> list[float]:
    return [ns for ns in times if ns is not None]


def pairs(a: Sequence[float | None], b: Sequence[float | None]) -> tuple[list[float], list[float]]:
    """Both sides of the rounds in which neither was dropped."""
    both = [(x, y) for x, y in zip(a, b) if x is not None and y is not None]
    return [x for x, _ in both], [y for _, y in both]


def summary(times: Sequence[float | None]) -> tuple[float, float, float]:
    """Median, minimum, maximum of the batches kept."""
    values = kept(times)
    return median(values), min(values), max(values)

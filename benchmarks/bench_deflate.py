"""permessage-deflate beside websockets', on each back end; the method is in README.md.

    python benchmarks/bench_deflate.py [--only deflate:1024:live …] [--json FILE]
                                       [--rounds N] [--processes N]

The rounds of several processes are put together: where a compressor's tables lie is worth up to
2 % of a ratio for as long as a process lives. Window 12 and memLevel 5 with context takeover,
level 6: what websockets and uvicorn do by default.
Exit status: 0; 1 with --strict when a bar is missed; 2 usage; 3 with --require when something is
missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from statistics import median
from time import monotonic
from typing import Any

import contenders
import machine
import own_deflate  # noqa: F401  (registers our rows)
import tables
from cases import TITLES
from deflate_cases import CASES, DeflateCase
from memory import CONNECTIONS, KINDS
from rounds import Track, kept, pairs, summary

import wsfast
from wsfast import _zlib
from wsfast.cli.bench.stats import ratio

RIVAL = "websockets"
Interval = tuple[float, float, float]


@dataclass
class Cell:
    """One case, timed; ``times`` by contender, in nanoseconds per message."""

    case: DeflateCase
    times: dict[str, list[float | None]]
    delivers: dict[str, str]

    def cheaper(self, name: str) -> Interval | None:
        """How many times what ``name`` takes does websockets take: median and 95 % interval."""
        if name == RIVAL or not {RIVAL, name} <= self.times.keys():
            return None
        both = pairs(self.times[name], self.times[RIVAL])
        return ratio(*both) if both[0] else None

    def bigger(self, name: str) -> float | None:
        """Bytes on the wire against websockets'."""
        wire = self.case.wire
        return wire[name] / wire[RIVAL] if {RIVAL, name} <= wire.keys() else None


@dataclass(frozen=True)
class Bar:
    """``row`` is ``at_least`` times cheaper than websockets; ``at_most`` times as big."""

    row: str
    size: int
    at_least: float
    at_most: float

    @property
    def words(self) -> str:
        size = f", within {self.at_most - 1:.0%} in size" if self.at_most < 2 else ""
        return f"{self.row}, {self.size:,} B: {self.at_least} x cheaper than websockets{size}"


BARS = (
    *(Bar("wsfast, zlib", size, 1.5, 1.05) for size in (64, 200)),
    Bar("wsfast, zlib", 1 << 10, 1.15, 1.05),
    *(Bar("wsfast, zlib-ng", size, 1.7, 1.05) for size in (64, 200, 1 << 10, 16 << 10)),
    *(Bar("wsfast, isal", size, 3, 2) for size in (1 << 10, 16 << 10)),
)
LEAST_MEMORY = 1.0  # KiB above a connection without deflate, without takeover


def judge(cells: list[Cell]) -> list[tuple[Bar, Interval | None, float | None, bool | None]]:
    found = {cell.case.size: cell for cell in cells if cell.case.name.endswith(":live")
             and cell.case.op == "deflate"}  # fmt: skip
    verdicts = []
    for bar in BARS:
        if (cell := found.get(bar.size)) is None:
            continue
        got, size = cell.cheaper(bar.row), cell.bigger(bar.row)
        passed = tables.reached(got, bar.at_least)
        verdicts.append((bar, got, size, passed and size is not None and size <= bar.at_most))
    return verdicts


def measure(case: DeflateCase, track: Track, missing: dict[str, str]) -> Cell:
    racing, absent = contenders.field(case)
    missing.update(absent)
    times = track.race([one.run for one in racing], case.frames)
    names = [one.offer.name for one in racing]
    return Cell(
        case, dict(zip(names, times)), {one.offer.name: one.offer.delivers for one in racing}
    )


def one_process(cases: list[DeflateCase], rounds: int) -> tuple[list[Cell], dict[str, str]]:
    track, missing = Track(rounds), {}
    return [measure(case, track, missing) for case in cases], missing


def all_processes(args: argparse.Namespace) -> tuple[list[Cell], dict[str, str]]:
    """Each in a memory of its own; their rounds one behind the other."""
    fresh = ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1)
    with fresh as pool:
        jobs = [pool.submit(one_process, args.cases, args.rounds) for _ in range(args.processes)]
        (cells, missing), *others = [job.result() for job in show(jobs)]
    for more, _ in others:
        for cell, again in zip(cells, more):
            for name, times in cell.times.items():
                times += again.times[name]
    return cells, missing


def show(jobs: list[Future[Any]]) -> Iterator[Future[Any]]:
    for number, job in enumerate(jobs, 1):
        print(f"process {number} of {len(jobs)}", file=sys.stderr, flush=True)
        yield job


def table(cell: Cell) -> str:
    rows = []
    for name, found in cell.times.items():
        if not kept(found):
            rows.append([name, "no quick batch", *[""] * 4, cell.delivers[name]])
            continue
        mid, low, high = summary(found)
        size, bigger = cell.case.wire.get(name), cell.bigger(name)
        rows.append([
            name, tables.number(mid), f"{tables.number(low)}..{tables.number(high)}",
            tables.times(cell.cheaper(name)), "" if size is None else f"{size:,.1f}",
            "" if bigger is None else f"{bigger - 1:+.1%}", cell.delivers[name],
        ])  # fmt: skip
    title = f"\n## {TITLES[cell.case.op]} · {cell.case.size:,} B (`{cell.case.name}`)\n\n"
    head = ["", "median", "min..max", "x cheaper than websockets", "B on the wire", "", "delivers"]
    return title + tables.grid(head, rows)


# ---- memory -------------------------------------------------------------------------------------


def memory() -> dict[str, float]:
    """KiB by kind of connection; each kind in three processes of its own."""
    found = {}
    for backend in _zlib.BACKENDS:
        for kind in KINDS:
            runs = []
            for _ in range(3):
                command = [sys.executable, memory_script(), backend, kind]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                runs.append(float(done.stdout))
            found[f"{backend}, {kind}"] = round(median(runs), 2)
    return found


def memory_script() -> str:
    return __file__.replace("bench_deflate", "memory")


def memory_table(found: dict[str, float]) -> str:
    rows = [
        [backend, *(f"{found[f'{backend}, {kind}']:.2f}" for kind in KINDS), ""]
        for backend in _zlib.BACKENDS
    ]
    title = (
        f"\n## Memory: KiB per idle `Connection`, of {CONNECTIONS:,} after a message each way\n\n"
    )
    return title + tables.grid(["", *KINDS, ""], rows)


def memory_passed(found: dict[str, float]) -> bool:
    return all(
        found[f"{name}, no takeover"] - found[f"{name}, no deflate"] <= LEAST_MEMORY
        for name in _zlib.BACKENDS
    )


# ---- the whole ----------------------------------------------------------------------------------


def losses(cells: list[Cell]) -> list[str]:
    """Where websockets is surely cheaper, or a message surely bigger than its by 5 %."""
    found = []
    for cell in cells:
        for name in cell.times:
            if not name.startswith("wsfast"):
                continue
            got, bigger = cell.cheaper(name), cell.bigger(name)
            if got and got[2] < 1:
                found.append(f"{cell.case.name}: {name} is x {tables.times(got)}")
            if bigger and bigger > 1.05 and cell.case.op == "deflate":
                found.append(f"{cell.case.name}: {name} sends {bigger - 1:+.1%}")
    return found


def as_json(
    cells: list[Cell],
    found: dict[str, float],
    missing: dict[str, str],
    args: argparse.Namespace,
    seconds: float,
) -> dict[str, object]:
    return {
        "schema": "wsfast-bench/1",
        "kind": "deflate",
        "wsfast": wsfast.__version__,
        "backend": wsfast.backend(),
        "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(seconds, 1),
        "machine": machine.describe(),
        "settings": {"rounds": args.rounds, "processes": args.processes,
                     "clock": "process CPU time", "window_bits": 12, "mem_level": 5, "level": 6,
                     "takeover": True},
        "versions": versions(),
        "missing": missing,
        "cells": [
            {"case": cell.case.name, "contender": name, "ns": [round(ns) for ns in kept(times)],
             "dropped": times.count(None), "wire_bytes": cell.case.wire.get(name),
             "ratio": dict(zip(("median", "low", "high"), (round(x, 3) for x in got)))
             if (got := cell.cheaper(name)) else None}
            for cell in cells for name, times in cell.times.items()
        ],
        "memory_kib": found,
        "acceptance": [
            {"bar": bar.words, "measured": got and round(got[0], 3),
             "size": size and round(size, 3), "passed": passed}
            for bar, got, size, passed in judge(cells)
        ],
    }  # fmt: skip


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("websockets", "zlib-ng", "isal")} | {
        "zlib": _zlib.zlib.ZLIB_RUNTIME_VERSION
    }


def ending(cells: list[Cell], found: dict[str, float]) -> str:
    lines = ["\n## Versions\n", *(f"* {name} {v}" for name, v in versions().items())]
    lines += ["\n## Losses\n", *(f"* {line}" for line in losses(cells))]
    lines.append("\n## Acceptance\n")
    for bar, got, size, passed in judge(cells):
        measured = "not measured" if got is None else f"x {tables.times(got)}"
        sent = "" if size is None else f", {size - 1:+.1%}"
        lines.append(tables.verdict(passed, f"{bar.words}: {measured}{sent}"))
    if found:
        words = f"without takeover at most {LEAST_MEMORY} KiB more while idle"
        lines.append(tables.verdict(memory_passed(found), words))
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="CASE", help="op, or op:size:kind")
    parser.add_argument("--rounds", type=int, default=5, help="quick ones a process (default 5)")
    parser.add_argument("--processes", type=int, default=7, help="one after the other (default 7)")
    parser.add_argument("--json", metavar="FILE", help="write the figures too")
    parser.add_argument("--no-memory", action="store_true", help="leave memory out")
    parser.add_argument("--require", action="store_true", help="a missing contender is an error")
    parser.add_argument("--strict", action="store_true", help="a missed bar is an error")
    args = parser.parse_args()
    args.cases = [c for c in CASES if not args.only or {c.op, c.name} & set(args.only)]
    if not args.cases:
        parser.error(f"no such case; there are {', '.join(case.name for case in CASES)}")
    return args


def main() -> int:
    args = arguments()
    start = monotonic()
    print(tables.heading(machine.describe(), wsfast.__version__, wsfast.backend()))
    cells, missing = all_processes(args)
    for cell in cells:
        print(table(cell))
    found = {} if args.no_memory else memory()
    if found:
        print(memory_table(found))
    for name, why in missing.items():
        print(f"\nMISSING: {name} ({why})")
    print(ending(cells, found))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            figures = as_json(cells, found, missing, args, monotonic() - start)
            json.dump(figures, file, separators=(",", ":"))
            file.write("\n")
    if args.require and missing:
        return 3
    missed = any(passed is False for *_, passed in judge(cells))
    failed = missed or (found and not memory_passed(found))
    return 1 if args.strict and failed else 0


if __name__ == "__main__":
    sys.exit(main())

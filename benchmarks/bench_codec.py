"""The codec against its rivals, operation by operation; the method is in README.md.

    python benchmarks/bench_codec.py [--only decode encode:125 …] [--json FILE] [--rounds N]

Exit status: 0; 1 with --strict when a bar is missed; 2 usage; 3 with --require when a rival is
missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import machine
import tables
from cases import CASES, Case, chosen
from contenders import FLOOR, FLOORS, OURS, WRITTEN, Contender
from contenders import field as field_of
from rounds import Track, kept, pairs

import wsfast
from wsfast.cli.bench.stats import ratio


@dataclass
class Cell:
    """One case, timed: per contender its nanoseconds per frame, None for a dropped batch."""

    case: Case
    contenders: list[Contender]
    times: list[list[float | None]]

    def row(self, name: str) -> list[float | None] | None:
        for contender, times in zip(self.contenders, self.times):
            if contender.offer.name == name:
                return times
        return None

    def cheaper(self, than: str, name: str = OURS) -> tuple[float, float, float] | None:
        """How many times cheaper ours is: median and 95 % interval of the rounds' ratios."""
        ours, theirs = self.row(name) or self.times[0], self.row(than)
        if theirs is None or theirs is ours:
            return None
        both = pairs(ours, theirs)
        return ratio(*both) if both[0] else None


@dataclass(frozen=True)
class Bar:
    """A first-stage promise: ours ``at_least`` times cheaper (below 1: at most 1/x dearer)."""

    case: str
    rival: str
    at_least: float
    words: str
    ours: str = OURS


BARS = (
    Bar("decode:32", "aiohttp", 6, "MessageDecoder >= 6 x aiohttp's reader, 32 B, one per read"),
    Bar("decode:32", "websockets", 20, "MessageDecoder >= 20 x websockets' parser, same"),
    Bar("encode:125", "picows", 2, "encode and write <= 0.5 x picows, 125 B", WRITTEN),
    Bar("mask:65536", FLOOR, 1 / 1.15, "mask within 1.15 x of the minimal AVX2 C function, 64 KiB"),
)


@dataclass
class Results:
    cells: list[Cell] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def verdicts(self) -> list[tuple[Bar, tuple[float, float, float] | None]]:
        """Each bar with the ratio measured; None where it was not."""
        cells = {cell.case.name: cell for cell in self.cells}
        return [(b, cells[b.case].cheaper(b.rival, b.ours)) for b in BARS if b.case in cells]

    def losses(self) -> list[tuple[Cell, str, tuple[float, float, float]]]:
        """Where what is no floor and no row of ours is surely cheaper: Python itself, too."""
        found = []
        for cell in self.cells:
            for name in [contender.offer.name for contender in cell.contenders]:
                got = cell.cheaper(name)
                if got and got[2] < 1 and name not in FLOORS and not name.startswith(OURS):
                    found.append((cell, name, got))
        return found


def measure(case: Case, track: Track, twin: bool, results: Results) -> Cell:
    contenders, missing = field_of(case, twin=twin)
    results.missing.update(missing)
    cell = Cell(case, contenders, track.race([c.run for c in contenders], case.frames))
    results.cells.append(cell)
    return cell


def as_json(results: Results, rounds: int, seconds: float) -> dict[str, object]:
    return {
        "schema": "wsfast-bench/1",
        "kind": "codec",
        "wsfast": wsfast.__version__,
        "backend": wsfast.backend(),
        "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(seconds, 1),
        "machine": machine.describe(),
        "settings": {"rounds": rounds, "clock": "process CPU time"},
        "rivals": versions(results),
        "missing": results.missing,
        "cells": [
            {"case": cell.case.name, "contender": c.offer.name, "delivers": c.offer.delivers,
             "ns": [round(ns, 2) for ns in kept(times)], "dropped": times.count(None)}
            for cell in results.cells for c, times in zip(cell.contenders, cell.times)
        ],
        "ratios": [
            {"case": cell.case.name, "of": OURS, "to": c.offer.name,
             **dict(zip(("median", "low", "high"), (round(x, 3) for x in got)))}
            for cell in results.cells for c in cell.contenders
            if (got := cell.cheaper(c.offer.name))
        ],
        "acceptance": [
            {"bar": bar.words, "at_least": round(bar.at_least, 3),
             "measured": got and round(got[0], 3),
             "passed": tables.reached(got, bar.at_least)}
            for bar, got in results.verdicts()
        ],
    }  # fmt: skip


def versions(results: Results) -> dict[str, str | None]:
    offers = [c.offer for cell in results.cells for c in cell.contenders if c.offer.package]
    return {offer.package: offer.version for offer in offers}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", metavar="CASE", help="op, op:size or op:size:script")
    parser.add_argument("--rounds", type=int, default=21, help="quick rounds wanted (default 21)")
    parser.add_argument("--json", metavar="FILE", help="write the figures too")
    parser.add_argument("--python", action="store_true", help="pure-Python rows as well")
    parser.add_argument("--require", action="store_true", help="a missing rival is an error")
    parser.add_argument("--strict", action="store_true", help="a missed bar is an error")
    parser.add_argument("--list", action="store_true", help="name the cases")
    args = parser.parse_args()
    try:
        args.cases = chosen(args.only)
    except ValueError as exc:
        parser.error(str(exc))
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def main() -> int:
    args = arguments()
    if args.list:
        print("\n".join(case.name for case in CASES))
        return 0
    results, track, start = Results(), Track(args.rounds), monotonic()
    print(tables.heading(machine.describe(), wsfast.__version__, wsfast.backend()))
    for case in args.cases:
        print(tables.table(measure(case, track, args.python, results)), flush=True)
    found = as_json(results, args.rounds, monotonic() - start)
    print(tables.ending(results, versions(results)))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)
            file.write("\n")
    if args.require and results.missing:
        return 3
    failed = any(tables.reached(got, bar.at_least) is False for bar, got in results.verdicts())
    return 1 if args.strict and failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""A leg of a run: one testee on one back end plays some groups; what came of it; the table.

What a leg leaves in its folder of the reports is Autobahn's own report and ``leg.json``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import runners
import testees
from launch import ServerFailed
from testees import SHORT, TESTEES
from verdict import CASES_OF_GROUP, Verdict, differences, judge

LONG = ((12,), (13,))  # each a leg of its own: they take minutes, and cores can share them
TIMEOUT = 3600.0  # seconds


@dataclass(frozen=True)
class Leg:
    testee: str
    backend: str
    groups: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.testee} {self.backend} {self.part}"

    @property
    def part(self) -> str:
        """``1-7,9,10``"""
        runs: list[list[int]] = []
        for group in self.groups:
            if runs and runs[-1][-1] == group - 1:
                runs[-1].append(group)
            else:
                runs.append([group])
        return ",".join(
            f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs
        )

    def folder(self, reports: Path) -> Path:
        return reports / f"{self.testee}-{self.backend}" / self.part


@dataclass(frozen=True)
class Outcome:
    leg: Leg
    seconds: float
    verdict: Verdict | None = None
    error: str = ""  # why there is no verdict

    @property
    def failures(self) -> int:
        """A host's own failures are not ours; what differs is found by ``compare``."""
        if self.verdict is None:
            return 1
        patched = TESTEES[self.leg.testee].host is not None
        return (0 if patched else len(self.verdict.failed)) + self.verdict.missing


def groups(text: str) -> list[int]:
    """``1-7,9`` as numbers; of a range, the groups that there are."""
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        chosen |= set(range(int(first), int(last if dash else first) + 1)) & CASES_OF_GROUP.keys()
    if not chosen:
        raise ValueError(text)
    return sorted(chosen)


def plan(
    names: Iterable[str], wanted: Iterable[int], side: str | None, backends: Iterable[str] | None
) -> Iterator[Leg]:
    """The legs, those first that are over soon; None is no choice."""
    for part in (SHORT, *LONG):
        for name in names:
            testee = TESTEES[name]
            chosen = tuple(group for group in part if group in wanted and group in testee.groups)
            if chosen and side in (None, testee.side):
                for backend in testee.backends:
                    if backends is None or backend in backends:
                        yield Leg(name, backend, chosen)


def play(leg: Leg, runner: runners.Runner, reports: Path) -> Outcome:
    folder = leg.folder(reports)
    shutil.rmtree(folder, ignore_errors=True)
    cases = [f"{group}.*" for group in leg.groups]
    started = time.monotonic()
    try:
        index = testees.play(TESTEES[leg.testee], leg.backend, runner, cases, folder, TIMEOUT)
    except (
        testees.UnfitTestee, runners.RunnerFailed, ServerFailed, subprocess.TimeoutExpired
    ) as exc:  # fmt: skip
        return Outcome(leg, time.monotonic() - started, error=f"{type(exc).__name__}: {exc}")
    outcome = Outcome(leg, time.monotonic() - started, judge(index, leg.groups, runner.cannot))
    record = {"runner": runner.name, "cannot": runner.cannot, "seconds": outcome.seconds}
    record |= {"testee": leg.testee, "backend": leg.backend, "groups": leg.groups}
    (folder / "leg.json").write_text(json.dumps(record, indent=1))
    return outcome


def lines(outcome: Outcome) -> list[str]:
    """An outcome for people."""
    verdict = outcome.verdict
    if verdict is None:
        return [f"{outcome.leg}: FAILED after {outcome.seconds:.0f} s: {outcome.error}"]
    counts = f"{len(verdict.passed)} passed, {len(verdict.failed)} failed"
    found = [f"{outcome.leg}: {counts} in {outcome.seconds:.0f} s"]
    if verdict.informational:
        found.append(f"informational: {', '.join(verdict.informational)}")
    found += [f"FAILED {line}" for line in verdict.failed]
    if verdict.missing:
        found.append(f"FAILED {verdict.missing} cases were not played")
    return found


def compare(outcomes: Iterable[Outcome], reports: Path) -> list[str]:
    """The cases of patched hosts that ended otherwise than without us."""
    found = []
    for leg in (outcome.leg for outcome in outcomes if outcome.verdict):
        if TESTEES[leg.testee].host is None or leg.backend == "plain":
            continue
        plain = Leg(leg.testee, "plain", leg.groups).folder(reports) / "index.json"
        if plain.exists():
            pairs = differences(plain, leg.folder(reports) / "index.json")
            found += [f"{leg.testee} plain / {leg.backend}: {line}" for line in pairs]
        else:
            found.append(f"{leg}: never played as it is")
    return found


def table(reports: Path) -> str:
    """What all reports say, in Markdown."""
    rows = [
        "| testee | back end | groups | passed | failed | non-strict | informational | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    found = [(path.parent, json.loads(path.read_text())) for path in reports.glob("*/*/leg.json")]
    found.sort(key=lambda item: _order(item[1]))
    for folder, record in found:
        leg = Leg(record["testee"], record["backend"], tuple(record["groups"]))
        verdict = judge(folder / "index.json", leg.groups, record["cannot"])
        failed = len(verdict.failed) + verdict.missing - verdict.non_strict
        counts = [len(verdict.passed), failed, verdict.non_strict, len(verdict.informational)]
        words = [leg.testee, leg.backend, leg.part, *counts, f"{record['seconds'] / 60:.1f}"]
        rows.append(f"| {' | '.join(map(str, words))} |")
    return "\n".join(rows)


def _order(record: dict[str, Any]) -> tuple[int, int, list[int]]:
    testee = record["testee"]
    place = TESTEES[testee].backends.index(record["backend"])
    return list(TESTEES).index(testee), place, record["groups"]

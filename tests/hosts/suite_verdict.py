"""What a suite is, what its runs leave, and what of it must not be."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

Reasons = dict[str, list[str]]  # {reason: tests}


@dataclass(frozen=True)
class Suite:
    """One entry of suites.toml, which says what the fields are."""

    host: str
    version: str
    tests: Any
    copy: list[str]
    requires: list[str]
    command: list[str]
    targets: list[str]
    hits: list[str]
    variant: str = ""
    ci: bool = True
    alone: bool = False
    add: dict[str, str] = field(default_factory=dict)
    better: list[str] = field(default_factory=list)
    known: Reasons = field(default_factory=dict)
    unsteady: Reasons = field(default_factory=dict)
    deselected: Reasons = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "-".join(filter(None, [self.host, self.version, self.variant]))

    @property
    def may_fail(self) -> set[str]:
        return tests_of(self.known, self.unsteady)


@dataclass
class Run:
    """What one run of a suite left."""

    outcomes: dict[str, str] = field(default_factory=dict)  # by test
    whys: dict[str, str] = field(default_factory=dict)  # by test: the end of the traceback
    hits: Counter[str] = field(default_factory=Counter)  # by host
    backends: set[str] = field(default_factory=set)  # of the processes that had wsfast in them
    refusals: set[tuple[str, str]] = field(default_factory=set)  # (host, what is not replaced)
    again: list[str] = field(default_factory=list)  # failed, then passed alone
    log: str = ""  # its end
    seconds: float = 0.0

    def counts(self, expected: Container[str] = ()) -> dict[str, int]:
        """How many tests ended how; failures that are ``expected`` by themselves."""
        kinds = Counter(
            "known to fail" if outcome == "failed" and test in expected else outcome
            for test, outcome in self.outcomes.items()
        )
        return dict(kinds.most_common())


class Problem(NamedTuple):
    """What must not be, in one line, and the end of a traceback or a log where there is one."""

    text: str
    why: str = ""


def read(file: Path) -> list[Suite]:
    return [Suite(**entry) for entry in tomllib.loads(file.read_text("utf-8"))["suite"]]


def select(suites: list[Suite], names: list[str], all_versions: bool, ci: bool) -> list[Suite]:
    """Those asked for. A version that is named need not be the newest, which is its host's first.

    KeyError where a name means nothing.
    """
    known = {suite.host for suite in suites} | {suite.name for suite in suites}
    if unknown := sorted(set(names) - known):
        raise KeyError(f"no suite is called {', '.join(unknown)}")
    newest: dict[str, str] = {}
    for suite in suites:
        newest.setdefault(suite.host, suite.version)
    return [
        suite
        for suite in suites
        if (not names or suite.host in names or suite.name in names)
        and (all_versions or ci or suite.version == newest[suite.host] or suite.name in names)
        and (suite.ci or not ci)
    ]


def tests_of(*reasons: Reasons) -> set[str]:
    return {test for each in reasons for tests in each.values() for test in tests}


def judge(suite: Suite, runs: dict[str, Run]) -> list[Problem]:
    """Every run against what suites.toml knows, and the active ones against the plain one."""
    found = []
    for mode, run in runs.items():
        if "passed" not in run.outcomes.values():
            found.append(Problem(f"{mode}: no test passed", run.log))
        elif mode == "plain":
            found += judge_plain(suite, run)
        else:
            found += compare(suite, mode, runs["plain"], run) + judge_use(suite, mode, run)
    return found


def judge_plain(suite: Suite, run: Run) -> list[Problem]:
    """A test that always fails would hide what wsfast does to it."""
    return [
        Problem(f"plain: {test} failed, and is not a known failure", run.whys.get(test, ""))
        for test, outcome in sorted(run.outcomes.items())
        if outcome == "failed" and test not in suite.may_fail
    ]


def compare(suite: Suite, mode: str, plain: Run, active: Run) -> list[Problem]:
    """Every test that did not end as it does without wsfast, or as it must."""
    found = []
    for test in sorted((plain.outcomes | active.outcomes).keys() - tests_of(suite.unsteady)):
        got = active.outcomes.get(test, "not there")
        wanted = plain.outcomes.get(test, "not there")
        if re.sub(r"\[.*", "", test) in suite.better:
            wanted = "passed"
        if got != wanted:
            why = active.whys.get(test) or plain.whys.get(test, "")
            found.append(Problem(f"{mode}: {test} {got}, not {wanted}", why))
    return found


def judge_use(suite: Suite, mode: str, run: Run) -> list[Problem]:
    """Whether frames went through the seams, all of them, and through the back end meant."""
    found = [f"{mode}: no frame of {host}" for host in suite.hits if not run.hits[host]]
    found += [f"{mode}: {host}: {reason}" for host, reason in sorted(run.refusals)]
    if {backend.partition("-")[0] for backend in run.backends} != {mode}:
        found.append(f"{mode}: ran on {', '.join(sorted(run.backends)) or 'nothing of wsfast'}")
    return [Problem(text) for text in found]

"""Reads Autobahn's index.json and decides, strictly.

A case passes when the messages were right (``behavior``) and the connection closed right
(``behaviorClose``), each ``OK``; ``INFORMATIONAL`` passes too, since Autobahn does not say what is
right there. ``NON-STRICT`` fails: the RFC allows one reading only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ALLOWED = ("OK", "INFORMATIONAL")

# Cases of Autobahn|Testsuite 25.10.1 by group: a run that played fewer proves nothing.
CASES_OF_GROUP = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126}

# A good message and then a fault, octet by octet: its echo may leave before the connection fails
# (OK) or not any more (NON-STRICT). Hosts that wake a task for each message end them either way.
RACES = ("3.4", "4.1.5", "4.2.5")
RACE = ("OK or NON-STRICT", "OK")


@dataclass(frozen=True)
class Verdict:
    passed: tuple[str, ...]
    failed: tuple[str, ...]  # with what was seen
    non_strict: int  # how many of them are NON-STRICT and no worse
    informational: tuple[str, ...]
    missing: int  # cases that should have been played and were not

    @property
    def good(self) -> bool:
        return not self.failed and not self.missing


def _order(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def endings(index: Path) -> dict[str, tuple[str, str]]:
    """By case, in order, how messages and connection ended; of a report with one agent."""
    (cases,) = json.loads(index.read_text()).values()
    return {
        case: (cases[case]["behavior"], cases[case]["behaviorClose"])
        for case in sorted(cases, key=_order)
    }


def judge(index: Path, groups: Iterable[int], cannot: Iterable[str] = ()) -> Verdict:
    """The verdict on a report; ``cannot``: the cases that were not played for a reason."""
    passed, failed, informational, non_strict = [], [], [], 0
    seen = endings(index)
    for case, (messages, close) in seen.items():
        if messages in ALLOWED and close in ALLOWED:
            passed.append(case)
        else:
            failed.append(f"{case}: {messages}, close {close}")
            non_strict += {messages, close} <= {*ALLOWED, "NON-STRICT"}
        if "INFORMATIONAL" in (messages, close):
            informational.append(case)
    groups = set(groups)
    wanted = sum(CASES_OF_GROUP[group] for group in groups)
    wanted -= sum(_order(case)[0] in groups for case in cannot)
    missing = max(0, wanted - len(seen))
    return Verdict(tuple(passed), tuple(failed), non_strict, tuple(informational), missing)


def differences(one: Path, other: Path) -> list[str]:
    """The cases that ended otherwise in one report than in the other, with both endings."""
    here, there = _comparable(one), _comparable(other)
    absent = ("not played", "not played")
    return [
        f"{case}: {', close '.join(here.get(case, absent))} / "
        f"{', close '.join(there.get(case, absent))}"
        for case in sorted(here.keys() | there.keys(), key=_order)
        if here.get(case) != there.get(case)
    ]


def _comparable(index: Path) -> dict[str, tuple[str, str]]:
    either = (("OK", "OK"), ("NON-STRICT", "OK"))
    return {
        case: RACE if case in RACES and ending in either else ending
        for case, ending in endings(index).items()
    }

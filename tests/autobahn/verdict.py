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


@dataclass(frozen=True)
class Verdict:
    passed: tuple[str, ...]
    failed: tuple[str, ...]  # with what was seen
    informational: tuple[str, ...]
    missing: int  # cases that should have been played and were not

    @property
    def good(self) -> bool:
        return not self.failed and not self.missing


def _order(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def judge(index: Path, groups: Iterable[int]) -> Verdict:
    """The verdict on a report with one agent."""
    (cases,) = json.loads(index.read_text()).values()
    passed, failed, informational = [], [], []
    for case in sorted(cases, key=_order):
        messages, close = cases[case]["behavior"], cases[case]["behaviorClose"]
        if messages in ALLOWED and close in ALLOWED:
            passed.append(case)
        else:
            failed.append(f"{case}: {messages}, close {close}")
        if "INFORMATIONAL" in (messages, close):
            informational.append(case)
    wanted = sum(CASES_OF_GROUP[group] for group in groups)
    missing = max(0, wanted - len(cases))
    return Verdict(tuple(passed), tuple(failed), tuple(informational), missing)

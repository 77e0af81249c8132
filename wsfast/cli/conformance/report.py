"""The outcome: for people on a terminal, as JSON of schema ``wsfast-conformance/1``, as a page."""

from __future__ import annotations

import time
from collections import Counter
from itertools import groupby
from typing import Any

from .._text import printable
from ..bench.result import now
from .case import FAIL, OUTCOMES, PASS, SKIP, TOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .case import Case, Result

    Json = dict[str, Any]

SCHEMA = "wsfast-conformance/1"
MARKS = {PASS: "✔", FAIL: "✘", TOLD: "·", SKIP: "–"}
COLOURS = {PASS: "32", FAIL: "31", TOLD: "36", SKIP: "33"}


# ---- JSON --------------------------------------------------------------------------------------


def counts(results: Sequence[Result]) -> dict[str, int]:
    outcomes = [result.outcome for result in results]
    return {"cases": len(outcomes), **{name: outcomes.count(name) for name in OUTCOMES}}


def document(
    side: str, of: str, results: Sequence[Result], started: float, limit: int | None = None
) -> Json:
    """``side`` is what was tested, ``of`` which one: a URL or a command."""
    from wsfast import __version__

    return {
        "schema": SCHEMA,
        "wsfast": __version__,
        "side": side,
        "of": of,
        "finished": now(),
        "seconds": round(time.monotonic() - started, 2),
        "max_message": limit,
        "counts": counts(results),
        "cases": [_case(result) for result in results],
    }


def _case(result: Result) -> Json:
    case = result.case
    return {
        "name": case.name,
        "section": case.section,
        "level": case.level,
        "says": case.says,
        "outcome": result.outcome,
        "expected": case.script.expected,
        "seen": result.seen,
        "seconds": round(result.seconds, 3),
    }


# ---- a terminal --------------------------------------------------------------------------------


def listing(cases: Sequence[Case]) -> str:
    """The cases, one a line."""
    width = max([len(case.name) for case in cases], default=0)
    return "\n".join(
        [f"{case.name.ljust(width)}  {case.level:6}  {case.section}: {case.says}" for case in cases]
    )


def lines(found: Json, *, colour: bool, verbose: bool) -> Iterator[str]:
    """The report of a document; only what is not as it should be, unless ``verbose``."""

    def painted(text: str, outcome: str) -> str:
        return f"\x1b[{COLOURS[outcome]}m{text}\x1b[0m" if colour else text

    for name, group in groupby(found["cases"], lambda case: case["name"].partition("/")[0]):
        cases = list(group)
        number = Counter([case["outcome"] for case in cases])
        whole = FAIL if number[FAIL] else PASS
        said = {PASS: "passed", FAIL: "failed", TOLD: "informational", SKIP: "skipped"}
        text = ", ".join([f"{number[one]} {word}" for one, word in said.items() if number[one]])
        yield painted(f"{MARKS[whole]} {name}: {text}", whole)
        for case in cases:
            if verbose or case["outcome"] in (FAIL, TOLD):
                yield from _told(case, painted)
    yield ""
    yield summary(found)


def _told(case: Json, painted: Any) -> Iterator[str]:
    outcome = case["outcome"]
    level = f" [{case['level']}]" if outcome == FAIL else ""
    yield painted(f"  {MARKS[outcome]} {case['name']} · {case['section']}{level}", outcome)
    if outcome == PASS:
        return
    yield f"      {case['says']}"
    yield f"      expected: {case['expected']}"
    yield f"      seen:     {printable(case['seen'])}"


def so_many(cases: int) -> str:
    return "1 case" if cases == 1 else f"{cases} cases"


def summary(found: Json) -> str:
    tally = found["counts"]
    must = sum([case["outcome"] == FAIL and case["level"] == "MUST" for case in found["cases"]])
    text = f"{so_many(tally['cases'])}: {tally[PASS]} passed, {tally[FAIL]} failed"
    text += f" ({must} of them a MUST)" if tally[FAIL] else ""
    return f"{text}, {tally[TOLD]} informational, {tally[SKIP]} skipped; {found['seconds']:.1f} s"

"""How every test of a host ended, written where ``SUITE_OUTCOMES`` says.

Copied to the host's tests; a plugin of pytest there (``-p suite_recorder``), and in the place of
``python -m unittest`` for hosts that use that (``python -m suite_recorder``). The file is
``{test: [outcome, why]}``: of several outcomes of a test, of its set-up, its subtests and itself,
the worst counts; ``why`` is the end of the traceback.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import unittest
from pathlib import Path
from typing import Any

RANK = ("passed", "skipped", "xfailed", "xpassed", "failed")
outcomes: dict[str, tuple[str, str]] = {}


def record(test: str, outcome: str, why: str = "") -> None:
    """Keep it if it is the worst that is known of this test."""
    if RANK.index(outcome) >= RANK.index(outcomes.get(test, ("passed", ""))[0]):
        outcomes[test] = (outcome, why[-2000:])


def save() -> None:
    """Write the file; a run without it did not come to its end."""
    Path(os.environ["SUITE_OUTCOMES"]).write_text(json.dumps(outcomes), "utf-8")


# ---- pytest -------------------------------------------------------------------------------------


def pytest_runtest_logreport(report: Any) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    outcome = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if outcome == "skipped" else "xpassed"
    record(report.nodeid, outcome, report.longreprtext if report.failed else "")


def pytest_collectreport(report: Any) -> None:
    if report.failed:
        record(report.nodeid, "failed", report.longreprtext)


def pytest_sessionfinish() -> None:
    save()


# ---- unittest -----------------------------------------------------------------------------------


class Result(unittest.TextTestResult):
    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        record(test.id(), "passed")

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        record(test.id(), "skipped")

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        super().addExpectedFailure(test, err)
        record(test.id(), "xfailed")

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        record(test.id(), "xpassed")

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        record(test.id(), "failed", why(err))

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        record(test.id(), "failed", why(err))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        record(test.id(), "failed" if err else "passed", why(err) if err else "")

    def stopTestRun(self) -> None:
        super().stopTestRun()
        save()


def why(err: Any) -> str:
    return "".join(traceback.format_exception(*err))


if __name__ == "__main__":
    # unittest's own entry finds the tests of the working directory; so does this.
    sys.path.insert(0, os.getcwd())
    unittest.main(module=None, testRunner=unittest.TextTestRunner(resultclass=Result))

"""``suites.py`` must notice what it is there to notice."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
SUITE = {
    "host": "host",
    "version": "1.0",
    "tests": "sdist",
    "copy": ["tests"],
    "requires": [],
    "command": ["-m", "pytest"],
    "targets": [],
    "hits": ["host"],
}
SAME = {"t::a": "passed", "t::b": "skipped"}


@pytest.fixture
def verdict():
    return importlib.import_module("suite_verdict")


@pytest.fixture
def workplace():
    return importlib.import_module("suite_workplace")


@pytest.fixture
def problems(verdict):
    """``problems(plain, active, suite={}, **more)``: the texts, of the active run in C alone."""

    def judge(
        plain: dict[str, str], active: dict[str, str], suite: Any = None, **more: Any
    ) -> list[str]:
        settings = {"hits": Counter(host=1), "backends": {"c-avx2"}} | more
        runs = {"plain": verdict.Run(plain), "c": verdict.Run(active, **settings)}
        found = verdict.judge(verdict.Suite(**SUITE | (suite or {})), runs)
        return [problem.text for problem in found]

    return judge


# ---- the verdict --------------------------------------------------------------------------------


def test_same(problems):
    assert problems(SAME, SAME) == []


@pytest.mark.parametrize("outcome", ["failed", "skipped", "xfailed"])
def test_a_test_that_ends_otherwise(problems, outcome):
    plain = SAME | {"t::c": "passed"}
    assert problems(plain, plain | {"t::a": outcome}) == [f"c: t::a {outcome}, not passed"]


def test_equal_counts_are_not_enough(problems):
    swapped = {"t::a": "skipped", "t::b": "passed"}
    assert len(problems(SAME, swapped)) == 2


def test_a_test_that_is_not_there(problems):
    more = SAME | {"t::c": "passed"}
    assert problems(more, SAME) == ["c: t::c not there, not passed"]
    assert problems(SAME, more) == ["c: t::c passed, not not there"]


def test_failures_without_wsfast(problems):
    failed = SAME | {"t::c": "failed"}
    known = {"known": {"needs the Internet": ["t::c"]}}
    assert problems(failed, failed) == ["plain: t::c failed, and is not a known failure"]
    assert problems(failed, failed, known) == []
    assert problems(SAME | {"t::c": "passed"}, failed, known) == ["c: t::c failed, not passed"]


def test_unsteady(problems):
    plain, active = SAME | {"t::c": "failed"}, SAME | {"t::c": "passed"}
    assert problems(plain, active, {"unsteady": {"a race": ["t::c"]}}) == []


def test_better(problems):
    plain = SAME | {"t::c[x]": "skipped"}
    better = {"better": ["t::c"]}
    assert problems(plain, plain, better) == ["c: t::c[x] skipped, not passed"]
    assert problems(plain, SAME | {"t::c[x]": "passed"}, better) == []


@pytest.mark.parametrize("broken", [{}, {"t::a": "skipped"}])
def test_nothing_passed(problems, broken):
    assert "c: no test passed" in problems(SAME, broken)
    assert "plain: no test passed" in problems(broken, SAME)


def test_no_frame(problems):
    assert problems(SAME, SAME, hits=Counter(other=3)) == ["c: no frame of host"]
    assert problems(SAME, SAME, {"hits": []}, hits=Counter()) == []


def test_a_part_that_is_not_replaced(problems):
    assert problems(SAME, SAME, refusals={("host", "why")}) == ["c: host: why"]


@pytest.mark.parametrize(
    ("backends", "said"),
    [
        ({"python"}, "python"),
        ({"c-avx2", "python"}, "c-avx2, python"),
        (set(), "nothing of wsfast"),
    ],
)
def test_another_back_end(problems, backends, said):
    assert problems(SAME, SAME, backends=backends) == [f"c: ran on {said}"]


# ---- selecting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "all_versions", "ci", "wanted"),
    [
        ([], False, False, ["a-2", "b-1"]),
        ([], True, False, ["a-2", "a-1", "b-1"]),
        (["a"], False, False, ["a-2"]),
        (["a"], True, False, ["a-2", "a-1"]),
        (["a-1", "b"], False, False, ["a-1", "b-1"]),
        ([], False, True, ["a-1", "b-1"]),
    ],
)
def test_select(verdict, names, all_versions, ci, wanted):
    of = [("a", "2", False), ("a", "1", True), ("b", "1", True)]
    suites = [verdict.Suite(**SUITE | {"host": h, "version": v, "ci": c}) for h, v, c in of]
    found = verdict.select(suites, names, all_versions, ci)
    assert [suite.name for suite in found] == wanted


def test_a_name_that_means_nothing(verdict):
    with pytest.raises(KeyError, match="no suite is called c"):
        verdict.select([verdict.Suite(**SUITE)], ["host", "c"], False, False)


def test_the_data(verdict):
    suites = verdict.read(HERE / "suites.toml")
    assert len({suite.name for suite in suites}) == len(suites)
    for suite in suites:
        assert all((HERE / source).is_file() for source in suite.add.values())


# ---- recording ----------------------------------------------------------------------------------

UNITTEST = """
import unittest


class Case(unittest.TestCase):
    def test_passes(self): pass
    def test_fails(self): self.fail("on purpose")
    def test_breaks(self): raise ValueError
    @unittest.skip("why not")
    def test_skips(self): pass
    @unittest.expectedFailure
    def test_fails_as_expected(self): self.fail()
    def test_one_part_fails(self):
        for i in range(3):
            with self.subTest(i): self.assertNotEqual(i, 1)


class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise ValueError
    def test(self): pass
"""
PYTEST = """
import pytest


def test_passes(): pass
def test_fails(): assert 0, "on purpose"
def test_skips(): pytest.skip()
@pytest.mark.xfail
def test_fails_as_expected(): assert 0
@pytest.fixture
def broken():
    yield
    assert 0
def test_teardown_fails(broken): pass
"""


@pytest.fixture
def recorded(tmp_path, workplace):
    """``recorded(source, *arguments)``: the run of a file of tests, recorded."""

    def run(source: str, *arguments: str) -> Any:
        (tmp_path / "test_it.py").write_text(textwrap.dedent(source))
        outcomes = tmp_path / "outcomes.json"
        env = os.environ | {"PYTHONPATH": str(HERE), "SUITE_OUTCOMES": str(outcomes)}
        command = [sys.executable, "-m", *arguments]
        subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, timeout=60)
        return workplace.collect(outcomes, tmp_path / "report.jsonl")

    return run


def test_unittest(recorded):
    run = recorded(UNITTEST, "suite_recorder")
    assert {test.removeprefix("test_it."): outcome for test, outcome in run.outcomes.items()} == {
        "Case.test_passes": "passed",
        "Case.test_fails": "failed",
        "Case.test_breaks": "failed",
        "Case.test_skips": "skipped",
        "Case.test_fails_as_expected": "xfailed",
        "Case.test_one_part_fails": "failed",
        "setUpClass (test_it.Broken)": "failed",
    }
    assert "on purpose" in run.whys["test_it.Case.test_fails"]


def test_pytest(recorded):
    run = recorded(PYTEST, "pytest", "-p", "suite_recorder")
    assert {test.removeprefix("test_it.py::"): o for test, o in run.outcomes.items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skips": "skipped",
        "test_fails_as_expected": "xfailed",
        "test_teardown_fails": "failed",
    }
    assert "on purpose" in run.whys["test_it.py::test_fails"]


def test_a_run_that_breaks_off(recorded):
    assert recorded("import os; os._exit(0)", "pytest", "-p", "suite_recorder").outcomes == {}
    assert recorded("syntax error", "pytest", "-p", "suite_recorder").outcomes == {
        "test_it.py": "failed"
    }


def test_reports(workplace, tmp_path):
    host = {"name": "host", "hits": 2, "state": "active", "seams": ["a:b"], "reason": ""}
    other = {"name": "other", "hits": 0, "state": "off", "seams": [], "reason": "not wanted"}
    own = {"name": "own", "hits": 0, "state": "active", "seams": [], "reason": "2 connections"}
    refused = {"name": "host", "hits": 0, "state": "refused", "seams": [], "reason": "unknown"}
    lines = [
        {"backend": "c-avx2", "hosts": [host, other, own]},
        {"backend": "c-avx2", "hosts": [host, refused, host | {"hits": 0, "reason": "one moved"}]},
    ]
    report = tmp_path / "report.jsonl"
    report.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = workplace.collect(tmp_path / "none", report)
    assert run.hits["host"] == 4
    assert run.backends == {"c-avx2"}
    assert run.refusals == {("host", "unknown"), ("host", "one moved")}


# ---- failing in time ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "wanted"),
    [(["passed"] * 3, "passed"), (["passed", "failed"], "failed"), (["failed"], "failed")],
)
def test_again(verdict, workplace, tmp_path, later, wanted):
    """A failure stands unless the test passes alone each time; known ones are left alone."""
    suite = verdict.Suite(**SUITE | {"known": {"why": ["t::k"]}})
    place = workplace.Workplace(suite, tmp_path, tmp_path)
    outcomes = iter(later)
    place.run = lambda mode, tests, files: verdict.Run({t: next(outcomes) for t in tests})
    run = verdict.Run({"t::a": "failed", "t::k": "failed", "t::b": "passed"})
    place.again("c", run)
    assert run.outcomes == {"t::a": wanted, "t::k": "failed", "t::b": "passed"}
    assert run.again == (["t::a"] if wanted == "passed" else [])


def test_much_failed_is_no_matter_of_time(verdict, workplace, tmp_path):
    place = workplace.Workplace(verdict.Suite(**SUITE), tmp_path, tmp_path)
    run = verdict.Run({f"t::{n}": "failed" for n in range(workplace.FEW + 1)})
    place.run = None
    place.again("c", run)
    assert set(run.outcomes.values()) == {"failed"}


def test_past_the_limit(workplace, tmp_path, monkeypatch):
    """What hangs ends, with what it started."""
    monkeypatch.setattr(workplace, "LIMIT", 3)
    child = "import os, time; p = os.fork(); p and print(os.getpid(), p, flush=True); time.sleep(9)"
    log = tmp_path / "log"
    workplace.bounded([sys.executable, "-ISc", child], tmp_path, dict(os.environ), log)
    pids = [int(line) for line in log.read_text().split()]
    assert len(pids) == 2
    end = time.monotonic() + 30  # killed, but on a busy machine not gone at once
    while not all(map(gone, pids)):
        assert time.monotonic() < end
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.rpartition(")")[2].split()[0] in "ZX"


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture
def main(monkeypatch, tmp_path, verdict, workplace, capsys):
    """``main(active)``: exit status and output, the active runs ending like that."""

    def call(active: dict[str, str]) -> tuple[int, str]:
        class Place(workplace.Workplace):
            def prepare(self, wsfast: Path) -> None:
                pass

            def run(self, mode: str, targets: Any, files: str = "") -> Any:
                if mode == "plain":
                    return verdict.Run(dict(SAME))
                return verdict.Run(dict(active), hits=Counter(host=1), backends={mode})

        suites = importlib.import_module("suites")
        monkeypatch.setattr(suites, "Workplace", Place)
        monkeypatch.setattr(suites, "make_pip", lambda folder: folder)
        monkeypatch.setattr(suites, "read", lambda file: [verdict.Suite(**SUITE)])
        monkeypatch.setattr("sys.argv", ["suites.py", "--work", str(tmp_path), "--json", "-"])
        return suites.main(), capsys.readouterr().out

    return call


def test_the_last_line(main):
    status, output = main(SAME)
    assert status == 0
    assert output.endswith("\n3 passed, 0 failed\n")
    status, output = main(SAME | {"t::b": "failed"})
    assert status == 1
    assert "c: t::b failed, not skipped" in output
    assert output.endswith("\n3 passed, 2 failed\n")


def test_json(main):
    text = main(SAME)[1]
    found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert found["schema"] == "wsfast-suites/1"
    runs = found["suites"]["host-1.0"]["runs"]
    assert runs["c"]["counts"] == {"passed": 1, "skipped": 1}
    assert runs["c"]["hits"] == {"host": 1}

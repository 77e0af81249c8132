"""What a run consists of, what its legs leave behind, and what is made of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import legs
import pytest
import testees
from legs import Leg, Outcome
from runners import Runner, RunnerFailed, position
from testees import HOSTS, OURS, SHORT, TESTEES, UnfitTestee
from verdict import CASES_OF_GROUP, Verdict


@pytest.mark.parametrize(
    "text, numbers",
    [
        ("1-7,9,10", [1, 2, 3, 4, 5, 6, 7, 9, 10]),
        ("13,12", [12, 13]),
        ("7-10", [7, 9, 10]),
        ("3", [3]),
    ],
)
def test_groups(text, numbers) -> None:
    assert legs.groups(text) == numbers


@pytest.mark.parametrize("text", ["", "8", "x", "3-", "7-1"])
def test_no_groups(text) -> None:
    with pytest.raises(ValueError):
        legs.groups(text)


def test_everything_of_ours_is_all_groups_on_both_sides_and_back_ends() -> None:
    plan = list(legs.plan(OURS, CASES_OF_GROUP, None, None))
    played = {(leg.testee, leg.backend, group) for leg in plan for group in leg.groups}
    assert played == {
        (name, backend, group)
        for name in ("uvicorn", "bare", "client")
        for backend in ("c", "python")
        for group in CASES_OF_GROUP
    }
    assert {TESTEES[name].side for name in OURS} == {"server", "client"}
    assert [leg.part for leg in plan] == ["1-7,9,10"] * 6 + ["12"] * 6 + ["13"] * 6


def test_a_choice() -> None:
    assert list(map(str, legs.plan(OURS, SHORT, "client", ["python"]))) == [
        "client python 1-7,9,10"
    ]
    assert list(map(str, legs.plan(HOSTS, [7, 9], None, None))) == [
        "websockets plain 7,9",
        "websockets c 7,9",
        "uvicorn-wsproto plain 7,9",
        "uvicorn-wsproto c 7,9",
        "hypercorn plain 7",
        "hypercorn c 7",
    ]


# ---- legs ---------------------------------------------------------------------------------------


def write_report(folder: Path, messages: str = "OK", cases: int = CASES_OF_GROUP[3]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    ending = {"behavior": messages, "behaviorClose": "OK"}
    index = folder / "index.json"
    index.write_text(json.dumps({"wsfast": {f"3.{n}": ending for n in range(1, cases + 1)}}))
    return index


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``played(leg, …)``: the outcome where Autobahn reported what ``write_report`` writes."""

    def play(leg: Leg, **report) -> Outcome:
        def write(testee, backend, runner, cases, folder, timeout) -> Path:
            assert cases == [f"{group}.*" for group in leg.groups]
            return write_report(folder, **report)

        monkeypatch.setattr(testees, "play", write)
        return legs.play(leg, Runner("a runner", None, None), tmp_path)

    return play


def test_failures_of_ours_and_of_hosts(played) -> None:
    ours, host = Leg("bare", "c", (3,)), Leg("websockets", "plain", (3,))
    assert played(ours).failures == 0
    assert played(ours, messages="NON-STRICT").failures == 7
    assert played(ours, cases=5).failures == 2
    assert played(host, messages="FAILED").failures == 0
    assert played(host, cases=5).failures == 2


def test_lines_name_what_failed(played) -> None:
    assert legs.lines(played(Leg("bare", "c", (3,)), messages="NON-STRICT", cases=1)) == [
        "bare c 3: 0 passed, 1 failed in 0 s",
        "FAILED 3.1: NON-STRICT, close OK",
        "FAILED 6 cases were not played",
    ]


@pytest.mark.parametrize("exception", [UnfitTestee, RunnerFailed])
def test_a_leg_that_breaks_is_a_failure(tmp_path, monkeypatch, exception) -> None:
    def fail(*_: object) -> None:
        raise exception("why")

    monkeypatch.setattr(testees, "play", fail)
    outcome = legs.play(Leg("bare", "c", (3,)), Runner("a runner", None, None), tmp_path)
    assert outcome.failures == 1
    assert legs.lines(outcome) == [f"bare c 3: FAILED after 0 s: {exception.__name__}: why"]


def test_patched_hosts_are_compared_with_themselves(played, tmp_path) -> None:
    plain, active = Leg("websockets", "plain", (3,)), Leg("websockets", "c", (3,))
    outcomes = [played(active)]
    assert legs.compare(outcomes, tmp_path) == ["websockets c 3: never played as it is"]
    outcomes.append(played(plain))
    assert legs.compare(outcomes, tmp_path) == []
    played(plain, messages="INFORMATIONAL")
    assert len(legs.compare(outcomes, tmp_path)) == 7
    assert legs.compare([Outcome(active, 1.0, error="it broke")], tmp_path) == []


def test_the_table(played, tmp_path) -> None:
    played(Leg("client", "c", (3,)), messages="NON-STRICT", cases=6)
    played(Leg("bare", "python", (3,)), messages="INFORMATIONAL")
    for backend in ("c", "plain"):
        played(Leg("websockets", backend, (3,)))
    assert legs.table(tmp_path).splitlines()[2:] == [
        "| bare | python | 3 | 7 | 0 | 0 | 7 | 0.0 |",
        "| client | c | 3 | 0 | 1 | 6 | 0 | 0.0 |",
        "| websockets | plain | 3 | 7 | 0 | 0 | 0 | 0.0 |",
        "| websockets | c | 3 | 7 | 0 | 0 | 0 | 0.0 |",
    ]


# ---- programs -----------------------------------------------------------------------------------


def test_a_program_that_leaves_no_report(tmp_path) -> None:
    def client(url: str, cases: Sequence[str], folder: Path) -> list[str]:
        return [sys.executable, "-c", "print('Running test case ID 9.1.1 for agent x')"]

    runner = Runner("a runner", client, None)
    with pytest.raises(RunnerFailed, match="a runner left no report"):
        runner.play("ws://127.0.0.1:1", ["9.*"], tmp_path / "leg", 20)
    assert position(tmp_path / "leg") == "9.1.1, number 1"
    assert position(tmp_path) == ""


def test_a_program_that_does_not_listen(tmp_path) -> None:
    def server(port: int, cases: Sequence[str], folder: Path) -> list[str]:
        return [sys.executable, "-c", ""]

    runner = Runner("a runner", None, server)
    with pytest.raises(RunnerFailed, match="does not listen"), runner.serve([], tmp_path / "leg"):
        pass


@pytest.mark.parametrize(
    "report",
    [
        {"hosts": [{"name": "wsproto", "state": "refused", "hits": 0}], "backend": "c-avx2"},
        {"hosts": [{"name": "wsproto", "state": "active", "hits": 0}], "backend": "c-avx2"},
        {"hosts": [{"name": "wsproto", "state": "active", "hits": 9}], "backend": "python"},
    ],
)
def test_a_host_without_us_is_not_taken_for_one_with_us(tmp_path, report, monkeypatch) -> None:
    @contextmanager
    def launched(*_: str, **environment: str) -> Iterator[Leg]:
        yield type("Server", (), {"port": 1})()
        Path(environment["WSFAST_REPORT"]).write_text(json.dumps(report))

    monkeypatch.setattr(testees, "launch", launched)
    runner = Runner("a runner", None, None)
    monkeypatch.setattr(Runner, "play", lambda *_: tmp_path)
    with pytest.raises(UnfitTestee, match="not wsfast's frames"):
        testees.play(TESTEES["uvicorn-wsproto"], "c", runner, [], tmp_path / "leg", 1.0)


def test_a_client_on_another_back_end_is_noticed(tmp_path, monkeypatch) -> None:
    script = tmp_path / "other.py"
    script.write_text("""print('{"backend": "python"}')""")
    with pytest.raises(UnfitTestee, match="back end 'python'"):
        testees._run_client(str(script), "ws://127.0.0.1:1", "c", 20)


def test_an_outcome_without_failures_is_good() -> None:
    verdict = Verdict(("3.1",), (), 0, (), 0)
    assert Outcome(Leg("bare", "c", (3,)), 1.0, verdict).failures == 0

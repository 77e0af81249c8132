"""The verdict on Autobahn's report: strict, and not to be had by playing fewer cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from verdict import CASES_OF_GROUP, RACES, differences, judge


def case(messages: str = "OK", close: str = "OK") -> dict[str, str]:
    return {"behavior": messages, "behaviorClose": close}


@pytest.fixture
def verdict(tmp_path: Path):
    """The verdict on group 3 (seven cases) when some ended as given and the others OK."""

    def check(**endings: dict[str, str]):
        cases = {f"3.{number}": endings.get(f"c{number}", case()) for number in range(1, 8)}
        path = tmp_path / "index.json"
        path.write_text(json.dumps({"agent": cases}))
        return judge(path, [3])

    return check


def test_all_ok(verdict) -> None:
    found = verdict()
    assert found.good
    assert len(found.passed) == CASES_OF_GROUP[3]
    assert found.informational == ()


@pytest.mark.parametrize("word", ["NON-STRICT", "FAILED", "WRONG CODE", "UNCLEAN", "UNIMPLEMENTED"])
def test_anything_else_fails(verdict, word) -> None:
    for ending in (case(word), case(close=word)):
        found = verdict(c2=ending)
        assert not found.good
        assert len(found.passed) == 6
        assert len(found.failed) == 1
        assert found.failed[0].startswith("3.2: ")


def test_informational_passes_and_is_listed(verdict) -> None:
    found = verdict(c5=case("INFORMATIONAL"), c6=case(close="INFORMATIONAL"))
    assert found.good
    assert found.informational == ("3.5", "3.6")


def test_cases_that_were_not_played_fail(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"agent": {"3.1": case(), "3.2": case()}}))
    found = judge(path, [3])
    assert not found.good
    assert found.missing == 5


def test_cases_are_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"agent": {"3.10": case(), "3.2": case(), "3.1.1": case()}}))
    assert judge(path, []).passed == ("3.1.1", "3.2", "3.10")


def test_non_strict_is_counted_where_nothing_is_worse(verdict) -> None:
    found = verdict(c1=case("NON-STRICT"), c2=case("NON-STRICT", "FAILED"), c3=case("FAILED"))
    assert len(found.failed) == 3
    assert found.non_strict == 1


def test_cases_that_the_program_cannot_judge_are_not_missing(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"agent": {f"3.{number}": case() for number in range(2, 8)}}))
    assert judge(path, [3]).missing == 1
    assert judge(path, [3], ("3.1", "12.1.1")).good


@pytest.fixture
def compared(tmp_path: Path):
    """How two reports differ, each given by its cases."""

    def check(one: dict[str, dict[str, str]], other: dict[str, dict[str, str]]) -> list[str]:
        paths = (tmp_path / "one.json", tmp_path / "other.json")
        for path, cases in zip(paths, (one, other), strict=True):
            path.write_text(json.dumps({"agent": cases}))
        return differences(*paths)

    return check


def test_the_same_failures_are_no_difference(compared) -> None:
    cases = {"9.3.1": case("FAILED", "FAILED"), "1.1.1": case()}
    assert compared(cases, cases) == []


def test_every_case_that_ends_otherwise_is_told(compared) -> None:
    one = {"9.3.1": case("FAILED", "FAILED"), "1.1.2": case(), "2.1": case(), "2.2": case()}
    other = {"9.3.1": case("FAILED", "OK"), "1.1.2": case("NON-STRICT"), "2.1": case()}
    assert compared(one, other) == [
        "1.1.2: OK, close OK / NON-STRICT, close OK",
        "2.2: OK, close OK / not played, close not played",
        "9.3.1: FAILED, close FAILED / FAILED, close OK",
    ]


@pytest.mark.parametrize("name", RACES)
def test_races_may_end_either_way_but_no_other(compared, name) -> None:
    assert compared({name: case()}, {name: case("NON-STRICT")}) == []
    for ending in (case("FAILED"), case(close="UNCLEAN")):
        assert len(compared({name: case()}, {name: ending})) == 1
    assert len(compared({name: case()}, {})) == 1

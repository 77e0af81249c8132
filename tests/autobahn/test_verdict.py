"""The verdict on Autobahn's report: strict, and not to be had by playing fewer cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from verdict import CASES_OF_GROUP, judge


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

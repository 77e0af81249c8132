"""``uvicorn_suite.py`` must notice what it is there to notice."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("uvicorn_suite.py")


@pytest.fixture(scope="module")
def suite():
    spec = importlib.util.spec_from_file_location("uvicorn_suite", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def result(suite, monkeypatch, tmp_path):
    """``result(default, ours, used=1)``: the exit status after two runs with these outcomes."""

    def main(default, ours, used=1):
        runs = {suite.DEFAULT: (default, 1), suite.OURS: (ours, used)}
        monkeypatch.setattr(suite, "missing", list)
        monkeypatch.setattr(suite, "fetch", lambda folder: folder)
        monkeypatch.setattr(suite, "run", lambda root, cls: runs[cls])
        monkeypatch.setattr("sys.argv", ["uvicorn_suite.py"])
        return suite.main()

    return main


def test_same(result, capsys):
    assert result({"t::a": "passed", "t::b": "failed"}, {"t::a": "passed", "t::b": "failed"}) == 0
    assert "the same" in capsys.readouterr().out


def test_different(result, capsys):
    assert result({"t::a": "passed", "t::b": "passed"}, {"t::a": "passed", "t::b": "failed"}) == 1
    assert "t::b: passed with uvicorn's default, failed with ours" in capsys.readouterr().out
    assert result({"t::a": "passed", "t::b": "passed"}, {"t::a": "passed"}) == 1
    assert result({"t::a": "passed"}, {"t::a": "passed", "t::b": "passed"}) == 1


def test_skipped_by_class_name(suite, result):
    name = f"t::{suite.MUST_PASS[0]}[ws-h11]"
    base = {"t::a": "passed"}
    assert result(base | {name: "skipped"}, base | {name: "passed"}) == 0
    assert result(base | {name: "skipped"}, base | {name: "skipped"}) == 1


def test_nothing_was_tested(result):
    assert result({}, {}) == 1
    assert result({"t::a": "skipped"}, {"t::a": "skipped"}) == 1
    assert result({"t::a": "passed"}, {"t::a": "passed"}, used=0) == 1

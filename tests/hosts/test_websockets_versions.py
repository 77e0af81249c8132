"""``websockets_versions.py`` must notice what it is there to notice."""

from __future__ import annotations

import pytest
import websockets_versions as runner


@pytest.mark.parametrize(
    "counts,status,last",
    [
        ({"passed": 5}, 0, "10 passed, 0 failed"),
        ({"passed": 5, "skipped": 1}, 0, "10 passed, 0 failed"),
        ({"passed": 4, "failed": 1}, 1, "8 passed, 2 failed"),
        ({"error": 1}, 1, "0 passed, 2 failed"),
        ({"passed": 4, "error": 2, "failed": 1}, 1, "8 passed, 6 failed"),
        ({}, 1, "0 passed, 2 failed"),
    ],
    ids=str,
)
def test_status(monkeypatch, capsys, counts, status, last):
    monkeypatch.setattr(runner, "run", lambda folder, profile, v: (v, counts, 1.0, "said"))
    monkeypatch.setattr("sys.argv", ["websockets_versions.py", "15.0.1", "17.4"])
    assert runner.main() == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == last
    assert ("said" in lines) is bool(status)


def test_all_versions_by_default(monkeypatch, capsys):
    seen = []

    def run(folder, profile, version):
        seen.append((version, profile))
        return version, {"passed": 1}, 1.0, ""

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.setattr("sys.argv", ["websockets_versions.py", "--jobs", "1"])
    assert runner.main() == 0
    assert seen == [(version, "quick") for version in runner.VERSIONS["websockets"]]


def test_unknown_version(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["websockets_versions.py", "9.1"])
    with pytest.raises(SystemExit, match="2"):
        runner.main()


def test_another_version_than_meant(monkeypatch, tmp_path):
    """What is imported is looked at: an empty folder leaves the installed one."""
    monkeypatch.setattr(runner, "install", lambda version, place: place.mkdir())
    _, counts, _, output = runner.run(tmp_path, "quick", "15.0.1")
    assert counts == {"error": 1}
    assert "another one is imported" in output

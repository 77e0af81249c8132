"""``wsfast status`` asks another process what ``install()`` makes of a host."""

from __future__ import annotations

import pytest

from wsfast.cli import status


@pytest.fixture
def environment(monkeypatch, run_python):
    """The process started finds the wsfast that is tested."""
    done = run_python("-c", "import os; print(os.environ['PYTHONPATH'])")
    monkeypatch.setenv("PYTHONPATH", done.stdout.strip())
    monkeypatch.setenv("WSFAST_BACKEND", "python")  # asked for, so that hosts are patched
    monkeypatch.delenv("WSFAST", raising=False)


@pytest.mark.parametrize("name", ["websockets", "wsproto"])
def test_an_installed_host(environment, monkeypatch, tmp_path, name):
    pytest.importorskip(name)
    report = tmp_path / "report"
    monkeypatch.setenv("WSFAST_REPORT", str(report))
    found = status._probed(name)
    assert (found["name"], found["state"], found["said"]) == (name, "active", [])
    assert not report.exists(), "a question is no process of the program"


def test_kill_switch(environment, monkeypatch):
    monkeypatch.setenv("WSFAST", "0")
    found = status._probed("wsproto")
    assert (found["state"], found["reason"]) == ("off", "WSFAST=0 in the environment")


def test_a_host_that_does_not_import(environment, monkeypatch, tmp_path):
    (tmp_path / "wsproto.py").write_text("print('hello')\nraise OSError('no\\x1b')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    assert status._probed("wsproto") == {"error": "OSError: no\x1b"}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('{}')", "exit status 0"),
        ("import os; os._exit(7)", "exit status 7"),
        ("raise SystemExit('went\\naway')", "away"),
    ],
)
def test_a_process_that_does_not_answer(environment, monkeypatch, tmp_path, code, says):
    package = tmp_path / "wsfast/cli"
    package.mkdir(parents=True)
    for module, source in (("../__init__", ""), ("__init__", ""), ("_probe", code)):
        (package / f"{module}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert status._probed("wsproto") == {"error": says}


def test_a_process_that_hangs(environment, monkeypatch, tmp_path):
    (tmp_path / "wsproto.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(status, "PROBE_TIMEOUT", 1.5)
    assert status._probed("wsproto") == {"error": "it took longer than 1.5 seconds"}

"""``WSFAST_REPORT``: a line from every process, however it ends."""

from __future__ import annotations

import json
import signal
import sys
import threading

import pytest

import wsfast

INSTALL = "import os, signal, sys, wsfast; wsfast.install()"
WORK = """
import multiprocessing, os, sys, wsfast

def work():
    wsfast.install()

if __name__ == "__main__":
    wsfast.install()
    context = multiprocessing.get_context(sys.argv[1])
    process = context.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0, process.exitcode
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")


@pytest.fixture
def lines(tmp_path, run_python):
    """``lines(code, *argv, returncode=0)``: what the processes wrote, in their order."""
    file = tmp_path / "report.jsonl"

    def run(code, *argv, returncode=0, **variables):
        script = tmp_path / "script.py"
        script.write_text(code)
        file.unlink(missing_ok=True)
        done = run_python(str(script), *argv, **{"WSFAST_REPORT": str(file), **variables})
        assert (done.returncode, done.stderr) == (returncode, "")
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text().splitlines()]

    return run


def test_a_line(lines):
    (line,) = lines(f"{INSTALL}\nprint(os.getpid())", "one", "two")
    assert list(line) == ["pid", "argv", "backend", "hosts"]
    assert line["argv"][1:] == ["one", "two"]
    assert line["backend"] == wsfast.backend()
    names = ["websockets", "wsproto", "simple-websocket", "uvicorn"]
    assert [host["name"] for host in line["hosts"]] == names
    assert list(line["hosts"][0]) == ["name", "version", "state", "seams", "hits", "reason"]


def test_a_relative_path_is_one_from_the_beginning(tmp_path, run_python):
    code = f"import os; os.chdir({str(tmp_path)!r}); import wsfast; wsfast.install(); os.chdir('/')"
    assert run_python("-c", code, WSFAST_REPORT="here.jsonl").stderr == ""
    assert (tmp_path / "here.jsonl").read_text().count("\n") == 1


def test_only_where_it_is_asked_for(lines):
    assert lines(INSTALL, WSFAST_REPORT=None) == lines(INSTALL, WSFAST_REPORT="") == []
    assert lines("import wsfast; wsfast.status()") == []


def test_the_kill_switch_is_reported(lines):
    (line,) = lines(INSTALL, WSFAST="0")
    assert {host["state"] for host in line["hosts"]} <= {"off", "absent"}


@pytest.mark.parametrize(
    ("end", "returncode"),
    [
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("wsfast.install(); os._exit(0)", 0),
        pytest.param("signal.raise_signal(signal.SIGTERM)", -signal.SIGTERM, marks=posix),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, marks=posix),
    ],
)
def test_every_end(lines, end, returncode):
    (line,) = lines(f"{INSTALL}\n{end}", returncode=returncode)
    assert line["hosts"]


@posix
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_sigterm_while_the_line_is_written(lines, end):
    """hypercorn terminates its workers while they are about to end by themselves."""
    code = (
        f"import json\n{INSTALL}\ndumps = json.dumps\n"
        "def interrupted(line):\n    os.kill(os.getpid(), signal.SIGTERM)\n    return dumps(line)\n"
        f"json.dumps = interrupted\n{end}"
    )
    (line,) = lines(code, returncode=-signal.SIGTERM)
    assert line["hosts"]


@posix
@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)", "pass", "os.kill(os.getpid(), 15)"])
def test_a_forked_child_has_a_line_of_its_own(lines, end):
    code = f"{INSTALL}\nchild = os.fork()\nif child:\n    os.waitpid(child, 0)\nelse:\n    {end}\n"
    found = lines(code)
    assert len({line["pid"] for line in found}) == len(found) == 2


@posix
def test_a_handler_of_the_program_is_left_alone(lines):
    code = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('mine'))\n"
    (line,) = lines(
        f"{code}{INSTALL}\nsignal.raise_signal(signal.SIGTERM)\nsys.exit(5)", returncode=5
    )
    assert line["hosts"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(lines, method):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    found = lines(WORK, method)
    assert len({line["pid"] for line in found}) == len(found) >= 2


def test_threads(lines):
    """SIGTERM cannot be handled from a thread; the other ends still are."""
    code = (
        "import threading, wsfast\nt = threading.Thread(target=wsfast.install)\nt.start()\nt.join()"
    )
    assert len(lines(code)) == 1


def test_a_lock_held_by_another_thread_is_not_held_in_a_forked_child(fake, calls):
    taken, go = threading.Event(), threading.Event()

    def hold():
        with calls.switch._lock:
            taken.set()
            go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    try:
        calls.switch.forked()  # what the child does, where that thread does not exist
        assert calls.status().state == "off"
        assert thread.is_alive()
    finally:
        go.set()
        thread.join(10)


def test_hits_of_a_forked_child_begin_at_zero(fake, calls):
    from importlib import import_module

    protocol = import_module("fakehost.protocol")
    calls.install()
    protocol.Protocol().parse(1)
    assert calls.status().hits == 1
    calls.switch.forked()
    assert calls.status().hits == 0
    protocol.Protocol().parse(1)
    assert calls.status().hits == 1

"""The command line itself, and ``wsfast status``."""

import os
import re
import subprocess
import sys

import pytest

import wsfast
from wsfast import _zlib, cli
from wsfast.cli import _text, status


@pytest.fixture(autouse=True)
def probed(monkeypatch):
    """No process is started for the rows of hosts; tests/hosts/install has the real ones."""
    found = {"state": "active", "reason": "", "said": []}
    monkeypatch.setattr(status, "_probed", lambda name: found)
    return found


def output(capsys, *argv):
    """What it prints, the columns two spaces apart."""
    assert cli.main(argv) == 0
    return re.sub(" {2,}", "  ", capsys.readouterr().out)


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["status", "--nonsense"]])
def test_wrong_usage_exits_with_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


def test_without_a_word_it_shows_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main([])
    assert "examples:\n  wsfast status" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("stauts", "status"),
        ("STATUS", "status"),
        ("confromence", "conformance"),
        ("run --only websoket server.py", "websockets"),
        ("status --requre", "--require"),
        ("--versoin status", "--version"),
        ("run --polcy=host server.py", "--policy"),
        ("run --policy hots server.py", "host"),
        ("run --only Websocket server.py", "websockets"),
        ("bench host", "hosts"),
        ("bench --only uvicorn-wsfast", "uvicorn+wsfast"),
        ("conformance --only utf-8 ws://x/", "utf8"),
    ],
)
def test_what_was_probably_meant_is_named(line, near, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(line.split())
    assert caught.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"; did you mean {near!r}?")
    command, *rest = line.split()
    assert said.startswith(f"wsfast {command}: " if rest and command.isalpha() else "wsfast: ")


@pytest.mark.parametrize(
    "line",
    [
        *("frobnicate", "status now", "bench --only nginx\x1b", "run --only x y"),
        # Half of the letters and more are those of status, conformance, run, websockets, …
        *("start", "state", "performance", "bench --host=x"),
        "run --only websocket-client y",
    ],
)
def test_nothing_is_made_up_where_nothing_is_near(line, capsys):
    with pytest.raises(SystemExit):
        cli.main(line.split(" "))
    err = capsys.readouterr().err
    assert "did you mean" not in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    "argv", [["--help"], *[[name, "--help"] for name in ("status", "bench", "run", "conformance")]]
)
def test_help_shows_examples(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "examples:\n  " in out
    assert max(map(len, out.splitlines())) <= 100


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"wsfast {wsfast.__version__}\n"


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "wsfast", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"wsfast {wsfast.__version__}\n"


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "run", interrupted)
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err == "wsfast: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("conformance --list >&-", 0),
        ("conformance --list 2>&-", 0),
        ("conformance ws://127.0.0.1:1/ --only ping/4 2>&-", 1),
        ("conformance --list", 1),
        ("conformance ws://127.0.0.1:1/ --only ping/4", 1),
    ],
)
def test_nobody_reads_what_it_says(line, code):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m wsfast {line}', sys.executable],
        stdout=writer if ">" not in line else subprocess.PIPE,
        stderr=writer if ">" not in line else subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.returncode == code
    assert not done.stderr


def test_status_names_version_back_end_and_python(capsys):
    out = output(capsys, "status")
    assert wsfast.__version__ in out
    assert f"back end  {wsfast.backend()}" in out
    assert sys.version.split()[0] in out


def test_status_says_why_the_build_failed_and_trusts_no_text(capsys, monkeypatch):
    monkeypatch.setattr(wsfast, "build_info", lambda: {"ok": False, "reason": "no \x1b[2Jcc"})
    assert r"C build  failed: no \x1b[2Jcc" in output(capsys, "status")


def test_status_lists_what_can_compress(capsys, monkeypatch):
    load = _zlib.load

    def loads(name=None):
        if name == "isal":
            raise ImportError(name)
        return load("zlib")

    monkeypatch.setattr(_zlib, "load", loads)
    assert """\
compression  zlib: the default
  zlib-ng: installed; in the program: wsfast.set_zlib_backend("zlib-ng")
  isal: not installed; pip install 'wsfast[isal]'
""" in output(capsys, "status")


def test_status_shows_the_variables_in_force(capsys, monkeypatch):
    monkeypatch.setattr("wsfast.codec._wish", "python\n")
    monkeypatch.setenv("WSFAST", "web\x1b")
    monkeypatch.delenv("WSFAST_REPORT", raising=False)
    out = output(capsys, "status")
    assert r"environment  WSFAST_BACKEND=python\n WSFAST=web\x1b" in out
    monkeypatch.delenv("WSFAST")
    monkeypatch.setattr("wsfast.codec._wish", "")
    assert "environment  no WSFAST variable is set" in output(capsys, "status")


def test_status_without_extension_names_the_slow_path(capsys, monkeypatch):
    monkeypatch.setattr(wsfast, "backend", lambda: "python")
    monkeypatch.setitem(sys.modules, "wsfast._kernels_c", None)
    monkeypatch.setattr("wsfast.codec._wish", "")  # whatever chose the back end of this run
    out = output(capsys, "status")
    assert "much slower; no C extension" in out
    assert "kernels  none: the C extension is not there" in out


def test_status_with_an_extension_that_does_not_load(capsys, monkeypatch, tmp_path):
    """WSFAST_BACKEND=python goes round it."""
    (tmp_path / "_kernels_c.py").write_text("raise ImportError('undefined symbol')")
    monkeypatch.setattr(wsfast, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wsfast._kernels_c", raising=False)
    out = output(capsys, "status")
    assert "kernels  none: the C extension does not load (undefined symbol)" in out


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("0.54.0", "uvicorn --ws wsfast.uvicorn:WebSocketProtocol your.module:app"),
        ("0.35.1", "too old"),
        ("1.0rc1", "to switch wsfast on"),
    ],
)
def test_status_says_how_to_switch_it_on(capsys, monkeypatch, version, says):
    monkeypatch.setattr(status.metadata, "version", lambda name: version)
    assert says in output(capsys, "status")


def test_status_without_uvicorn(capsys, monkeypatch):
    def missing(name):
        raise status.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(status.metadata, "version", missing)
    assert "uvicorn  not installed" in output(capsys, "status")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "would be accelerated, to switch wsfast on:"),
        ({"reason": "x moved"}, "would be accelerated in part (x moved), to switch wsfast on:"),
        (
            {
                "state": "refused",
                "said": ["websockets 15 runs without wsfast: \x1b. What to do: y"],
            },
            r"would run without wsfast: \x1b. What to do: y",
        ),
        ({"state": "refused", "reason": "x"}, "would run without wsfast: x"),
        ({"state": "off", "reason": "WSFAST=0 in the environment"}, "off: WSFAST=0 in the env"),
        ({"error": "ImportError: no"}, "cannot be imported, so nothing is known of it (ImportErr"),
    ],
)
def test_status_says_what_install_would_do(capsys, monkeypatch, probed, found, says):
    monkeypatch.setattr(status.metadata, "version", lambda name: "15.0.1")
    monkeypatch.setattr(wsfast, "backend", lambda: "c-scalar")
    probed.update(found)
    out = output(capsys, "status")
    assert f"websockets  15.0.1: {says}" in out
    assert ("import wsfast; wsfast.install()" in out) is says.endswith("on:")


@pytest.mark.parametrize(
    ("found", "chosen", "code"),
    [
        ({}, "", 0),
        ({"reason": "x moved"}, "", 1),
        ({"state": "refused", "reason": "x moved"}, "websockets", 1),
        ({"state": "refused", "reason": "x moved"}, "wsproto", 1),
        ({"state": "refused", "reason": "x moved"}, "0", 0),
        ({"state": "off", "reason": "the C extension is not there"}, "", 1),
        ({"error": "ImportError: no"}, "", 1),
        ({}, "websocket", 1),
    ],
)
@pytest.mark.parametrize("argv", [["status", "--require"], ["status"]])
def test_status_can_fail(capsys, monkeypatch, probed, found, chosen, code, argv):
    monkeypatch.setattr(status.metadata, "version", lambda name: "15.0.1")
    monkeypatch.setenv("WSFAST", chosen)
    monkeypatch.setenv("WSFAST_REQUIRE", "" if "--require" in argv else "1")
    probed.update(found)
    names = chosen if len(chosen) > 1 else "websockets, wsproto, simple-websocket"
    says = f"wsfast status: required, but not to be had: {names}\n"
    assert cli.main(argv) == code
    assert capsys.readouterr().err == (says if code else "")
    monkeypatch.setenv("WSFAST_REQUIRE", "0")
    assert cli.main(["status"]) == 0


def test_status_says_that_a_library_would_be_slower(capsys, monkeypatch):
    monkeypatch.setattr(status.metadata, "version", lambda name: "15.0.1")
    monkeypatch.setattr(wsfast, "backend", lambda: "python")
    assert "would go through wsfast's pure Python, to switch" in output(capsys, "status")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünïcode 日本", "plain – ünïcode 日本"),
        ("\x1b[31m\r\n\t\x00", r"\x1b[31m\r\n\t\x00"),
        ("\x9b2J\u202e\u2028\ud800", r"\x9b2J\u202e\u2028\ud800"),
        ('it\'s "quoted" \\', 'it\'s "quoted" \\'),
        (ValueError("\x07"), r"\x07"),
    ],
)
def test_printable(text, shown):
    assert _text.printable(text) == shown

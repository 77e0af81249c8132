"""``wsfast run``: what it refuses, what it warns of, what the command sees of it (nothing)."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import pytest

import wsfast
from wsfast import cli
from wsfast.cli import _target, run

PYTHON = sys.executable
PLACE = str(Path(wsfast.__file__).parents[1])
# Stands in for the wsfast of the command's Python, in front of the real one on PYTHONPATH.
FAKE = """\
import os
from collections import namedtuple
__version__ = os.environ.get("FAKE_VERSION", {version!r})
def backend():
    return os.environ.get("FAKE_BACKEND", "c-fake")
def status():
    absent = os.environ.get("FAKE_ABSENT", "").split(",")
    host = namedtuple("Host", "name state")
    names = "websockets", "wsproto", "simple-websocket"
    return [host(n, "absent" if n in absent else "off") for n in names]
"""
SWITCH = """\
import os
def switch_on(**settings):
    if "FAKE_ERROR" in os.environ:
        raise ValueError(os.environ["FAKE_ERROR"])
    print(sorted(settings.items()), flush=True)
"""


@pytest.fixture
def fake(tmp_path: Path) -> str:
    """A folder with a wsfast that says what it is told to."""
    package = tmp_path / "fake" / "wsfast"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FAKE.format(version=wsfast.__version__))
    (package / "integrations.py").write_text(SWITCH)
    return str(package.parent)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of a virtual environment without wsfast, in a folder with a space."""
    folder = tmp_path_factory.mktemp("foreign") / "an environment"
    venv.create(folder, symlinks=True)
    return str(folder / "bin" / "python")


def script(folder: Path, text: str) -> str:
    file = folder / "command"
    file.write_text(text)
    file.chmod(0o755)
    return f"./{file.name}"


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd, surroundings):
    """``refused(status, *words)``: what it says, on one line, before it gives up."""
    monkeypatch.chdir(tmp_path)

    def call(status, *words, **variables):
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", surroundings(variables))
            patch.setattr(os, "execve", lambda *args: pytest.fail("it was started"))
            try:
                found = cli.main(["run", *words])
            except SystemExit as exc:
                found = exc.code
        out, err = capfd.readouterr()
        assert (found, out) == (status, ""), err
        *usage, line = err.splitlines()
        assert all(text.startswith("usage: wsfast run ") for text in usage)
        assert line.startswith("wsfast run: ")
        return line

    return call


# ---- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["", "--", "-m", "-- -m", "--cork --only websockets"])
def test_no_command(words, refused):
    assert "which command?" in refused(2, *words.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--only websockets,autobahn x", "known: websockets,wsproto,simple-websocket"),
        ("--only uvicorn x", "uvicorn --ws wsfast.uvicorn:WebSocketProtocol"),
        ("--policy lax x", "invalid choice"),
    ],
)
def test_wrong_options(words, says, refused):
    assert says in refused(2, *words.split())


def test_no_such_command(refused, tmp_path):
    line = refused(3, "no\x1bsuch", "--help")
    assert r"no\x1bsuch: no such command" in line
    assert f"{PYTHON} -m pip install" in line
    assert "missing.py: no such file" in refused(3, "missing.py")
    (tmp_path / "plain").write_text("")
    assert "no such command" in refused(3, "./plain")


def test_command_that_does_not_start(ran, refused, tmp_path):
    done = ran(script(tmp_path, "no first line"))
    assert (done.returncode, done.stdout) == (3, "")
    assert "Exec format error" in done.stderr
    line = refused(3, script(tmp_path, "#!/no/such/python3\n"))
    assert "does not start" in line and "/no/such/python3" in line


def test_place_that_pythonpath_cannot_hold(refused, monkeypatch):
    monkeypatch.setattr(run, "BOOTSTRAP", f"/a{os.pathsep}b")
    assert "PYTHONPATH cannot hold /a" in refused(3, PYTHON, "-c", "pass")


@pytest.mark.parametrize(
    ("options", "letter"),
    [("-I", "I"), ("-bE", "E"), ("-u -S", "S"), ("-W error -I", "I"), ("-Xdev -sE", "E")],
)
def test_python_that_ignores_us(options, letter, refused, tmp_path):
    advice = f"leave -{letter} out"
    assert advice in refused(2, PYTHON, *options.split(), "-c", "pass")
    for start in (f"#!{PYTHON} {options}\n", f"#!/usr/bin/env -S A=b python3 {options}\n"):
        assert advice in refused(2, script(tmp_path, start))


def test_script_that_cannot_be_read():
    assert _target._shebang("/no/such/file") == []


@pytest.mark.parametrize(
    ("words", "letter"),
    [
        ("-c -I", ""),
        ("-mS -E", ""),
        ("x.py -I", ""),
        ("- -I", ""),
        ("-Wignore -m -S", ""),
        ("--help-all -I", "I"),
        ("-X a -W b -vE", "E"),
    ],
)
def test_whose_option_it_is(words, letter):
    assert _target._ignoring(words.split()) == letter


@pytest.mark.parametrize("words", ["shown.py", "-m shown", "--cork -- -m shown", "python shown.py"])
def test_arguments(words, ran, tmp_path):
    (tmp_path / "shown.py").write_text("import sys; print(sys.argv[1:])")
    path = os.path.dirname(PYTHON)
    done = ran(*words.split(), "-I", "--only", "-m", "--", "--help", PATH=path)
    assert done.stdout == "['-I', '--only', '-m', '--', '--help']\n", done


# ---- another Python, another wsfast -------------------------------------------------------------


def test_python_without_wsfast(foreign, refused, tmp_path):
    shell = f"#!/bin/sh\n'''exec' \"{foreign}\" \"$0\" \"$@\"\n' '''\n"  # as pip writes it
    for words in ([foreign, "-c", "pass"], [script(tmp_path, shell)]):
        line = refused(3, *words, PYTHONPATH=None)
        assert "No module named 'wsfast'" in line
        assert f"Install it there: {foreign} -m pip install wsfast" in line


def test_python_without_wsfast_behind_a_shell(foreign, ran, tmp_path):
    text = f"#!/bin/sh\n'{foreign}' -c 'print(1)'\n"
    done = ran(script(tmp_path, text), PYTHONPATH=None)
    assert done.stdout == "1\n"
    assert done.stderr == (
        f"wsfast run: not active in {foreign}: ModuleNotFoundError: No module named 'wsfast'\n"
    )


def test_python_without_wsfast_in_a_child(foreign, ran):
    code = f"import subprocess; subprocess.run([{foreign!r}, '-c', 'print(1)'])"
    # Without PYTHONPATH, so this Python must have wsfast by itself: a script of its own puts it in.
    done = ran(PYTHON, "-c", code, PYTHONPATH=None, PYTHONHOME=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_another_version(fake, ran):
    done = ran("-m", "this", FAKE_VERSION="9.9", PYTHONPATH=fake)
    assert done.returncode == 0
    assert done.stderr == (
        f"wsfast run: {PYTHON} has wsfast 9.9, not {wsfast.__version__}; that one will run\n"
    )


def test_no_extension(fake, ran):
    done = ran("-m", "this", FAKE_BACKEND="python", PYTHONPATH=fake, WSFAST_BACKEND=None)
    assert done.stderr.startswith("wsfast run: no C extension, so nothing is accelerated")
    done = ran("-m", "this", FAKE_BACKEND="python", PYTHONPATH=fake, WSFAST_BACKEND="python")
    assert done.stderr == ""


def test_absent_hosts(fake, ran, refused):
    done = ran("-m", "this", FAKE_ABSENT="wsproto", PYTHONPATH=fake)
    assert (done.returncode, done.stderr) == (0, "")
    done = ran("-m", "this", FAKE_ABSENT="wsproto,websockets,simple-websocket", PYTHONPATH=fake)
    says = "has neither websockets nor wsproto nor simple-websocket, so nothing is accelerated"
    assert says in done.stderr
    line = ["--only", "websockets,wsproto", "-m", "this"]
    said = refused(3, *line, FAKE_ABSENT="wsproto", PYTHONPATH=fake)
    assert f"{PYTHON} has no wsproto" in said


# ---- --require ----------------------------------------------------------------------------------


def test_required_but_nothing_would_be_accelerated(fake, refused):
    words = ["--require", "-m", "this"]
    line = refused(3, *words, FAKE_BACKEND="python", PYTHONPATH=fake, WSFAST_BACKEND=None)
    assert line.startswith("wsfast run: no C extension, so nothing is accelerated")
    line = refused(3, *words, FAKE_ABSENT="wsproto,websockets,simple-websocket", PYTHONPATH=fake)
    assert "has neither websockets nor wsproto" in line
    line = refused(
        3,
        *words[1:],
        WSFAST_REQUIRE="1",
        FAKE_ABSENT="wsproto,websockets,simple-websocket",
        PYTHONPATH=fake,
    )
    assert "has neither websockets nor wsproto" in line


def test_required_of_hosts_that_there_are_not(fake, refused):
    line = refused(2, "--require", "-m", "this", WSFAST="websocket", PYTHONPATH=fake)
    assert "WSFAST names hosts unknown to wsfast: websocket" in line


def test_required_but_not_to_be_had(foreign, fake, ran, tmp_path):
    """Behind a shell the first Python says so; those that it starts are none of our business."""
    behind = script(tmp_path, f"#!/bin/sh\n'{foreign}' -c 'print(1)'\n")
    done = ran("--require", behind, PYTHONPATH=None)
    assert (done.returncode, done.stdout) == (3, "")
    assert "not active" in done.stderr
    done = ran("--require", "-m", "this", FAKE_ERROR="broken", PYTHONPATH=fake)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.endswith("ValueError: broken\n")
    code = f"import subprocess; subprocess.run([{foreign!r}, '-c', 'print(1)'])"
    done = ran("--require", PYTHON, "-c", code, PYTHONPATH=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


@pytest.mark.parametrize("switch", ["wsfast run", "wsfast.install()"])
def test_required_but_refused(switch, ran, plain, tmp_path):
    package = tmp_path / "websockets"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "protocol.py").touch()
    metadata = tmp_path / "websockets-99.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: websockets\nVersion: 99\n")
    path = f"{tmp_path}{os.pathsep}{PLACE}"
    code = "import websockets.protocol"
    why = "HostRefused: websockets: this wsfast is made for websockets >=15.0.1,<18"
    if switch == "wsfast run":
        assert ran(PYTHON, "-c", code, PYTHONPATH=path).returncode == 0
        done = ran("--require", PYTHON, "-c", code, PYTHONPATH=path)
        nothing = ran("--require", PYTHON, "-c", "import websockets", PYTHONPATH=path)
        assert (nothing.returncode, nothing.stderr) == (0, "")
    else:
        code = f"{code}; import wsfast; wsfast.install()"
        done = plain(PYTHON, "-c", code, PYTHONPATH=path, WSFAST_REQUIRE="1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"{why} (`wsfast status` says what to do)")


# ---- what the command sees ----------------------------------------------------------------------


def test_settings_arrive(fake, ran):
    said = ran("-m", "this", PYTHONPATH=fake).stdout.splitlines()[0]
    assert said == "[('cork', False), ('policy', 'host')]"
    said = ran("--cork", "--policy", "strict", "-m", "this", PYTHONPATH=fake).stdout.splitlines()[0]
    assert said == "[('cork', True), ('policy', 'strict')]"


def test_only(ran):
    code = "import os; print(os.environ.get('WSFAST'))"
    assert ran("--only", "websockets, WSPROTO", PYTHON, "-c", code).stdout == "websockets,wsproto\n"
    assert ran(PYTHON, "-c", code, WSFAST="wsproto").stdout == "wsproto\n"
    assert ran(PYTHON, "-c", code).stdout == "None\n"


@pytest.mark.parametrize("off", ["0", " 0 ", "off", "No"])
def test_kill_switch(ran, plain, off):
    shown = [PYTHON, "-c", "import os, sys; print(sorted(os.environ), 'wsfast' in sys.modules)"]
    assert ran("--only", "wsproto", *shown, WSFAST=off).stdout == plain(*shown, WSFAST=off).stdout
    assert ran(PYTHON, "-I", "-c", "print(1)", WSFAST=off).stdout == "1\n"


def test_kill_switch_beneath(ran):
    """Thrown by what was started, for those that it starts."""
    inner = "import sys; print('wsfast' in sys.modules)"
    code = f"import os; os.execve({PYTHON!r}, [{PYTHON!r}, '-c', {inner!r}], "
    for off, seen in (("0", False), ("Off", False), ("1", True)):
        done = ran(PYTHON, "-c", f"{code}{{**os.environ, 'WSFAST': {off!r}}})")
        assert done.stdout == f"{seen}\n"


def test_nothing_is_said(ran):
    done = ran("-m", "websockets", "--version")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_the_same_process(ran):
    done = ran(PYTHON, "-c", "import os; print(os.getppid())")
    assert done.stdout == f"{os.getpid()}\n"


def test_exit_status(ran):
    assert ran(PYTHON, "-c", "raise SystemExit(7)").returncode == 7
    assert ran("sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert ran("sh", "-c", "kill -PIPE $$").returncode == -signal.SIGPIPE  # Python ignores it


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals(number, serving):
    handlers = f"signal.signal({int(number)}, lambda number, frame: os._exit(40 + number))"
    running = serving(PYTHON, "-c", f"import os, signal; {handlers}; print('up'); signal.pause()")
    running.wait_for("up")
    assert running.stop(number) == 40 + number


def test_standard_input(ran):
    assert ran(PYTHON, "-c", "print(input()[::-1])", input="abc\n").stdout == "cba\n"


def test_terminal(command_line, surroundings):
    leader, follower = pty.openpty()
    code = "import os; print([os.isatty(n) for n in range(3)])"
    with open(leader, "rb", buffering=0) as screen:
        subprocess.run(
            [*command_line, PYTHON, "-c", code],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            timeout=60,
            check=True,
            env=surroundings({}),
        )
        os.close(follower)
        assert screen.read(100) == b"[True, True, True]\r\n"


def test_beside_this_python(ran):
    assert "uvicorn" in ran("uvicorn", "--version", PATH="/nowhere").stdout


def test_help(ran):
    for words in (["--help"], ["-h"]):
        done = ran(*words)
        assert done.returncode == 0
        assert "examples:\n  wsfast run hypercorn app:app" in done.stdout


def test_windows_waits_for_the_command():
    """There exec would return to the shell at once."""
    environment = {**os.environ, "STATUS": "7"}
    code = "import os; raise SystemExit(int(os.environ['STATUS']))"
    assert run._watch([PYTHON, "-c", code], environment) == 7


# ---- the path -----------------------------------------------------------------------------------

PATHS = "import json, os, sys; print(json.dumps([os.environ.get('PYTHONPATH'), sys.path]))"


@pytest.mark.parametrize("rest", [None, "", "{0}", "{0}:", ":{0}", "::{0}", "{0}/a b:/nowhere"])
def test_path(rest, ran, plain, tmp_path):
    """It begins with the bootstrap, which is gone from sys.path; the rest is as it was."""
    before = rest and rest.format(PLACE)
    (tmp_path / "shown.py").write_text(PATHS)
    variable, path = json.loads(ran("shown.py", PYTHONPATH=before).stdout)
    assert variable == (f"{run.BOOTSTRAP}:{before}" if before else run.BOOTSTRAP)
    assert path == json.loads(plain(PYTHON, "shown.py", PYTHONPATH=before).stdout)[1]


def test_path_when_nested(ran, command_line, tmp_path):
    (tmp_path / "shown.py").write_text(PATHS)
    variable, path = json.loads(ran(*command_line, "shown.py").stdout)
    assert variable == f"{run.BOOTSTRAP}:{PLACE}"
    assert run.BOOTSTRAP not in path


@pytest.mark.parametrize("before", [None, "", "/a b::/c"])
def test_not_propagated(before, ran, plain, tmp_path):
    (tmp_path / "shown.py").write_text(PATHS)
    code = """
        import os, subprocess, sys
        print("wsfast" in sys.modules, [n for n in os.environ if n.startswith("WSFAST_RUN")])
        sys.stdout.flush()
        subprocess.run([sys.executable, "shown.py"])
    """
    (tmp_path / "parent.py").write_text(textwrap.dedent(code))
    done = ran("--no-propagate", "parent.py", PYTHONPATH=before)
    first, child = done.stdout.splitlines()
    assert first == "True []"
    alone = plain(PYTHON, "shown.py", PYTHONPATH=before or None).stdout
    assert json.loads(child) == json.loads(alone)


def test_safe_path(ran):
    code = "import sys; print('wsfast' in sys.modules, sys.flags.safe_path)"
    assert ran(PYTHON, "-c", code, PYTHONSAFEPATH="1").stdout == "True True\n"

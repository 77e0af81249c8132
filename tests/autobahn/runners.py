"""The two programs that play Autobahn's cases, as a client or as a server, and how to get them.

``wstest`` is Autobahn|Testsuite itself, the reference; it runs on Python 2.7 only. ``kosoku`` plays
the same case files from a Rust program and needs nothing but pip. Both leave ``index.json``. Each
lives in an environment of its own, made on first use in an ignored folder of the checkout.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

CACHE = Path(__file__).resolve().parents[2] / ".venv-autobahn"

# The last versions for Python 2.7. autobahntestsuite pins all it needs, exactly.
VIRTUALENV = "virtualenv==20.15.1"
WSTEST = "autobahntestsuite==25.10.1"
KOSOKU = "kosoku==0.1.0"

START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 60.0  # seconds; the report is written meanwhile

# kosoku 0.1.0 stumbles over an echo that is not compressed, and RFC 7692 §6 leaves that to the
# sender: we compress from 64 bytes, the first of these cases have 16.
KOSOKU_CANNOT = (*(f"12.{n}.1" for n in range(1, 6)), *(f"13.{n}.1" for n in range(1, 8)))


class RunnerFailed(Exception):
    """The program did not start, or left no report."""


@dataclass(frozen=True)
class Runner:
    """``client`` and ``server`` make the command line that plays cases against the other."""

    name: str
    client: Callable[[str, Sequence[str], Path], list[str]]
    server: Callable[[int, Sequence[str], Path], list[str]]
    cannot: tuple[str, ...] = ()  # cases it cannot judge

    def play(self, url: str, cases: Sequence[str], folder: Path, timeout: float) -> Path:
        """Plays the cases against the server at ``url``; returns the path of its index.json.

        The exit status of the program says nothing (wstest's is always 0): the index decides.
        """
        with _output(folder) as output:
            subprocess.run(
                self.client(url, cases, folder),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                timeout=timeout,
                check=False,
            )
        return self._index(folder)

    @contextmanager
    def serve(self, cases: Sequence[str], folder: Path) -> Iterator[str]:
        """A server that plays the cases against the client that comes; its URL.

        It has ended, or is ended, when the block is left; index.json then lies in ``folder``.
        """
        port = _free_port()
        with _output(folder) as output:
            process = subprocess.Popen(
                self.server(port, cases, folder),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )
            try:
                _wait_for(port, process)
                yield f"ws://127.0.0.1:{port}"
                process.wait(STOP_TIMEOUT)
            finally:
                process.kill()
                process.wait()
        self._index(folder)

    def _index(self, folder: Path) -> Path:
        index = folder / "index.json"
        if not index.exists():
            tail = (folder / "output.txt").read_text(errors="replace")[-2000:]
            raise RunnerFailed(f"{self.name} left no report:\n{tail}")
        return index


def _output(folder: Path) -> IO[bytes]:
    folder.mkdir(parents=True)
    return open(folder / "output.txt", "wb")


def position(folder: Path) -> str:
    """The case that is being played, for who waits; empty where the program does not say."""
    output = folder / "output.txt"
    if not output.exists():
        return ""
    lines = output.read_text(errors="replace").splitlines()
    played = [line for line in lines if line.startswith("Running test case ID ")]
    return f"{played[-1].split()[4]}, number {len(played)}" if played else ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RunnerFailed(f"{process.args!r} does not listen")


def find_python2() -> str | None:
    """A Python 2.7: from PATH, else the newest one pyenv has."""
    found = shutil.which("python2.7")
    if found is not None and _is_python2(found):
        return found
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = sorted(root.glob("versions/2.7.*/bin/python2.7"), reverse=True)
    return next((str(path) for path in candidates if _is_python2(str(path))), None)


def _is_python2(path: str) -> bool:
    # pyenv's shims are found in PATH, but fail unless their version is selected.
    code = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    return subprocess.run([path, "-c", code], capture_output=True, check=False).returncode == 0


def choose(wish: str) -> Runner:
    """The runner named by ``wish`` (``wstest``, ``kosoku``), or for ``auto`` the best one here."""
    python2 = find_python2()
    if wish == "wstest" and python2 is None:
        raise RunnerFailed("wstest needs a Python 2.7, and none is here")
    if wish == "kosoku" or python2 is None:
        return _kosoku(_install_kosoku())
    return _wstest(_install_wstest(python2))


def _call(*command: str | Path, **environment: str) -> None:
    print("   ", *(os.path.relpath(word) if isinstance(word, Path) else word for word in command))
    done = subprocess.run(
        [str(word) for word in command],
        env=dict(os.environ, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RunnerFailed(f"{command[0]} ended with status {done.returncode}:\n{done.stdout}")


def _install_wstest(python2: str) -> Path:
    folder = CACHE / "wstest"
    program = folder / "bin" / "wstest"
    if not program.exists():
        print(f"Setting up {WSTEST} on {python2} (about a minute, once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        bootstrap = CACHE / "bootstrap"  # a Python 2.7 has no venv of its own
        shutil.rmtree(bootstrap, ignore_errors=True)
        _call(python2, "-m", "pip", "install", "-q", "--target", bootstrap, VIRTUALENV)
        virtualenv = (python2, "-m", "virtualenv", "--no-download", folder)
        _call(*virtualenv, PYTHONPATH=str(bootstrap))
        _call(folder / "bin" / "pip", "install", "-q", WSTEST)
    return program


def _install_kosoku() -> Path:
    folder = CACHE / "kosoku"
    program = folder / "bin" / "kosoku"
    if not program.exists():
        print(f"Setting up {KOSOKU}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        _call(folder / "bin" / "pip", "install", "-q", KOSOKU)
    return program


def _wstest(program: Path) -> Runner:
    def command(mode: str, cases: Sequence[str], folder: Path, **peer: object) -> list[str]:
        spec = {
            "options": {"failByDrop": False},
            "outdir": str(folder),
            "cases": list(cases),
            "exclude-cases": [],
            "exclude-agent-cases": {},
            **peer,
        }
        path = folder / "spec.json"
        path.write_text(json.dumps(spec, indent=1))
        return [str(program), "-m", mode, "-s", str(path)]

    def client(url: str, cases: Sequence[str], folder: Path) -> list[str]:
        servers = [{"agent": "wsfast", "url": url, "options": {"version": 18}}]
        return command("fuzzingclient", cases, folder, servers=servers)

    def server(port: int, cases: Sequence[str], folder: Path) -> list[str]:
        words = command("fuzzingserver", cases, folder, url=f"ws://127.0.0.1:{port}")
        return [*words, "-u", "0"]  # no web page on a port

    return Runner(WSTEST, client, server)


def _kosoku(program: Path) -> Runner:
    def command(cases: Sequence[str], folder: Path) -> list[str]:
        chosen = [word for case in cases for word in ("-i", case)]
        chosen += [word for case in KOSOKU_CANNOT for word in ("-x", case)]
        return [str(program), "-o", str(folder), *chosen]

    def client(url: str, cases: Sequence[str], folder: Path) -> list[str]:
        # It gives no case more than 20 s, and those of permessage-deflate need a core.
        parallel = "1" if {"12.*", "13.*"} & set(cases) else "4"
        return [*command(cases, folder), "-p", parallel, url.removeprefix("ws://")]

    def server(port: int, cases: Sequence[str], folder: Path) -> list[str]:
        return [*command(cases, folder), "-m", "fuzzingserver", f"127.0.0.1:{port}"]

    return Runner(KOSOKU, client, server, KOSOKU_CANNOT)

"""The two programs that play Autobahn's cases against a server, and how to get them.

``wstest`` is Autobahn|Testsuite itself, the reference; it runs on Python 2.7 only. ``kosoku`` plays
the same case files from a Rust program and needs nothing but pip. Both leave ``index.json``. Each
lives in an environment of its own, made on first use in an ignored folder of the checkout.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".venv-autobahn"

# The last versions for Python 2.7. autobahntestsuite pins all it needs, exactly.
VIRTUALENV = "virtualenv==20.15.1"
WSTEST = "autobahntestsuite==25.10.1"
KOSOKU = "kosoku==0.1.0"


@dataclass(frozen=True)
class Runner:
    name: str
    command: Callable[[str, Sequence[str], Path], list[str]]

    def run(self, url: str, cases: Sequence[str], folder: Path, timeout: float) -> Path:
        """Plays the cases against the server at ``url``; returns the path of its index.json.

        The exit status of the program says nothing (wstest's is always 0): the index decides.
        """
        folder.mkdir(parents=True)
        with open(folder / "output.txt", "wb") as output:
            subprocess.run(
                self.command(url, cases, folder),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                timeout=timeout,
                check=False,
            )
        index = folder / "index.json"
        if not index.exists():
            tail = (folder / "output.txt").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} left no report:\n{tail}")
        return index


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
        raise RuntimeError("wstest needs a Python 2.7, and none is here")
    if wish == "kosoku" or python2 is None:
        return Runner("kosoku", _kosoku(_install_kosoku()))
    return Runner("wstest", _wstest(_install_wstest(python2)))


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
        raise RuntimeError(f"{command[0]} ended with status {done.returncode}:\n{done.stdout}")


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


def _wstest(program: Path) -> Callable[[str, Sequence[str], Path], list[str]]:
    def command(url: str, cases: Sequence[str], folder: Path) -> list[str]:
        spec = {
            "options": {"failByDrop": False},
            "outdir": str(folder),
            "servers": [{"agent": "wsfast", "url": url, "options": {"version": 18}}],
            "cases": list(cases),
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        path = folder / "spec.json"
        path.write_text(json.dumps(spec, indent=1))
        return [str(program), "-m", "fuzzingclient", "-s", str(path)]

    return command


def _kosoku(program: Path) -> Callable[[str, Sequence[str], Path], list[str]]:
    def command(url: str, cases: Sequence[str], folder: Path) -> list[str]:
        chosen = [word for case in cases for word in ("-i", case)]
        address = url.removeprefix("ws://").rstrip("/")
        return [str(program), "-p", "4", "-o", str(folder), *chosen, address]

    return command

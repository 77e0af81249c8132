"""What Autobahn's cases are played against, and how each is started.

Ours are a server in uvicorn, a server and a client on a bare ``Connection``, on either back end.
The others are servers of hosts that wsfast patches in place, as they are (``plain``) and under
``wsfast run`` (``c``, ``python``): the two must score the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launch import launch
from runners import Runner

HERE = Path(__file__).resolve().parent
MAX_MESSAGE = 16 << 20  # bytes; the largest message of group 9 is exactly this
SHORT = (1, 2, 3, 4, 5, 6, 7, 9, 10)


class UnfitTestee(Exception):
    """It ended badly, or was not what it was meant to be."""


@dataclass(frozen=True)
class Testee:
    script: str
    arguments: tuple[str, ...] = ()
    side: str = "server"
    backends: tuple[str, ...] = ("c", "python")
    groups: tuple[int, ...] = (*SHORT, 12, 13)
    host: str | None = None  # the name that wsfast.status() has for what is patched


def _host(name: str, script: str, *arguments: str, groups: tuple[int, ...]) -> Testee:
    return Testee(script, arguments, backends=("plain", "c"), groups=groups, host=name)


_UVICORN = ("--max-size", str(MAX_MESSAGE), "--ws")
TESTEES = {
    "uvicorn": Testee("uvicorn_echo.py", (*_UVICORN, "wsfast.uvicorn:WebSocketProtocol")),
    "bare": Testee("bare_echo.py"),
    "client": Testee("client_testee.py", side="client"),
    "websockets": _host("websockets", "websockets_echo.py", groups=(*SHORT, 12, 13)),
    "uvicorn-wsproto": _host(
        "wsproto", "uvicorn_echo.py", *_UVICORN, "wsproto", groups=(*SHORT, 12, 13)
    ),
    # The codec is that of uvicorn-wsproto, which plays the long groups for both.
    "hypercorn": _host("wsproto", "hypercorn_echo.py", groups=(1, 2, 3, 4, 5, 6, 7)),
}
OURS = [name for name, testee in TESTEES.items() if testee.host is None]
HOSTS = [name for name, testee in TESTEES.items() if testee.host is not None]


def play(
    testee: Testee, backend: str, runner: Runner, cases: list[str], folder: Path, timeout: float
) -> Path:
    """Plays the cases; returns the path of index.json. ``folder`` is new."""
    if testee.side == "client":
        with runner.serve(cases, folder) as url:
            _run_client(testee.script, url, backend, timeout)
        return folder / "index.json"
    with _server(testee, backend, folder.with_suffix(".report")) as url:
        return runner.play(url, cases, folder, timeout)


def _run_client(script: str, url: str, backend: str, timeout: float) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / script), url],
        env=dict(os.environ, WSFAST_BACKEND=backend),
        stdout=subprocess.PIPE,
        timeout=timeout,
        check=False,
    )
    found = json.loads(done.stdout or b'{"backend": ""}')["backend"]
    if done.returncode or found.partition("-")[0] != backend:
        raise UnfitTestee(f"{script} ended with status {done.returncode} on back end {found!r}")


@contextmanager
def _server(testee: Testee, backend: str, report: Path) -> Iterator[str]:
    """Its URL. A patched host must have sent its frames through wsfast when it ends."""
    patched = testee.host is not None and backend != "plain"
    through: list[str] = []
    if patched:
        assert testee.host is not None
        through = [sys.executable, "-m", "wsfast", "run", "--only", testee.host, "--"]
    report.unlink(missing_ok=True)
    environment = {"WSFAST_REPORT": str(report)} if patched else {}
    with launch(
        testee.script, *testee.arguments, backend=backend, through=through, **environment
    ) as server:
        yield f"ws://127.0.0.1:{server.port}"
    if patched:
        _check(report, testee.host, backend)


def _check(report: Path, host: str | None, backend: str) -> None:
    (line,) = report.read_text().splitlines()
    told = json.loads(line)
    (status,) = (status for status in told["hosts"] if status["name"] == host)
    if status["state"] != "active" or not status["hits"] or told["backend"][0] != backend[0]:
        raise UnfitTestee(f"not wsfast's frames: {line}")

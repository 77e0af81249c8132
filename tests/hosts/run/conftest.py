"""Commands under ``wsfast run``, as processes of their own that end with the test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wsfast

PLACE = str(Path(wsfast.__file__).parents[1])
# The command itself gets in without PYTHONPATH: that belongs to the tests.
WSFAST = f"import sys; sys.path[:0] = [{PLACE!r}]; from wsfast.cli import main; sys.exit(main())"
RUN = (sys.executable, "-P", "-c", WSFAST, "run")
PATIENCE = 60.0  # seconds; other processes may hold this machine


def environment(variables: dict[str, str | None]) -> dict[str, str]:
    """That of this process, without what steers wsfast, then ``variables``; None removes one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WSFAST")}
    base = {"PYTHONPATH": PLACE, "PYTHONUNBUFFERED": "1"}
    if wsfast.backend() == "python":
        base["WSFAST_BACKEND"] = "python"  # else install() would rather do nothing
    wanted = {**kept, **base, **variables}
    return {name: value for name, value in wanted.items() if value is not None}


@pytest.fixture
def surroundings() -> Callable[[dict[str, str | None]], dict[str, str]]:
    return environment


@pytest.fixture
def command_line() -> tuple[str, ...]:
    """What ``ran`` runs, to be followed by its words."""
    return RUN


@pytest.fixture
def plain(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``plain(*argv, input="", **variables)``: what a command does, in the folder of the test."""

    def call(*argv: str, input: str = "", **variables: str | None) -> Any:
        return subprocess.run(
            argv,
            input=input,
            env=environment(variables),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return call


@pytest.fixture
def ran(plain: Callable[..., Any]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``ran(*words, input="", **variables)``: what ``wsfast run *words`` does."""

    def call(*words: str, **options: Any) -> Any:
        return plain(*RUN, *words, **options)

    return call


class Running:
    """A command that serves. ``report`` is complete once it has ended."""

    def __init__(self, argv: tuple[str, ...], folder: Path, variables: dict[str, str]) -> None:
        self.log = folder / "log"
        self.file = folder / "report.jsonl"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                env=environment({"WSFAST_REPORT": str(self.file), **variables}),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_for(self, pattern: str) -> list[str]:
        """All matches in what it wrote, as soon as there is one."""
        end = time.monotonic() + PATIENCE
        while not (found := re.findall(pattern, self.output())):
            assert self.process.poll() is None and time.monotonic() < end, self.output()
            time.sleep(0.05)
        return found

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def port(self) -> int:
        return int(self.wait_for(r"127\.0\.0\.1:(\d+)")[0])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal to the process that was started; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def report(self) -> dict[int, dict[str, Any]]:
        """By process: its hosts by name, as their status was at its end."""
        lines = [json.loads(line) for line in self.file.read_text("utf-8").splitlines()]
        return {line["pid"]: {host["name"]: host for host in line["hosts"]} for line in lines}

    def end(self) -> None:
        """Leave nothing behind, whatever the test has seen."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """``serving(*words, **variables)``: ``wsfast run *words``, left running; see ``Running``."""
    running = []

    def start(*words: str, **variables: str) -> Running:
        running.append(Running((*RUN, *words), tmp_path, variables))
        return running[-1]

    yield start
    for one in running:
        one.end()

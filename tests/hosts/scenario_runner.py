"""One host in one mode: its process, and the transcripts of all scenarios with it."""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from scenario_hosts.registry import HOSTS
from scenario_peer import QUIET, Silence, as_client, as_server
from scenarios import SCENARIOS, Scenario

STAGE = Path(__file__).parent / "scenario_hosts/stage.py"
PATIENCE = 20.0  # seconds for a process to start, and for an application to end
REST = 0.0003  # seconds for what was sent to arrive, before the host is asked whether it is idle
ENVIRONMENT = dict(os.environ)  # pytest writes into os.environ while threads start hosts
# Mode: what stage.py is told, and WSFAST_BACKEND.
MODES = {
    "plain": ("plain", "c"),
    "c": ("active", "c"),
    "python": ("active", "python"),
    "cork": ("cork", "c"),
}


class HostFailed(Exception):
    """The process did not do as told; the text has what it wrote to its stderr."""


def _sleeps(task: Path) -> bool:
    try:
        return task.joinpath("stat").read_bytes().rpartition(b")")[2].split()[0] == b"S"
    except OSError:
        return True  # it has ended


@dataclass
class Performance:
    """All that could be seen of a host: lines by scenario, and what it reported at its end."""

    transcripts: dict[str, list[str]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


class Process:
    def __init__(self, name: str, mode: str) -> None:
        stage_mode, backend = MODES[mode]
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self.process = subprocess.Popen(
            [sys.executable, str(STAGE), name, stage_mode],
            env={**ENVIRONMENT, "WSFAST_BACKEND": backend},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.tasks = Path(f"/proc/{self.process.pid}/task")
        self.lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def tell(self, **facts: Any) -> None:
        assert self.process.stdin is not None
        print(json.dumps(facts), file=self.process.stdin, flush=True)

    def seen(self, name: str) -> list[str]:
        """What the application of this scenario has noted."""
        deadline = time.monotonic() + PATIENCE
        idle = 0  # times in a row: once may be a line that our own reader is late for
        while True:
            try:
                facts = self.lines.get(timeout=QUIET / 2)
            except queue.Empty:
                idle = idle + 1 if self.idle() else 0
                if idle == 2 or time.monotonic() > deadline:
                    return ["the application does not end"]
                continue
            if facts is None:
                raise self.failed(f"has ended in {name}")
            if facts.get("scenario") == name:
                return list(facts["seen"])

    def told(self, key: str) -> Any:
        """What the process says under ``key``, whatever it says before that."""
        while True:
            try:
                facts = self.lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise self.failed(f"has not said {key}") from None
            if facts is None:
                raise self.failed(f"has ended and not said {key}")
            if key in facts:
                return facts[key]

    def opened(self, name: str) -> None:
        while self.told("opened") != name:
            pass

    def idle(self) -> bool:
        """Whether all its threads wait; where the system does not tell, a while must be enough."""
        try:
            return all(_sleeps(task) for task in self.tasks.iterdir())
        except FileNotFoundError:
            time.sleep(20 * REST)
            return True

    def rest(self) -> None:
        """Wait until it has read what was sent, and waits for more."""
        for _ in range(1000):
            time.sleep(REST)
            if self.idle():
                return

    def failed(self, text: str) -> HostFailed:
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        return HostFailed(f"{text}\n{self.errors.read().decode(errors='replace')[-4000:]}")

    def end(self) -> dict[str, Any]:
        """Its report."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        report: dict[str, Any] = self.told("report")
        self.process.wait(PATIENCE)
        return report

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def perform(
    name: str, mode: str, scenarios: Iterable[Scenario] = SCENARIOS.values()
) -> Performance:
    """Start the host in that mode and play the scenarios with it, one after the other."""
    host, found = HOSTS[name], Performance()
    connect = as_client
    if host.http2:
        from scenario_h2 import as_http2_client as connect
    with Process(name, mode) as process, socket.create_server(("127.0.0.1", 0)) as listener:
        port = 0 if host.client else process.told("port")
        for scenario in scenarios:
            if scenario.name.startswith(host.skip):
                continue
            lines = found.transcripts[scenario.name] = []
            try:
                if host.client:
                    lines += visited(process, listener, scenario)
                else:
                    lines += connect(port, scenario, process)
            except (OSError, Silence) as exc:
                raise process.failed(f"cannot begin {scenario.name}: {exc!r}") from exc
            lines += process.seen(scenario.name)
            if host.threads:
                lines[:] = settled(lines)
            if scenario.vague:
                lines[:] = [line for line, _ in groupby(lines)]
        found.report = process.end()
    return found


def visited(process: Process, listener: socket.socket, scenario: Scenario) -> list[str]:
    process.tell(scenario=scenario.name, port=listener.getsockname()[1])
    return as_server(listener, scenario, process)


def settled(lines: list[str]) -> list[str]:
    """Frames sorted into those of messages and control frames, each in their order."""
    sent = [line for line in lines if line.startswith("< ")]
    control = [line for line in sent if int(line[2:4], 16) & 8]
    data = iter([line for line in sent if line not in control] + control)
    return [next(data) if line.startswith("< ") else line for line in lines]

"""Starts a server of this folder as its own process and waits until it listens.

The processes are the only way to have several back ends and event loops at once: a process has
one back end, chosen at import from WSFAST_BACKEND.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
STOP_TIMEOUT = 10.0  # seconds


class ServerFailed(Exception):
    """The server did not start, or runs on another back end than was asked for."""


@dataclass(frozen=True)
class Server:
    port: int
    protocol: str
    backend: str | None
    pid: int


@contextmanager
def launch(
    script: str, *arguments: str, backend: str, through: Sequence[str] = (), **environment: str
) -> Iterator[Server]:
    """Runs ``script`` of this folder with WSFAST_BACKEND set to ``backend`` (``c`` or ``python``).

    ``through`` are words in front of the command, such as ``wsfast run --``. Where no class of ours
    serves, ``backend`` may be any word.

    Whatever the server prints to stderr goes to the caller's when the server ends: uvicorn reports
    an exception in a protocol or an application there, and the client sees only a dropped line.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*through, sys.executable, str(HERE / script), *arguments],
            env=dict(os.environ, WSFAST_BACKEND=backend, **environment),
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            yield _when_ready(process, backend)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()
            errors.seek(0)
            sys.stderr.write(errors.read().decode(errors="replace"))


def _when_ready(process: subprocess.Popen[bytes], backend: str) -> Server:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ServerFailed(f"{process.args!r} ended with status {process.wait()}")
    server = Server(pid=process.pid, **json.loads(line))
    if server.backend is not None and server.backend.partition("-")[0] != backend:
        raise ServerFailed(f"asked for the {backend} back end, {server.backend} runs")
    return server

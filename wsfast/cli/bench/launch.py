"""The server processes, from the side that starts, measures and ends them."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time

from .._text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Key = tuple[str, str, str]  # server, loop, application

START_TIMEOUT = 60.0  # seconds; a cold start of every server at once on a busy machine
STOP_TIMEOUT = 5.0
CPUCLOCK_SCHED = 2


class ServerError(Exception):
    """A server did not start, or is gone."""


# The child must measure the wsfast that runs here, so it is given our import path.
BOOT = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from wsfast.cli.bench.servers import main
main(*sys.argv[2:])
"""


class Server:
    """One running server; ``port`` is known once ``wait_ready`` returns."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.port = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        # A session of its own, so that Ctrl-C reaches only us; its stdin ends when we do.
        path = json.dumps([p or os.getcwd() for p in sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.boot(), path, *key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def boot(self) -> str:
        """The program of the child: it is called with the words of the key."""
        return BOOT

    def wait_ready(self, deadline: float) -> None:
        """Read the line in which the server says where it listens; ServerError without one."""
        line = self._line(deadline)
        try:
            self.port = int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError):
            raise ServerError(f"{self} did not start: {self.last_words()}") from None

    def _line(self, deadline: float) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise ServerError(f"{self} does not answer: {self.last_words()}")
        return self._process.stdout.readline()

    def last_words(self) -> str:
        """The last line the server wrote to its standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        return printable(lines[-1][:500]) if lines else "it wrote nothing"

    def cpu_ns(self) -> int:
        """CPU nanoseconds used by all threads of the server so far, those that ended included."""
        try:
            # Linux's clock of another process (clock_getcpuclockid(3), whose C library does the
            # same sum): exact, and read without waking the server.
            return time.clock_gettime_ns((~self.pid << 3) | CPUCLOCK_SCHED)
        except (AttributeError, OSError):
            return self._ask("cpu")

    def hits(self) -> int:
        """What wsfast did in there, as servers.hits() counts it."""
        return self._ask("hits")

    def pss(self) -> int | None:
        """Bytes of memory that are this server's share; None where the system does not say."""
        try:
            with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
                found = [line.split()[1] for line in file if line.startswith("Pss:")]
        except OSError:
            return None
        return int(found[0]) * 1024

    def _ask(self, question: str) -> int:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
            return int(self._line(time.monotonic() + STOP_TIMEOUT))
        except (OSError, ValueError):
            raise ServerError(f"{self} is gone: {self.last_words()}") from None

    def pin(self, cpu: int) -> None:
        """Keep all threads of the server on one core."""
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            os.sched_setaffinity(int(thread), {cpu})

    def stop(self) -> None:
        """End the process, whatever state it is in."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __str__(self) -> str:
        return " ".join(self.key)


@contextlib.contextmanager
def servers(keys: Iterable[Key]) -> Iterator[dict[Key, Server]]:
    """Start one server per key, all at once; all are ended, whatever happens inside."""
    started: dict[Key, Server] = {}
    try:
        for key in keys:
            started[key] = Server(key)
        deadline = time.monotonic() + START_TIMEOUT
        for server in started.values():
            server.wait_ready(deadline)
        yield started
    finally:
        for server in started.values():
            server.stop()

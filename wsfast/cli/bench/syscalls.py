"""System calls per message: a pass of its own under ``strace -f -c``, after all timing is done.

strace attaches to the running server for exactly the messages that are counted, so neither the
start of the server nor the handshakes are in the figure.
"""

from __future__ import annotations

import contextlib
import selectors
import shutil
import signal
import subprocess
import tempfile

from .plan import CONNECTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from .measure import Session
    from .plan import Group

MESSAGES = 400  # per cell, at least; strace makes each system call some 50 times slower
TIMEOUT = 5.0


class StraceError(Exception):
    """strace is missing, or may not attach here."""


class Strace:
    """Counts the system calls of one process between ``start`` and ``stop``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.calls: int | None = None
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Strace:
        self._output = tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace")
        return self

    def toggle(self) -> None:
        """Attach at the first call, detach and count at the second."""
        if self._process is None:
            self._attach()
        else:
            self._detach(self._process)

    def _attach(self) -> None:
        self._process = process = subprocess.Popen(
            ["strace", "-f", "-c", "-p", str(self.pid), "-o", self._output.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stderr, selectors.EVENT_READ)
            said = process.stderr.readline() if selector.select(TIMEOUT) else ""
        if " attached" not in said:
            raise StraceError(said.strip() or "strace does not attach")

    def _detach(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise StraceError("strace does not detach") from None
        self.calls = count(self._output.read())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # a dead tracer lets go of its tracees
            self._process.wait()
            assert self._process.stderr is not None
            self._process.stderr.close()
        self._output.close()


def count(table: str) -> int:
    """The calls in a table of ``strace -c``: the fourth column of each row but the total."""
    calls = 0
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[-1] != "total" and fields[3].isdigit():
            calls += int(fields[3])
    return calls


def per_message(session: Session, group: Group, name: str) -> float:
    """System calls of the server per message under this load; StraceError where impossible."""
    window = CONNECTIONS * group.in_flight
    messages = -(-MESSAGES // window) * window
    server = session.servers[group.key(name)]
    with Strace(server.pid) as strace:
        done, _ = session.batch(group, name, messages=messages, mark=strace.toggle)
    assert strace.calls is not None
    return strace.calls / done


def available() -> bool:
    return shutil.which("strace") is not None

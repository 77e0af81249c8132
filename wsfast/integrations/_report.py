"""``WSFAST_REPORT``: one line of JSON from each process, when it ends."""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys

from .. import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from ._status import HostStatus

_written_by = 0  # pid: a child of fork() writes again
_writing = 0  # pid: in the frame that a signal has interrupted
_terminated = False  # meanwhile: to be obeyed afterwards
_armed = False


def arm(path: str, status: Callable[[], list[HostStatus]]) -> None:
    """See that this process, and those it forks, add their lines to the file at ``path``.

    They do at a normal exit, at ``os._exit`` (children that multiprocessing forks end so), and at
    SIGTERM where nothing else handles that: uvicorn restores its handler and raises it again.
    For that ``os._exit`` and ``signal.signal`` are replaced, in no other case.
    """
    global _armed
    if _armed:
        return
    _armed = True
    path = os.path.abspath(path)  # a server may change its directory

    def write() -> None:
        global _written_by, _writing
        if _written_by == os.getpid():
            return
        _writing = _written_by = os.getpid()
        try:
            _append(path, (json.dumps(_line(status())) + "\n").encode())
        finally:
            _writing = 0
        if _terminated:
            signal.raise_signal(signal.SIGTERM)

    atexit.register(write)
    _before_exit(write)
    _before_sigterm(write)


def _append(path: str, line: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, line)  # one call, so that lines of several processes do not mix
    finally:
        os.close(file)


def _line(found: list[HostStatus]) -> dict[str, Any]:
    names = ("name", "version", "state", "seams", "hits", "reason")
    return {
        "pid": os.getpid(),
        "argv": getattr(sys, "argv", []),
        "backend": codec.backend(),
        "hosts": [{name: getattr(one, name) for name in names} for one in found],
    }


def _before_exit(write: Callable[[], None]) -> None:
    leave = os._exit

    def _exit(status: int) -> NoReturn:
        try:
            write()
        finally:
            leave(status)

    os._exit = _exit


def _before_sigterm(write: Callable[[], None]) -> None:
    """Also where the default is set again later: uvicorn does in the workers of gunicorn."""
    set_handler = signal.signal

    def handle(number: int, frame: object) -> None:
        global _terminated
        if _writing == os.getpid():  # hypercorn terminates workers that are about to end anyway
            _terminated = True
            return
        write()
        set_handler(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def set_ours(signalnum: int, handler: Any) -> Any:
        is_default = signalnum == signal.SIGTERM and handler is signal.SIG_DFL
        return set_handler(signalnum, handle if is_default else handler)

    signal.signal = set_ours
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            set_handler(signal.SIGTERM, handle)
    except ValueError:
        pass  # not in the main thread

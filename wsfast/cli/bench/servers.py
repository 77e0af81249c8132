"""One server process of ``wsfast bench``: what runs in the child that ``launch`` starts.

It listens on a free port of 127.0.0.1, prints one JSON line about itself, then obeys its standard
input: ``cpu`` prints the CPU nanoseconds used so far, ``hits`` what wsfast did, and end of file,
which is also what a killed parent leaves behind, ends the process.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import sys
import threading
import time

from . import apps
from .contenders import CONTENDERS
from .hosts import SERVE, Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .contenders import Contender


def switch_on(contender: Contender) -> None:
    """Call ``wsfast.install()`` the way this contender has it, before its host is imported."""
    import wsfast

    if not contender.installs:
        return
    if contender.way == "frames":
        _leave_connections_alone(contender.hosts[0])
    wsfast.install(*contender.hosts, cork=contender.way == "cork")


def _leave_connections_alone(host: str) -> None:
    """There is no public switch for less than everything: users have no reason to want it."""
    from wsfast import integrations

    del integrations._SWITCH._hosts[host].groups[1:]


def check_switched_on(contender: Contender) -> None:
    """Exit with a sentence where ``switch_on`` came to nothing."""
    import wsfast

    if not contender.installs:
        return
    for host in wsfast.status():
        if host.name in contender.hosts and (host.state != "active" or host.reason):
            sys.exit(f"wsfast.install({host.name!r}): {host.state}: {host.reason}")


def hits(contender: Contender) -> int:
    """Proof that wsfast did the work: frames that went through it (way "class": connections)."""
    if contender.way == "class":
        return apps.accelerated()
    if contender.way == "hook":
        from wsfast.integrations import _websockets

        return _websockets.hits()
    import wsfast

    return sum([host.hits for host in wsfast.status()])


def announce(contender: Contender, port: int) -> None:
    check_switched_on(contender)
    print(json.dumps({"port": port}), flush=True)


def obey_stdin(contender: Contender) -> None:
    for line in sys.stdin:
        if line.strip() == "cpu":
            print(time.process_time_ns(), flush=True)
        elif line.strip() == "hits":
            print(hits(contender), flush=True)
    os._exit(0)  # no clean shutdown: nothing here is worth waiting for


def allow_tracing() -> None:
    """Let ``strace`` attach where Yama allows it only for ancestors (prctl(2), PR_SET_PTRACER)."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    pr_set_ptracer, any_process = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(pr_set_ptracer, any_process, 0, 0, 0)


def listen() -> socket.socket:
    """As a host makes its own from a name and a port: asyncio sets TCP_NODELAY on no socket that
    does not name its protocol, and without it 16 writes are fewer packets, the last 40 ms late."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


def main(name: str, loop: str, app: str) -> None:
    """Serve ``app`` by the contender ``name`` on ``loop`` until standard input ends."""
    contender = CONTENDERS[name]
    allow_tracing()
    threading.Thread(target=obey_stdin, args=(contender,), daemon=True).start()
    switch_on(contender)
    listener = listen()
    ready = functools.partial(announce, contender, listener.getsockname()[1])
    SERVE[contender.serve](Job(contender, loop, app, listener, ready))

"""What an idle server connection takes, in KiB: ``python memory.py BACKEND KIND`` prints it.

A process of its own each time: what one kind leaves behind would hold the next.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from deflate_cases import DeflateCase

from wsfast import Connection, Role
from wsfast.deflate import PerMessageDeflate

CONNECTIONS = 1000
KINDS = {"no deflate": None, "no takeover": True, "takeover": False}  # and what is asked for


def pss() -> int:
    """KiB of memory that are this process's."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise OSError("the kernel does not say")


def connection(role: Role, backend: str, alone: bool | None) -> Connection:
    if alone is None:
        return Connection(role)
    config = PerMessageDeflate(
        server_no_context_takeover=alone,
        client_no_context_takeover=alone,
        server_max_window_bits=12,
        client_max_window_bits=12,
        backend=backend,
    )
    if role is Role.SERVER:
        agreed = config.negotiate([("client_max_window_bits", None)])
    else:
        named = [(name, None) for name in ("server_no_context_takeover",) if alone]
        agreed = config.confirm([*named, ("server_max_window_bits", "12")])
    assert agreed is not None
    return Connection(role, extensions=[agreed])


def per_connection(backend: str, alone: bool | None) -> float:
    text = DeflateCase("deflate", 1 << 10).messages[0]
    client = connection(Role.CLIENT, backend, alone)
    client.send(text)
    (frame,) = client.data_to_send()

    def talked() -> Connection:
        server = connection(Role.SERVER, backend, alone)
        assert server.receive(frame) == [text]
        server.send(text)
        server.data_to_send()
        return server

    held = [talked() for _ in range(20)]  # what is loaded and shared
    gc.collect()
    before = pss()
    held += [talked() for _ in range(CONNECTIONS)]
    gc.collect()
    return (pss() - before) / CONNECTIONS


if __name__ == "__main__":
    print(per_connection(sys.argv[1], KINDS[sys.argv[2]]))

"""What the tests of the catalogue share: a peer that means harm, and how it is turned away.

The rows S1 to S28 are those of docs/security.md; each has a test whose name begins with its
number. tests/guards.py takes the guards out one by one and demands that these tests turn red.
"""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from wsfast import Close, Connection, RemoteProtocolError, Role
from wsfast.codec import MessageDecoder
from wsfast.deflate import PerMessageDeflate

KEY = b"\x37\xfa\x21\x3d"
MIB = 1 << 20


def connection(role: Role = Role.SERVER, compressed: bool = False, **options: Any) -> Connection:
    """One end of an open connection, on the back end of the test."""
    config = PerMessageDeflate()
    agreed = config.negotiate(()) if role is Role.SERVER else config.confirm(())
    return Connection(role, extensions=[agreed] if compressed and agreed else [], **options)


def farewell(ours: Connection) -> list[Any]:
    """What the peer makes of all there is to send."""
    peer = Role.CLIENT if ours.role is Role.SERVER else Role.SERVER
    return MessageDecoder(peer).feed(b"".join(ours.data_to_send()))


@pytest.fixture(name="connection")
def connection_fixture(connection_backend: None) -> Callable[..., Connection]:
    """``connection(role=SERVER, compressed=False, **options)``."""
    return connection


@pytest.fixture(name="farewell")
def farewell_fixture() -> Callable[[Connection], list[Any]]:
    return farewell


@pytest.fixture
def refusal(connection_backend: None) -> Callable[..., str]:
    """``refusal(wire, *, delivered=[], pieces=True, **options)``: the name of the error.

    Fed whole and byte by byte (unless ``pieces`` is false): the same events, a Close frame with the
    error's code, and nothing more.
    """

    def refused(wire: bytes, *, delivered: Any = (), pieces: bool = True, **options: Any) -> str:
        for size in [len(wire), 1] if pieces else [len(wire)]:
            ours = connection(**options)
            events: list[Any] = []
            for start in range(0, len(wire), size):
                events += ours.receive(wire[start : start + size])
            assert events[:-1] == list(delivered)
            error = events[-1]
            assert isinstance(error, RemoteProtocolError) and ours.failed is error
            assert ours.close_sent is not None and ours.close_sent.code == error.close_code
            assert isinstance(farewell(ours)[-1], Close)
            assert ours.receive(wire) == []
        return error.name

    return refused


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Inside, ``peak()`` is the most memory taken at once since the beginning, in bytes."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.fixture(name="traced")
def traced_fixture() -> Callable[[], Any]:
    return traced


@pytest.fixture(scope="session")
def bomb() -> bytes:
    """A compressed message of 256 MiB of zeros, in 254 KiB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    again = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return (first + 255 * again)[:-4]

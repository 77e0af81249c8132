"""Masking keys: used once, by one process, whoever asks (§5.3, S16)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from wsfast import _keys
from wsfast.frames import Role

PER_BLOCK = _keys.BLOCK // 4


class Counter:
    """Blocks that hold the numbers 0, 1, 2, …, so that a key used twice shows."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        first = self.calls * size // 4
        self.calls += 1
        time.sleep(0)  # let another thread in, as the system call does
        return b"".join(n.to_bytes(4, "big") for n in range(first, first + size // 4))


@pytest.fixture
def drawer(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> tuple[Callable[[], bytes], Counter]:
    """What draws the default keys of an encoder, and where the pool gets its blocks."""
    fresh = Counter()
    if backend.backend() == "python":
        pool = _keys.KeyPool(fresh)
        monkeypatch.setattr("wsfast._encoder_py.next_key", pool.next_key)
    else:
        monkeypatch.setattr("wsfast._encoder_c.urandom", fresh)
        draw_until_a_block_ends(backend, fresh)
    encoder = backend.FrameEncoder(Role.CLIENT)
    return lambda: encoder.binary(b"")[2:], fresh


def draw_until_a_block_ends(backend: ModuleType, fresh: Counter) -> None:
    encoder = backend.FrameEncoder(Role.CLIENT)
    while not fresh.calls:
        encoder.ping()
    for _ in range(PER_BLOCK - 1):
        encoder.ping()
    fresh.calls = 0


def test_pool_refills(drawer: tuple[Callable[[], bytes], Counter]) -> None:
    draw, fresh = drawer
    keys = [int.from_bytes(draw(), "big") for _ in range(3 * PER_BLOCK)]
    assert keys == list(range(3 * PER_BLOCK))
    assert fresh.calls == 3
    draw()
    assert fresh.calls == 4


def test_threads_share_no_key(drawer: tuple[Callable[[], bytes], Counter]) -> None:
    draw, _ = drawer
    found: list[list[bytes]] = []

    def work() -> None:
        found.append([draw() for _ in range(2 * PER_BLOCK)])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [key for each in found for key in each]
    assert len(keys) == len(set(keys)) == 12 * PER_BLOCK


def test_encoders_share_no_key(backend: ModuleType) -> None:
    encoders = [backend.FrameEncoder(Role.CLIENT) for _ in range(20)]
    keys = {encoder.binary(b"")[2:] for encoder in encoders for _ in range(5)}
    assert len(keys) > 98  # two of a hundred random keys are equal once in a million runs


FORKED = """
import os, sys
from wsfast.codec import FrameEncoder
from wsfast.frames import Role

encoder = FrameEncoder(Role.CLIENT)
draw = lambda count: {encoder.binary(b"")[2:] for _ in range(count)}
drawn = draw(10)  # the pool holds the rest of a block
readers = []
for _ in range(2):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"".join(draw(100)))
        os._exit(0)
    os.close(writer)
    readers.append(reader)
everyone = [drawn, draw(100)]
for reader in readers:
    data = os.read(reader, 4096)
    everyone.append({data[i : i + 4] for i in range(0, len(data), 4)})
    os.wait()
print(len(set().union(*everyone)), sum(map(len, everyone)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_parent_and_children_share_no_key(backend: ModuleType, run_python: Any) -> None:
    done = run_python("-c", FORKED, WSFAST_BACKEND=backend.backend())
    distinct, drawn = map(int, done.stdout.split())
    assert drawn >= 308  # of 310 drawn; a process may meet an equal pair once in a million runs
    assert distinct >= drawn - 1, done.stderr


def test_forget_also_drops_a_lock_held_at_the_fork() -> None:
    pool = _keys.KeyPool(Counter())
    pool.next_key()
    pool._lock.acquire()
    pool.forget()
    assert pool.next_key() == PER_BLOCK.to_bytes(4, "big")


@pytest.mark.parametrize("role", list(Role))
def test_keys_of_the_caller(backend: ModuleType, role: Role) -> None:
    """Called once a frame, used as they are; a failure changes nothing."""
    given = iter([b"\1\2\3\4", bytearray(b"\5\6\7\0"), b"bad", b"\0\0\0\0"])
    encoder = backend.FrameEncoder(role, keys=lambda: next(given))
    if role is Role.SERVER:
        assert encoder.binary(b"a") == b"\x82\x01a"
        assert next(given) == b"\1\2\3\4"
        return
    assert encoder.binary(b"\0\0") == b"\x82\x82\1\2\3\4\1\2"
    assert encoder.ping() == b"\x89\x80\5\6\7\0"
    with pytest.raises(ValueError, match="masking key must be 4 bytes"):
        encoder.binary(b"a", fin=False)
    assert encoder.binary(b"a") == b"\x82\x81\0\0\0\0a"
    with pytest.raises(StopIteration):
        encoder.text("a")

"""Masking keys, RFC 6455 §5.3 and §10.3: fresh and unpredictable, at a pool's price.

One ``os.urandom`` call costs as much as framing a small message, so keys are cut from blocks. A
key is used once: the pool is shared by all threads under a lock, and a forked child starts a new
block, since otherwise parent and child would send the same keys.
"""

import _thread
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 4096


class KeyPool:
    """Keys cut from blocks of ``fresh(BLOCK)``."""

    __slots__ = ("_block", "_fresh", "_lock", "_used")

    def __init__(self, fresh: "Callable[[int], bytes]" = os.urandom) -> None:
        self._fresh = fresh
        self.forget()

    def forget(self) -> None:
        """Drop what is left of the block (and a lock another thread held at the fork)."""
        self._lock = _thread.allocate_lock()
        self._block = b""
        self._used = 0

    def next_key(self) -> bytes:
        """The next 4 bytes."""
        with self._lock:
            if self._used >= len(self._block):
                self._block = self._fresh(BLOCK)
                self._used = 0
            start = self._used
            self._used = start + 4
            return self._block[start : start + 4]


def after_fork(forget: "Callable[[], None]") -> None:
    """Have ``forget`` called in every forked child."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(after_in_child=forget)


_pool = KeyPool()
next_key = _pool.next_key
after_fork(_pool.forget)

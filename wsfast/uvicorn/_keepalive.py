"""Keepalive as uvicorn's options say: a Ping every so often, and a deadline for its Pong."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Keepalive:
    """Sends a Ping ``interval`` seconds after the last was answered; gives up after ``timeout``.

    ``send(payload)`` sends a Ping, ``expire()`` ends the connection; ``timeout=None`` waits for no
    Pong. Time during which the clock is held does not count. One timer at a time, none per message.
    """

    __slots__ = (
        "_count",
        "_expire",
        "_interval",
        "_loop",
        "_payload",
        "_running_since",
        "_send",
        "_timeout",
        "_timer",
        "_waited_before",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float,
        timeout: float | None,
        send: Callable[[bytes], None],
        expire: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._timeout = timeout
        self._send = send
        self._expire = expire
        self._count = 0
        self._payload: bytes | None = None  # of the Ping that waits for its Pong
        self._waited_before = 0.0  # seconds it waited until the clock last stopped
        self._running_since: float | None = loop.time()  # None: the clock is held
        self._timer: asyncio.TimerHandle | None = loop.call_later(interval, self._ping)

    def stop(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._payload = None

    def pong(self, payload: bytes) -> None:
        """A Pong came; one that does not answer the Ping in flight changes nothing."""
        if payload != self._payload:
            return
        self._payload = None
        if self._timeout is not None:  # else the next Ping is under way already
            self._schedule(self._interval - self._waited(), self._ping)

    def hold(self, held: bool) -> None:
        """Stop the clock of the time-out, or let it run again."""
        if held == (self._running_since is None):
            return
        if held:
            self._waited_before = self._waited()
            self._running_since = None
            return
        self._running_since = self._loop.time()
        if self._payload is not None and self._timeout is not None and self._timer is None:
            self._schedule(self._timeout - self._waited_before, self._deadline)

    def _waited(self) -> float:
        """Seconds on the clock since the last Ping."""
        if self._running_since is None:
            return self._waited_before
        return self._waited_before + self._loop.time() - self._running_since

    def _ping(self) -> None:
        self._timer = None
        self._count += 1  # a stale Pong must not match, none need be hard to guess
        self._payload = self._count.to_bytes(4, "big")
        self._waited_before = 0.0
        if self._running_since is not None:
            self._running_since = self._loop.time()
        if self._timeout is None:
            self._schedule(self._interval, self._ping)
        else:
            self._schedule(self._timeout, self._deadline)
        self._send(self._payload)

    def _deadline(self) -> None:
        self._timer = None
        if self._running_since is None:
            return
        assert self._timeout is not None
        left = self._timeout - self._waited()
        if left > 0:  # the clock was held for a while
            self._schedule(left, self._deadline)
        else:
            self._expire()

    def _schedule(self, delay: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, delay), callback)

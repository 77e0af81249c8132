"""Keepalive as uvicorn's options say: a Ping every so often, and a deadline for its Pong."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Keepalive:
    """Sends a Ping ``interval`` seconds after the last was answered; gives up after ``timeout``.

    ``send(payload)`` sends a Ping, ``expire()`` ends the connection; ``timeout=None`` waits for no
    Pong. Time during which we ourselves have paused reading does not count: the Pong may be in
    what we do not read. One timer at a time, none per message.
    """

    __slots__ = (
        "_count",
        "_expire",
        "_interval",
        "_loop",
        "_paused",
        "_paused_at",
        "_payload",
        "_send",
        "_sent_at",
        "_timeout",
        "_timer",
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
        self._sent_at = 0.0  # moved forward by the time reading was paused
        self._paused = False
        self._paused_at = 0.0
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
            round_trip = self._loop.time() - self._sent_at
            self._schedule(self._interval - round_trip, self._ping)

    def reading_paused(self) -> None:
        """The clock of the deadline stands still."""
        self._paused = True
        self._paused_at = self._loop.time()

    def reading_resumed(self) -> None:
        """The clock runs again."""
        self._paused = False
        if self._payload is None or self._timeout is None:
            return
        now = self._loop.time()
        self._sent_at += now - max(self._paused_at, self._sent_at)
        if self._timer is None:  # the deadline passed meanwhile
            self._schedule(self._sent_at + self._timeout - now, self._deadline)

    def _ping(self) -> None:
        self._timer = None
        self._count += 1  # a stale Pong must not match, none need be hard to guess
        self._payload = self._count.to_bytes(4, "big")
        self._sent_at = self._loop.time()
        if self._timeout is None:
            self._schedule(self._interval, self._ping)
        else:
            self._schedule(self._timeout, self._deadline)
        self._send(self._payload)

    def _deadline(self) -> None:
        self._timer = None
        if self._paused:
            return
        assert self._timeout is not None
        left = self._sent_at + self._timeout - self._loop.time()
        if left > 0:  # reading was paused for a while
            self._schedule(left, self._deadline)
        else:
            self._expire()

    def _schedule(self, delay: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, delay), callback)

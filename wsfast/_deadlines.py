"""The deadlines of one connection, on a clock that is an argument: keepalive, message, close."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .frames import Limits

_NEXT_TICK = float("-inf")  # of a deadline whose clock nobody has read yet


class Deadlines:
    """When what is due; times in seconds, None: not at all.

    ``now=None`` where the caller has no clock at hand: the deadline starts at the next ``start``.
    """

    __slots__ = (
        "_awaited",
        "_close",
        "_close_timeout",
        "_interval",
        "_message",
        "_next_ping",
        "_now",
        "_ping",
        "_pong",
        "_timeout",
        "message_timeout",
    )

    def __init__(
        self, limits: Limits, ping_interval: float | None, ping_timeout: float | None, now: float
    ) -> None:
        for name, seconds in (("ping_interval", ping_interval), ("ping_timeout", ping_timeout)):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"{name} must be positive or None, not {seconds!r}")
        self._now = now
        self._interval = ping_interval
        self._timeout = ping_timeout
        self._ping = None if ping_interval is None else now + ping_interval
        self._next_ping = 0.0  # its time, while a Pong is awaited
        self._pong: float | None = None
        self._awaited: set[bytes] | None = None  # Pongs that would answer the Ping under way
        self.message_timeout = limits.message_timeout  # None once no message is awaited
        self._message: float | None = None
        self._close_timeout = limits.close_timeout
        self._close: float | None = None

    def first(self) -> float | None:
        """The next; a time in the past for one that waits for ``start``."""
        dues = (self._ping, self._pong, self._message, self._close)
        first = min([due for due in dues if due is not None], default=None)
        return self._now if first == _NEXT_TICK else first

    def start(self, now: float) -> None:
        """Read the clock for those that were set without."""
        self._now = now
        if self._message == _NEXT_TICK and self.message_timeout is not None:
            self._message = now + self.message_timeout
        if self._close == _NEXT_TICK and self._close_timeout is not None:
            self._close = now + self._close_timeout

    def passed(self, now: float) -> str:
        """The gravest that has passed: ``close``, ``message``, ``pong``, ``ping`` or ``""``."""
        for name in ("close", "message", "pong", "ping"):
            due: float | None = getattr(self, f"_{name}")
            if due is not None and due <= now:
                return name
        return ""

    def pinged(self, payload: bytes, now: float) -> None:
        """A keepalive Ping was sent; with a timeout, the next waits until this one is answered."""
        assert self._interval is not None
        self._next_ping = now + self._interval
        if self._timeout is None:
            self._ping = self._next_ping
        else:
            self._ping = None
            self._pong = now + self._timeout
            self._awaited = {payload}

    def also_pinged(self, payload: bytes) -> None:
        """Some other Ping was sent; the peer may answer this one alone, §5.5.3."""
        if self._awaited is not None:
            self._awaited.add(payload)

    def ponged(self, payload: bytes) -> None:
        """A Pong came; one that answers none of our Pings is no sign that the peer reads."""
        if self._awaited is not None and payload in self._awaited:
            self._awaited = self._pong = None
            self._ping = self._next_ping

    def time_message(self, unfinished: bool, completed: bool, now: float | None) -> None:
        """The stream is inside a message, or not; one or more were completed, or none."""
        if self.message_timeout is None or not unfinished:
            self._message = None
        elif self._message is None or completed:
            self._message = _NEXT_TICK if now is None else now + self.message_timeout

    def await_close(self, now: float | None) -> None:
        """Start the clock of ``close_timeout``, unless it runs."""
        if self._close is None and self._close_timeout is not None:
            self._close = _NEXT_TICK if now is None else now + self._close_timeout

    def stop_keepalive(self) -> None:
        """No more Pings, and no Pong awaited."""
        self._interval = self._ping = self._pong = self._awaited = None

    def stop_messages(self) -> None:
        """Nor any message."""
        self.stop_keepalive()
        self.message_timeout = self._message = None

    def stop(self) -> None:
        """Nothing is awaited any more."""
        self.stop_messages()
        self._close = self._close_timeout = None

"""``message_timeout``: a message that trickles in must be whole within it."""

from __future__ import annotations

from wsfast.frames import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from typing import Any

    from wsfast.codec import MessageDecoder

MESSAGES = frozenset((str, bytes, Text))


class MessageTimer:
    """Calls ``expire()`` once a message has been ``timeout`` seconds under way.

    ``feed`` and ``feed_some`` stand in for the decoder's. There is a timer only while a message or
    frame is unfinished after a read; while reading is paused there is none, and the time starts
    anew.
    """

    __slots__ = ("_decoder", "_expire", "_held", "_loop", "_timeout", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        decoder: MessageDecoder,
        timeout: float,
        expire: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._decoder = decoder
        self._timeout = timeout
        self._expire: Callable[[], None] | None = expire  # None once stopped
        self._held = False
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> list[Any]:
        """What the decoder makes of ``data``."""
        events = self._decoder.feed(data)
        self._look(events)
        return events

    def feed_some(self, data: bytes | memoryview, most: int) -> tuple[list[Any], int]:
        """And how much of it was decoded."""
        events, taken = self._decoder.feed_some(data, most)
        self._look(events)
        return events, taken

    def hold(self, held: bool) -> None:
        """Reading was paused, or goes on: what we do not read is not late."""
        self._held = held
        self._look()

    def stop(self) -> None:
        """No message is awaited any more."""
        self._expire = None
        self._cancel()

    def _look(self, events: Sequence[Any] = ()) -> None:
        if not MESSAGES.isdisjoint(map(type, events)):
            self._cancel()  # what is unfinished now is another one
        if self._held or self._expire is None or not self._decoder.unfinished:
            self._cancel()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._expire)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

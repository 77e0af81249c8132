"""How a task waiting for input is woken: through a plain Future, or at once.

A Future tells its task by ``loop.call_soon``: one more turn of the loop, 0.4 to 0.8 µs for every
message of a request/response conversation. ``DirectWaiter`` is a Future-like object (the protocol
that ``asyncio.isfuture`` documents) that runs the task's wake-up itself, from inside the
``data_received`` that brought the input.

Both have ``waiting``, whether a task holds the one place there is, and ``fire()``, which wakes it.
Whoever is thrown out of ``await waiter`` sets ``waiting`` to False again; until then nobody else
takes the place, so a cancellation on its way cannot be lost to a second task.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context
    from typing import Any


class FutureWaiter:
    """Wakes by a Future of the loop."""

    __slots__ = ("_future", "_loop", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self.waiting = False

    def __await__(self) -> Generator[Any, None, None]:
        self.waiting = True
        self._future = self._loop.create_future()
        return self._future.__await__()

    def fire(self) -> None:
        """Wake the waiting task, if there is one, in the next turn of the loop."""
        future, self._future = self._future, None
        if future is not None and not future.done():
            self.waiting = False
            future.set_result(None)


class DirectWaiter:
    """Wakes the task before ``fire()`` returns.

    One object serves a connection for its whole life, so waiting allocates no Future. What a task
    asks of the Future it waits for at every wait is answered in C by one that is done.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_cancelled",
        "_context",
        "_done",
        "_loop",
        "get_loop",
        "waiting",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._callback: Callable[[Any], object] | None = None
        self._cancelled: tuple[Any, ...] = ()
        self._context: Context | None = None
        self._loop = loop
        self._done = _done(loop)
        self.get_loop = self._done.get_loop
        self.waiting = False

    def __await__(self) -> Generator[Any, None, None]:
        self.waiting = self._asyncio_future_blocking = True
        yield self

    def fire(self) -> None:
        """Wake the waiting task, if there is one, and run it up to where it next waits.

        Called from inside a task (asyncio runs one at a time), it does so in the next turn of
        the loop.
        """
        callback = self._callback
        if callback is None:
            return
        if current_task(self._loop) is not None:
            self._loop.call_soon(self.fire)
            return
        self._callback = None
        self.waiting = False
        try:
            self._context.run(callback, self._done)  # type: ignore[union-attr]
        except (SystemExit, KeyboardInterrupt) as exc:
            # They end the loop, but not through uvloop's data_received, which swallows them.
            self._loop.call_soon(_reraise, exc)

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        """The task tells how it is to be woken."""
        self._callback = callback
        self._context = context

    def cancel(self, msg: Any = None) -> bool:
        """The task was cancelled: it will be told in the next turn of the loop."""
        callback, self._callback = self._callback, None
        if callback is None:  # woken already: the task keeps the request for its next wait
            return False
        self._cancelled = () if msg is None else (msg,)
        self._loop.call_soon(callback, self, context=self._context)
        return True

    def result(self) -> None:
        """Asked only by a task that was cancelled; others are woken with a Future that is done."""
        raise asyncio.CancelledError(*self._cancelled)


def _reraise(exc: BaseException) -> None:
    raise exc


@lru_cache(maxsize=4)
def _done(loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    future: asyncio.Future[None] = loop.create_future()
    future.set_result(None)
    return future

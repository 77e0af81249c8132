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

    One object serves a connection for its whole life, so waiting allocates no Future.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_cancelled",
        "_context",
        "_loop",
        "waiting",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._callback: Callable[[DirectWaiter], object] | None = None
        self._cancelled: tuple[Any, ...] | None = None  # arguments of the CancelledError to raise
        self._context: Context | None = None
        self._loop = loop
        self.waiting = False

    def __await__(self) -> Generator[Any, None, None]:
        self.waiting = True
        self._cancelled = None
        self._asyncio_future_blocking = True
        yield self

    def fire(self) -> None:
        """Wake the waiting task, if there is one, and run it up to where it next waits.

        Called from inside a task (asyncio runs one at a time), it does so in the next turn of
        the loop.
        """
        callback = self._callback
        if callback is None:
            return
        if asyncio.current_task(self._loop) is not None:
            self._loop.call_soon(self.fire)
            return
        self._callback = None
        self.waiting = False
        assert self._context is not None
        self._context.run(callback, self)

    # What a task asks of the Future it waits for.

    def add_done_callback(
        self, callback: Callable[[DirectWaiter], object], *, context: Context
    ) -> None:
        self._callback = callback
        self._context = context

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def result(self) -> None:
        if self._cancelled is not None:
            raise asyncio.CancelledError(*self._cancelled)

    def cancel(self, msg: Any = None) -> bool:
        """Tell the task, in the next turn of the loop, that it was cancelled while it waited."""
        callback, self._callback = self._callback, None
        if callback is None:  # woken already: the task keeps the request for its next wait
            return False
        self._cancelled = () if msg is None else (msg,)
        self._loop.call_soon(callback, self, context=self._context)
        return True

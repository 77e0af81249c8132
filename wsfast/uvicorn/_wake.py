"""How a task waiting for input is woken with ``wake="future"``: one turn of the loop later.

``wsfast._waiter.Waiter`` is the direct way. Both have ``waiting``, whether a task holds the one
place there is, and ``fire()``, which wakes it. Whoever is thrown out of ``await waiter`` sets
``waiting`` to False again; until then nobody else takes the place, so a cancellation on its way
cannot be lost to a second task.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator
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

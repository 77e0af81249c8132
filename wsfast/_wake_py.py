"""What a task waits on for its next message.

A Future tells its task by ``loop.call_soon``: one more turn of the loop, 0.4 to 1 µs for every
message of a request/response conversation, and a new Future for each. ``Waiter`` is a Future-like
object (the protocol that ``asyncio.isfuture`` documents) that serves a connection for its whole
life and runs the task's wake-up itself, from inside the ``data_received`` that brought the message.
"""

from __future__ import annotations

from asyncio import CancelledError, current_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Generator
    from contextvars import Context
    from typing import Any, NoReturn


def _reraise(exc: BaseException) -> NoReturn:
    raise exc


class Waiter:
    """What one task at a time waits on, again and again. ``loop`` is the task's.

    ``waiting``: whether a task holds the one place there is. Who is thrown out of the wait sets it
    to False again; until then nobody takes the place, so that no cancellation is lost.
    """

    __slots__ = (
        "_answer",
        "_asyncio_future_blocking",
        "_callback",
        "_context",
        "_entered",
        "_exception",
        "_loop",
        "waiting",
    )

    def __init__(self, loop: AbstractEventLoop, /) -> None:
        self._loop = loop
        # A Future that is done: what a task asks of it when it is woken is answered in C.
        self._answer: Future[None] = loop.create_future()
        self._answer.set_result(None)
        self._asyncio_future_blocking = False
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._exception: BaseException | None = None
        self.waiting = False

    def __reduce__(self) -> NoReturn:
        raise TypeError("Waiter cannot be pickled")

    def __await__(self) -> Generator[Any, None, None]:
        self.waiting = self._asyncio_future_blocking = True
        yield self

    def fire(self) -> None:
        """Wake the task, if one waits, and run it up to where it next waits.

        Called from inside a task (asyncio runs one at a time), it does so in the next turn of the
        loop.
        """
        callback = self._callback
        if callback is None:
            return
        if current_task(self._loop) is not None:
            self._loop.call_soon(self.fire)
            return
        context, self._context = self._context, None  # what its variables hold is not ours to keep
        self._callback = None
        self._entered = self.waiting = False
        try:
            context.run(self._wake, callback)  # type: ignore[union-attr]
        except RuntimeError:
            if self._entered:  # the callback's own
                raise
            # We are in that very context: it cannot be entered twice.
            self._loop.call_soon(callback, self._answer, context=context)
        except (SystemExit, KeyboardInterrupt) as exc:
            # They end the loop, but not through uvloop's data_received, which swallows them.
            self._loop.call_soon(_reraise, exc)

    def _wake(self, callback: Callable[[Any], object]) -> None:
        self._entered = True
        callback(self._answer)

    # What asyncio asks of a Future

    def get_loop(self) -> AbstractEventLoop:
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        """The task tells how it is to be woken."""
        self._callback = callback
        self._context = context

    def done(self) -> bool:
        """Whether nobody waits, or who does is about to be woken."""
        return self._callback is None

    def set_result(self, result: None, /) -> None:
        """Wake the task in the next turn of the loop, as a Future does. It gets None."""
        self._tell(self._answer)
        self.waiting = False

    def set_exception(self, exception: BaseException, /) -> None:
        """Wake the task in the next turn of the loop; it gets ``exception``."""
        self._exception = exception
        self._tell(self)
        self.waiting = False

    def cancel(self, msg: object = None) -> bool:
        """The task was cancelled: it is told in the next turn of the loop."""
        if self._callback is None:  # woken already: the task keeps the request for its next wait
            return False
        self._exception = CancelledError() if msg is None else CancelledError(msg)
        self._tell(self)
        return True

    def result(self) -> None:
        """Asked by a task that gets an exception; others are woken with a Future that is done."""
        exception, self._exception = self._exception, None
        raise exception  # type: ignore[misc]

    def _tell(self, outcome: object) -> None:
        callback, self._callback = self._callback, None
        context, self._context = self._context, None
        if callback is not None:
            self._loop.call_soon(callback, outcome, context=context)

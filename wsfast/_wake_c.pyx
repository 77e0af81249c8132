# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True, binding=False, embedsignature=True
# cython: embedsignature.format=clinic, auto_pickle=False
"""What a task waits on for its next message, in C.

``_wake_py`` is the same thing in Python; read that for what happens and why.
"""

from asyncio import CancelledError

cimport cython

cdef extern from "Python.h":
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1

try:
    from _asyncio import current_task
except ImportError:  # before 3.12 it is in Python, and costs more than the rest of fire()
    from asyncio.tasks import _current_tasks
    current_task = _current_tasks.get


def _reraise(exc):
    raise exc


@cython.final
cdef class Waiter:
    """What one task at a time waits on, again and again. ``loop`` is the task's.

    ``waiting``: whether a task holds the one place there is. Who is thrown out of the wait sets it
    to False again; until then nobody takes the place, so that no cancellation is lost.
    """

    cdef readonly object _loop
    cdef object answer, callback, context, exception
    cdef public bint waiting, _asyncio_future_blocking
    cdef bint begun

    def __init__(self, loop, /):
        self._loop = loop
        self.answer = loop.create_future()
        self.answer.set_result(None)

    def __reduce__(self):
        raise TypeError("Waiter cannot be pickled")

    def __await__(self):
        self.begun = False
        self.waiting = True
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.begun:
            raise StopIteration
        self.begun = self._asyncio_future_blocking = True
        return self

    def fire(self):
        """Wake the task, if one waits, and run it up to where it next waits.

        Called from inside a task (asyncio runs one at a time), it does so in the next turn of the
        loop.
        """
        callback = self.callback
        if callback is None:
            return
        if current_task(self._loop) is not None:
            self._loop.call_soon(self.fire)
            return
        context, self.context = self.context, None
        self.callback = None
        self.waiting = False
        try:
            PyContext_Enter(context)  # Context.run() without a call through Python
        except RuntimeError:  # we are in that very context: it cannot be entered twice
            self._loop.call_soon(callback, self.answer, context=context)
            return
        try:
            callback(self.answer)
        except (SystemExit, KeyboardInterrupt) as exc:
            self._loop.call_soon(_reraise, exc)
        finally:
            PyContext_Exit(context)

    # What asyncio asks of a Future

    def get_loop(self):
        return self._loop

    def add_done_callback(self, callback, *, context):
        """The task tells how it is to be woken."""
        self.callback = callback
        self.context = context

    def done(self):
        """Whether nobody waits, or who does is about to be woken."""
        return self.callback is None

    def set_result(self, result, /):
        """Wake the task in the next turn of the loop, as a Future does. It gets None."""
        self.tell(self.answer)
        self.waiting = False

    def set_exception(self, exception, /):
        """Wake the task in the next turn of the loop; it gets ``exception``."""
        self.exception = exception
        self.tell(self)
        self.waiting = False

    def cancel(self, msg=None):
        """The task was cancelled: it is told in the next turn of the loop."""
        if self.callback is None:  # woken already: the task keeps the request for its next wait
            return False
        self.exception = CancelledError() if msg is None else CancelledError(msg)
        self.tell(self)
        return True

    def result(self):
        """Asked by a task that gets an exception; others are woken with a Future that is done."""
        exception, self.exception = self.exception, None
        raise exception

    cdef object tell(self, outcome):
        callback, self.callback = self.callback, None
        context, self.context = self.context, None
        if callback is not None:
            self._loop.call_soon(callback, outcome, context=context)

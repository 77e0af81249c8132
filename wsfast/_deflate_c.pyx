# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True, binding=False, embedsignature=True
# cython: embedsignature.format=clinic, auto_pickle=False
"""The contexts of one connection in C: what goes into a back end's calls and comes out of them.

``_deflate_py`` is the same thing in Python; read that for what happens, this for how it is stored.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from libc.string cimport memcpy
cimport cython

from wsfast.errors import RemoteProtocolError

cdef extern from "Python.h":
    """
    #define TAIL "\\x00\\x00\\xff\\xff"
    enum { TAIL_SIZE = 4, MAX_FINAL_BLOCKS = 1024, STEP = 4096, ROOM = 128 << 10 };
    enum { SYNC_FLUSH = 2, FULL_FLUSH = 3 };
    """
    const Py_ssize_t PY_SSIZE_T_MAX
    object PyObject_Vectorcall(object call, PyObject **arguments, size_t n, PyObject *names)
    const char *TAIL
    int TAIL_SIZE, MAX_FINAL_BLOCKS, STEP, ROOM, SYNC_FLUSH, FULL_FLUSH

cdef object ROOM_OBJECT = ROOM, SYNC = SYNC_FLUSH, FULL = FULL_FLUSH


@cython.final
cdef class Inflater:
    """Inflates one direction of a connection; the context is made when first needed.

    ``ring`` holds the last ``filled`` bytes of output, in a ring once it has the window's size;
    ``at`` is where the next goes.
    """

    def __init__(self, bits, *, takeover, max_ratio=None, backend=None):
        from wsfast._zlib import load

        module, window = load(backend).inflates, 1 << bits
        with cython.critical_section(self):
            self._zlib = module
            self._bits = bits
            self.window = window
            self._takeover = takeover
            self.max_ratio = max_ratio
            self._context = None
            self.finals = self.last = 0
            self.read = self.wrote = 0
            self.forget()

    def __dealloc__(self):
        PyMem_Free(self.ring)

    def __reduce__(self):
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def inflate(self, bytes data not None, bint fin, limit):
        """All that the next piece of a compressed message yields; ``fin`` on its last piece.

        Raises ``RemoteProtocolError``: ``message_too_big`` where that is more than ``limit``
        bytes (after at most ``limit + 1``) or, at the end, more than ``max_ratio`` times the
        compressed size; ``deflate_error`` where ``data`` is not DEFLATE.
        """
        cdef Py_ssize_t most = PY_SSIZE_T_MAX, n = PyBytes_GET_SIZE(data)
        if limit is not None and limit < PY_SSIZE_T_MAX:
            most = limit + 1
        cdef bytes piece = self.place(n, fin)
        memcpy(PyBytes_AS_STRING(piece), PyBytes_AS_STRING(data), n)
        return self.run(piece, n, fin, most)

    cdef bytes place(self, Py_ssize_t n, bint fin):
        """Where ``n`` bytes of the message are to be put, for ``run``."""
        # An empty payload is no DEFLATE data, but unmistakable, and some senders write it.
        if not (fin and self.read + n):
            return PyBytes_FromStringAndSize(NULL, n)
        cdef bytes piece = PyBytes_FromStringAndSize(NULL, n + TAIL_SIZE)
        memcpy(PyBytes_AS_STRING(piece) + n, TAIL, TAIL_SIZE)
        return piece

    cdef bytes run(self, bytes data, Py_ssize_t n, bint fin, Py_ssize_t most):
        """``inflate`` of the ``n`` bytes put into ``data``, less than ``most`` bytes."""
        with cython.critical_section(self):
            try:
                return self.inflated(data, n, fin, most)
            except BaseException:
                self._context = None  # it may hold input that is not this message's any more
                raise

    cdef bytes inflated(self, bytes data, Py_ssize_t n, bint fin, Py_ssize_t most):
        cdef Py_ssize_t read = self.read + n, wrote
        cdef bytes out
        context = self._context
        if context is None:
            context = self.open()
        room = ROOM_OBJECT if most >= ROOM else most
        try:
            out = called(self.decompress, 3, context, data, room)
            if context.eof or PyBytes_GET_SIZE(out) == min(most, ROOM):
                out = self.go_on(context, out, data, n, most)
            elif self._takeover or not fin:
                self.remember(out)
        except self._zlib.error:
            raise RemoteProtocolError("deflate_error") from None
        if PyBytes_GET_SIZE(out) >= most:
            raise RemoteProtocolError("message_too_big")
        wrote = self.wrote + PyBytes_GET_SIZE(out)
        if not fin:
            self.read, self.wrote = read, wrote
            if n > 0:
                self.last = <unsigned char>PyBytes_AS_STRING(data)[n - 1]
            return out
        if self.max_ratio is not None and wrote > self.max_ratio * read:
            raise RemoteProtocolError("message_too_big")
        self.read = self.wrote = self.finals = 0
        if not self._takeover:
            self._context = None
            self.forget()
        return out

    cdef object open(self):
        """A context whose window is the history."""
        history = self.history()
        if history:
            context = self._zlib.decompressobj(-self._bits, history)
        else:
            context = self._zlib.decompressobj(-self._bits)
        self.decompress = type(context).decompress
        self._context = context
        return context

    cdef bytes go_on(self, object context, bytes out, bytes data, Py_ssize_t end, Py_ssize_t most):
        """Inflate what is left: behind ``ROOM`` bytes, or behind a final block.

        ``end`` is where our own tail begins, if there is one.
        """
        cdef list parts = [out]
        cdef Py_ssize_t room = most - PyBytes_GET_SIZE(out), size = PyBytes_GET_SIZE(data), step
        cdef Py_ssize_t pos = size - rest(context, size)
        cdef bint full = True  # zlib may hold more without any input
        self.remember(out)
        while True:
            if room <= 0:  # before all of it is joined
                raise RemoteProtocolError("message_too_big")
            if context.eof:
                self._context = None
                self.finals += 1
                if self.finals > MAX_FINAL_BLOCKS or (pos > end and self.cut_off(data, pos, end)):
                    raise RemoteProtocolError("deflate_error")
                if pos >= end:
                    break
                context = self.open()
            if pos == size and not full:
                break
            step = min(size - pos, STEP if self.finals else ROOM)
            most = min(room, ROOM)
            piece = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + pos, step)
            out = called(self.decompress, 3, context, piece, most)
            full = PyBytes_GET_SIZE(out) == most
            self.remember(out)
            parts.append(out)
            room -= PyBytes_GET_SIZE(out)
            pos += step - rest(context, step)
        return b"".join(parts)

    cdef bint cut_off(self, bytes data, Py_ssize_t pos, Py_ssize_t end) noexcept:
        cdef int last = <unsigned char>PyBytes_AS_STRING(data)[end - 1] if end > 0 else self.last
        return pos < PyBytes_GET_SIZE(data) or last >= 0x40

    cdef int remember(self, bytes out) except -1:
        cdef Py_ssize_t n = PyBytes_GET_SIZE(out)
        cdef int size = <int>min(n, <Py_ssize_t>self.window), first
        if size == 0:
            return 0
        if self.filled + size > self.capacity and self.capacity < self.window:
            self.grow(min(self.window, max(self.filled + size, 2 * self.capacity)))
        cdef const char *p = PyBytes_AS_STRING(out) + n - size
        first = min(size, self.capacity - self.at)
        memcpy(self.ring + self.at, p, first)
        memcpy(self.ring, p + first, size - first)
        self.at += size
        if self.at >= self.capacity:
            self.at -= self.capacity
        self.filled = min(self.filled + size, self.capacity)
        return 0

    cdef int grow(self, int size) except -1:
        """Not beyond the window, and so never once it is a ring."""
        cdef char *ring = <char *>PyMem_Realloc(self.ring, size)
        if ring == NULL:
            raise MemoryError
        self.ring = ring
        self.capacity = size
        self.at = self.filled
        return 0

    cdef int forget(self) except -1:
        PyMem_Free(self.ring)
        self.ring = NULL
        self.capacity = self.filled = self.at = 0
        return 0

    cdef bytes history(self):
        cdef int begin = self.at if self.filled == self.capacity else 0
        return (PyBytes_FromStringAndSize(self.ring + begin, self.filled - begin)
                + PyBytes_FromStringAndSize(self.ring, begin))

    @property
    def _history(self):
        with cython.critical_section(self):
            return self.history()


cdef inline bytes called(object method, size_t n, object context, object first, object second):
    """A method of a context's type, with ``n`` arguments, the context included."""
    cdef PyObject *arguments[3]
    arguments[0] = <PyObject *>context
    arguments[1] = <PyObject *>first
    arguments[2] = <PyObject *>second
    return <bytes?>PyObject_Vectorcall(method, arguments, n, NULL)


cdef Py_ssize_t rest(object context, Py_ssize_t given) except -1:
    """How much of the ``given`` bytes a context left; more is another thread's."""
    cdef Py_ssize_t left = len(context.unused_data) + len(context.unconsumed_tail)
    if left > given:
        raise RuntimeError("inflater is in use by another thread")
    return left


@cython.final
cdef class Deflater:
    """Deflates one direction of a connection; without takeover it has a context only meanwhile."""

    def __init__(self, bits, *, takeover, level, mem_level, threshold, backend=None):
        from wsfast._zlib import equal, load

        if bits == 8:  # raw deflate begins at 9; blocks that are only stored need no window
            bits, level, backend = 9, 0, "zlib"
        self._compressors = equal(load(backend), bits, level, mem_level)
        self._takeover = takeover
        self._context = None
        self.threshold = threshold

    def __reduce__(self):
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def deflate(self, data, bint fin):
        """The next piece of a message compressed, all of it; ``fin`` on the last piece."""
        cdef bytes out = self.squeeze(data, fin)
        try:
            return out[: sent(PyBytes_GET_SIZE(out), fin)]
        except BaseException:
            self.reset()
            raise

    def reset(self):
        """What was deflated last is not sent: go on with a context that refers to nothing."""
        with cython.critical_section(self):
            self._context = None

    cdef bytes squeeze(self, object data, bint fin):
        """``deflate``, and the tail still on."""
        with cython.critical_section(self):
            return self.squeezed(data, fin)

    cdef bytes squeezed(self, object data, bint fin):
        cdef bytes out, end
        cdef bint last = fin and not self._takeover
        context = self._context
        if context is None:
            context = self._compressors.take()
            self.compress = type(context).compress
            self.flush = type(context).flush
        self._context = None
        out = called(self.compress, 2, context, data, None)
        end = called(self.flush, 2, context, FULL if last else SYNC, None)
        if PyBytes_GET_SIZE(out):
            end = out + end
        if last:
            self._compressors.give(context)
        else:
            self._context = context
        return end

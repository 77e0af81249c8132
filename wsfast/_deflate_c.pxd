"""What the codec uses of the contexts."""


cdef class Inflater:
    cdef public object _zlib
    cdef readonly object _context
    cdef object decompress, max_ratio
    cdef char *ring
    cdef Py_ssize_t read, wrote
    cdef readonly int _bits
    cdef int window, finals, capacity, filled, at, last
    cdef readonly bint _takeover

    cdef bytes place(self, Py_ssize_t n, bint fin)
    cdef bytes run(self, bytes data, Py_ssize_t n, bint fin, Py_ssize_t most)
    cdef bytes inflated(self, bytes data, Py_ssize_t n, bint fin, Py_ssize_t most)
    cdef object open(self)
    cdef bytes go_on(self, object context, bytes out, bytes data, Py_ssize_t end, Py_ssize_t most)
    cdef bint cut_off(self, bytes data, Py_ssize_t pos, Py_ssize_t end) noexcept
    cdef int remember(self, bytes out) except -1
    cdef int grow(self, int size) except -1
    cdef int forget(self) except -1
    cdef bytes history(self)


cdef class Deflater:
    cdef public object _context
    cdef object compress, flush
    cdef readonly object _compressors
    cdef public Py_ssize_t threshold
    cdef readonly bint _takeover

    cdef bytes squeeze(self, object data, bint fin)
    cdef bytes squeezed(self, object data, bint fin)


cdef inline Py_ssize_t sent(Py_ssize_t n, bint fin) noexcept:
    """How much of ``n`` bytes from ``squeeze`` goes on the wire: not the four of the tail."""
    return n - 4 if fin else n

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True, binding=False, embedsignature=True
# cython: embedsignature.format=clinic, auto_pickle=False
"""Layer 2 over the C core, the sending half: one allocation per frame.

``_encoder_py`` is the same thing in Python; read that for what happens, this for how it is stored.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.number cimport PyNumber_Index
from libc.string cimport memcpy
cimport cython

from wsfast._deflate_c cimport Deflater, sent
from wsfast._kernels_c cimport Bytes, acquire, local, mask_bytes, read_key, release
from wsfast._wsf cimport *

from os import urandom

from wsfast._keys import BLOCK, after_fork
from wsfast.frames import Role

cdef extern from "Python.h":
    void *PyUnicode_DATA(object text) noexcept
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    bytes PyUnicode_AsUTF8String(object text)

wsf_init()


def _select(isa, /):
    """Use one set of kernels, for tests."""
    wsf_select(isa.encode())


@cython.final
cdef class _KeyPool:
    """``_keys.KeyPool`` in C: keys cut from blocks of the operating system's random bytes."""

    cdef bytes block
    cdef Py_ssize_t used

    def __init__(self):
        self.forget()

    def forget(self):
        """Drop what is left of the block."""
        with cython.critical_section(self):
            self.block = b""
            self.used = 0

    cdef int take(self, uint8_t *key) except -1:
        with cython.critical_section(self):
            if self.used >= PyBytes_GET_SIZE(self.block):
                self.block = urandom(BLOCK)
                self.used = 0
            memcpy(key, PyBytes_AS_STRING(self.block) + self.used, 4)
            self.used += 4
        return 0


cdef _KeyPool pool = _KeyPool()
after_fork(pool.forget)


cdef int take_key(uint8_t *key) except -1:
    """A fresh masking key."""
    return pool.take(key)


@cython.final
cdef class FrameEncoder:
    """Messages in, frames out, each one ``bytes``.

    A client masks every frame with a fresh key (§5.3) from ``keys()``, by default a pool of the
    operating system's random bytes. ``deflate`` is an object with ``deflate(data, fin) -> bytes``
    and ``threshold``, the size in bytes below which ``compress=None`` leaves a message alone.
    ``LocalProtocolError`` for what the protocol forbids; nothing is changed by a failed call.
    """

    cdef object keys, deflate
    cdef wsf_utf8 utf8
    cdef uint8_t opened
    cdef bint masks, compressed

    def __init__(self, role, *, keys=None, deflate=None):
        if role is not Role.SERVER and role is not Role.CLIENT:
            raise TypeError(f"role must be a Role, not {type(role).__name__}")
        self.masks = role is Role.CLIENT
        self.keys = keys
        self.deflate = deflate
        self.opened = 0

    def __reduce__(self):
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def text(self, data, *, fin=True, compress=None):
        """A text frame from a ``str`` or a buffer of UTF-8; ``fin=False`` starts a message."""
        cdef bint last = fin
        if last and self.at_rest() and isinstance(data, str) and PyUnicode_IS_COMPACT_ASCII(data):
            return self.whole(WSF_TEXT, <const uint8_t *>PyUnicode_DATA(data), PyUnicode_GET_LENGTH(data))
        return self.data_frame(WSF_TEXT, data, last, compress)

    def binary(self, data, *, fin=True, compress=None):
        """A binary frame from any flat buffer of bytes; ``fin=False`` starts a message."""
        cdef bint last = fin
        if last and self.at_rest() and PyBytes_CheckExact(data):
            return self.whole(WSF_BINARY, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return self.data_frame(WSF_BINARY, data, last, compress)

    def continuation(self, data, *, fin=True):
        """The next frame of the open message; a ``str`` only where that is text."""
        return self.data_frame(WSF_CONT, data, fin, None)

    cdef object data_frame(self, uint8_t opcode, object data, bint fin, object compress):
        cdef Bytes payload
        if (opcode == WSF_CONT) != (self.opened != 0):
            raise local(wsf_e_expected_continuation if self.opened else wsf_e_unexpected_continuation)
        cdef bint check = (opcode or self.opened) == WSF_TEXT
        if check and isinstance(data, str):
            check = opcode == WSF_CONT  # a str is right in itself, but not inside a character
            if PyUnicode_IS_COMPACT_ASCII(data):
                payload.p = <const uint8_t *>PyUnicode_DATA(data)
                payload.n = PyUnicode_GET_LENGTH(data)
                payload.viewed = False
                return self.send(opcode, check, data, &payload, fin, compress)
            data = PyUnicode_AsUTF8String(data)  # not cached in the caller's string
        acquire(data, &payload)
        try:
            return self.send(opcode, check, data, &payload, fin, compress)
        finally:
            release(&payload)

    cdef inline bint at_rest(self) noexcept:
        """Nothing goes before the next message, or is to be done with it: the common case."""
        return not self.opened and self.deflate is None

    cdef inline object whole(self, uint8_t opcode, const uint8_t *p, Py_ssize_t n):
        """A frame that is right as it is, and of which nothing is remembered."""
        cdef wsf_frame frame
        self.begin(&frame, opcode, True)
        return framed(&frame, p, n)

    cdef object send(self, uint8_t opcode, bint check, object data, Bytes *payload, bint fin, object compress):
        cdef wsf_frame head
        cdef wsf_utf8 utf8
        self.begin(&head, opcode, fin)
        utf8.held = 0
        if check:
            if opcode == WSF_CONT:
                utf8 = self.utf8
            check_utf8(&utf8, payload, fin)
        cdef bint squeeze = self.compressed if opcode == WSF_CONT else self.wants_deflate(payload.n, compress)
        if squeeze:
            frame = self.squeezed(&head, data, payload)
        else:
            frame = framed(&head, payload.p, payload.n)
        if fin:
            self.opened = 0
        elif opcode != WSF_CONT:
            self.opened = opcode
            self.compressed = squeeze
        if not fin:
            self.utf8 = utf8
        return frame

    cdef bint wants_deflate(self, Py_ssize_t n, object compress) except -1:
        if self.deflate is None or (compress is not None and not compress):
            return False
        if compress:
            return True
        if type(self.deflate) is Deflater:
            return n >= (<Deflater>self.deflate).threshold
        return n >= self.deflate.threshold

    cdef object squeezed(self, wsf_frame *head, object data, Bytes *payload):
        cdef Bytes made
        cdef bint fin = head.fin
        head.rsv = 0 if head.opcode == WSF_CONT else WSF_RSV1
        try:
            if type(self.deflate) is Deflater:
                squeezed = (<Deflater>self.deflate).squeeze(lent(data, payload), fin)
                return framed(head, <const uint8_t *>PyBytes_AS_STRING(squeezed),
                              sent(PyBytes_GET_SIZE(squeezed), fin))
            made_of = self.deflate.deflate(PyBytes_FromStringAndSize(<const char *>payload.p, payload.n), fin)
            acquire(made_of, &made)
            try:
                return framed(head, made.p, made.n)
            finally:
                release(&made)
        except BaseException:
            self.deflate.reset()  # it may hold what is not sent
            raise

    def ping(self, data=b""):
        """A Ping frame; at most 125 bytes."""
        return self.control(WSF_PING, data)

    def pong(self, data=b""):
        """A Pong frame; at most 125 bytes."""
        return self.control(WSF_PONG, data)

    def close(self, code=1000, reason=""):
        """A Close frame; ``code`` 1005 without a reason is the empty one."""
        number = PyNumber_Index(code)
        if not isinstance(reason, str):
            raise TypeError(f"reason must be a str, not {type(reason).__name__}")
        text = PyUnicode_AsUTF8String(reason)
        if number == 1005 and not text:
            return self.control(WSF_CLOSE, b"")
        if not 0 <= number < 1 << 16 or not wsf_close_code_allowed(number):
            raise local(wsf_e_close_code)
        return self.control(WSF_CLOSE, number.to_bytes(2, "big") + text)

    cdef object control(self, uint8_t opcode, object data):
        cdef Bytes payload
        acquire(data, &payload)
        try:
            if payload.n > WSF_MAX_CONTROL:
                raise local(wsf_e_control_too_long)
            return self.whole(opcode, payload.p, payload.n)
        finally:
            release(&payload)

    def parts(self, data, /):
        """``(header, data)`` of a binary frame, for transports that keep the two apart.

        ``data`` must be ``bytes`` and is not copied; a client cannot (``mask_required``).
        """
        cdef uint8_t header[WSF_MAX_HEADER]
        cdef wsf_frame frame
        if not PyBytes_CheckExact(data):
            raise TypeError(f"parts() needs bytes, not {type(data).__name__}")
        if self.masks:
            raise local(wsf_e_mask_required)
        if self.opened:
            raise local(wsf_e_expected_continuation)
        self.begin(&frame, WSF_BINARY, True)
        frame.length = PyBytes_GET_SIZE(data)
        cdef size_t size = wsf_header_build(header, &frame)
        return PyBytes_FromStringAndSize(<const char *>header, size), data

    cdef inline int begin(self, wsf_frame *frame, uint8_t opcode, bint fin) except -1:
        """All of a frame but its length."""
        frame.opcode = opcode
        frame.fin = fin
        frame.rsv = 0
        frame.masked = self.masks
        if not self.masks:
            return 0
        if self.keys is None:
            return pool.take(frame.key)
        return read_key(self.keys(), frame.key)


cdef object framed(wsf_frame *frame, const uint8_t *p, Py_ssize_t n):
    """Its bytes."""
    frame.length = n
    cdef size_t size = wsf_header_size(n, frame.masked)
    out = PyBytes_FromStringAndSize(NULL, size + n)
    cdef uint8_t *dst = <uint8_t *>PyBytes_AS_STRING(out)
    wsf_header_build(dst, frame)
    if frame.masked:
        mask_bytes(dst + size, p, n, frame.key, 0)
    elif n:
        memcpy(dst + size, p, n)
    return out


@cython.final
@cython.no_gc
@cython.freelist(4)
cdef class _Lent:
    """The bytes of an ASCII ``str``, for a call that takes a buffer."""

    cdef object text

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.text is None:  # made by somebody else
            raise BufferError("nothing is lent")
        PyBuffer_FillInfo(view, self, PyUnicode_DATA(self.text), PyUnicode_GET_LENGTH(self.text), 1, flags)


cdef object lent(object data, Bytes *payload):
    """The payload as something that cannot change while it is deflated."""
    cdef _Lent whole
    if PyBytes_CheckExact(data):
        return data
    if not isinstance(data, str):
        return PyBytes_FromStringAndSize(<const char *>payload.p, payload.n)
    whole = _Lent.__new__(_Lent)
    whole.text = data
    return whole


cdef int check_utf8(wsf_utf8 *utf8, Bytes *payload, bint fin) except -1:
    """Refuse what is not text before any of it is sent."""
    cdef uint64_t fault
    cdef size_t bad
    if not wsf_utf8_feed(utf8, payload.p, payload.n, 0, &fault, &bad) or (fin and utf8.held):
        raise local(wsf_e_invalid_utf8)
    return 0

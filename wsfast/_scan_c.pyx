# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True, binding=False, embedsignature=True
# cython: embedsignature.format=clinic, auto_pickle=False
"""Frames one at a time, without a state, over the C core: for hosts that own their buffer.

``_scan_py`` is the same thing in Python; read that for what happens, this for how it is stored.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Check, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.number cimport PyNumber_Index
from cpython.sequence cimport PySequence_DelSlice
from libc.string cimport memcpy
cimport cython

from wsfast._encoder_c cimport take_key
from wsfast._kernels_c cimport Bytes, acquire, bound, mask_bytes, native_policy, position_in
from wsfast._kernels_c cimport read_key, release
from wsfast._wsf cimport *

from wsfast import _kernels_c

cdef extern from "Python.h":
    """
    /* PyUnicode_DATA() of what PyUnicode_New(n, 127) made, without asking what it is. */
    #define ASCII_DATA(text) ((void *)((PyASCIIObject *)(text) + 1))

    /* object.__new__(cls) without a call through Python, for a class that has no other; `none` is
     * an empty tuple. */
    #define WSF_PLAIN(cls) (((PyTypeObject *)(cls))->tp_new == PyBaseObject_Type.tp_new)
    #define WSF_NEW(cls, none) PyBaseObject_Type.tp_new((PyTypeObject *)(cls), none, NULL)

    /* A count that threads may share: it need not be in order, but must not lose. */
    #if !defined(Py_GIL_DISABLED)
    #define WSF_COUNT(counter) ((void)++*(counter))
    #elif defined(_MSC_VER)
    #include <intrin.h>
    #define WSF_COUNT(counter) ((void)_InterlockedIncrement64((__int64 *)(counter)))
    #else
    #define WSF_COUNT(counter) ((void)__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED))
    #endif
    """
    void *ASCII_DATA(object text) noexcept
    bint WSF_PLAIN(object cls) noexcept
    object WSF_NEW(object cls, tuple none)
    void WSF_COUNT(uint64_t *counter) noexcept
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    object PyUnicode_DecodeUTF8(const char *p, Py_ssize_t n, const char *errors)
    object PyUnicode_DecodeUTF8Stateful(const char *p, Py_ssize_t n, const char *errors, Py_ssize_t *used)
    void *PyUnicode_DATA(object text) noexcept
    bint PyUnicode_IS_COMPACT_ASCII(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    bytes PyUnicode_AsUTF8String(object text)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    int PyObject_GenericSetAttr(object made, object name, object value) except -1

cdef tuple NONE = ()

wsf_init()


def _select(isa, /):
    """Use one set of kernels, for tests."""
    wsf_select(isa.encode())


_select(_kernels_c.backend()[2:])


@cython.final
@cython.no_gc  # it holds a str or bytes and an enum's member: nothing that could come back to it
@cython.freelist(64)
cdef class Whole:
    """A message in one frame, shaped like a frame for hosts that queue frames.

    ``payload`` is the decoded ``str`` or the ``bytes``, ``opcode`` what the ``Scanner`` was given.
    """

    cdef readonly object opcode, payload
    cdef bint mutable

    def __init__(self, opcode, payload, mutable=False, /):
        self.opcode = opcode
        self.payload = payload
        self.mutable = mutable

    @property
    def fin(self):
        return True

    @property
    def data(self):
        """The bytes of the payload, as ``Scanner.frame`` would give them."""
        data = self.payload.encode() if isinstance(self.payload, str) else self.payload
        return bytearray(data) if self.mutable else data


@cython.final
cdef class Scanner:
    """Takes frames from a buffer; keeps nothing but a count, so threads may share it.

    ``policy`` judges headers as ``check="header"`` does, whatever it says. Payloads are ``bytes``,
    or ``bytearray`` where ``mutable``; with ``decode`` that of a final text frame without RSV bits
    is the ``str``, if it is well-formed. ``opcodes`` are the host's for text and binary.
    """

    cdef wsf_policy rules
    cdef object text, binary
    cdef bint mutable, decode
    cdef uint64_t taken

    def __init__(self, policy, *, mutable=False, decode=False, opcodes=(1, 2)):
        native_policy(policy, &self.rules)
        self.text, self.binary = opcodes
        self.rules.late = False
        self.mutable = mutable
        self.decode = decode

    def __reduce__(self):
        raise TypeError("Scanner cannot be pickled")

    @property
    def frames(self):
        """Frames taken so far."""
        return self.taken

    def frame(self, buf, pos, most, /):
        """The frame at ``buf[pos:]``: ``(head, payload, end)``; ``head`` is its first byte.

        ``None`` while it is incomplete, and the name of the error (docs/api.md) as soon as its
        header breaks a rule or declares a payload of more than ``most`` bytes (less than 0: none
        is small enough).
        """
        cdef Bytes data
        if most is not None and most < 0:
            return "frame_too_big"
        acquire(buf, &data)
        try:
            return self.one(&data, position_in(&data, pos), bound(most))
        finally:
            release(&data)

    cdef object one(self, Bytes *data, size_t at, uint64_t most):
        cdef wsf_frame frame
        cdef int status = self.find(data, at, most, &frame)
        if status < 0:
            return wsf_error_name(-status).decode()
        if status == 0:
            return None
        cdef const uint8_t *p = data.p + at
        cdef const uint8_t *key = frame.key if frame.masked else NULL
        cdef uint8_t *out
        payload = None
        if self.decode and frame.fin and not frame.rsv and frame.opcode == WSF_TEXT:
            payload = message_of(p, &frame)
        if payload is None:
            payload = room(frame.length, self.mutable, &out)
            mask_bytes(out, p + frame.size, frame.length, key, 0)
        WSF_COUNT(&self.taken)
        return p[0], payload, at + frame.size + frame.length

    cdef inline int find(self, Bytes *data, size_t at, uint64_t most, wsf_frame *frame) noexcept:
        """1 for a whole frame at ``at``, 0 while it is incomplete, -error."""
        cdef size_t fault = 0, left = data.n - at
        cdef int size = wsf_header_parse(data.p + at, left, &self.rules, frame, &fault)
        if size <= 0:
            return size
        if frame.length > most:
            return -wsf_e_frame_too_big
        return <size_t>size <= left and frame.length <= left - size

    def begin(self, buf, pos, /):
        """The header at ``buf[pos:]``: ``(head, length, key, end)``; ``key`` is None without one.

        ``None`` while it is incomplete, the name of the error as ``frame`` has it. For frames that
        are taken in pieces: this is where they count.
        """
        cdef Bytes data
        cdef wsf_frame frame
        cdef size_t at, fault = 0
        cdef int size
        acquire(buf, &data)
        try:
            at = position_in(&data, pos)
            size = wsf_header_parse(data.p + at, data.n - at, &self.rules, &frame, &fault)
            if size < 0:
                return wsf_error_name(-size).decode()
            if size == 0 or <size_t>size > data.n - at:
                return None
            key = PyBytes_FromStringAndSize(<const char *>frame.key, 4) if frame.masked else None
            WSF_COUNT(&self.taken)
            return data.p[at], frame.length, key, at + size
        finally:
            release(&data)

    def message(self, buf, most, /):
        """The ``Whole`` message that ``buf`` is from its first byte to its last, as ``messages``
        has it; ``None`` where it is anything else."""
        cdef Bytes data
        cdef wsf_frame frame
        if most is not None and most < 0:
            return None
        acquire(buf, &data)
        try:
            if self.find(&data, 0, bound(most), &frame) <= 0 or frame.size + frame.length != <size_t>data.n:
                return None
            return self.whole(data.p, &frame)
        finally:
            release(&data)

    def messages(self, buf, pos, most, /):
        """The ``Whole`` messages from ``buf[pos:]`` on, where they end, and whether what follows
        is, as far as it is there, the beginning of one more frame.

        Only unfragmented ones without RSV bits, of at most ``most`` bytes; it stops before
        anything else: other frames, faults, ill-formed text, and what is incomplete.
        """
        cdef Bytes data
        cdef wsf_frame frame
        cdef size_t at
        cdef uint64_t limit
        cdef int status
        cdef list items = []
        if most is not None and most < 0:
            return items, PyNumber_Index(pos), False
        acquire(buf, &data)
        try:
            at = position_in(&data, pos)
            limit = bound(most)
            while True:
                status = self.find(&data, at, limit, &frame)
                if status <= 0:
                    break
                whole = self.whole(data.p + at, &frame)
                if whole is None:
                    break
                items.append(whole)
                at += frame.size + frame.length
            return items, at, status == 0
        finally:
            release(&data)

    cdef inline object whole(self, const uint8_t *p, wsf_frame *frame):
        """The message of a whole frame at ``p``, None where it is none or ill-formed."""
        if not frame.fin or frame.rsv or not WSF_TEXT <= frame.opcode <= WSF_BINARY:
            return None
        payload = message_of(p, frame)
        if payload is None:
            return None
        cdef Whole whole = Whole.__new__(Whole)
        whole.opcode = self.text if frame.opcode == WSF_TEXT else self.binary
        whole.payload = payload
        whole.mutable = self.mutable
        WSF_COUNT(&self.taken)
        return whole


cdef inline object room(size_t n, bint mutable, uint8_t **out):
    """``bytes``, or a ``bytearray``, of ``n`` bytes yet to be written at ``out``."""
    made = PyByteArray_FromStringAndSize(NULL, n) if mutable else PyBytes_FromStringAndSize(NULL, n)
    out[0] = <uint8_t *>(PyByteArray_AS_STRING(made) if mutable else PyBytes_AS_STRING(made))
    return made


cdef object message_of(const uint8_t *p, wsf_frame *frame):
    """The message of a whole frame at ``p``, or None for ill-formed text."""
    cdef size_t n = frame.length
    cdef const uint8_t *key = frame.key if frame.masked else NULL
    cdef uint8_t *out
    if frame.opcode == WSF_BINARY:
        payload = room(n, False, &out)
        mask_bytes(out, p + frame.size, n, key, 0)
        return payload
    text = PyUnicode_New(n, 127)
    if n and not mask_bytes(<uint8_t *>ASCII_DATA(text), p + frame.size, n, key, 0):
        # Not ASCII: what was to be the string is the scratch that is decoded instead.
        try:
            text = PyUnicode_DecodeUTF8(<const char *>ASCII_DATA(text), n, NULL)
        except UnicodeDecodeError:
            return None
    return text


def take(buf, size, key, /):
    """The first ``size`` bytes of a ``bytearray``, unmasked where there is a ``key``, as ``bytes``.

    They are gone from it afterwards.
    """
    cdef Front front
    payload = unmasked(buf, size, key, b"", False, &front)
    PySequence_DelSlice(buf, 0, front.n)
    return payload


def take_text(buf, size, key, bytes held not None, last, /):
    """The same as text: ``(text, held)``, where ``held`` is the unfinished sequence at its end.

    The ``held`` that is given, ``bytes``, comes before it. ``None``, and nothing is gone, for
    ill-formed text; what is unfinished is that where ``last``.
    """
    cdef Front front
    cdef Py_ssize_t kept = len(held), used = 0
    text = unmasked(buf, size, key, held, True, &front)
    held = b""
    if kept or not front.ascii:  # what was to be the string is the scratch that is decoded instead
        try:
            decoded = PyUnicode_DecodeUTF8Stateful(
                <char *>front.p, kept + front.n, NULL, NULL if last else &used)
        except UnicodeDecodeError:
            return None
        if not last:
            held = PyBytes_FromStringAndSize(<char *>front.p + used, kept + front.n - used)
        text = decoded
    PySequence_DelSlice(buf, 0, front.n)
    return text, held


def take_utf8(buf, size, key, bytes held not None, last, /):
    """The same checked, not decoded: ``(payload, count, held)``, ``count`` characters of UTF-8."""
    cdef Front front
    cdef Py_ssize_t kept = len(held)
    cdef size_t used = 0, bad = 0, count
    cdef bytes payload = unmasked(buf, size, key, held, False, &front)
    count = front.n
    held = b""
    if kept or not front.ascii:
        status = wsf_utf8_check(front.p, kept + front.n, &used, &bad)
        if status == WSF_UTF8_INVALID and half_surrogate(front.p + used, kept + front.n - used):
            status = WSF_UTF8_CUT
        if status == WSF_UTF8_INVALID or (last and status == WSF_UTF8_CUT):
            return None
        count = wsf_utf8_count(front.p, used)
        if status == WSF_UTF8_CUT:
            held, payload = payload[used:], payload[:used]
    PySequence_DelSlice(buf, 0, front.n)
    return payload, count, held


cdef inline bint half_surrogate(const uint8_t *p, size_t n) noexcept:
    """Whether CPython's decoder, which hosts have, waits for one more byte, for "surrogatepass"."""
    return n == 2 and p[0] == 0xED and 0xA0 <= p[1] <= 0xBF


cdef struct Front:
    uint8_t *p  # what was made: `held`, and behind it
    size_t n  # so many bytes of the buffer
    bint ascii  # whether these are


cdef object unmasked(object buf, object size, object key, bytes held, bint text, Front *front):
    """A new ``str`` or ``bytes`` of ``held`` and what is at the front of a ``bytearray``."""
    cdef Bytes data
    cdef uint8_t raw[4]
    cdef Py_ssize_t kept = len(held)
    if not PyByteArray_Check(buf):
        raise TypeError(f"a bytearray is required, not '{type(buf).__name__}'")
    if key is not None:
        read_key(key, raw)
    acquire(buf, &data)
    try:
        front.n = position_in(&data, size)
        if text:
            made = PyUnicode_New(kept + front.n, 127)
            front.p = <uint8_t *>ASCII_DATA(made)
        else:
            made = room(kept + front.n, False, &front.p)
        memcpy(front.p, PyBytes_AS_STRING(held), kept)
        front.ascii = mask_bytes(front.p + kept, data.p, front.n, NULL if key is None else raw, 0)
        return made
    finally:
        release(&data)


@cython.final
cdef class Builder:
    """Makes frames; keeps nothing but a count. ``bytearray`` where ``mutable``, else ``bytes``."""

    cdef bint masked, mutable
    cdef uint64_t made

    def __init__(self, *, masked, mutable=False):
        self.masked = masked
        self.mutable = mutable

    def __reduce__(self):
        raise TypeError("Builder cannot be pickled")

    @property
    def frames(self):
        """Frames made so far."""
        return self.made

    def build(self, head, payload, /):
        """The frame whose first byte is ``head``, masked with a fresh key where a client's.

        ``payload`` is a flat buffer of bytes, or a ``str`` to be sent as UTF-8. Nothing is
        checked: what the host lets through is sent.
        """
        cdef Bytes data
        cdef int overflow
        cdef long long first = PyLong_AsLongLongAndOverflow(PyNumber_Index(head), &overflow)  # -1: it is none
        if not 0 <= first <= 255:
            raise ValueError("head must be 0..255")
        if isinstance(payload, str):
            if PyUnicode_IS_COMPACT_ASCII(payload):
                data.p = <const uint8_t *>PyUnicode_DATA(payload)
                data.n = PyUnicode_GET_LENGTH(payload)
                return self.framed(<uint8_t>first, &data)
            payload = PyUnicode_AsUTF8String(payload)  # not cached in the caller's string
        acquire(payload, &data)
        try:
            return self.framed(<uint8_t>first, &data)
        finally:
            release(&data)

    cdef object framed(self, uint8_t head, Bytes *data):
        cdef wsf_frame frame
        cdef uint8_t *out
        cdef size_t size = wsf_header_size(data.n, self.masked)
        if self.masked:
            take_key(frame.key)
        made = room(size + data.n, self.mutable, &out)
        frame.fin, frame.rsv, frame.opcode = False, 0, 0
        frame.masked, frame.length = self.masked, data.n
        wsf_header_build(out, &frame)
        out[0] = head
        if self.masked:
            mask_bytes(out + size, data.p, data.n, frame.key, 0)
        elif data.n:
            memcpy(out + size, data.p, data.n)
        WSF_COUNT(&self.made)
        return made


def instance(cls, names, values, /):
    """An instance of ``cls`` with these attributes, made without its ``__init__``.

    For a host's frozen dataclasses, whose ``__init__`` costs more than decoding a frame. ``cls``
    must have no ``__new__`` of its own; its ``__setattr__`` is not asked.
    """
    cdef tuple keys = names, given = values
    cdef Py_ssize_t i
    if len(keys) != len(given):
        raise ValueError("names and values must be as many")
    if not isinstance(cls, type) or not WSF_PLAIN(cls):
        raise TypeError("cls must be a class without a __new__ of its own")
    made = WSF_NEW(cls, NONE)
    for i in range(len(keys)):
        PyObject_GenericSetAttr(made, keys[i], given[i])
    return made

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True, binding=False, embedsignature=True
# cython: embedsignature.format=clinic, auto_pickle=False
"""Layer 1 over the C core: masking, UTF-8, frame headers; and what layer 2 needs of the binding.

``_kernels_py`` is the same thing in Python; read that for what happens, this for how it is
stored. Buffers are taken by ``PyObject_GetBuffer`` and held until the C call returns: typed
memoryviews cost 100 ns a call more and crash under sub-interpreters.
"""

from cpython.buffer cimport PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer, PyBUF_FULL_RO
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_CheckExact, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.number cimport PyNumber_Index
from libc.string cimport memcpy
cimport cython

from wsfast._wsf cimport *

from wsfast.errors import LocalProtocolError, RemoteProtocolError
from wsfast.frames import STRICT_SERVER, Frame, Header, Opcode, Policy

cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8Stateful(const char *p, Py_ssize_t n, const char *errors, Py_ssize_t *used)
    unsigned long long PyLong_AsUnsignedLongLongMask(object number) except? 0
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef tuple OPCODES = (
    Opcode.CONT, Opcode.TEXT, Opcode.BINARY, None, None, None, None, None,
    Opcode.CLOSE, Opcode.PING, Opcode.PONG, None, None, None, None, None,
)

cdef object ZERO = 0  # the one int that CPython has of it

wsf_init()


def backend():
    """The name of this implementation: ``"c-avx2"``, ``"c-scalar"``, …"""
    return "c-" + wsf_selected().decode()


def _select(isa, /):
    """Use one set of kernels, for tests; ``ImportError`` where it is missing."""
    cdef bytes name = isa.encode()
    if not wsf_select(name):
        raise ImportError(f"no {isa} kernels on this machine (there are {', '.join(_available())})")


def _available():
    """The kernels this machine can run, best first."""
    names = []
    cdef const char *name = wsf_available(0)
    while name != NULL:
        names.append(name.decode())
        name = wsf_available(len(names))
    return names


def _errors():
    """The C side of the error table, for the test that holds both equal."""
    return {
        wsf_error_name(e).decode(): (wsf_error_close_code(e), wsf_error_text(e).decode())
        for e in range(1, WSF_ERROR_COUNT)
    }


# ---- buffers and arguments ----------------------------------------------------------------------

cdef int acquire(object data, Bytes *out, bint writable=False) except -1:
    out.viewed = False
    if PyBytes_CheckExact(data) and not writable:
        out.p = <const uint8_t *>PyBytes_AS_STRING(data)
        out.n = PyBytes_GET_SIZE(data)
        return 0
    try:
        PyObject_GetBuffer(data, &out.view, PyBUF_FULL_RO)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None
    cdef bint flat = out.view.itemsize == 1 and PyBuffer_IsContiguous(&out.view, b"C")
    cdef bint refused = writable and out.view.readonly
    if not flat or refused:
        PyBuffer_Release(&out.view)
        raise BufferError("buffer must be writable" if flat
                          else "buffer must be C-contiguous with items of one byte")
    out.p = <const uint8_t *>out.view.buf
    out.n = out.view.len
    out.viewed = True
    return 0


cdef int read_key(object key, uint8_t *out) except -1:
    cdef Bytes raw
    if PyBytes_CheckExact(key) and PyBytes_GET_SIZE(key) == 4:
        memcpy(out, PyBytes_AS_STRING(key), 4)
        return 0
    acquire(key, &raw)
    cdef Py_ssize_t n = raw.n
    if n == 4:
        memcpy(out, raw.p, 4)
    release(&raw)
    if n != 4:
        raise ValueError("masking key must be 4 bytes")
    return 0


cdef int phase_of(object offset) except -1:
    if offset is ZERO:
        return 0
    position = PyNumber_Index(offset)
    if position < 0:
        raise ValueError("offset must be at least 0")
    return <int>(PyLong_AsUnsignedLongLongMask(position) & 3)


cdef object remote(int error, uint64_t offset):
    return RemoteProtocolError(wsf_error_name(error).decode(), offset)


cdef object local(int error):
    return LocalProtocolError(wsf_error_name(error).decode())


cdef int native_policy(object policy, wsf_policy *out) except -1:
    if type(policy) is not Policy:
        raise TypeError(f"policy must be a Policy, not {type(policy).__name__}")
    out.mask = ("require", "forbid", "any").index(policy.mask)
    out.msb = ("reject", "too_big", "accept").index(policy.msb)
    out.rsv = policy.rsv
    out.minimal_length = policy.minimal_length
    out.late = policy.check == "payload"
    out.any_close_code = policy.close_codes == "any"
    return 0


cdef uint64_t bound(object limit) except? 7:
    return WSF_UNLIMITED if limit is None or limit >= WSF_UNLIMITED else limit


cdef size_t position_in(Bytes *buf, object pos) except? 7:
    cdef int overflow = 0
    cdef long long position = PyLong_AsLongLongAndOverflow(PyNumber_Index(pos), &overflow)
    if overflow or not 0 <= position <= buf.n:
        raise ValueError("pos must lie in the buffer")
    return position


cdef object size_of(str name, object value):
    number = PyNumber_Index(value)
    if number < 0:
        raise ValueError(f"{name} must be at least 0")
    return number


# ---- layer 1: kernels ---------------------------------------------------------------------------

def mask(data, key, /, offset=0):
    """``data`` masked or unmasked (§5.3 is its own inverse), as new ``bytes``.

    ``offset`` is the position of ``data[0]`` in the payload. ``ValueError`` unless ``key`` has 4
    bytes; ``TypeError`` or ``BufferError`` for what is no flat buffer of bytes.
    """
    cdef Bytes src
    cdef uint8_t raw[4]
    acquire(data, &src)
    try:
        read_key(key, raw)
        phase = phase_of(offset)
        out = PyBytes_FromStringAndSize(NULL, src.n)
        mask_bytes(<uint8_t *>PyBytes_AS_STRING(out), src.p, src.n, raw, phase)
        return out
    finally:
        release(&src)


def mask_inplace(data, key, /, offset=0):
    """Mask or unmask a writable buffer where it lies. Errors as ``mask``."""
    cdef Bytes src
    cdef uint8_t raw[4]
    cdef int phase
    if PyByteArray_CheckExact(data) and WSF_HAS_GIL:
        # No view, which costs as much as masking 1 KiB: nothing of Python runs after GET_SIZE.
        read_key(key, raw)
        phase = phase_of(offset)
        if PyByteArray_GET_SIZE(data) < WSF_WITHOUT_GIL:
            src.p = <const uint8_t *>PyByteArray_AS_STRING(data)
            wsf_mask(<uint8_t *>src.p, src.p, PyByteArray_GET_SIZE(data), raw, phase)
            return
    acquire(data, &src, True)
    try:
        read_key(key, raw)
        mask_bytes(<uint8_t *>src.p, src.p, src.n, raw, phase_of(offset))
    finally:
        release(&src)


def utf8_valid(data, /):
    """Whether ``data`` is well-formed UTF-8 and ends with a whole character."""
    cdef Bytes text
    cdef size_t valid, bad
    cdef int status
    acquire(data, &text)
    if text.n < WSF_WITHOUT_GIL:
        status = wsf_utf8_check(text.p, text.n, &valid, &bad)
    else:
        with nogil:
            status = wsf_utf8_check(text.p, text.n, &valid, &bad)
    release(&text)
    return status == WSF_UTF8_VALID


cdef tuple decode_fault(uint64_t start, size_t bad, bint cut, uint8_t first):
    """CPython's words for an ill-formed sequence that begins with ``first``. Not the exception
    itself: kept for the next call, its traceback would keep the text alive."""
    reason = "invalid start byte"
    if cut:
        reason = "unexpected end of data"
    elif 0xC2 <= first <= 0xF4:
        reason = "invalid continuation byte"
    return "utf-8", b"", start, start + bad, reason


cdef class _Utf8Incremental:
    cdef wsf_utf8 utf8
    cdef uint64_t seen
    cdef tuple error
    cdef char busy

    def reset(self):
        """Forget everything: the next byte is the first of a new text."""
        if not WSF_CLAIM(&self.busy):
            raise RuntimeError("decoder is in use by another thread")
        self.clear()
        WSF_RELEASE(&self.busy)

    cdef inline void clear(self) noexcept:
        self.utf8.held = 0
        self.seen = 0
        self.error = None

    @property
    def pending(self):
        """Bytes (0..3) of an unfinished sequence held back."""
        return self.utf8.held

    def __reduce__(self):
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a text")

    cdef object run(self, object data, object final, bint decode):
        cdef Bytes piece
        if not WSF_CLAIM(&self.busy):
            raise RuntimeError("decoder is in use by another thread")
        try:
            if self.error is not None:
                raise UnicodeDecodeError(*self.error)
            acquire(data, &piece)
            try:
                text = self.take(&piece, decode)
            finally:
                release(&piece)
            if final:
                if self.utf8.held:
                    self.error = decode_fault(self.utf8.lead, self.utf8.held, True, 0)
                    raise UnicodeDecodeError(*self.error)
                self.clear()
            return text
        finally:
            WSF_RELEASE(&self.busy)

    cdef object decode_whole(self, Bytes *piece):
        """The text of a piece that begins with a character, or None for one that is ill-formed.

        In one pass: CPython's decoder says itself where a cut character begins. Only half a
        surrogate it takes for one, for "surrogatepass".
        """
        cdef Py_ssize_t used = 0
        try:
            text = PyUnicode_DecodeUTF8Stateful(<const char *>piece.p, piece.n, NULL, &used)
        except UnicodeDecodeError:
            return None
        if piece.n - used == 2 and piece.p[used] == 0xED and piece.p[used + 1] > 0x9F:
            return None
        self.utf8.held = <uint8_t>(piece.n - used)
        memcpy(self.utf8.carry, piece.p + used, self.utf8.held)
        self.utf8.lead = self.seen + used
        self.seen += piece.n
        return text

    cdef object take(self, Bytes *piece, bint decode):
        cdef uint64_t fault = 0
        cdef size_t bad = 0
        cdef uint8_t carry[3]
        cdef uint8_t held = self.utf8.held, first
        if decode and not held:
            text = self.decode_whole(piece)
            if text is not None:
                return text
        memcpy(carry, self.utf8.carry, 3)
        cdef bint valid = wsf_utf8_feed(&self.utf8, piece.p, piece.n, self.seen, &fault, &bad)
        if not valid:
            first = piece.p[fault - self.seen] if fault >= self.seen else carry[0]
            self.error = decode_fault(fault, bad, False, first)
            raise UnicodeDecodeError(*self.error)
        self.seen += piece.n
        if not decode:
            return None
        cdef Py_ssize_t whole = held + piece.n - self.utf8.held
        joined = PyBytes_FromStringAndSize(<const char *>carry, held)
        joined += PyBytes_FromStringAndSize(<const char *>piece.p, piece.n)
        return joined[:whole].decode()


@cython.final
cdef class Utf8Validator(_Utf8Incremental):
    """Validates a text given in pieces, holding at most 3 bytes of it."""

    def feed(self, data, final=False):
        """Check the next piece; ``final`` also demands that it ends with a whole character.

        ``UnicodeDecodeError`` at the first byte that cannot be right, ``start`` counted from the
        first byte fed; it is raised again until ``reset()``. A successful ``final`` resets.
        """
        self.run(data, final, False)


@cython.final
cdef class Utf8Decoder(_Utf8Incremental):
    """Decodes a text given in pieces, holding at most 3 bytes of it."""

    def feed(self, data, final=False):
        """The text of the next piece. Errors and ``final`` as ``Utf8Validator.feed``."""
        return self.run(data, final, True)


@cython.binding(True)  # its default is an object, which no text signature can show
def parse_header(buf, pos=0, /, *, policy=STRICT_SERVER):
    """The ``Header`` at ``buf[pos:]``, or ``None`` while it is incomplete.

    Raises ``RemoteProtocolError`` for a header ``policy`` forbids; with ``check="payload"`` RSV
    bits, control FIN and control length are left to the caller. Its offset counts from ``pos``.
    """
    cdef Bytes data
    cdef wsf_policy rules
    cdef wsf_frame frame
    cdef size_t fault = 0, start
    acquire(buf, &data)
    try:
        start = position_in(&data, pos)
        native_policy(policy, &rules)
        size = wsf_header_parse(data.p + start, data.n - start, &rules, &frame, &fault)
    finally:
        release(&data)
    if size < 0:
        raise remote(-size, fault)
    if size == 0 or <size_t>size > data.n - start:
        return None
    key = PyBytes_FromStringAndSize(<const char *>frame.key, 4) if frame.masked else b""
    return Header(OPCODES[frame.opcode], frame.fin, frame.rsv, frame.masked, frame.length, key, size)


def build_header(opcode, length, /, *, fin=True, rsv=0, key=None):
    """The header of a frame whose payload has ``length`` bytes, ``key`` at its end if given.

    ``LocalProtocolError`` for what no frame may be (unknown opcode, a fragmented or long control
    frame); ``ValueError`` for numbers out of range or a key that has not 4 bytes.
    """
    cdef wsf_frame frame
    opcode, length, rsv = PyNumber_Index(opcode), PyNumber_Index(length), PyNumber_Index(rsv)
    if not 0 <= opcode < 16 or OPCODES[opcode] is None:
        raise local(wsf_e_invalid_opcode)
    if not 0 <= rsv <= 7:
        raise ValueError("rsv must be 0..7")
    if not 0 <= length < 1 << 63:
        raise ValueError("length must be 0..2**63-1")
    if opcode >= WSF_CLOSE and not fin:
        raise local(wsf_e_control_fragmented)
    if opcode >= WSF_CLOSE and length > WSF_MAX_CONTROL:
        raise local(wsf_e_control_too_long)
    frame.opcode, frame.fin, frame.rsv, frame.length = opcode, bool(fin), rsv, length
    frame.masked = key is not None
    if frame.masked:
        read_key(key, frame.key)
    cdef uint8_t out[WSF_MAX_HEADER]
    return PyBytes_FromStringAndSize(<const char *>out, wsf_header_build(out, &frame))


def scan(buf, pos=0, /, *, policy, max_frame=None, max_frames=0):
    """All complete frames of ``buf`` from ``pos``: ``(frames, new_pos, error or None)``.

    Stateless: the unfinished tail is neither touched nor copied, and what needs memory
    (fragmentation, text, close payloads, message size) is the caller's. ``max_frame`` bounds a
    payload in bytes, ``max_frames`` the frames returned (0: no bound). The error's offset counts
    from ``buf[0]``; ``new_pos`` is the first byte of the frame it lies in.
    """
    cdef Bytes data
    cdef wsf_policy rules
    cdef size_t at
    acquire(buf, &data)
    try:
        at = position_in(&data, pos)
        native_policy(policy, &rules)
        most_bytes = bound(None if max_frame is None else size_of("max_frame", max_frame))
        most = size_of("max_frames", max_frames)
        frames = []
        error = None
        while error is None and (not most or len(frames) < most):
            before = at
            error = scan_one(&data, &at, &rules, most_bytes, frames)
            if at == before:
                break
        return frames, at, error
    finally:
        release(&data)


cdef object scan_one(Bytes *data, size_t *at, wsf_policy *rules, uint64_t most, list frames):
    """Append the frame at ``at[0]`` and move past it; the error, or None (also for need more)."""
    cdef wsf_frame frame
    cdef size_t fault = 0, left = data.n - at[0]
    cdef int size = wsf_header_parse(data.p + at[0], left, rules, &frame, &fault)
    if size < 0:
        return remote(-size, at[0] + fault)
    if size > 0 and frame.length > most:
        return remote(wsf_e_frame_too_big, at[0] + 1)
    if size == 0 or left < <size_t>size or left - size < frame.length:
        return None
    size = wsf_header_form(&frame, rules.rsv, &fault)  # only check="payload" comes here with one
    if size < 0:
        return remote(-size, at[0] + fault)
    payload = PyBytes_FromStringAndSize(NULL, frame.length)
    mask_bytes(<uint8_t *>PyBytes_AS_STRING(payload), data.p + at[0] + frame.size, frame.length,
               frame.key if frame.masked else NULL, 0)
    frames.append(Frame(OPCODES[frame.opcode], frame.fin, frame.rsv, payload))
    at[0] += frame.size + frame.length
    return None

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True, binding=False, embedsignature=True
# cython: embedsignature.format=clinic, auto_pickle=False
"""Layer 2 over the C core, the receiving half: one C call per chunk, payload unmasked straight into
the object it ends in.

``_codec_py`` is the same thing in Python; read that for what happens, this for how it is stored.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
cimport cython

from wsfast._deflate_c cimport Inflater
from wsfast._kernels_c cimport (
    WSF_CLAIM, WSF_RELEASE, Bytes, acquire, bound, mask_bytes, native_policy, release,
)
from wsfast._wsf cimport *

from wsfast import _encoder_c, _kernels_c, _scan_c
from wsfast._encoder_c import FrameEncoder
from wsfast._kernels_c import (
    Utf8Decoder, Utf8Validator, build_header, mask, mask_inplace, parse_header, scan, utf8_valid,
)
from wsfast._scan_c import Builder, Scanner, Whole, instance, take, take_text, take_utf8
from wsfast.errors import RemoteProtocolError
from wsfast.frames import (
    STRICT_CLIENT, STRICT_SERVER, Close, Frame, Limits, Opcode, Ping, Pong, Role, Text,
)

cdef extern from "Python.h":
    """
    /* PyUnicode_DATA() of what PyUnicode_New(n, 127) made, without asking what it is. */
    #define ASCII_DATA(text) ((void *)((PyASCIIObject *)(text) + 1))
    """
    const Py_ssize_t PY_SSIZE_T_MAX
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    void *ASCII_DATA(object text) noexcept
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    PyObject *new_text "PyUnicode_New"(Py_ssize_t size, Py_UCS4 maxchar) except NULL
    int PyUnicode_Resize(PyObject **text, Py_ssize_t length) except -1
    void *text_data "PyUnicode_DATA"(PyObject *text) noexcept
    object PyUnicode_DecodeUTF8(const char *p, Py_ssize_t n, const char *errors)
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *p, Py_ssize_t n) except NULL
    char *bytes_data "PyBytes_AS_STRING"(PyObject *b) noexcept
    int _PyBytes_Resize(PyObject **b, Py_ssize_t n) except -1

cdef Py_ssize_t FIRST_RESERVE = 64 << 10  # most that is reserved on a declared length alone
cdef Py_ssize_t RECEIVE_BUFFER = 64 << 10  # what get_buffer() offers when the caller has no wish
cdef Py_ssize_t LARGEST_RECEIVE_BUFFER = 256 << 10  # beyond, reads go cold in the cache

cdef tuple OPCODES = (
    Opcode.CONT, Opcode.TEXT, Opcode.BINARY, None, None, None, None, None,
    Opcode.CLOSE, Opcode.PING, Opcode.PONG,
)

wsf_init()


def backend():
    """The name of this implementation: ``"c-avx2"``, ``"c-scalar"``, …"""
    return "c-" + wsf_selected().decode()


def _select(isa, /):
    """Use one set of kernels, for tests; ``ImportError`` where it is missing."""
    _kernels_c._select(isa)
    _encoder_c._select(isa)
    _scan_c._select(isa)
    wsf_select(isa.encode())


cdef class _Decoder:
    """What both decoders share: one owner at a time, errors as the last item, buffers, EOF.

    ``held`` is the object under construction, a ``bytes`` or an ASCII ``str`` of ``capacity``,
    that nobody else has seen: payload is unmasked straight into it. NULL between messages.
    """

    cdef wsf_decoder *core
    cdef wsf_utf8 utf8
    cdef wsf_limits limits
    cdef PyObject *held
    cdef Py_ssize_t size, capacity
    cdef uint64_t moved, fault, room
    cdef object receive
    cdef readonly object failed
    cdef uint8_t control[WSF_MAX_CONTROL]
    cdef uint8_t control_size
    cdef char busy
    cdef bint ended, held_is_text, ascii, has_fault, any_close_code, fail_fast, unchecked

    def __cinit__(self):
        self.core = <wsf_decoder *>PyMem_Calloc(1, wsf_decoder_size())
        if self.core == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.core)
        Py_XDECREF(self.held)

    cdef int set_up(self, object role, object policy, object limits, bint inflates) except -1:
        cdef wsf_policy rules
        if role is not Role.SERVER and role is not Role.CLIENT:
            raise TypeError(f"role must be a Role, not {type(role).__name__}")
        if policy is None:
            policy = STRICT_SERVER if role is Role.SERVER else STRICT_CLIENT
        native_policy(policy, &rules)
        cdef bint fail_fast = policy.utf8 == "fail_fast", unchecked = policy.utf8 == "off"
        if limits is None:
            limits = Limits()
        if type(limits) is not Limits:
            raise TypeError(f"limits must be a Limits, not {type(limits).__name__}")
        cdef wsf_limits bounds
        bounds.max_message = bound(limits.max_message)
        bounds.max_frame = bound(limits.max_frame)
        bounds.max_fragments = bound(limits.max_fragments)
        if self.busy:
            raise RuntimeError("decoder is in use by another thread")
        self.reset()  # behind its first line nothing of Python runs
        self.limits = bounds
        wsf_decoder_init(self.core, &rules, &self.limits, inflates)
        self.any_close_code = rules.any_close_code
        self.fail_fast = fail_fast
        self.unchecked = unchecked
        return 0

    cdef int reset(self) except -1:
        """To where it was before the first ``__init__``: it may be called again."""
        self.receive = self.failed = None  # first: what hangs on the error may call us when it goes
        self.drop()
        self.control_size = 0
        self.begin_text()
        self.ended = False
        self.moved = 0
        return 0

    def __reduce__(self):
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def feed(self, data, /):
        """Everything the next bytes of the stream complete, in order, as a list.

        If the peer broke a rule the last item is the ``RemoteProtocolError``; from then on, and
        after a Close frame or ``feed_eof()``, the list is empty. Keeps no reference to ``data``
        (any flat buffer of bytes). ``RuntimeError`` while another thread is in the decoder.
        """
        cdef Bytes chunk
        if PyBytes_CheckExact(data):
            return self.guarded(<const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), WSF_UNLIMITED, NULL)
        acquire(data, &chunk)
        try:
            return self.guarded(chunk.p, chunk.n, WSF_UNLIMITED, NULL)
        finally:
            release(&chunk)

    def feed_eof(self):
        """The stream has ended: ``[unexpected_eof]`` inside a frame or message, else ``[]``."""
        return self.guarded(NULL, -1, WSF_UNLIMITED, NULL)

    cdef list guarded(self, const uint8_t *p, Py_ssize_t n, uint64_t most, Py_ssize_t *taken):
        """``taken``, where it is asked for: how much of ``p`` was consumed; it was ``n`` before."""
        if not WSF_CLAIM(&self.busy):
            raise RuntimeError("decoder is in use by another thread")
        cdef bint through = False
        cdef Py_ssize_t pos
        items = []
        try:
            if self.failed is None and not self.ended:
                if n < 0:
                    self.end(items)
                else:
                    pos = self.consume(p, n, most, items)
                    if taken != NULL:
                        taken[0] = pos
            through = True
        finally:  # and no `except`, which costs every call, raising or not
            if not through:
                self.ended = True  # half a chunk is gone: what follows could not be understood
            WSF_RELEASE(&self.busy)
        return items

    cdef int end(self, list items) except -1:
        self.ended = True
        if wsf_decoder_unfinished(self.core):
            self.fail(wsf_e_unexpected_eof, wsf_decoder_position(self.core), items)
        return 0

    cdef Py_ssize_t consume(self, const uint8_t *p, size_t n, uint64_t most, list items) except -1:
        """How far it came: to the end, unless ``most`` bytes were inflated before."""
        cdef wsf_span span
        cdef size_t pos = 0
        cdef int found
        cdef bint failed = False
        self.room = most
        while pos < n and not failed:
            if self.room == 0:
                return pos
            found = wsf_decoder_next(self.core, p, n, &pos, &span)
            if found < 0:
                self.fail(-found, wsf_decoder_position(self.core), items)
            if found <= 0:
                break
            if span.frame.opcode < WSF_CLOSE:
                failed = self.take_data(&span, items)
            else:
                failed = self.take_control(&span, items)
        return n

    cdef int fail(self, int error, uint64_t offset, list items) except -1:
        return self.fail_by(wsf_error_name(error).decode(), offset, items)

    cdef int fail_by(self, str name, uint64_t offset, list items) except -1:
        self.failed = RemoteProtocolError(name, offset)
        items.append(self.failed)
        self.control_size = 0
        self.drop()
        return 1

    cdef int take_data(self, wsf_span *span, list items) except -1:
        raise NotImplementedError

    cdef int take_control(self, wsf_span *span, list items) except -1:
        cdef uint8_t *end = self.control + self.control_size
        wsf_mask(end, span.data, span.size, span.frame.key if span.frame.masked else NULL, span.at)
        self.control_size += <uint8_t>span.size
        if not span.last:
            self.moved += span.size
            return 0
        cdef uint16_t code
        cdef size_t fault = 0
        cdef int status = 1
        payload = PyBytes_FromStringAndSize(<const char *>self.control, self.control_size)
        if span.frame.opcode == WSF_CLOSE:
            status = wsf_close_parse(self.control, self.control_size, self.any_close_code, &code, &fault)
        self.control_size = 0
        if status < 0:
            return self.fail(-status, span.frame.offset + span.frame.size + fault, items)
        items.append(self.control_item(&span.frame, payload))
        return 0

    cdef object control_item(self, wsf_frame *frame, object payload):
        raise NotImplementedError

    cdef int check_text(self, const uint8_t *p, size_t n, uint64_t at, bint final) except -1:
        """Judge the next piece of a text message as ``Policy.utf8`` says: 1 when it must fail."""
        cdef size_t bad
        if self.unchecked:
            return 0
        if not self.has_fault:
            self.has_fault = not wsf_utf8_feed(&self.utf8, p, n, at, &self.fault, &bad)
            if final and not self.has_fault and self.utf8.held:
                self.has_fault = True
                self.fault = self.utf8.lead
        return self.has_fault and (final or self.fail_fast)

    cdef int begin_text(self) except -1:
        self.utf8.held = 0
        self.has_fault = False
        return 0

    cdef uint8_t *reserve(self, size_t more, uint64_t expected, bint last, bint text) except NULL:
        """Room for ``more`` bytes at the end of ``held``; ``expected`` is the size declared so far,
        ``last`` that no frame will add to it.

        Nothing is reserved on a declaration alone beyond 64 KiB; then it grows geometrically,
        fragment by fragment too: a message in frames of one byte must not be moved by each.
        """
        cdef Py_ssize_t need = self.size + more, capacity = 2 * self.capacity
        if need > self.capacity or self.held == NULL:  # an empty message is an object too
            if capacity < FIRST_RESERVE:
                capacity = max(capacity, <Py_ssize_t>min(expected, <uint64_t>FIRST_RESERVE))
            if last and <uint64_t>need <= expected < <uint64_t>capacity:  # the sum may have wrapped
                capacity = expected
            self.resize(max(need, capacity), text)
        return self.data() + self.size

    cdef int resize(self, Py_ssize_t capacity, bint text) except -1:
        if self.held == NULL:
            self.held = new_text(capacity, 127) if text else new_bytes(NULL, capacity)
            self.held_is_text = text
        elif self.held_is_text:
            PyUnicode_Resize(&self.held, capacity)
        else:
            _PyBytes_Resize(&self.held, capacity)
        self.moved += self.size
        self.capacity = capacity
        return 0

    cdef uint8_t *data(self) noexcept:
        if self.held_is_text:
            return <uint8_t *>text_data(self.held)
        return <uint8_t *>bytes_data(self.held)

    cdef object finish(self):
        """Hand out ``held``, cut to size."""
        if self.capacity != self.size:
            self.moved -= self.size  # a shrinking realloc stays where it is
            self.resize(self.size, self.held_is_text)
        done = <object>self.held
        self.drop()
        return done

    cdef int drop(self) except -1:
        cdef PyObject *held = self.held
        self.held = NULL
        self.size = self.capacity = 0
        Py_XDECREF(held)
        return 0

    @property
    def buffered(self):
        """Bytes held for what is unfinished."""
        if self.failed is not None:
            return 0
        return wsf_decoder_held(self.core) + self.control_size + self.size

    @property
    def unfinished(self):
        """Whether the stream is inside a frame or a fragmented message."""
        return self.failed is None and not self.ended and wsf_decoder_unfinished(self.core)

    @property
    def _moved(self):
        return self.moved

    def get_buffer(self, hint, /):
        """A writable view to receive into, for ``asyncio.BufferedProtocol``; 64 to 256 KiB."""
        size = min(max(PyNumber_Index(hint), RECEIVE_BUFFER), LARGEST_RECEIVE_BUFFER)
        with cython.critical_section(self):
            receive = self.receive
            if receive is None or len(receive) < size:
                receive = self.receive = bytearray(size)
        return memoryview(receive)

    def buffer_updated(self, nbytes, /):
        """``feed`` of the first ``nbytes`` bytes of the view ``get_buffer`` gave."""
        cdef Bytes chunk
        nbytes = PyNumber_Index(nbytes)
        with cython.critical_section(self):
            receive = self.receive
        if receive is None or not 0 <= nbytes <= len(receive):
            raise ValueError("more bytes than get_buffer() gave")
        acquire(receive, &chunk)  # what is called from here must not replace or resize it
        try:
            return self.guarded(chunk.p, nbytes, WSF_UNLIMITED, NULL)
        finally:
            release(&chunk)


cdef inline const uint8_t *key_of(wsf_span *span) noexcept:
    return span.frame.key if span.frame.masked else NULL


cdef inline uint64_t place_of(wsf_span *span) noexcept:
    """The position of the span's first byte in the stream."""
    return span.frame.offset + span.frame.size + span.at


@cython.final
cdef class FrameDecoder(_Decoder):
    """Bytes in, ``Frame``s out.

    Judges headers, order, limits, text and close payloads as ``policy`` and ``limits`` say
    (``None``: strict, ``Limits()``); text under an RSV1 that ``policy`` allows is not judged.
    With ``partial`` the pieces of an unfinished data frame are delivered as they arrive, as
    frames with ``complete=False``.
    """

    cdef bint partial, is_text

    def __init__(self, role, *, policy=None, limits=None, partial=False):
        self.set_up(role, policy, limits, False)
        self.partial = bool(partial)

    cdef object frame_of(self, wsf_frame *frame, object payload, bint complete):
        return Frame(OPCODES[frame.opcode], frame.fin, frame.rsv, payload, complete)

    cdef object control_item(self, wsf_frame *frame, object payload):
        return self.frame_of(frame, payload, True)

    cdef int take_data(self, wsf_span *span, list items) except -1:
        cdef uint64_t expected = span.size if self.partial else span.frame.length
        cdef uint8_t *end = self.reserve(span.size, expected, True, False)
        mask_bytes(end, span.data, span.size, key_of(span), span.at)
        self.size += span.size
        if self.judge(span, end):
            return self.fail(wsf_e_invalid_utf8, self.fault, items)
        if span.last or self.partial:
            items.append(self.frame_of(&span.frame, self.finish(), span.last))
        else:
            self.moved += span.size
        return 0

    cdef int judge(self, wsf_span *span, const uint8_t *p) except -1:
        if span.frame.opcode != WSF_CONT:  # the first frame of a message
            if span.at == 0:
                self.begin_text()
            self.is_text = span.frame.opcode == WSF_TEXT and not span.frame.rsv & WSF_RSV1
        if not self.is_text:
            return 0
        return self.check_text(p, span.size, place_of(span), span.last and span.frame.fin)


@cython.final
cdef class MessageDecoder(_Decoder):
    """Bytes in, messages and control frames out.

    ``feed`` returns bare ``str`` (or ``Text`` with ``text="bytes"``) and ``bytes`` messages,
    ``Ping``, ``Pong``, ``Close`` and, last, at most one ``RemoteProtocolError``. ``policy`` and
    ``limits`` default to strict and ``Limits()``. ``inflate`` is an object whose
    ``inflate(data, fin, limit) -> bytes`` undoes the negotiated compression (``deflate.py``).
    Enforces ``max_message``, ``max_frame`` and ``max_fragments``; the other limits are enforced
    by ``Connection``, ``deflate`` and ``handshake``.
    """

    cdef bint as_str
    cdef object inflate

    def __init__(self, role, *, policy=None, limits=None, text="str", inflate=None):
        if text not in ("str", "bytes"):
            raise ValueError(f"text must be 'str' or 'bytes', not {text!r}")
        cdef bint as_str = text == "str"
        self.set_up(role, policy, limits, inflate is not None)
        if as_str and self.unchecked:
            raise ValueError('utf8="off" needs text="bytes": a str is always checked')
        self.as_str = as_str
        self.inflate = inflate

    def feed_some(self, data, most, /):
        """``feed``, but no further than to where compressed messages have come to ``most`` bytes.

        Returns the list, and how many bytes of ``data`` are done with; the rest is to be passed
        again. More than ``most`` comes out only of the frame that reaches it. ``ValueError``
        unless ``most`` is at least 1.
        """
        cdef Bytes chunk
        cdef int overflow = 0
        cdef long long room = PyLong_AsLongLongAndOverflow(PyNumber_Index(most), &overflow)
        if overflow < 0 or room < 1 and not overflow:
            raise ValueError("most must be at least 1")
        cdef uint64_t enough = WSF_UNLIMITED if overflow else <uint64_t>room
        acquire(data, &chunk)
        cdef Py_ssize_t taken = chunk.n
        try:
            items = self.guarded(chunk.p, chunk.n, enough, &taken)
            return items, taken
        finally:
            release(&chunk)

    cdef object control_item(self, wsf_frame *frame, object payload):
        if frame.opcode == WSF_PING:
            return Ping(payload)
        if frame.opcode == WSF_PONG:
            return Pong(payload)
        code = 1005
        if payload:
            code = payload[0] << 8 | payload[1]
        return Close(code, payload[2:].decode())

    cdef int take_data(self, wsf_span *span, list items) except -1:
        cdef bint final = span.last and span.frame.fin
        if span.inflate:
            return self.take_compressed(span, final, items)
        if final and span.frame.opcode != WSF_CONT and span.at == 0:
            if span.message == WSF_TEXT and self.as_str:
                return self.take_whole_text(span, span.data, span.size, key_of(span), items)
            return self.take_whole(span, items)
        return self.take_piece(span, span.data, span.size, key_of(span), final, items)

    cdef int take_whole(self, wsf_span *span, list items) except -1:
        """A message in one piece, the common case: straight into the object delivered."""
        cdef size_t n = span.size
        payload = PyBytes_FromStringAndSize(NULL, n)
        cdef uint8_t *p = <uint8_t *>PyBytes_AS_STRING(payload)
        cdef bint ascii = mask_bytes(p, span.data, n, key_of(span), 0)
        if span.message == WSF_TEXT:
            self.begin_text()
            if not ascii and self.check_text(p, n, place_of(span), True):
                return self.fail(wsf_e_invalid_utf8, self.fault, items)
            payload = Text(payload)
        items.append(payload)
        return 0

    cdef inline int take_whole_text(self, wsf_span *span, const uint8_t *p, size_t n, const uint8_t *key,
                                    list items) except -1:
        cdef uint64_t place
        text = PyUnicode_New(n, 127)
        if n and not mask_bytes(<uint8_t *>ASCII_DATA(text), p, n, key, 0):
            # Not ASCII: what was to be the string is the scratch that is decoded instead.
            try:
                text = PyUnicode_DecodeUTF8(<const char *>ASCII_DATA(text), n, NULL)
            except UnicodeDecodeError as exc:
                place = span.frame.offset if span.inflate else place_of(span) + <uint64_t>exc.start
                return self.fail(wsf_e_invalid_utf8, place, items)
        items.append(text)
        return 0

    cdef int take_compressed(self, wsf_span *span, bint final, list items) except -1:
        cdef uint64_t limit = self.limits.max_message
        if limit != WSF_UNLIMITED:
            limit -= self.size  # never below 0: see the check below
        try:
            piece = self.inflated(span, final, limit)
        except RemoteProtocolError as exc:
            return self.fail_by(exc.name, span.frame.offset, items)
        cdef size_t n = PyBytes_GET_SIZE(piece)
        self.room -= min(self.room, <uint64_t>n)
        if n > limit:  # not every back end is exact
            return self.fail(wsf_e_message_too_big, span.frame.offset, items)
        cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(piece)
        if final and self.held == NULL:
            if span.message == WSF_BINARY:
                items.append(piece)
                return 0
            if self.as_str:
                return self.take_whole_text(span, p, n, NULL, items)
        return self.take_piece(span, p, n, NULL, final, items)

    cdef bytes inflated(self, wsf_span *span, bint final, uint64_t limit):
        cdef Py_ssize_t n = span.size
        cdef Inflater ours
        if type(self.inflate) is Inflater:
            ours = <Inflater>self.inflate
            piece = ours.place(n, final)
            mask_bytes(<uint8_t *>PyBytes_AS_STRING(piece), span.data, n, key_of(span), span.at)
            return ours.run(piece, n, final, <Py_ssize_t>min(limit, <uint64_t>PY_SSIZE_T_MAX - 1) + 1)
        piece = PyBytes_FromStringAndSize(NULL, n)
        mask_bytes(<uint8_t *>PyBytes_AS_STRING(piece), span.data, n, key_of(span), span.at)
        piece = self.inflate.inflate(piece, final, None if limit == WSF_UNLIMITED else limit)
        if not PyBytes_CheckExact(piece):
            raise TypeError(f"inflate() must return bytes, not {type(piece).__name__}")
        return piece

    cdef int take_piece(self, wsf_span *span, const uint8_t *p, size_t n, const uint8_t *key,
                        bint final, list items) except -1:
        cdef bint text = span.message == WSF_TEXT
        if span.frame.opcode != WSF_CONT and span.at == 0:
            self.begin_text()
            self.ascii = True
        cdef uint64_t expected = self.size + n if span.inflate else self.size + (span.frame.length - span.at)
        cdef bint last = final if span.inflate else span.frame.fin
        cdef uint8_t *end = self.reserve(n, expected, last, text and self.as_str)
        cdef bint ascii = mask_bytes(end, p, n, key, span.at)
        self.ascii = self.ascii and ascii
        self.size += n
        if text and not (ascii and self.utf8.held == 0 and not self.has_fault):
            if self.check_text(end, n, place_of(span), final):
                return self.fail(wsf_e_invalid_utf8,
                                 span.frame.offset if span.inflate else self.fault, items)
        if final:
            items.append(self.message(text))
        else:
            self.moved += n
        return 0

    cdef object message(self, bint text):
        if not text:
            return self.finish()
        if not self.as_str:
            return Text(self.finish())
        if self.ascii:
            return self.finish()
        text_object = PyUnicode_DecodeUTF8(<const char *>self.data(), self.size, NULL)
        self.moved += self.size
        self.drop()
        return text_object

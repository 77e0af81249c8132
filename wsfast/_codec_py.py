"""Layer 2 in pure Python: decoders and encoder; with layer 1, the twin of ``_codec_c``.

The readable reference: ``_FrameReader`` is ``csrc/decoder.c``, the classes are those of
``_codec_c.pyx``, statement by statement in the same order.
"""

import _thread

from ._keys import next_key
from ._kernels_py import (
    MAX_CONTROL,
    MAX_HEADER,
    RSV1,
    Utf8Decoder,
    Utf8Stream,
    Utf8Validator,
    build_header,
    bytes_of,
    form_fault,
    key_of,
    mask,
    mask_inplace,
    parse_header,
    policy_of,
    read_close,
    read_header,
    scan,
    utf8_valid,
    view_of,
    write_close,
    write_header,
    xor,
)
from .errors import LocalProtocolError, RemoteProtocolError
from .frames import (
    STRICT_CLIENT,
    STRICT_SERVER,
    Close,
    Frame,
    Limits,
    Opcode,
    Ping,
    Pong,
    Role,
    Text,
)

_RECEIVE_BUFFER = 64 << 10  # bytes get_buffer() offers when the caller has no wish
_LARGEST_RECEIVE_BUFFER = 256 << 10  # beyond, reads go cold in the cache (docs/design)


class _FrameReader:
    """Frame headers, fragmentation and limits: bytes in, pieces of payload out; copies nothing.

    ``step`` consumes from ``data[pos:]`` and returns the new position, having set the fields of
    the frame and ``piece`` (the slice of ``data`` that is masked payload), or ``-1`` for need more.
    """

    __slots__ = (
        "at",
        "closed",
        "fin",
        "fragments",
        "head",
        "held_fault",
        "inflates",
        "inflating",
        "key",
        "last",
        "length",
        "limits",
        "message",
        "offset",
        "opcode",
        "payload_offset",
        "piece",
        "policy",
        "received",
        "rsv",
        "stream",
    )

    def __init__(self, policy, limits, inflates):
        self.policy = policy.replace(rsv=policy.rsv | RSV1) if inflates else policy
        self.limits = limits
        self.inflates = inflates
        self.inflating = False  # the open message is compressed and will be inflated
        self.stream = 0  # position in the byte stream of the next byte to consume
        self.head = b""  # an unfinished header
        self.length = -1  # payload bytes of the current frame, -1 between frames
        self.at = 0  # payload bytes of the current frame consumed before this piece
        self.message = 0  # opcode of the open message, 0 when none is
        self.received = 0  # its payload bytes so far, on the wire
        self.fragments = 0
        self.closed = False
        self.held_fault = None

    def step(self, data, pos):
        if self.closed:
            self.stream += len(data) - pos  # §5.5.1: what follows a Close frame is discarded
            return -1
        if self.length < 0:
            pos = self._read_header(data, pos)
            if pos < 0:
                return -1
        return self._take_payload(data, pos)

    def _read_header(self, data, pos):
        if pos == len(data):
            return -1
        head = self.head
        buf, base = (head + data[pos : pos + MAX_HEADER], 0) if head else (data, pos)
        self.offset = self.stream - len(head)
        try:
            fields = read_header(buf, base, self.policy)
            if fields is not None:
                self._admit(buf[base], *fields)
        except RemoteProtocolError as exc:
            raise RemoteProtocolError(exc.name, self.offset + exc.offset) from None
        if fields is None or len(buf) - base < fields[-1]:
            self.head = bytes(buf[base:])
            self.stream += len(data) - pos
            return -1
        self._open(fields, buf, base)
        used = fields[-1] - len(head)
        self.head = b""
        self.stream += used
        self.payload_offset = self.stream
        return pos + used

    def _admit(self, first, opcode, fin, rsv, masked, length, size):
        """Limits, then the order of fragments: what needs more than one header to judge."""
        limits = self.limits
        control = opcode >= 8
        if limits.max_frame is not None and length > limits.max_frame:
            raise RemoteProtocolError("frame_too_big", 1)
        inflating = self.inflating if opcode == 0 else self.inflates and rsv & RSV1
        late = self.policy.check == "payload"
        if limits.max_message is not None and not inflating and (late or not control):
            # Compressed messages are bounded by what they inflate to; late control by this alone.
            so_far = self.received if opcode == 0 else 0
            if length > limits.max_message - so_far:
                raise RemoteProtocolError("message_too_big", 1)
        fault = self._order_fault(opcode)
        self.held_fault = None
        if late:
            self.held_fault = form_fault(first, length, self.policy.rsv) or fault
        elif fault is not None:
            raise RemoteProtocolError(*fault)

    def _order_fault(self, opcode):
        if opcode >= 8:
            return None
        if opcode == 0:
            if not self.message:
                return "unexpected_continuation", 0
            most = self.limits.max_fragments
            if most is not None and self.fragments >= most:
                return "too_many_fragments", 0
        elif self.message:
            return "expected_continuation", 0
        return None

    def _open(self, fields, buf, base):
        self.opcode, self.fin, self.rsv, masked, self.length, size = fields
        self.key = bytes(buf[base + size - 4 : base + size]) if masked else b""
        self.at = 0
        if self.opcode >= 8 or self.held_fault is not None:
            return
        if self.opcode:
            self.message = self.opcode
            self.received = 0
            self.fragments = 0
            self.inflating = bool(self.inflates and self.rsv & RSV1)
        self.received += self.length
        self.fragments += 1

    def _take_payload(self, data, pos):
        size = min(len(data) - pos, self.length - self.at)
        if not size and self.length:
            return -1
        self.piece = slice(pos, pos + size)
        self.last = self.at + size == self.length
        self.stream += size
        if self.held_fault is not None:
            return self._skip(pos, size)
        return pos + size

    def _skip(self, pos, size):
        """Pass over the payload of a frame whose fault is to be told at its end."""
        self.at += size
        if not self.last:
            return -1
        name, byte = self.held_fault
        raise RemoteProtocolError(name, self.offset + byte)

    def done(self):
        """The piece has been dealt with."""
        self.at += self.piece.stop - self.piece.start
        if not self.last:
            return
        self.length = -1
        if self.opcode == Opcode.CLOSE:
            self.closed = True
        elif self.opcode < 8 and self.fin:
            self.message = 0

    def unmask(self, data):
        piece = data[self.piece]
        return xor(piece, self.key, self.at & 3) if self.key else piece

    @property
    def unfinished(self):
        return not self.closed and bool(self.head or self.length >= 0 or self.message)


class _Decoder:
    """What both decoders share: one owner at a time, errors as the last item, buffers, EOF."""

    __slots__ = (
        "_check",
        "_control",
        "_ended",
        "_fault",
        "_lock",
        "_moved",
        "_reader",
        "_receive",
        "_utf8",
        "failed",
    )

    def _set_up(self, role, policy, limits, inflates):
        if role is not Role.SERVER and role is not Role.CLIENT:
            raise TypeError(f"role must be a Role, not {type(role).__name__}")
        if policy is None:
            policy = STRICT_SERVER if role is Role.SERVER else STRICT_CLIENT
        policy_of(policy)
        if limits is None:
            limits = Limits()
        if type(limits) is not Limits:
            raise TypeError(f"limits must be a Limits, not {type(limits).__name__}")
        self._reader = _FrameReader(policy, limits, inflates)
        self._check = policy.utf8
        self._utf8 = Utf8Stream()
        self._fault = None  # the first UTF-8 fault of the message, where policy delays it
        self._control = b""
        self._receive = None
        self._ended = False
        self._moved = 0  # bytes copied into and out of held buffers; tests bound it
        self._lock = _thread.allocate_lock()
        self.failed = None

    def __reduce__(self):
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def feed(self, data, /):
        """Everything the next bytes of the stream complete, in order, as a list.

        If the peer broke a rule the last item is the ``RemoteProtocolError``; from then on, and
        after a Close frame or ``feed_eof()``, the list is empty. Keeps no reference to ``data``
        (any flat buffer of bytes). ``RuntimeError`` while another thread is in the decoder.
        """
        return self._guarded(bytes_of(data))

    def feed_eof(self):
        """The stream has ended: ``[unexpected_eof]`` inside a frame or message, else ``[]``."""
        return self._guarded(None)

    def _guarded(self, data):
        if not self._lock.acquire(False):
            raise RuntimeError("decoder is in use by another thread")
        try:
            if self.failed is not None or self._ended:
                return []
            return self._end() if data is None else self._run(data)
        finally:
            self._lock.release()

    def _end(self):
        self._ended = True
        if not self._reader.unfinished:
            return []
        return [self._fail(RemoteProtocolError("unexpected_eof", self._reader.stream))]

    def _run(self, data):
        items = []
        reader = self._reader
        pos = 0
        try:
            while (pos := reader.step(data, pos)) >= 0:
                if reader.opcode >= 8:
                    self._take_control(data, items)
                else:
                    self._take_data(data, items)
                reader.done()
        except RemoteProtocolError as exc:
            exc.__traceback__ = None  # it would keep the chunk alive
            items.append(self._fail(exc))
        return items

    def _fail(self, exc):
        self.failed = exc
        self._control = b""
        self._reader.head = b""
        self._drop()
        return exc

    def _take_control(self, data, items):
        reader = self._reader
        piece = reader.unmask(data)
        if not reader.last:
            self._moved += len(piece)
            self._control += piece
            return
        payload = self._control + piece if self._control else piece
        self._control = b""
        items.append(self._control_item(reader, payload))

    def _read_close(self, payload):
        reader = self._reader
        try:
            return read_close(payload, reader.policy.close_codes == "any")
        except RemoteProtocolError as exc:
            offset = reader.payload_offset + exc.offset
            raise RemoteProtocolError(exc.name, offset) from None

    def _check_text(self, piece, final):
        """Judge the next piece of a text message, as ``Policy.utf8`` says."""
        if self._check == "off":
            return
        if self._fault is None:
            try:
                self._utf8.feed(piece, self._reader.payload_offset + self._reader.at)
                if final:
                    self._utf8.end()
            except UnicodeDecodeError as exc:
                self._fault = exc.start
        if final:
            self._utf8 = Utf8Stream()
        if self._fault is not None and (final or self._check == "fail_fast"):
            raise RemoteProtocolError("invalid_utf8", self._fault)

    def get_buffer(self, hint, /):
        """A writable view to receive into, for ``asyncio.BufferedProtocol``; 64 to 256 KiB."""
        size = min(max(hint, _RECEIVE_BUFFER), _LARGEST_RECEIVE_BUFFER)
        if self._receive is None or len(self._receive) < size:
            self._receive = bytearray(size)
        return memoryview(self._receive)

    def buffer_updated(self, nbytes, /):
        """``feed`` of the first ``nbytes`` bytes of the view ``get_buffer`` gave."""
        if self._receive is None or not 0 <= nbytes <= len(self._receive):
            raise ValueError("more bytes than get_buffer() gave")
        return self._guarded(bytes(memoryview(self._receive)[:nbytes]))


class FrameDecoder(_Decoder):
    """Bytes in, ``Frame``s out.

    Judges headers, order, limits, text and close payloads as ``policy`` and ``limits`` say
    (``None``: strict, ``Limits()``); text under an RSV1 that ``policy`` allows is not judged.
    With ``partial`` the pieces of an unfinished data frame are delivered as they arrive, as
    frames with ``complete=False``.
    """

    __slots__ = ("_is_text", "_payload", "_partial")

    def __init__(self, role, *, policy=None, limits=None, partial=False):
        self._set_up(role, policy, limits, False)
        self._is_text = False
        self._partial = bool(partial)
        self._payload = bytearray()

    @property
    def buffered(self):
        """Bytes held for what is unfinished."""
        return len(self._reader.head) + len(self._control) + len(self._payload)

    def _drop(self):
        self._payload = bytearray()

    def _control_item(self, reader, payload):
        if reader.opcode == Opcode.CLOSE:
            self._read_close(payload)
        return Frame(reader.opcode, reader.fin, reader.rsv, payload)

    def _take_data(self, data, items):
        reader = self._reader
        piece = reader.unmask(data)
        self._judge(piece)
        if reader.last or self._partial:
            if self._payload:
                self._moved += 2 * len(piece) + len(self._payload)
                piece = bytes(self._payload + piece)
                self._payload = bytearray()
            items.append(Frame(reader.opcode, reader.fin, reader.rsv, piece, reader.last))
        else:
            self._moved += len(piece)
            self._payload += piece

    def _judge(self, piece):
        reader = self._reader
        if reader.opcode:  # the first frame of a message
            if not reader.at:
                self._fault = None
                self._utf8 = Utf8Stream()
            self._is_text = reader.opcode == Opcode.TEXT and not reader.rsv & RSV1
        if self._is_text:
            self._check_text(piece, reader.last and reader.fin)


class MessageDecoder(_Decoder):
    """Bytes in, messages and control frames out.

    ``feed`` returns bare ``str`` (or ``Text`` with ``text="bytes"``) and ``bytes`` messages,
    ``Ping``, ``Pong``, ``Close`` and, last, at most one ``RemoteProtocolError``. ``policy`` and
    ``limits`` default to strict and ``Limits()``. ``inflate`` is an object whose
    ``inflate(data, fin, limit) -> bytes`` undoes the negotiated compression (``deflate.py``).
    Enforces ``max_message``, ``max_frame`` and ``max_fragments``; the other limits are enforced
    by ``Connection``, ``deflate`` and ``handshake``.
    """

    __slots__ = ("_as_str", "_inflate", "_message")

    def __init__(self, role, *, policy=None, limits=None, text="str", inflate=None):
        if text not in ("str", "bytes"):
            raise ValueError(f"text must be 'str' or 'bytes', not {text!r}")
        self._set_up(role, policy, limits, inflate is not None)
        if text == "str" and self._check == "off":
            raise ValueError('utf8="off" needs text="bytes": a str is always checked')
        self._as_str = text == "str"
        self._inflate = inflate
        self._message = bytearray()

    @property
    def buffered(self):
        """Bytes held for what is unfinished."""
        return len(self._reader.head) + len(self._control) + len(self._message)

    def _drop(self):
        self._message = bytearray()

    def _control_item(self, reader, payload):
        if reader.opcode == Opcode.PING:
            return Ping(payload)
        if reader.opcode == Opcode.PONG:
            return Pong(payload)
        return Close(*self._read_close(payload))

    def _take_data(self, data, items):
        reader = self._reader
        piece = reader.unmask(data)
        final = reader.last and reader.fin
        if reader.inflating:
            piece = self._inflate_piece(piece, final)
        if reader.message == Opcode.TEXT:
            self._judge(piece, final)
        if not final:
            self._moved += len(piece)
            self._message += piece
            return
        if self._message:
            self._moved += 2 * len(piece) + len(self._message)
            piece = bytes(self._message + piece)
            self._message = bytearray()
        items.append(self._item(piece))

    def _inflate_piece(self, piece, final):
        limit = self._reader.limits.max_message
        room = None if limit is None else limit - len(self._message)
        try:
            return self._inflate.inflate(piece, final, room)
        except RemoteProtocolError as exc:
            raise RemoteProtocolError(exc.name, self._reader.offset) from None

    def _judge(self, piece, final):
        reader = self._reader
        if reader.opcode and not reader.at:  # the first piece of a message
            self._fault = None
            self._utf8 = Utf8Stream()
        try:
            self._check_text(piece, final)
        except RemoteProtocolError as exc:
            if reader.inflating:  # inflated bytes have no place in the stream
                exc = RemoteProtocolError(exc.name, reader.offset)
            raise exc from None

    def _item(self, payload):
        if self._reader.message == Opcode.BINARY:
            return payload
        return payload.decode() if self._as_str else Text(payload)


class FrameEncoder:
    """Messages in, frames out, each one ``bytes``.

    A client masks every frame with a fresh key (§5.3) from ``keys()``, by default a pool of the
    operating system's random bytes. ``deflate`` is an object with ``deflate(data, fin) -> bytes``
    and ``threshold``, the size in bytes below which ``compress=None`` leaves a message alone.
    ``LocalProtocolError`` for what the protocol forbids; nothing is changed by a failed call.
    """

    __slots__ = ("_compressed", "_deflate", "_keys", "_open", "_utf8")

    def __init__(self, role, *, keys=None, deflate=None):
        if role is not Role.SERVER and role is not Role.CLIENT:
            raise TypeError(f"role must be a Role, not {type(role).__name__}")
        self._keys = None if role is Role.SERVER else next_key if keys is None else keys
        self._deflate = deflate
        self._open = 0  # opcode of the fragmented message being sent
        self._compressed = False
        self._utf8 = None

    def text(self, data, *, fin=True, compress=None):
        """A text frame from a ``str`` or a buffer of UTF-8; with ``fin=False`` a message's start."""
        return self._start(Opcode.TEXT, _text_payload(data), fin, compress)

    def binary(self, data, *, fin=True, compress=None):
        """A binary frame from any flat buffer of bytes; with ``fin=False`` a message's start."""
        return self._start(Opcode.BINARY, bytes_of(data), fin, compress)

    def _start(self, opcode, payload, fin, compress):
        if self._open:
            raise LocalProtocolError("expected_continuation")
        key = self._key()
        utf8 = Utf8Stream() if opcode == Opcode.TEXT else None
        _check_utf8(utf8, payload, fin)
        squeeze = self._wants_deflate(payload, compress)
        if squeeze:
            payload = self._deflate.deflate(payload, bool(fin))
        frame = _frame(opcode, payload, bool(fin), RSV1 if squeeze else 0, key)
        if not fin:
            self._open, self._compressed, self._utf8 = opcode, squeeze, utf8
        return frame

    def _wants_deflate(self, payload, compress):
        if self._deflate is None or (compress is not None and not compress):
            return False
        return bool(compress) or len(payload) >= self._deflate.threshold

    def continuation(self, data, *, fin=True):
        """The next frame of the open message; a ``str`` only where that is text."""
        if not self._open:
            raise LocalProtocolError("unexpected_continuation")
        payload = _text_payload(data) if self._open == Opcode.TEXT else bytes_of(data)
        key = self._key()
        _check_utf8(self._utf8, payload, fin)
        if self._compressed:
            payload = self._deflate.deflate(payload, bool(fin))
        frame = _frame(Opcode.CONT, payload, bool(fin), 0, key)
        if fin:
            self._open, self._utf8 = 0, None
        return frame

    def ping(self, data=b""):
        """A Ping frame; at most 125 bytes."""
        return self._control(Opcode.PING, bytes_of(data))

    def pong(self, data=b""):
        """A Pong frame; at most 125 bytes."""
        return self._control(Opcode.PONG, bytes_of(data))

    def close(self, code=1000, reason=""):
        """A Close frame; ``code`` 1005 without a reason is the empty one."""
        return self._control(Opcode.CLOSE, write_close(code, reason))

    def _control(self, opcode, payload):
        if len(payload) > MAX_CONTROL:
            raise LocalProtocolError("control_too_long")
        return _frame(opcode, payload, True, 0, self._key())

    def parts(self, data, /):
        """``(header, data)`` of a binary frame, for transports that keep the two apart.

        ``data`` must be ``bytes`` and is not copied; a client cannot (``mask_required``).
        """
        if type(data) is not bytes:
            raise TypeError(f"parts() needs bytes, not {type(data).__name__}")
        if self._keys is not None:
            raise LocalProtocolError("mask_required")
        if self._open:
            raise LocalProtocolError("expected_continuation")
        return write_header(Opcode.BINARY, len(data), True, 0, b""), data

    def _key(self):
        return b"" if self._keys is None else key_of(self._keys())


def _frame(opcode, payload, fin, rsv, key):
    header = write_header(opcode, len(payload), fin, rsv, key)
    return header + (xor(payload, key, 0) if key else payload)


def _text_payload(data):
    return data.encode() if isinstance(data, str) else bytes_of(data)


def _check_utf8(stream, payload, fin):
    """Refuse what is not text before any of it is sent; ``stream`` spans the message."""
    if stream is None:
        return
    carry, lead = stream.carry, stream.lead
    try:
        stream.feed(payload, 0)
        if fin:
            stream.end()
    except UnicodeDecodeError:
        stream.carry, stream.lead = carry, lead
        raise LocalProtocolError("invalid_utf8") from None


def backend():
    """The name of this implementation: ``"python"``."""
    return "python"

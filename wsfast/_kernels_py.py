"""Layer 1 in pure Python: masking, UTF-8, frame headers, close payloads.

The readable reference of ``csrc/mask.c``, ``csrc/utf8.c``, ``csrc/frame.c`` and ``csrc/close.c``.
Names, signatures, texts and behaviour equal those of ``_kernels_c``.
"""

from __future__ import annotations

import _thread
from _codecs import utf_8_decode
from operator import index

from .errors import LocalProtocolError, RemoteProtocolError
from .frames import STRICT_SERVER, Frame, Header, Opcode, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, SupportsIndex

    from typing_extensions import Buffer

# ---- buffers ------------------------------------------------------------------------------------


def view_of(data: Buffer, writable: bool = False) -> memoryview:
    """``data``'s bytes as a flat view; S20: lengths are bytes, never items."""
    try:
        view = memoryview(data)
    except TypeError:
        kind = type(data).__name__
        raise TypeError(f"a bytes-like object is required, not '{kind}'") from None
    if view.itemsize != 1 or (view.nbytes and not view.c_contiguous):
        raise BufferError("buffer must be C-contiguous with items of one byte")
    if writable and view.readonly:
        raise BufferError("buffer must be writable")
    return view.cast("B") if view.nbytes else memoryview(bytearray())


def bytes_of(data: Buffer) -> bytes:
    """``data`` itself when it is ``bytes``, else a copy: a mutable buffer is never kept."""
    if type(data) is bytes:
        return data
    return bytes(view_of(data))


# ---- masking, §5.3 ------------------------------------------------------------------------------


def key_of(key: Buffer) -> bytes:
    raw = bytes_of(key)
    if len(raw) != 4:
        raise ValueError("masking key must be 4 bytes")
    return raw


def _phase(offset: SupportsIndex) -> int:
    position = index(offset)
    if position < 0:
        raise ValueError("offset must be at least 0")
    return position & 3


def xor(data: bytes | memoryview, key: bytes, phase: int) -> bytes:
    """``data`` XORed with ``key``, whose byte ``phase`` meets the first byte of ``data``."""
    size = len(data)
    if not size:
        return b""
    turned = key[phase:] + key[:phase]
    stream = turned * (size >> 2) + turned[: size & 3]
    masked = int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")
    return masked.to_bytes(size, "little")


def mask(data: Buffer, key: Buffer, /, offset: SupportsIndex = 0) -> bytes:
    """``data`` masked or unmasked (§5.3 is its own inverse), as new ``bytes``.

    ``offset`` is the position of ``data[0]`` in the payload. ``ValueError`` unless ``key`` has 4
    bytes; ``TypeError`` or ``BufferError`` for what is no flat buffer of bytes.
    """
    with view_of(data) as view:
        return xor(view, key_of(key), _phase(offset))


def mask_inplace(data: Buffer, key: Buffer, /, offset: SupportsIndex = 0) -> None:
    """Mask or unmask a writable buffer where it lies. Errors as ``mask``."""
    with view_of(data, writable=True) as view:
        view[:] = xor(view, key_of(key), _phase(offset))


# ---- UTF-8, §8.1 and RFC 3629 -------------------------------------------------------------------


def utf8_valid(data: Buffer, /) -> bool:
    """Whether ``data`` is well-formed UTF-8 and ends with a whole character."""
    with view_of(data) as view:
        try:
            utf_8_decode(view, "strict", True)
        except UnicodeDecodeError:
            return False
        return True


class Utf8Stream:
    """A text in pieces: decodes each and carries an unfinished sequence (up to 3 bytes) over.

    Positions are the caller's: ``at`` numbers the first byte of a piece. Fails on the first byte
    that cannot belong to well-formed UTF-8 (fail-fast), with the position of the sequence it
    breaks.
    """

    __slots__ = ("carry", "lead")

    def __init__(self) -> None:
        self.carry = b""
        self.lead = 0

    def feed(self, data: bytes | memoryview, at: int) -> str:
        text, used, fault = self._decode(data)
        if fault is not None:
            start, end, reason = fault
            position = at + start - len(self.carry) if start or not self.carry else self.lead
            if start:  # the carried sequence was completed before the fault
                self.carry = b""
            raise UnicodeDecodeError("utf-8", b"", position, position + end - start, reason)
        held = len(self.carry) + len(data) - used
        if held > len(data):
            self.carry += bytes(data)  # still inside the sequence begun earlier
        elif held:
            self.carry = bytes(data[-held:])
            self.lead = at + len(data) - held
        else:
            self.carry = b""
        return text

    def _decode(self, data: bytes | memoryview) -> tuple[str, int, tuple[int, int, str] | None]:
        joined = self.carry + data if self.carry else data
        try:
            text, used = utf_8_decode(joined, "strict", False)
            if len(joined) - used == 2 and joined[used] == 0xED and joined[used + 1] > 0x9F:
                # Half a surrogate: CPython waits for its last byte, for "surrogatepass".
                return "", 0, (used, used + 1, "invalid continuation byte")
            return text, used, None
        except UnicodeDecodeError as exc:
            return "", 0, (exc.start, exc.end, exc.reason)

    def end(self) -> None:
        if self.carry:
            stop = self.lead + len(self.carry)
            raise UnicodeDecodeError("utf-8", b"", self.lead, stop, "unexpected end of data")


class _Utf8Incremental:
    __slots__ = ("_error", "_lock", "_seen", "_stream")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next byte is the first of a new text."""
        if not self._lock.acquire(False):
            raise RuntimeError("decoder is in use by another thread")
        self._stream, self._seen = Utf8Stream(), 0
        self._error: tuple[str, bytes, int, int, str] | None = None
        self._lock.release()

    @property
    def pending(self) -> int:
        """Bytes (0..3) of an unfinished sequence held back."""
        return len(self._stream.carry)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a text")

    def _feed(self, data: Buffer, final: bool) -> str:
        if not self._lock.acquire(False):
            raise RuntimeError("decoder is in use by another thread")
        try:
            if self._error is not None:
                raise UnicodeDecodeError(*self._error)
            with view_of(data) as view:
                return self._decode(view, final)
        finally:
            self._lock.release()

    def _decode(self, view: memoryview, final: bool) -> str:
        try:
            text = self._stream.feed(view, self._seen)
            self._seen += len(view)
            if final:
                self._stream.end()
                self._seen = 0
        except UnicodeDecodeError as exc:
            self._error = exc.args  # not exc: its traceback would keep the text alive
            raise
        return text


class Utf8Validator(_Utf8Incremental):
    """Validates a text given in pieces, holding at most 3 bytes of it."""

    __slots__ = ()

    def feed(self, data: Buffer, final: bool = False) -> None:
        """Check the next piece; ``final`` also demands that it ends with a whole character.

        ``UnicodeDecodeError`` at the first byte that cannot be right, ``start`` counted from the
        first byte fed; it is raised again until ``reset()``. A successful ``final`` resets.
        """
        self._feed(data, final)


class Utf8Decoder(_Utf8Incremental):
    """Decodes a text given in pieces, holding at most 3 bytes of it."""

    __slots__ = ()

    def feed(self, data: Buffer, final: bool = False) -> str:
        """The text of the next piece. Errors and ``final`` as ``Utf8Validator.feed``."""
        return self._feed(data, final)


# ---- frame headers, §5.2: the only place here that knows the bits ------------------------------

MAX_HEADER = 14
MAX_CONTROL = 125
RSV1 = 4
_OPCODES = {int(opcode): opcode for opcode in Opcode}
Fields = tuple[Opcode, bool, int, bool, int, int]  # opcode, fin, rsv, masked, length, size


def form_fault(first: int, length: int, rsv: int) -> tuple[str, int] | None:
    """What ``Policy.check`` may put off: RSV bits, control FIN, control length. (name, byte)."""
    opcode = first & 0x0F
    allowed = rsv if opcode in (Opcode.TEXT, Opcode.BINARY) else 0
    if (first >> 4 & 7) & ~allowed:
        return "reserved_bits", 0
    if opcode >= 8:
        if not first & 0x80:
            return "control_fragmented", 0
        if length > MAX_CONTROL:
            return "control_too_long", 1
    return None


def read_header(buf: bytes | memoryview, pos: int, policy: Policy) -> Fields | None:
    """``(opcode, fin, rsv, masked, length, size)`` of the header at ``pos``, without its key.

    ``None`` while the length is not known yet. Raises ``RemoteProtocolError`` with an offset
    relative to ``pos``, in the order of precedence of docs/api.md, as early as each fault shows.
    """
    end = len(buf)
    if pos >= end:
        return None
    first = buf[pos]
    second = buf[pos + 1] if end - pos > 1 else None
    opcode = _OPCODES.get(first & 0x0F)
    if opcode is None:
        raise RemoteProtocolError("invalid_opcode", 0)
    if policy.check == "header":
        fault = form_fault(first, (second or 0) & 0x7F, policy.rsv)
        if fault is not None:
            raise RemoteProtocolError(*fault)
    if second is None:
        return None
    masked = second >= 0x80
    if policy.mask != "any" and masked is not (policy.mask == "require"):
        raise RemoteProtocolError("mask_forbidden" if masked else "mask_required", 1)
    length = _read_length(buf, pos + 2, second & 0x7F, policy)
    if length is None:
        return None
    size = 2 + _EXTENDED.get(second & 0x7F, 0) + 4 * masked
    return opcode, first >= 0x80, first >> 4 & 7, masked, length, size


_EXTENDED = {126: 2, 127: 8}  # 7-bit length -> bytes of extended length


def _read_length(buf: bytes | memoryview, pos: int, short: int, policy: Policy) -> int | None:
    if short < 126:
        return short
    width = _EXTENDED[short]
    if len(buf) - pos < width:
        return None
    length = int.from_bytes(buf[pos : pos + width], "big")
    if policy.minimal_length and length < (126 if width == 2 else 1 << 16):
        raise RemoteProtocolError("length_not_minimal", 2)
    if length >> 63 and policy.msb != "accept":
        raise RemoteProtocolError("length_msb" if policy.msb == "reject" else "frame_too_big", 2)
    return length


def parse_header(
    buf: Buffer, pos: SupportsIndex = 0, /, *, policy: Policy = STRICT_SERVER
) -> Header | None:
    """The ``Header`` at ``buf[pos:]``, or ``None`` while it is incomplete.

    Raises ``RemoteProtocolError`` for a header ``policy`` forbids; with ``check="payload"`` RSV
    bits, control FIN and control length are left to the caller. Its offset counts from ``pos``.
    """
    with view_of(buf) as view:
        start = position_in(view, pos)
        fields = read_header(view, start, policy_of(policy))
        if fields is None or len(view) - start < fields[-1]:
            return None
        opcode, fin, rsv, masked, length, size = fields
        key = bytes(view[start + size - 4 : start + size]) if masked else b""
        return Header(opcode, fin, rsv, masked, length, key, size)


def build_header(
    opcode: SupportsIndex,
    length: SupportsIndex,
    /,
    *,
    fin: bool = True,
    rsv: SupportsIndex = 0,
    key: Buffer | None = None,
) -> bytes:
    """The header of a frame whose payload has ``length`` bytes, ``key`` at its end if given.

    ``LocalProtocolError`` for what no frame may be (unknown opcode, a fragmented or long control
    frame); ``ValueError`` for numbers out of range or a key that has not 4 bytes.
    """
    opcode, length, rsv = index(opcode), index(length), index(rsv)
    if opcode not in _OPCODES:
        raise LocalProtocolError("invalid_opcode")
    if not 0 <= rsv <= 7:
        raise ValueError("rsv must be 0..7")
    if not 0 <= length < 1 << 63:
        raise ValueError("length must be 0..2**63-1")
    if opcode >= 8 and not fin:
        raise LocalProtocolError("control_fragmented")
    if opcode >= 8 and length > MAX_CONTROL:
        raise LocalProtocolError("control_too_long")
    raw = b"" if key is None else key_of(key)
    return write_header(opcode, length, bool(fin), rsv, raw)


def write_header(opcode: int, length: int, fin: bool, rsv: int, key: bytes) -> bytes:
    return write_head(fin << 7 | rsv << 4 | opcode, length, key)


def write_head(first: int, length: int, key: bytes) -> bytes:
    mask_bit = 0x80 if key else 0
    if length < 126:
        return bytes((first, mask_bit | length)) + key
    if length < 1 << 16:
        return bytes((first, mask_bit | 126)) + length.to_bytes(2, "big") + key
    return bytes((first, mask_bit | 127)) + length.to_bytes(8, "big") + key


def scan(
    buf: Buffer,
    pos: SupportsIndex = 0,
    /,
    *,
    policy: Policy,
    max_frame: SupportsIndex | None = None,
    max_frames: SupportsIndex = 0,
) -> tuple[list[Frame], int, RemoteProtocolError | None]:
    """All complete frames of ``buf`` from ``pos``: ``(frames, new_pos, error or None)``.

    Stateless: the unfinished tail is neither touched nor copied, and what needs memory
    (fragmentation, text, close payloads, message size) is the caller's. ``max_frame`` bounds a
    payload in bytes, ``max_frames`` the frames returned (0: no bound). The error's offset counts
    from ``buf[0]``; ``new_pos`` is the first byte of the frame it lies in.
    """
    frames: list[Frame] = []
    with view_of(buf) as view:
        at = position_in(view, pos)
        policy_of(policy)
        bound = None if max_frame is None else size_of("max_frame", max_frame)
        most = size_of("max_frames", max_frames)
        try:
            while not most or len(frames) < most:
                found = _scan_one(view, at, policy, bound)
                if found is None:
                    break
                frame, at = found
                frames.append(frame)
        except RemoteProtocolError as exc:
            return frames, at, RemoteProtocolError(exc.name, at + exc.offset)
    return frames, at, None


def _scan_one(
    view: memoryview, pos: int, policy: Policy, bound: int | None
) -> tuple[Frame, int] | None:
    fields = read_header(view, pos, policy)
    if fields is None:
        return None
    opcode, fin, rsv, masked, length, size = fields
    if bound is not None and length > bound:
        raise RemoteProtocolError("frame_too_big", 1)
    if len(view) - pos < size + length:
        return None
    fault = form_fault(view[pos], length, policy.rsv)
    if fault is not None:  # only check="payload" comes this far with one
        raise RemoteProtocolError(*fault)
    start = pos + size
    payload = view[start : start + length]
    raw = xor(payload, bytes(view[start - 4 : start]), 0) if masked else bytes(payload)
    return Frame(opcode, fin, rsv, raw), start + length


# ---- arguments ----------------------------------------------------------------------------------


def position_in(view: memoryview, pos: SupportsIndex) -> int:
    position = index(pos)
    if not 0 <= position <= len(view):
        raise ValueError("pos must lie in the buffer")
    return position


def size_of(name: str, value: SupportsIndex) -> int:
    number = index(value)
    if number < 0:
        raise ValueError(f"{name} must be at least 0")
    return number


def policy_of(policy: Policy) -> Policy:
    if type(policy) is not Policy:
        raise TypeError(f"policy must be a Policy, not {type(policy).__name__}")
    return policy


# ---- close payloads, §5.5.1 and §7.4 ------------------------------------------------------------


def close_code_allowed(code: int) -> bool:
    """Whether §7.4.1, the IANA registry or §7.4.2 lets ``code`` appear on the wire."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def read_close(payload: bytes, any_code: bool) -> tuple[int, str]:
    """``(code, reason)``; raises ``RemoteProtocolError`` with an offset in the payload."""
    if not payload:
        return 1005, ""
    if len(payload) == 1:
        raise RemoteProtocolError("close_length", 0)
    code = int.from_bytes(payload[:2], "big")
    if not any_code and not close_code_allowed(code):
        raise RemoteProtocolError("close_code", 0)
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as exc:
        raise RemoteProtocolError("close_reason_utf8", 2 + exc.start) from None


def write_close(code: SupportsIndex, reason: str) -> bytes:
    """A Close payload; code 1005 (and no reason) is the empty one."""
    number = index(code)
    if not isinstance(reason, str):
        raise TypeError(f"reason must be a str, not {type(reason).__name__}")
    text = str.encode(reason)
    if number == 1005 and not text:
        return b""
    if not close_code_allowed(number):
        raise LocalProtocolError("close_code")
    if len(text) > MAX_CONTROL - 2:
        raise LocalProtocolError("control_too_long")
    return number.to_bytes(2, "big") + text

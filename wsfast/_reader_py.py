"""Frames in a stream of chunks: fragmentation rules (RFC 6455 §5.4) and limits.

The readable reference of ``csrc/decoder.c``: bytes in, pieces of payload out, nothing copied.
"""

from __future__ import annotations

from ._kernels_py import MAX_HEADER, RSV1, form_fault, read_header, xor
from .errors import RemoteProtocolError
from .frames import Opcode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._kernels_py import Fields
    from .frames import Limits, Policy


class FrameReader:
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

    opcode: Opcode
    fin: bool
    rsv: int
    key: bytes
    offset: int
    payload_offset: int
    piece: slice[int, int, None]
    last: bool

    def __init__(self, policy: Policy, limits: Limits, inflates: bool) -> None:
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
        self.held_fault: tuple[str, int] | None = None

    def step(self, data: bytes, pos: int) -> int:
        if self.closed:
            self.stream += len(data) - pos  # §5.5.1: what follows a Close frame is discarded
            return -1
        if self.length < 0:
            pos = self._read_header(data, pos)
            if pos < 0:
                return -1
        return self._take_payload(data, pos)

    def _read_header(self, data: bytes, pos: int) -> int:
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

    def _admit(
        self, first: int, opcode: int, fin: bool, rsv: int, masked: bool, length: int, size: int
    ) -> None:
        """Limits, then the order of fragments: what needs more than one header to judge."""
        limits = self.limits
        cont = opcode == 0 and self.message  # else it continues nothing
        control = opcode >= 8
        if limits.max_frame is not None and length > limits.max_frame:
            raise RemoteProtocolError("frame_too_big", 1)
        inflating = self.inflating if cont else self.inflates and rsv & RSV1
        late = self.policy.check == "payload"
        if limits.max_message is not None and not inflating and (late or not control):
            # Compressed messages are bounded by what they inflate to; late control by this alone.
            so_far = self.received if cont else 0
            if length > limits.max_message - so_far:
                raise RemoteProtocolError("message_too_big", 1)
        fault = self._order_fault(opcode)
        self.held_fault = None
        if late:
            self.held_fault = form_fault(first, length, self.policy.rsv) or fault
        elif fault is not None:
            raise RemoteProtocolError(*fault)

    def _order_fault(self, opcode: int) -> tuple[str, int] | None:
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

    def _open(self, fields: Fields, buf: bytes, base: int) -> None:
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

    def _take_payload(self, data: bytes, pos: int) -> int:
        size = min(len(data) - pos, self.length - self.at)
        if not size and self.length:
            return -1
        self.piece = slice(pos, pos + size)
        self.last = self.at + size == self.length
        self.stream += size
        if self.held_fault is not None:
            # The payload of a frame whose fault is to be told at its end is passed over.
            self.at += size
            if not self.last:
                return -1
            name, byte = self.held_fault
            raise RemoteProtocolError(name, self.offset + byte)
        return pos + size

    def done(self) -> None:
        """The piece has been dealt with."""
        self.at += self.piece.stop - self.piece.start
        if not self.last:
            return
        self.length = -1
        if self.opcode == Opcode.CLOSE:
            self.closed = True
        elif self.opcode < 8 and self.fin:
            self.message = 0

    def unmask(self, data: bytes) -> bytes:
        piece = data[self.piece]
        return xor(piece, self.key, self.at & 3) if self.key else piece

    @property
    def unfinished(self) -> bool:
        return not self.closed and bool(self.head or self.length >= 0 or self.message)

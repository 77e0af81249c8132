"""Frames for probing: written with any fault, read without mercy. No byte of it is the codec's.

A bug of wsfast's own must not be hidden by itself, so this is a second reading of RFC 6455 §5 and
of RFC 7692 §7.2, made to be obvious and not fast.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {CONT: "continuation", TEXT: "text", BINARY: "binary"} | {
    CLOSE: "Close",
    PING: "Ping",
    PONG: "Pong",
}
RSV1, RSV2, RSV3 = 4, 2, 1
TAIL = b"\x00\x00\xff\xff"  # RFC 7692 §7.2.1
VALID_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}  # §7.4


class Frame(NamedTuple):
    """A frame to send, right unless told otherwise; or one received."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool | None = None  # None: as its sender must, §5.1
    key: bytes = b""  # empty: some other one for each frame
    form: int | None = None  # bytes of extended length, 0, 2 or 8; None: the fewest that do
    length: int | None = None  # what the header says; None: the truth


class Message(NamedTuple):
    """A message received, put together and inflated."""

    opcode: int
    payload: bytes
    compressed: bool = False


class Fault(Exception):
    """What is wrong with a frame received, in words."""


class Agreement(NamedTuple):
    """Permessage-deflate as agreed on: ``theirs`` is the side that is tested."""

    ours_bits: int = 15
    theirs_bits: int = 15
    ours_takeover: bool = True
    theirs_takeover: bool = True


def xor(payload: bytes, key: bytes) -> bytes:
    """§5.3."""
    n = len(payload)
    stream = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(n, "big")


def _form(length: int) -> int:
    if length < 126:
        return 0
    return 2 if length < 65536 else 8


def encode(frame: Frame, masks: bool, key: bytes) -> bytes:
    """The bytes of ``frame``; ``masks``: what its sender must do, ``key``: for want of its own."""
    length = len(frame.payload) if frame.length is None else frame.length
    form = _form(length) if frame.form is None else frame.form
    masked = masks if frame.masked is None else frame.masked
    key = frame.key or key
    first = frame.fin << 7 | frame.rsv << 4 | frame.opcode
    small, extended = {0: (length, b""), 2: (126, b""), 8: (127, b"")}[form]
    if form:
        extended = struct.pack(">H" if form == 2 else ">Q", length)
    head = bytes([first, masked << 7 | small]) + extended
    return head + key + xor(frame.payload, key) if masked else head + frame.payload


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return struct.pack(">H", code) + reason


def close_code(payload: bytes) -> int | None:
    """The code of a Close frame that ``Reader`` let through; None where it is empty."""
    return struct.unpack(">H", payload[:2])[0] if payload else None


class Reader:
    """Reads what the side under test sends; every breach of the RFCs is a ``Fault``."""

    def __init__(self, masked: bool) -> None:
        self.keys: list[bytes] = []  # of the masked frames so far
        self._masked = masked
        self._data = bytearray()
        self._agreement: Agreement | None = None
        self._inflate: zlib._Decompress | None = None
        self._message: list[bytes] = []
        self._opcode = 0  # of the message under way
        self._compressed = False

    def agree(self, agreement: Agreement) -> None:
        self._agreement = agreement

    def feed(self, data: bytes) -> None:
        self._data += data

    def next(self) -> Message | Frame | None:
        """The next message or control frame; None: it is not all there yet."""
        while (frame := self._frame()) is not None:
            if frame.opcode >= CLOSE:
                _check_control(frame)
                return frame
            message = self._assemble(frame)
            if message is not None:
                return message
        return None

    def _frame(self) -> Frame | None:
        data = self._data
        if len(data) < 2:
            return None
        first, second = data[0], data[1]
        small = second & 0x7F
        form = {126: 2, 127: 8}.get(small, 0)
        end = 2 + form + 4 * self._masked
        self._check_mask(second >> 7)
        if len(data) < end:
            return None
        length = int.from_bytes(data[2 : 2 + form], "big") if form else small
        if _form(length) != form:
            raise Fault(f"its frame has the length {length} in {form} bytes, not the fewest")
        if len(data) - end < length:
            return None
        payload = bytes(data[end : end + length])
        if self._masked:
            key = bytes(data[end - 4 : end])
            self.keys.append(key)
            payload = xor(payload, key)
        del data[: end + length]
        return Frame(first & 0x0F, payload, bool(first >> 7), first >> 4 & 7)

    def _check_mask(self, masked: int) -> None:
        if masked and not self._masked:
            raise Fault("its frame is masked, which a server's must not be")
        if self._masked and not masked:
            raise Fault("its frame is not masked, which a client's must be")

    def _assemble(self, frame: Frame) -> Message | None:
        if frame.opcode not in NAMES:
            raise Fault(f"its frame has the reserved opcode {frame.opcode}")
        if frame.opcode == CONT and not self._opcode:
            raise Fault("its continuation frame continues nothing")
        if frame.opcode != CONT and self._opcode:
            raise Fault(f"its {NAMES[frame.opcode]} frame stands within another message")
        allowed = RSV1 if self._agreement and frame.opcode != CONT else 0
        if frame.rsv & ~allowed:
            raise Fault(f"its frame has reserved bits set that mean nothing: {frame.rsv}")
        if frame.opcode != CONT:
            self._opcode = frame.opcode
            self._compressed = bool(frame.rsv)
        self._message.append(frame.payload)
        if not frame.fin:
            return None
        payload = b"".join(self._message)
        message = Message(self._opcode, self._inflated(payload), self._compressed)
        self._message, self._opcode = [], 0
        if message.opcode == TEXT:
            _check_utf8(message.payload, "text")
        return message

    def _inflated(self, payload: bytes) -> bytes:
        agreement = self._agreement
        if not self._compressed or agreement is None:
            return payload
        if self._inflate is None or not agreement.theirs_takeover:
            self._inflate = zlib.decompressobj(-agreement.theirs_bits)
        try:
            out = _in_steps(self._inflate, payload + TAIL, agreement.theirs_bits)
        except zlib.error as exc:
            raise Fault(
                f"its message does not inflate with a window of {agreement.theirs_bits} bits: {exc}"
            ) from None
        if self._inflate.eof:  # BFINAL: what follows begins anew
            self._inflate = None
        return out


def _in_steps(inflate: zlib._Decompress, data: bytes, bits: int) -> bytes:
    """Inflate; within one call zlib does not look how far back a match reaches, hence steps."""
    step = 0 if bits == 15 else 32
    out = [inflate.decompress(data, step)]
    while inflate.unconsumed_tail or (step and len(out[-1]) == step):
        out.append(inflate.decompress(inflate.unconsumed_tail, step))
    return b"".join(out)


def _check_control(frame: Frame) -> None:
    if frame.opcode not in NAMES:
        raise Fault(f"its frame has the reserved opcode {frame.opcode}")
    name = NAMES[frame.opcode]
    if not frame.fin:
        raise Fault(f"its {name} frame is fragmented")
    if frame.rsv:
        raise Fault(f"its {name} frame has reserved bits set: {frame.rsv}")
    if len(frame.payload) > 125:
        raise Fault(f"its {name} frame has {len(frame.payload)} bytes")
    if frame.opcode == CLOSE and frame.payload:
        if len(frame.payload) == 1 or close_code(frame.payload) not in VALID_CODES:
            raise Fault(f"its Close frame has no valid code: {frame.payload[:2].hex()}")
        _check_utf8(frame.payload[2:], "Close reason")


def _check_utf8(payload: bytes, what: str) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError as exc:
        raise Fault(f"its {what} is not UTF-8 at byte {exc.start}") from None

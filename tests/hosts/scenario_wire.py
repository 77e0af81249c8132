"""Frames made and taken apart byte by byte, for the scenarios; by no library, ours or a host's."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import NamedTuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7
SHOWN = 120  # longer contents are shown by their beginning, length and digest
TAIL = b"\x00\x00\xff\xff"  # RFC 7692 §7.2.1: cut off by the sender


def xor(data: bytes, key: bytes) -> bytes:
    long = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(long, "big")).to_bytes(len(data), "big")


def shown(value: object) -> str:
    """``value`` with its type, in one line that is not long."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > SHOWN:
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
        digest = hashlib.sha256(data).hexdigest()[:16]
        return f"{type(value).__name__} of {len(value)}: {value[:24]!r}… sha256 {digest}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    return f"{type(value).__name__} {value!r}"


class Frame(NamedTuple):
    """One frame as it came: its header without a key, and its payload in clear."""

    head: bytes
    payload: bytes

    @property
    def opcode(self) -> int:
        return self.head[0] & 15

    @property
    def ends_message(self) -> bool:
        return self.opcode < CLOSE and self.head[0] >= 128

    def __str__(self) -> str:
        return f"{self.head.hex(' ')} | {shown(self.payload)}"


class Reader:
    """Bytes to frames; ``rest`` is what was not a whole frame yet."""

    def __init__(self) -> None:
        self.rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        self.rest += data
        found = []
        while (frame := self._frame()) is not None:
            found.append(frame)
        return found

    def _frame(self) -> Frame | None:
        data = self.rest
        if len(data) < 2:
            return None
        at = {126: 4, 127: 10}.get(data[1] & 127, 2)
        masked = data[1] >= 128
        length = int.from_bytes(data[2:at], "big") if at > 2 else data[1] & 127
        start = at + 4 * masked
        if len(data) < max(start, at) or len(data) < start + length:
            return None
        payload = bytes(data[start : start + length])
        frame = Frame(bytes(data[:at]), xor(payload, bytes(data[at:start])) if masked else payload)
        del data[: start + length]
        return frame


class Wire:
    """Makes what the raw peer sends. A client masks, a server does not.

    ``extension`` is what was agreed on: the value of the Sec-WebSocket-Extensions of the response.
    """

    def __init__(self, client: bool, extension: str = "") -> None:
        self.client = client
        role = "client" if client else "server"
        bits = re.search(rf"{role}_max_window_bits=(\d+)", extension)
        self.bits = int(bits[1]) if bits else 15
        self.takeover = f"{role}_no_context_takeover" not in extension
        self._deflater = self._new()

    def _new(self) -> zlib._Compress:
        return zlib.compressobj(wbits=-self.bits)

    def frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        masked: bool | None = None,
        length: int | None = None,
        width: int | None = None,
    ) -> bytes:
        """One frame; ``length`` and ``width`` (0, 2, 8 extended bytes) may lie about it."""
        if masked is None:
            masked = self.client
        if length is None:
            length = len(payload)
        if width is None:
            width = 0 if length < 126 else 2 if length < 1 << 16 else 8
        short = {0: length, 2: 126, 8: 127}[width]
        head = bytes([fin << 7 | rsv << 4 | opcode, masked << 7 | short])
        head += length.to_bytes(width, "big") if width else b""
        return head + (KEY + xor(payload, KEY) if masked else payload)

    def text(self, text: str, fin: bool = True) -> bytes:
        return self.frame(TEXT, text.encode(), fin=fin)

    def binary(self, data: bytes, fin: bool = True) -> bytes:
        return self.frame(BINARY, data, fin=fin)

    def more(self, data: bytes | str, fin: bool = False) -> bytes:
        """A continuation frame."""
        return self.frame(CONT, data.encode() if isinstance(data, str) else data, fin=fin)

    def fragments(self, opcode: int, *parts: bytes, between: bytes = b"") -> bytes:
        """A message in so many frames, with other frames ``between`` them."""
        last = len(parts) - 1
        return between.join(
            self.frame(CONT if i else opcode, part, fin=i == last) for i, part in enumerate(parts)
        )

    def ping(self, payload: bytes = b"") -> bytes:
        return self.frame(PING, payload)

    def pong(self, payload: bytes = b"") -> bytes:
        return self.frame(PONG, payload)

    def close(self, code: int | None = None, reason: str | bytes = b"") -> bytes:
        if isinstance(reason, str):
            reason = reason.encode()
        return self.frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)

    def squeezed(self, data: bytes | str) -> bytes:
        """A message as permessage-deflate compresses it, to be put into frames."""
        if isinstance(data, str):
            data = data.encode()
        if not self.takeover:
            self._deflater = self._new()
        found = self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        return found.removesuffix(TAIL)

    def compressed(self, data: bytes | str) -> bytes:
        """A whole compressed message in one frame."""
        return self.frame(TEXT if isinstance(data, str) else BINARY, self.squeezed(data), rsv=4)

    def compressed_fragments(self, opcode: int, data: bytes, count: int, between: bytes) -> bytes:
        """A compressed message in ``count`` frames with others between them."""
        whole = self.squeezed(data)
        size = -(-len(whole) // count)
        parts = [whole[i * size : (i + 1) * size] for i in range(count)]
        frames = [
            self.frame(CONT if i else opcode, part, rsv=0 if i else 4, fin=i == count - 1)
            for i, part in enumerate(parts)
        ]
        return between.join(frames)

"""permessage-deflate at work: the contexts of one connection, RFC 7692 §7.2; in pure Python.

``deflate.py`` negotiates; what was agreed on makes an ``Inflater`` and a ``Deflater`` for each
connection's decoder and encoder. The twin of ``_deflate_c``.
"""

from __future__ import annotations

import sys
import zlib

from ._zlib import equal, load
from .errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_MAXSIZE = sys.maxsize  # most that zlib can be told to yield
_TAIL = b"\x00\x00\xff\xff"  # §7.2.1: what a sync flush ends with and the wire leaves out

# No compressor ends the stream hundreds of times within a message, but an attacker can every two
# bytes, and each time costs us a new context: as much as inflating 1.5 messages of 64 bytes,
# or 4 with 32 KiB of history to copy (1.3 and 3.4 us, where such a message took 0.9).
_MAX_FINAL_BLOCKS = 1024
_STEP = 4096  # bytes: zlib copies what follows a final block, so behind one we feed by pieces
_ROOM = 128 << 10  # bytes in and out at once: zlib copies what it leaves, and joins what it makes


class Inflater:
    """Inflates one direction of a connection; the context is made when first needed.

    Behind a final block (BFINAL=1) zlib's context is over while the window lives on
    (§7.2.3.4): the new context gets it from ``_history``, which is why the last output is kept.
    """

    __slots__ = (
        "_bits",
        "_context",
        "_finals",
        "_history",
        "_last",
        "_max_ratio",
        "_read",
        "_takeover",
        "_window",
        "_wrote",
        "_zlib",
    )

    def __init__(
        self,
        bits: int,
        *,
        takeover: bool,
        max_ratio: float | None = None,
        backend: str | None = None,
    ) -> None:
        self._zlib = load(backend).inflates
        self._bits = bits
        self._window = 1 << bits
        self._takeover = takeover
        self._max_ratio = max_ratio
        self._context: Any = None
        self._history: bytearray | None = None
        self._finals = 0  # final blocks in this message
        self._last = 0  # byte of this message's pieces so far
        self._read = 0  # bytes of this message, compressed
        self._wrote = 0  # and inflated

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes:
        """All that the next piece of a compressed message yields; ``fin`` on its last piece.

        Raises ``RemoteProtocolError``: ``message_too_big`` where that is more than ``limit``
        bytes (after at most ``limit + 1``) or, at the end, more than ``max_ratio`` times the
        compressed size; ``deflate_error`` where ``data`` is not DEFLATE.
        """
        if type(data) is not bytes:
            kind = type(data).__name__
            raise TypeError(f"Argument 'data' has incorrect type (expected bytes, got {kind})")
        read = self._read + len(data)
        # An empty payload is no DEFLATE data, but unmistakable, and some senders write it.
        if fin and read:
            data += _TAIL
        most = _MAXSIZE if limit is None or limit >= _MAXSIZE else limit + 1
        room = most if most < _ROOM else _ROOM
        ratio = self._max_ratio
        out: bytes
        try:
            context = self._context
            if context is None:
                context = self._open()
            out = context.decompress(data, room)
            if context.eof or len(out) == room:
                out = self._go_on(context, out, data, fin, most)
            elif self._takeover or not fin:
                self._remember(out)
            wrote = self._wrote + len(out)
            if len(out) >= most or (fin and ratio is not None and wrote > ratio * read):
                raise RemoteProtocolError("message_too_big")
        except BaseException as exc:
            self._context = None  # it may hold input that is not this message's any more
            if isinstance(exc, self._zlib.error):
                raise RemoteProtocolError("deflate_error") from None
            raise
        if not fin:
            self._read, self._wrote = read, wrote
            self._last = data[-1] if data else self._last
            return out
        self._read = self._wrote = self._finals = 0
        if not self._takeover:
            self._context = self._history = None
        return out

    def _open(self) -> Any:
        """A context whose window is the history."""
        history = self._history
        if history:
            recent = bytes(history[-self._window :])
            context = self._zlib.decompressobj(-self._bits, recent)
        else:
            context = self._zlib.decompressobj(-self._bits)
        self._context = context
        return context

    def _remember(self, out: bytes) -> None:
        window = self._window
        history = self._history
        if history is None:
            history = self._history = bytearray()
        history += out if len(out) <= window else out[-window:]
        if len(history) > 2 * window:
            del history[:-window]

    def _go_on(self, context: Any, out: bytes, data: bytes, fin: bool, most: int) -> bytes:
        """Inflate what is left: behind ``_ROOM`` bytes, or behind a final block.

        After that come more DEFLATE blocks, or nothing but our own tail.
        """
        parts = [out]
        room = most - len(out)
        end = len(data) - len(_TAIL) if fin else len(data)
        pos = len(data) - _rest(context, len(data))
        self._remember(out)
        full = True  # zlib may hold more without any input
        while True:
            if room <= 0:  # before all of it is joined
                raise RemoteProtocolError("message_too_big")
            if context.eof:
                self._context = None
                self._finals += 1
                cut_off = pos > end and self._cut_off(data, pos, end)
                if self._finals > _MAX_FINAL_BLOCKS or cut_off:
                    raise RemoteProtocolError("deflate_error")
                if pos >= end:
                    break
                context = self._open()
            if pos == len(data) and not full:
                break
            piece = data[pos : pos + (_STEP if self._finals else _ROOM)]
            most = min(room, _ROOM)
            out = context.decompress(piece, most)
            full = len(out) == most
            self._remember(out)
            parts.append(out)
            room -= len(out)
            pos += len(piece) - _rest(context, len(piece))
        return b"".join(parts)

    def _cut_off(self, data: bytes, pos: int, end: int) -> bool:
        """Whether a final block that ended in our tail, at ``pos``, took it for its data.

        The tail may be its length too: an empty stored block with BFINAL=1 also ends in the four
        bytes that §7.2.1 leaves out (Go's ``flate.Writer.Close`` makes them). Its header, 1 and 0,
        0, is followed by zeros up to the end of the byte: behind what can be one, it is one.
        """
        return pos < len(data) or (data[end - 1] if end else self._last) >= 0x40


def _rest(context: Any, given: int) -> int:
    """How much of the ``given`` bytes a context left; more is another thread's."""
    left = len(context.unused_data) + len(context.unconsumed_tail)
    if left > given:
        raise RuntimeError("inflater is in use by another thread")
    return left


class Deflater:
    """Deflates one direction of a connection; without takeover it has a context only meanwhile."""

    __slots__ = ("_compressors", "_context", "_takeover", "threshold")

    def __init__(
        self,
        bits: int,
        *,
        takeover: bool,
        level: int,
        mem_level: int,
        threshold: int,
        backend: str | None = None,
    ) -> None:
        if bits == 8:  # raw deflate begins at 9; blocks that are only stored need no window
            bits, level, backend = 9, 0, "zlib"
        self._compressors = equal(load(backend), bits, level, mem_level)
        self._takeover = takeover
        self._context: Any = None
        self.threshold = threshold

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def deflate(self, data: bytes, fin: bool) -> bytes:
        """The next piece of a message compressed, all of it; ``fin`` on the last piece."""
        context = self._context
        if context is None:
            context = self._compressors.take()
        last = fin and not self._takeover
        self._context = None  # should it fail, it holds what is not sent: never used again
        out: bytes = context.compress(data)
        # A full flush also forgets what came before, and is 0.4 us cheaper than a new context.
        out += context.flush(zlib.Z_FULL_FLUSH if last else zlib.Z_SYNC_FLUSH)
        if fin:
            out = out[: -len(_TAIL)]
        if last:
            self._compressors.give(context)
        else:
            self._context = context
        return out

    def reset(self) -> None:
        """What was deflated last is not sent: go on with a context that refers to nothing."""
        self._context = None

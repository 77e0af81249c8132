"""permessage-deflate at work: the contexts of zlib, zlib-ng or ISA-L, RFC 7692 §7.2.

``deflate.py`` negotiates; what was agreed on makes an ``Inflater`` and a ``Deflater`` for each
connection's decoder and encoder.
"""

from __future__ import annotations

import sys
import zlib

from .errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAXSIZE = sys.maxsize  # most that zlib can be told to yield
_TAIL = b"\x00\x00\xff\xff"  # §7.2.1: what a sync flush ends with and the wire leaves out

# No compressor ends the stream hundreds of times within a message, but an attacker can every two
# bytes, and each time costs us a new context: as much as inflating 1.5 messages of 64 bytes,
# or 4 with 32 KiB of history to copy (1.3 and 3.4 us, where such a message took 0.9).
_MAX_FINAL_BLOCKS = 1024
_STEP = 4096  # bytes: zlib copies what follows a final block, so behind one we feed by pieces
_ROOM = 128 << 10  # bytes in and out at once: zlib copies what it leaves, and joins what it makes
_IDLE = 4  # compressors kept for connections without takeover: enough for as many threads


class Backend:
    """A module that deflates, one that inflates, and the former's levels.

    ``levels[level]`` is what a level of zlib's, 0..9, becomes; the default, -1, is the last.
    """

    __slots__ = ("deflates", "inflates", "levels", "name")

    def __init__(self, name: str, deflates: Any, inflates: Any, levels: tuple[int, ...]) -> None:
        self.name = name
        self.deflates = deflates
        self.inflates = inflates
        self.levels = levels


_ZLIB_LEVELS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1)
# Level 0 of ISA-L has fixed codes and no lookup table: small messages grow. Its level 2 is no
# better than 1 and takes 2.5 times the memory, 3 saves another 3 % of 16 KiB.
_ISAL_LEVELS = (1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 1)


def _zlib_ng() -> Any:
    from zlib_ng import zlib_ng

    return zlib_ng


def _make(name: str) -> Backend:
    if name == "zlib":
        return Backend(name, zlib, zlib, _ZLIB_LEVELS)
    if name == "zlib-ng":
        return Backend(name, _zlib_ng(), _zlib_ng(), _ZLIB_LEVELS)
    from isal import isal_zlib

    # ISA-L's own inflate is slower below 1 KiB, and differs from zlib's: in which damaged streams
    # it refuses, in how much it yields before the end of one. zlib-ng's does not.
    return Backend(name, isal_zlib, _zlib_ng(), _ISAL_LEVELS)


BACKENDS = ("zlib", "zlib-ng", "isal")
_loaded: dict[str, Backend] = {}
_default = "zlib"


def load(name: str | None = None) -> Backend:
    """The back end of that name, or the process's default.

    ``ValueError`` for an unknown name, ``ImportError`` where its packages are missing.
    """
    name = _default if name is None else name
    found = _loaded.get(name)
    if found is None:
        if name not in BACKENDS:
            raise ValueError(f"no zlib back end {name!r}: there are {', '.join(BACKENDS)}")
        try:
            found = _loaded[name] = _make(name)
        except ImportError as exc:
            hint = f"pip install 'wsfast[{name}]'"
            raise ImportError(f"the zlib back end {name!r} is not installed: {hint}") from exc
    return found


def set_zlib_backend(name: str) -> None:
    """Choose what compresses, for the connections this process opens from now on.

    ``"zlib"``, the standard library's, is the default; ``"zlib-ng"`` and ``"isal"`` need the extra
    of that name. ``PerMessageDeflate(backend=…)`` goes before it.
    """
    global _default
    _default = load(name).name


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
        self._read = 0  # bytes of this message, compressed
        self._wrote = 0  # and inflated

    def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes:
        """All that the next piece of a compressed message yields; ``fin`` on its last piece.

        Raises ``RemoteProtocolError``: ``message_too_big`` where that is more than ``limit``
        bytes (after at most ``limit + 1``) or, at the end, more than ``max_ratio`` times the
        compressed size; ``deflate_error`` where ``data`` is not DEFLATE.
        """
        read = self._read + len(data)
        # An empty payload is no DEFLATE data, but unmistakable, and some senders write it.
        if fin and read:
            data += _TAIL
        most = _MAXSIZE if limit is None or limit >= _MAXSIZE else limit + 1
        room = most if most < _ROOM else _ROOM
        context = self._context
        if context is None:
            context = self._open()
        out: bytes
        try:
            out = context.decompress(data, room)
            if context.eof or len(out) == room:
                out = self._go_on(context, out, data, fin, most)
            elif self._takeover or not fin:
                self._remember(out)
        except self._zlib.error:
            raise RemoteProtocolError("deflate_error") from None
        if limit is not None and len(out) > limit:
            raise RemoteProtocolError("message_too_big")
        if not fin:
            self._read = read
            self._wrote += len(out)
            return out
        ratio = self._max_ratio
        if ratio is not None and self._wrote + len(out) > ratio * read:
            raise RemoteProtocolError("message_too_big")
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
        pos = len(data) - len(context.unused_data) - len(context.unconsumed_tail)
        self._remember(out)
        full = True  # zlib may hold more without any input
        while True:
            if room <= 0:  # before all of it is joined
                raise RemoteProtocolError("message_too_big")
            if context.eof:
                self._context = None
                self._finals += 1
                if self._finals > _MAX_FINAL_BLOCKS:
                    raise RemoteProtocolError("deflate_error")
                if pos == end:
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
            pos += len(piece) - len(context.unused_data) - len(context.unconsumed_tail)
        return b"".join(parts)


class _Compressors:
    """Compressors with the same settings, and the idle ones: none holds anything of a message."""

    __slots__ = ("_backend", "_bits", "_idle", "_level", "_mem_level")

    def __init__(self, backend: Backend, bits: int, level: int, mem_level: int) -> None:
        self._backend = backend
        self._bits = bits
        self._level = backend.levels[level]
        self._mem_level = mem_level
        self._idle: list[Any] = []

    def take(self) -> Any:
        """One with an empty window, the caller's alone."""
        try:
            return self._idle.pop()
        except IndexError:
            module = self._backend.deflates
            return module.compressobj(self._level, zlib.DEFLATED, -self._bits, self._mem_level)

    def give(self, context: Any) -> None:
        """Back, behind a full flush."""
        if len(self._idle) < _IDLE:
            self._idle.append(context)


_compressors: dict[tuple[str, int, int, int], _Compressors] = {}


def _equal(backend: Backend, bits: int, level: int, mem_level: int) -> _Compressors:
    """Those of the process with these settings."""
    key = (backend.name, bits, level, mem_level)
    found = _compressors.get(key)
    if found is None:
        found = _compressors.setdefault(key, _Compressors(backend, bits, level, mem_level))
    return found


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
        self._compressors = _equal(load(backend), bits, level, mem_level)
        self._takeover = takeover
        self._context: Any = None
        self.threshold = threshold

    def deflate(self, data: bytes, fin: bool) -> bytes:
        """The next piece of a message compressed, all of it; ``fin`` on the last piece."""
        context = self._context
        if context is None:
            context = self._context = self._compressors.take()
        last = fin and not self._takeover
        try:
            out: bytes = context.compress(data)
            # A full flush also forgets what came before, and is 0.4 us cheaper than a new context.
            out += context.flush(zlib.Z_FULL_FLUSH if last else zlib.Z_SYNC_FLUSH)
        except BaseException:
            self._context = None  # it holds what is not sent; a new one refers to nothing before it
            raise
        if last:
            self._context = None
            self._compressors.give(context)
        return out[: -len(_TAIL)] if fin else out

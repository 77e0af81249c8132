"""permessage-deflate, RFC 7692, on the standard library's zlib.

``PerMessageDeflate`` is what one side wants; ``DeflateParameters`` what both agreed on; it makes
the ``Inflater`` and ``Deflater`` that one connection's decoder and encoder take.

CRIME and BREACH apply (RFC 7692 §8, RFC 6455 §10): never compress a secret together with
something an attacker chose; ``send(…, compress=False)`` leaves one message out.
"""

from __future__ import annotations

import sys
import zlib

from .errors import RemoteProtocolError
from .frames import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Parameters = Iterable[tuple[str, str | None]]

_TAIL = b"\x00\x00\xff\xff"  # §7.2.1: what a sync flush ends with and the wire leaves out
_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}  # §7.1.2: decimal, no leading zeros
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")

# No compressor ends the stream hundreds of times within a message, but an attacker can every two
# bytes, and each time costs us a new context: as much as inflating 1.5 messages of 64 bytes,
# or 4 with 32 KiB of history to copy (1.3 and 3.4 us, where such a message took 0.9).
_MAX_FINAL_BLOCKS = 1024
_STEP = 4096  # bytes: zlib copies what follows a final block, so behind one we feed by pieces
_ROOM = 128 << 10  # bytes in and out at once: zlib copies what it leaves, and joins what it makes


class DeflateParameters:
    """The parameters both sides agreed on, and our own settings. Immutable by convention.

    Connections may share one: it holds no context. ``header`` is the element of the
    Sec-WebSocket-Extensions field that states the agreement.
    """

    __slots__ = (
        "client_max_window_bits",
        "client_no_context_takeover",
        "header",
        "level",
        "mem_level",
        "role",
        "server_max_window_bits",
        "server_no_context_takeover",
        "threshold",
    )
    name = "permessage-deflate"

    def __init__(
        self,
        role: Role,
        config: PerMessageDeflate,
        agreed: dict[str, int | None],
        client_bits: int,
    ) -> None:
        self.role = role
        self.server_no_context_takeover = "server_no_context_takeover" in agreed
        self.client_no_context_takeover = "client_no_context_takeover" in agreed
        self.server_max_window_bits = agreed.get("server_max_window_bits") or 15
        self.client_max_window_bits = client_bits
        self.level = config.level
        self.mem_level = config.mem_level
        self.threshold = config.threshold
        self.header = _field(agreed)

    def inflater(self, max_ratio: float | None = None) -> Inflater:
        """A fresh object for ``MessageDecoder(inflate=…)``; ``max_ratio`` is that of ``Limits``."""
        if self.role is Role.SERVER:
            bits, alone = self.client_max_window_bits, self.client_no_context_takeover
        else:
            bits, alone = self.server_max_window_bits, self.server_no_context_takeover
        return Inflater(bits, takeover=not alone, max_ratio=max_ratio)

    def deflater(self) -> Deflater:
        """A fresh object for ``FrameEncoder(deflate=…)``."""
        if self.role is Role.SERVER:
            bits, alone = self.server_max_window_bits, self.server_no_context_takeover
        else:
            bits, alone = self.client_max_window_bits, self.client_no_context_takeover
        return Deflater(
            bits,
            takeover=not alone,
            level=self.level,
            mem_level=self.mem_level,
            threshold=self.threshold,
        )

    def __repr__(self) -> str:
        return f"DeflateParameters({self.role}, {self.header!r})"


class PerMessageDeflate:
    """What we want of permessage-deflate, for ``extensions=`` of either side's handshake.

    server_no_context_takeover, client_no_context_takeover
        that side starts every message with an empty window: less memory, worse compression
    server_max_window_bits, client_max_window_bits
        9..15, the most that side's window may have; None: no wish. 8 is not ours to use: zlib
        has no raw deflate with a 256-byte window, so what asks it of us is declined.
    level, mem_level
        of our compressor, as in ``zlib.compressobj``: -1..9 and 1..9. A compressor takes
        ``4 << window bits`` plus ``512 << mem_level`` bytes, an inflater about
        ``1 << window bits`` plus 7 KiB, and twice the window more with context takeover.
    threshold
        bytes; smaller messages are sent as they are, unless ``compress=True``. Below 64, what is
        saved on the wire is hardly a packet's worth and costs a microsecond at each end.
    """

    __slots__ = (
        "client_max_window_bits",
        "client_no_context_takeover",
        "level",
        "mem_level",
        "server_max_window_bits",
        "server_no_context_takeover",
        "threshold",
    )
    name = "permessage-deflate"

    def __init__(
        self,
        *,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | None = None,
        level: int = -1,
        mem_level: int = 5,
        threshold: int = 64,
    ) -> None:
        self.server_no_context_takeover = bool(server_no_context_takeover)
        self.client_no_context_takeover = bool(client_no_context_takeover)
        for name, bits in (
            ("server_max_window_bits", server_max_window_bits),
            ("client_max_window_bits", client_max_window_bits),
        ):
            if bits is not None:
                _check(name, bits, 9, 15)
        self.server_max_window_bits = server_max_window_bits
        self.client_max_window_bits = client_max_window_bits
        self.level = _check("level", level, -1, 9)
        self.mem_level = _check("mem_level", mem_level, 1, 9)
        self.threshold = _check("threshold", threshold, 0, sys.maxsize)

    def negotiate(self, params: Parameters) -> DeflateParameters | None:
        """The server's answer to one offer; None declines it (§5.1, §7), whatever is wrong."""
        offer = _read(params, offer=True)
        if offer is None:
            return None
        agreed: dict[str, int | None] = {}
        if self.server_no_context_takeover or "server_no_context_takeover" in offer:
            agreed["server_no_context_takeover"] = None
        if self.client_no_context_takeover or "client_no_context_takeover" in offer:
            agreed["client_no_context_takeover"] = None
        ours = _least(self.server_max_window_bits, offer.get("server_max_window_bits"))
        if ours == 8:
            return None
        if ours is not None:
            agreed["server_max_window_bits"] = ours
        # §7.1.2.2: a client that does not name the parameter cannot be told to shrink its window.
        theirs = None
        if "client_max_window_bits" in offer:
            theirs = _least(self.client_max_window_bits, offer["client_max_window_bits"])
        if theirs is not None:
            agreed["client_max_window_bits"] = theirs
        return DeflateParameters(Role.SERVER, self, agreed, theirs or 15)

    def offer(self) -> str:
        """The client's offer, an element of Sec-WebSocket-Extensions."""
        params: dict[str, int | None] = {name: None for name in _FLAGS if getattr(self, name)}
        if self.server_max_window_bits is not None:
            params["server_max_window_bits"] = self.server_max_window_bits
        params["client_max_window_bits"] = self.client_max_window_bits
        return _field(params)

    def confirm(self, params: Parameters) -> DeflateParameters | None:
        """The client's reading of the server's answer to ``offer()``; None: it must not stand."""
        agreed = _read(params, offer=False)
        if agreed is None:
            return None
        if self.server_no_context_takeover and "server_no_context_takeover" not in agreed:
            return None  # §7.1.1.1: accepting the offer includes the parameter
        wish = self.server_max_window_bits
        if wish is not None and (agreed.get("server_max_window_bits") or 16) > wish:
            return None  # §7.1.2.1: the same or a smaller value, or no agreement
        most = self.client_max_window_bits or 15
        ours = agreed.get("client_max_window_bits") or most
        if ours == 8 or ours > most:
            return None
        if self.client_no_context_takeover:  # §7.1.1.2: ours to do, answered or not
            agreed["client_no_context_takeover"] = None
        return DeflateParameters(Role.CLIENT, self, agreed, ours)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"PerMessageDeflate({fields})"


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
    )

    def __init__(self, bits: int, *, takeover: bool, max_ratio: float | None = None) -> None:
        self._bits = bits
        self._window = 1 << bits
        self._takeover = takeover
        self._max_ratio = max_ratio
        self._context: zlib._Decompress | None = None
        self._history = bytearray()
        self._finals = 0  # final blocks in this message
        self._read = 0  # bytes of this message, compressed
        self._wrote = 0  # and inflated

    def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes:
        """All that the next piece of a compressed message yields; ``fin`` on its last piece.

        Raises ``RemoteProtocolError``: ``message_too_big`` where that is more than ``limit``
        bytes (after at most ``limit + 1``) or, at the end, more than ``max_ratio`` times the
        compressed size; ``deflate_error`` where ``data`` is not DEFLATE.
        """
        self._read += len(data)
        # An empty payload is no DEFLATE data, but unmistakable, and some senders write it.
        if fin and self._read:
            data += _TAIL
        most = sys.maxsize if limit is None or limit >= sys.maxsize else limit + 1
        context = self._context or self._open()
        room = most if most < _ROOM else _ROOM
        try:
            out = context.decompress(data, room)
            if context.eof or len(out) == room:
                out = self._go_on(context, out, data, fin, most)
            elif self._takeover or not fin:
                self._remember(out)
        except zlib.error:
            raise RemoteProtocolError("deflate_error") from None
        if limit is not None and len(out) > limit:
            raise RemoteProtocolError("message_too_big")
        self._wrote += len(out)
        if fin:
            self._end()
        return out

    def _open(self) -> zlib._Decompress:
        """A context whose window is the history."""
        history = bytes(self._history[-self._window :])
        context = self._context = zlib.decompressobj(-self._bits, history)
        return context

    def _remember(self, out: bytes) -> None:
        window = self._window
        history = self._history
        history += out if len(out) <= window else out[-window:]
        if len(history) > 2 * window:
            del history[:-window]

    def _go_on(
        self, context: zlib._Decompress, out: bytes, data: bytes, fin: bool, most: int
    ) -> bytes:
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
                    raise zlib.error("too many final blocks")
                if pos == end:
                    break
                context = self._open()
            if pos == len(data) and not full:
                break
            piece = data[pos : pos + (_STEP if self._finals else _ROOM)]
            out = context.decompress(piece, min(room, _ROOM))
            full = len(out) == min(room, _ROOM)
            self._remember(out)
            parts.append(out)
            room -= len(out)
            pos += len(piece) - len(context.unused_data) - len(context.unconsumed_tail)
        return b"".join(parts)

    def _end(self) -> None:
        """The end of a message."""
        ratio = self._max_ratio
        if ratio is not None and self._wrote > ratio * self._read:
            raise RemoteProtocolError("message_too_big")
        self._read = self._wrote = self._finals = 0
        if not self._takeover:
            self._context = None
            self._history.clear()


class Deflater:
    """Deflates one direction of a connection; the context is made when first needed."""

    __slots__ = ("_bits", "_context", "_level", "_mem_level", "_takeover", "threshold")

    def __init__(
        self, bits: int, *, takeover: bool, level: int, mem_level: int, threshold: int
    ) -> None:
        self._bits = bits
        self._takeover = takeover
        self._level = level
        self._mem_level = mem_level
        self._context: zlib._Compress | None = None
        self.threshold = threshold

    def deflate(self, data: bytes, fin: bool) -> bytes:
        """The next piece of a message compressed, all of it; ``fin`` on the last piece."""
        context = self._context
        if context is None:
            context = self._context = zlib.compressobj(
                self._level, zlib.DEFLATED, -self._bits, self._mem_level
            )
        out = context.compress(data) + context.flush(zlib.Z_SYNC_FLUSH)
        if not fin:
            return out
        if not self._takeover:
            self._context = None
        return out[: -len(_TAIL)]


def _check(name: str, value: int, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least}..{most}, not {value}")
    return value


def _least(*bits: int | None) -> int | None:
    return min([b for b in bits if b is not None], default=None)


def _field(params: dict[str, int | None]) -> str:
    """An element of Sec-WebSocket-Extensions."""
    words = [name if bits is None else f"{name}={bits}" for name, bits in params.items()]
    return "; ".join([PerMessageDeflate.name, *words])


def _read(params: Parameters, *, offer: bool) -> dict[str, int | None] | None:
    """Parameters by name, each allowed, well-formed and there once; else None (§7.1)."""
    found: dict[str, int | None] = {}
    for name, value in params:
        if name in found:
            return None
        if name in _FLAGS:
            if value is not None:
                return None
            found[name] = None
        elif value is None:
            if name != "client_max_window_bits" or not offer:
                return None
            found[name] = None
        elif name in ("server_max_window_bits", "client_max_window_bits") and value in _WINDOW_BITS:
            found[name] = _WINDOW_BITS[value]
        else:
            return None
    return found

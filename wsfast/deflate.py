"""permessage-deflate, RFC 7692: what a side wants, and what both agree on.

``PerMessageDeflate`` is what one side wants; ``DeflateParameters`` what both agreed on; it makes
the ``Inflater`` and ``Deflater`` that one connection's decoder and encoder take.

CRIME and BREACH apply (RFC 7692 §8, RFC 6455 §10): never compress a secret together with
something an attacker chose; ``send(…, compress=False)`` leaves one message out.
"""

from __future__ import annotations

import sys

from ._contexts import Deflater, Inflater
from ._zlib import load, set_zlib_backend
from .frames import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Parameters = Iterable[tuple[str, str | None]]

__all__ = ["DeflateParameters", "Deflater", "Inflater", "PerMessageDeflate", "set_zlib_backend"]

_WINDOW_BITS = {str(bits): bits for bits in range(8, 16)}  # §7.1.2: decimal, no leading zeros
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")


class DeflateParameters:
    """The parameters both sides agreed on, and our own settings. Immutable by convention.

    Connections may share one: it holds no context. ``header`` is the element of the
    Sec-WebSocket-Extensions field that states the agreement; ``alone`` names all that a
    compressed message of the server's depends on, None where it depends on those before it too.
    """

    __slots__ = (
        "alone",
        "backend",
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
        ours = self.server_max_window_bits if role is Role.SERVER else client_bits
        self.threshold = sys.maxsize if ours == 8 else config.threshold
        self.backend = load(config.backend).name
        self.header = _field(agreed)
        self.alone: str | None = None
        if self.server_no_context_takeover:
            bits = self.server_max_window_bits
            self.alone = f"{bits} {self.level} {self.mem_level} {self.threshold} {self.backend}"

    def inflater(self, max_ratio: float | None = None) -> Inflater:
        """A fresh object for ``MessageDecoder(inflate=…)``; ``max_ratio`` is that of ``Limits``."""
        if self.role is Role.SERVER:
            bits, alone = self.client_max_window_bits, self.client_no_context_takeover
        else:
            bits, alone = self.server_max_window_bits, self.server_no_context_takeover
        return Inflater(bits, takeover=not alone, max_ratio=max_ratio, backend=self.backend)

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
            backend=self.backend,
        )

    def __repr__(self) -> str:
        return f"DeflateParameters({self.role}, {self.header!r})"


class PerMessageDeflate:
    """What we want of permessage-deflate, for ``extensions=`` of either side's handshake.

    server_no_context_takeover, client_no_context_takeover
        that side starts every message with an empty window: less memory, worse compression
    server_max_window_bits, client_max_window_bits
        9..15, the most that side's window may have; None: no wish. 8 is not ours to use: zlib
        has no raw deflate with a 256-byte window. A server declines an offer that asks it of us;
        a client, whose offer allows it (§7.1.2.2), sends everything as it is.
    level, mem_level
        of our compressor, as in ``zlib.compressobj``: -1..9 and 1..9. zlib's takes
        ``4 << window bits`` plus ``512 << mem_level`` bytes, an inflater about
        ``1 << window bits`` plus 7 KiB, and twice the window more with context takeover.
    threshold
        bytes; smaller messages are sent as they are, unless ``compress=True``. Below 64, what is
        saved on the wire is hardly a packet's worth and costs a microsecond at each end.
    backend
        "zlib", "zlib-ng", "isal"; None: what ``set_zlib_backend`` says when a connection opens.
        What is received is the same, errors and limits too; what is sent differs in size. The
        levels of zlib-ng are zlib's, but 1 is far quicker and a fifth to a half bigger; ISA-L has
        two: 1 stands for -1..6, 3 for 7..9. Its level 0, where small messages grow, is not used.
        A compressor of zlib-ng takes about 150 KiB, one of ISA-L 31, at level 3 86.
    """

    __slots__ = (
        "backend",
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
        backend: str | None = None,
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
        self.backend = None if backend is None else load(backend).name

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
        if ours == 8:  # nothing we could compress for: a fallback may do better
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
        if ours > most:
            return None
        if self.client_no_context_takeover:  # §7.1.1.2: ours to do, answered or not
            agreed["client_no_context_takeover"] = None
        return DeflateParameters(Role.CLIENT, self, agreed, ours)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"PerMessageDeflate({fields})"


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

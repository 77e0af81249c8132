"""Layer 2 in pure Python, the sending half; the twin of ``_encoder_c``."""

from __future__ import annotations

from ._kernels_py import (
    MAX_CONTROL,
    RSV1,
    Utf8Stream,
    bytes_of,
    key_of,
    write_close,
    write_header,
    xor,
)
from ._keys import next_key
from .errors import LocalProtocolError
from .frames import Opcode, Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Protocol, SupportsIndex

    from typing_extensions import Buffer

    class Deflate(Protocol):
        threshold: int

        def deflate(self, data: bytes, fin: bool) -> bytes: ...
        def reset(self) -> None: ...


class FrameEncoder:
    """Messages in, frames out, each one ``bytes``.

    A client masks every frame with a fresh key (§5.3) from ``keys()``, by default a pool of the
    operating system's random bytes. ``deflate`` is an object with ``deflate(data, fin) -> bytes``
    and ``threshold``, the size in bytes below which ``compress=None`` leaves a message alone.
    ``LocalProtocolError`` for what the protocol forbids; nothing is changed by a failed call.
    """

    __slots__ = ("_carry", "_compressed", "_deflate", "_keys", "_open")

    def __init__(
        self,
        role: Role,
        *,
        keys: Callable[[], Buffer] | None = None,
        deflate: Deflate | None = None,
    ) -> None:
        if role is not Role.SERVER and role is not Role.CLIENT:
            raise TypeError(f"role must be a Role, not {type(role).__name__}")
        self._keys = None if role is Role.SERVER else next_key if keys is None else keys
        self._deflate = deflate
        self._open = 0  # opcode of the fragmented message being sent
        self._compressed = False
        self._carry = b""  # a character that the last fragment of text cut

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def text(self, data: str | Buffer, *, fin: bool = True, compress: bool | None = None) -> bytes:
        """A text frame from a ``str`` or a buffer of UTF-8; ``fin=False`` starts a message."""
        return self._data(Opcode.TEXT, data, bool(fin), compress)

    def binary(self, data: Buffer, *, fin: bool = True, compress: bool | None = None) -> bytes:
        """A binary frame from any flat buffer of bytes; ``fin=False`` starts a message."""
        return self._data(Opcode.BINARY, data, bool(fin), compress)

    def continuation(self, data: str | Buffer, *, fin: bool = True) -> bytes:
        """The next frame of the open message; a ``str`` only where that is text."""
        return self._data(Opcode.CONT, data, bool(fin), None)

    def _data(self, opcode: Opcode, data: str | Buffer, fin: bool, compress: bool | None) -> bytes:
        first = opcode != Opcode.CONT
        if first is bool(self._open):
            raise LocalProtocolError(
                "expected_continuation" if first else "unexpected_continuation"
            )
        text = (opcode if first else self._open) == Opcode.TEXT
        payload = _text_payload(data) if text else bytes_of(data)  # type: ignore[arg-type]
        key = self._key()
        carry = _check_utf8(b"" if first else self._carry, payload, fin) if text else b""
        squeeze = self._wants_deflate(payload, compress) if first else self._compressed
        if squeeze and self._deflate is not None:
            try:
                payload = bytes_of(self._deflate.deflate(payload, fin))
                frame = _frame(opcode, payload, fin, RSV1 if first else 0, key)
            except BaseException:
                self._deflate.reset()  # it may hold what is not sent
                raise
        else:
            frame = _frame(opcode, payload, fin, 0, key)
        if fin:
            self._open = 0
        elif first:
            self._open, self._compressed = opcode, squeeze
        self._carry = carry
        return frame

    def _wants_deflate(self, payload: bytes, compress: bool | None) -> bool:
        if self._deflate is None or (compress is not None and not compress):
            return False
        return bool(compress) or len(payload) >= self._deflate.threshold

    def ping(self, data: Buffer = b"") -> bytes:
        """A Ping frame; at most 125 bytes."""
        return self._control(Opcode.PING, bytes_of(data))

    def pong(self, data: Buffer = b"") -> bytes:
        """A Pong frame; at most 125 bytes."""
        return self._control(Opcode.PONG, bytes_of(data))

    def close(self, code: SupportsIndex = 1000, reason: str = "") -> bytes:
        """A Close frame; ``code`` 1005 without a reason is the empty one."""
        return self._control(Opcode.CLOSE, write_close(code, reason))

    def _control(self, opcode: Opcode, payload: bytes) -> bytes:
        if len(payload) > MAX_CONTROL:
            raise LocalProtocolError("control_too_long")
        return _frame(opcode, payload, True, 0, self._key())

    def parts(self, data: bytes, /) -> tuple[bytes, bytes]:
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

    def _key(self) -> bytes:
        return b"" if self._keys is None else key_of(self._keys())


def _frame(opcode: int, payload: bytes, fin: bool, rsv: int, key: bytes) -> bytes:
    header = write_header(opcode, len(payload), fin, rsv, key)
    return header + (xor(payload, key, 0) if key else payload)


def _text_payload(data: str | Buffer) -> bytes:
    return str.encode(data) if isinstance(data, str) else bytes_of(data)


def _check_utf8(carry: bytes, payload: bytes, fin: bool) -> bytes:
    """Refuse what is not text before any of it is sent; returns the sequence its end cuts."""
    stream = Utf8Stream()
    stream.carry = carry
    try:
        stream.feed(payload, 0)
        if fin:
            stream.end()
    except UnicodeDecodeError:
        raise LocalProtocolError("invalid_utf8") from None
    return stream.carry

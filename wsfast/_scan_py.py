"""Frames one at a time, without a state: for hosts that own their buffer and keep their own state.

``wsfast.integrations`` stands on it. A ``Scanner`` takes what is ordinary and names what is not,
so that the host itself can judge that; a ``Builder`` frames; ``instance`` makes a host's events.
"""

from __future__ import annotations

from codecs import utf_8_decode
from operator import index

from ._kernels_py import (
    bytes_of,
    key_of,
    policy_of,
    position_in,
    read_header,
    view_of,
    write_head,
    xor,
)
from ._keys import next_key
from .errors import RemoteProtocolError
from .frames import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, SupportsIndex, TypeVar

    from typing_extensions import Buffer

    T = TypeVar("T")

_FINAL_TEXT, _FINAL_BINARY = 0x81, 0x82


class Whole:
    """A message in one frame, shaped like a frame for hosts that queue frames.

    ``payload`` is the decoded ``str`` or the ``bytes``, ``opcode`` what the ``Scanner`` was given.
    """

    __slots__ = ("_mutable", "opcode", "payload")

    opcode: object
    payload: str | bytes
    fin = True

    def __init__(self, opcode: object, payload: str | bytes, mutable: bool = False, /) -> None:
        self.opcode = opcode
        self.payload = payload
        self._mutable = mutable

    @property
    def data(self) -> bytes | bytearray:
        """The bytes of the payload, as ``Scanner.frame`` would give them."""
        data = self.payload.encode() if isinstance(self.payload, str) else self.payload
        return bytearray(data) if self._mutable else data


class Scanner:
    """Takes frames from a buffer; keeps nothing but a count, so threads may share it.

    ``policy`` judges headers as ``check="header"`` does, whatever it says. Payloads are ``bytes``,
    or ``bytearray`` where ``mutable``; with ``decode`` that of a final text frame without RSV bits
    is the ``str``, if it is well-formed. ``opcodes`` are the host's for text and binary.
    """

    __slots__ = ("_decode", "_mutable", "_opcodes", "_policy", "frames")

    frames: int  # taken so far

    def __init__(
        self,
        policy: Policy,
        *,
        mutable: bool = False,
        decode: bool = False,
        opcodes: tuple[object, object] = (1, 2),
    ) -> None:
        values = {name: getattr(policy_of(policy), name) for name in Policy.__match_args__}
        self._policy = Policy(**{**values, "check": "header"})
        self._mutable = mutable
        self._decode = decode
        self._opcodes = opcodes
        self.frames = 0

    def __reduce__(self) -> NoReturn:
        raise TypeError("Scanner cannot be pickled")

    def frame(
        self, buf: Buffer, pos: SupportsIndex, most: int | None, /
    ) -> tuple[int, str | bytes | bytearray, int] | str | None:
        """The frame at ``buf[pos:]``: ``(head, payload, end)``; ``head`` is its first byte.

        ``None`` while it is incomplete, and the name of the error (docs/api.md) as soon as its
        header breaks a rule or declares a payload of more than ``most`` bytes (less than 0: none
        is small enough).
        """
        if most is not None and most < 0:
            return "frame_too_big"
        with view_of(buf) as view:
            start = position_in(view, pos)
            try:
                fields = read_header(view, start, self._policy)
            except RemoteProtocolError as exc:
                return exc.name
            if fields is None:
                return None
            _, _, _, masked, length, size = fields
            if most is not None and length > most:
                return "frame_too_big"
            begin = start + size
            end = begin + length
            if end > len(view):
                return None
            payload = bytes(view[begin:end])
            if masked:
                payload = xor(payload, bytes(view[begin - 4 : begin]), 0)
            self.frames += 1
            head = view[start]
            text = _message(head, payload) if self._decode and head == _FINAL_TEXT else None
            if text is not None:
                return head, text, end
            return head, bytearray(payload) if self._mutable else payload, end

    def begin(
        self, buf: Buffer, pos: SupportsIndex, /
    ) -> tuple[int, int, bytes | None, int] | str | None:
        """The header at ``buf[pos:]``: ``(head, length, key, end)``; ``key`` is None without one.

        ``None`` while it is incomplete, the name of the error as ``frame`` has it. For frames that
        are taken in pieces: this is where they count.
        """
        with view_of(buf) as view:
            start = position_in(view, pos)
            try:
                fields = read_header(view, start, self._policy)
            except RemoteProtocolError as exc:
                return exc.name
            if fields is None:
                return None
            _, _, _, masked, length, size = fields
            end = start + size
            if end > len(view):
                return None
            self.frames += 1
            return view[start], length, bytes(view[end - 4 : end]) if masked else None, end

    def message(self, buf: Buffer, most: int | None, /) -> Whole | None:
        """The ``Whole`` message that ``buf`` is from its first byte to its last, as ``messages``
        has it; ``None`` where it is anything else."""
        found = self.frame(buf, 0, most)
        if not isinstance(found, tuple):
            return None
        head, payload, end = found
        message = payload if isinstance(payload, str) else _message(head, payload)
        if message is None or end != memoryview(buf).nbytes:
            self.frames -= 1
            return None
        return Whole(self._opcodes[head == _FINAL_BINARY], message, self._mutable)

    def messages(
        self, buf: Buffer, pos: SupportsIndex, most: int | None, /
    ) -> tuple[list[Whole], int, bool]:
        """The ``Whole`` messages from ``buf[pos:]`` on, where they end, and whether what follows
        is, as far as it is there, the beginning of one more frame.

        Only unfragmented ones without RSV bits, of at most ``most`` bytes; it stops before
        anything else: other frames, faults, ill-formed text, and what is incomplete.
        """
        items: list[Whole] = []
        end = index(pos)
        while True:
            found = self.frame(buf, end, most)
            if not isinstance(found, tuple):
                return items, end, found is None
            head, payload, after = found
            message = payload if isinstance(payload, str) else _message(head, payload)
            if message is None:
                self.frames -= 1
                return items, end, False
            items.append(Whole(self._opcodes[head == _FINAL_BINARY], message, self._mutable))
            end = after


def _message(head: int, payload: bytes | bytearray) -> str | bytes | None:
    if head == _FINAL_BINARY:
        return bytes(payload)
    if head != _FINAL_TEXT:
        return None
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def take(buf: bytearray, size: SupportsIndex, key: Buffer | None, /) -> bytes:
    """The first ``size`` bytes of a ``bytearray``, unmasked where there is a ``key``, as ``bytes``.

    They are gone from it afterwards.
    """
    payload = _front(buf, size, key)
    del buf[: len(payload)]
    return payload


def take_text(
    buf: bytearray, size: SupportsIndex, key: Buffer | None, held: bytes, last: bool, /
) -> tuple[str, bytes] | None:
    """The same as text: ``(text, held)``, where ``held`` is the unfinished sequence at its end.

    The ``held`` that is given, ``bytes``, comes before it. ``None``, and nothing is gone, for
    ill-formed text; what is unfinished is that where ``last``.
    """
    if type(held) is not bytes:
        kind = type(held).__name__
        raise TypeError(f"Argument 'held' has incorrect type (expected bytes, got {kind})")
    payload = _front(buf, size, key)
    data = held + payload
    try:
        text, used = utf_8_decode(data, "strict", bool(last))
    except UnicodeDecodeError:
        return None
    del buf[: len(payload)]
    return text, data[used:]


def take_utf8(
    buf: bytearray, size: SupportsIndex, key: Buffer | None, held: bytes, last: bool, /
) -> tuple[bytes, int, bytes] | None:
    """The same checked, not decoded: ``(payload, count, held)``, ``count`` characters of UTF-8."""
    found = take_text(buf, size, key, held, last)
    if found is None:
        return None
    text, held = found
    return text.encode(), len(text), held


def _front(buf: bytearray, size: SupportsIndex, key: Buffer | None) -> bytes:
    if not isinstance(buf, bytearray):
        raise TypeError(f"a bytearray is required, not '{type(buf).__name__}'")
    raw = None if key is None else key_of(key)
    with view_of(buf) as view:
        payload = bytes(view[: position_in(view, size)])
    return payload if raw is None else xor(payload, raw, 0)


class Builder:
    """Makes frames; keeps nothing but a count. ``bytearray`` where ``mutable``, else ``bytes``."""

    __slots__ = ("_masked", "_mutable", "frames")

    frames: int  # made so far

    def __init__(self, *, masked: bool, mutable: bool = False) -> None:
        self._masked = masked
        self._mutable = mutable
        self.frames = 0

    def __reduce__(self) -> NoReturn:
        raise TypeError("Builder cannot be pickled")

    def build(self, head: SupportsIndex, payload: str | Buffer, /) -> bytes | bytearray:
        """The frame whose first byte is ``head``, masked with a fresh key where a client's.

        ``payload`` is a flat buffer of bytes, or a ``str`` to be sent as UTF-8. Nothing is
        checked: what the host lets through is sent.
        """
        first = index(head)
        if not 0 <= first <= 255:
            raise ValueError("head must be 0..255")
        raw = str.encode(payload) if isinstance(payload, str) else bytes_of(payload)
        key = next_key() if self._masked else b""
        frame = write_head(first, len(raw), key) + (xor(raw, key, 0) if key else raw)
        self.frames += 1
        return bytearray(frame) if self._mutable else frame


def instance(cls: type[T], names: tuple[str, ...], values: tuple[object, ...], /) -> T:
    """An instance of ``cls`` with these attributes, made without its ``__init__``.

    For a host's frozen dataclasses, whose ``__init__`` costs more than decoding a frame. ``cls``
    must have no ``__new__`` of its own; its ``__setattr__`` is not asked.
    """
    if len(names) != len(values):
        raise ValueError("names and values must be as many")
    if not isinstance(cls, type) or cls.__new__ is not object.__new__:
        raise TypeError("cls must be a class without a __new__ of its own")
    made = object.__new__(cls)
    for name, value in zip(names, values):
        object.__setattr__(made, name, value)
    return made

"""The values of the API: opcodes, frames, the items a decoder delivers, policies and limits.

Leaf module. No ``dataclasses``, no ``typing``: importing either costs more than the whole budget
of ``import wsfast``.
"""

from enum import Enum, IntEnum
from operator import index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Self


class Opcode(IntEnum):
    """Frame opcodes, RFC 6455 §5.2."""

    CONT = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Role(Enum):
    """Which end of the connection we are: a server receives masked frames, a client sends them."""

    SERVER = "server"
    CLIENT = "client"


_SHOWN = 32  # bytes of a payload that a repr shows


def _short(value: object) -> str:
    if isinstance(value, bytes) and len(value) > _SHOWN:
        return f"<{len(value)} bytes {value[:_SHOWN]!r}…>"
    return repr(value)


class _Value:
    """Final, immutable, compared and hashed by its fields."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        for base in cls.__bases__:
            if getattr(base, "__match_args__", ()):
                raise TypeError(f"{base.__name__} is final")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def _fields(self) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):  # final classes: the same type
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._fields()))

    def __repr__(self) -> str:
        fields = [f"{n}={_short(getattr(self, n))}" for n in self.__match_args__]
        return f"{type(self).__name__}({', '.join(fields)})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._fields()


def _writer(slot: "Any") -> "Callable[[object, object], None]":
    """The one way past ``__setattr__``: a slot's own ``__set__``, for constructors."""
    return slot.__set__  # type: ignore[no-any-return]


class Frame(_Value):
    """One frame, or with ``complete=False`` a piece of a data frame that has not ended yet.

    ``rsv`` is 0..7 with RSV1 = 4; ``payload`` is unmasked and owned by the caller.
    """

    __slots__ = __match_args__ = ("opcode", "fin", "rsv", "payload", "complete")

    opcode: Opcode
    fin: bool
    rsv: int
    payload: bytes
    complete: bool

    def __init__(
        self, opcode: Opcode, fin: bool, rsv: int, payload: bytes, complete: bool = True
    ) -> None:
        _frame_opcode(self, opcode)
        _frame_fin(self, fin)
        _frame_rsv(self, rsv)
        _frame_payload(self, payload)
        _frame_complete(self, complete)


_frame_opcode = _writer(Frame.opcode)
_frame_fin = _writer(Frame.fin)
_frame_rsv = _writer(Frame.rsv)
_frame_payload = _writer(Frame.payload)
_frame_complete = _writer(Frame.complete)


class Ping(_Value):
    """A Ping frame, RFC 6455 §5.5.2; it must be answered by a Pong with the same payload."""

    __slots__ = __match_args__ = ("payload",)

    payload: bytes

    def __init__(self, payload: bytes) -> None:
        _ping_payload(self, payload)


_ping_payload = _writer(Ping.payload)


class Pong(_Value):
    """A Pong frame, RFC 6455 §5.5.3."""

    __slots__ = __match_args__ = ("payload",)

    payload: bytes

    def __init__(self, payload: bytes) -> None:
        _pong_payload(self, payload)


_pong_payload = _writer(Pong.payload)


class Close(_Value):
    """A Close frame, RFC 6455 §5.5.1; ``code`` is 1005 where the frame carried none."""

    __slots__ = __match_args__ = ("code", "reason")

    code: int
    reason: str

    def __init__(self, code: int, reason: str) -> None:
        _close_code(self, code)
        _close_reason(self, reason)


_close_code = _writer(Close.code)
_close_reason = _writer(Close.reason)


class Text(_Value):
    """A text message left as validated UTF-8 bytes (``MessageDecoder(text="bytes")``)."""

    __slots__ = __match_args__ = ("payload",)

    payload: bytes

    def __init__(self, payload: bytes) -> None:
        _text_payload(self, payload)


_text_payload = _writer(Text.payload)


class Header(_Value):
    """A parsed frame header; ``size`` is the bytes it took, ``key`` is empty when unmasked."""

    __slots__ = __match_args__ = ("opcode", "fin", "rsv", "masked", "length", "key", "size")

    opcode: Opcode
    fin: bool
    rsv: int
    masked: bool
    length: int
    key: bytes
    size: int

    def __init__(
        self, opcode: Opcode, fin: bool, rsv: int, masked: bool, length: int, key: bytes, size: int
    ) -> None:
        values = (opcode, fin, rsv, masked, length, key, size)
        for write, value in zip(_header_writers, values):
            write(self, value)


_header_writers = [_writer(getattr(Header, name)) for name in Header.__match_args__]


class _Settings(_Value):
    __slots__ = ()

    def replace(self, **changes: "Any") -> "Self":
        """A copy with some fields changed."""
        return type(self)(**{**dict(zip(self.__match_args__, self._fields())), **changes})

    __replace__ = replace


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> object:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value


class Policy(_Settings):
    """How strictly a peer is judged. The defaults are what RFC 6455 demands.

    mask            "require" (a server's view, §5.1), "forbid" (a client's) or "any"
    minimal_length  refuse lengths not in their shortest form (§5.2)
    msb             a 64-bit length with its top bit set is ``length_msb`` ("reject"),
                    ``frame_too_big`` ("too_big"), or a number like any other ("accept")
    rsv             bit set of RSV bits (RSV1 = 4) allowed on the first frame of a data message
    check           when RSV bits, control FIN, control length and continuation order are judged:
                    once the "header" is there, or once the "payload" is complete
    utf8            text is judged as it arrives ("fail_fast", §8.1), at the end of the
                    "message", or not at all ("off")
    close_codes     "rfc": only codes that §7.4 and the IANA registry allow on the wire; or "any"
    """

    __slots__ = __match_args__ = (
        "mask",
        "minimal_length",
        "msb",
        "rsv",
        "check",
        "utf8",
        "close_codes",
    )

    mask: 'Literal["require", "forbid", "any"]'
    minimal_length: bool
    msb: 'Literal["reject", "too_big", "accept"]'
    rsv: int
    check: 'Literal["header", "payload"]'
    utf8: 'Literal["fail_fast", "message", "off"]'
    close_codes: 'Literal["rfc", "any"]'

    def __init__(
        self,
        mask: 'Literal["require", "forbid", "any"]' = "require",
        minimal_length: bool = True,
        msb: 'Literal["reject", "too_big", "accept"]' = "reject",
        rsv: int = 0,
        check: 'Literal["header", "payload"]' = "header",
        utf8: 'Literal["fail_fast", "message", "off"]' = "fail_fast",
        close_codes: 'Literal["rfc", "any"]' = "rfc",
    ) -> None:
        if not 0 <= index(rsv) <= 7:
            raise ValueError("rsv must be 0..7")
        values = (
            _one_of("mask", mask, ("require", "forbid", "any")),
            bool(minimal_length),
            _one_of("msb", msb, ("reject", "too_big", "accept")),
            index(rsv),
            _one_of("check", check, ("header", "payload")),
            _one_of("utf8", utf8, ("fail_fast", "message", "off")),
            _one_of("close_codes", close_codes, ("rfc", "any")),
        )
        for write, value in zip(_policy_writers, values):
            write(self, value)


_policy_writers = [_writer(getattr(Policy, name)) for name in Policy.__match_args__]

STRICT_SERVER = Policy(mask="require")
STRICT_CLIENT = Policy(mask="forbid")


class Limits(_Settings):
    """Every bound on what a peer can make us hold or do. All inclusive; ``None`` means no bound.

    Sizes are bytes, times are seconds.

    max_message        payload of one message, after decompression
    max_frame          payload of one frame, on the wire
    max_fragments      frames of one message, empty ones included; the default is what
                       Autobahn's case 9.3.1 sends: 65,536 fragments and an empty one
    max_pending_pongs  Pongs waiting to be taken from a ``Connection``
    max_ratio          decompressed to compressed size of a message
    max_head           request line and headers of a handshake; a client counts interim answers in
    max_headers        header lines of a handshake
    open_timeout       from the first byte of a handshake to its end
    close_timeout      from our Close frame to the peer's
    message_timeout    from the first byte of a message to its last
    queue_messages     undelivered messages at which a host stops reading
    queue_bytes        undelivered bytes at which a host stops reading
    """

    __slots__ = __match_args__ = (
        "max_message",
        "max_frame",
        "max_fragments",
        "max_pending_pongs",
        "max_ratio",
        "max_head",
        "max_headers",
        "open_timeout",
        "close_timeout",
        "message_timeout",
        "queue_messages",
        "queue_bytes",
    )

    max_message: int | None
    max_frame: int | None
    max_fragments: int | None
    max_pending_pongs: int
    max_ratio: float | None
    max_head: int
    max_headers: int
    open_timeout: float | None
    close_timeout: float | None
    message_timeout: float | None
    queue_messages: int
    queue_bytes: int

    def __init__(
        self,
        max_message: int | None = 1 << 20,
        max_frame: int | None = None,
        max_fragments: int | None = 65537,
        max_pending_pongs: int = 16,
        max_ratio: float | None = None,
        max_head: int = 64 << 10,
        max_headers: int = 128,
        open_timeout: float | None = 10.0,
        close_timeout: float | None = 10.0,
        message_timeout: float | None = None,
        queue_messages: int = 32,
        queue_bytes: int = 1 << 20,
    ) -> None:
        values = (
            _bound("max_message", max_message, 0, int, True),
            _bound("max_frame", max_frame, 0, int, True),
            _bound("max_fragments", max_fragments, 1, int, True),
            _bound("max_pending_pongs", max_pending_pongs, 1, int, False),
            _bound("max_ratio", max_ratio, 1, (int, float), True),
            _bound("max_head", max_head, 1, int, False),
            _bound("max_headers", max_headers, 1, int, False),
            _bound("open_timeout", open_timeout, 0, (int, float), True),
            _bound("close_timeout", close_timeout, 0, (int, float), True),
            _bound("message_timeout", message_timeout, 0, (int, float), True),
            _bound("queue_messages", queue_messages, 1, int, False),
            _bound("queue_bytes", queue_bytes, 1, int, False),
        )
        for write, value in zip(_limits_writers, values):
            write(self, value)


def _bound(
    name: str, value: object, least: int, kinds: type | tuple[type, ...], optional: bool
) -> object:
    if value is None and optional:
        return None
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number{' or None' if optional else ''}, not {value!r}")
    if not value >= least:  # type: ignore[operator]  # a NaN is not
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
    if isinstance(value, int) and value >= 1 << 63:  # no length is that long (§5.2)
        raise ValueError(f"{name} must be less than 2**63, not {value!r}")
    return int(value) if isinstance(value, int) else float(value)  # type: ignore[arg-type]


_limits_writers = [_writer(getattr(Limits, name)) for name in Limits.__match_args__]

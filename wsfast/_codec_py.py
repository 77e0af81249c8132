"""Layer 2 in pure Python, the receiving half; with its neighbours, the twin of ``_codec_c``."""

from __future__ import annotations

import _thread
from operator import index
from sys import maxsize

from ._encoder_py import FrameEncoder
from ._kernels_py import (
    RSV1,
    Utf8Decoder,
    Utf8Stream,
    Utf8Validator,
    build_header,
    mask,
    mask_inplace,
    parse_header,
    policy_of,
    read_close,
    scan,
    utf8_valid,
    view_of,
)
from ._reader_py import FrameReader
from ._scan_py import Builder as Builder
from ._scan_py import Scanner as Scanner
from ._scan_py import Whole as Whole
from ._scan_py import instance as instance
from ._scan_py import take as take
from ._scan_py import take_text as take_text
from ._scan_py import take_utf8 as take_utf8
from .errors import RemoteProtocolError
from .frames import (
    STRICT_CLIENT,
    STRICT_SERVER,
    Close,
    Frame,
    Limits,
    Opcode,
    Ping,
    Pong,
    Role,
    Text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, NoReturn, Protocol, SupportsIndex

    from typing_extensions import Buffer

    from .frames import Policy

    Item = str | bytes | Text | Frame | Ping | Pong | Close | RemoteProtocolError

    class Inflate(Protocol):
        def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes: ...


__all__ = [
    "FrameDecoder",
    "FrameEncoder",
    "MessageDecoder",
    "Utf8Decoder",
    "Utf8Validator",
    "backend",
    "build_header",
    "mask",
    "mask_inplace",
    "parse_header",
    "scan",
    "utf8_valid",
]

_RECEIVE_BUFFER = 64 << 10  # bytes get_buffer() offers when the caller has no wish
_LARGEST_RECEIVE_BUFFER = 256 << 10  # beyond, reads go cold in the cache


def backend() -> str:
    """The name of this implementation: ``"python"``."""
    return "python"


class _Decoder:
    """What both decoders share: one owner at a time, errors as the last item, buffers, EOF."""

    __slots__ = (
        "_check",
        "_control",
        "_ended",
        "_fault",
        "_lock",
        "_moved",
        "_reader",
        "_receive",
        "_room",
        "_utf8",
        "failed",
    )

    def _set_up(
        self, role: Role, policy: Policy | None, limits: Limits | None, inflates: bool
    ) -> None:
        if role is not Role.SERVER and role is not Role.CLIENT:
            raise TypeError(f"role must be a Role, not {type(role).__name__}")
        if policy is None:
            policy = STRICT_SERVER if role is Role.SERVER else STRICT_CLIENT
        policy_of(policy)
        if limits is None:
            limits = Limits()
        if type(limits) is not Limits:
            raise TypeError(f"limits must be a Limits, not {type(limits).__name__}")
        self.failed: RemoteProtocolError | None = None  # first: what hangs on it may call us
        self._reader = FrameReader(policy, limits, inflates)
        self._check = policy.utf8
        self._utf8 = Utf8Stream()
        self._fault: int | None = None  # of the message's UTF-8, where policy tells it late
        self._control = b""
        self._receive: bytearray | None = None
        self._ended = False
        self._moved = 0  # bytes copied into and out of held buffers; tests bound it
        self._lock = _thread.allocate_lock()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled: it holds half a stream")

    def feed(self, data: Buffer, /) -> list[Item]:
        """Everything the next bytes of the stream complete, in order, as a list.

        If the peer broke a rule the last item is the ``RemoteProtocolError``; from then on, and
        after a Close frame or ``feed_eof()``, the list is empty. Keeps no reference to ``data``
        (any flat buffer of bytes). ``RuntimeError`` while another thread is in the decoder.
        """
        return self._guarded(data if type(data) is bytes else view_of(data))[0]

    def feed_eof(self) -> list[Item]:
        """The stream has ended: ``[unexpected_eof]`` inside a frame or message, else ``[]``."""
        return self._guarded(None)[0]

    def _guarded(
        self, data: bytes | memoryview | None, most: int = maxsize
    ) -> tuple[list[Item], int]:
        if not self._lock.acquire(False):
            raise RuntimeError("decoder is in use by another thread")
        try:
            if self.failed is not None or self._ended:
                return [], 0 if data is None else len(data)
            return (self._end(), 0) if data is None else self._run(bytes(data), most)
        except BaseException:
            self._ended = True  # half a chunk is gone: what follows could not be understood
            raise
        finally:
            self._lock.release()

    def _end(self) -> list[Item]:
        self._ended = True
        if not self._reader.unfinished:
            return []
        return [self._fail(RemoteProtocolError("unexpected_eof", self._reader.stream))]

    def _run(self, data: bytes, most: int) -> tuple[list[Item], int]:
        """And how far it came: to the end, unless ``most`` bytes were inflated before."""
        items: list[Item] = []
        reader = self._reader
        pos = 0
        self._room = most
        try:
            while self._room > 0 and (pos := reader.step(data, pos)) >= 0:
                if reader.opcode >= 8:
                    self._take_control(data, items)
                else:
                    self._take_data(data, items)
                reader.done()
        except RemoteProtocolError as exc:
            exc.__traceback__ = exc.__context__ = None  # they would keep the chunk alive
            items.append(self._fail(exc))
            pos = -1
        return items, len(data) if pos < 0 else pos

    def _fail(self, exc: RemoteProtocolError) -> RemoteProtocolError:
        self.failed = exc
        self._control = b""
        self._reader.head = b""
        self._drop()
        return exc

    def _take_data(self, data: bytes, items: list[Item]) -> None:
        raise NotImplementedError

    def _control_item(self, reader: FrameReader, payload: bytes) -> Item:
        raise NotImplementedError

    def _drop(self) -> None:
        raise NotImplementedError

    def _take_control(self, data: bytes, items: list[Item]) -> None:
        reader = self._reader
        piece = reader.unmask(data)
        if not reader.last:
            self._moved += len(piece)
            self._control += piece
            return
        payload = self._control + piece if self._control else piece
        self._control = b""
        items.append(self._control_item(reader, payload))

    def _read_close(self, payload: bytes) -> tuple[int, str]:
        reader = self._reader
        try:
            return read_close(payload, reader.policy.close_codes == "any")
        except RemoteProtocolError as exc:
            offset = reader.payload_offset + exc.offset
            raise RemoteProtocolError(exc.name, offset) from None

    def _check_text(self, piece: bytes, final: bool) -> None:
        """Judge the next piece of a text message, as ``Policy.utf8`` says."""
        if self._check == "off":
            return
        if self._fault is None:
            try:
                self._utf8.feed(piece, self._reader.payload_offset + self._reader.at)
                if final:
                    self._utf8.end()
            except UnicodeDecodeError as exc:
                self._fault = exc.start
        if final:
            self._utf8 = Utf8Stream()
        if self._fault is not None and (final or self._check == "fail_fast"):
            raise RemoteProtocolError("invalid_utf8", self._fault)

    @property
    def unfinished(self) -> bool:
        """Whether the stream is inside a frame or a fragmented message."""
        return self.failed is None and not self._ended and self._reader.unfinished

    def get_buffer(self, hint: SupportsIndex, /) -> memoryview:
        """A writable view to receive into, for ``asyncio.BufferedProtocol``; 64 to 256 KiB."""
        size = min(max(index(hint), _RECEIVE_BUFFER), _LARGEST_RECEIVE_BUFFER)
        if self._receive is None or len(self._receive) < size:
            self._receive = bytearray(size)
        return memoryview(self._receive)

    def buffer_updated(self, nbytes: SupportsIndex, /) -> list[Item]:
        """``feed`` of the first ``nbytes`` bytes of the view ``get_buffer`` gave."""
        size = index(nbytes)
        if self._receive is None or not 0 <= size <= len(self._receive):
            raise ValueError("more bytes than get_buffer() gave")
        return self._guarded(memoryview(self._receive)[:size])[0]


class FrameDecoder(_Decoder):
    """Bytes in, ``Frame``s out.

    Judges headers, order, limits, text and close payloads as ``policy`` and ``limits`` say
    (``None``: strict, ``Limits()``); text under an RSV1 that ``policy`` allows is not judged.
    With ``partial`` the pieces of an unfinished data frame are delivered as they arrive, as
    frames with ``complete=False``.
    """

    __slots__ = ("_is_text", "_partial", "_payload")

    def __init__(
        self,
        role: Role,
        *,
        policy: Policy | None = None,
        limits: Limits | None = None,
        partial: bool = False,
    ) -> None:
        self._set_up(role, policy, limits, False)
        self._is_text = False
        self._partial = bool(partial)
        self._payload = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes held for what is unfinished."""
        return len(self._reader.head) + len(self._control) + len(self._payload)

    def _drop(self) -> None:
        self._payload = bytearray()

    def _control_item(self, reader: FrameReader, payload: bytes) -> Item:
        if reader.opcode == Opcode.CLOSE:
            self._read_close(payload)
        return Frame(reader.opcode, reader.fin, reader.rsv, payload)

    def _take_data(self, data: bytes, items: list[Item]) -> None:
        reader = self._reader
        piece = reader.unmask(data)
        self._judge(piece)
        if reader.last or self._partial:
            if self._payload:
                self._moved += 2 * len(piece) + len(self._payload)
                piece = bytes(self._payload + piece)
                self._payload = bytearray()
            items.append(Frame(reader.opcode, reader.fin, reader.rsv, piece, reader.last))
        else:
            self._moved += len(piece)
            self._payload += piece

    def _judge(self, piece: bytes) -> None:
        reader = self._reader
        if reader.opcode:  # the first frame of a message
            if not reader.at:
                self._fault = None
                self._utf8 = Utf8Stream()
            self._is_text = reader.opcode == Opcode.TEXT and not reader.rsv & RSV1
        if self._is_text:
            self._check_text(piece, reader.last and reader.fin)


class MessageDecoder(_Decoder):
    """Bytes in, messages and control frames out.

    ``feed`` returns bare ``str`` (or ``Text`` with ``text="bytes"``) and ``bytes`` messages,
    ``Ping``, ``Pong``, ``Close`` and, last, at most one ``RemoteProtocolError``. ``policy`` and
    ``limits`` default to strict and ``Limits()``. ``inflate`` is an object whose
    ``inflate(data, fin, limit) -> bytes`` undoes the negotiated compression (``deflate.py``).
    Enforces ``max_message``, ``max_frame`` and ``max_fragments``; the other limits are enforced
    by ``Connection``, ``deflate`` and ``handshake``.
    """

    __slots__ = ("_as_str", "_inflate", "_message")

    def __init__(
        self,
        role: Role,
        *,
        policy: Policy | None = None,
        limits: Limits | None = None,
        text: Literal["str", "bytes"] = "str",
        inflate: Inflate | None = None,
    ) -> None:
        if text not in ("str", "bytes"):
            raise ValueError(f"text must be 'str' or 'bytes', not {text!r}")
        self._as_str = text == "str"
        self._set_up(role, policy, limits, inflate is not None)
        if self._as_str and self._check == "off":
            raise ValueError('utf8="off" needs text="bytes": a str is always checked')
        self._inflate = inflate
        self._message = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes held for what is unfinished."""
        return len(self._reader.head) + len(self._control) + len(self._message)

    def feed_some(self, data: Buffer, most: SupportsIndex, /) -> tuple[list[Item], int]:
        """``feed``, but no further than to where compressed messages have come to ``most`` bytes.

        Returns the list, and how many bytes of ``data`` are done with; the rest is to be passed
        again. More than ``most`` comes out only of the frame that reaches it. ``ValueError``
        unless ``most`` is at least 1.
        """
        room = index(most)
        if room < 1:
            raise ValueError("most must be at least 1")
        return self._guarded(view_of(data), room)

    def _drop(self) -> None:
        self._message = bytearray()

    def _control_item(self, reader: FrameReader, payload: bytes) -> Item:
        if reader.opcode == Opcode.PING:
            return Ping(payload)
        if reader.opcode == Opcode.PONG:
            return Pong(payload)
        return Close(*self._read_close(payload))

    def _take_data(self, data: bytes, items: list[Item]) -> None:
        reader = self._reader
        piece = reader.unmask(data)
        final = reader.last and reader.fin
        if reader.inflating:
            piece = self._inflate_piece(piece, final)
        if reader.message == Opcode.TEXT:
            self._judge(piece, final)
        if not final:
            self._moved += len(piece)
            self._message += piece
            return
        if self._message:
            self._moved += 2 * len(piece) + len(self._message)
            piece = bytes(self._message + piece)
            self._message = bytearray()
        items.append(self._item(piece))

    def _inflate_piece(self, piece: bytes, final: bool) -> bytes:
        assert self._inflate is not None
        limit = self._reader.limits.max_message
        room = None if limit is None else limit - len(self._message)
        try:
            inflated = self._inflate.inflate(piece, final, room)
        except RemoteProtocolError as exc:
            raise RemoteProtocolError(exc.name, self._reader.offset) from None
        if type(inflated) is not bytes:
            raise TypeError(f"inflate() must return bytes, not {type(inflated).__name__}")
        if room is not None and len(inflated) > room:  # not every back end is exact
            raise RemoteProtocolError("message_too_big", self._reader.offset)
        self._room -= len(inflated)
        return inflated

    def _judge(self, piece: bytes, final: bool) -> None:
        reader = self._reader
        if reader.opcode and not reader.at:  # the first piece of a message
            self._fault = None
            self._utf8 = Utf8Stream()
        try:
            self._check_text(piece, final)
        except RemoteProtocolError as exc:
            if reader.inflating:  # inflated bytes have no place in the stream
                exc = RemoteProtocolError(exc.name, reader.offset)
            raise exc from None

    def _item(self, payload: bytes) -> Item:
        if self._reader.message == Opcode.BINARY:
            return payload
        return payload.decode() if self._as_str else Text(payload)

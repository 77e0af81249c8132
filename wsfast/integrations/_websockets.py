"""websockets, the Sans-I/O layer: ``Protocol.parse`` and ``receive_data``, ``Frame.serialize``.

Reaches asyncio, threads, trio, and what stands on the Sans-I/O layer (uvicorn, Sanic). Only
ordinary frames are taken. What is not ordinary stays in ``reader.buffer`` and is left to the
library's own generator, which then finds its own words, codes and moment for it.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Generator, Sequence
from types import MethodType
from typing import Any

from websockets.exceptions import ProtocolError
from websockets.extensions import Extension
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.version import version

from wsfast.codec import Builder, Scanner
from wsfast.errors import RemoteProtocolError
from wsfast.frames import Policy

from ._seams import Seam

_parse = Protocol.parse
_receive_data = Protocol.receive_data
_recv_frame = Protocol.recv_frame
_serialize = Frame.serialize
# websockets' users and its own tests patch these two; then its own code must run.
UNPACK, TOKEN_BYTES = struct.unpack, secrets.token_bytes

CLIENT = Side.CLIENT
CONT, TEXT, BINARY, PING, PONG = Opcode.CONT, Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG
# First byte of a header -> opcode, FIN, RSV1. A Close frame is not here: it ends the stream, and
# the library does that itself.
KINDS = {
    0x81: (TEXT, True, False), 0x82: (BINARY, True, False), 0x80: (CONT, True, False),
    0x01: (TEXT, False, False), 0x02: (BINARY, False, False), 0x00: (CONT, False, False),
    0xC1: (TEXT, True, True), 0xC2: (BINARY, True, True),
    0x41: (TEXT, False, True), 0x42: (BINARY, False, True),
    0x89: (PING, True, False), 0x8A: (PONG, True, False),
}  # fmt: skip

OLD = version.startswith("15.")
SIZE = "cur_size" if OLD else "current_size"  # of the message under way, None between messages
# What RFC 6455 §5.2 forbids and the library accepts: refused with policy="strict".
STRICT = frozenset(("length_not_minimal", "length_msb"))


def _scanners(**rules: Any) -> tuple[tuple[Scanner, Scanner], tuple[Scanner, Scanner]]:
    """[is it a client][are there extensions, which may use RSV1]; a client's payloads are
    ``bytearray``, as the library's are."""

    def pair(mask: Any, mutable: bool) -> tuple[Scanner, Scanner]:
        plain, extended = (Policy(mask=mask, rsv=rsv, **rules) for rsv in (0, 4))
        plain_scanner = Scanner(plain, mutable=mutable, opcodes=(TEXT, BINARY))
        return plain_scanner, Scanner(extended, mutable=mutable)

    return pair("require", False), pair("forbid", True)


_HOST = _scanners(minimal_length=False, msb="accept")
_STRICT = _scanners()
scanner_of = _HOST
PLAIN, MASKED = Builder(masked=False), Builder(masked=True)


def configure(*, policy: str, cork: bool) -> None:
    """``policy="strict"`` refuses lengths that the library is lenient about."""
    global scanner_of
    scanner_of = _STRICT if policy == "strict" else _HOST


def hits() -> int:
    """Frames received and sent through here."""
    received = sum(scanner.frames for pair in (*_HOST, *_STRICT) for scanner in pair)
    return received + PLAIN.frames + MASKED.frames


# ---- receiving ----------------------------------------------------------------------------------


def largest(protocol: Any, under_way: int | None) -> Any:
    """The largest payload the next frame may have, in bytes."""
    most = protocol.max_size if OLD else protocol.max_message_size
    if under_way is not None and most is not None:
        most -= under_way
    if not OLD and protocol.max_fragment_size is not None:
        fragment = protocol.max_fragment_size
        return fragment if most is None else min(most, fragment)
    return most


def take(protocol: Any, data: bytes | bytearray) -> tuple[int, bool]:
    """Make events of the ordinary frames of ``data``: where they end, and whether what follows is,
    as far as it is there, the beginning of one more."""
    pos, size = 0, len(data)
    scanner = scanner_of[protocol.side is CLIENT][bool(protocol.extensions)]
    under_way = getattr(protocol, SIZE)
    most = largest(protocol, under_way)
    while pos < size:
        found = scanner.frame(data, pos, most)
        if type(found) is not tuple:
            if found in STRICT:
                raise ProtocolError(str(RemoteProtocolError(found)))
            return pos, found is None
        head, payload, end = found
        if head not in KINDS:
            return pos, False
        opcode, fin, rsv1 = KINDS[head]
        if opcode is not PING and opcode is not PONG and (opcode is CONT) is (under_way is None):
            return pos, False  # out of order
        frame = Frame(opcode, payload, fin, rsv1)
        if protocol.extensions:
            frame = decoded(protocol, frame, most)
        pos = end
        if opcode is PING:
            protocol.recv_frame(frame)  # answers, and appends the event
            continue
        if opcode is CONT or not fin:
            under_way = None if fin else (under_way or 0) + len(frame.data)
            setattr(protocol, SIZE, under_way)
            most = largest(protocol, under_way)
        protocol.events.append(frame)
    return pos, True


def decoded(protocol: Any, frame: Any, most: int | None) -> Any:
    for extension in reversed(protocol.extensions):
        frame = extension.decode(frame, max_size=most)
    frame.check()
    return frame


def ordinary(protocol: Any) -> bool:
    """Whether nothing asks for the library's own parser."""
    return (
        not protocol.debug
        and struct.unpack is UNPACK
        and type(method := protocol.recv_frame) is MethodType
        and method.__func__ is _recv_frame
        and type(protocol).receive_data is receive_data
    )


def parse(self: Any) -> Generator[None]:
    """In the place of ``Protocol.parse`` until there is something for the original to judge."""
    reader = self.reader
    fault = None
    try:
        while not reader.eof and ordinary(self):
            if reader.buffer:
                end, more = take(self, reader.buffer)
                del reader.buffer[:end]
                if not more:
                    break
            self._wsfast_parser = True  # receive_data() knows which generator it has just run
            yield
    except Exception as exc:
        fault = exc
    self._wsfast_parser = None
    judge = _parse(self)
    if fault is not None:
        # It meets the original where that waits for data; what is buffered will be discarded.
        del reader.buffer[:]
        next(judge)
        judge.throw(fault)
        yield
    yield from judge


def passes_on(parser: Any) -> bool:
    """Whether it does nothing but delegate to our generator: a loop over that sees every step."""
    while (inner := getattr(parser, "gi_yieldfrom", None)) is not None:
        parser = inner
    return getattr(parser, "gi_code", None) is parse.__code__


def receive_data(self: Any, data: bytes | bytearray) -> None:
    """Frames are taken from ``data`` itself where none is unfinished: two copies less."""
    reader = self.reader
    parser: Any = self.parser
    waits: Any = getattr(self, "_wsfast_parser", None)
    if (
        waits is not parser
        or (type(data) is not bytes and type(data) is not bytearray)
        or reader.buffer
        or not ordinary(self)
    ):
        self._wsfast_parser = None
        _receive_data(self, data)
        waiting = self._wsfast_parser is True and self.parser is parser
        if waiting and (waits is parser or passes_on(parser)):
            self._wsfast_parser = parser
        return
    try:
        end, more = take(self, data)
    except Exception as exc:
        parser.throw(exc)
        return
    if end < len(data):
        reader.buffer += data[end:]
        if not more:
            next(parser)


# ---- sending ------------------------------------------------------------------------------------


def serialize(self: Any, *, mask: bool, extensions: Sequence[Extension] | None = None) -> bytes:
    """In the place of ``Frame.serialize``."""
    if (mask and secrets.token_bytes is not TOKEN_BYTES) or not flat(self.data):
        return _serialize(self, mask=mask, extensions=extensions)
    self.check()
    for extension in extensions or ():
        self = extension.encode(self)
    head = self.opcode | (0x80 if self.fin else 0)
    if self.rsv1 or self.rsv2 or self.rsv3:
        head |= (0x40 if self.rsv1 else 0) | (0x20 if self.rsv2 else 0) | (0x10 if self.rsv3 else 0)
    return (MASKED if mask else PLAIN).build(head, self.data)


def flat(data: Any) -> bool:
    """Whether the payload's length is its number of bytes; else the original must refuse it."""
    kind = type(data)
    if kind is memoryview:
        return bool(data.ndim == data.itemsize == 1 and data.c_contiguous)
    return kind is bytes or kind is bytearray


# ---- the seams ----------------------------------------------------------------------------------

_P, _F, _S = (
    "websockets.protocol:Protocol.",
    "websockets.frames:Frame.",
    "websockets.streams:StreamReader.",
)
SEAMS = (
    Seam(f"{_P}parse", parse, reads=(f"{_P}recv_frame", f"{_P}fail", f"{_P}discard", f"{_F}parse")),
    Seam(f"{_P}receive_data", receive_data, reads=(
        f"{_S}feed_data", f"{_S}at_eof", f"{_S}discard")),
    Seam(f"{_F}serialize", serialize, reads=(f"{_F}check", f"{_P}send_frame")),
)  # fmt: skip


class Original(Protocol):
    """The library as it was, for ``selftest``."""

    parse = _parse
    receive_data = _receive_data

    def send_frame(self, frame: Any) -> None:
        self.writes.append(_serialize(frame, mask=False))


# A server's input: each way a frame can end up, what is left to the library among them.
CANNED = [
    bytes.fromhex(frame)
    for frame in (
        "8185 01020304 69676f686e",  # a text
        "0181 00000000 68 8084 01020304 64676868",  # in two fragments
        "0180 00000000 8980 00000000 8a81 00000000 2a 8080 00000000",  # with a ping and a pong
        "82fe 0001 00000000 2a",  # a length that is not minimal
        "8880 00000000",  # the end
        "8882 00000000 03e8",
        "8181 00000000 ff",  # not UTF-8
        "8380 00000000",  # reserved opcode
        "c180 00000000",  # RSV1
        "8101 2a",  # not masked
        "8080 00000000",  # a continuation of nothing
        "0180 00000000 8180 00000000",  # a message in a message
        "0980 00000000",  # a fragmented ping
        "89fe 007e 00000000" + 126 * "2a",  # a long ping
        "82ff 0000000000100000 00000000",  # too big
    )
]


def selftest(fast: type[Protocol] = Protocol) -> None:
    """Both answer the same to the same input, whole and byte by byte, with the host's policy."""
    global scanner_of
    chosen, scanner_of = scanner_of, _HOST
    try:
        for canned in CANNED:
            for size in (len(canned), 1):
                if outcome(fast, canned, size) != outcome(Original, canned, size):
                    raise AssertionError(f"{canned.hex()} is not answered as before")
    finally:
        scanner_of = chosen


def outcome(kind: type[Protocol], data: bytes, size: int) -> object:
    protocol: Any = kind(Side.SERVER, max_size=4096)
    for start in range(0, len(data), size):
        protocol.receive_data(data[start : start + size])
    fault = protocol.parser_exc
    return (
        [(event, type(event.data)) for event in protocol.events_received()],
        protocol.data_to_send(),
        (protocol.state, type(fault), str(fault)),
    )

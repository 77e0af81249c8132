"""Layer 3: two Connections against a model of what was said; one against any bytes; deflate."""

from __future__ import annotations

import zlib
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

from fuzz_input import (
    KEY,
    Input,
    agree,
    backends,
    chunks,
    contexts,
    implementation,
    limits_from,
    outcome,
    policy_from,
    role_from,
    same,
    shown,
)

from wsfast import connection as layer
from wsfast import deflate
from wsfast.connection import Connection, State
from wsfast.errors import LocalProtocolError, RemoteProtocolError
from wsfast.frames import STRICT_CLIENT, STRICT_SERVER, Close, Limits, Ping, Pong, Role, Text
from wsfast.handshake import Offer, accept

# ---- two of them --------------------------------------------------------------------------------


class End:
    """One Connection, what the other one is to receive from it, and the bytes on their way."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.said: list[object] = []  # messages and Pings queued
        self.heard: list[object] = []  # of the other's
        self.pongs: list[bytes] = []
        self.pinged: list[bytes] = []
        self.fragments: list[Any] = []
        self.wire = bytearray()

    def send(self, given: Input) -> None:
        """Whatever is refused was not said."""
        try:
            _SAYINGS[given.byte() % len(_SAYINGS)](self, given)
        except LocalProtocolError as exc:
            names = ("closing", "expected_continuation", "invalid_utf8")
            same(exc.name in names, True, exc.name)
            same(exc.name != "closing" or self.connection.state is not State.OPEN, True)

    def text(self, given: Input) -> None:
        message = _text(given)
        self.connection.send(message, compress=given.pick((None, None, True, False)))
        self.said.append(message)

    def binary(self, given: Input) -> None:
        message = given.take(given.byte()) * given.pick((1, 1, 1, 300))
        kind = given.pick((bytes, bytearray, memoryview))
        self.connection.send(kind(message), compress=given.pick((None, None, True, False)))
        self.said.append(message)

    def fragment(self, given: Input) -> None:
        begun = self.fragments[0] if self.fragments else given.pick(("", b""))
        piece = _text(given) if isinstance(begun, str) else given.take(given.byte() % 64)
        fin = given.pick((False, False, True))
        self.connection.send_fragment(piece, fin=fin)
        self.fragments.append(piece)
        if fin:
            self.said.append(type(begun)().join(self.fragments))
            self.fragments = []

    def ping(self, given: Input) -> None:
        payload = given.pick((None, given.take(given.byte() % 126)))
        sent = self.connection.ping(payload)
        self.said.append(Ping(sent))
        self.pinged.append(sent)

    def close(self, given: Input) -> None:
        code = given.pick((1000, 1005, 1011, 3000, 4999))
        reason = "" if code == 1005 else _text(given)[:30]
        self.connection.close(code, reason)

    def read(self, data: bytes) -> None:
        for event in self.connection.receive(data):
            if isinstance(event, RemoteProtocolError):
                raise event
            if isinstance(event, Pong):
                self.pongs.append(event.payload)
            elif isinstance(event, Text):
                self.heard.append(event.payload.decode())
            elif not isinstance(event, Close):
                self.heard.append(event)


_MESSAGES = (End.text, End.binary, End.fragment)
_SAYINGS = (*_MESSAGES, End.ping, *_MESSAGES, End.close)


def _text(given: Input) -> str:
    return given.take(given.byte()).decode("utf-8", "replace")


def pair(data: bytes) -> None:
    """Whatever two ends say, in any pieces: the other hears it, in order, and nobody fails."""
    given = Input(data)
    ends = _two_ends(given)
    while given:
        step = given.byte()
        mine, other = ends if step & 1 else ends[::-1]
        if step & 2:
            mine.send(given)
        else:
            mine.wire += b"".join(mine.connection.data_to_send())
            _deliver(mine, other, given.byte() if step & 4 else len(mine.wire))
    for _ in range(4):  # a message, its Pong, Close, its echo
        for mine, other in (ends, ends[::-1]):
            mine.wire += b"".join(mine.connection.data_to_send())
            _deliver(mine, other, len(mine.wire))
    for mine, other in (ends, ends[::-1]):
        same(shown(other.heard), shown(mine.said))
        _answered(mine, other)
    _closed(ends[0].connection, ends[1].connection)


def _deliver(mine: End, other: End, size: int) -> None:
    other.read(bytes(mine.wire[:size]))
    del mine.wire[:size]


def _answered(mine: End, other: End) -> None:
    """§5.5.2, §5.5.3: Pongs in the order of the Pings, the latest among them unless it closed."""
    waiting = iter(mine.pinged)
    same(all(pong in waiting for pong in mine.pongs), True, "a Pong nobody asked for")
    if mine.pinged and other.connection.close_rcvd is None and other.connection.close_sent is None:
        same(mine.pongs[-1:], mine.pinged[-1:])


def _closed(one: Connection, other: Connection) -> None:
    same((one.failed, other.failed, one.bytes_queued, other.bytes_queued), (None, None, 0, 0))
    same(one.state, other.state)
    same(one.state in (State.OPEN, State.CLOSED), True, str(one.state))
    same((one.close_rcvd, other.close_rcvd), (other.close_sent, one.close_sent))


def _two_ends(given: Input) -> tuple[End, End]:
    """Each on an implementation of its own, with or without a negotiated permessage-deflate."""
    options = _deflates(given) if given.byte() & 1 else None
    ours, theirs = _negotiated(options)
    text = given.pick(("str", "bytes"))
    made = []
    for role, extensions in ((Role.SERVER, ours), (Role.CLIENT, theirs)):
        module = implementation(given.pick(backends()))
        with _codec(module):
            made.append(End(Connection(role, extensions=extensions, limits=_UNLIMITED, text=text)))
    return made[0], made[1]


_UNLIMITED = Limits(max_message=None, max_fragments=None)


def _codec(module: ModuleType) -> Any:
    """Connections made now are made of ``module``."""
    return mock.patch.multiple(
        layer, MessageDecoder=module.MessageDecoder, FrameEncoder=module.FrameEncoder
    )


def _deflates(given: Input) -> tuple[deflate.PerMessageDeflate, deflate.PerMessageDeflate]:
    bits = (None, 9, 10, 12, 15)
    return tuple(
        deflate.PerMessageDeflate(
            server_no_context_takeover=given.pick((False, True)),
            client_no_context_takeover=given.pick((False, True)),
            server_max_window_bits=given.pick(bits),
            client_max_window_bits=given.pick(bits),
            level=given.pick((-1, 0, 1, 9)),
            mem_level=given.pick((5, 1, 9)),
            threshold=given.pick((64, 0)),
        )
        for _ in range(2)
    )  # type: ignore[return-value]


def _negotiated(options: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """By way of the header fields; none where the client does not like the answer."""
    if options is None:
        return (), ()
    server, client = options
    fields = _elements(client.offer())
    answer = accept(Offer("a", None, None, (), fields, []), extensions=[server])
    if not answer.extensions:
        return (), ()
    confirmed = client.confirm(_elements(answer.extensions[0].header)[0][1])
    return ((), ()) if confirmed is None else (answer.extensions, (confirmed,))


def _elements(field: str) -> Any:
    from wsfast._http import read_extensions

    return read_extensions([(b"sec-websocket-extensions", field.encode())])


# ---- one, and any bytes -------------------------------------------------------------------------


def peer(data: bytes) -> None:
    """A Connection fed anything: never an exception, the same from C, its answers well-formed."""
    given = Input(data)
    role, policy, limits = role_from(given), policy_from(given), limits_from(given)
    text, way = given.pick(("str", "bytes")), given.byte()
    begun, limits = given.pick((None, "close", "ping")), _timed(limits, given)
    times = {"ping_interval": given.pick((None, 1.0, 3.0)), "ping_timeout": given.pick((None, 2.0))}
    squeezed = _negotiated(_deflates(given))[role is Role.CLIENT] if given.byte() & 1 else ()
    pieces = chunks(given.rest(), way)

    def run(module: ModuleType) -> object:
        options = {"limits": limits, "policy": policy, "text": text, "extensions": squeezed}
        with _codec(module):
            try:
                made = Connection(role, keys=lambda: KEY, **options, **times)
            except ValueError as exc:
                return str(exc)
        return _history(made, pieces, begun)

    found = agree(run)
    if isinstance(found, list):
        _answers(role, b"".join(part for *_, sent in found for part in sent))


def _timed(limits: Limits, given: Input) -> Limits:
    timeouts = {"close_timeout": given.pick((10.0, 0.0, 2.0, None))}
    return limits.replace(message_timeout=given.pick((None, 1.0)), **timeouts)


def _history(made: Connection, pieces: list[bytes], begun: str | None) -> list[Any]:
    if begun:
        getattr(made, begun)()
    seen = []
    for now, piece in enumerate([*pieces, None]):
        events = made.receive_eof() if piece is None else made.receive(piece, float(now))
        due = made.next_deadline(), shown(made.tick(float(now))), made.next_deadline()
        state = (made.state, made.should_close_transport, shown(made.failed), made.close_sent)
        sent = made.data_to_send() if now % 3 else []
        seen.append((shown(events), due, state, made.close_rcvd, made.bytes_queued, sent))
    seen.append((made.bytes_queued, made.data_to_send()))
    return seen


def _answers(role: Role, wire: bytes) -> None:
    """Our own strict decoder takes all that was sent; behind Close only Pongs (§5.5.1, §5.5.2)."""
    module = implementation(backends()[-1])
    policy = STRICT_CLIENT if role is Role.SERVER else STRICT_SERVER
    found, end, error = module.scan(wire, policy=policy)
    same((end, error), (len(wire), None))
    sent = bytes(frame.opcode for frame in found)
    same(sent.partition(b"\x08")[2].strip(b"\x0a"), b"", "behind Close")


# ---- permessage-deflate -------------------------------------------------------------------------


def inflate(data: bytes) -> None:
    """Inflater: any bytes; in pieces as whole, as zlib itself has it, and never past a limit."""
    for module in contexts():
        _inflates(module, Input(data))


def _inflates(module: ModuleType, given: Input) -> None:
    bits, takeover, way = given.pick((15, 9, 12)), given.pick((True, False)), given.byte()
    limit = given.pick((None, 0, 1, 10, 300, 5000))
    sizes = [given.byte() for _ in range(given.byte() % 4)]
    wire = [given.take(size) for size in sizes] + [given.rest()]
    whole = module.Inflater(bits, takeover=takeover)
    cut = module.Inflater(bits, takeover=takeover)
    bound = module.Inflater(bits, takeover=takeover)
    plain = _Plain(bits, takeover)
    for message in wire:
        pieces = chunks(message, way) or [b""]
        out = _inflated(whole, [message], None)
        found = _inflated(cut, pieces, None)
        if found is None and bits < 15:
            # A distance beyond the window agreed on: zlib, as it is built, finds out where it has
            # to look there, and not where the bytes are still in the output of the same call.
            return
        same(found, out, "in pieces")
        _within(bound, pieces, limit, out)
        same(plain.inflate(message, out), out, "zlib itself")
        if out is None or (limit is not None and len(out) > limit):
            return


def _inflated(inflater: deflate.Inflater, pieces: list[bytes], limit: int | None) -> bytes | None:
    """The message, or None for ``deflate_error``."""
    found = bytearray()
    try:
        for i, piece in enumerate(pieces):
            room = None if limit is None else limit - len(found)
            found += inflater.inflate(piece, i == len(pieces) - 1, room)
    except RemoteProtocolError as exc:
        same(exc.name, "deflate_error")
        return None
    return bytes(found)


def _within(
    inflater: deflate.Inflater, pieces: list[bytes], limit: int | None, out: bytes | None
) -> None:
    """Exactly up to the limit (S2), and zlib is never asked for more than one byte beyond (S1)."""
    _Counted.made = 0
    inflater._zlib = SimpleNamespace(**{**vars(zlib), "decompressobj": _Counted})
    found = outcome(_inflated, inflater, pieces, limit)
    if limit is not None and _Counted.made > limit + 1:
        raise AssertionError(f"{_Counted.made} bytes made with a limit of {limit}")
    if limit is None or (out is not None and len(out) <= limit):
        same(found, shown(out), "below the limit")
    elif out is not None:
        same(found[0], "raised", "above the limit")  # type: ignore[index]


class _Counted:
    """A context of zlib's that says how much it made."""

    made = 0

    def __init__(self, *arguments: Any) -> None:
        self._context = zlib.decompressobj(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def decompress(self, *arguments: Any) -> bytes:
        found = self._context.decompress(*arguments)
        _Counted.made += len(found)
        return found


class _Plain:
    """zlib alone, one call for each message; behind a final block it has no opinion."""

    def __init__(self, bits: int, takeover: bool) -> None:
        self.bits, self.takeover = bits, takeover
        self.context = zlib.decompressobj(-bits)

    def inflate(self, message: bytes, otherwise: bytes | None) -> bytes | None:
        if not self.takeover:
            self.context = zlib.decompressobj(-self.bits)
        if self.context.eof:
            return otherwise
        try:
            out = self.context.decompress(message + b"\0\0\xff\xff" if message else b"")
        except zlib.error:
            return None
        return otherwise if self.context.eof else out


def roundtrip(data: bytes) -> None:
    """Deflater and Inflater: any messages in any pieces, in less than stored blocks would take."""
    for module in contexts():
        _returns(module, Input(data))


def _returns(module: ModuleType, given: Input) -> None:
    bits, takeover = given.pick((15, 9, 10, 12)), given.pick((True, False))
    squeeze = module.Deflater(
        bits,
        takeover=takeover,
        level=given.pick((-1, 0, 1, 6, 9)),
        mem_level=given.pick((5, 1, 8, 9)),
        threshold=0,
    )
    inflater = module.Inflater(bits, takeover=takeover)
    while given:
        pieces = [
            given.take(given.byte() % 64) * given.pick((1, 1, 5, 200))
            for _ in range(1 + given.byte() % 3)
        ]
        wire = [squeeze.deflate(p, i == len(pieces) - 1) for i, p in enumerate(pieces)]
        message = b"".join(pieces)
        found = [inflater.inflate(w, i == len(wire) - 1, len(message)) for i, w in enumerate(wire)]
        same(b"".join(found), message)

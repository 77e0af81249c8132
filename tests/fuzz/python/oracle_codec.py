"""Layers 1 and 2: C against its twin in Python, whole against pieces, CPython against both."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

from fuzz_input import (
    Input,
    agree,
    chunks,
    implementations,
    items_of,
    limits_from,
    outcome,
    policy_from,
    role_from,
    same,
    shown,
    xor,
)

from wsfast import deflate
from wsfast.errors import RemoteProtocolError
from wsfast.frames import Frame, Opcode, Policy, Role


class Thrice:
    """An ``inflate`` whose output is easy to predict; refuses 0xFF."""

    def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes:
        out = b"".join(bytes([byte]) * 3 for byte in data)
        if limit is not None and len(out) > limit:
            raise RemoteProtocolError("message_too_big")
        if b"\xff" in data:
            raise RemoteProtocolError("deflate_error")
        return out


class Late:
    """One that yields nothing until the message ends, and heeds no limit."""

    def __init__(self) -> None:
        self.held = b""

    def inflate(self, data: bytes, fin: bool, limit: int | None) -> bytes:
        self.held += data
        if not fin:
            return b""
        out, self.held = self.held * 2, b""
        return out


INFLATERS = (
    lambda: None,
    lambda: deflate.Inflater(15, takeover=True),
    lambda: deflate.Inflater(9, takeover=False, max_ratio=20),
    Thrice,
    Late,
)


def history(decoder: Any, pieces: list[bytes], counted: bool = True) -> list[object]:
    """All a caller can see of a decoder while it is fed some chunks and the end.

    ``counted``: at most 4 bytes are moved for each one fed (S5); inflated ones come on top.
    """
    seen: list[object] = []
    for feed in [*[partial(decoder.feed, piece) for piece in pieces], decoder.feed_eof]:
        seen.append(outcome(feed))
        seen.append((decoder.buffered, decoder.unfinished, shown(decoder.failed)))
    if counted and decoder._moved > 4 * sum(map(len, pieces)):
        raise AssertionError(f"{decoder._moved} bytes moved")
    return seen


def messages(data: bytes) -> None:
    """MessageDecoder: any bytes, any policy and limits, in any pieces."""
    given = Input(data)
    role, policy, limits = role_from(given), policy_from(given), limits_from(given)
    text, inflater, way = given.pick(("str", "bytes")), given.pick(INFLATERS), given.byte()
    stream = given.rest()

    def made(module: ModuleType) -> Any:
        return module.MessageDecoder(
            role, policy=policy, limits=limits, text=text, inflate=inflater()
        )

    def run(module: ModuleType) -> object:
        try:
            decoder = made(module)
        except ValueError as exc:
            return str(exc)
        return history(decoder, chunks(stream, way), counted=not inflates)

    inflates = inflater() is not None
    if not isinstance(agree(run), str):
        _whole_and_in_pieces(made, stream, inflates)


def _whole_and_in_pieces(made: Any, stream: bytes, inflates: bool) -> None:
    """How the stream is cut does not matter; to zlib it does which of two faults is met first."""
    for name, module in implementations():
        whole = items_of(made(module), [stream])
        single = items_of(made(module), chunks(stream, 1))
        if inflates and single and isinstance(single[-1], RemoteProtocolError):
            same(isinstance(whole[-1], RemoteProtocolError), True, name)
            del whole[-1], single[-1]
        same(shown(single), shown(whole), name)


def frames(data: bytes) -> None:
    """FrameDecoder, also delivering pieces, and by way of its receive buffer."""
    given = Input(data)
    role, policy, limits = role_from(given), policy_from(given), limits_from(given)
    partly, way = given.pick((False, True)), given.byte()
    stream = given.rest()
    pieces = chunks(stream, way)

    def made(module: ModuleType, partly: bool) -> Any:
        return module.FrameDecoder(role, policy=policy, limits=limits, partial=partly)

    agree(lambda module: history(made(module, partly), pieces))
    for name, module in implementations():
        read, fed = made(module, partly), made(module, partly)
        for piece in pieces:
            read.get_buffer(-1)[: len(piece)] = piece
            same(outcome(read.buffer_updated, len(piece)), outcome(fed.feed, piece), name)
        whole = items_of(made(module, False), [stream])
        same(shown(joined(items_of(made(module, True), pieces))), shown(whole), name)


def joined(items: list[Any]) -> list[Any]:
    """``items`` of a decoder with ``partial``, the pieces of a frame put together again."""
    whole: list[Any] = []
    for item in items:
        if whole and isinstance(whole[-1], Frame) and not whole[-1].complete:
            before = whole.pop()
            if isinstance(item, Frame):
                item = Frame(*item._fields()[:3], before.payload + item.payload, item.complete)
        whole.append(item)
    return whole


def scan(data: bytes) -> None:
    """What keeps no state: parse_header, scan, Scanner; and frame after frame is a scan."""
    given = Input(data)
    policy = policy_from(given) or Policy()
    most, count = given.pick((None, 0, 1, 5, 125, 126, 300)), given.pick((0, 1, 2, 7))
    mutable, pos = given.pick((False, True)), given.pick((0, 0, 0, 1, 3, -1, 1 << 20))
    kind = given.pick((bytes, bytearray, memoryview))
    buf = kind(given.rest())

    def run(module: ModuleType) -> object:
        scanner = module.Scanner(policy, mutable=mutable, opcodes=("T", "B"))

        def shown(one: Any) -> object:
            return one and (one.opcode, one.payload, one.data, one.fin)

        def whole() -> object:
            found, end, more = scanner.messages(buf, pos, most)
            return [shown(one) for one in found], end, more

        return [
            outcome(module.parse_header, buf, pos, policy=policy),
            outcome(module.scan, buf, pos, policy=policy, max_frame=most, max_frames=count),
            outcome(scanner.frame, buf, pos, most),
            outcome(whole),
            outcome(lambda: shown(scanner.message(buf, most))),
            scanner.frames,
        ]

    agree(run)
    if policy.check == "header":
        for name, module in implementations():
            _frame_after_frame(module, buf, policy, most, name)


def _frame_after_frame(
    module: ModuleType, buf: Any, policy: Policy, most: int | None, name: str
) -> None:
    scanner, at, found = module.Scanner(policy), 0, None
    taken = []
    while at < len(buf) and isinstance(found := scanner.frame(buf, at, most), tuple):
        head, payload, at = found
        taken.append((head, payload))
    scanned, end, error = module.scan(buf, policy=policy, max_frame=most)
    same([(f.fin << 7 | f.rsv << 4 | f.opcode, f.payload) for f in scanned], taken, name)
    fault = found if isinstance(found, str) else None
    same((error.name if error else None, end), (fault, at), name)


def kernels(data: bytes) -> None:
    """Masking against its definition; UTF-8 against CPython's decoder, whole and in pieces."""
    given = Input(data)
    key, position = given.take(4).ljust(4, b"\0"), given.byte() << given.byte() % 50
    way, body = given.byte(), given.rest()
    for whole in (body, b"a" * 33 + body + b"a" * 70):  # short, and long enough for vectors
        _judged(whole, key, position, way)


def _judged(body: bytes, key: bytes, position: int, way: int) -> None:
    masked = xor(body, key, position)
    text = outcome(body.decode)

    def run(module: ModuleType) -> object:
        place = bytearray(body)
        module.mask_inplace(place, key, position)
        same(bytes(place), masked)
        same(module.mask(body, key, position), masked)
        same(module.utf8_valid(body), text[0] is str)
        return [_decoded(module.Utf8Decoder(), body, way), _validated(module, body, way)]

    found, _ = agree(run)
    same(found, text if text[0] is str else ("raised", text[1][2][3:5]))


def _decoded(decoder: Any, body: bytes, way: int) -> object:
    """As CPython says it of the whole: the text, or where it is wrong."""
    pieces = chunks(body, way)
    try:
        found = [decoder.feed(piece) for piece in pieces]
        return str, "".join([*found, decoder.feed(b"", True)])
    except UnicodeDecodeError as exc:
        return "raised", [exc.start, exc.end]


def _validated(module: ModuleType, body: bytes, way: int) -> object:
    validator, seen = module.Utf8Validator(), []
    for piece in chunks(body, way):
        seen.append((outcome(validator.feed, piece), validator.pending))
    return [*seen, outcome(validator.feed, b"", True), validator.pending]


SENT = ("text", "binary", "continuation", "ping", "pong", "close", "parts")


def encoder(data: bytes) -> None:
    """FrameEncoder, Builder and build_header: the same bytes or refusal; read back."""
    given = Input(data)
    role = role_from(given)
    calls = []
    while given:
        name = given.pick(SENT)
        fin, code = given.pick((True, False)), given.byte() << 8 | given.byte()
        body = given.take(given.pick((0, 1, 5, 40, 125, 126, 300)))
        calls.append((name, fin, code, body))

    def run(module: ModuleType) -> tuple[list[Any], object]:
        made = module.FrameEncoder(role, keys=iter(_keys(len(calls) * 2)).__next__)
        others = [_built(module, fin, code, body) for _, fin, code, body in calls]
        return [_encoded(made, *call) for call in calls], others

    encoded, _ = agree(run)
    wire = [frame for kind, frame in encoded if kind is bytes]
    _read_back(role, wire)


def _keys(count: int) -> list[bytes]:
    return [bytes([7, i & 0xFF, i >> 8 & 0xFF, 0x80]) for i in range(count)]


def _encoded(made: Any, name: str, fin: bool, code: int, body: bytes) -> Any:
    if name in ("ping", "pong"):
        return outcome(getattr(made, name), body)
    if name == "close":
        return outcome(made.close, code, body.decode("latin-1"))
    if name == "parts":
        return outcome(lambda: b"".join(made.parts(body)))
    payload = body if code & 1 else body.decode("utf-8", "surrogateescape")
    return outcome(getattr(made, name), payload, fin=fin)


def _built(module: ModuleType, fin: bool, code: int, body: bytes) -> object:
    """Nothing is checked here but what does not fit into a header."""
    builder = module.Builder(masked=False, mutable=fin)
    length, options = len(body) << (code >> 8) % 64, {"fin": fin, "rsv": code >> 4 & 7}
    return [
        outcome(builder.build, code & 0xFF, body),
        outcome(module.build_header, code & 15, length, key=body[:4] or None, **options),
        builder.frames,
    ]


def _read_back(role: Role, wire: list[bytes]) -> None:
    """Each frame by itself is whole, and what the peer's policy allows."""
    mask = "forbid" if role is Role.SERVER else "require"
    for name, module in implementations():
        for frame in wire:
            found, end, error = module.scan(frame, policy=Policy(mask=mask))
            same((len(found), end, error), (1, len(frame), None), name)
            same(isinstance(found[0].opcode, Opcode), True, name)

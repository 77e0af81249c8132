"""The opening handshake: whole against byte by byte, only HandshakeError, and each side's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fuzz_input import Input, chunks, same

from wsfast.deflate import PerMessageDeflate
from wsfast.errors import HandshakeError
from wsfast.frames import Limits
from wsfast.handshake import (
    ClientHandshake,
    Offer,
    Request,
    ServerHandshake,
    accept,
    check_connect,
    check_origin,
    check_upgrade,
    reject,
)

NONCE = b"the sample nonce"  # RFC 6455 §1.3
HEADS = (64 << 10, 40, 200, 1000)
LINES = (128, 1, 3)


def _limits(given: Input) -> Limits:
    return Limits(max_head=given.pick(HEADS), max_headers=given.pick(LINES))


def _refusal(exc: HandshakeError) -> Any:
    return "refused", exc.name, exc.status, exc.headers


def _fed(made: Any, pieces: list[bytes], value: Callable[[Any], Any]) -> Any:
    """What is known of it in the end. Behind an answer the next pieces are the frames'."""
    behind = b""
    found: Any = None
    for piece in pieces:
        if found is not None:
            behind += piece
            continue
        try:
            answer = made.feed(piece)
        except HandshakeError as exc:
            found = _refusal(exc)
        else:
            found = None if answer is None else value(answer)
    return found, made.trailing + behind if found and found[0] != "refused" else b""


def server(data: bytes) -> None:
    """ServerHandshake, then check_upgrade, then the answer, which our own client understands."""
    given = Input(data)
    limits, way = _limits(given), given.byte()
    stream = given.rest()

    def value(request: Request) -> Any:
        return request.method, request.target, request.http_version, request.headers

    whole = _fed(ServerHandshake(limits), [stream], value)
    for cut in (1, way):
        same(_fed(ServerHandshake(limits), chunks(stream, cut), value), whole)
    if whole[0] is None:
        return
    if whole[0][0] == "refused":
        bytes(reject(*whole[0][2:]))
    else:
        method, _, version, headers = whole[0]
        _judged(lambda: check_upgrade(method, version, headers))


def _judged(check: Callable[[], Offer]) -> None:
    try:
        offer = check()
    except HandshakeError as exc:
        bytes(reject(exc.status, exc.headers))
        return
    check_origin(offer.origin, ["https://example.com", None])
    chosen = offer.subprotocols[-1] if offer.subprotocols else None
    response = accept(offer, subprotocol=chosen, extensions=[PerMessageDeflate()])
    same(b"\n" in bytes(response).replace(b"\r\n", b""), False)
    for extension in response.extensions:
        extension.inflater().inflate(extension.deflater().deflate(b"Hello", True), True, 5)


def connect(data: bytes) -> None:
    """check_connect and check_upgrade on fields from anybody's parser: pairs of any bytes."""
    given = Input(data)
    lines = given.rest().split(b"\n")
    headers = [(name, value) for name, _, value in (line.partition(b"=") for line in lines)]
    _judged(lambda: check_connect(headers))
    _judged(lambda: check_upgrade("GET", "1.1", headers))
    text = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in headers]
    same(_said(lambda: check_connect(text)), _said(lambda: check_connect(headers)))
    same(_said(lambda: check_upgrade(b"GET", b"1.1", text)),
         _said(lambda: check_upgrade("GET", "1.1", headers)))  # fmt: skip


def _said(check: Callable[[], Offer]) -> Any:
    try:
        offer = check()
    except HandshakeError as exc:
        return exc.name, exc.status, exc.headers
    return offer.host, offer.key, offer.origin, offer.subprotocols, offer.extensions


def client(data: bytes) -> None:
    """ClientHandshake reading any answer, whole, byte by byte and cut."""
    given = Input(data)
    limits, way = _limits(given), given.byte()
    subprotocols = ("chat", "superchat") if given.byte() & 1 else ()
    wishes = {} if given.byte() & 1 else {"server_max_window_bits": 10}
    extensions = [PerMessageDeflate(**wishes)] if given.byte() & 1 else []
    stream = given.rest()

    def made() -> ClientHandshake:
        return ClientHandshake(
            "ws://server.example.com/chat",
            subprotocols=subprotocols,
            extensions=extensions,
            nonce=NONCE,
            limits=limits,
        )

    def value(response: Any) -> Any:
        agreed = [extension.header for extension in response.extensions]
        return response.status, response.headers, response.subprotocol, agreed

    whole = _fed(made(), [stream], value)
    for cut in (1, way):
        same(_fed(made(), chunks(stream, cut), value), whole)


def url(data: bytes) -> None:
    """Any URL and headers: ValueError, or a request that our own server accepts and answers."""
    given = Input(data)
    names = [_word(given, 20).decode("latin-1") for _ in range(given.byte() % 3)]
    extra = [(_word(given, 12), _word(given, 30)) for _ in range(given.byte() % 3)]
    address = given.pick(("ws://", "wss://", "")) + given.rest().decode("utf-8", "surrogateescape")
    deflate = [PerMessageDeflate()]
    try:
        ours = ClientHandshake(
            address, subprotocols=names, headers=extra, extensions=deflate, nonce=NONCE
        )
    except ValueError:
        return
    wire = ours.request()
    try:
        request = ServerHandshake().feed(wire)
        same(request is None, False, "the request does not end")
        assert request is not None
        offer = check_upgrade(request.method, request.http_version, request.headers)
    except HandshakeError as exc:
        same(exc.name in _OURS_TO_SAY, True, f"{exc.name} of {wire!r}")
        return
    same(offer.subprotocols, tuple(names))
    response = accept(offer, subprotocol=names[-1] if names else None, extensions=deflate)
    answer = ours.feed(bytes(response))
    same(answer is not None and answer.status, 101)


def _word(given: Input, most: int) -> bytes:
    return given.take(given.byte() % most)


# What a caller's own URL or headers can make of a request that is well-formed otherwise.
_OURS_TO_SAY = ("bad_host", "bad_origin", "too_many_headers", "bad_subprotocols", "bad_extensions")

"""The HTTP part: from the handshake to a scope, and the answers that can be given to it."""

from __future__ import annotations

from email.utils import formatdate
from urllib.parse import unquote

from uvicorn.protocols.utils import get_local_addr, is_ssl

from wsfast.handshake import ServerHandshake, accept, check_upgrade, reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from uvicorn._types import WebSocketScope
    from uvicorn.config import Config

    from wsfast._handshake_values import ServerExtension
    from wsfast.errors import HandshakeError
    from wsfast.frames import Limits
    from wsfast.handshake import Response

    Headers = list[tuple[bytes, bytes]]


def _version(transport: asyncio.Transport) -> str:
    """That of the request: the HTTP protocol, still in charge, replays any as one of 1.1."""
    try:
        return transport.get_protocol().scope["http_version"]  # type: ignore[attr-defined,no-any-return]
    except (AttributeError, NotImplementedError):  # a transport need not tell
        return "1.1"


class Opening:
    """A good handshake that waits for its answer; ``HandshakeError`` if it is a bad one."""

    __slots__ = ("_offer", "_request", "scope")

    def __init__(self, data: bytes, limits: Limits, transport: asyncio.Transport) -> None:
        """``data`` is the request, which uvicorn's HTTP protocol replays whole."""
        request = ServerHandshake(limits).feed(data)
        assert request is not None
        self._request = request
        self._offer = check_upgrade(request.method, _version(transport), request.headers)
        self.scope: WebSocketScope

    def set_scope(
        self,
        config: Config,
        transport: asyncio.Transport,
        client: tuple[str, int] | None,
        state: dict[str, Any],
        connection: object,
    ) -> None:
        """Build the ASGI scope as uvicorn's own classes do; ``connection`` is for broadcasts."""
        root_path = config.root_path
        raw_path, _, query = self._request.target.partition("?")
        self.scope = {
            "type": "websocket",
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(transport) else "ws",
            "server": get_local_addr(transport),
            "client": client,
            "root_path": root_path,
            "path": root_path + unquote(raw_path),
            "raw_path": (root_path + raw_path).encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": self._request.headers,
            "subprotocols": list(self._offer.subprotocols),
            "state": state,
            "extensions": {
                "websocket.http.response": {},
                "wsfast": {"version": 1, "connection": connection},
            },
        }

    def accept(
        self,
        message: Mapping[str, Any],
        default_headers: Headers,
        extensions: Sequence[ServerExtension],
    ) -> Response:
        """The answer to ``websocket.accept``.

        A Sec-WebSocket-Protocol header is the subprotocol, where none is given. ``ValueError`` for
        what RFC 6455 §4.2.2 forbids: a subprotocol that was not offered, a header of the handshake
        itself.
        """
        subprotocol = message.get("subprotocol") or None
        headers = list(default_headers)
        for name, value in message.get("headers", ()):
            if name.lower() == b"sec-websocket-protocol" and subprotocol is None:
                subprotocol = bytes(value).decode("latin-1")
            else:
                headers.append((name.lower(), value))
        return accept(self._offer, subprotocol=subprotocol, extensions=extensions, headers=headers)


def refusal(exc: HandshakeError) -> bytes:
    """The answer to a bad handshake."""
    text = f"Failed to open a WebSocket connection: {exc.name}.\n"
    return rejection(exc.status, exc.headers, text.encode())


def rejection(status: int, headers: Iterable[tuple[Any, Any]] = (), body: bytes = b"") -> bytes:
    """An answer that opens nothing, with the headers uvicorn adds unless they are given."""
    fields = list(headers)
    given = {name.lower() for name, _ in fields}
    if b"date" not in given:
        fields.append((b"Date", formatdate(usegmt=True).encode()))
    if b"content-type" not in given:
        fields.append((b"Content-Type", b"text/plain; charset=utf-8"))
    return bytes(reject(status, fields, body))


_BODILESS = (204, 304)  # RFC 9110 §6.4.1


class Denial:
    """An HTTP response in the place of a WebSocket: ASGI's "websocket.http.response".

    Its head leaves at once where it states a Content-Length, else together with the whole body.
    A 204 or 304 has no body, and no Content-Length (RFC 9110 §8.6).
    """

    __slots__ = ("_head", "_headers", "_held", "_status", "finished")

    def __init__(self, message: Mapping[str, Any]) -> None:
        """``message`` is ``websocket.http.response.start``.

        ``ValueError`` for a status outside 200..599, or control characters in a header.
        """
        status: int = message["status"]
        headers: Headers = [(bytes(n), bytes(v)) for n, v in message.get("headers", ())]
        others = [field for field in headers if field[0].lower() != b"content-length"]
        if status in _BODILESS:
            headers = others
        self._status = status
        self._headers = headers
        self._head = rejection(status, headers)  # right, unless the length is yet to be seen
        at_once = status in _BODILESS or len(others) < len(headers)
        self._held: list[bytes] | None = None if at_once else []  # the body so far
        self.finished = False

    def start(self) -> bytes:
        """What can be sent before the body is known."""
        return self._head if self._held is None else b""

    def body(self, message: Mapping[str, Any]) -> bytes:
        """What can be sent after this ``websocket.http.response.body``; may set ``finished``."""
        kind = message["type"]
        if kind != "websocket.http.response.body":
            raise RuntimeError(
                f"Expected ASGI message 'websocket.http.response.body' but got '{kind}'."
            )
        piece: bytes = message.get("body", b"")
        self.finished = not message.get("more_body", False)
        if self._status in _BODILESS:
            return b""
        if self._held is None:
            return piece
        self._held.append(piece)
        if not self.finished:
            return b""
        return rejection(self._status, self._headers, b"".join(self._held))

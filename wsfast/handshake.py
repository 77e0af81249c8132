"""The opening handshake without I/O: RFC 6455 §4 over HTTP/1.1, RFC 8441 §5 over HTTP/2 and 3.

A server reads a ``Request`` (``ServerHandshake``, or any HTTP parser it has), has it judged by
``check_upgrade`` or ``check_connect``, and answers with ``accept`` or ``reject``. A client sends
``ClientHandshake.request()`` and feeds what comes back; it must not send frames before (§4.1).

Whatever the peer did wrong is a ``HandshakeError`` whose ``status`` and ``headers`` are ready for
``reject``. Its names:

from ServerHandshake   bad_request head_too_big too_many_headers
from check_upgrade     bad_method bad_http_version bad_host bad_upgrade bad_connection bad_version
                       bad_key bad_origin bad_subprotocols bad_extensions unexpected_body
from check_connect     bad_method bad_protocol bad_pseudo_header bad_version bad_origin
                       bad_subprotocols bad_extensions bad_connection
from ClientHandshake   bad_response head_too_big too_many_headers bad_status bad_upgrade
                       bad_connection bad_accept bad_subprotocol bad_extensions

Of ``Limits``, ``max_head`` and ``max_headers`` are enforced here; ``open_timeout`` needs a clock
and is the caller's.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from ._handshake_client import ClientHandshake
from ._handshake_values import Offer, Request, Response, accept_key
from ._http import (
    BadHead,
    HeadReader,
    checked_field,
    is_token,
    normalized,
    protocols,
    read_extensions,
    received,
    tokens,
    values,
)
from .errors import HandshakeError
from .frames import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._handshake_values import AnyHeaders, Negotiated, ServerExtension
    from ._http import Extension, Headers

__all__ = [
    "ClientHandshake",
    "Offer",
    "Request",
    "Response",
    "ServerHandshake",
    "accept",
    "check_connect",
    "check_origin",
    "check_upgrade",
    "reject",
]

_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch  # base64 of exactly 16 bytes
_REQUEST_LINE = re.compile(rb"([^ ]+) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])").fullmatch
_TARGET = re.compile(rb"/[^#]*|[A-Za-z][A-Za-z0-9+.\-]*://[^#]+").fullmatch  # RFC 9112 §3.2.1, .2
_PATH = re.compile(rb"/[!-\"$-~]*").fullmatch  # RFC 9113 §8.3.1
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~%!$&'()*+,;=]+|\[[0-9A-Za-z:.%]+\])(?::[0-9]*)?").fullmatch
_OF_CONNECTIONS = frozenset(  # RFC 9113 §8.2.2
    b"connection keep-alive proxy-connection transfer-encoding upgrade".split()
)
# What accept() itself says, or what would contradict it.
_OURS = frozenset(
    b"connection content-length sec-websocket-accept sec-websocket-extensions "
    b"sec-websocket-protocol transfer-encoding upgrade".split()
)


class ServerHandshake:
    """Reads one request head from a stream of bytes."""

    __slots__ = ("_over", "_reader")

    def __init__(self, limits: Limits | None = None) -> None:
        self._reader = HeadReader(Limits() if limits is None else limits)
        self._over: Exception | None = None

    @property
    def trailing(self) -> bytes:
        """Bytes that came behind the request: the first frames of a hasty client."""
        return self._reader.trailing

    def feed(self, data: bytes) -> Request | None:
        """The request once it is complete, else None; ``HandshakeError`` if it never can be."""
        if self._over is not None:
            raise self._over.with_traceback(None)
        try:
            head = self._reader.feed(data)
            if head is None:
                return None
            self._reader.finish()
            self._over = RuntimeError("the handshake is over")
            return _request(*head)
        except BadHead as exc:
            self._over = _refusal(exc.name)
        raise self._over.with_traceback(None)


def _request(line: bytes, headers: Headers) -> Request:
    match = _REQUEST_LINE(line)
    if match is None or not is_token(match[1]) or not _TARGET(match[2]):
        raise BadHead("bad_head")
    return Request(match[1].decode(), match[2].decode(), match[3].decode(), headers)


_STATUS = {  # of what is not a plain 400
    "head_too_big": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "too_many_headers": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "bad_method": HTTPStatus.METHOD_NOT_ALLOWED,
    "bad_http_version": HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
    "bad_upgrade": HTTPStatus.UPGRADE_REQUIRED,
    "bad_connection": HTTPStatus.UPGRADE_REQUIRED,
    "bad_version": HTTPStatus.UPGRADE_REQUIRED,
    "bad_protocol": HTTPStatus.NOT_IMPLEMENTED,  # RFC 9220 §3
}
_UPGRADE = [("Upgrade", "websocket"), ("Connection", "Upgrade, close")]  # RFC 9110 §15.5.22
_HEADERS = {
    "bad_method": [("Allow", "GET")],
    "bad_upgrade": _UPGRADE,
    "bad_connection": _UPGRADE,
    "bad_version": [*_UPGRADE, ("Sec-WebSocket-Version", "13")],  # §4.4
}


def _refusal(name: str) -> HandshakeError:
    """The error a server raises, with the answer it deserves."""
    if name == "bad_head":
        name = "bad_request"
    return HandshakeError(int(_STATUS.get(name, 400)), list(_HEADERS.get(name, [])), name)


def check_upgrade(method: str | bytes, http_version: str | bytes, headers: AnyHeaders) -> Offer:
    """Judge a client's opening handshake, §4.2.1; ``http_version`` is ``"1.1"``.

    ``headers`` may come from any parser, text or bytes, and need no particular case.
    """
    if received(method) != b"GET":
        raise _refusal("bad_method")
    if not re.fullmatch(rb"1\.[1-9]", received(http_version)):
        raise _refusal("bad_http_version")
    fields = normalized(headers)
    if not _lists(protocols(fields), b"websocket"):
        raise _refusal("bad_upgrade")
    if not _lists(tokens(fields, b"connection"), b"upgrade"):
        raise _refusal("bad_connection")
    host = values(fields, b"host")
    if len(host) != 1 or not _HOST(host[0]):
        raise _refusal("bad_host")
    if values(fields, b"transfer-encoding") or any(
        length.strip(b"0") or not length for length in values(fields, b"content-length")
    ):
        raise _refusal("unexpected_body")  # it would be read as frames
    if values(fields, b"sec-websocket-version") != [b"13"]:
        raise _refusal("bad_version")
    key = values(fields, b"sec-websocket-key")
    if len(key) != 1 or not _KEY(key[0]):
        raise _refusal("bad_key")
    return _offer(host[0], key[0], fields)


def check_connect(headers: AnyHeaders) -> Offer:
    """Judge an extended CONNECT, RFC 8441 §4 and §5; ``headers`` with the pseudo-headers first."""
    fields = normalized(headers)
    pseudo = [field for field in fields if field[0].startswith(b":")]
    known = dict(pseudo)
    if len(known) != len(pseudo) or fields[: len(pseudo)] != pseudo:
        raise _refusal("bad_pseudo_header")
    if known.pop(b":method", b"") != b"CONNECT":
        raise HandshakeError(405, [("allow", "CONNECT")], "bad_method")
    if known.pop(b":protocol", b"").lower() != b"websocket":
        raise _refusal("bad_protocol")
    authority = known.pop(b":authority", b"")
    scheme, path = known.pop(b":scheme", b""), known.pop(b":path", b"")
    if known or scheme not in (b"http", b"https") or not _PATH(path) or not authority:
        raise _refusal("bad_pseudo_header")
    if not _HOST(authority):
        raise _refusal("bad_pseudo_header")
    if any(name in _OF_CONNECTIONS for name, _ in fields):
        raise HandshakeError(400, [], "bad_connection")
    if values(fields, b"sec-websocket-version") != [b"13"]:
        raise HandshakeError(400, [("sec-websocket-version", "13")], "bad_version")
    return _offer(authority, None, fields)


def _offer(host: bytes, key: bytes | None, headers: Headers) -> Offer:
    """The fields that both forms share."""
    subprotocols = _subprotocols(headers)
    extensions = _extensions(headers)
    return Offer(host.decode(), key, _origin(headers), subprotocols, extensions, headers)


def _lists(elements: list[bytes] | None, wanted: bytes) -> bool:
    """Whether a field's elements include ``wanted``, in any case; None: they are ungrammatical."""
    return any(element.lower() == wanted for element in elements or ())


def _origin(headers: Headers) -> str | None:
    found = values(headers, b"origin")
    if len(found) > 1:  # which one would check_origin() be told?
        raise _refusal("bad_origin")
    return found[0].decode("latin-1") if found else None


def _subprotocols(headers: Headers) -> tuple[str, ...]:
    """§4.1: tokens, each there once."""
    found = tokens(headers, b"sec-websocket-protocol")
    if found is None or len(set(found)) != len(found):
        raise _refusal("bad_subprotocols")
    if not found and values(headers, b"sec-websocket-protocol"):
        raise _refusal("bad_subprotocols")
    return tuple(token.decode() for token in found)


def _extensions(headers: Headers) -> tuple[Extension, ...]:
    """§9.1: "the recipient of such malformed data MUST immediately fail the connection"."""
    found = read_extensions(headers)
    if found is None:
        raise _refusal("bad_extensions")
    return tuple(found)


def accept(
    offer: Offer,
    *,
    subprotocol: str | None = None,
    extensions: Sequence[ServerExtension] = (),
    headers: AnyHeaders = (),
) -> Response:
    """The answer that opens the connection: 101, or 200 to an extended CONNECT.

    ``extensions`` are what we support (``deflate.PerMessageDeflate``); those agreed on are in
    ``.extensions`` of the result. ``headers`` are added as they are. ``ValueError`` for a
    subprotocol that was not offered, a header the handshake itself sets, and CR, LF or other
    control characters in either.
    """
    fields: Headers = []
    if offer.key is not None:
        fields.append((b"Upgrade", b"websocket"))
        fields.append((b"Connection", b"Upgrade"))
        fields.append((b"Sec-WebSocket-Accept", accept_key(offer.key)))
    if subprotocol is not None:
        if subprotocol not in offer.subprotocols:
            raise ValueError(f"subprotocol {subprotocol!r} was not offered")
        fields.append((b"Sec-WebSocket-Protocol", subprotocol.encode()))
    agreed = _negotiate(offer.extensions, extensions)
    if agreed:
        value = ", ".join(extension.header for extension in agreed)
        fields.append((b"Sec-WebSocket-Extensions", value.encode()))
    for field in headers:
        name, text = checked_field(*field)
        if name.lower() in _OURS:
            raise ValueError(f"{name.decode()} is set by the handshake itself")
        fields.append((name, text))
    if offer.key is None:
        fields = [(name.lower(), text) for name, text in fields]  # RFC 9113 §8.2.1
    status = 200 if offer.key is None else 101
    return Response(status, fields, b"", subprotocol, agreed)


def _negotiate(
    offered: Iterable[Extension], supported: Sequence[ServerExtension]
) -> tuple[Negotiated, ...]:
    """The first acceptable offer of each extension, in the client's order (RFC 7692 §5)."""
    agreed: dict[str, Negotiated] = {}
    for name, params in offered:
        for extension in supported:
            if extension.name == name and name not in agreed:
                answer = extension.negotiate(params)
                if answer is not None:
                    agreed[name] = answer
    return tuple(agreed.values())


def reject(status: int, headers: AnyHeaders = (), body: bytes = b"") -> Response:
    """An HTTP/1.1 answer that does not open the connection; ``status`` is 200..599.

    Content-Length (not to a 204 or 304) and ``Connection: close`` are added unless given. Over
    HTTP/2, which has neither ``Connection`` nor capitals, send the error's ``status`` and
    ``headers`` as they are. ``ValueError`` for control characters in a header.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"status must be 200..599, not {status}")
    fields = [checked_field(*field) for field in headers]
    given = {name.lower() for name, _ in fields}
    lengths = (b"content-length", b"transfer-encoding")
    if status not in (204, 304) and given.isdisjoint(lengths):  # RFC 9110 §8.6
        fields.append((b"Content-Length", b"%d" % len(body)))
    if b"connection" not in given:
        fields.append((b"Connection", b"close"))
    return Response(status, fields, body)


def check_origin(origin: str | None, allowed: Iterable[str | None]) -> bool:
    """Whether a page of ``origin`` may connect (§10.2): the only guard against cross-site pages.

    Browsers send their cookies along with every handshake, from any site, so a server that trusts
    cookies must ask. ``allowed`` holds origins such as ``"https://example.com"``; ``None`` in it
    lets in clients without one (no browser). Scheme and host are compared without case, the
    default ports of http and https may be left out. For the same site:
    ``check_origin(offer.origin, [f"https://{offer.host}"])``.
    """
    if origin is None:
        return None in allowed
    wanted = _canonical_origin(origin)
    return any(item is not None and _canonical_origin(item) == wanted for item in allowed)


def _canonical_origin(origin: str) -> str:
    scheme, mark, host = origin.lower().partition("://")
    default = {"http": ":80", "https": ":443"}.get(scheme)
    return scheme + mark + (host.removesuffix(default) if default else host)

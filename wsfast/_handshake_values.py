"""What both sides of the opening handshake share: requests, offers, responses, the accept key."""

from __future__ import annotations

import binascii
import hashlib
from http import HTTPStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from ._http import Extension, Headers
    from .codec import Deflate, Inflate

    AnyHeaders = Iterable[tuple[str | bytes, str | bytes]]
    Parameters = Iterable[tuple[str, str | None]]

    class Negotiated(Protocol):
        """An extension both sides agreed on, such as ``deflate.DeflateParameters``."""

        @property
        def name(self) -> str: ...
        @property
        def header(self) -> str: ...
        def inflater(self, max_ratio: float | None = None, /) -> Inflate: ...
        def deflater(self) -> Deflate: ...

    class ServerExtension(Protocol):
        """What a server wants of an extension, such as ``deflate.PerMessageDeflate``."""

        @property
        def name(self) -> str: ...
        def negotiate(self, params: Parameters, /) -> Negotiated | None: ...

    class ClientExtension(Protocol):
        """What a client wants of an extension, such as ``deflate.PerMessageDeflate``."""

        @property
        def name(self) -> str: ...
        def offer(self) -> str: ...
        def confirm(self, params: Parameters, /) -> Negotiated | None: ...


_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3


def accept_key(key: bytes) -> bytes:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key, §4.2.2 item 5.4."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)


class Request:
    """A request head. ``headers``: names in lower case, values stripped, both bytes."""

    __slots__ = ("headers", "http_version", "method", "target")

    def __init__(self, method: str, target: str, http_version: str, headers: Headers) -> None:
        self.method = method
        self.target = target  # as sent: "/path?query", or with scheme and host through proxies
        self.http_version = http_version  # "1.1"
        self.headers = headers

    def __repr__(self) -> str:
        return f"Request({self.method} {self.target!r}, {len(self.headers)} headers)"


class Offer:
    """A valid client handshake: what ``accept`` may choose from."""

    __slots__ = ("extensions", "headers", "host", "key", "origin", "subprotocols")

    def __init__(
        self,
        host: str,
        key: bytes | None,
        origin: str | None,
        subprotocols: tuple[str, ...],
        extensions: tuple[Extension, ...],
        headers: Headers,
    ) -> None:
        self.host = host  # Host or :authority, "example.com:8000"
        self.key = key  # Sec-WebSocket-Key; None in the form of RFC 8441
        self.origin = origin  # None: hardly a browser
        self.subprotocols = subprotocols  # in the client's order of preference
        self.extensions = extensions  # as offered: ((name, ((param, value or None), …)), …)
        self.headers = headers  # all of them, as in Request

    def __repr__(self) -> str:
        return (
            f"Offer(host={self.host!r}, origin={self.origin!r}, subprotocols={self.subprotocols})"
        )


class Response:
    """An answer. ``bytes(response)`` is its HTTP/1.1 form; over HTTP/2 send accept()'s fields."""

    __slots__ = ("body", "extensions", "headers", "status", "subprotocol")

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes = b"",
        subprotocol: str | None = None,
        extensions: tuple[Negotiated, ...] = (),
    ) -> None:
        self.status = status
        self.headers = headers  # (name, value) pairs of bytes
        self.body = body
        self.subprotocol = subprotocol
        self.extensions = extensions  # agreed on; give them to Connection

    def __bytes__(self) -> bytes:
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = ""
        lines = [b"HTTP/1.1 %d %b" % (self.status, phrase.encode())]
        lines += [b"%b: %b" % field for field in self.headers]
        return b"\r\n".join([*lines, b"", self.body])

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.headers)} headers)"

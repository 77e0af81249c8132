"""The client's side of the opening handshake, RFC 6455 §4.1 over HTTP/1.1."""

from __future__ import annotations

import binascii
import os
import re

from ._handshake_values import Response, accept_key
from ._http import (
    BadHead,
    HeadReader,
    checked_field,
    is_token,
    read_extensions,
    tokens,
    values,
)
from .errors import HandshakeError
from .frames import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._handshake_values import AnyHeaders, ClientExtension, Negotiated
    from ._http import Headers

_URL = re.compile(
    r"(wss?)://(?:(?P<user>[^/?#@]*)@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]|(?P<name>[^/?#@:\[\]]+))(?::(?P<port>[0-9]*))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
    re.IGNORECASE | re.ASCII,  # by Unicode's rules a long s is an s
).fullmatch
_ENDS_HOST = re.compile(r"[ /?#@:\[\]]").search
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?").fullmatch
_OURS = frozenset(
    b"connection content-length sec-websocket-extensions sec-websocket-key "
    b"sec-websocket-protocol sec-websocket-version transfer-encoding upgrade".split()
)


class ClientHandshake:
    """One opening handshake with the server of a ``ws://`` or ``wss://`` URL.

    Connect to ``(host, port)``, with TLS where ``secure``, send ``request()`` and feed the answer.
    ``subprotocols`` come in the order of preference; ``extensions`` are objects such as
    ``deflate.PerMessageDeflate``, also in order of preference. A user name and password in the
    URL become an Authorization header (Basic), unless ``headers`` have one; ``headers`` may also
    set Host. ``nonce`` is 16 random bytes, by default the operating system's.

    ``ValueError`` for a URL with another scheme, a fragment (§3), white space or control
    characters; for a subprotocol that is no token or there twice; for headers that the handshake
    itself sets or that hold control characters.
    """

    __slots__ = (
        "_accept",
        "_extensions",
        "_headers",
        "_key",
        "_over",
        "_reader",
        "_subprotocols",
        "host",
        "port",
        "secure",
        "target",
    )
    secure: bool
    host: str  # without the brackets of an IPv6 address
    port: int
    target: str  # path and query

    def __init__(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        extensions: Sequence[ClientExtension] = (),
        headers: AnyHeaders = (),
        nonce: bytes | None = None,
        limits: Limits | None = None,
    ) -> None:
        nonce = os.urandom(16) if nonce is None else nonce
        if len(nonce) != 16:
            raise ValueError("nonce must be 16 bytes")
        if isinstance(subprotocols, str):
            raise TypeError("subprotocols must be a sequence of str, not a str")
        if not all(name.isascii() and is_token(name.encode()) for name in subprotocols):
            raise ValueError(f"subprotocols must be tokens: {list(subprotocols)}")
        if len(set(subprotocols)) != len(subprotocols):
            raise ValueError(f"subprotocols must be unique: {list(subprotocols)}")
        self._subprotocols = tuple(subprotocols)
        self._extensions = tuple(extensions)
        self._key = binascii.b2a_base64(nonce, newline=False)
        self._accept = accept_key(self._key)
        self._headers = self._opening(_read_url(self, url), headers)
        self._reader = HeadReader(Limits() if limits is None else limits)
        self._over: Exception | None = None

    @property
    def trailing(self) -> bytes:
        """Bytes that came behind the answer: the server's first frames."""
        return self._reader.trailing

    def _opening(self, user: str | None, headers: AnyHeaders) -> Headers:
        """The fields of the request, ours first."""
        extra = [checked_field(*field) for field in headers]
        given = {name.lower() for name, _ in extra}
        if clash := given & _OURS:
            raise ValueError(f"{min(clash).decode()} is set by the handshake itself")
        fields: Headers = []
        if b"host" not in given:
            fields.append((b"Host", self._authority()))
        fields.append((b"Upgrade", b"websocket"))
        fields.append((b"Connection", b"Upgrade"))
        fields.append((b"Sec-WebSocket-Key", self._key))
        fields.append((b"Sec-WebSocket-Version", b"13"))
        if self._subprotocols:
            fields.append((b"Sec-WebSocket-Protocol", ", ".join(self._subprotocols).encode()))
        if self._extensions:
            offers = ", ".join(extension.offer() for extension in self._extensions)
            fields.append((b"Sec-WebSocket-Extensions", offers.encode()))
        if user is not None and b"authorization" not in given:
            fields.append((b"Authorization", b"Basic " + _credentials(user)))
        return fields + extra

    def _authority(self) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.secure else 80)
        return (host if usual else f"{host}:{self.port}").encode()

    def request(self) -> bytes:
        """The bytes to send."""
        lines = [b"GET %b HTTP/1.1" % self.target.encode()]
        lines += [b"%b: %b" % field for field in self._headers]
        return b"\r\n".join([*lines, b"", b""])

    def feed(self, data: bytes) -> Response | None:
        """The server's answer once it is complete and opens the connection, else None.

        ``HandshakeError`` where it does not: ``bad_status`` for any answer but 101, the others
        for one that breaks §4.1. ``.status`` and ``.headers`` are the server's (0 and none where
        they could not be read), ``trailing`` then starts its body. Interim answers are skipped;
        all that come count against ``max_head``, together with the last answer.
        """
        if self._over is not None:
            raise self._over.with_traceback(None)
        try:
            while (head := self._reader.feed(data)) is not None:
                response = self._judge(*head)
                if response is not None:
                    self._reader.finish()
                    self._over = RuntimeError("the handshake is over")
                    return response
                data = b""
            return None
        except BadHead as exc:
            name = "bad_response" if exc.name == "bad_head" else exc.name
            self._over = HandshakeError(0, [], name)
        except HandshakeError as exc:
            self._reader.finish()
            self._over = exc
        raise self._over.with_traceback(None)

    def _judge(self, line: bytes, headers: Headers) -> Response | None:
        """§4.1, the list of what the client MUST validate; None for an interim answer."""
        match = _STATUS_LINE(line)
        if match is None:
            raise BadHead("bad_head")
        status = int(match[2])
        if 100 <= status < 200 and status != 101:  # RFC 9110 §15.2
            return None

        def refused(name: str) -> HandshakeError:
            text = [(name.decode(), value.decode("latin-1")) for name, value in headers]
            return HandshakeError(status, text, name)

        if status != 101:
            raise refused("bad_status")
        if match[1] != b"1":
            raise refused("bad_response")
        if [value.lower() for value in values(headers, b"upgrade")] != [b"websocket"]:
            raise refused("bad_upgrade")
        if b"upgrade" not in [token.lower() for token in tokens(headers, b"connection") or ()]:
            raise refused("bad_connection")
        if values(headers, b"sec-websocket-accept") != [self._accept]:
            raise refused("bad_accept")
        subprotocol = [
            name.decode("latin-1") for name in values(headers, b"sec-websocket-protocol")
        ]
        if len(subprotocol) > 1 or not set(subprotocol) <= set(self._subprotocols):
            raise refused("bad_subprotocol")
        agreed = self._confirm(headers)
        if agreed is None:
            raise refused("bad_extensions")
        return Response(101, headers, b"", subprotocol[0] if subprotocol else None, agreed)

    def _confirm(self, headers: Headers) -> tuple[Negotiated, ...] | None:
        """The extensions agreed on; None if the server named one we did not offer like this."""
        answers = read_extensions(headers)
        if answers is None:
            return None
        agreed: dict[str, Negotiated] = {}
        for name, params in answers:
            offered = [extension for extension in self._extensions if extension.name == name]
            confirmed = [found for item in offered if (found := item.confirm(params)) is not None]
            if name in agreed or not confirmed:
                return None
            agreed[name] = confirmed[0]
        return tuple(agreed.values())


def _read_url(handshake: ClientHandshake, url: str) -> str | None:
    """Set the fields of ``handshake`` that the URL gives (RFC 6455 §3); its user information."""
    if any(char <= " " or char == "\x7f" for char in url):
        raise ValueError(f"white space or control character in URL: {url!r}")
    if "#" in url:
        raise ValueError(f"a WebSocket URL has no fragment: {url!r}")
    match = _URL(url)
    if match is None:
        raise ValueError(f"not a ws:// or wss:// URL: {url!r}")
    handshake.secure = len(match[1]) == 3
    handshake.host = match["ipv6"] or _ascii_host(match["name"])
    handshake.port = int(match["port"] or (443 if handshake.secure else 80))
    if not 0 < handshake.port < 65536:
        raise ValueError(f"port out of range: {url!r}")
    handshake.target = _ascii_target((match["path"] or "/") + (match["query"] or ""))
    user: str | None = match["user"]
    return user


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    name = host.encode("idna").decode()  # UnicodeError is a ValueError
    if _ENDS_HOST(name):  # NFKC makes such of other characters: CVE-2019-9636
        raise ValueError(f"not a host name: {host!r}")
    return name


def _ascii_target(target: str) -> str:
    """Percent-encode, as browsers do, what is not ASCII."""
    if target.isascii():
        return target
    from urllib.parse import quote

    return quote(target, safe="".join(map(chr, range(0x21, 0x7F))))


def _credentials(user: str) -> bytes:
    """RFC 7617; the password may be missing in a URL but not in the header."""
    from urllib.parse import unquote

    name, _, password = user.partition(":")
    pair = f"{unquote(name)}:{unquote(password)}".encode()
    return binascii.b2a_base64(pair, newline=False)

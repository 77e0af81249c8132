"""HTTP/1.1 message heads (RFC 9112) and the field grammars of the handshake, on bytes.

Nothing here knows WebSocket. Bytes are split at the bytes the grammar names and nowhere else:
``str.splitlines`` and friends see line ends where HTTP has none (CVE-2026-44546).
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .frames import Limits

    Headers = list[tuple[bytes, bytes]]
    Extension = tuple[str, tuple[tuple[str, str | None], ...]]

_END = b"\r\n\r\n"
_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 §5.6.2
_token = re.compile(_TCHAR).fullmatch
_protocol = re.compile(_TCHAR + rb"(?:/" + _TCHAR + rb")?").fullmatch  # RFC 9110 §7.8
_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
# RFC 6455 §9.1; the white space is the implied *LWS of its ABNF
_extension = re.compile(rb"[ \t]*(" + _TCHAR + rb")[ \t]*").match
_parameter = re.compile(
    rb";[ \t]*(" + _TCHAR + rb")[ \t]*"
    rb"(?:=[ \t]*(?:(" + _TCHAR + rb')|"((?:[^"\\]|\\.)*)")[ \t]*)?',
    re.DOTALL,
).match
_unquote = re.compile(rb"\\(.)", re.DOTALL).sub


class BadHead(Exception):
    """What is wrong with a message head: ``bad_head``, ``head_too_big`` or ``too_many_headers``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class HeadReader:
    """Collects message heads, fed in any pieces, looking at each byte once.

    Enforces ``max_head``, for all heads together, and ``max_headers``, for each, of ``limits``.
    """

    __slots__ = ("_data", "_limits", "_seen", "_start", "trailing")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._data = bytearray()  # from the first head on: the heads read stay, max_head bounds it
        self._start = 0  # of the next head
        self._seen = 0  # bytes of _data searched
        self.trailing = b""  # what came behind the last head, once finish() said it was the last

    def feed(self, data: bytes) -> tuple[bytes, Headers] | None:
        """The start line and the fields once all are there, else None; ``BadHead`` if never.

        The next head may be there already: ``feed(b"")`` then gives it.
        """
        held = self._data
        held += data
        most = self._limits.max_head
        # The end may have begun in what was searched before.
        start = max(self._start, self._seen - 3)
        found = held.find(_END, start)
        stop = len(held) if found < 0 else found + len(_END)
        self._seen = stop
        self._refuse_bare_lf(start, min(stop, most))
        if stop > most or (found < 0 and stop == most):
            raise BadHead("head_too_big")
        if found < 0:
            return None
        head = bytes(held[self._start : found])
        self._start = stop
        return self._parse(head)

    def finish(self) -> None:
        """No further head comes: what is behind the last one is ``trailing``."""
        self.trailing = bytes(self._data[self._start :])
        self._data = bytearray()

    def _refuse_bare_lf(self, start: int, stop: int) -> None:
        """RFC 9112 §2.2 lets us; waiting for a CRLF that such a peer never sends would hang."""
        held = self._data
        ends = held.count(b"\r\n", max(0, start - 1), stop)
        if held.count(b"\n", start, stop) != ends:
            raise BadHead("bad_head")

    def _parse(self, head: bytes) -> tuple[bytes, Headers]:
        start_line, *lines = head.split(b"\r\n")
        if len(lines) > self._limits.max_headers:
            raise BadHead("too_many_headers")
        if _control(start_line):
            raise BadHead("bad_head")
        return start_line, [_field(line) for line in lines]


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    # A line folded onto the one before (obs-fold) has no token before its first colon.
    if not colon or not is_token(name) or _control(value):
        raise BadHead("bad_head")
    return name.lower(), value.strip(b" \t")


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a token, RFC 9110 §5.6.2."""
    return _token(value) is not None


def normalized(headers: Iterable[tuple[str | bytes, str | bytes]]) -> Headers:
    """Fields received by whatever parser, as ours gives them: bytes, lower-case names, stripped."""
    return [(received(name).lower(), received(value).strip(b" \t")) for name, value in headers]


def received(value: str | bytes) -> bytes:
    """Bytes as they are; text, which HTTP reads as ISO 8859-1, with ``?`` for what is not."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else bytes(value)


def checked_field(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes]:
    """A field that is to be sent; ``ValueError`` if it could be read as anything else."""
    raw_name, raw_value = [
        item.encode("latin-1") if isinstance(item, str) else bytes(item) for item in (name, value)
    ]
    if not is_token(raw_name):
        raise ValueError(f"not a header name: {raw_name!r}")
    if _control(raw_value):
        raise ValueError(f"control character in header value: {raw_value!r}")
    return raw_name, raw_value


def values(headers: Headers, name: bytes) -> list[bytes]:
    """The values of all fields called ``name`` (lower-case), in order."""
    return [value for field, value in headers if field == name]


def tokens(headers: Headers, name: bytes) -> list[bytes] | None:
    """The comma-separated tokens of all fields ``name``; None if an element is no token."""
    found = _elements(headers, name)
    return found if all(map(is_token, found)) else None


def protocols(headers: Headers) -> list[bytes] | None:
    """The elements of Upgrade, such as ``HTTP/2.0``, RFC 9110 §7.8; None if ungrammatical."""
    found = _elements(headers, b"upgrade")
    return found if all(map(_protocol, found)) else None


def _elements(headers: Headers, name: bytes) -> list[bytes]:
    """What commas separate in all fields ``name``, but the empty elements, RFC 9110 §5.6.1.2."""
    found = []
    for value in values(headers, name):
        elements = [element.strip(b" \t") for element in value.split(b",")]
        found += [element for element in elements if element]
    return found


def read_extensions(headers: Headers) -> list[Extension] | None:
    """The elements of Sec-WebSocket-Extensions, RFC 6455 §9.1; None if ungrammatical."""
    found: list[Extension] = []
    for value in values(headers, b"sec-websocket-extensions"):
        pos = 0
        while pos < len(value):
            if value[pos] in b", \t":  # between elements, some of them empty
                pos += 1
                continue
            element = _read_extension(value, pos)
            if element is None:
                return None
            extension, pos = element
            found.append(extension)
    return found


def _read_extension(value: bytes, pos: int) -> tuple[Extension, int] | None:
    """The element at ``pos`` and the position behind it, which is a comma or the end."""
    match = _extension(value, pos)
    if match is None:
        return None
    name = match[1].decode()
    params: list[tuple[str, str | None]] = []
    while parameter := _parameter(value, match.end()):
        match = parameter
        text = match[2] if match[3] is None else _unquote(rb"\1", match[3])
        if text is not None and not is_token(text):
            return None  # §9.1: a quoted value, unquoted, must be a token
        params.append((match[1].decode(), None if text is None else text.decode()))
    if match.end() < len(value) and value[match.end()] != ord(","):
        return None
    return (name, tuple(params)), match.end()

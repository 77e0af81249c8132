"""The opening handshake for probing, RFC 6455 §4: heads with any fault, and strict readings."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple
from urllib.parse import urlsplit

from .case import Failed, Skipped, Wish
from .wire import Agreement

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of §1.3
PMD = "permessage-deflate"
END = b"\r\n\r\n"
PORTS = {"ws": 80, "wss": 443}
MAX_HEAD = 256 << 10  # bytes

Params = dict[str, "str | None"]


class Url(NamedTuple):
    """Where the server under test is."""

    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_url(text: str) -> Url:
    """``ValueError`` for what is no WebSocket URL, RFC 6455 §3."""
    parts = urlsplit(text)
    if parts.scheme not in PORTS or not parts.hostname or parts.fragment or not text.isprintable():
        raise ValueError("must be ws://HOST[:PORT][/PATH] or wss://…, without a fragment")
    if not text.isascii() or " " in text:
        raise ValueError("must be ASCII without spaces; escape others with %")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(parts.scheme == "wss", parts.hostname, parts.port or PORTS[parts.scheme], target)


def accept_of(key: str) -> str:
    """§4.2.2 item 5.4."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def request(
    url: Url,
    *,
    method: str = "GET",
    target: str = "",
    version: str = "1.1",
    without: tuple[str, ...] = (),
    **changes: str | bytes,
) -> bytes:
    """An opening request. ``changes`` are fields, ``_`` for ``-``; ``extra``: raw bytes at the end.

    A field whose value is empty is sent empty; ``without`` leaves fields out.
    """
    extra = changes.pop("extra", b"")
    fields: dict[str, str | bytes] = {
        "Host": url.authority,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    names = {name.lower().replace("-", "_"): name for name in fields}
    for word, value in changes.items():
        fields[names.get(word, word.replace("_", "-").title())] = value
    lines = [f"{method} {target or url.target} HTTP/{version}".encode()]
    for name, value in fields.items():
        if name not in without:
            lines.append(name.encode() + b": " + _bytes(value))
    return b"\r\n".join([*lines, _bytes(extra)] if extra else lines) + END


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


class Head(NamedTuple):
    """A message head received: its start line and fields, names in lower case."""

    start: str
    fields: list[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    def elements(self, name: str) -> list[str]:
        """Of a field that is a list, in however many lines."""
        return [e.strip() for e in ",".join(self.values(name)).split(",") if e.strip()]

    @property
    def status(self) -> int:
        """Of an answer."""
        words = self.start.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise Failed(f"no answer of HTTP/1.1: {self.start[:60]!r}")
        return int(words[1])


def parse_head(data: bytes) -> Head:
    start, *lines = data.decode("latin-1").split("\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip() or not name:
            raise Failed(f"its head has the line {line[:60]!r}")
        fields.append((name.lower(), value.strip(" \t")))
    return Head(start, fields)


# ---- what a server answers ---------------------------------------------------------------------


def check_answer(head: Head, key: str = KEY) -> None:
    """§4.1, what a client must look at; ``Failed`` where it says that the answer must not stand."""
    if head.status != 101:
        raise Failed(f"status {head.status}")
    if [value.lower() for value in head.values("upgrade")] != ["websocket"]:
        raise Failed(f"101 with Upgrade: {head.values('upgrade')}")
    if "upgrade" not in [token.lower() for token in head.elements("connection")]:
        raise Failed(f"101 with Connection: {head.values('connection')}")
    if head.values("sec-websocket-accept") != [accept_of(key)]:
        raise Failed(f"101 with Sec-WebSocket-Accept: {head.values('sec-websocket-accept')}")


def extensions(head: Head) -> list[tuple[str, Params]]:
    """Of a head received, §9.1; quoted values are unquoted."""
    found = []
    for element in head.elements("sec-websocket-extensions"):
        name, *words = [word.strip() for word in element.split(";")]
        params: Params = {}
        for word in words:
            key, sign, value = [part.strip() for part in word.partition("=")]
            if key in params:
                raise Failed(f"its {name} has the parameter {key} twice")
            params[key] = value.strip('"') if sign else None
        found.append((name, params))
    return found


def offer_of(wish: Wish) -> str:
    """What a client says to get it, RFC 7692 §7.1."""
    words = [PMD]
    words += ["server_no_context_takeover"] * wish.theirs_fresh
    words += ["client_no_context_takeover"] * wish.ours_fresh
    if wish.theirs_bits:
        words.append(f"server_max_window_bits={wish.theirs_bits}")
    words.append("client_max_window_bits" + (f"={wish.ours_bits}" if wish.ours_bits else ""))
    return "; ".join(words)


def bits(params: Params, name: str) -> int | None:
    """§7.1.2: 8 to 15, decimal, no leading zero; None: not there."""
    if name not in params:
        return None
    value = params[name]
    if value not in [str(n) for n in range(8, 16)]:
        raise Failed(f"it answers {name}={value}, which is no number from 8 to 15")
    return int(value or 0)


def check_agreed(params: Params, offered: Params) -> Agreement:
    """A server's answer to an offer of permessage-deflate, RFC 7692 §7.1."""
    flags = ("server_no_context_takeover", "client_no_context_takeover")
    windows = ("server_max_window_bits", "client_max_window_bits")
    for name, value in params.items():
        if name not in flags + windows:
            raise Failed(f"it answers the unknown parameter {name}")
        if name in flags and value is not None:
            raise Failed(f"it answers {name}={value}")
    theirs, ours = [bits(params, name) for name in windows]
    if "server_no_context_takeover" in offered and "server_no_context_takeover" not in params:
        raise Failed("it accepts server_no_context_takeover without saying so")
    most = offered.get("server_max_window_bits")
    if most and (theirs is None or theirs > int(most)):
        raise Failed(f"server_max_window_bits={most} offered, {theirs or 'none'} answered")
    if ours is not None and "client_max_window_bits" not in offered:
        raise Failed("it answers client_max_window_bits, which was not offered")
    fresh_ours = "client_no_context_takeover" in {**params, **offered}
    fresh_theirs = "server_no_context_takeover" in params
    most = offered.get("client_max_window_bits")
    return Agreement(
        min(ours or 15, int(most or 15)), theirs or 15, not fresh_ours, not fresh_theirs
    )


def agreement(head: Head, wish: Wish) -> Agreement:
    """What the server under test made of ``offer_of(wish)``; ``Skipped`` if it declined."""
    found = extensions(head)
    if not found:
        raise Skipped("not negotiated")
    if len(found) != 1 or found[0][0] != PMD:
        raise Failed(f"it answers {head.values('sec-websocket-extensions')}, which was not offered")
    return check_agreed(found[0][1], params_of(offer_of(wish)))


def params_of(offer: str) -> Params:
    """Of an offer in words."""
    fields = [("sec-websocket-extensions", offer)]
    return extensions(Head("", fields))[0][1]


# ---- what a client asks ------------------------------------------------------------------------


def check_request(head: Head) -> str:
    """§4.1 items 1 to 9: the key of a client's request."""
    words = head.start.split(" ")
    if len(words) != 3 or words[0] != "GET" or not words[2].startswith("HTTP/1."):
        raise Failed(f"its request is {head.start[:80]!r}")
    if words[2] == "HTTP/1.0":
        raise Failed("its request is of HTTP/1.0")
    if len(head.values("host")) != 1:
        raise Failed(f"its request has Host: {head.values('host')}")
    if "websocket" not in [token.lower() for token in head.elements("upgrade")]:
        raise Failed(f"its request has Upgrade: {head.values('upgrade')}")
    if "upgrade" not in [token.lower() for token in head.elements("connection")]:
        raise Failed(f"its request has Connection: {head.values('connection')}")
    if head.values("sec-websocket-version") != ["13"]:
        raise Failed(f"its request has version {head.values('sec-websocket-version')}")
    (key, *more) = head.values("sec-websocket-key") or [""]
    if more or not _is_key(key):
        raise Failed(f"its key is not 16 bytes in base64: {head.values('sec-websocket-key')}")
    return key


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def answer(key: str, *, status: str = "101 Switching Protocols", **changes: str | None) -> bytes:
    """A server's answer; ``changes`` as in ``request``, None leaves a field out."""
    fields: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_of(key),
    }
    names = {name.lower().replace("-", "_"): name for name in fields}
    for word, value in changes.items():
        fields[names.get(word, word.replace("_", "-").title())] = value
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join(lines).encode() + END


def granted(head: Head, wish: Wish) -> tuple[str, Agreement]:
    """The answer to a client's offers that gives ``wish``; ``Skipped`` if none allows it."""
    for name, offered in extensions(head):
        if name != PMD or (wish.theirs_bits and "client_max_window_bits" not in offered):
            continue
        ours = min(wish.ours_bits or 15, int(offered.get("server_max_window_bits") or 15))
        fresh_ours = wish.ours_fresh or "server_no_context_takeover" in offered
        fresh_theirs = wish.theirs_fresh or "client_no_context_takeover" in offered
        theirs = min(wish.theirs_bits or 15, int(offered.get("client_max_window_bits") or 15))
        words = [PMD]
        words += ["server_no_context_takeover"] * fresh_ours
        words += ["client_no_context_takeover"] * fresh_theirs
        words += [f"server_max_window_bits={ours}"] * (ours < 15)
        words += [f"client_max_window_bits={theirs}"] * bool(wish.theirs_bits)
        return "; ".join(words), Agreement(ours, theirs, not fresh_ours, not fresh_theirs)
    raise Skipped("not offered")

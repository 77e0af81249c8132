"""The opening handshake as a server must read and answer it; RFC 6455 §4.2, RFC 9110, RFC 9112."""

from __future__ import annotations

from .. import opening
from ..case import INFO, MUST, SERVER, SHOULD, Case, Failed, Script, Silence
from ..scripts import expect, text
from ..talk import told
from ..wire import TEXT, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..opening import Head
    from ..talk import Talk

    Check = Callable[[Head], object]

READS = "RFC 6455 §4.2.1"
ANSWERS = "RFC 6455 §4.2.2"
# No answer to a request that is refused. 501 and 505 say what is not supported.
BROKEN = {500, 502, 503, 504}


def _request(talk: Talk, head: bytes = b"", by: int = 0, **changes: Any) -> Head | None:
    talk.send(head or opening.request(talk.url, **changes), by=by)
    return talk.read_head()


def opens(check: Check | None = None, by: int = 0, **changes: Any) -> Script:
    """101 with all that belongs to it; then ``check`` may ``Failed``."""

    def play(talk: Talk) -> str:
        head = _request(talk, by=by, **changes)
        if head is None:
            raise Failed("TCP ended without an answer")
        opening.check_answer(head)
        if check is not None:
            check(head)
        talk.send(text("open"))
        expect(talk, [Message(TEXT, b"open")], [])
        return "101, and the echo of a message"

    return Script("101, the exact Accept, and the echo of a message", play)


def refusal(head: Head | None) -> str:
    """How a request was refused; ``Failed`` if it was not, or if that broke the server."""
    if head is None:
        return "TCP ended without an answer"
    if head.status == 101 and "websocket" in [e.lower() for e in head.elements("upgrade")]:
        raise Failed("101: it opens the connection")
    if head.status in BROKEN:
        raise Failed(f"{head.status}: it broke")
    return f"status {head.status}"


def refused(head: bytes = b"", **changes: Any) -> Script:
    def play(talk: Talk) -> str:
        return refusal(_request(talk, head, **changes))

    return Script("no 101, but a status that fits, or the end of TCP", play)


def either(**changes: Any) -> Script:
    """Both are right, as long as there is an answer and the server is not broken."""

    def play(talk: Talk) -> str:
        head = _request(talk, **changes)
        if head is not None and head.status == 101:
            opening.check_answer(head)
            return "101"
        return refusal(head)

    return Script("101 or a refusal", play)


def _says_13() -> Script:
    def play(talk: Talk) -> str:
        head = _request(talk, sec_websocket_version="8")
        seen = refusal(head)
        if head is None or "13" not in head.elements("sec-websocket-version"):
            raise Failed(f"{seen}, without Sec-WebSocket-Version: 13")
        return f"{seen}, with Sec-WebSocket-Version: 13"

    return Script("a refusal with Sec-WebSocket-Version: 13", play)


def _status_426() -> Script:
    def play(talk: Talk) -> str:
        head = _request(talk, sec_websocket_version="8")
        if head is None or head.status != 426:
            raise Failed(f"status {head.status}" if head else "TCP ended without an answer")
        return "status 426"

    return Script("426 Upgrade Required", play)


# ---- what the answer must not hold ------------------------------------------------------------


def _no_subprotocol(head: Head) -> None:
    if head.values("sec-websocket-protocol"):
        raise Failed(f"it answers Sec-WebSocket-Protocol: {head.values('sec-websocket-protocol')}")


def _no_extension(head: Head) -> None:
    if head.values("sec-websocket-extensions"):
        raise Failed(f"it answers {head.values('sec-websocket-extensions')}")


def _one_of(*offered: str) -> Check:
    def check(head: Head) -> None:
        found = head.values("sec-websocket-protocol")
        if found and (len(found) > 1 or found[0] not in offered):
            raise Failed(f"it answers Sec-WebSocket-Protocol: {found}")

    return check


def _no_body(head: Head) -> None:
    for name in ("content-length", "transfer-encoding"):
        if head.values(name):
            raise Failed(f"101 with {name}")


def _not_smuggled(**changes: Any) -> Script:
    """A refusal, or an answer that does not know the subprotocol hidden in another field."""

    def play(talk: Talk) -> str:
        head = _request(talk, **changes)
        if head is None or head.status != 101:
            return refusal(head)
        _no_subprotocol(head)
        return "101, without it"

    return Script("a refusal, or one field and not two", play)


def _early_frame() -> Script:
    """§4.1 forbids it to the client; a server that reads on gets it right all the same."""

    def play(talk: Talk) -> str:
        talk.send(opening.request(talk.url), text("early"))
        head = talk.read_head()
        if head is None or head.status != 101:
            return refusal(head)
        try:
            item = talk.next(min(1.0, talk.timeout))
        except Silence:
            return "no echo: the frame is lost"
        return "the echo" if item == Message(TEXT, b"early") else told(item)

    return Script("the echo", play)


def _many(count: int) -> bytes:
    return b"\r\n".join([b"X-Number-%d: x" % n for n in range(count)])


def _case(name: str, section: str, level: str, says: str, script: Script) -> Case:
    return Case(f"handshake/{name}", section, level, says, script, (SERVER,), opens=True)


_KEYS = {
    "missing": ("no Sec-WebSocket-Key", refused(without=("Sec-WebSocket-Key",))),
    "empty": ("an empty one", refused(sec_websocket_key="")),
    "of-15-bytes": ("15 bytes in base64", refused(sec_websocket_key="AAAAAAAAAAAAAAAAAAAA")),
    "of-17-bytes": ("17 bytes", refused(sec_websocket_key="AAAAAAAAAAAAAAAAAAAAAAA=")),
    "not-base64": ("no base64", refused(sec_websocket_key="!!!!!!!!!!!!!!!!!!!!!!==")),
    "twice": ("two of them", refused(extra=f"Sec-WebSocket-Key: {opening.KEY}")),
}

CASES = [
    _case("plain", ANSWERS, MUST, "the request of RFC 6455 §1.3", opens()),
    _case("by-1", READS, MUST, "byte by byte", opens(by=1)),
    _case(
        "no-subprotocol-of-its-own",
        ANSWERS,
        MUST,
        "none was offered, none is chosen",
        opens(_no_subprotocol),
    ),
    _case(
        "no-extension-of-its-own",
        ANSWERS,
        MUST,
        "none was offered, none is agreed on",
        opens(_no_extension),
    ),
    _case("no-body", "RFC 9110 §8.6", MUST, "a 101 has no Content-Length", opens(_no_body)),
    _case(
        "subprotocol-of-the-offered",
        ANSWERS,
        MUST,
        "of two that are offered, one or none",
        opens(_one_of("chat", "superchat"), sec_websocket_protocol="chat, superchat"),
    ),
    _case(
        "subprotocols-in-two-lines",
        ANSWERS,
        MUST,
        "a list may be in two fields",
        opens(
            _one_of("chat", "superchat"),
            sec_websocket_protocol="chat",
            extra="Sec-WebSocket-Protocol: superchat",
        ),
    ),
    _case(
        "subprotocol-of-no-ascii",
        READS,
        MUST,
        "a subprotocol of bytes beyond ASCII breaks nothing",
        either(sec_websocket_protocol="chät"),
    ),
    _case(
        "unknown-extension",
        "RFC 6455 §9.1",
        MUST,
        "an extension it does not know is not answered",
        opens(_no_extension, sec_websocket_extensions="x-wsfast-unknown; a=1"),
    ),
    _case(
        "case-of-tokens",
        READS,
        MUST,
        "Upgrade and Connection are compared without case",
        opens(upgrade="WebSocket", connection="upgrade"),
    ),
    _case(
        "case-of-names",
        "RFC 9110 §5.1",
        MUST,
        "field names have no case",
        opens(without=("Upgrade", "Connection"), extra="uPGRADE: websocket\r\nCONNECTION: Upgrade"),
    ),
    _case(
        "white-space",
        "RFC 9112 §5",
        MUST,
        "spaces and tabs around a value are none of it",
        opens(upgrade=" \t websocket \t", sec_websocket_version=" 13 "),
    ),
    _case(
        "no-white-space",
        "RFC 9112 §5",
        MUST,
        "there need be none behind the colon",
        opens(without=("Upgrade",), extra="Upgrade:websocket"),
    ),
    _case(
        "connection-keep-alive-upgrade",
        READS,
        MUST,
        "Connection: keep-alive, Upgrade, as Firefox says",
        opens(connection="keep-alive, Upgrade"),
    ),
    _case(
        "connection-in-two-lines",
        READS,
        MUST,
        "the list of Connection in two fields",
        opens(connection="keep-alive", extra="Connection: Upgrade"),
    ),
    _case(
        "connection-notupgrade",
        READS,
        MUST,
        "a token that only ends in upgrade",
        refused(connection="notupgrade"),
    ),
    _case("connection-missing", READS, MUST, "no Connection", refused(without=("Connection",))),
    _case(
        "connection-without-upgrade",
        READS,
        MUST,
        "Connection: keep-alive alone",
        refused(connection="keep-alive"),
    ),
    _case("upgrade-missing", READS, MUST, "no Upgrade", refused(without=("Upgrade",))),
    _case("upgrade-other", READS, MUST, "Upgrade: h2c", refused(upgrade="h2c")),
    _case("upgrade-alike", READS, MUST, "Upgrade: websocketx", refused(upgrade="websocketx")),
    *[
        _case(f"key-{name}", READS, MUST, f"Sec-WebSocket-Key: {says}", script)
        for name, (says, script) in _KEYS.items()
    ],
    *[
        _case(
            f"version-{version}",
            "RFC 6455 §4.4",
            MUST,
            f"version {version}, which is not this protocol",
            refused(sec_websocket_version=version),
        )
        for version in ("0", "8", "12", "14")
    ],
    _case(
        "version-missing",
        READS,
        MUST,
        "no Sec-WebSocket-Version",
        refused(without=("Sec-WebSocket-Version",)),
    ),
    _case("version-8-says-13", "RFC 6455 §4.4", MUST, "says what it speaks", _says_13()),
    _case("version-8-is-426", "RFC 6455 §4.4", SHOULD, "with the status for it", _status_426()),
    _case("method-post", READS, MUST, "POST", refused(method="POST")),
    _case("method-head", READS, MUST, "HEAD", refused(method="HEAD")),
    _case("http-1.0", READS, MUST, "a request of HTTP/1.0", refused(version="1.0")),
    _case("host-missing", READS, MUST, "no Host", refused(without=("Host",))),
    _case("host-twice", "RFC 9112 §3.2", MUST, "two", refused(extra="Host: other.example")),
    _case(
        "space-before-colon",
        "RFC 9112 §5.1",
        MUST,
        "white space between name and colon",
        refused(without=("Upgrade",), extra="Upgrade : websocket"),
    ),
    _case(
        "obs-fold",
        "RFC 9112 §5.2",
        MUST,
        "a field folded over two lines",
        _not_smuggled(extra="X-Folded: one\r\n Sec-WebSocket-Protocol: hidden"),
    ),
    _case(
        "nul-in-value",
        "RFC 9110 §5.5",
        MUST,
        "a NUL in a value: refused, or replaced",
        either(extra=b"X-Nul: a\0b"),
    ),
    *[
        _case(
            f"control-{name}-in-value",
            "RFC 9110 §5.5",
            MUST,
            f"{says} ends no line",
            _not_smuggled(extra=b"X-Test: a" + data + b"Sec-WebSocket-Protocol: hidden"),
        )
        for name, says, data in (
            ("0b", "a vertical tab", b"\x0b"),
            ("0c", "a form feed", b"\x0c"),
            ("1c", "a file separator", b"\x1c"),
            ("85", "the next-line character of Latin-1", b"\x85"),
            ("0d", "a carriage return alone", b"\r"),
        )
    ],
    _case(
        "line-without-colon",
        "RFC 9112 §5",
        SHOULD,
        "a line that is no field",
        refused(extra="this is no field"),
    ),
    _case(
        "no-http",
        "RFC 9112 §2.2",
        SHOULD,
        "bytes that are no HTTP have an answer, or an end",
        refused(b"\x16\x03\x01 this is no request\r\n\r\n"),
    ),
    _case(
        "head-of-1-mib",
        "RFC 6455 §10.4",
        SHOULD,
        "a head of 1 MiB",
        refused(extra=b"X-Long: " + b"x" * (1 << 20)),
    ),
    _case(
        "head-of-5000-fields",
        "RFC 6455 §10.4",
        SHOULD,
        "5000 fields",
        refused(extra=_many(5000)),
    ),
    _case(
        "fields-100",
        READS,
        SHOULD,
        "a hundred fields it does not know, as proxies add them",
        opens(extra=_many(90)),
    ),
    _case(
        "absolute-target",
        "RFC 9112 §3.2.2",
        INFO,
        "a target with scheme and host",
        either(target="http://127.0.0.1/"),
    ),
    _case("early-frame", "RFC 6455 §4.1", INFO, "a frame in the request's packet", _early_frame()),
]

"""The opening handshake as a client must ask and read it, and its masks; RFC 6455 §4.1 and §5.3."""

from __future__ import annotations

from itertools import pairwise

from .. import opening
from ..case import CLIENT, MUST, Case, Failed, Script, Silence
from ..scripts import expect, text
from ..talk import told
from ..wire import CLOSE, TEXT, Frame, Message, close_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..talk import Talk

ASKS = "RFC 6455 §4.1"
HASTE = 0.3  # seconds in which a client that does not wait would have sent something


def _key(talk: Talk) -> str:
    assert talk.head is not None
    return opening.check_request(talk.head)


def opens(by: int = 0, **changes: Any) -> Script:
    """An answer that is right: the client echoes."""

    def play(talk: Talk) -> str:
        talk.send(opening.answer(_key(talk), **changes), by=by)
        talk.send(text("open"))
        expect(talk, [Message(TEXT, b"open")], [])
        return "the echo of a message"

    return Script("the echo of a message", play)


def fails(status: str = "101 Switching Protocols", **changes: str | None) -> Script:
    """An answer that must not stand: the client ends the connection and echoes nothing.

    A change ``"{key}"`` stands for what the right answer would be.
    """

    def play(talk: Talk) -> str:
        key = _key(talk)
        filled = {k: v and v.replace("{key}", opening.accept_of(key)) for k, v in changes.items()}
        talk.send(opening.answer(key, status=status, **filled), text("open?"))
        item = talk.next()
        if isinstance(item, Frame) and item.opcode == CLOSE and close_code(item.payload) != 1000:
            return told(item)  # it may say why before it leaves
        if item is not None:
            raise Failed(f"it takes the answer: {told(item)}")
        return "it ended TCP"

    return Script("the connection failed, nothing echoed", play)


def _waits() -> Script:
    """§4.1: the client waits for the answer before it sends data."""

    def play(talk: Talk) -> str:
        key = _key(talk)
        try:
            talk.next(HASTE)
        except Silence:
            talk.send(opening.answer(key), text("open"))
            return expect(talk, [Message(TEXT, b"open")], [])
        raise Failed("it sends before it has an answer, or does not wait for one")

    return Script("nothing sent before the answer", play)


def _same_packet() -> Script:
    def play(talk: Talk) -> str:
        talk.send(opening.answer(_key(talk)), text("first"), text("second"))
        return expect(talk, [Message(TEXT, b"first"), Message(TEXT, b"second")], [])

    return Script("2 messages back", play)


def _fresh_keys() -> Script:
    """§5.3: a new key for each frame, not to be predicted."""

    def play(talk: Talk) -> str:
        for number in range(20):
            talk.send(text(f"message {number}"))
            expect(talk, [Message(TEXT, b"message %d" % number)], [])
        keys = talk.reader.keys
        if len(set(keys)) < len(keys):
            raise Failed(f"{len(keys)} frames with {len(set(keys))} masking keys")
        steps = {(int.from_bytes(b) - int.from_bytes(a)) % 2**32 for a, b in pairwise(keys)}
        if len(steps) == 1:
            raise Failed("each masking key is the one before and a constant")
        return f"{len(keys)} frames, as many keys"

    return Script("a masking key of its own for each frame", play)


def _request() -> Script:
    def play(talk: Talk) -> str:
        key = _key(talk)
        talk.send(opening.answer(key), text("open"))
        expect(talk, [Message(TEXT, b"open")], [])
        return f"key {key}"

    return Script("all that a request must have", play)


def _case(name: str, says: str, script: Script, section: str = ASKS) -> Case:
    return Case(f"client/{name}", section, MUST, says, script, (CLIENT,), opens=True)


PMD = opening.PMD
CASES = [
    _case("request", "GET, HTTP/1.1, Host, Upgrade, Connection, version 13, a key", _request()),
    _case("waits", "nothing is sent before the answer is there", _waits()),
    _case("answer-by-1", "an answer byte by byte", opens(by=1)),
    _case("frames-with-answer", "frames in the packet of the answer", _same_packet()),
    _case(
        "connection-list",
        "Connection: keep-alive, Upgrade",
        opens(connection="keep-alive, Upgrade"),
    ),
    _case(
        "case-of-tokens", "tokens have no case", opens(upgrade="WebSocket", connection="upgrade")
    ),
    _case("other-fields", "fields it does not know", opens(server="wsfast", x_other="a, b; c")),
    _case("accept-missing", "no Sec-WebSocket-Accept", fails(sec_websocket_accept=None)),
    _case("accept-empty", "an empty one", fails(sec_websocket_accept="")),
    _case(
        "accept-wrong",
        "the one of another key",
        fails(sec_websocket_accept=opening.accept_of(opening.KEY)),
    ),
    _case("accept-longer", "the right one and more", fails(sec_websocket_accept="{key}A")),
    _case("upgrade-missing", "no Upgrade", fails(upgrade=None)),
    _case("upgrade-other", "Upgrade: h2c", fails(upgrade="h2c")),
    _case("connection-missing", "no Connection", fails(connection=None)),
    _case("connection-other", "Connection: notupgrade", fails(connection="notupgrade")),
    _case(
        "status-200",
        "status 200 with all else as it should be",
        fails("200 OK", content_length="0"),
    ),
    _case(
        "status-404",
        "status 404 with all else as it should be",
        fails("404 Not Found", content_length="0"),
    ),
    _case(
        "status-403",
        "status 403 with all else as it should be",
        fails("403 Forbidden", content_length="0"),
    ),
    _case(
        "subprotocol-not-offered",
        "a subprotocol that was not offered",
        fails(sec_websocket_protocol="x-wsfast-unknown"),
    ),
    _case(
        "extension-not-offered",
        "an extension that was not offered",
        fails(sec_websocket_extensions="x-wsfast-unknown"),
    ),
    *[
        _case(
            f"deflate-{name}",
            f"{PMD}{params}",
            fails(sec_websocket_extensions=PMD + params),
            section,
        )
        for name, params, section in (
            ("unknown-parameter", "; foo=1", "RFC 7692 §7.1"),
            ("server-bits-16", "; server_max_window_bits=16", "RFC 7692 §7.1.2.1"),
            ("server-bits-7", "; server_max_window_bits=7", "RFC 7692 §7.1.2.1"),
            ("server-bits-without-value", "; server_max_window_bits", "RFC 7692 §7.1.2.1"),
            ("client-bits-without-value", "; client_max_window_bits", "RFC 7692 §7.1.2.2"),
            (
                "parameter-twice",
                "; server_no_context_takeover; server_no_context_takeover",
                "RFC 7692 §7.1",
            ),
            ("twice", f", {PMD}", "RFC 7692 §5"),
        )
    ],
    Case(
        "client/fresh-keys",
        "RFC 6455 §5.3",
        MUST,
        "every frame is masked, with a key of its own",
        _fresh_keys(),
        (CLIENT,),
    ),
]

"""wsproto's Connection, its own against the one with our driver: what is seen after every step.

On the wsproto that is installed. Nothing here says what is right: wsproto does, and the driver
must do the same, down to what waits in wsproto's buffer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("wsproto")

import streams
from wsproto import WSConnection, events, frame_protocol
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.extensions import Extension, PerMessageDeflate

from wsfast import codec, integrations
from wsfast.integrations import _seams, _wsproto

Step = tuple[Any, ...]
SERVER, CLIENT = ConnectionType.SERVER, ConnectionType.CLIENT
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = streams.KEY


class Stage:
    """The seams, quicker to swap than with ``install``."""

    def __init__(self) -> None:
        self.placed: list[Any] = []

    def turn(self, on: bool) -> None:
        if on and not self.placed:
            self.placed = _seams.swap(_wsproto.SEAMS)
        elif not on:
            _seams.put_back(self.placed)
            self.placed = []

    @contextmanager
    def driver(self) -> Iterator[None]:
        self.turn(True)
        try:
            yield
        finally:
            self.turn(False)

    def compare(self, run: Callable[[], Any]) -> Any:
        """``run()`` without the driver, then with it; both must return the same."""
        assert Connection.events is not _wsproto.events
        original = run()
        with self.driver():
            patched = run()
        assert patched == original
        return original


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module", params=["server", "client"])
def kind(request: pytest.FixtureRequest) -> ConnectionType:
    return SERVER if request.param == "server" else CLIENT


# ---- what can be seen ---------------------------------------------------------------------------


def shown(value: Any) -> Any:
    """``value`` as something that compares with all its types."""
    if isinstance(value, events.Event):
        return type(value).__name__, [(name, shown(item)) for name, item in vars(value).items()]
    if isinstance(value, list):
        return [shown(item) for item in value]
    return type(value).__name__, value


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return "returned", shown(call(*args))
    except Exception as exc:
        return "raised", type(exc).__name__, str(exc)


def unmasked(data: Any) -> Any:
    """A masked frame in clear and without its key, which is random."""
    if not isinstance(data, (bytes, bytearray)) or len(data) < 6 or not data[1] & 0x80:
        return data
    at = {126: 4, 127: 10}.get(data[1] & 0x7F, 2)
    return type(data)(data[:at] + streams.xor(data[at + 4 :], data[at : at + 4]))


class Actor:
    """A Connection in a play. Steps:

    ``("feed", data)`` · ``("next", n)`` events of the generator at hand, which stays suspended ·
    ``("drop",)`` that generator · ``("all",)`` events of a new one · ``("send", event)`` ·
    ``("turn", on)`` the driver, where the play is one with it
    """

    def __init__(self, connection: Any, turn: Callable[[bool], None] | None, exact: bool) -> None:
        self.connection = connection
        self.turn = turn
        self.exact = exact
        self.generator: Any = None

    def take(self, step: Step) -> Any:
        name, *args = step
        return getattr(self, name)(*args)

    def feed(self, data: bytes | None) -> Any:
        return outcome(self.connection.receive_data, data)

    def next(self, count: int) -> Any:
        if self.generator is None:
            self.generator = self.connection.events()
        found = []
        for _ in range(count):
            found.append(outcome(next, self.generator))
        return found

    def drop(self) -> None:
        self.generator = None

    def all(self) -> Any:
        return outcome(lambda: list(self.connection.events()))

    def send(self, event: Any) -> Any:
        if self.exact or not self.connection.client:
            return outcome(self.connection.send, event)
        return outcome(lambda: unmasked(self.connection.send(event)))

    def switch(self, on: bool) -> None:
        if self.turn is not None:
            self.turn(on)

    def seen(self) -> Any:
        """The state, and what waits and where wsproto keeps it while its parser lives."""
        connection = self.connection
        connection = getattr(connection, "connection", None) or connection
        found = [connection.state, shown(list(connection._events))]
        proto = connection._proto
        if connection.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            decoder, message = proto._frame_decoder, proto._message_decoder
            alive = proto._parse_more.gi_frame is not None
            found += [alive, bytes(decoder.buffer.buffer), proto._outbound_opcode]
            if alive:
                found += [decoder.buffer.bytes_used, decoder.header, decoder.effective_opcode]
                found += [message.opcode, message.decoder and message.decoder.getstate()]
                if decoder.header is not None:
                    key = getattr(decoder.masker, "_masking_key", b"")
                    found += [decoder.payload_required, decoder.payload_consumed, bytes(key)]
        return found


def perform(
    connection: Any,
    play: Sequence[Step],
    turn: Callable[[bool], None] | None = None,
    exact: bool = False,
) -> list[Any]:
    """All that is seen, step by step."""
    actor = Actor(connection, turn, exact)
    return [(step[0], actor.take(step), actor.seen()) for step in play]


# ---- extensions ---------------------------------------------------------------------------------


def deflate(**options: bool) -> Callable[[], list[Extension]]:
    def make() -> list[Extension]:
        made = PerMessageDeflate(**options)
        made.finalize("")
        return [made]

    return make


class Reverse(Extension):
    """A user's extension: RSV2 marks payloads sent backwards, and are counted."""

    name = "x-reverse"

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return True

    def frame_inbound_header(self, proto: Any, opcode: Any, rsv: Any, length: int) -> Any:
        self.calls.append(("header", proto.client, opcode, rsv, length))
        self.on = rsv.rsv2
        if length == 77:
            return frame_protocol.CloseReason.POLICY_VIOLATION
        return frame_protocol.RsvBits(False, True, False)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> Any:
        self.calls.append(("data", shown(data)))
        return bytes(reversed(data)) if self.on else data

    def frame_inbound_complete(self, proto: Any, fin: bool) -> Any:
        self.calls.append(("complete", fin))
        return b"!" if self.on and fin else None

    def frame_outbound(self, proto: Any, opcode: Any, rsv: Any, data: bytes, fin: bool) -> Any:
        self.calls.append(("outbound", opcode, rsv, shown(data), fin))
        return frame_protocol.RsvBits(rsv.rsv1, True, rsv.rsv3), bytes(reversed(data))


class Mine(PerMessageDeflate):
    """A subclass that refuses some lengths, and changes what it inflates."""

    def frame_inbound_header(self, proto: Any, opcode: Any, rsv: Any, length: int) -> Any:
        if length == 1:
            return frame_protocol.CloseReason.POLICY_VIOLATION
        return super().frame_inbound_header(proto, opcode, rsv, length)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> Any:
        data = super().frame_inbound_payload_data(proto, data)
        return data.upper() if isinstance(data, bytes) else data


def mine() -> list[Extension]:
    made = Mine()
    made.finalize("")
    return [made]


EXTENSIONS: dict[str, Callable[[], list[Extension]]] = {
    "none": list,
    "disabled": lambda: [PerMessageDeflate()],
    "deflate": deflate(),
    "no takeover": deflate(client_no_context_takeover=True, server_no_context_takeover=True),
    "custom": lambda: [Reverse()],
    "both": lambda: [*deflate()(), Reverse()],
    "subclass": mine,
}


# ---- plays --------------------------------------------------------------------------------------

MESSAGES: list[Any] = [
    *("", "a", "Grüße", "😀" * 40, "x" * 200, "\ud800", b"", b"b" * 126, bytearray(b"ba")),
    *(memoryview(b"mv"), 3, None, [1, 2]),
]


def outgoing() -> st.SearchStrategy[Any]:
    data = st.sampled_from(MESSAGES)
    finished = st.sampled_from([True, True, True, False, 1, 0])
    classes = st.sampled_from([events.Message, events.TextMessage, events.BytesMessage])
    message = st.builds(lambda cls, d, fin: cls(d, message_finished=fin), classes, data, finished)
    control = st.sampled_from(
        [
            *(events.Ping(b"p"), events.Pong(), events.Ping(b"x" * 126), events.Event()),
            *(events.CloseConnection(1000, "bye"), events.CloseConnection(1005)),
        ]
    )
    return st.one_of(message, message, message, control)


@st.composite
def compressed(draw: st.DrawFn, kind: ConnectionType) -> bytes:
    """Messages as a peer with permessage-deflate sends them, one byte changed now and then."""
    peer = frame_protocol.FrameProtocol(kind is SERVER, deflate()())
    wire = bytearray()
    for _ in range(draw(st.integers(1, 3))):
        payload = draw(st.text(max_size=40) | st.binary(max_size=40) | st.just("ab" * 400))
        cut = draw(st.integers(0, len(payload)))
        if draw(st.booleans()):
            wire += peer.send_data(payload)
        else:
            wire += peer.send_data(payload[:cut], fin=False)
            if draw(st.booleans()):
                wire += peer.ping(b"ping")
            wire += peer.send_data(payload[cut:])
    if draw(st.integers(0, 3)) == 0:
        wire[draw(st.integers(0, len(wire) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(wire)


@st.composite
def plays(draw: st.DrawFn, kind: ConnectionType) -> list[Step]:
    """Bytes in any chunks, events taken at any time or not at all, and things sent between."""
    wire = draw(streams.mutated(kind is SERVER))
    if draw(st.booleans()):
        wire = draw(compressed(kind)) + wire
    play: list[Step] = []
    takes = st.one_of(
        st.just(("all",)),
        st.just(("all",)),
        st.tuples(st.just("next"), st.integers(1, 3)),
        st.just(("drop",)),
        st.tuples(st.just("send"), outgoing()),
        st.tuples(st.just("switch"), st.booleans()),
    )
    for chunk in draw(streams.chunked(wire)):
        play.append(("feed", chunk))
        play += draw(st.lists(takes, max_size=2))
    if draw(st.booleans()):
        play.insert(draw(st.integers(0, len(play))), ("feed", None))
    return [*play, ("next", 2), ("all",), ("all",)]


@given(data=st.data(), name=st.sampled_from(list(EXTENSIONS)))
def test_any_play(stage: Stage, kind: ConnectionType, data: Any, name: str) -> None:
    """Also with the driver coming and going between any two steps."""
    play = data.draw(plays(kind))
    ours: list[list[Extension]] = []

    def run(turn: Callable[[bool], None] | None = None) -> Any:
        ours.append(EXTENSIONS[name]())
        found = perform(Connection(kind, ours[-1]), play, turn)
        return found, [shown(getattr(each, "calls", [])) for each in ours[-1]]

    original = stage.compare(run)
    try:
        assert run(stage.turn) == original
    finally:
        stage.turn(False)


@given(data=st.data(), name=st.sampled_from(["none", "deflate", "custom"]))
def test_keys_of_a_patched_source(stage: Stage, data: Any, name: str) -> None:
    """Byte by byte the same: a patched os.urandom is asked by wsproto's own code."""
    play = [("send", event) for event in data.draw(st.lists(outgoing(), max_size=6))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "urandom", lambda n: b"\x11\x22\x33\x44"[:n])
        stage.compare(lambda: perform(Connection(CLIENT, EXTENSIONS[name]()), play, exact=True))


# ---- behaviour by name --------------------------------------------------------------------------


def wire(kind: ConnectionType, *frames: tuple[Any, ...], **kw: Any) -> bytes:
    """Frames ``(opcode, payload[, keywords])`` as ``kind`` must receive them."""
    kw.setdefault("key", KEY if kind is SERVER else None)
    return b"".join(
        streams.frame(frame[0], frame[1], **{**kw, **(frame[2] if len(frame) > 2 else {})})
        for frame in frames
    )


MORE = {"fin": False}
BY_NAME: dict[str, tuple[tuple[Any, ...], ...]] = {
    "text": ((TEXT, "aé€😀".encode()), (TEXT, b"")),
    "binary": ((BINARY, bytes(300)), (BINARY, b"")),
    "fragments": ((TEXT, b"a\xe2", MORE), (CONT, b"\x82", MORE), (PING, b""), (CONT, b"\xac")),
    "binary fragments": ((BINARY, b"1", MORE), (CONT, b"", MORE), (PONG, b"2"), (CONT, b"3")),
    "bad text": ((TEXT, b"ok"), (TEXT, b"\xff"), (TEXT, b"never")),
    "bad fragment": ((TEXT, b"\xe2", MORE), (CONT, b"("), (TEXT, b"never")),
    "unfinished text": ((TEXT, b"\xe2\x82"),),
    "unfinished fragments": ((TEXT, b"\xe2", MORE), (CONT, b"\x82")),
    "no beginning": ((CONT, b"x"),),
    "no end": ((TEXT, b"x", MORE), (BINARY, b"y")),
    "no end of text": ((TEXT, b"x", MORE), (TEXT, b"y")),
    "no end of binary": ((BINARY, b"x", MORE), (TEXT, b"y")),
    "reserved opcode": ((TEXT, b"x"), (3, b"y")),
    "reserved bits": ((TEXT, b"x", {"rsv": 4}),),
    "wrong mask": ((TEXT, b"x", {"key": b"abcd"}), (TEXT, b"y", {"key": None})),
    "long ping": ((PING, bytes(126)),),
    "fragmented ping": ((PING, b"", MORE),),
    "length in 2 bytes": ((BINARY, b"x", {"width": 2}),),
    "length in 8 bytes": ((BINARY, bytes(200), {"width": 8}),),
    "huge length": ((BINARY, b"x", {"length": 1 << 63, "width": 8}),),
    "close": ((TEXT, b"x"), (CLOSE, b"\x03\xe8bye"), (TEXT, b"never")),
    "empty close": ((CLOSE, b""),),
    "bad close": ((CLOSE, b"\x03"),),
    "large": ((BINARY, bytes(range(256)) * 260), (TEXT, b"x" * 70_000)),
}


@pytest.mark.parametrize("extensions", ["none", "deflate", "subclass"])
@pytest.mark.parametrize("name", BY_NAME)
def test_by_name(stage: Stage, kind: ConnectionType, name: str, extensions: str) -> None:
    """In one piece, byte by byte, and cut in two everywhere."""
    data = wire(kind, *BY_NAME[name])
    cuts = [len(data), *range(1, len(data))] if len(data) < 1000 else [1, 2, 9, 14, 4096, 65_536]
    plays: list[list[Step]] = [
        [("feed", data[:cut]), ("all",), ("feed", data[cut:]), ("all",)] for cut in cuts
    ]
    step = 1 if len(data) < 1000 else 4000
    plays.append([("feed", data[at : at + step]) for at in range(0, len(data), step)])
    plays[-1] = [each for feed in plays[-1] for each in (feed, ("all",))]
    stage.compare(lambda: [perform(Connection(kind, EXTENSIONS[extensions]()), p) for p in plays])


@pytest.mark.parametrize("name", EXTENSIONS)
def test_everything_sent(stage: Stage, kind: ConnectionType, name: str) -> None:
    """Whatever an event may hold, alone and within a message of the other type."""
    plays: list[list[Step]] = []
    for data in MESSAGES:
        for finished in (True, False, 1, 0):
            for cls in (events.Message, events.TextMessage, events.BytesMessage):
                one = ("send", cls(data, message_finished=finished))
                plays.append([one, one, ("send", events.TextMessage("end")), one])
    stage.compare(lambda: [perform(Connection(kind, EXTENSIONS[name]()), p) for p in plays])


def test_taken_one_by_one(stage: Stage, kind: ConnectionType) -> None:
    """What is not taken waits in wsproto's buffer, and goes with the next generator."""
    data = wire(kind, (TEXT, b"1"), (PING, b"2"), (BINARY, b"3"), (CLOSE, b""))
    play: list[Step] = [("feed", data)]
    for _ in range(6):
        play += [("next", 1), ("drop",)]
    found = stage.compare(lambda: perform(Connection(kind), play))
    names = [seen[0][1][0] for name, seen, _ in found if name == "next" and seen[0][0] != "raised"]
    assert names == ["TextMessage", "Ping", "BytesMessage", "CloseConnection"]
    with stage.driver():
        connection = Connection(kind)
        connection.receive_data(data)
        next(connection.events())
        waiting = connection._proto._frame_decoder.buffer.buffer
        assert waiting == wire(kind, (PING, b"2"), (BINARY, b"3"), (CLOSE, b""))


def test_the_end_comes_after_what_was_being_taken(stage: Stage, kind: ConnectionType) -> None:
    data = wire(kind, (TEXT, b"1"), (TEXT, b"2"), (TEXT, b"3"))
    play = [("feed", data), ("next", 1), ("feed", None), ("next", 3), ("all",), ("feed", b"x")]
    stage.compare(lambda: perform(Connection(kind), play))


def test_state_changes_when_its_event_is_taken(stage: Stage, kind: ConnectionType) -> None:
    data = wire(kind, (TEXT, b"1"), (CLOSE, b"\x03\xe8"), (TEXT, b"never"))
    close = ("send", events.CloseConnection(1000))
    for play in (
        [("feed", data), ("next", 1), close, ("next", 2), ("all",), close],
        [("feed", data), close, ("next", 1), ("feed", data), ("next", 2)],
        [("feed", data), ("next", 2), close, ("feed", data), close],
    ):
        stage.compare(lambda play=play: perform(Connection(kind), play))


def test_generators_within_generators(stage: Stage, kind: ConnectionType) -> None:
    data = wire(kind, *((TEXT, b"%d" % n) for n in range(4)), (TEXT, b"\xff"), (TEXT, b"never"))

    def run() -> list[Any]:
        connection = Connection(kind)
        connection.receive_data(data)
        found: list[Any] = []
        for event in connection.events():
            found.append(shown(event))
            found.append([shown(inner) for inner, _ in zip(connection.events(), "ab")])
        return found

    stage.compare(run)


def test_the_extension_is_asked_as_before(stage: Stage, kind: ConnectionType) -> None:
    """The same calls with the same arguments in the same order, of permessage-deflate itself."""
    names = [name for name in vars(PerMessageDeflate) if name.startswith("frame_")]
    peer = frame_protocol.FrameProtocol(kind is SERVER, deflate()())
    data = peer.send_data("Grüße" * 9) + peer.send_data(b"1", fin=False) + peer.ping(b"p")
    data += peer.send_data(b"2") + wire(kind, (TEXT, b"plain"), (BINARY, b""))
    data += wire(kind, (TEXT, b"not deflated", {"rsv": 4}))

    def run() -> Any:
        (extension,) = deflate()()
        calls: list[Any] = []
        for name in names:

            def spy(proto: Any, *args: Any, name: str = name) -> Any:
                returned = getattr(PerMessageDeflate, name)(extension, proto, *args)
                if isinstance(returned, bytes) and args == (True,):
                    returned += b"!"  # more at the end, which zlib itself hardly ever has
                seen = [bytes(a) if isinstance(a, (bytes, bytearray)) else a for a in args]
                calls.append((name, proto.client, seen, returned))
                return returned

            setattr(extension, name, spy)
        connection = Connection(kind, [extension])
        found = perform(
            connection,
            [
                *(("feed", bytes(data)), ("all",), ("send", events.TextMessage("Grüße"))),
                *(("send", events.BytesMessage(bytearray(b"b"))), ("send", events.Ping(b"p"))),
            ],
        )
        return found, calls

    assert len(stage.compare(run)[1]) > 20


# ---- what is not ours to take -------------------------------------------------------------------


class Shut(Connection):
    """A user's subclass, which can be closed from outside."""

    shut = False

    @property
    def state(self) -> ConnectionState:
        return ConnectionState.CLOSED if self.shut else self._state


class LoudProtocol(frame_protocol.FrameProtocol):
    def send_data(self, payload: Any = b"", fin: bool = True) -> Any:
        return super().send_data(b"loud", fin)

    def receive_bytes(self, data: bytes) -> None:
        super().receive_bytes(bytes(data) * 2)

    def received_frames(self) -> Any:
        for frame in super().received_frames():
            yield frame._replace(payload=b"LOUD", opcode=frame_protocol.Opcode.BINARY)


def test_subclasses_keep_what_they_override(stage: Stage, kind: ConnectionType) -> None:
    data = wire(kind, (TEXT, b"x"))
    send = ("send", events.TextMessage("y"))
    play = [("feed", data), ("all",), send, ("feed", None), send]

    def run() -> Any:
        quiet, shut = Connection(kind), Shut(kind)
        quiet._proto = LoudProtocol(kind is CLIENT, [])
        shut.shut = True
        return perform(shut, play), perform(quiet, play)

    original = stage.compare(run)
    assert "LOUD" in str(original[1])


@given(data=st.data())
def test_masks(stage: Stage, data: Any) -> None:
    """XorMaskerSimple, and where its key stands afterwards; also for what bytes are made of."""
    key = data.draw(st.binary(min_size=4, max_size=4) | st.binary(max_size=6))
    keys = [key, bytearray(key), list(key)]
    piece = st.binary(max_size=40) | st.integers(0, 300).map(bytes)
    things = piece | piece.map(bytearray) | piece.map(list) | st.just(3)
    pieces = data.draw(st.lists(things, max_size=4))

    def run() -> Any:
        found = []
        for each in keys:
            masker = frame_protocol.XorMaskerSimple(each)
            for thing in pieces:
                found.append(outcome(masker.process, thing))
                found.append(bytes(masker._masking_key))
        return found

    stage.compare(run)


def test_through_a_handshake(stage: Stage) -> None:
    """WSConnection, with bytes behind the request and events taken one at a time."""
    request = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    data = wire(SERVER, (TEXT, b"1"), (BINARY, b"2"), (CLOSE, b"\x03\xe8"))
    peer = frame_protocol.FrameProtocol(True, deflate()())
    data = bytes(peer.send_data("squeezed" * 9)) + data

    def run(*extensions: Any) -> list[Any]:
        ws = WSConnection(SERVER)
        found = [outcome(ws.receive_data, request)]
        found.append(shown(next(ws.events()).target))
        accept = events.AcceptConnection(extensions=[PerMessageDeflate()])
        found.append(outcome(ws.send, accept))
        for chunk in (data[:20], data[20:]):
            found.append(outcome(ws.receive_data, chunk))
            found.append([shown(event) for event, _ in zip(ws.events(), "ab")])
            found.append(outcome(ws.send, events.Message("Grüße" * 30)))
        found.append(shown(list(ws.events())))
        found.append(ws.state)
        return found

    stage.compare(run)


class Listed(Connection):
    """A user's subclass, with a list in the place of the generator."""

    def events(self) -> Any:
        return [*super().events(), events.Pong(b"mine")]


@pytest.mark.parametrize("cls", [Connection, Listed])
def test_events_of_the_handshake_come_first(stage: Stage, cls: type[Connection]) -> None:
    """With frames right behind it, and one event from each generator."""

    def run() -> list[Any]:
        server, client = WSConnection(SERVER), WSConnection(CLIENT)
        server.receive_data(client.send(events.Request(host="x", target="/")))
        found = [shown(list(client.events())), len(list(server.events()))]
        answer = server.send(events.AcceptConnection())
        client.receive_data(answer + wire(CLIENT, (TEXT, b"1"), (TEXT, b"2")))
        client.connection.__class__ = cls
        return [*found, *[outcome(next, client.events()) for _ in range(4)]]

    found = stage.compare(run)
    assert [each[1][0] for each in found[2:4]] == ["AcceptConnection", "TextMessage"]


# ---- the driver itself --------------------------------------------------------------------------


def test_selftest_passes_and_hits_count(stage: Stage) -> None:
    with stage.driver():
        _wsproto.selftest()
        before = _wsproto.hits()
        connection = Connection(SERVER)
        connection.receive_data(wire(SERVER, (TEXT, b"1"), (BINARY, b"2")))
        sent = [connection.send(event) for event in connection.events()]
    assert sent == [b"\x81\x011", b"\x82\x012"]
    assert _wsproto.hits() == before + 4


def test_selftest_finds_a_difference(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wsproto, "_TEXT", frame_protocol.Opcode.BINARY)
    with stage.driver(), pytest.raises(AssertionError, match="other events are made of"):
        _wsproto.selftest()


def test_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSFAST", raising=False)
    monkeypatch.setattr(codec, "environment", lambda: {"WSFAST_BACKEND": codec.backend()})
    original = vars(Connection)["events"]
    (status,) = integrations.install("wsproto", on_refusal="raise")
    try:
        assert status.state == "active"
        assert len(status.seams) == len(_wsproto.SEAMS)
        assert vars(Connection)["events"] is not original
    finally:
        integrations.uninstall("wsproto")
    assert vars(Connection)["events"] is original

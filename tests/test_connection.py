"""The connection: events and answers, closing, deadlines, limits; without I/O or clock."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsfast.close_codes import CloseCode
from wsfast.codec import FrameEncoder, MessageDecoder
from wsfast.connection import Connection, State
from wsfast.deflate import PerMessageDeflate
from wsfast.errors import LocalProtocolError, RemoteProtocolError
from wsfast.frames import STRICT_SERVER, Close, Limits, Ping, Pong, Role, Text

pytestmark = pytest.mark.usefixtures("connection_backend")
SERVER, CLIENT = Role.SERVER, Role.CLIENT
EMPTY_PING = b"\x89\x80\x00\x00\x00\x00"


def encoder(role=CLIENT, **options):
    return FrameEncoder(role, **options)


def sent(connection):
    """What the peer of ``connection`` makes of all there is to send."""
    peer = CLIENT if connection.role is SERVER else SERVER
    return MessageDecoder(peer).feed(b"".join(connection.data_to_send()))


def fail_name(connection):
    assert connection.state is State.FAILED
    return connection.failed.name


def local_name(call, *args, **kwargs):
    with pytest.raises(LocalProtocolError) as caught:
        call(*args, **kwargs)
    return caught.value.name


# Messages


@pytest.mark.parametrize("role", [SERVER, CLIENT])
def test_messages_both_ways(role):
    ours = Connection(role)
    peer = Connection(CLIENT if role is SERVER else SERVER)
    messages = ["", "hé", b"", b"x", bytes(70_000), bytearray(b"a"), memoryview(b"b")]
    for message in messages:
        ours.send(message)
    ours.send(Text("été".encode()))
    expected = ["", "hé", b"", b"x", bytes(70_000), b"a", b"b", "été"]
    assert peer.receive(b"".join(ours.data_to_send())) == expected
    assert ours.data_to_send() == [] and ours.bytes_queued == 0


def test_keys_are_an_argument():
    ours = Connection(CLIENT, keys=lambda: b"\x37\xfa\x21\x3d")
    ours.send("Hello")
    assert ours.data_to_send() == [bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")]  # §5.7


def test_text_as_bytes():
    ours = Connection(SERVER, text="bytes")
    assert ours.receive(encoder().text("é")) == [Text("é".encode())]


def test_large_bytes_are_not_copied():
    data = bytes(64 << 10)
    ours = Connection(SERVER)
    ours.send(data)
    header, payload = ours.data_to_send()
    assert payload is data and len(header) == 10
    for role, options in (
        (CLIENT, {}),
        (SERVER, {"extensions": [PerMessageDeflate().confirm(())]}),
    ):
        ours = Connection(role, **options)
        ours.send(data)
        assert len(ours.data_to_send()) == 1


def test_bytes_queued_counts_what_waits():
    """S19"""
    ours = Connection(SERVER)
    ours.send("abc")
    ours.send(bytes(100_000))
    ours.ping(b"12")
    ours.send_fragment("x", fin=False)
    ours.close()
    queued = ours.bytes_queued
    assert queued == len(b"".join(ours.data_to_send())) == 5 + 100_010 + 4 + 3 + 4
    assert ours.bytes_queued == 0


def test_fragments():
    ours = Connection(SERVER)
    ours.send_fragment("a", fin=False)
    assert local_name(ours.send, "no") == "expected_continuation"
    assert local_name(ours.send, bytes(70_000)) == "expected_continuation"
    ours.ping(b"p")
    ours.send_fragment("b", fin=False)
    ours.send_fragment(b"", fin=True)
    ours.send_fragment(b"whole", fin=True)
    ours.send_fragment(Text(b"c"), fin=False)
    ours.send_fragment(Text(b"d"), fin=True)
    ours.send("yes")
    assert sent(ours) == [Ping(b"p"), "ab", b"whole", "cd", "yes"]


def test_failed_sends_send_nothing():
    ours = Connection(SERVER)
    for bad in (1, None, ["x"], object()):
        with pytest.raises(TypeError):
            ours.send(bad)
    assert local_name(ours.send, Text(b"\xff")) == "invalid_utf8"
    assert local_name(ours.ping, b"x" * 126) == "control_too_long"
    with pytest.raises(TypeError):
        ours.ping(3)
    assert local_name(ours.close, 1006) == "close_code"
    assert local_name(ours.close, 1000, "x" * 124) == "control_too_long"
    assert ours.state is State.OPEN and ours.bytes_queued == 0 and ours.close_sent is None
    ours.send_fragment("x", fin=False)
    assert local_name(ours.send_fragment, b"\xff", fin=True) == "invalid_utf8"
    ours.send_fragment("y", fin=True)
    assert sent(ours) == ["xy"]


def test_compression():
    config = PerMessageDeflate(threshold=100)
    ours = Connection(SERVER, extensions=[config.negotiate(())])
    peer = Connection(CLIENT, extensions=[config.confirm(())])
    text = "long enough " * 20
    for compress in (None, True, False):
        for message in ("short", text):
            ours.send(message, compress=compress)
    sizes = [len(frame) for frame in ours._out]
    assert peer.receive(b"".join(ours.data_to_send())) == ["short", text] * 3
    assert sizes[0] == 7 and sizes[1] < 50 and sizes[3] < 50 and sizes[4:] == [7, 4 + len(text)]
    ours.send_fragment(text, fin=False)
    ours.ping(b"between")
    ours.send_fragment(text, fin=True)
    assert peer.receive(b"".join(ours.data_to_send())) == [Ping(b"between"), text * 2]
    assert sent(peer) == [Pong(b"between")]


@pytest.mark.parametrize(("name", "limits"), [
    ("message_too_big", Limits(max_message=999)),
    ("message_too_big", Limits(max_ratio=2)),
])  # fmt: skip
def test_s1_limits_reach_the_inflater(name, limits):
    config = PerMessageDeflate()
    ours = Connection(SERVER, extensions=[config.negotiate(())], limits=limits)
    deflate = config.confirm(()).deflater()
    (event,) = ours.receive(encoder(deflate=deflate).binary(bytes(1000)))
    assert (event.name, fail_name(ours)) == (name, name)
    assert sent(ours) == [Close(1009, "message exceeds the limit")]


# Control frames


def test_pings_are_answered():
    ours = Connection(SERVER)
    assert ours.receive(encoder().ping(b"a") + encoder().pong(b"b")) == [Ping(b"a"), Pong(b"b")]
    assert sent(ours) == [Pong(b"a")]


@pytest.mark.parametrize("most", [1, 2, 16])
def test_s18_pongs_waiting_are_bounded(most):
    ours = Connection(SERVER, limits=Limits(max_pending_pongs=most))
    ours.send("first")
    for i in range(50):
        ours.receive(encoder().ping(b"x" * (i % 7) + b"%d" % i))
        if i == 0:
            ours.send("between")
    queued = ours.bytes_queued
    wire = ours.data_to_send()
    assert queued == len(b"".join(wire)) and len(wire) == most + 2
    pongs = [p for p in MessageDecoder(CLIENT).feed(b"".join(wire)) if type(p) is Pong]
    assert pongs[-1] == Pong(b"49") and len(pongs) == most
    ours.receive(encoder().ping(b"again"))  # once taken, all are answered again
    assert sent(ours) == [Pong(b"again")]


def test_pings_are_answered_until_the_peer_closes():
    """§5.5.2: unless a Close frame was received; that ours was sent does not matter."""
    ours = Connection(SERVER)
    ours.close()
    ours.receive(EMPTY_PING)
    assert sent(ours) == [Close(1000, "")]  # a decoder is deaf after the Close
    ours.receive(EMPTY_PING)
    assert ours.data_to_send() == [b"\x8a\x00"]
    ours.receive(encoder().close() + EMPTY_PING)
    ours.receive(EMPTY_PING)
    assert ours.data_to_send() == []


def test_ping_payloads():
    ours = Connection(SERVER)
    payloads = [ours.ping() for _ in range(5)]
    assert len(set(payloads)) == 5
    assert ours.ping(bytearray(b"own")) == b"own" and ours.ping(b"") == b""
    assert sent(ours) == [*map(Ping, payloads), Ping(b"own"), Ping(b"")]


# Closing


@pytest.mark.parametrize("role", [SERVER, CLIENT])
def test_we_close(role):
    ours = Connection(role)
    peer = encoder(CLIENT if role is SERVER else SERVER)
    ours.send("last")
    ours.close(CloseCode.GOING_AWAY, "bye")
    assert (ours.state, ours.close_sent) == (State.CLOSING, Close(1001, "bye"))
    assert not ours.should_close_transport
    for call, *args in ((ours.send, "x"), (ours.ping,), (ours.close,)):
        assert local_name(call, *args) == "closing"
    assert local_name(ours.send_fragment, "x", fin=True) == "closing"
    assert sent(ours) == ["last", Close(1001, "bye")]
    assert ours.receive(peer.text("still")) == ["still"]
    assert ours.receive(peer.close(1001) + peer.text("no")) == [Close(1001, "")]
    assert (ours.state, ours.close_rcvd) == (State.CLOSED, Close(1001, ""))
    assert ours.should_close_transport is (role is SERVER)  # §7.1.1: the server goes first
    assert ours.receive(peer.text("no")) == [] and ours.receive_eof() == []
    assert (ours.state, ours.should_close_transport) == (State.CLOSED, True)
    assert ours.data_to_send() == []


@pytest.mark.parametrize("role", [SERVER, CLIENT])
@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1005, ""), (1001, "bye"), (1014, "é"), (4999, "x" * 123)]
)
def test_the_peer_closes(role, code, reason):
    ours = Connection(role)
    peer = encoder(CLIENT if role is SERVER else SERVER)
    ours.send("queued")
    assert ours.receive(peer.close(code, reason)) == [Close(code, reason)]
    assert ours.close_rcvd == ours.close_sent == Close(code, reason)
    assert ours.state is State.CLOSED and local_name(ours.send, "x") == "closing"
    assert ours.should_close_transport is (role is SERVER)
    assert sent(ours) == ["queued", Close(code, reason)]


def test_both_close_at_once():
    ours, peer = Connection(SERVER), Connection(CLIENT)
    ours.close(1001)
    peer.close(1000)
    ours_wire, peer_wire = ours.data_to_send(), peer.data_to_send()
    assert peer.receive(b"".join(ours_wire)) == [Close(1001, "")]
    assert ours.receive(b"".join(peer_wire)) == [Close(1000, "")]
    assert ours.state is peer.state is State.CLOSED
    assert ours.data_to_send() == peer.data_to_send() == []


@pytest.mark.parametrize(
    "payload", [b"\x03\xed", b"\x03\xee", b"\x03\xf7", b"\x00\x00", b"\x13\x88"]
)
def test_s14_codes_that_must_not_be_sent_are_not_echoed(payload):
    frame = b"\x88" + bytes([0x80 | len(payload)]) + bytes(4) + payload
    ours = Connection(SERVER)
    (event,) = ours.receive(frame)
    assert event.name == "close_code" and sent(ours) == [Close(1002, "close code must not be sent")]
    ours = Connection(SERVER, policy=STRICT_SERVER.replace(close_codes="any"))
    (event,) = ours.receive(frame)
    assert event == Close(int.from_bytes(payload, "big"), "")
    assert ours.data_to_send() == [b"\x88\x00"] and ours.close_sent == Close(1005, "")


# Failing


@pytest.mark.parametrize("role", [SERVER, CLIENT])
def test_s17_after_a_failure_input_is_dropped(role):
    ours = Connection(role)
    peer = encoder(CLIENT if role is SERVER else SERVER)
    good, bad = peer.text("good"), encoder(role).text("bad")  # masked the wrong way round
    first, error = ours.receive(good + bad + good)
    assert first == "good" and isinstance(error, RemoteProtocolError)
    assert error.offset == len(good) + 1 and ours.failed is error
    assert ours.state is State.FAILED and ours.close_sent == Close(1002, str(error))
    assert ours.should_close_transport is (role is SERVER)
    for _ in range(3):
        assert ours.receive(good) == []
    assert ours.receive_eof() == [] and ours.should_close_transport
    assert sent(ours) == [Close(1002, str(error))]
    assert local_name(ours.send, "x") == "closing"


def test_a_failure_after_our_close_sends_no_second():
    ours = Connection(SERVER)
    ours.close(1000)
    ours.data_to_send()
    ours.receive(b"\x83\x80\x00\x00\x00\x00")
    assert fail_name(ours) == "invalid_opcode" and ours.data_to_send() == []
    assert ours.should_close_transport


@pytest.mark.parametrize("role", [SERVER, CLIENT])
@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize("partial", [0, 1, 6])
def test_eof_without_close(role, closing, partial):
    ours = Connection(role)
    wire = encoder(CLIENT if role is SERVER else SERVER).text("hello")
    ours.receive(wire)
    ours.receive(wire[:partial])
    if closing:
        ours.close()
        ours.data_to_send()
    (event,) = ours.receive_eof()
    assert (event.name, event.close_code) == ("unexpected_eof", 1006)
    assert event.offset == len(wire) + partial
    assert fail_name(ours) == "unexpected_eof" and ours.should_close_transport
    assert ours.data_to_send() == [] and ours.receive_eof() == [] and ours.receive(wire) == []
    assert ours.next_deadline() is None


# Any chunking gives the same


ITEMS = st.lists(
    st.sampled_from(["text", "binary", "fragments", "ping", "pong", "close", "bad"]), max_size=8
)


def play(wire, sizes, role):
    """Events, answers and state after ``wire`` in pieces."""
    limits = Limits(max_message=60, message_timeout=9)
    ours = Connection(role, limits=limits, ping_interval=9, keys=lambda: b"abcd")
    events, out, pos, i = [], b"", 0, 0
    while pos < len(wire):
        size = sizes[i % len(sizes)]
        events += ours.receive(wire[pos : pos + size], 1.0)
        out += b"".join(ours.data_to_send())
        pos, i = pos + size, i + 1
    events += ours.receive_eof()
    faults = [(e.name, e.offset) for e in events if isinstance(e, RemoteProtocolError)]
    events = [event for event in events if not isinstance(event, RemoteProtocolError)]
    return events, faults, out, ours.state, ours.close_rcvd, ours.close_sent


@given(
    ITEMS, st.lists(st.integers(1, 20), min_size=1, max_size=5), st.booleans(), st.integers(0, 9)
)
def test_any_chunking(items, sizes, serving, cut):
    role = SERVER if serving else CLIENT
    peer = encoder(CLIENT if serving else SERVER, keys=lambda: b"\x01\x02\x03\x04")
    wire = b""
    for item in items:
        if item == "text":
            wire += peer.text("grüße")
        elif item == "binary":
            wire += peer.binary(bytes(59))
        elif item == "fragments":
            wire += peer.text("a", fin=False) + peer.ping(b"mid") + peer.continuation("é")
        elif item == "bad":
            wire += b"\x84\x80" + bytes(4)
        else:
            wire += getattr(peer, item)()
    wire = wire[: len(wire) - cut] if cut < len(wire) else wire
    assert play(wire, sizes, role) == play(wire, [len(wire) + 1], role)


@given(st.binary(max_size=80), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_any_bytes(wire, sizes):
    cut, whole = play(wire, sizes, SERVER), play(wire, [len(wire) + 1], SERVER)
    assert cut == whole


@settings(max_examples=50)
@given(st.lists(st.text(max_size=30), max_size=5), st.integers(1, 40), st.booleans())
def test_two_connections_talk(texts, size, compress):
    config = PerMessageDeflate(threshold=0)
    server = Connection(SERVER, extensions=[config.negotiate(())] if compress else ())
    client = Connection(CLIENT, extensions=[config.confirm(())] if compress else ())
    received = []
    for step in ("talk", "close"):
        if step == "close":
            client.close(1000, "done")
        for text in texts if step == "talk" else ():
            client.send(text)
        wire = b"".join(client.data_to_send())
        for i in range(0, len(wire), size):
            for event in server.receive(wire[i : i + size]):
                if isinstance(event, str):
                    server.send(event)
            received += client.receive(b"".join(server.data_to_send()))
    assert received == [*texts, Close(1000, "done")]
    assert server.state is client.state is State.CLOSED and server.should_close_transport


END = {
    "close": (encoder().close(1001), Close(1001, "")),
    "fault": (b"\xc1\x80", Close(1002, "reserved bits must be 0")),
}


@pytest.mark.parametrize("end", END)
def test_what_came_with_the_end_can_be_answered_before_it(end):
    wire, answer = END[end]
    ours = Connection(SERVER)
    assert ours.receive(encoder().text("?") + encoder().ping(b"p") + wire)[0] == "?"
    assert ours.state is not State.OPEN and ours.close_sent == answer
    ours.send("!")
    ours.send_fragment("more", fin=True)
    waiting = ours.bytes_queued
    out = ours.data_to_send()
    assert sum(map(len, out)) == waiting
    assert MessageDecoder(CLIENT).feed(b"".join(out)) == [Pong(b"p"), "!", "more", answer]
    assert local_name(ours.send, "!") == "closing"
    assert ours.data_to_send() == [] and ours.should_close_transport


@pytest.mark.parametrize("end", END)
def test_what_came_before_can_no_longer_be_answered(end):
    ours = Connection(SERVER)
    assert ours.receive(encoder().text("?")) == ["?"]
    ours.receive(END[end][0])
    assert local_name(ours.send, "!") == "closing"

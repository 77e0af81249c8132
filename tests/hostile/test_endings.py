"""S17 to S25: after the error, floods, native memory, defaults, the handshake, deadlines."""

from __future__ import annotations

import array
from types import ModuleType
from typing import Any

import pytest

from wsfast import Close, HandshakeError, Limits, LocalProtocolError, Pong, Role, handshake

KEY = b"\x37\xfa\x21\x3d"
KIB, MIB = 1 << 10, 1 << 20
SERVER, CLIENT = Role.SERVER, Role.CLIENT

# ---- S17 to S19: after the error, floods, output -------------------------------------------------


@pytest.mark.parametrize("decoder", ["FrameDecoder", "MessageDecoder"])
def test_s17_after_an_error_nothing_is_kept(
    backend: ModuleType, frame: Any, traced: Any, decoder: str
) -> None:
    """Input is dropped without a look (aiohttp#13655 kept it all); the error stays the first."""
    ours = getattr(backend, decoder)(SERVER)
    ours.feed(frame(2, bytes(1000), fin=False, key=KEY) + frame(3, key=KEY))
    error, moved = ours.failed, ours._moved
    chunk = frame(1, b"x" * MIB, key=KEY)
    with traced() as peak:
        for _ in range(50):
            assert ours.feed(chunk) == ours.feed(b"\x81") == []
        assert peak() < 2 * KIB
    assert (ours.failed, ours._moved, ours.buffered) == (error, moved, 0)
    assert error.name == "invalid_opcode"


def test_s17_a_failed_connection_holds_one_close(frame: Any, connection: Any, traced: Any) -> None:
    ours = connection()
    ours.receive(frame(3, key=KEY))
    flood = frame(9, b"x" * 125, key=KEY) * 100
    with traced() as peak:
        for _ in range(50):
            assert ours.receive(flood) == []
        assert peak() < 2 * KIB
    assert ours.bytes_queued < 130
    with pytest.raises(LocalProtocolError):
        ours.ping()


def test_s17_a_refused_handshake_keeps_nothing(traced: Any) -> None:
    ours = handshake.ServerHandshake()
    with pytest.raises(HandshakeError):
        ours.feed(b"\n")
    chunk = bytes(MIB)
    with traced() as peak:
        for _ in range(50):
            with pytest.raises(HandshakeError) as caught:
                ours.feed(chunk)
        assert peak() < 64 * KIB  # of which pytest's part is the most
    assert len(caught.traceback) == 2  # not of all the times it was raised


def test_s17_after_a_deadline_input_is_dropped(frame: Any, connection: Any) -> None:
    """The decoder knows nothing of time, and would go on."""
    ours = connection(limits=Limits(message_timeout=5.0))
    wire = frame(1, b"late", key=KEY)
    ours.receive(wire[:7], 0.0)
    assert [error.name for error in ours.tick(5.0)] == ["too_slow"]
    assert ours.receive(wire[7:], 5.0) == ours.receive(wire, 5.0) == []


@pytest.mark.parametrize("most", [1, 16])
def test_s18_pings_that_nobody_reads(
    backend: ModuleType, frame: Any, connection: Any, farewell: Any, most: int
) -> None:
    """400,000 of them: §5.5.3 lets us answer the newest in the place of those before it."""
    ours = connection(limits=Limits(max_pending_pongs=most))
    flood = b"".join([frame(9, b"%d" % i, key=KEY) for i in range(4000)])
    for _ in range(100 if backend.backend() != "python" else 5):
        assert len(ours.receive(flood)) == 4000
        assert ours.bytes_queued <= 6 * most
    pongs = farewell(ours)
    assert len(pongs) == most and pongs[-1] == Pong(b"3999")
    ours.receive(frame(9, b"again", key=KEY))
    assert farewell(ours) == [Pong(b"again")]


@pytest.mark.parametrize("role", [SERVER, CLIENT])
def test_s19_what_waits_is_counted(connection: Any, role: Role) -> None:
    """Output is the owner's to bound: ``bytes_queued`` tells how much there is."""
    ours = connection(role)
    ours.send(bytes(70_000))
    ours.send("a" * 100)
    ours.ping(b"b")
    ours.send_fragment(b"c", fin=False)
    ours.close()
    queued = ours.bytes_queued
    taken = ours.data_to_send()
    assert queued == sum(map(len, taken)) > 70_100
    assert (ours.bytes_queued, ours.data_to_send()) == (0, [])


# ---- S20, S21: native memory ---------------------------------------------------------------------


def test_s20_lengths_are_bytes(backend: ModuleType) -> None:
    """Not items (CVE-2026-45736 sent the heap along); tests/guard_pages.py looks at every byte."""
    encoder = backend.FrameEncoder(SERVER)
    senders = [encoder.binary, encoder.text, encoder.ping, backend.MessageDecoder(SERVER).feed]
    for data in (
        array.array("i", [1] * 8),
        memoryview(bytes(64)).cast("d"),
        memoryview(b"abcd")[::2],
    ):
        for send in senders:
            with pytest.raises(BufferError):
                send(data)
    assert encoder.binary(array.array("B", b"ab")) == b"\x82\x02ab"


def test_s20_nothing_else_is_sent(backend: ModuleType) -> None:
    """A frame is its header and its payload: all of it written, none of it left over."""
    for role, key in ((SERVER, None), (CLIENT, bytes(4))):
        encoder = backend.FrameEncoder(role, keys=lambda: bytes(4))
        for size in [*range(300), 65535, 65536]:
            data = b"\xaa" * size
            encoder.binary(b"\xbb" * (size + 7))  # memory that was used before
            assert encoder.binary(data) == backend.build_header(2, size, key=key) + data


@pytest.mark.parametrize("decoder", ["FrameDecoder", "MessageDecoder"])
def test_s21_views_stay_what_they_were(backend: ModuleType, frame: Any, decoder: str) -> None:
    """Payloads are ours alone, and a view of the receive buffer outlives a larger one."""
    ours = getattr(backend, decoder)(SERVER)
    wire = frame(2, b"first" * 100, key=KEY) + frame(2, b"half", fin=False, key=KEY)[:-1]
    view = ours.get_buffer(1)
    view[: len(wire)] = wire
    [item] = ours.buffer_updated(len(wire))
    larger = ours.get_buffer(200 * KIB)
    view[:] = b"\xff" * len(view)  # what a transport may still do
    assert len(larger) >= 200 * KIB > len(view)
    payload = item if decoder == "MessageDecoder" else item.payload
    assert payload == b"first" * 100
    rest = frame(2, b"half", fin=False, key=KEY)[-1:] + frame(0, b"!", key=KEY)
    larger[: len(rest)] = rest
    last = ours.buffer_updated(len(rest))[-1]
    assert last == b"half!" if decoder == "MessageDecoder" else last.payload == b"!"


def test_s21_chunks_are_not_kept(backend: ModuleType, frame: Any) -> None:
    ours = backend.MessageDecoder(SERVER)
    chunk = bytearray(frame(2, bytes(500), fin=False, key=KEY) + b"\x80")
    ours.feed(chunk)
    chunk.clear()  # BufferError while anyone holds a view
    with pytest.raises((ValueError, BufferError, TypeError)):
        view = memoryview(b"ab")
        view.release()
        ours.feed(view)


# ---- S22: defaults -------------------------------------------------------------------------------

SAFE = {
    "max_message": MIB,
    "max_frame": None,
    "max_fragments": 65537,
    "max_pending_pongs": 16,
    "max_ratio": None,
    "max_head": 64 * KIB,
    "max_headers": 128,
    "open_timeout": 10.0,
    "close_timeout": 10.0,
    "message_timeout": None,
    "queue_messages": 32,
    "queue_bytes": MIB,
}


def test_s22_limits_where_nobody_asks(
    backend: ModuleType, frame: Any, connection: Any, refusal: Any
) -> None:
    """CVE-2026-44545 is a library without them. One that is None has another in its place."""
    assert {name: getattr(Limits(), name) for name in Limits.__match_args__} == SAFE
    head = frame(2, key=KEY, length=MIB + 1)
    assert refusal(head) == "message_too_big"
    for decoder in (backend.FrameDecoder(SERVER), backend.MessageDecoder(SERVER)):
        assert decoder.feed(head)[-1].name == "message_too_big"
    assert connection().receive(frame(2, bytes(MIB), key=KEY)) == [bytes(MIB)]
    with pytest.raises(HandshakeError) as caught:
        handshake.ServerHandshake().feed(b"GET / HTTP/1.1\r\nA: " + b"x" * (64 * KIB))
    assert (caught.value.name, caught.value.status) == ("head_too_big", 431)


# ---- S23, S24: the handshake ---------------------------------------------------------------------

LINES = [
    b"Host: example.com",
    b"Upgrade: websocket",
    b"Connection: keep-alive, Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


def upgrade(*lines: bytes, start: bytes = b"GET / HTTP/1.1", **limits: Any) -> str:
    """The name of the refusal, "" for none; fed whole and byte by byte."""
    wire = b"\r\n".join([start, *lines, b"", b""])
    names = []
    for size in (len(wire), 1):
        reader = handshake.ServerHandshake(Limits(**limits))
        request = None
        try:
            for pos in range(0, len(wire), size):
                request = reader.feed(wire[pos : pos + size])
            assert request is not None
            handshake.check_upgrade(request.method, request.http_version, request.headers)
            names.append("")
        except HandshakeError as exc:
            names.append(exc.name)
    assert names[0] == names[1]
    return names[0]


def test_s23_good_handshakes() -> None:
    assert upgrade(*LINES) == ""
    assert upgrade(*LINES[:1], b"uPGRADE:WebSocket", *LINES[2:]) == ""


@pytest.mark.parametrize("byte", b"\x00\x0b\x0c\x1c\x1d\x1e\x7f\r\n")
def test_s23_control_bytes(byte: int) -> None:
    """What str.splitlines takes for a line end must not become one (CVE-2026-44546)."""
    assert upgrade(*LINES, b"A: b%cOrigin: http://good" % byte) == "bad_request"
    assert upgrade(*LINES, start=b"GET /%c HTTP/1.1" % byte) == "bad_request"


@pytest.mark.parametrize(("lines", "name"), [
    ([*LINES, b"A : b"], "bad_request"),
    ([*LINES, b" folded: b"], "bad_request"),
    ([*LINES, b"no colon"], "bad_request"),
    ([*LINES, LINES[0]], "bad_host"),
    ([*LINES, b"Transfer-Encoding: chunked"], "unexpected_body"),
    ([*LINES, b"Content-Length: 5"], "unexpected_body"),
    ([*LINES[:4]], "bad_key"),
    ([*LINES, LINES[4]], "bad_key"),
    ([*LINES[:4], b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"], "bad_key"),
    ([*LINES[:3], b"Sec-WebSocket-Version: 8", LINES[4]], "bad_version"),
    ([*LINES[:2], b"Connection: notupgrade", *LINES[3:]], "bad_connection"),
    ([*LINES[:1], b"Upgrade: notwebsocket", *LINES[2:]], "bad_upgrade"),
    ([*LINES, b"Origin: http://a", b"Origin: http://b"], "bad_origin"),
    ([*LINES, b"Sec-WebSocket-Protocol: caf\xc3\xa9"], "bad_subprotocols"),
    ([*LINES, b"Sec-WebSocket-Extensions: a; b=\"c d\""], "bad_extensions"),
])  # fmt: skip
def test_s23_grammar(lines: list[bytes], name: str) -> None:
    assert upgrade(*lines) == name


def test_s23_limits_of_a_head() -> None:
    """Both inclusive (CVE-2024-37890: more headers than the limit)."""
    head = b"\r\n".join([b"GET / HTTP/1.1", *LINES, b"", b""])
    assert upgrade(*LINES, max_headers=5) == upgrade(*LINES, max_head=len(head)) == ""
    assert upgrade(*LINES, max_headers=4) == "too_many_headers"
    assert upgrade(*LINES, max_head=len(head) - 1) == "head_too_big"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\0", "a\r"])
def test_s23_no_injection_into_answers(value: str) -> None:
    request = [tuple(line.decode().split(": ")) for line in LINES]
    offer = handshake.check_upgrade("GET", "1.1", request)  # type: ignore[arg-type]
    for answer in (
        lambda: handshake.accept(offer, headers=[("X", value)]),
        lambda: handshake.accept(offer, subprotocol=value),
        lambda: handshake.reject(400, [("X", value)]),
        lambda: handshake.ClientHandshake("ws://a/", headers=[("X", value)]),
        lambda: handshake.ClientHandshake("ws://a/" + value),
    ):
        with pytest.raises(ValueError):
            answer()


def test_s23_a_client_compares_the_accept_key() -> None:
    client = handshake.ClientHandshake("ws://a/", nonce=b"the sample nonce")
    answer = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    with pytest.raises(HandshakeError) as caught:
        client.feed(answer + b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n\r\n")
    assert caught.value.name == "bad_accept"


@pytest.mark.parametrize("origin", [
    None, "null", "", "https://evil.example", "https://good.example.evil.example",
    "https://evilgood.example", "http://good.example", "https://good.example:8443",
    "https://good.example@evil.example", "https://good.example/",
])  # fmt: skip
def test_s24_foreign_origins(origin: str | None) -> None:
    """The whole origin is compared: no prefix, no suffix, no other scheme or port."""
    assert not handshake.check_origin(origin, ["https://good.example"])


def test_s24_our_own_origins() -> None:
    for origin in ("https://good.example", "https://good.example:443", "HTTPS://Good.Example"):
        assert handshake.check_origin(origin, ["https://other", "https://good.example"])
    assert handshake.check_origin(None, [None])


# ---- S25: deadlines ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [SERVER, CLIENT])
def test_s25_our_close_is_not_answered(connection: Any, role: Role) -> None:
    ours = connection(role, limits=Limits(close_timeout=3.0))
    ours.close()
    ours.tick(50.0)
    assert ours.next_deadline() == 53.0
    [error] = ours.tick(53.0)
    assert error.name == "too_slow" and ours.should_close_transport


def test_s25_a_server_that_does_not_hang_up(frame: Any, connection: Any) -> None:
    """§7.1.1: a client waits for it, but not for ever."""
    ours = connection(CLIENT, limits=Limits(close_timeout=3.0))
    ours.receive(frame(8), 50.0)
    assert not ours.should_close_transport and ours.next_deadline() == 53.0
    assert ours.tick(53.0) == [] and ours.should_close_transport


def test_s25_a_dead_peer(connection: Any, farewell: Any) -> None:
    ours = connection(ping_interval=20.0, ping_timeout=10.0, now=100.0)
    assert ours.tick(120.0) == [] and ours.next_deadline() == 130.0
    [error] = ours.tick(130.0)
    assert error.name == "too_slow" and ours.should_close_transport
    assert farewell(ours)[-1] == Close(1011, "keepalive ping timeout")


def test_s25_no_deadline_is_pushed_off_by_input(frame: Any, connection: Any) -> None:
    ours = connection(limits=Limits(close_timeout=3.0))
    ours.close()
    ours.tick(50.0)
    for second in range(3):
        ours.receive(frame(2, bytes(100), key=KEY) + frame(9, key=KEY), 50.0 + second)
        assert ours.next_deadline() == 53.0

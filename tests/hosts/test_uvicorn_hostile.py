"""Hostile peers of the uvicorn class: every limit that reaches it, over real sockets where it can.

The rows S1 to S28 are those of docs/security.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import tracemalloc
import zlib

import pytest

from wsfast import Close, Limits, MessageDecoder, Pong, Role
from wsfast.uvicorn import WebSocketProtocol
from wsfast.uvicorn._output import IN_A_ROW, LEAST_READ, PONGS

KIB, MIB = 1 << 10, 1 << 20
REQUEST = (
    b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
DEFLATE = b"sec-websocket-extensions: permessage-deflate\r\n"


def limited(**limits):
    return type("Limited", (WebSocketProtocol,), {"limits": Limits(**limits)})


def bomb():
    """256 MiB of zeros in 254 KiB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    again = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return (first + 255 * again)[:-4]


def frame(opcode, payload=b"", *, fin=True, rsv=0):
    """A masked frame, its key all zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
    if 126 <= size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + bytes(4) + payload


# ---- faults and limits, over a socket ------------------------------------------------------------

MANY = frame(2, fin=False) + frame(0, fin=False) * 70_000
ATTACKS = {
    "s01 bomb": (frame(2, bomb(), rsv=4), {}, 1009),
    "s01 ratio": (frame(2, bomb()[:1000], rsv=4), {"max_ratio": 20}, 1009),
    "s02 one too many": (frame(2, bytes(MIB + 1)), {}, 1009),
    "s03 empty continuations": (MANY, {}, 1009),
    "s03 few allowed": (frame(2, fin=False) + frame(0, fin=False) * 3, {"max_fragments": 3}, 1009),
    "s06 declared length": (b"\x82\xff" + bytes([127] + [255] * 7), {}, 1009),
    "s06 a long frame": (frame(2, bytes(101)), {"max_frame": 100}, 1009),
    "s07 top bit": (b"\x82\xff\x80" + bytes(11), {}, 1002),
    "s08 not minimal": (b"\x82\xfe\x00\x05" + bytes(9), {}, 1002),
    "s09 rsv2": (b"\xa2\x80" + bytes(4), {}, 1002),
    "s09 ping with rsv1": (b"\xc9\x80" + bytes(4), {}, 1002),
    "s11 final blocks": (frame(2, b"\x03\x00" * 1025, rsv=4), {}, 1002),
    "s13 utf8": (frame(1, b"\xed\xa0\x80"), {}, 1007),
    "s14 close code": (frame(8, b"\x03\xec"), {}, 1002),
    "s14 close length": (frame(8, b"\x03"), {}, 1002),
    "s15 no mask": (b"\x82\x01a", {}, 1002),
}


def attack(port, wire):
    """What the server says. It hangs up before it has read all: asyncio would lose the rest."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(REQUEST + DEFLATE + b"\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        said = b""
        with contextlib.suppress(ConnectionError):
            sock.sendall(wire)
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(4096):
                said += data
    return MessageDecoder(Role.CLIENT).feed(said)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_closed_with_their_code(run, serve, record, name):
    """And the application is told; nothing of the message reaches it."""
    events, app = record
    wire, limits, code = ATTACKS[name]

    async def main():
        options = {"ws_max_size": MIB}
        async with serve(app, limited(**limits), **options) as server:
            close = (await asyncio.to_thread(attack, server.port, wire))[-1]
            assert (type(close), close.code) == (Close, code)

    run(main())
    assert [event["type"] for event in events] == ["websocket.disconnect"]
    assert events[0]["code"] == code


@pytest.mark.parametrize("name", ["s10 control frames", "s11 after a final block"])
def test_what_others_drop_is_delivered(run, serve, record, name):
    """A Ping within a compressed message; messages behind BFINAL=1."""
    hello, final = bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f348cdc9c9070000")
    events, app = record
    wire = frame(1, hello[:3], fin=False, rsv=4) + frame(9) + frame(0, hello[3:])
    if name.startswith("s11"):
        wire = frame(1, final, rsv=4) * 2

    async def main():
        async with serve(app) as server:
            client = await server.connect(DEFLATE)
            client.writer.write(wire + frame(1, hello, rsv=4) + frame(8, b"\x03\xe8"))
            assert (await client.items())[-1] == Close(1000, "")

    run(main())
    texts = [event.get("text") for event in events]
    assert texts[:-1] == ["Hello"] * (len(texts) - 1) and len(texts) in (3, 4)


def test_s01_bomb_in_memory(run, fake, record):
    async def main():
        connection = await fake(record[1], headers=DEFLATE, ws_max_size=MIB).opened()
        wire = frame(2, bomb(), rsv=4)
        tracemalloc.start()
        connection.protocol.data_received(wire)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert connection.items()[-1].code == 1009
        assert peak < 2 * MIB + len(wire)  # the twin copies freely

    run(main())


# ---- S28: messages by the thousand in one read ---------------------------------------------------

QUARTER = limited(queue_bytes=KIB * 256)  # of what it is by itself, to be quick


def squeezed(count):
    """So many messages of 256 KiB, some 280 bytes each."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    payload = compressor.compress(bytes(KIB * 256)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(2, payload[:-4], rsv=4) * count


def slow(taken):
    """An application that takes a message in every tenth turn of the loop, and drops it."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while len((await receive())["bytes"]) == KIB * 256:
            taken.append(1)
            for _ in range(10):
                await asyncio.sleep(0)

    return app


def test_s28_what_one_read_holds_is_bounded(run, fake):
    """The queue, and one message more; 50 MiB otherwise."""
    taken = []

    async def main():
        connection = await fake(slow(taken), QUARTER, DEFLATE, ws_max_size=KIB * 256).opened()
        wire = squeezed(200)
        tracemalloc.start()
        connection.read_soon(raw=wire)
        while len(taken) < 200:
            await asyncio.sleep(0)
            assert connection.protocol._queued <= 2 * KIB * 256
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * KIB * 256 + 3 * len(wire)
        connection.task.cancel()
        await connection.lost()

    run(main())


def test_s28_the_loop_has_its_turn(run, fake):
    """Though the application takes every message at once, and so the queue never fills."""
    sizes, turns = [], []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            sizes.append(len(event["bytes"]))

    def turn():
        turns.append(len(sizes))
        if len(sizes) < 50:
            asyncio.get_running_loop().call_soon(turn)

    async def main():
        connection = await fake(app, QUARTER, DEFLATE, ws_max_size=KIB * 256).opened()
        connection.read_soon(raw=squeezed(50))
        asyncio.get_running_loop().call_soon(turn)
        while len(sizes) < 50:
            await asyncio.sleep(0)
        assert len(set(turns)) >= 50 - 2
        await connection.lost()

    run(main())


def test_s28_nor_behind_our_close(run, fake):
    """What is read to find the peer's Close frame."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    async def main():
        connection = await fake(app, QUARTER, DEFLATE, ws_max_size=KIB * 256).opened()
        wire = squeezed(50) + frame(8, b"\x03\xe8")
        tracemalloc.start()
        connection.protocol.data_received(wire)
        turns = 0
        while not connection.wire.closed:
            await asyncio.sleep(0)
            turns += 1
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * KIB * 256 + 3 * len(wire) and turns >= 50 - 2
        await connection.lost()

    run(main())


def test_s28_nor_behind_the_end(run, fake):
    """What was read before the transport was lost."""
    taken = []

    async def main():
        connection = await fake(slow(taken), QUARTER, DEFLATE, ws_max_size=KIB * 256).opened()
        wire = squeezed(50)
        connection.protocol.data_received(wire)
        tracemalloc.start()
        connection.protocol.connection_lost(None)
        while len(taken) < 50:
            await asyncio.sleep(0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * KIB * 256 + 3 * len(wire)
        connection.task.cancel()

    run(main())


# ---- S4: slow messages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start", [b"\x81", b"\x81\x85" + bytes(4) + b"x", frame(1, b"x", fin=False)]
)
def test_s04_too_slow(run, serve, record, start):
    events, app = record

    async def main():
        async with serve(app, limited(message_timeout=0.5)) as server:
            client = await server.connect()
            client.writer.write(frame(1, b"quick") + start)

            for _ in range(5 if start[0] == 1 else 0):  # no way to gain time
                await asyncio.sleep(0.02)
                client.writer.write(frame(9))
            close = (await client.items())[-1]
            assert close == Close(1008, "message timeout")

    run(main())
    assert events == [
        {"type": "websocket.receive", "text": "quick"},
        {"type": "websocket.disconnect", "code": 1008, "reason": "message timeout"},
    ]


def test_s04_messages_in_time(run, fake, settle, record):
    """Each message has its own time; none is running between them."""

    async def main():
        connection = await fake(record[1], limited(message_timeout=60)).opened()
        timer = connection.protocol._message_timer
        half = frame(1, b"ab")
        for _ in range(3):
            connection.protocol.data_received(half[:3])
            first = timer._timer
            assert first is not None
            connection.protocol.data_received(half[3:4])
            assert timer._timer is first
            connection.protocol.data_received(half[4:] + half[:3])
            assert timer._timer is not first and first.cancelled()
            connection.protocol.data_received(half[3:])
            assert timer._timer is None
        connection.protocol.data_received(half[:3])
        last = timer._timer
        await connection.lost()
        assert last.cancelled() and timer._timer is None

    run(main())


def test_s04_what_we_do_not_read_is_not_late(run, fake, record):
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def main():
        cls = limited(message_timeout=0.03, queue_messages=2)
        connection = await fake(app, cls, ws_max_queue=2).opened()
        connection.read("a", "b", raw=b"\x81")
        assert connection.wire.paused
        await asyncio.sleep(0.06)
        assert not connection.wire.over
        go_on.set()
        while not connection.wire.over:  # read again, and late again
            await asyncio.sleep(0.005)
        assert connection.items() == [Close(1008, "message timeout")]

    run(main())


def test_s04_none_once_we_closed(run, fake, settle):
    """Then ``close_timeout`` alone counts."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.close"})

    async def main():
        connection = await fake(app, limited(message_timeout=0.02)).opened()
        connection.read("go", raw=b"\x81")
        await asyncio.sleep(0.05)
        assert connection.items() == [Close(1000, "")] and not connection.wire.closed
        await connection.lost()

    run(main())


# ---- S17 to S19: after the error, floods, output -------------------------------------------------


def test_s17_after_an_error_input_is_dropped(run, fake, record):
    async def main():
        connection = await fake(record[1]).opened()
        connection.protocol.data_received(b"\x83\x80")
        flood = frame(9, bytes(125)) * 1000
        tracemalloc.start()
        for _ in range(100):
            connection.protocol.data_received(flood)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * KIB and not connection.wire.late

    run(main())


class Stuck:
    """A transport's buffer: the peer's window takes so much, and no more."""

    def __init__(self, connection, window):
        self.room, self.most, self.size = window, 0, 0
        self.protocol = connection.protocol
        connection.wire.get_write_buffer_size = lambda: self.size
        self.protocol._write = self.write

    def write(self, data):
        taken = min(len(data), self.room)
        self.room -= taken
        self.size += len(data) - taken
        self.most = max(self.most, self.size)
        if self.size > 64 * KIB:  # asyncio's mark
            self.protocol.pause_writing()


@pytest.mark.parametrize("window", [0, 100, 100_000])
@pytest.mark.parametrize("payload", [b"", bytes(125)])
def test_s18_pings_that_nobody_reads(run, fake, record, window, payload):
    """In reads of up to 256 KiB: the mark of the transport, and what one read adds to it."""

    async def main():
        connection = await fake(record[1]).opened()
        stuck = Stuck(connection, window)
        read = frame(9, payload) * (256 * KIB // len(frame(9, payload)))
        for _ in range(60 if payload else 3):
            connection.protocol.data_received(read)
        held = sum(map(len, connection.protocol._pongs))
        assert held <= 16 * 127
        assert stuck.most <= 64 * KIB + 16 * 127

    run(main())


def test_s18_a_peer_that_reads_has_every_answer(run, fake, record):
    async def main():
        connection = await fake(record[1]).opened()
        payloads = [b"%d" % number for number in range(3 * PONGS)]
        connection.protocol.data_received(b"".join([frame(9, each) for each in payloads]))
        assert connection.items() == [Pong(each) for each in payloads]

    run(main())


def test_s18_a_real_flood(run, serve, record):
    async def main():
        async with serve(record[1]) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()
            tracemalloc.start()
            for _ in range(10):
                client.writer.write(frame(9) * 10_000)
                await client.writer.drain()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 16 * MIB  # the client's own, and the events of one read
            client.writer.transport.resume_reading()
            client.writer.write(frame(8, b"\x03\xe8"))
            assert (await client.items())[-1] == Close(1000, "")

    run(main())


def test_s19_output_waits_for_the_peer(run, serve):
    """``send`` does not return while the transport has enough."""
    sent = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "bytes": bytes(64 * KIB)})
            sent.append(1)

    async def main():
        async with serve(app) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()
            before = -1
            while before != len(sent):
                before = len(sent)
                await asyncio.sleep(0.1)
            [protocol] = server.server.server_state.connections
            assert protocol.transport.get_write_buffer_size() <= 129 * KIB

    run(main())


@pytest.mark.parametrize("cork", ["auto", "burst", "off"])
@pytest.mark.parametrize("unread", [[], ["a"]])
def test_s19_who_only_sends_gives_the_loop_its_turn(run, fake, cork, unread):
    """A transport that is gone takes everything: only in its turn does the loop say so."""
    go_on, sent = asyncio.Event(), []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await go_on.wait()
        while len(sent) < 1000:
            await send({"type": "websocket.send", "bytes": bytes(65 * KIB)})
            sent.append(1)

    async def main():
        connection = await fake(app, type("Corked", (WebSocketProtocol,), {"cork": cork})).opened()
        connection.read(*unread)
        go_on.set()  # the application runs before
        asyncio.get_running_loop().call_soon(connection.protocol.connection_lost, None)
        await asyncio.wait([connection.task])
        assert len(sent) <= IN_A_ROW

    run(main())


def greedy(port, context):
    """A peer that reads as fast as it can, and is gone."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname="localhost")
        sock.sendall(REQUEST + b"\r\n")
        left = MIB
        while left > 0:
            left -= len(sock.recv(64 * KIB))
        sock.close()


@pytest.mark.parametrize("tls", [False, True])
def test_s19_a_real_peer_that_reads_and_is_gone(run, serve, encrypted, tls):
    context, options = encrypted if tls else (None, {})

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        patience = time.monotonic() + 5
        while time.monotonic() < patience:
            await send({"type": "websocket.send", "bytes": bytes(KIB)})
        raise AssertionError("the server hung")

    async def main():
        async with serve(app, **options) as server:
            await asyncio.to_thread(greedy, server.port, context)
            while server.server.server_state.connections:
                await asyncio.sleep(0.01)

    run(main())


# ---- S25: ends -----------------------------------------------------------------------------------


def closing(pause):
    """An application that closes while the transport is full."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        pause[0]()
        await send({"type": "websocket.close"})

    return app


def test_s25_close_does_not_wait_for_a_peer_that_does_not_read(run, fake):
    """Without keepalive too: ``close_timeout`` after the application said so, it is over."""
    pause = [None]

    async def main():
        connection = fake(closing(pause), limited(close_timeout=0.05), ws_ping_interval=None)
        connection.wire.get_write_buffer_size = lambda: 100 * KIB
        pause[0] = connection.protocol.pause_writing
        started = asyncio.get_running_loop().time()
        while not connection.wire.aborted:
            await asyncio.sleep(0.005)
        assert asyncio.get_running_loop().time() - started < 5
        await connection.lost()

    run(main())


def test_s25_close_waits_for_a_peer_that_reads_slowly(run, fake):
    pause = [None]

    async def main():
        connection = fake(closing(pause), limited(close_timeout=0.03), ws_ping_interval=None)
        waiting = [1000 * LEAST_READ]

        def unsent():
            waiting[0] -= LEAST_READ
            return waiting[0]

        connection.wire.get_write_buffer_size = unsent
        pause[0] = connection.protocol.pause_writing
        await connection.opened()
        await asyncio.sleep(0.05)
        assert not connection.wire.aborted and not connection.items()
        connection.protocol.resume_writing()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert connection.items() == [Close(1000, "")]
        await connection.lost()

    run(main())


def test_s25_a_real_peer_that_reads_no_close(run, serve):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        sending = asyncio.create_task(send({"type": "websocket.send", "bytes": bytes(30_000_000)}))
        await asyncio.sleep(0.05)
        await send({"type": "websocket.close"})
        await sending

    async def main():
        cls = limited(close_timeout=0.1)
        async with serve(app, cls, ws_ping_interval=None) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()
            while server.server.server_state.connections:
                await asyncio.sleep(0.01)

    run(main())


def test_s25_a_real_peer_that_ends_its_side_and_reads_nothing(run, serve):
    """asyncio and uvloop then close the transport, which waits for its output to leave."""
    sent = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        with contextlib.suppress(OSError):
            while True:
                sent.set()
                await send({"type": "websocket.send", "bytes": bytes(MIB)})

    async def main():
        cls = limited(close_timeout=0.1)
        async with serve(app, cls, ws_ping_interval=None) as server:
            client = await server.connect()
            client.writer.transport.pause_reading()
            await sent.wait()
            client.writer.write_eof()
            while server.server.server_state.connections or server.server.server_state.tasks:
                await asyncio.sleep(0.01)

    run(main())


# ---- S22, S23: what the class is given -----------------------------------------------------------


@pytest.mark.parametrize(("limits", "name"), [
    ({"max_headers": 4}, b"too_many_headers"), ({"max_head": 100}, b"head_too_big"),
])  # fmt: skip
def test_s23_limits_of_a_head(run, serve, record, limits, name):
    async def main():
        async with serve(record[1], limited(**limits)) as server:
            client = await server.connect()
            assert client.head.startswith(b"HTTP/1.1 431 ")
            assert name in await client.reader.read()

    run(main())

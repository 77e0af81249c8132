"""A read that inflates to more than the queue may hold is decoded in parts: nothing is lost by it.

How much is held meanwhile: ``test_s28_*`` in test_uvicorn_hostile.py.
"""

from __future__ import annotations

import asyncio
import itertools
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsfast import Close, Limits, Pong
from wsfast.deflate import PerMessageDeflate
from wsfast.uvicorn import WebSocketProtocol

DEFLATE = b"sec-websocket-extensions: permessage-deflate\r\n"
PING, PONG = b"\x89\x81\x00\x00\x00\x00p", b"\x8a\x01p"
FAULT = b"\xa1\x80\x00\x00\x00\x00"
CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe9"
BROKEN = {"code": 1002, "reason": "reserved bits must be 0"}
LOST = {"type": "websocket.disconnect", "code": 1005}


def variant(**attributes):
    """Three messages of ours fill its queue; what it sends is not compressed."""
    attributes = {
        "limits": Limits(queue_bytes=1000),
        "deflate": PerMessageDeflate(threshold=1 << 30),
    } | attributes
    return type("Variant", (WebSocketProtocol,), attributes)


@pytest.fixture(params=["direct", "future"])
def cls(request):
    return variant(wake=request.param)


def text(number):
    return f"{number:03}" + "é" * 200


def compressed(message, *, fin=True):
    """The wire of a text message; refers to none before it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    payload = compressor.compress(message.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)
    payload = payload[:-4] if fin else payload
    assert len(payload) < 126
    return bytes([0x41 | fin << 7, 0x80 | len(payload)]) + bytes(4) + payload


TEN = [text(number) for number in range(10)]
WIRE = b"".join(map(compressed, TEN))


class Slow:
    """An application that receives, and closes, when it is told to."""

    def __init__(self):
        self.got = []
        self.orders = asyncio.Queue()

    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            order = await self.orders.get()
            if order == "close":
                await send({"type": "websocket.close"})
            elif (event := await receive())["type"] == "websocket.receive":
                self.got.append(event["text"])
            else:
                self.got.append(event)

    async def do(self, *orders):
        """Whatever it does not get for lack of messages, it gets when they come."""
        for order in orders:
            self.orders.put_nowait(order)
        for _ in range(100):
            await asyncio.sleep(0)

    async def take(self, count):
        await self.do(*["take"] * count)


async def leave(connection):
    """The application does not see the end."""
    connection.task.cancel()
    await connection.lost()


@pytest.fixture
def kept(fake, cls):
    """``await kept(wire=b"", …)``: a slow application, and a connection that keeps most of
    ``WIRE + wire``.
    """

    async def open_and_read(wire=b"", cls=cls, **options):
        app = Slow()
        connection = await fake(app, cls, headers=DEFLATE, **options).opened()
        connection.read(raw=WIRE + wire)
        assert len(connection.protocol._queue) == 3
        assert connection.protocol._rest is not None and connection.wire.paused
        return app, connection

    return open_and_read


def test_what_is_kept_goes_on_at_half(run, kept):
    async def main():
        app, connection = await kept()
        queue = connection.protocol._queue
        for taken, left in ((1, 2), (1, 4), (1, 3), (1, 2), (1, 4)):
            await app.take(taken)
            assert len(connection.protocol._queue) == left and connection.wire.paused
        assert connection.protocol._queue is not queue
        await app.take(3)
        assert not connection.wire.paused and connection.protocol._rest is None
        connection.read(raw=compressed("more"))
        await app.take(3)
        assert app.got == [*TEN, "more"]
        await leave(connection)

    run(main())


def test_an_eager_application_lets_others_have_their_turn(run, fake, cls):
    """Its queue is never full: reading pauses nevertheless."""
    got, turns = [], []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            got.append(event["text"])

    def turn():
        turns.append((len(got), connection.wire.paused))
        if len(got) < 10:
            asyncio.get_running_loop().call_soon(turn)

    async def main():
        nonlocal connection
        connection = await fake(app, cls, headers=DEFLATE).opened()
        connection.read_soon(raw=WIRE)
        asyncio.get_running_loop().call_soon(turn)
        while len(got) < 10:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert got == TEN and not connection.wire.paused
        counts = [0, *[count for count, _ in turns], 10]
        assert max(b - a for a, b in itertools.pairwise(counts)) == 3
        assert all(paused for count, paused in turns if 0 < count < 9)
        await connection.lost()

    connection = None
    run(main())


def test_small_and_plain_reads_are_not_cut(run, fake, cls, settle):
    """Uncompressed messages are what they were on the wire: the read itself bounds them."""

    async def main():
        connection = await fake(Slow(), cls, headers=DEFLATE).opened()
        connection.read(*["x" * 100] * 50)
        assert len(connection.protocol._queue) == 50 and connection.protocol._rest is None
        await leave(connection)

    run(main())


# ---- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire, answer", [
    (CLOSE, {"code": 1001, "reason": ""}), (FAULT, BROKEN),
])  # fmt: skip
def test_the_end_is_in_what_is_kept(run, kept, wire, answer):
    async def main():
        app, connection = await kept(PING + wire + WIRE)
        assert connection.items() == []
        await app.take(11)
        assert app.got == [*TEN, {"type": "websocket.disconnect"} | answer]
        close = Close(answer["code"], answer["reason"])
        assert connection.items() == [Pong(b"p"), close] and connection.wire.over
        if not connection.wire.closed:  # what still comes is to be discarded
            assert not connection.wire.paused
        await leave(connection)

    run(main())


@pytest.mark.parametrize("wire, answers", [
    (b"", []), (CLOSE, [{"code": 1001, "reason": ""}]), (FAULT + WIRE, [BROKEN]),
])  # fmt: skip
@pytest.mark.parametrize("first", ["lost", "closing"])
@pytest.mark.parametrize("taken", [0, 2])
def test_the_transport_is_lost(run, kept, wire, answers, first, taken):
    """What came before is delivered, up to how the peer ended it; nothing is answered."""

    async def main():
        app, connection = await kept(PING + wire)
        connection.wire.closed = True
        if first == "lost":
            connection.protocol.connection_lost(None)
        await app.take(taken)
        if first == "closing":  # TLS: behind close_notify
            await app.take(10 + len(answers) - taken)
            connection.protocol.connection_lost(None)
        await app.take(14)
        ends = [{"type": "websocket.disconnect"} | each for each in answers]
        assert app.got[: 11 + len(ends)] == [*TEN, *ends, LOST]
        assert not connection.wire.writes and not connection.wire.late
        connection.task.cancel()

    run(main())


def test_it_is_lost_before_the_next_turn(run, fake, cls, record):
    events, app = record

    async def main():
        connection = await fake(app, cls, headers=DEFLATE).opened()
        connection.read(raw=WIRE + CLOSE)
        await connection.lost()
        texts = [event["text"] for event in events[:-1]]
        assert texts == TEN and events[-1]["code"] == 1001

    run(main())


@pytest.mark.parametrize("end", ["shutdown", "disconnect", "keepalive"])
def test_our_end(run, kept, end):
    """As all that was received before, what is kept goes before the event."""

    async def main():
        app, connection = await kept(PING + CLOSE)
        protocol = connection.protocol
        code = {"shutdown": 1012, "disconnect": 1008, "keepalive": 1011}[end]
        if end == "shutdown":
            protocol.shutdown()
        elif end == "disconnect":
            protocol.disconnect(1008, "slow")
        else:
            protocol._keepalive_expired()
        assert [item.code for item in connection.items()] == [code] and connection.wire.over
        await app.take(5)
        protocol.connection_lost(None)
        await app.take(8)
        assert app.got[:10] == TEN and app.got[10]["code"] == 1001
        assert app.got[-1] == LOST
        assert not connection.wire.late
        connection.task.cancel()

    run(main())


def test_an_applications_close_finds_the_peers(run, kept):
    """Messages behind it are not delivered, Pings are answered, however much that inflates to."""

    async def main():
        app, connection = await kept(WIRE + PING + CLOSE)
        await app.do("close")
        assert connection.wire.writes[1:] == [PONG] and connection.wire.closed
        assert connection.items() == [Close(1000, "")]
        await app.take(4)
        assert app.got == [*TEN[:3], {"type": "websocket.disconnect", "code": 1000, "reason": ""}]
        await leave(connection)

    run(main())


def test_an_applications_close_does_not_find_it(run, kept, cls):
    async def main():
        limits = Limits(queue_bytes=1000, close_timeout=0.02)
        app, connection = await kept(cls=variant(wake=cls.wake, limits=limits))
        await app.do("close")
        assert connection.protocol._rest is None and not connection.wire.paused
        connection.read(raw=WIRE)  # and what comes then is taken in parts too
        assert connection.protocol._rest is not None and connection.wire.paused
        while not connection.wire.closed:
            await asyncio.sleep(0.005)
        assert connection.items() == [Close(1000, "")]
        await leave(connection)
        await asyncio.sleep(0)
        assert connection.protocol._rest is None

    run(main())


def test_the_end_of_a_connection_that_closes_meanwhile(run, kept):
    async def main():
        app, connection = await kept(WIRE)
        app.orders.put_nowait("close")
        while not connection.wire.writes:
            await asyncio.sleep(0)
        connection.wire.closed = True
        connection.protocol.connection_lost(None)
        await app.take(5)
        assert connection.protocol._rest is None and len(app.got) == 5
        connection.task.cancel()

    run(main())


def test_a_message_of_many_parts(run, fake):
    async def main():
        app = Slow()
        cls = variant(limits=Limits(queue_bytes=1))
        connection = await fake(app, cls, headers=DEFLATE).opened()
        first, last = compressed("a", fin=False), b"\x80\x81\x00\x00\x00\x00\x00"
        more = b"\x00" + first[1:]
        connection.read(raw=first + more * 2000 + last)
        assert connection.protocol._rest is not None
        connection.protocol.connection_lost(None)
        while not app.got:
            await app.take(1)
        assert app.got[0] == "a" * 2001
        await leave(connection)

    run(main())


def test_what_cannot_be_decoded_ends_the_transport(run, kept):
    """Memory runs out. Where the transport calls us it does so itself."""
    errors = []

    def fail(data, most):
        raise MemoryError

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: errors.append(context["exception"]))
        app, connection = await kept()
        connection.protocol._decode_some = fail
        await app.take(3)
        assert app.got == TEN[:3] and connection.wire.aborted
        assert list(map(type, errors)) == [MemoryError]
        await leave(connection)

    run(main())


def test_cancelled_while_it_unpacks(run, kept):
    async def main():
        _, connection = await kept()
        await leave(connection)
        receive = connection.protocol.receive
        got = [(await receive())["text"] for _ in range(3)]
        task = asyncio.create_task(receive())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        got += [(await receive())["text"] for _ in range(7)]
        assert got == TEN and await receive() == LOST

    run(main())


# ---- what waits, and what does not ---------------------------------------------------------------


def test_a_pong_in_what_is_kept_is_not_late(run, kept):
    async def main():
        options = {"ws_ping_interval": 0.02, "ws_ping_timeout": 0.03}
        app, connection = await kept(**options)
        while not connection.wire.writes:  # the Ping
            await asyncio.sleep(0.005)
        [ping] = connection.items()
        connection.read(raw=connection.encoder.pong(ping.payload))
        await asyncio.sleep(0.06)
        assert not connection.wire.over
        await app.take(10)
        assert app.got == TEN and connection.protocol._keepalive._payload is None
        while not connection.wire.over:  # the next one is
            await asyncio.sleep(0.005)
        await leave(connection)

    run(main())


@pytest.mark.parametrize("eager", [False, True])
def test_a_message_in_what_is_kept_is_not_late(run, fake, kept, cls, eager, record):
    limits = Limits(queue_bytes=1000, message_timeout=0.03)
    half = compressed("half", fin=False)
    seen = []

    def look(protocol):
        seen.append((protocol._rest is not None, protocol._message_timer._held))

    async def main():
        timed = variant(wake=cls.wake, limits=limits)
        if eager:
            app, connection = record[1], await fake(record[1], timed, headers=DEFLATE).opened()
            connection.read_soon(raw=WIRE + half)
            asyncio.get_running_loop().call_soon(look, connection.protocol)
            await asyncio.sleep(0)
            assert seen == [(True, True)]  # between two parts, its queue empty or not
        else:
            app, connection = await kept(half, cls=timed)
            await asyncio.sleep(0.06)
            assert not connection.wire.over
            await app.take(10)
            assert app.got == TEN
        while not connection.wire.over:  # all is read, and it is
            await asyncio.sleep(0.005)
        assert connection.items() == [Close(1008, "message timeout")]
        await leave(connection)

    run(main())


def test_frames_before_the_answer(run, fake, cls, settle):
    accept = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await accept.wait()
        await send({"type": "websocket.accept"})
        for number in range(10):
            assert (await receive())["text"] == text(number)
        await send({"type": "websocket.close"})

    async def main():
        connection = fake(app, cls, headers=DEFLATE)
        connection.read(raw=WIRE)
        accept.set()
        while not connection.task.done():
            await asyncio.sleep(0)
        assert connection.task.result() is None
        await connection.lost()

    run(main())


def test_what_comes_meanwhile_stays_behind(run, kept):
    """From a transport that had read more when we paused it; from inside the application too."""

    async def main():
        app, connection = await kept()
        connection.read("a", raw=compressed("b"))
        connection.read("c")
        await app.take(13)
        assert app.got == [*TEN, "a", "b", "c"] and not connection.wire.paused
        await leave(connection)

    run(main())


@pytest.mark.parametrize("way", ["read", "close", "disconnect"])
def test_from_inside_the_application(run, fake, cls, settle, way):
    got = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            got.append(event["text"])
            if len(got) == 2:
                if way == "read":
                    connection.read("inner", raw=WIRE)
                elif way == "close":
                    await send({"type": "websocket.close"})
                else:
                    connection.protocol.disconnect()
        got.append(event["code"])

    async def main():
        nonlocal connection
        connection = await fake(app, cls, headers=DEFLATE).opened()
        connection.read_soon(raw=WIRE + PING + CLOSE * (way != "read"))
        for _ in range(60):
            await asyncio.sleep(0)
        if way == "read":
            assert got == [*TEN, "inner", *TEN] and not connection.wire.paused
            assert connection.items() == [Pong(b"p")]
        elif way == "close":
            assert got == [*TEN[:3], 1000]
            assert connection.wire.writes[1:] == [PONG] and connection.wire.closed
            assert connection.items() == [Close(1000, "")]
        else:
            assert got == [*TEN, 1001]  # as the peer said before it knew
            assert connection.items() == [Close(1000, "")] and not connection.wire.late
        await connection.lost()

    connection = None
    run(main())


@pytest.mark.parametrize("more", [{"offload": 1}, {"cork": "burst"}, {"cork": "off"}])
def test_answers_stay_in_order(run, fake, echo, cls, more):
    async def main():
        connection = await fake(echo, variant(wake=cls.wake, **more), headers=DEFLATE).opened()
        connection.read_soon(raw=WIRE + CLOSE)
        while not connection.wire.over:
            await asyncio.sleep(0)
        assert connection.items()[-1] == Close(1001, "")
        await connection.lost()

    run(main())


def test_real_traffic(run, serve, echo, cls):
    """Pausing a transport twice, and from inside what it calls, is no fault of ours."""

    async def main():
        async with serve(echo, cls) as server:
            client = await server.connect(DEFLATE)
            for _ in range(50):
                client.writer.write(WIRE * 20)
            items = []
            while len(items) < 10_000:
                items += client.decoder.feed(await client.reader.read(1 << 16))
            assert items == TEN * 1000
            client.writer.write(WIRE * 20 + CLOSE)
            assert (await client.items())[-1] == Close(1001, "")

    run(main())


def test_tls_that_ends_behind_it(run, serve, cls, encrypted):
    """close_notify is read with what came before it."""
    context, options = encrypted
    got, codes = [], []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            got.append(event["text"])
            await asyncio.sleep(0.001)
        codes.append(event["code"])

    async def main():
        async with serve(app, cls, **options) as server:
            for end in (b"", CLOSE):
                client = await server.connect(DEFLATE, tls=context)
                client.writer.write(WIRE * 5 + end)
                client.writer.close()
                while server.server.server_state.tasks:
                    await asyncio.sleep(0.01)
        assert got == TEN * 10 and codes == [1005, 1001]

    run(main())


# ---- any way it may come -------------------------------------------------------------------------

messages = st.lists(st.integers(0, 999).map(text) | st.sampled_from(["", "a", "ü"]), max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=messages,
    queue_bytes=st.sampled_from([1, 500, 1000, 1 << 20]),
    wake=st.sampled_from(["direct", "future"]),
    kind=st.sampled_from(["str", "bytes"]),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=5),
    pauses=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    polite=st.booleans(),
)
def test_all_arrives_in_order(fake, sent, queue_bytes, wake, kind, sizes, pauses, polite):
    """Reads of any size, and an application of any pace, on a transport that stops at once or not.

    ``pauses``: the turns of the loop that the application lets pass before it receives.
    """
    got = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            for _ in range(pauses[len(got) % len(pauses)]):
                await asyncio.sleep(0)
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            got.append(event["text"])

    async def main():
        chosen = variant(wake=wake, text=kind, limits=Limits(queue_bytes=queue_bytes))
        connection = await fake(app, chosen, headers=DEFLATE).opened()
        left = b"".join(map(compressed, sent)) + CLOSE
        at = 0
        while left:
            size = sizes[at % len(sizes)]
            connection.read_soon(raw=left[:size])
            left, at = left[size:], at + 1
            await asyncio.sleep(0)
            while polite and connection.wire.paused and not connection.wire.over:
                await asyncio.sleep(0)
        await connection.task
        assert connection.items() == [Close(1001, "")]
        assert [each if kind == "str" else bytes(each).decode() for each in got] == sent
        await connection.lost()

    with asyncio.Runner() as runner:
        runner.run(asyncio.wait_for(main(), 10))

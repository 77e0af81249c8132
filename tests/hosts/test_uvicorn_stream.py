"""Corking and flow control: when the uvicorn class writes, and when it stops reading."""

from __future__ import annotations

import asyncio

import pytest

from wsfast import Close, Limits, Pong
from wsfast.uvicorn import WebSocketProtocol
from wsfast.uvicorn._output import CORK_BYTES


def variant(**attributes):
    return type("Variant", (WebSocketProtocol,), attributes)


TEN = [str(number) for number in range(10)]


@pytest.fixture(params=["direct", "future"])
def cork(request):
    """``cork(name)``: a class that corks so, with each way of waking."""
    return lambda name="auto", **more: variant(cork=name, wake=request.param, **more)


def pushing(*bursts):
    """An application that sends lists of messages, waiting in between."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for burst in bursts:
            for text in burst:
                await send({"type": "websocket.send", "text": text})
            await asyncio.sleep(0)
        await receive()

    return app


@pytest.mark.parametrize("name", ["auto", "burst", "off"])
def test_one_message_leaves_at_once(run, fake, settle, echo, cork, name):
    async def main():
        connection = await fake(echo, cork(name)).opened()
        for text in ("one", "two"):
            connection.read(text)
            await settle()
            assert connection.written() == [[text]]

    run(main())


def test_replies_to_one_read_leave_together(run, fake, settle, echo, cork):
    async def main():
        connection = await fake(echo, cork()).opened()
        connection.read(*TEN)
        await settle()
        assert connection.written() == [TEN]
        connection.read(*TEN, b"x")
        connection.read(*TEN)
        await settle()
        assert connection.written() == [[*TEN, b"x", *TEN]]

    run(main())


def test_off_writes_each(run, fake, settle, echo, cork):
    async def main():
        connection = await fake(echo, cork("off")).opened()
        connection.read(*TEN)
        await settle()
        assert connection.written() == [[text] for text in TEN]

    run(main())


def test_back_to_back_sends(run, fake, settle, cork):
    """Nothing was received: "auto" writes each, "burst" all but the first of a turn together."""

    async def main():
        connection = await fake(pushing(TEN, "ab"), cork()).opened()
        assert connection.written() == [[text] for text in [*TEN, "a", "b"]]
        connection = await fake(pushing(TEN, "ab"), cork("burst")).opened()
        assert connection.written() == [["0"], TEN[1:], ["a"], ["b"]]

    run(main())


def test_collected_output_leaves_at_the_end_of_the_turn(run, fake, cork):
    """The application has sent, and waits for something else while messages wait for it."""
    release = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(2):
            await send({"type": "websocket.send", "text": (await receive())["text"]})
        await release.wait()

    async def main():
        connection = await fake(app, cork()).opened()
        connection.read_soon("a", "b", "c")
        await asyncio.sleep(0.01)
        assert connection.written() == [["a", "b"]]
        release.set()

    run(main())


def test_collected_output_is_bounded(run, fake, settle, echo, cork):
    async def main():
        connection = await fake(echo, cork(), ws_max_queue=1000).opened()
        texts = ["x" * 1000] * 200
        connection.read(*texts)
        await settle()
        sizes = [len(data) for data in connection.wire.writes]
        assert connection.items() == texts
        assert len(sizes) == 4 and all(CORK_BYTES < size < CORK_BYTES + 1100 for size in sizes[:3])

    run(main())


def test_an_unreceived_connect_event_is_no_message(run, fake, settle):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "a"})
        await send({"type": "websocket.send", "text": "b"})
        await asyncio.sleep(1)

    async def main():
        connection = fake(app)
        await settle()
        assert len(connection.wire.writes) == 3

    run(main())


@pytest.mark.parametrize("way", ["close", "return", "shutdown"])
def test_collected_output_leaves_before_the_end(run, fake, settle, cork, way):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        if way == "close":
            await send({"type": "websocket.close"})
        elif way == "shutdown":
            connection.protocol.shutdown()

    async def main():
        nonlocal connection
        connection = await fake(app, cork()).opened()
        connection.read("a", "b")
        await settle()
        closes = {"close": [Close(1000, "")], "return": [], "shutdown": [Close(1012, "")]}
        assert connection.items() == ["a", *closes[way]]
        assert connection.wire.over is (way != "close")

    connection = None
    run(main())


def test_collected_output_of_a_lost_connection_is_dropped(run, fake, settle, cork):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "text": "a"})
        connection.wire.closed = True
        connection.protocol.connection_lost(None)
        with pytest.raises(OSError):
            await send({"type": "websocket.send", "text": "b"})

    async def main():
        nonlocal connection
        connection = await fake(app, cork()).opened()
        connection.read("a", "b")
        await connection.task
        await settle()
        assert connection.written() == [] and connection.wire.late == []

    connection = None
    run(main())


def test_collected_output_leaves_before_the_application_waits_for_input(run, fake, cork):
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        connection.wire.writes.clear()
        asyncio.get_running_loop().call_soon(lambda: seen.extend(connection.written()))
        for text in "abc":
            await send({"type": "websocket.send", "text": text})
        await receive()

    async def main():
        nonlocal connection
        connection = fake(app, cork("burst"))
        await asyncio.sleep(0.01)
        assert seen == [["a"], ["b", "c"]]

    connection = None
    run(main())


def test_control_frames_overtake_what_is_held(run, fake, cork):
    async def main():
        connection = await fake(pushing(["a"]), cork("burst")).opened()
        connection.read(raw=connection.encoder.ping(b"?"))
        assert [Pong(b"?")] in connection.written()

    run(main())


# Flow control


class Slow:
    """An application that receives when it is told to."""

    def __init__(self):
        self.turns = asyncio.Semaphore(0)
        self.got = []

    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await self.turns.acquire()
            self.got.append(await receive())

    async def take(self, count):
        before = len(self.got)
        for _ in range(count):
            self.turns.release()
        while len(self.got) < before + count:
            await asyncio.sleep(0)


def test_reading_pauses_at_queue_messages_and_resumes_at_half(run, fake, cork):
    async def main():
        app = Slow()
        connection = await fake(app, cork(), ws_max_queue=8).opened()
        for number in range(7):
            connection.read(str(number))
        assert not connection.wire.paused
        connection.read("7")
        assert connection.wire.paused
        await app.take(3)
        assert connection.wire.paused
        await app.take(1)
        assert not connection.wire.paused
        connection.read(*"89ab", "c" * 9, b"d")
        assert connection.wire.paused
        await app.take(10)
        assert [event.get("text") for event in app.got] == [*"0123456789ab", "c" * 9, None]

    run(main())


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀", b"x"])
def test_reading_pauses_at_queue_bytes(run, fake, cork, letter):
    """Bytes are bytes, whatever the width of a character."""
    size = len(letter if isinstance(letter, bytes) else letter.encode())

    async def main():
        app = Slow()
        cls = cork(limits=Limits(queue_bytes=100 * 12))
        connection = await fake(app, cls, ws_max_queue=1000).opened()
        message = letter * (12 // size)
        for _ in range(33):
            connection.read(*[message] * 3)
        assert not connection.wire.paused
        connection.read(message)
        assert connection.wire.paused
        connection.read(message)  # what was read already is still taken
        await app.take(50)
        assert connection.wire.paused
        await app.take(1)
        assert not connection.wire.paused
        connection.read(*[message] * 49)
        assert not connection.wire.paused
        connection.read(message)
        assert connection.wire.paused

    run(main())


def test_one_huge_message_pauses_until_it_is_taken(run, fake):
    async def main():
        app = Slow()
        connection = await fake(app).opened()
        connection.read("x" * (1 << 20))
        assert connection.wire.paused
        await app.take(1)
        assert not connection.wire.paused

    run(main())


def test_a_keen_application_never_pauses(run, fake, settle, echo):
    """It runs from inside data_received, and has emptied the queue before it is counted."""

    async def main():
        connection = await fake(echo).opened()
        connection.wire.pause_reading = lambda: pytest.fail("paused")
        connection.read_soon(*["x"] * 1000)
        await settle()
        assert connection.written() == [["x"] * 1000]

    run(main())


def test_pings_are_answered_while_messages_wait(run, fake):
    async def main():
        connection = await fake(Slow()).opened()
        connection.read("a", raw=connection.encoder.ping(b"1"))
        connection.read("b", raw=connection.encoder.ping(b"2"))
        assert connection.written() == [[Pong(b"1")], [Pong(b"2")]]

    run(main())


def test_messages_before_a_close_are_delivered(run, fake, settle):
    async def main():
        app = Slow()
        connection = await fake(app, ws_max_queue=2).opened()
        connection.read("a", "b", "c", raw=connection.encoder.close(1001, "bye"))
        await settle()
        assert connection.written() == [[Close(1001, "bye")]] and connection.wire.closed
        connection.protocol.connection_lost(None)
        await app.take(5)
        assert app.got == [
            *[{"type": "websocket.receive", "text": text} for text in "abc"],
            {"type": "websocket.disconnect", "code": 1001, "reason": "bye"},
            {"type": "websocket.disconnect", "code": 1005},
        ]

    run(main())


def test_a_real_sender_is_held_back(run, serve):
    """What an application does not receive stays with its sender, but for a queue's worth."""
    release = asyncio.Event()
    received = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await release.wait()
        while (event := await receive())["type"] == "websocket.receive":
            received.append(len(event["bytes"]))

    async def main():
        async with serve(app) as server:
            client = await server.connect()
            frame = client.encoder.binary(bytes(1 << 20))
            for _ in range(64):
                client.writer.write(frame)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.writer.drain(), 0.2)
            (protocol,) = server.server.server_state.connections
            assert len(protocol._queue) < 4
            release.set()
            await client.writer.drain()
            client.writer.write(client.encoder.close())
            await client.items()

    run(main())
    assert received == [1 << 20] * 64


ENDS = {
    "close": (b"\x88\x82\x00\x00\x00\x00\x03\xe9", Close(1001, "")),
    "fault": (b"\xc1\x80\x00\x00\x00\x00", Close(1002, "reserved bits must be 0")),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("soon", [False, True])
def test_what_came_with_the_end_is_answered_before_it(run, fake, settle, echo, cork, end, soon):
    """Nothing is lost that came before; Autobahn 3.2 to 4.2 and 5.15 call all else NON-STRICT."""
    raw, answer = ENDS[end]

    async def main():
        connection = await fake(echo, cork()).opened()
        (connection.read_soon if soon else connection.read)(*TEN, raw=raw)
        await settle()
        assert connection.items() == [*TEN, answer]
        assert connection.wire.over

    run(main())


def test_the_end_waits_for_no_slow_application(run, fake, settle, cork):
    async def main():
        connection = await fake(slow, cork()).opened()
        connection.read("1", "2", raw=ENDS["fault"][0])
        await settle()
        assert connection.items() == [ENDS["fault"][1]] and connection.wire.over
        connection.task.cancel()

    async def slow(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await asyncio.sleep(60)

    run(main())

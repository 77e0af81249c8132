"""Keepalive: on a clock of our own, and the same things on real connections."""

from __future__ import annotations

import asyncio

import pytest

from wsfast import Close, Limits, Ping
from wsfast.uvicorn import WebSocketProtocol
from wsfast.uvicorn._keepalive import Keepalive


class Clock:
    """The part of an event loop that ``Keepalive`` uses, with time that is told to pass."""

    def __init__(self):
        self.now = 100.0
        self.timers = []
        self.made = 0

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        self.made += 1
        timer = Timer(self.now + delay, callback)
        self.timers.append(timer)
        return timer

    def go(self, seconds):
        end = self.now + seconds
        while due := [t for t in self.timers if not t.cancelled and t.when <= end]:
            timer = min(due, key=lambda t: t.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.callback()
        self.now = end


class Timer:
    def __init__(self, when, callback):
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class Watched(Keepalive):
    def __init__(self, interval=20.0, timeout=10.0):
        self.clock = Clock()
        self.pings = []
        self.expired = []
        super().__init__(
            self.clock,
            interval,
            timeout,
            lambda payload: self.pings.append((self.clock.now, payload)),
            lambda: self.expired.append(self.clock.now),
        )

    def answer(self):
        self.pong(self.pings[-1][1])


def test_a_ping_every_interval():
    keepalive = Watched()
    for number in range(1, 4):
        keepalive.clock.go(20)
        assert len(keepalive.pings) == number and keepalive.pings[-1][0] == 100 + 20 * number
        keepalive.answer()
    assert len(set(keepalive.pings)) == 3
    assert not keepalive.expired


def test_round_trip_is_part_of_the_interval():
    keepalive = Watched()
    keepalive.clock.go(23)
    keepalive.answer()
    keepalive.clock.go(16.9)
    assert len(keepalive.pings) == 1
    keepalive.clock.go(0.2)
    assert keepalive.pings[-1][0] == 140


def test_time_out():
    keepalive = Watched()
    keepalive.clock.go(29.9)
    assert not keepalive.expired
    keepalive.clock.go(100)
    assert keepalive.expired == [130.0] and len(keepalive.pings) == 1


def test_pongs_that_answer_nothing():
    keepalive = Watched()
    keepalive.pong(b"")
    keepalive.clock.go(20)
    keepalive.pong(b"other")
    first = keepalive.pings[0][1]
    keepalive.pong(first)
    keepalive.pong(first)
    keepalive.clock.go(20)
    keepalive.pong(first)  # stale
    keepalive.clock.go(10)
    assert keepalive.expired == [150.0]


def test_no_time_out():
    keepalive = Watched(timeout=None)
    keepalive.clock.go(65)
    keepalive.answer()
    keepalive.clock.go(20)
    assert [when for when, _ in keepalive.pings] == [120, 140, 160, 180]
    assert not keepalive.expired


def test_stop():
    keepalive = Watched()
    keepalive.clock.go(25)
    keepalive.stop()
    keepalive.answer()
    keepalive.clock.go(1000)
    assert not keepalive.expired and len(keepalive.pings) == 1


def test_stands_still_while_reading_is_paused():
    keepalive = Watched()
    keepalive.clock.go(24)  # six seconds left
    keepalive.hold(True)
    keepalive.clock.go(1000)
    assert not keepalive.expired
    keepalive.hold(False)
    keepalive.clock.go(5.9)
    assert not keepalive.expired
    keepalive.clock.go(0.2)
    assert len(keepalive.expired) == 1


def test_short_pauses_add_up():
    keepalive = Watched()
    keepalive.clock.go(20)
    for _ in range(5):
        keepalive.clock.go(1)
        keepalive.hold(True)
        keepalive.clock.go(3)
        keepalive.hold(False)
    keepalive.clock.go(4.9)
    assert not keepalive.expired
    keepalive.clock.go(0.2)
    assert keepalive.expired == [145.0]


def test_a_ping_sent_while_paused():
    keepalive = Watched()
    keepalive.clock.go(15)
    keepalive.hold(True)
    keepalive.clock.go(100)
    assert len(keepalive.pings) == 1
    keepalive.hold(False)
    keepalive.clock.go(9.9)
    assert not keepalive.expired
    keepalive.answer()
    keepalive.clock.go(20)
    assert len(keepalive.pings) == 2 and not keepalive.expired


def test_a_ping_sent_while_paused_is_not_answered():
    keepalive = Watched()
    keepalive.clock.go(15)
    keepalive.hold(True)
    keepalive.clock.go(100)
    keepalive.hold(False)
    keepalive.clock.go(100)
    assert keepalive.expired == [225.0]


def test_held_twice():
    keepalive = Watched()
    keepalive.hold(False)
    keepalive.clock.go(25)
    for held in (True, False):
        for _ in range(2):
            keepalive.clock.go(1)
            keepalive.hold(held)
    keepalive.clock.go(10)
    assert keepalive.expired == [132.0]  # sent at 120; 6 seconds counted, 2 held, 4 counted


def test_no_timer_per_message(run, fake, settle, echo):
    async def main():
        connection = await fake(echo, ws_ping_interval=5).opened()
        timer = connection.protocol._keepalive._timer
        for _ in range(100):
            connection.read_soon("x")
            await settle()
        assert connection.protocol._keepalive._timer is timer

    run(main())


def test_time_out_ends_the_connection(run, serve, record):
    events, app = record

    async def main():
        async with serve(app, ws_ping_interval=0.05, ws_ping_timeout=0.05) as server:
            client = await server.connect()
            ping, close = await client.items()
            assert isinstance(ping, Ping) and close == Close(1011, "keepalive ping timeout")

    run(main())
    assert events == [{"type": "websocket.disconnect", "code": 1005}]


def test_a_dead_peer_with_output_pending_is_aborted(run, fake, record):
    async def main():
        connection = fake(record[1], ws_ping_interval=0.01, ws_ping_timeout=0.01)
        connection.protocol.close_timeout = 0.05
        await connection.opened()
        while not connection.wire.closed:
            await asyncio.sleep(0.001)
        assert not connection.wire.aborted
        while not connection.wire.aborted:
            await asyncio.sleep(0.001)

    run(main())


class Impatient(WebSocketProtocol):
    limits = Limits(close_timeout=0.02)


def blocked(connection):
    """The application reads nothing, the peer reads nothing."""
    return (connection.protocol.pause_writing, lambda: connection.read("a", "b"))


@pytest.mark.parametrize("order", [1, -1])
def test_a_peer_that_does_not_read_is_given_up(run, fake, record, order):
    """Even while we do not read either: an application that waits in ``send`` is not the cause."""

    async def main():
        options = {"ws_ping_interval": 0.01, "ws_ping_timeout": 0.02, "ws_max_queue": 2}
        connection = await fake(waits, Impatient, **options).opened()
        for step in blocked(connection)[::order]:
            step()
        assert connection.wire.paused
        while not connection.wire.aborted:
            await asyncio.sleep(0.001)
        assert connection.items()[-1] == Close(1011, "keepalive ping timeout")

    run(main())


def test_a_pause_of_ours_is_no_fault_of_the_peer(run, fake, record):
    """The clock stands still as long as the peer reads, also when it does so again."""

    async def main():
        options = {"ws_ping_interval": 0.01, "ws_ping_timeout": 0.02, "ws_max_queue": 2}
        connection = await fake(waits, Impatient, **options).opened()
        for step in blocked(connection):
            step()
        connection.protocol.resume_writing()
        await asyncio.sleep(0.1)
        assert not connection.wire.closed
        connection.task.cancel()

    run(main())


def test_the_clock_runs_again_when_reading_does(run, fake):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(0.05)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def main():
        options = {"ws_ping_interval": 0.01, "ws_ping_timeout": 0.02, "ws_max_queue": 2}
        connection = await fake(app, Impatient, **options).opened()
        connection.read("a", "b")
        assert connection.wire.paused
        while not connection.wire.aborted:
            await asyncio.sleep(0.001)

    run(main())


async def waits(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(60)


def test_slow_application_does_not_kill_the_connection(run, serve):
    """The Pong lies behind what we do not read: our pause, not the peer's fault."""
    received = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(0.4)
        while (event := await receive())["type"] == "websocket.receive":
            received.append(event["text"])

    async def main():
        options = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.1, "ws_max_queue": 2}
        async with serve(app, **options) as server:
            client = await server.connect()
            client.writer.write(b"".join([client.encoder.text("x")] * 3))
            while len(received) < 3:
                item = await asyncio.wait_for(client.item(), 5)
                assert isinstance(item, Ping), item
                client.writer.write(client.encoder.pong(item.payload))
            client.writer.write(client.encoder.close())
            assert (await client.items())[-1] == Close(1000, "")

    run(main())

"""How a connection ends, and that it does: whatever the peer reads, sends or leaves undone."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from wsfast import Close, Limits
from wsfast.uvicorn import WebSocketProtocol
from wsfast.uvicorn._output import LEAST_READ


class Brief(WebSocketProtocol):
    limits = Limits(close_timeout=0.05, max_pending_pongs=3)


class Patient(WebSocketProtocol):
    limits = Limits(close_timeout=None)


async def stays(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def closes(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})


async def returns(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})


async def refuses(scope, receive, send):
    await receive()
    await send({"type": "websocket.close"})


async def denies(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 404})
    await send({"type": "websocket.http.response.body", "body": b"x" * 1000})


def peer_closes(connection):
    connection.read(raw=connection.encoder.close())


def peer_errs(connection):
    connection.read(raw=b"\xc1\x80\x00\x00\x00\x00")


def server_stops(connection):
    connection.protocol.shutdown()


def nothing(connection):
    pass


ENDS = {
    "peer closes": (stays, peer_closes),
    "peer errs": (stays, peer_errs),
    "server stops": (stays, server_stops),
    "application returns": (returns, nothing),
    "handshake refused": (refuses, nothing),
    "handshake denied": (denies, nothing),
    "both close": (closes, peer_closes),
}


async def gone(wire):
    while not wire.aborted:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(("app", "end"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("again", [nothing, server_stops], ids=["", "then server stops"])
def test_a_peer_that_does_not_read_is_aborted(run, fake, settle, app, end, again):
    """``transport.close()`` flushes first, for as long as that takes."""

    async def main():
        connection = fake(app, Brief)
        wire = connection.wire
        await settle()
        end(connection)
        assert wire.over and not wire.aborted
        again(connection)
        started = asyncio.get_running_loop().time()
        await gone(wire)
        assert asyncio.get_running_loop().time() - started > 0.03
        await connection.lost()

    run(main())


def test_a_refused_handshake_that_nobody_reads(run, fake):
    async def main():
        connection = fake(stays, Brief, headers=b"sec-websocket-version: 12\r\n")
        assert connection.wire.closed and not connection.wire.aborted
        await gone(connection.wire)

    run(main())


@pytest.mark.parametrize("expired", [False, True])
def test_shutdown_does_not_stop_the_clock(run, fake, expired):
    async def main():
        connection = await fake(stays, Brief).opened()
        if expired:
            connection.protocol._keepalive_expired()
            assert connection.items() == [Close(1011, "keepalive ping timeout")]
        connection.protocol.shutdown()
        await gone(connection.wire)

    run(main())


def test_the_peer_does_not_answer_our_close(run, fake):
    """It read all there was: the transport ends by itself, as with uvicorn's own classes."""

    async def main():
        connection = await fake(closes, Brief).opened()
        wire = connection.wire
        close = wire.close

        def ends():
            close()
            asyncio.get_running_loop().call_soon(connection.protocol.connection_lost, None)

        wire.close = ends
        assert connection.items() == [Close(1000, "")] and not wire.closed
        await asyncio.sleep(0.03)
        assert not wire.closed
        await asyncio.sleep(0.05)
        assert wire.closed and not wire.aborted

    run(main())


def test_the_peer_neither_answers_nor_reads_our_close(run, fake):
    async def main():
        connection = await fake(closes, Brief).opened()
        await asyncio.sleep(0.03)
        assert not connection.wire.closed and not connection.wire.aborted
        await asyncio.sleep(0.05)  # less than twice the limit
        assert connection.wire.aborted

    run(main())


def test_one_deadline_from_first_to_last(run, fake):
    """The peer's Close comes late: that gives it no more time to read."""

    async def main():
        connection = await fake(closes).opened()  # ten seconds: no machine is that slow
        server = connection.protocol
        deadline = server.close_timer.when()
        assert server._abort_timer is None
        await asyncio.sleep(0.04)
        peer_closes(connection)
        timer = server._abort_timer
        assert timer.when() == pytest.approx(deadline, rel=0, abs=0.01)  # uvloop counts in ms
        server.shutdown()
        assert server.close_timer is None and server._abort_timer is timer
        assert not timer.cancelled()
        await connection.lost()

    run(main())


@pytest.mark.parametrize("answered", [False, True])
def test_a_lost_connection_leaves_no_timer(run, fake, answered):
    async def main():
        connection = await fake(closes).opened()
        timer = connection.protocol.close_timer
        if answered:
            peer_closes(connection)
            assert timer.cancelled()
            timer = connection.protocol._abort_timer
        assert not timer.cancelled()
        await connection.lost()
        assert timer.cancelled() and connection.protocol.close_timer is None

    run(main())


def test_a_transport_that_closed_by_itself_is_aborted(run, fake):
    """At EOF it does, and flushes what the peer will perhaps never read."""

    async def main():
        connection = await fake(stays, Brief).opened()
        connection.wire.close()
        connection.protocol._keepalive_expired()
        await gone(connection.wire)

    run(main())


@pytest.mark.parametrize(("app", "end"), ENDS.values(), ids=ENDS)
def test_no_close_timeout(run, fake, settle, app, end):
    async def main():
        connection = fake(app, Patient)
        await settle()
        end(connection)
        assert connection.wire.closed and connection.protocol._abort_timer is None
        await connection.lost()

    run(main())


@pytest.mark.parametrize("tls", [False, True])
def test_a_real_peer_that_does_not_read(run, serve, encrypted, tls):
    """TLS keeps output of its own, above a transport that has output too."""
    context, options = encrypted if tls else (None, {})

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": bytes(30_000_000)})

    async def main():
        async with serve(app, Brief, ws_ping_interval=None, **options) as server:
            client = await server.connect(tls=context)
            client.writer.transport.pause_reading()
            while server.server.server_state.connections:
                await asyncio.sleep(0.01)

    run(main())


def test_pings_are_answered_until_the_peers_close(run, fake):
    """§5.5.2; its messages are dropped, its Pongs ignored."""

    async def main():
        connection = await fake(closes).opened()
        ping, pong, close = (getattr(connection.encoder, n) for n in ("ping", "pong", "close"))
        assert connection.items() == [Close(1000, "")]
        server = connection.protocol
        # The frames as bytes: a decoder ignores what comes behind a Close.
        connection.read("late", raw=ping(b"1") + pong(b"") + ping(b"2"))
        connection.read("later")
        assert connection.wire.writes == [b"\x8a\x011\x8a\x012"]
        connection.read(raw=ping(b"3") + close())
        assert connection.wire.writes[1:] == [b"\x8a\x013"]
        assert connection.wire.closed and not connection.wire.late
        assert [event["type"] for event in server._queue] == ["websocket.disconnect"]

    run(main())


def test_pongs_wait_for_a_peer_that_does_not_read_our_close(run, fake):
    async def main():
        for in_time in (True, False):
            connection = await fake(closes, Brief).opened()
            ping = connection.encoder.ping
            connection.wire.writes.clear()
            connection.protocol.pause_writing()
            for number in range(9):
                connection.read(raw=ping(b"%d" % number))
            assert not connection.wire.writes
            if not in_time:
                peer_closes(connection)
            connection.protocol.resume_writing()
            pongs = [b"".join(b"\x8a\x01" + n for n in (b"0", b"1", b"8"))]
            assert connection.wire.writes == (pongs if in_time else [])
            assert not connection.wire.late
            await connection.lost()

    run(main())


def test_a_fault_while_we_await_the_close(run, fake):
    async def main():
        connection = await fake(closes).opened()
        peer_errs(connection)
        assert connection.items() == [Close(1000, "")] and connection.wire.closed

    run(main())


def test_a_reading_application_gets_no_message_after_its_close(run, fake, settle):
    """Nor does the shortcut for one message to a waiting task deliver one."""
    events = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1001})
        while True:
            events.append(await receive())

    async def main():
        connection = await fake(app).opened()
        connection.read("late")
        await settle()
        connection.read("later")
        await settle()
        connection.task.cancel()

    run(main())
    assert events == [{"type": "websocket.disconnect", "code": 1001, "reason": ""}]


def test_reading_is_not_resumed_twice(run, fake):
    """uvloop and asyncio differ in what that does; a transport that reads is left alone."""
    calls = []

    async def main():
        go_on = asyncio.Event()

        async def app(scope, receive, send):
            await send({"type": "websocket.accept"})
            await go_on.wait()
            await send({"type": "websocket.close"})

        for messages, resumed in (("abcd", 1), ("a", 0)):
            connection = await fake(app, ws_max_queue=4).opened()
            connection.read(*messages)
            connection.wire.resume_reading = lambda: calls.append(1)
            go_on.set()
            await connection.task
            assert len(calls) == resumed
            calls.clear()
            go_on.clear()

    run(main())


class Slow(WebSocketProtocol):
    limits = Limits(close_timeout=60)  # too far away to fire by itself


def test_a_peer_that_reads_slowly_gets_all(run, fake, settle):
    """Drop-in: uvicorn's own class waits for it without limit."""

    async def main():
        connection = fake(returns, Slow)
        wire, protocol = connection.wire, connection.protocol
        waiting = [5 * LEAST_READ]
        wire.get_write_buffer_size = lambda: waiting[0]
        await settle()
        assert wire.closed
        for _ in range(3):
            waiting[0] -= LEAST_READ
            protocol._abort()
            assert not wire.aborted
        waiting[0] -= LEAST_READ - 1  # too little
        protocol._abort()
        assert wire.aborted
        await connection.lost()

    run(main())


@pytest.mark.parametrize("how", ["lost", "broken", "closed"])
def test_a_connection_that_is_gone_is_not_kept(run, fake, settle, record, how):
    """By no timer, whether the application or the transport ends first."""

    async def main():
        gone = []
        connection = await fake(record[1], Slow).opened()
        weakref.finalize(connection.protocol, gone.append, True)
        if how != "lost":
            connection.read(raw=connection.encoder.close() if how == "closed" else bytes(2))
            await settle()
        await connection.lost()
        assert connection.task.done()
        del connection
        await settle()
        gc.collect()
        assert gone

    run(main())

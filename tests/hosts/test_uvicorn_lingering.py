"""After a fault only our direction ends: RFC 6455 §7.1.1, so that the Close frame gets there.

What happens otherwise behind real proxies: tests/interop/test_proxies.py.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvicorn

from wsfast import Close, Limits
from wsfast.uvicorn import WebSocketProtocol
from wsfast.uvicorn._options import patience_of

FAULT = b"\xc1\x80\x00\x00\x00\x00"
BROKEN = Close(1002, "reserved bits must be 0")


class Brief(WebSocketProtocol):
    limits = Limits(close_timeout=0.05, message_timeout=0.02)


class Patient(WebSocketProtocol):
    limits = Limits(close_timeout=None)


class Lazy(WebSocketProtocol):
    wake = "future"  # the application runs in the next turn of the loop


async def broken(fake, app, cls=WebSocketProtocol):
    connection = await fake(app, cls).opened()
    connection.read(raw=FAULT)
    assert connection.items() == [BROKEN]
    return connection


def test_what_still_comes_is_discarded(run, fake, record, settle):
    async def main():
        connection = await broken(fake, record[1])
        await settle()
        assert connection.task.done()
        assert record[0] == [
            {"type": "websocket.disconnect", "code": 1002, "reason": BROKEN.reason}
        ]
        connection.read("late", raw=connection.encoder.ping())
        assert connection.wire.ended and not connection.wire.closed
        assert not connection.wire.writes and not connection.wire.late
        assert not connection.protocol.eof_received()  # then the transport closes itself
        await connection.lost()

    run(main())


def test_not_for_longer_than_close_timeout(run, fake, record):
    async def main():
        connection = await broken(fake, record[1], Brief)
        started = asyncio.get_running_loop().time()
        while not connection.wire.aborted:
            connection.read("late")
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - started > 0.03
        await connection.lost()

    run(main())


def test_a_message_that_takes_too_long(run, fake, record):
    async def main():
        connection = await fake(record[1], Brief).opened()
        connection.read(raw=b"\x81")
        while not connection.wire.over:
            await asyncio.sleep(0.001)
        assert connection.items() == [Close(1008, "message timeout")]
        assert connection.wire.ended and not connection.wire.closed
        await connection.lost()

    run(main())


def test_the_server_waits_for_nobody_when_it_stops(run, fake, record):
    async def main():
        connection = await broken(fake, record[1])
        connection.protocol.shutdown()
        assert connection.wire.closed and not connection.wire.late
        await connection.lost()

    run(main())


def test_a_peer_that_is_sending_when_the_server_stops(run, fake, record, settle):
    """Though we had stopped to read what it sends."""

    async def main():
        connection = await fake(record[1], ws_max_queue=1).opened()
        connection.read("a", "b")
        assert connection.wire.paused
        connection.protocol.shutdown()
        assert connection.items() == [Close(1012, "")]
        assert connection.wire.ended and not connection.wire.closed and not connection.wire.paused
        connection.read("late", raw=connection.encoder.ping())
        await settle()
        assert connection.task.done() and not connection.wire.late
        assert [event.get("text", event.get("code")) for event in record[0]] == ["a", "b", 1012]
        await connection.lost()
        assert connection.protocol.close_timer is None

    run(main())


@pytest.mark.parametrize("end", ["close", "fault"])
def test_a_server_that_stops_between_a_message_and_the_peers_end(run, fake, record, settle, end):
    """Both in one read: the end waits for the next turn of the loop, and comes too late."""

    async def main():
        connection = await fake(record[1], Lazy).opened()
        raw = connection.encoder.close() if end == "close" else FAULT
        connection.read("a", raw=raw)
        connection.protocol.shutdown()
        await settle()
        assert connection.items() == [Close(1012, "")] and not connection.wire.late
        assert connection.wire.ended and not connection.wire.closed
        assert [event.get("text", event.get("code")) for event in record[0]] == ["a", 1012]
        await connection.lost()

    run(main())


def test_a_server_that_stops_does_not_wait_for_long(run, fake, record, monkeypatch):
    monkeypatch.setattr("wsfast.uvicorn._options.PARTING", 0.02)

    async def main():
        connection = await fake(record[1]).opened()
        connection.protocol.shutdown()
        while not connection.wire.closed:
            connection.read("late")
            await asyncio.sleep(0.001)
        assert not connection.wire.aborted
        await connection.lost()

    run(main())


@pytest.mark.parametrize("graceful,seconds", [(None, 1.0), (0, 0.0), (1, 0.5), (30, 1.0)])
def test_how_long_a_server_that_stops_waits(graceful, seconds):
    config = uvicorn.Config("app", timeout_graceful_shutdown=graceful)
    assert patience_of(config) == seconds


def test_a_server_that_stops_within_its_own_limit(run, serve, record, caplog):
    """Whom it waits for is gone by then: it has nothing to cancel."""

    async def main():
        async with serve(record[1], timeout_graceful_shutdown=1) as server:
            client = await server.connect()
            server.server.should_exit = True
            assert await client.items() == [Close(1012, "")]
            while server.server.server_state.connections:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)  # it looks ten times a second

    run(main())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_transport_that_closes_by_itself(run, fake, record):
    async def main():
        connection = await fake(record[1]).opened()
        connection.wire.close()
        connection.protocol._message_expired()
        assert not connection.wire.ended
        await connection.lost()

    run(main())


@pytest.mark.parametrize("why", ["TLS", "no deadline"])
def test_where_it_cannot_be_the_transport_is_closed(run, fake, record, why):
    async def main():
        connection = await fake(record[1], Patient if why == "no deadline" else Brief).opened()
        if why == "TLS":
            connection.wire.can_write_eof = lambda: False
        connection.read(raw=FAULT)
        assert connection.items() == [BROKEN]
        assert connection.wire.closed and not connection.wire.ended
        await connection.lost()

    run(main())


def test_nothing_is_written_any_more(run, fake, settle):
    """Neither by an application that closes in its turn, nor Pongs that waited."""

    async def closes(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.close"})
        with pytest.raises(OSError):
            await send({"type": "websocket.send", "text": "late"})

    async def main():
        connection = await fake(closes).opened()
        connection.protocol.pause_writing()
        connection.read(raw=connection.encoder.ping() + FAULT)
        await settle()
        connection.protocol.resume_writing()
        await settle()
        assert connection.task.done() and not connection.wire.late
        await connection.lost()

    run(main())


def test_a_real_peer_that_goes_on_sending(run, serve, record):
    """It is not reset, and reads the end like any other peer."""

    async def main():
        async with serve(record[1], ws_max_size=1000) as server:
            client = await server.connect()
            client.writer.write(client.encoder.binary(bytes(4_000_000)))
            sent = asyncio.create_task(client.writer.drain())
            assert await client.items() == [Close(1009, "message exceeds the limit")]
            await sent
            client.writer.close()
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()
            while server.server.server_state.connections:
                await asyncio.sleep(0.01)

    run(main())


@pytest.fixture
def closes():
    """An application that accepts, and closes."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    return app


def deaf_until(stopped):
    """An application that accepts, and then takes nothing for so long."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await stopped.wait()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return app


def test_real_peers_that_are_sending_when_the_server_stops(run, serve):
    """None is reset, though what they sent is not read, and may never have been."""

    async def main():
        stopped = asyncio.Event()
        async with serve(deaf_until(stopped), ws_max_queue=1) as server:
            clients = [await server.connect() for _ in range(10)]
            for client in clients:
                client.writer.write(client.encoder.binary(bytes(10_000)) * 200)
            await asyncio.sleep(0.05)  # the server reads some of it
            server.server.should_exit = True
            for client in clients:
                assert await client.items() == [Close(1012, "")]
                await client.writer.drain()
                client.writer.close()
                await client.writer.wait_closed()
            while server.server.server_state.connections:
                await asyncio.sleep(0.01)
            stopped.set()

    run(main())


def test_real_peers_that_are_sending_when_the_server_stops_behind_our_close(run, serve):
    """The application closed, as it may do when it gets the signal; nobody has answered yet."""

    async def main():
        stopped = asyncio.Event()

        async def app(scope, receive, send):
            await receive()
            await send({"type": "websocket.accept"})
            await stopped.wait()
            await send({"type": "websocket.close", "code": 1001})

        async with serve(app, ws_max_queue=1) as server:
            clients = [await server.connect() for _ in range(10)]
            for client in clients:
                client.writer.write(client.encoder.binary(bytes(100_000)) * 100)
            connections = server.server.server_state.connections
            while any(one._reading for one in connections):
                await asyncio.sleep(0.01)
            stopped.set()
            while any(one._open for one in connections):
                await asyncio.sleep(0)
            for one in list(connections):
                one.shutdown()
            for client in clients:
                assert await client.items() == [Close(1001, "")]

    run(main())


def test_a_server_that_stops_behind_our_close_sends_nothing_more(run, fake, closes):
    """No second Close, and no Pong."""

    async def main():
        connection = await fake(closes).opened()
        timer = connection.protocol.close_timer
        connection.protocol.shutdown()
        assert timer.cancelled()
        connection.read("late", raw=connection.encoder.ping() + connection.encoder.close())
        assert len(connection.wire.writes) == 1 and connection.items() == [Close(1000, "")]
        assert connection.wire.ended and not connection.wire.closed and not connection.wire.late
        await connection.lost()
        assert connection.protocol.close_timer is None

    run(main())


def test_a_server_that_stops_finds_a_peer_that_is_gone(run, serve):
    """Its end is unread. Our Close frame resets it, and a socket that is reset has none to end:
    asyncio raises, and uvicorn would leave the others, and its lifespan, as they are.
    """

    async def main():
        stopped = asyncio.Event()
        async with serve(deaf_until(stopped), ws_max_queue=1) as server:
            clients = [await server.connect() for _ in range(3)]
            for client in clients:
                client.writer.write(client.encoder.binary(b"") * 3)
            while any(one._reading for one in server.server.server_state.connections):
                await asyncio.sleep(0.01)
            gone = clients.pop()
            gone.writer.close()
            await gone.writer.wait_closed()
            server.server.should_exit = True
            for client in clients:
                assert await client.items() == [Close(1012, "")]
                client.writer.close()
            stopped.set()

    run(main())


def test_a_real_client_ends_a_server_that_stops(run, serve, echo, monkeypatch):
    """At once, by its answer."""
    client = pytest.importorskip("websockets.asyncio.client")
    monkeypatch.setattr("wsfast.uvicorn._options.PARTING", 60)

    async def main():
        async with serve(echo) as server:
            async with client.connect(f"ws://127.0.0.1:{server.port}") as connection:
                server.server.should_exit = True
                await connection.wait_closed()
                assert connection.close_code == 1012
            while server.server.server_state.connections:
                await asyncio.sleep(0.01)

    run(main())

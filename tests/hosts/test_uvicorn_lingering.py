"""After a fault only our direction ends: RFC 6455 §7.1.1, so that the Close frame gets there.

What happens otherwise behind real proxies: tests/interop/test_proxies.py.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from wsfast import Close, Limits
from wsfast.uvicorn import WebSocketProtocol

FAULT = b"\xc1\x80\x00\x00\x00\x00"
BROKEN = Close(1002, "reserved bits must be 0")


class Brief(WebSocketProtocol):
    limits = Limits(close_timeout=0.05, message_timeout=0.02)


class Patient(WebSocketProtocol):
    limits = Limits(close_timeout=None)


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

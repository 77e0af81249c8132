"""In the place of the three tests of uvicorn's that ``suites.toml`` leaves out.

They assert uvicorn's own classes, or a pause after one message; these assert the same behaviour.
"""

from __future__ import annotations

import asyncio

import pytest

from wsfast import Close, Ping

websockets = pytest.importorskip("websockets.asyncio.client")


def test_server_keepalive_ping_pong(run, serve, record):
    """A client that answers stays connected, past many time-outs."""
    events, app = record

    async def main():
        async with serve(app, ws_ping_interval=0.02, ws_ping_timeout=0.05) as server:
            url = f"ws://127.0.0.1:{server.port}"
            async with websockets.connect(url, ping_interval=None) as client:
                (protocol,) = server.server.server_state.connections
                await asyncio.sleep(0.3)
                assert protocol._keepalive._count > 3
                assert not protocol.transport.is_closing() and not events
                await client.send("still here")

    run(main())
    assert events[0] == {"type": "websocket.receive", "text": "still here"}


@pytest.mark.parametrize("interval", [None, 0, 0.0])
def test_server_keepalive_disabled(run, serve, record, interval):
    """No Ping is sent, and no timer is kept."""

    async def main():
        async with serve(record[1], ws_ping_interval=interval, ws_ping_timeout=0.01) as server:
            client = await server.connect()
            (protocol,) = server.server.server_state.connections
            assert protocol._keepalive is None
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.reader.read(100), 0.1)
        async with serve(record[1], ws_ping_interval=0.01) as server:
            client = await server.connect()
            assert isinstance(await client.item(), Ping)

    run(main())


def test_close_resumes_reads_paused_on_unconsumed_messages(run, fake, settle):
    """Else the peer's Close frame would never be read."""
    queued = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await queued.wait()
        await send({"type": "websocket.close", "code": 1000})

    async def main():
        connection = await fake(app, ws_max_queue=4).opened()
        connection.read(*"abcd")
        assert connection.wire.paused
        queued.set()
        await connection.task
        assert not connection.wire.paused and not connection.wire.closed
        connection.read("late")
        assert not connection.wire.paused
        connection.read(raw=connection.encoder.close(1000))
        assert connection.wire.closed
        assert connection.written() == [[Close(1000, "")]]

    run(main())

"""wsfast.broadcast to connections of the uvicorn class, and the compression a subclass asks for."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from wsfast import Close, LocalProtocolError, PreparedMessage, broadcast
from wsfast.deflate import PerMessageDeflate
from wsfast.uvicorn import WebSocketProtocol

OFFER = b"sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n"
LARGE = b"x" * (8 << 20)  # more than the buffers of a socket take


class Alone(WebSocketProtocol):
    deflate = PerMessageDeflate(server_no_context_takeover=True)


@pytest.fixture
def room():
    """``(targets, app)``: an application whose connections are broadcast to."""
    targets = set()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        target = scope["extensions"]["wsfast"]["connection"]
        targets.add(target)
        try:
            while (event := await receive())["type"] != "websocket.disconnect":
                await send({"type": "websocket.send", "text": event["text"]})
            app.code = event["code"]
        finally:
            targets.discard(target)

    return targets, app


async def joined(targets, count):
    while len(targets) < count:
        await asyncio.sleep(0.01)


def test_broadcast_reaches_all(run, serve, room):
    targets, app = room

    async def main():
        async with serve(app) as server:
            clients = [await server.connect() for _ in range(3)]
            await joined(targets, 3)
            assert broadcast(targets, "hello").slow == []
            assert [await client.item() for client in clients] == ["hello"] * 3

    run(main())


def test_a_subclass_without_takeover_gets_it_compressed(run, fake, settle, room):
    targets, app = room

    async def main():
        ours = [fake(app, Alone, OFFER), fake(app, Alone, OFFER), fake(app, Alone)]
        ours.append(fake(app, headers=OFFER))
        for connection in ours:
            await connection.opened()
        message = PreparedMessage("a" * 1000)
        broadcast(targets, message)
        frames = [connection.wire.writes[-1] for connection in ours]
        assert [frame[0] for frame in frames] == [0xC1, 0xC1, 0x81, 0x81]
        assert frames[0] == frames[1] and len(frames[0]) < 50

    run(main())


def test_only_a_per_message_deflate_will_do():
    with pytest.raises(TypeError, match="deflate must be a PerMessageDeflate, not bool"):
        type("Bad", (WebSocketProtocol,), {"deflate": True})


def test_order_among_corked_messages(run, fake, settle):
    """It goes behind what ``cork`` holds back."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        target = scope["extensions"]["wsfast"]["connection"]
        for _ in range(3):
            text = (await receive())["text"]
            await send({"type": "websocket.send", "text": text})
            target.send_prepared(PreparedMessage(text.upper()))
        assert target.bytes_queued == 0 or text != "c"

    async def main():
        connection = await fake(app).opened()
        connection.read("a", "b", "c")
        await settle()
        assert connection.items() == ["a", "A", "b", "B", "c", "C"]

    run(main())


def test_bytes_queued_counts_what_is_corked(run, fake, settle):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        target = scope["extensions"]["wsfast"]["connection"]
        await receive()
        await send({"type": "websocket.send", "text": "x" * 10})
        found.append(target.bytes_queued)
        await receive()
        await receive()
        found.append(target.bytes_queued)

    found = []

    async def main():
        connection = await fake(app).opened()
        connection.read("a", "b")
        await settle()
        connection.read("c")
        await settle()

    run(main())
    assert found == [12, 0]


@pytest.mark.parametrize("slow", ["disconnect", "wait"])
def test_who_does_not_read_is_disconnected(run, serve, room, slow):
    targets, app = room

    class Brief(WebSocketProtocol):
        limits = WebSocketProtocol.limits.replace(close_timeout=0.1)

    async def main():
        async with serve(app, Brief) as server:
            stuck, quick = await server.connect(), await server.connect()
            await joined(targets, 2)
            late = [
                t for t in targets if t._client[1] == stuck.writer.get_extra_info("sockname")[1]
            ]
            late[0].send_prepared(PreparedMessage(LARGE))
            stuck.reader._transport.pause_reading()
            found = await broadcast(targets, "x", slow=slow, max_unsent=1 << 16, timeout=0.05)
            assert found == late
            assert await quick.item() == "x"
            while len(targets) > 1:
                await asyncio.sleep(0.01)
            assert app.code == 1008
            with pytest.raises(LocalProtocolError):
                late[0].send_prepared(PreparedMessage("x"))
            late[0].disconnect()  # is without effect
            await late[0].drain()

    run(main())


@pytest.mark.parametrize("slow", ["drop", "disconnect"])
def test_who_is_closing_is_not_slow_as_well(run, fake, echo, slow):
    """However much it has unsent: it was disconnected once, and is passed over from then on."""

    async def main():
        connection = await fake(echo).opened()
        target = connection.protocol
        connection.wire.get_write_buffer_size = lambda: 1 << 17
        assert broadcast([target], "x", slow=slow, max_unsent=1 << 16).slow == [target]
        target.disconnect(1008, "too slow")
        assert broadcast([target], "x", slow=slow, max_unsent=1 << 16).slow == []
        await connection.lost()

    run(main())


def test_disconnect_says_why(run, serve, room):
    targets, app = room

    async def main():
        async with serve(app) as server:
            client = await server.connect()
            await joined(targets, 1)
            for target in targets:
                target.disconnect(1008, "too slow")
            assert await client.items() == [Close(1008, "too slow")]

    run(main())


@pytest.mark.parametrize("accepted", [True, False])
def test_the_scope_makes_no_cycle(run, fake, settle, accepted):
    """It holds the connection, which is gone with it, without a garbage collection."""
    gone = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept" if accepted else "websocket.close"})

    async def main():
        connection = fake(app)
        await settle()
        weakref.finalize(connection.protocol, gone.append, True)
        await connection.lost()
        await settle()
        connection.protocol = connection.state = connection.task = None
        await settle()
        assert gone

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()

"""``wsfast.websockets``: the connections for ``create_connection=``, with nothing patched.

Whether they behave as the library's own do is what test_websockets_asyncio_driver.py asks of the
same functions in place; here: that they are used, by servers and clients, and their settings.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.sync.client
import websockets.sync.server
import websockets.trio.client
import websockets.trio.server
from websockets.exceptions import ConnectionClosedError
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

import wsfast
import wsfast.websockets.asyncio
import wsfast.websockets.sync
import wsfast.websockets.trio
from wsfast.integrations import _websockets as driver
from wsfast.websockets._protocols import FastClientProtocol, FastServerProtocol

MESSAGES = ["", "Hello", "é€😀" * 50, b"", b"\xff" * 125, "x" * 126, b"y" * 70000]
COMPRESSION = pytest.mark.parametrize("compression", [None, "deflate"])


@pytest.fixture(autouse=True)
def nothing_is_patched() -> Iterator[None]:
    before = dict(vars(Protocol))
    hits = driver.hits()
    yield
    assert dict(vars(Protocol)) == before
    assert driver.hits() > hits


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


class Corked(wsfast.websockets.asyncio.ServerConnection):
    cork = True


SERVERS = [wsfast.websockets.asyncio.ServerConnection, Corked]


def test_status_counts_the_connections() -> None:
    def counted() -> int:
        (status,) = [one for one in wsfast.status() if one.name == "websockets"]
        match = re.search(r"(\w+) connections? so far by wsfast\.websockets, ", status.reason)
        assert match is not None
        assert (status.state == "active") is (match[1] != "no") is wsfast.is_active("websockets")
        return int(match[1].replace("no", "0"))

    before = counted()
    test_asyncio(SERVERS[0], None)
    assert counted() == before + 2  # server and client


@COMPRESSION
@pytest.mark.parametrize("server", SERVERS)
def test_asyncio(server: type, compression: str | None) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"compression": compression}
        async with websockets.asyncio.server.serve(
            echo, "127.0.0.1", 0, create_connection=server, **options
        ) as serving:
            (port,) = {socket.getsockname()[1] for socket in serving.sockets}
            async with websockets.asyncio.client.connect(
                f"ws://127.0.0.1:{port}",
                create_connection=wsfast.websockets.asyncio.ClientConnection,
                **options,
            ) as client:
                (connection,) = serving.connections
                assert type(connection) is server
                assert type(connection.protocol) is FastServerProtocol
                assert type(client.protocol) is FastClientProtocol
                for message in MESSAGES:
                    await client.send(message)
                assert [await client.recv() for _ in MESSAGES] == MESSAGES
                await client.send(["in ", "frag", "ments"])
                assert await client.recv() == "in fragments"
                assert await (await client.ping()) >= 0
            assert (client.close_code, connection.close_code) == (1000, 1000)

    asyncio.run(main())


@COMPRESSION
def test_sync(compression: str | None) -> None:
    def handler(connection: Any) -> None:
        assert type(connection.protocol) is FastServerProtocol
        for message in connection:
            connection.send(message)

    options: Any = {"compression": compression}
    with websockets.sync.server.serve(
        handler,
        "127.0.0.1",
        0,
        create_connection=wsfast.websockets.sync.ServerConnection,
        **options,
    ) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        with websockets.sync.client.connect(
            f"ws://127.0.0.1:{serving.socket.getsockname()[1]}",
            create_connection=wsfast.websockets.sync.ClientConnection,
            **options,
        ) as client:
            assert type(client.protocol) is FastClientProtocol
            for message in MESSAGES:
                client.send(message)
            assert [client.recv() for _ in MESSAGES] == MESSAGES
        serving.shutdown()
        thread.join()


def test_trio() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(serve)
            port = listeners.listeners[0].socket.getsockname()[1]
            async with websockets.trio.client.connect(
                f"ws://127.0.0.1:{port}",
                create_connection=wsfast.websockets.trio.ClientConnection,
            ) as client:
                assert type(client.protocol) is FastClientProtocol
                for message in MESSAGES:
                    await client.send(message)
                assert [await client.recv() for _ in MESSAGES] == MESSAGES
            nursery.cancel_scope.cancel()

    async def serve(task_status: Any) -> None:
        await websockets.trio.server.serve(
            echo,
            0,
            host="127.0.0.1",
            create_connection=wsfast.websockets.trio.ServerConnection,
            task_status=task_status,
        )

    trio.run(main)


# ---- settings of the asyncio class --------------------------------------------------------------


class Transport(asyncio.Transport):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def set_write_buffer_limits(self, *limits: Any) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Server:
    """What a connection asks of the server it belongs to."""

    def __init__(self) -> None:
        self.handler_tasks: set[asyncio.Task[None]] = set()

    async def handler(self, connection: Any) -> None:
        pass


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def opened(kind: type, protocol: Any = None) -> tuple[Any, Transport]:
    connection = kind(protocol or ServerProtocol(), Server(), ping_interval=None)
    transport = Transport()
    connection.connection_made(transport)
    connection.data_received(REQUEST)
    protocol = connection.protocol
    protocol.send_response(protocol.accept(connection.request))
    connection.send_data()
    transport.written.clear()
    return connection, transport


def masked(streams: Any, *texts: bytes) -> bytes:
    return b"".join(streams.frame(1, text, key=b"\1\2\3\4") for text in texts)


def test_cork_writes_once_for_what_came_together(streams: Any) -> None:
    async def main() -> None:
        for kind, writes in zip(SERVERS, (3, 1)):
            connection, transport = opened(kind)
            connection.data_received(masked(streams, b"a", b"b", b"c"))
            task = asyncio.create_task(echo(connection))
            await asyncio.sleep(0.01)
            assert b"".join(transport.written) == b"\x81\x01a\x81\x01b\x81\x01c"
            assert len(transport.written) <= writes
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())


def test_corked_frames_leave_in_order(streams: Any) -> None:
    """Before a Pong, a Ping, a fragmented message, and the Close frame."""

    async def main() -> None:
        connection, transport = opened(Corked)
        connection.data_received(masked(streams, b"a", b"b", b"c"))
        await connection.recv()
        await connection.send("1")
        connection.data_received(streams.frame(9, b"p", key=b"\1\2\3\4"))
        await connection.send("2")
        await connection.ping(b"q")
        await connection.send("3")
        await connection.send(["4"])
        await connection.send("5")
        closing = asyncio.create_task(connection.close())
        await asyncio.sleep(0)
        assert b"".join(transport.written) == (
            b"\x81\x011\x8a\x01p\x81\x012\x89\x01q\x81\x013\x01\x014\x80\x00\x81\x015\x88\x02\x03\xe8"
        )
        closing.cancel()
        await asyncio.wait([closing])

    asyncio.run(main())


def test_corked_frames_are_of_one_connection(streams: Any) -> None:
    """Whatever its class says is equal."""

    class Equal(Corked):  # type: ignore[misc, valid-type]
        __hash__ = None

        def __eq__(self, other: object) -> bool:
            return True

    async def main() -> None:
        pairs = [opened(Equal) for _ in range(2)]
        for number, (connection, _) in enumerate(pairs):
            connection.data_received(masked(streams, b"a", b"b"))
            await connection.recv()
            await connection.send(str(number))
        await asyncio.sleep(0.01)
        assert [b"".join(transport.written) for _, transport in pairs] == [
            b"\x81\x010",
            b"\x81\x011",
        ]

    asyncio.run(main())


def test_an_end_reaches_who_waits(streams: Any) -> None:
    async def main() -> None:
        for kind in SERVERS:
            connection, _ = opened(kind)
            waiting = asyncio.create_task(connection.recv())
            await asyncio.sleep(0)
            connection.eof_received()
            connection.connection_lost(None)
            with pytest.raises(ConnectionClosedError):
                await waiting
            connection, _ = opened(kind)
            waiting = asyncio.create_task(connection.recv())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            connection.data_received(masked(streams, b"kept"))
            assert await connection.recv() == "kept"

    asyncio.run(main())


def test_a_protocol_of_the_users_own_is_left_alone(streams: Any) -> None:
    class Mine(ServerProtocol):
        pass

    async def main() -> None:
        connection, transport = opened(wsfast.websockets.asyncio.ServerConnection, Mine())
        assert type(connection.protocol) is Mine
        connection.data_received(masked(streams, b"a"))
        await connection.send(await connection.recv())
        assert transport.written == [b"\x81\x01a"]

    asyncio.run(main())

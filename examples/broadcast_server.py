"""A server that sends the time to everybody who is connected, and what each of them says too.

    python examples/broadcast_server.py [--host HOST] [--port PORT] [--slow drop|disconnect|wait]

Shows ``wsfast.broadcast`` over sans-I/O connections: a message is framed and compressed once for
all of them, and a peer that does not read keeps nobody else waiting. With uvicorn it is less work:

    @app.websocket("/feed")
    async def feed(websocket: WebSocket):
        await websocket.accept()
        client = websocket.scope["extensions"]["wsfast"]["connection"]
        clients.add(client)
        try:
            async for text in websocket.iter_text():
                wsfast.broadcast(clients, text)
        finally:
            clients.discard(client)

There ask for compression without context, or what is sent to all goes out uncompressed:

    class Protocol(WebSocketProtocol):                      # uvicorn app:app --ws app:Protocol
        deflate = PerMessageDeflate(
            server_no_context_takeover=True, server_max_window_bits=12, client_max_window_bits=12
        )
"""

import argparse
import asyncio
import contextlib
import time

from wsfast import Connection, HandshakeError, Limits, Role, StreamPeer, broadcast, handshake
from wsfast.deflate import PerMessageDeflate

LIMITS = Limits(message_timeout=10)
READ = 64 << 10
# Without takeover of ours one compressed frame fits all connections.
DEFLATE = PerMessageDeflate(server_no_context_takeover=True, server_max_window_bits=12)


async def open_connection(reader, writer):
    """The opening handshake: a ``Connection`` and the bytes that came behind it, or None."""
    opening = handshake.ServerHandshake(LIMITS)
    try:
        async with asyncio.timeout(LIMITS.open_timeout):
            request = None
            while request is None:
                data = await reader.read(READ)
                if not data:
                    return None
                request = opening.feed(data)
        offer = handshake.check_upgrade(request.method, request.http_version, request.headers)
    except HandshakeError as exc:
        writer.write(bytes(handshake.reject(exc.status, exc.headers, f"{exc}\n".encode())))
        return None
    response = handshake.accept(offer, extensions=[DEFLATE])
    writer.write(bytes(response))
    connection = Connection(
        Role.SERVER,
        extensions=response.extensions,
        limits=LIMITS,
        ping_interval=20,
        ping_timeout=20,
        now=time.monotonic(),
    )
    return connection, opening.trailing


class Room:
    """Everybody who is connected."""

    def __init__(self, slow):
        self.slow = slow
        self.peers = set()

    async def say(self, text):
        await broadcast(self.peers, text, slow=self.slow, max_unsent=256 << 10, timeout=5)

    async def tell_the_time(self):
        while True:
            await asyncio.sleep(1)
            await self.say(time.strftime("%H:%M:%S"))

    async def serve(self, reader, writer):
        try:
            opened = await open_connection(reader, writer)
            if opened is None:
                return
            connection, early = opened
            peer = StreamPeer(connection, writer)
            self.peers.add(peer)
            try:
                await self.hear(connection.receive(early, time.monotonic()))
                await self.listen(peer, reader)
            finally:
                self.peers.discard(peer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # cancelled at the program's end, which with Python 3.11 would be a traceback
        finally:
            writer.close()

    async def listen(self, peer, reader):
        connection = peer.connection
        while not connection.should_close_transport:
            deadline = connection.next_deadline()
            try:
                async with asyncio.timeout(deadline and deadline - time.monotonic()):
                    data = await reader.read(READ)
            except TimeoutError:
                connection.tick(time.monotonic())
            else:
                now = time.monotonic()
                events = connection.receive(data, now) if data else connection.receive_eof()
                await self.hear(events)
            peer.flush()
            await peer.drain()

    async def hear(self, events):
        for event in events:
            if isinstance(event, str):
                await self.say(event)


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--slow", choices=["drop", "disconnect", "wait"], default="drop")
    args = parser.parse_args()
    room = Room(args.slow)
    server = await asyncio.start_server(room.serve, args.host, args.port)
    print(f"room on ws://{args.host}:{server.sockets[0].getsockname()[1]}/", flush=True)
    async with server, asyncio.TaskGroup() as tasks:
        tasks.create_task(room.tell_the_time())
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

"""Servers of bench_broadcast.py: ``python benchmarks/broadcast_servers.py ID LOOP COUNT [PATH]``.

On LOOP, asyncio or uvloop, each prints its port, or PATH, that of its Unix socket, and waits for
COUNT connections. Each line of standard input, ``WAY SIZE``, is then answered with the CPU time in
nanoseconds, kernel included, that it took to write a message to all of them in that way. The end of
standard input ends it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import sys
from collections.abc import Callable
from functools import partial
from time import process_time_ns
from typing import Any

from deflate_cases import DeflateCase

from wsfast import Connection, PreparedMessage, Role, StreamPeer, broadcast, install
from wsfast.deflate import PerMessageDeflate
from wsfast.handshake import ServerHandshake, accept, check_upgrade

CONFIG = PerMessageDeflate(server_no_context_takeover=True, server_max_window_bits=12)
Prepare = Callable[[str], Callable[[], object]]  # what it returns is timed


def text(size: int) -> str:
    return DeflateCase("deflate", size).messages[0]


def factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if loop == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def listening(path: str = "") -> socket.socket:
    """On loopback, or at a path."""
    if not path:
        return socket.create_server(("127.0.0.1", 0))
    one = socket.socket(socket.AF_UNIX)
    one.bind(path)
    return one


async def answer(
    ways: dict[str, Prepare],
    listener: socket.socket,
    full: asyncio.Event,
    transports: list[asyncio.WriteTransport],
) -> None:
    name = listener.getsockname()
    print(name if isinstance(name, str) else name[1], flush=True)
    await full.wait()
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection would fall on whoever is timed
    readline = partial(asyncio.get_running_loop().run_in_executor, None, sys.stdin.readline)
    while line := await readline():
        way, size = line.split()
        send = ways[way](text(int(size)))
        start = process_time_ns()
        send()
        for _ in range(2):  # uvloop writes at the end of a turn
            await asyncio.sleep(0)
        took = process_time_ns() - start
        assert not any(one.get_write_buffer_size() for one in transports)
        print(took, flush=True)
        gc.collect()
    os._exit(0)  # without a thousand closing handshakes


async def wsfast(count: int, listener: socket.socket) -> None:
    """``Connection`` and asyncio's streams; beside them what the streams take, and the kernel."""
    peers: list[StreamPeer] = []
    transports: list[asyncio.WriteTransport] = []
    full = asyncio.Event()

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = ServerHandshake().feed(await reader.readuntil(b"\r\n\r\n"))
        assert request is not None
        offer = check_upgrade(request.method, request.http_version, request.headers)
        response = accept(offer, extensions=[CONFIG])
        writer.write(bytes(response))
        peers.append(StreamPeer(Connection(Role.SERVER, extensions=response.extensions), writer))
        transports.append(writer.transport)
        if len(peers) == count:
            full.set()

    def each(message: str) -> None:
        for peer in peers:
            peer.connection.send(message)
            peer.flush()

    def writing(write: Callable[[StreamPeer], Any]) -> Prepare:
        """A frame ready made, and nothing of ours around the call that takes it."""

        def prepare(message: str) -> Callable[[], object]:
            frame = PreparedMessage(message).frame_for(peers[0].connection)
            writes = [write(peer) for peer in peers]
            return lambda: [write(frame) for write in writes]

        return prepare

    def copied(peer: StreamPeer) -> socket.socket:
        return socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno()))

    ways: dict[str, Prepare] = {
        "prepared": lambda message: partial(broadcast, peers, message),
        "each": lambda message: partial(each, message),
        "written": writing(lambda peer: peer.writer.write),
        "kernel": writing(lambda peer: copied(peer).send),
    }
    async with await asyncio.start_server(joined, sock=listener, backlog=count):
        await answer(ways, listener, full, transports)


async def websockets(count: int, listener: socket.socket) -> None:
    """Its own server and its own ``broadcast()``; nothing but keepalive is off."""
    from websockets.asyncio.server import broadcast, serve
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

    connections: list[Any] = []  # as ours: a set's order is not that of memory, 7 % more
    transports: list[asyncio.WriteTransport] = []
    full = asyncio.Event()

    async def joined(connection: Any) -> None:
        connections.append(connection)
        transports.append(connection.transport)
        if len(connections) == count:
            full.set()
        await connection.wait_closed()

    deflate = ServerPerMessageDeflateFactory(
        server_no_context_takeover=CONFIG.server_no_context_takeover,
        server_max_window_bits=CONFIG.server_max_window_bits,
        compress_settings={"memLevel": CONFIG.mem_level},
    )
    ways: dict[str, Prepare] = {
        "broadcast": lambda message: partial(broadcast, connections, message)
    }
    options = {"extensions": [deflate], "ping_interval": None, "backlog": count}
    async with serve(joined, sock=listener, **options):
        await answer(ways, listener, full, transports)


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    name, loop, count, *path = sys.argv[1:]
    if name == "websockets+wsfast":
        install("websockets", on_refusal="raise")
    run = wsfast if name == "wsfast" else websockets
    with asyncio.Runner(loop_factory=factory(loop)) as runner:
        runner.run(run(int(count), listening(*path)))


if __name__ == "__main__":
    main()

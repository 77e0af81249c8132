"""A complete WebSocket echo server on asyncio, over the sans-I/O parts of wsfast.

    python examples/echo_server.py [--host HOST] [--port PORT] [--certfile PEM]
                                   [--max-message BYTES]

Shows what an owner of a ``Connection`` does: feed it, write what it has to send, keep its
deadlines, and neither read from a peer that does not read nor wait for it for ever. What a server
on the open internet needs beyond that is in production_server.py.
"""

import argparse
import asyncio
import contextlib
import functools
import ssl
import time

from wsfast import Connection, HandshakeError, Limits, Role, handshake
from wsfast.deflate import PerMessageDeflate

LIMITS = Limits(max_message=16 << 20)
READ = 64 << 10
WRITE_TIMEOUT = 20.0  # seconds a peer may take to read what is over the transport's mark


async def open_connection(reader, writer, limits):
    """The opening handshake: a ``Connection`` and the bytes that came behind it, or None."""
    opening = handshake.ServerHandshake(limits)
    try:
        async with asyncio.timeout(limits.open_timeout):
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
    except TimeoutError:
        return None
    response = handshake.accept(offer, extensions=[PerMessageDeflate()])
    writer.write(bytes(response))
    connection = Connection(
        Role.SERVER,
        extensions=response.extensions,
        limits=limits,
        ping_interval=20,
        ping_timeout=20,
        now=time.monotonic(),
    )
    return connection, opening.trailing


async def read_until(reader, deadline):
    """The next bytes, b"" at the end of the stream, or None when the deadline comes first."""
    try:
        async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
            return await reader.read(READ)
    except TimeoutError:
        return None


def echo(connection, events):
    for event in events:
        if isinstance(event, (str, bytes)):
            connection.send(event)


async def serve(reader, writer, limits=LIMITS):
    try:
        opened = await open_connection(reader, writer, limits)
        if opened is None:
            return
        connection, data = opened
        while True:
            now = time.monotonic()
            if data is None:
                echo(connection, connection.tick(now))
            elif data or opened:  # what came behind the handshake may be nothing
                echo(connection, connection.receive(data, now))
            else:
                connection.receive_eof()
            opened = None
            # not writelines(), which never pauses before 3.12.9 and 3.13.2 (CVE-2024-12254)
            writer.write(b"".join(connection.data_to_send()))
            async with asyncio.timeout(WRITE_TIMEOUT):
                await writer.drain()  # while the peer does not read, neither do we
            if connection.should_close_transport:
                return
            data = await read_until(reader, connection.next_deadline())
    except (ConnectionError, TimeoutError, asyncio.CancelledError):
        pass  # cancelled at the program's end, which with Python 3.11 would be a traceback
    finally:
        writer.close()  # flushes, for as long as the peer likes
        asyncio.get_running_loop().call_later(limits.close_timeout, abort, writer.transport)


def abort(transport):
    with contextlib.suppress(AttributeError):  # asyncio's own, where close() has written all
        transport.abort()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--certfile", metavar="PEM", help="certificate and key: serve wss")
    parser.add_argument("--max-message", type=int, default=LIMITS.max_message, metavar="BYTES")
    args = parser.parse_args()
    context = None
    if args.certfile:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.certfile)
    handle = functools.partial(serve, limits=Limits(max_message=args.max_message))
    server = await asyncio.start_server(handle, args.host, args.port, ssl=context)
    scheme = "wss" if context else "ws"
    print(f"echo on {scheme}://{args.host}:{server.sockets[0].getsockname()[1]}/", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

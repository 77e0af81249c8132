"""A WebSocket server for the open internet, on asyncio and a bare ``Connection``.

    python examples/production_server.py [--host HOST] [--port PORT] [--origin ORIGIN]…
                                         [--certificate FILE --key FILE]

It echoes; ``answer`` is the place for an application. What is around it is what docs/security.md
asks for: every wait has a deadline, every queue a bound, pages of other sites stay out, and at
SIGTERM peers are told.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import ssl
import time
from collections import deque

from wsfast import (
    Connection,
    HandshakeError,
    Limits,
    LocalProtocolError,
    Ping,
    Pong,
    Role,
    handshake,
)
from wsfast.connection import State
from wsfast.deflate import PerMessageDeflate

LIMITS = Limits(message_timeout=60.0)  # the rest as it is: 1 MiB, 10 seconds to open and to close
WRITE_TIMEOUT = 20.0  # seconds a peer may take to read what is over the transport's mark
PING_INTERVAL, PING_TIMEOUT = 20.0, 20.0  # less than the 60 seconds of most proxies
CONNECTIONS = 15_000  # a descriptor each; `ulimit -n` must allow more
# Connections that may wait to be accepted. Not as asyncio's `backlog`: that is also how many errors
# it logs each second where descriptors run out, each with a traceback (3.11 to 3.13 at least).
WAITING = 4096
READ = 64 << 10
PART = 2 << 10  # of a compressed stream: a thousand times as much may come of it
log = logging.getLogger("server")


async def answer(message):
    """The application: what to say to a message. It may take its time, and it may fail."""
    return message


class Session:
    """One open connection: a task that reads, and one that answers."""

    def __init__(self, reader, writer, connection):
        self.reader = reader
        self.writer = writer
        self.connection = connection
        self.peer = writer.get_extra_info("peername")  # which an aborted TLS forgets
        self.inbox = deque()  # messages that wait for the application
        self.ahead = b""  # what was read, and the connection has not received
        self.held = 0  # their bytes; of a str its characters
        self.answers = True  # else nobody takes them any more
        self.filled = asyncio.Event()
        self.taken = asyncio.Event()

    async def run(self, data):
        """``data`` came behind the handshake."""
        self.ahead = data
        worker = asyncio.create_task(self.work())
        try:
            while not self.connection.should_close_transport:
                if self.connection.bytes_queued:
                    await self.flush()
                while self.full():  # TCP then holds the peer back
                    self.taken.clear()
                    await self.taken.wait()
                self.take(await self.read())
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            self.write()

    async def read(self):
        """The next events, of the peer or of the clock."""
        connection = self.connection
        if not self.ahead:
            deadline = connection.next_deadline()
            left = None if deadline is None else deadline - time.monotonic()
            try:
                async with asyncio.timeout(left):
                    self.ahead = await self.reader.read(READ)
            except TimeoutError:
                return connection.tick(time.monotonic())
            if not self.ahead:
                return connection.receive_eof()
        size = PART if connection.extensions else READ
        data, self.ahead = self.ahead[:size], self.ahead[size:]
        return connection.receive(data, time.monotonic())

    def take(self, events):
        """Queue the messages; the connection has dealt with the rest."""
        for event in events:
            if isinstance(event, (str, bytes)):
                if self.answers:
                    self.inbox.append(event)
                    self.held += len(event)
            elif not isinstance(event, (Ping, Pong)):
                log.info("%s: %r", self.peer, event)
        if self.inbox:
            self.filled.set()

    def full(self):
        return len(self.inbox) >= LIMITS.queue_messages or self.held >= LIMITS.queue_bytes

    async def work(self):
        """Answer one message after the other."""
        try:
            while True:
                while not self.inbox:
                    self.filled.clear()
                    await self.filled.wait()
                message = self.inbox.popleft()
                self.held -= len(message)
                self.taken.set()
                reply = await answer(message)
                if self.connection.state is not State.OPEN:  # there is nobody to answer
                    return
                self.connection.send(reply)
                try:
                    await self.flush()
                except OSError:  # of the network or of TLS; a deadline
                    self.writer.transport.abort()
                    return
        except Exception:  # of the application, whatever it raises, or says
            log.exception("the application failed")
            self.stop(1011)
        finally:
            self.answers = False
            self.held = 0
            self.inbox.clear()
            self.taken.set()

    def write(self):
        """Write what there is to write."""
        if not self.writer.is_closing():  # uvloop raises where the transport is gone
            # not writelines(), which never pauses before 3.12.9 and 3.13.2 (CVE-2024-12254)
            self.writer.write(b"".join(self.connection.data_to_send()))

    async def flush(self):
        """Write it, and wait while the peer does not read."""
        self.write()
        async with asyncio.timeout(WRITE_TIMEOUT):
            await self.writer.drain()

    def stop(self, code=1001):
        """Close, and be gone ``close_timeout`` later whatever the peer does."""
        if self.connection.should_close_transport:  # its last frame is written, or about to be
            return
        with contextlib.suppress(LocalProtocolError):  # it is closing already
            self.connection.close(code)
        self.write()
        abort_later(self.writer)


def abort_later(writer):
    """What the peer does not read must not hold the transport open for ever."""
    asyncio.get_running_loop().call_later(LIMITS.close_timeout, abort, writer.transport)


def abort(transport):
    with contextlib.suppress(AttributeError):  # asyncio's own, where close() has written all
        transport.abort()


async def linger(reader, writer):
    """End our direction, and discard what comes until the peer ends its own (RFC 6455 §7.1.1).

    A socket that is closed with bytes unread resets its connection, and a proxy in between drops
    our last frame. asyncio's TLS has no half-close.
    """
    abort_later(writer)
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()
        while await reader.read(READ):
            pass


async def open_connection(reader, writer, origins):
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
    if not handshake.check_origin(offer.origin, origins or [None, *own_origins(offer)]):
        writer.write(bytes(handshake.reject(403)))
        return None
    response = handshake.accept(offer, extensions=[PerMessageDeflate(server_max_window_bits=12)])
    writer.write(bytes(response))
    connection = Connection(
        Role.SERVER,
        extensions=response.extensions,
        limits=LIMITS,
        ping_interval=PING_INTERVAL,
        ping_timeout=PING_TIMEOUT,
        now=time.monotonic(),
    )
    return connection, opening.trailing


def own_origins(offer):
    return [f"http://{offer.host}", f"https://{offer.host}"]


class Server:
    def __init__(self, origins=()):
        self.origins = origins
        self.connections = 0  # the half-open ones too
        self.sessions = set()

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            if self.connections > CONNECTIONS:
                writer.write(bytes(handshake.reject(503)))
                return
            opened = await open_connection(reader, writer, self.origins)
            if opened is not None:
                connection, data = opened
                session = Session(reader, writer, connection)
                self.sessions.add(session)
                try:
                    await session.run(data)
                    await linger(reader, writer)
                finally:
                    self.sessions.discard(session)
            else:
                await linger(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the network, TLS or a deadline; the program's end, with Python 3.11 a traceback
        finally:
            self.connections -= 1
            writer.close()
            abort_later(writer)

    async def stop(self):
        """Tell everybody, and wait until they are gone."""
        for session in list(self.sessions):
            session.stop()
        while self.sessions:
            await asyncio.sleep(0.05)


def tls(arguments):
    if arguments.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(arguments.certificate, arguments.key)
    return context


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--origin", action="append", help="of pages that may connect; else our own")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    server = Server(arguments.origin or ())
    context = tls(arguments)
    listener = await asyncio.start_server(
        server.serve,
        arguments.host,
        arguments.port,
        ssl=context,
        ssl_handshake_timeout=context and LIMITS.open_timeout,  # else a minute
    )
    for place in listener.sockets:
        with place.dup() as same:
            same.listen(WAITING)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    place = listener.sockets[0].getsockname()
    print(f"listening on {place[0]} port {place[1]}", flush=True)
    await stopped.wait()
    listener.close()
    await server.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())

"""A complete WebSocket client on blocking sockets, over the sans-I/O parts of wsfast: an echo.

    python examples/echo_client.py ws://HOST:PORT/PATH

Sends back every message it receives until the server closes.
"""

import argparse
import contextlib
import socket
import ssl
import time

from wsfast import Connection, HandshakeError, Limits, Role
from wsfast.deflate import PerMessageDeflate
from wsfast.handshake import ClientHandshake

LIMITS = Limits(max_message=16 << 20)
READ = 64 << 10


def connect(opening):
    """The transport: TCP, and TLS on top for a wss URL."""
    sock = socket.create_connection((opening.host, opening.port), LIMITS.open_timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if opening.secure:
        return ssl.create_default_context().wrap_socket(sock, server_hostname=opening.host)
    return sock


def open_connection(sock, opening):
    """The opening handshake: a ``Connection`` and the bytes that came behind the answer, if any."""
    sock.sendall(opening.request())
    response = None
    while response is None:
        data = sock.recv(READ)
        if not data:
            raise ConnectionError("the server left before it answered")
        response = opening.feed(data)
    connection = Connection(
        Role.CLIENT, extensions=response.extensions, limits=LIMITS, now=time.monotonic()
    )
    return connection, opening.trailing or None


def read_until(sock, deadline):
    """The next bytes, b"" at the end of the stream, or None when the deadline comes first."""
    try:
        # Zero would make it non-blocking: a deadline in the past waits as little as can be.
        sock.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
        return sock.recv(READ)
    except TimeoutError:
        return None


def echo(sock, connection, data):
    while True:
        now = time.monotonic()
        if data is None:
            connection.tick(now)
        elif data:
            for event in connection.receive(data, now):
                if isinstance(event, (str, bytes)):
                    connection.send(event)
        else:
            connection.receive_eof()
        sock.settimeout(LIMITS.close_timeout)
        sock.sendall(b"".join(connection.data_to_send()))
        if connection.should_close_transport:
            return
        data = read_until(sock, connection.next_deadline())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    args = parser.parse_args()
    opening = ClientHandshake(args.url, extensions=[PerMessageDeflate()])
    with connect(opening) as sock:
        try:
            connection, data = open_connection(sock, opening)
        except HandshakeError as exc:
            raise SystemExit(f"no connection: {exc}") from None
        with contextlib.suppress(ConnectionError):
            echo(sock, connection, data)


if __name__ == "__main__":
    main()

"""A complete WebSocket echo client on a blocking socket, over the sans-I/O parts of wsfast.

    python examples/echo_client.py URL [--cafile PEM] [--max-message BYTES]

Sends back what the server says until the server closes. Shows what an owner of a ``Connection``
does: open it, feed it, write what it has to send, keep its deadlines, and let the server close
first.
"""

import argparse
import socket
import ssl
import sys
import time

from wsfast import Connection, HandshakeError, Limits, Role, handshake
from wsfast.deflate import PerMessageDeflate

LIMITS = Limits(max_message=16 << 20)
READ = 64 << 10
WRITE_TIMEOUT = 20.0  # seconds; a server that does not read for so long is given up


def connect(url, limits, context):
    """A socket, and a ``Connection`` once the server has agreed to it."""
    opening = handshake.ClientHandshake(url, extensions=[PerMessageDeflate()], limits=limits)
    deadline = time.monotonic() + limits.open_timeout
    sock = socket.create_connection((opening.host, opening.port), limits.open_timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if opening.secure:
            context = context or ssl.create_default_context()
            sock = context.wrap_socket(sock, server_hostname=opening.host)
        sock.sendall(opening.request())
        response = None
        while response is None:
            data = read_until(sock, deadline)
            if not data:
                raise ConnectionError("the server did not answer the handshake")
            response = opening.feed(data)
    except BaseException:
        sock.close()
        raise
    connection = Connection(
        Role.CLIENT,
        subprotocol=response.subprotocol,
        extensions=response.extensions,
        limits=limits,
        ping_interval=20,
        ping_timeout=20,
        now=time.monotonic(),
    )
    return sock, connection, opening.trailing


def read_until(sock, deadline):
    """The next bytes, b"" at the end of the stream, or None when the deadline comes first."""
    timeout = None
    if deadline is not None:
        timeout = deadline - time.monotonic()
        if timeout <= 0:
            return None
    sock.settimeout(timeout)
    try:
        return sock.recv(READ)
    except TimeoutError:
        return None


def write(sock, connection):
    sock.settimeout(WRITE_TIMEOUT)
    sock.sendall(b"".join(connection.data_to_send()))


def converse(url, reply, *, limits=LIMITS, context=None):
    """Send ``reply(message)``, unless it is None, for each message; the connection as it ended."""
    sock, connection, data = connect(url, limits, context)
    with sock:
        events = connection.receive(data, time.monotonic())  # what came behind the handshake
        try:
            while True:
                for event in events:
                    if isinstance(event, (str, bytes)) and (answer := reply(event)) is not None:
                        connection.send(answer)
                write(sock, connection)
                if connection.should_close_transport:
                    break
                data = read_until(sock, connection.next_deadline())
                if data is None:
                    events = connection.tick(time.monotonic())
                elif data:
                    events = connection.receive(data, time.monotonic())
                else:
                    events = connection.receive_eof()
        except OSError:  # the transport broke, or WRITE_TIMEOUT is over
            connection.receive_eof()
    return connection


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", metavar="URL", help="ws://… or wss://…")
    parser.add_argument("--cafile", metavar="PEM", help="who may sign the server's certificate")
    parser.add_argument("--max-message", type=int, default=LIMITS.max_message, metavar="BYTES")
    args = parser.parse_args()
    limits = Limits(max_message=args.max_message)
    context = ssl.create_default_context(cafile=args.cafile)
    try:
        connection = converse(args.url, lambda message: message, limits=limits, context=context)
    except (HandshakeError, OSError) as exc:
        sys.exit(f"{args.url}: {exc}")
    if connection.failed:
        sys.exit(f"{args.url}: {connection.failed}")
    print(f"closed: {connection.close_rcvd.code} {connection.close_rcvd.reason}".rstrip())


if __name__ == "__main__":
    main()

"""Blocking sockets with deadlines, TLS included: the one room of the suite that does I/O."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .opening import Url

READ = 256 << 10  # bytes
PATIENCE = 8  # times the time-out: what a whole connection may take to say what it says


class SocketLink:
    """A connected socket. What cannot be sent is not an error: reading will tell."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._socket = sock
        self._timeout = timeout
        self._end = time.monotonic() + PATIENCE * timeout
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self._socket.settimeout(self._timeout)
        with contextlib.suppress(OSError):  # refused in the middle: what it said is to be read
            self._socket.sendall(data)

    def receive(self, within: float) -> bytes:
        left = self._end - time.monotonic()
        if left <= 0:  # it talks on and on
            raise TimeoutError
        self._socket.settimeout(min(within, left))
        try:
            return self._socket.recv(READ)
        except TimeoutError:
            raise
        except OSError:  # reset, or TLS without its own end: an end like any other
            return b""

    def finish(self) -> None:
        """No more bytes from us; theirs may still come."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


@contextlib.contextmanager
def connect(url: Url, timeout: float, insecure: bool) -> Iterator[SocketLink]:
    """A connection to the server under test; closed behind."""
    with socket.create_connection((url.host, url.port), timeout) as sock:
        if not url.secure:
            yield SocketLink(sock, timeout)
            return
        context = ssl.create_default_context()
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(sock, server_hostname=url.host) as secured:
            yield SocketLink(secured, timeout)

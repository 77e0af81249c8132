"""The raw peer of a scenario: plays its steps on a socket and writes down all that comes back.

Knows RFC 6455's handshake and frames, and no library of ours or of a host's.
"""

from __future__ import annotations

import base64
import hashlib
import re
import select
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

from scenario_wire import CLOSE, PING, Reader, Wire
from scenarios import EOF, HOLD, PAUSE, RESET, Read, Scenario, Step

LIMIT = 5.0  # seconds without a byte: the host hangs
QUIET = 0.3  # seconds without a byte from a host that has nothing to do: no more comes
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NONCE = "dGhlIHNhbXBsZSBub25jZQ=="


class Silence(Exception):
    """Nothing came for too long."""


class Link(Protocol):
    """A stream of bytes to a host, which may end."""

    def send(self, data: bytes, incoming: Callable[[bytes], None]) -> None:
        """Send all of ``data``, taking what comes meanwhile; a host that is gone is no error."""

    def receive(self) -> bytes | None:
        """What there is, at least a byte, ``b""`` at the end, None after a reset."""

    def ready(self) -> bool: ...
    def end(self) -> None: ...
    def reset(self) -> None: ...


class Host(Protocol):
    def idle(self) -> bool:
        """Whether it has done all that it can do for now."""

    def opened(self, name: str) -> None:
        """Wait until its application has begun this scenario."""

    def rest(self) -> None:
        """Wait until it has read what was sent, and waits for more."""


class SocketLink:
    def __init__(self, sock: socket.socket, host: Host) -> None:
        self.sock, self.host, self.quiet = sock, host, QUIET
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)

    def ready(self) -> bool:
        return bool(select.select([self.sock], [], [], 0)[0])

    def receive(self) -> bytes | None:
        self._wait([self.sock], [])
        try:
            return self.sock.recv(1 << 18)
        except ConnectionError:
            return None

    def _wait(self, readers: list[Any], writers: list[Any]) -> tuple[list[Any], list[Any]]:
        for _ in range(round(LIMIT / self.quiet)):
            readable, writable, _ = select.select(readers, writers, [], self.quiet)
            if readable or writable:
                return readable, writable
            if self.host.idle():
                break
        raise Silence

    def send(self, data: bytes, incoming: Callable[[bytes], None]) -> None:
        view, reading = memoryview(data), True
        while view:
            readable, writable = self._wait([self.sock] if reading else [], [self.sock])
            try:
                if writable:
                    view = view[self.sock.send(view) :]
                elif readable:
                    found = self.sock.recv(1 << 18)
                    incoming(found)
                    reading = bool(found)
            except ConnectionError:
                return

    def end(self) -> None:
        with suppress(OSError):  # the host is gone already
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Peer:
    """Plays one scenario over a link and keeps its transcript, one line for each event.

    ``ends``: it is the one to end the connection, when all is said.
    """

    def __init__(
        self, link: Link, wire: Wire, transcript: list[str], host: Host, ends: bool
    ) -> None:
        self.link, self.wire, self.transcript = link, wire, transcript
        self.host, self.ends = host, ends
        self.reader = Reader()
        self.messages = self.wanted = 0
        self.answers = b""
        self.answer_close = False
        self.closed = False  # the host has sent a Close frame
        self.over = False  # no more comes

    def play(self, scenario: Scenario, steps: Iterable[Step], came: bytes = b"") -> None:
        """``came``: what was read with the handshake."""
        self.answer_close = scenario.host_closes
        try:
            if came:
                self._take(came)
            for step in steps:
                if self.closed or self._step(step):
                    break
            if self.ends and not (self.over or self.answer_close):
                self._step(EOF)
            while not self.over:
                self._receive()
        except Silence:
            self.transcript.append("and then nothing")
        if self.reader.rest:
            self.transcript.append(f"in the end {bytes(self.reader.rest)!r}")

    def _step(self, step: Step) -> bool:
        """Whether it was the last one."""
        if isinstance(step, bytes):
            self.link.send(step, self.incoming)
        elif isinstance(step, Read):
            self.wanted += step.messages
            while self.messages < self.wanted and not self.over:
                self._receive()
        elif step is HOLD:
            self.host.rest()
        elif step is PAUSE or step is EOF:
            self.host.rest()
            while not self.over and self.link.ready():
                self._receive()
            if step is EOF and not self.over:
                self.link.end()
        elif step is RESET:
            self.link.reset()
            self.reader.rest.clear()
            self.over = True
        return self.over

    def _receive(self) -> None:
        data = self.link.receive()
        if data is None:
            # What is still under way when a host has closed makes the one of the other.
            self.transcript.append("end" if self.closed else "reset")
            self.over = True
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        self.incoming(data)
        if self.answers and not self.over:
            answers, self.answers = self.answers, b""
            self.link.send(answers, self.incoming)
        # A client whose Close was the second waits for the end of the connection.
        if self.closed and not self.over and not (self.answer_close and self.wire.client):
            self.link.end()

    def incoming(self, data: bytes) -> None:
        if not data:
            self.transcript.append("end")
            self.over = True
        for frame in self.reader.feed(data):
            self.transcript.append(f"< {frame}")
            self.messages += frame.ends_message
            if frame.opcode == PING and not self.closed:
                self.answers += self.wire.pong(frame.payload)
            elif frame.opcode == CLOSE and not self.closed:
                self.closed = True
                if self.answer_close:
                    self.answers += self.wire.frame(CLOSE, frame.payload)


# ---- handshakes ---------------------------------------------------------------------------------


def field(head: bytes, name: str) -> str:
    found = re.search(rf"(?im)^{name}: *(.*?)\r?$", head.decode("latin-1"))
    return found[1] if found else ""


def read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(1 << 16)
        if not more:
            raise ConnectionError(f"the handshake ended after {data!r}")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def as_client(port: int, scenario: Scenario, host: Host) -> list[str]:
    """Connect to a host's server and play once its application runs: the transcript."""
    offer = f"Sec-WebSocket-Extensions: {scenario.extension}\r\n" if scenario.extension else ""
    request = (
        f"GET /{scenario.name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {NONCE}\r\n{offer}\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        first, steps = _eager(scenario, Wire(client=True))
        sock.sendall(request + first)
        head, came = read_head(sock)
        agreed = field(head, "Sec-WebSocket-Extensions")
        transcript = [head.split(b"\r\n")[0].decode(), f"extensions: {agreed}"]
        if b" 101 " not in head:
            return transcript
        host.opened(scenario.name)
        peer = Peer(
            SocketLink(sock, host),
            Wire(client=True, extension=agreed),
            transcript,
            host,
            ends=False,
        )
        peer.play(scenario, steps or scenario.steps(peer.wire), came)
    return transcript


def as_server(listener: socket.socket, scenario: Scenario, host: Host) -> list[str]:
    """Accept a host's client and play once it is connected: the transcript."""
    listener.settimeout(LIMIT)
    sock, _ = listener.accept()
    with sock:
        sock.settimeout(LIMIT)
        head, _ = read_head(sock)
        offer = field(head, "Sec-WebSocket-Extensions")
        agreed = scenario.extension if "permessage-deflate" in offer else ""
        accept = hashlib.sha1(field(head, "Sec-WebSocket-Key").encode() + GUID).digest()
        extensions = f"Sec-WebSocket-Extensions: {agreed}\r\n" if agreed else ""
        response = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\n{extensions}\r\n"
        ).encode()
        first, steps = _eager(scenario, Wire(client=False))
        sock.sendall(response + first)
        host.opened(scenario.name)
        transcript = [f"offer: {offer}", f"extensions: {agreed}"]
        peer = Peer(
            SocketLink(sock, host),
            Wire(client=False, extension=agreed),
            transcript,
            host,
            ends=True,
        )
        peer.play(scenario, steps or scenario.steps(peer.wire))
    return transcript


def _eager(scenario: Scenario, wire: Wire) -> tuple[bytes, list[Step]]:
    """What goes out with the handshake, and the steps after that where there is such."""
    if not scenario.eager:
        return b"", []
    first, *steps = scenario.steps(wire)
    assert isinstance(first, bytes)
    return first, steps or [b""]

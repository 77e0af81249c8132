"""WebSockets over HTTP/2 (RFC 8441) for the raw peer: one connection with one stream.

h2 makes HTTP/2's frames; those of the WebSocket in them are the peer's own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from scenario_peer import LIMIT, Host, Peer, SocketLink
from scenario_wire import Wire
from scenarios import Scenario

STREAM = 1
QUIET = 0.1  # seconds; shorter than usual: hypercorn often leaves it to the client to go


class Http2Link:
    """A ``Link`` of scenario_peer.py."""

    def __init__(self, inner: SocketLink) -> None:
        self.inner = inner
        self.h2 = h2.connection.H2Connection()
        self.headers: dict[str, str] = {}  # of the response
        self.inbox: list[bytes | None] = []  # what receive() gives out
        self.h2.initiate_connection()
        self._flush()

    def request(self, port: int, path: str, extension: str) -> None:
        """Ask for the WebSocket, and wait for the answer."""
        while self.h2.remote_settings.enable_connect_protocol != 1:
            self._pull()
        offer = [("sec-websocket-extensions", extension)] if extension else []
        self.h2.send_headers(
            STREAM,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":path", path),
                (":authority", f"127.0.0.1:{port}"),
                ("sec-websocket-version", "13"),
                *offer,
            ],
        )
        self._flush()
        while not self.headers:
            self._pull()

    def _flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.inner.send(data, self._take)

    def _pull(self) -> None:
        data = self.inner.receive()
        if data:
            self._take(data)
            self._flush()
        else:
            self.inbox.append(data)

    def _take(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.headers = {_text(name): _text(value) for name, value in event.headers}
            elif isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, STREAM)
                if event.data:
                    self.inbox.append(event.data)
            elif isinstance(event, h2.events.StreamEnded):
                self.inbox.append(b"")
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                self.inbox.append(None)

    def ready(self) -> bool:
        while self.inner.ready() and not (self.inbox and not self.inbox[-1]):
            self._pull()
        return bool(self.inbox)

    def receive(self) -> bytes | None:
        while not self.inbox:
            self._pull()
        return self.inbox.pop(0)

    def send(self, data: bytes, incoming: Callable[[bytes], None]) -> None:
        try:
            while data:
                room = self.h2.local_flow_control_window(STREAM)
                size = min(room, self.h2.max_outbound_frame_size, len(data))
                if not size:
                    self._pull()
                    continue
                self.h2.send_data(STREAM, data[:size])
                data = data[size:]
                if not data or size == room:
                    self._flush()
        except h2.exceptions.ProtocolError:
            pass  # the stream is gone

    def end(self) -> None:
        with suppress(h2.exceptions.ProtocolError):  # the stream is gone
            self.h2.end_stream(STREAM)
            self._flush()
        self.inner.quiet = QUIET

    def reset(self) -> None:
        self.h2.reset_stream(STREAM, h2.errors.ErrorCodes.CANCEL)
        self._flush()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


def as_http2_client(port: int, scenario: Scenario, host: Host) -> list[str]:
    """Connect to a host's server and play once its application runs: the transcript."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        link = Http2Link(SocketLink(sock, host))
        link.request(port, f"/{scenario.name}", scenario.extension)
        agreed = link.headers.get("sec-websocket-extensions", "")
        transcript = [link.headers[":status"], f"extensions: {agreed}"]
        if link.headers[":status"] == "200":
            host.opened(scenario.name)
            peer = Peer(link, Wire(client=True, extension=agreed), transcript, host, ends=True)
            peer.play(scenario, scenario.steps(peer.wire))
    return transcript

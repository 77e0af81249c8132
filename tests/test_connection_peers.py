"""Whole conversations, handshake to close, with the sans-I/O layers of websockets and wsproto."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsfast.connection import Connection, State
from wsfast.deflate import PerMessageDeflate
from wsfast.frames import Close, Ping, Pong, Role
from wsfast.handshake import ClientHandshake, ServerHandshake, accept, check_upgrade

MESSAGES = st.lists(
    st.one_of(st.text(max_size=200), st.binary(max_size=200), st.just("again and " * 30)),
    max_size=6,
)
CLOSES = st.sampled_from([(1000, ""), (1001, "bye"), (3000, "é" * 60), (4999, "")])
CONFIG = PerMessageDeflate(server_max_window_bits=12, client_max_window_bits=12, threshold=100)


def pieces(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


def open_server(theirs_request):
    """Our server's answer to a request, and its Connection."""
    request = ServerHandshake().feed(theirs_request)
    offer = check_upgrade(request.method, request.http_version, request.headers)
    response = accept(offer, extensions=[CONFIG])
    return bytes(response), Connection(Role.SERVER, extensions=response.extensions)


class Websockets:
    """The other end by websockets; skipped where it is missing."""

    def __init__(self, ours, compress):
        client = pytest.importorskip("websockets.client")
        server = pytest.importorskip("websockets.server")
        deflate = pytest.importorskip("websockets.extensions.permessage_deflate")
        if ours is Role.SERVER:
            from websockets.uri import parse_uri

            extensions = [deflate.ClientPerMessageDeflateFactory()] if compress else None
            self._protocol = client.ClientProtocol(parse_uri("ws://h/"), extensions=extensions)
            self._protocol.send_request(self._protocol.connect())
            wire, self.ours = open_server(b"".join(self._protocol.data_to_send()))
            self._protocol.receive_data(wire)
        else:
            extensions = [deflate.ServerPerMessageDeflateFactory(server_max_window_bits=10)]
            self._protocol = server.ServerProtocol(extensions=extensions if compress else None)
            handshake = ClientHandshake("ws://h/", extensions=[PerMessageDeflate()])
            self._protocol.receive_data(handshake.request())
            (request,) = self._protocol.events_received()
            self._protocol.send_response(self._protocol.accept(request))
            response = handshake.feed(b"".join(self._protocol.data_to_send()))
            self.ours = Connection(Role.CLIENT, extensions=response.extensions)
        self._protocol.events_received()

    def send(self, message):
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)

    def ping(self, payload):
        self._protocol.send_ping(payload)

    def close(self, code, reason):
        self._protocol.send_close(code, reason)

    def wire(self):
        return b"".join(self._protocol.data_to_send())

    def receive(self, data):
        """The messages in ``data``, and its Close."""
        self._protocol.receive_data(data)
        events = []
        for frame in self._protocol.events_received():
            if frame.opcode == 8:
                close = self._protocol.close_rcvd
                events.append(Close(close.code, close.reason))
            elif frame.opcode < 8:
                if frame.opcode:
                    self._is_text, self._message = frame.opcode == 1, b""
                self._message += frame.data
                if frame.fin:
                    events.append(self._message.decode() if self._is_text else self._message)
        return events


class Wsproto:
    """The other end by wsproto."""

    def __init__(self, ours, compress):
        pytest.importorskip("wsproto")
        from wsproto import ConnectionType, WSConnection
        from wsproto.events import AcceptConnection, Request
        from wsproto.extensions import PerMessageDeflate as TheirDeflate

        extensions = [TheirDeflate()] if compress else []
        self._out = b""
        if ours is Role.SERVER:
            self._protocol = WSConnection(ConnectionType.CLIENT)
            request = self._protocol.send(Request(host="h", target="/", extensions=extensions))
            wire, self.ours = open_server(request)
            self._protocol.receive_data(wire)
            list(self._protocol.events())
        else:
            self._protocol = WSConnection(ConnectionType.SERVER)
            handshake = ClientHandshake("ws://h/", extensions=[PerMessageDeflate()])
            self._protocol.receive_data(handshake.request())
            list(self._protocol.events())
            wire = self._protocol.send(AcceptConnection(extensions=extensions))
            self.ours = Connection(Role.CLIENT, extensions=handshake.feed(wire).extensions)
        self._text, self._data = "", b""

    def _send(self, event):
        self._out += self._protocol.send(event)

    def send(self, message):
        from wsproto.events import BytesMessage, TextMessage

        self._send((TextMessage if isinstance(message, str) else BytesMessage)(message))

    def ping(self, payload):
        from wsproto import events

        self._send(events.Ping(payload))

    def close(self, code, reason):
        from wsproto.events import CloseConnection

        self._send(CloseConnection(code, reason))

    def wire(self):
        out, self._out = self._out, b""
        return out

    def receive(self, data):
        from wsproto import events

        self._protocol.receive_data(data)
        found = []
        for event in self._protocol.events():
            if isinstance(event, events.CloseConnection):
                found.append(Close(event.code, event.reason or ""))
                if self._protocol.state.name == "REMOTE_CLOSING":
                    self._send(event.response())
            elif isinstance(event, events.Message):
                self._text += event.data if isinstance(event, events.TextMessage) else ""
                self._data += event.data if isinstance(event, events.BytesMessage) else b""
                if event.message_finished:
                    is_text = isinstance(event, events.TextMessage)
                    found.append(self._text if is_text else self._data)
                    self._text, self._data = "", b""
        return found


@pytest.mark.parametrize("peer", [Websockets, Wsproto])
@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT])
@settings(max_examples=50)
@given(MESSAGES, MESSAGES, CLOSES, st.booleans(), st.booleans(), st.integers(1, 300))
def test_conversation(peer, role, mine, yours, close, we_close, compress, size):
    theirs = peer(role, compress)
    ours = theirs.ours
    assert len(ours.extensions) == compress

    for message in yours:
        theirs.send(message)
    theirs.ping(b"?")
    received = [event for piece in pieces(theirs.wire(), size) for event in ours.receive(piece)]
    assert received == [*yours, Ping(b"?")]

    for message in mine:
        ours.send(message)
    ours.send_fragment("frag", fin=False)
    ours.ping(b"!")
    ours.send_fragment("ment", fin=True)
    received = []
    for piece in pieces(b"".join(ours.data_to_send()), size):
        received += theirs.receive(piece)
    assert received == [*mine, "fragment"]
    answers = ours.receive(theirs.wire())
    assert answers == ([Pong(b"!")] if peer is Websockets else [])  # wsproto leaves it to its user

    (ours if we_close else theirs).close(*close)
    first, second = (ours, theirs) if we_close else (theirs, ours)
    wire = b"".join(ours.data_to_send()) if we_close else theirs.wire()
    assert second.receive(wire)[-1] == Close(*close)
    back = theirs.wire() if we_close else b"".join(ours.data_to_send())
    assert first.receive(back)[-1].code == close[0]
    assert ours.state is State.CLOSED and ours.receive_eof() == []

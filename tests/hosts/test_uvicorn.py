"""The uvicorn class as applications and clients see it, on real servers where a socket matters."""

from __future__ import annotations

import asyncio
import logging
from unittest import mock

import pytest
from uvicorn.protocols.utils import ClientDisconnected

import wsfast
from wsfast import Close, FrameEncoder, Limits, Pong, PreparedMessage, Role
from wsfast.uvicorn import WebSocketProtocol, _protocol

MASKED_BAD_TEXT = b"\x81\x81\x00\x00\x00\x00\xff"
HTTP_1_0 = (
    b"GET / HTTP/1.0\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
DEFLATE = b"sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n"


def test_scope(run, serve):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await send({"type": "websocket.close"})

    async def main():
        async with serve(app, root_path="/mount", proxy_headers=False) as server:
            client = await server.connect(
                b"sec-websocket-protocol: one, two\r\nX-Name: \xe9\r\n"
                b"sec-websocket-protocol: three\r\n"
            )
            assert client.head.startswith(b"HTTP/1.1 403 ")
            (scope,) = scopes
            headers = scope.pop("headers")
            assert (b"x-name", b"\xe9") in headers and (b"host", b"localhost") in headers
            assert scope.pop("client") == client.writer.get_extra_info("sockname")
            assert scope == {
                "type": "websocket",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "scheme": "ws",
                "server": ("127.0.0.1", server.port),
                "root_path": "/mount",
                "path": "/mount/chat room",
                "raw_path": b"/mount/chat%20room",
                "query_string": b"a=1",
                "subprotocols": ["one", "two", "three"],
                "state": {},
                "extensions": {
                    "websocket.http.response": {},
                    "wsfast": {"version": 1, "connection": mock.ANY},
                },
            }

    run(main())


def test_status_counts_the_connections(run, fake, echo):
    def status():
        (found,) = [one for one in wsfast.status() if one.name == "uvicorn"]
        return found.state, found.reason

    async def main():
        connection = await fake(echo).opened()
        made = _protocol.made
        assert status()[0] == "active" and wsfast.is_active("uvicorn")
        await connection.lost()
        connection = await fake(echo).opened()
        text = f"{made + 1} connections so far by wsfast.uvicorn, without a patch"
        assert status() == ("active", text)
        await connection.lost()

    run(main())


def test_messages(run, serve, record):
    events, app = record

    async def main():
        async with serve(app) as server:
            client = await server.connect()
            encode = client.encoder
            client.writer.write(
                encode.text("he", fin=False)
                + encode.ping(b"p")
                + encode.continuation("llo €")
                + encode.binary(bytearray(b"\x00\xff"))
                + encode.close(4000, "so long")
            )
            assert await client.items() == [Pong(b"p"), Close(4000, "so long")]

    run(main())
    assert events == [
        {"type": "websocket.receive", "text": "hello €"},
        {"type": "websocket.receive", "bytes": b"\x00\xff"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "so long"},
    ]
    assert type(events[1]["bytes"]) is bytes


@pytest.mark.parametrize(
    ("frames", "reply", "event"),
    [
        ("close1000", Close(1000, "bye"), {"code": 1000, "reason": "bye"}),
        ("close", Close(1005, ""), {"code": 1005, "reason": ""}),
        (b"\x82\x01x", 1002, {"code": 1002, "reason": "frame from a client is not masked"}),
        (MASKED_BAD_TEXT, 1007, {"code": 1007, "reason": "text is not valid UTF-8"}),
        ("big", 1009, {"code": 1009, "reason": "message exceeds the limit"}),
        (None, None, {"code": 1005}),
    ],
)
def test_how_it_ends(run, serve, record, frames, reply, event):
    events, app = record

    async def main():
        encode = FrameEncoder(Role.CLIENT)
        made = {"close1000": encode.close(1000, "bye"), "close": encode.close(1005)}
        made["big"] = encode.binary(bytes(101))
        async with serve(app, ws_max_size=100) as server:
            client = await server.connect()
            if frames is None:
                client.writer.transport.abort()
            else:
                client.writer.write(encode.binary(bytes(100)) + made.get(frames, frames))
                *_, last = await client.items()
                assert last == reply or last.code == reply
                assert events.pop(0)["bytes"] == bytes(100)
            while not events:
                await asyncio.sleep(0.01)

    run(main())
    assert events == [{"type": "websocket.disconnect"} | event]


@pytest.mark.parametrize("early", [b"", b"\x89\x80\0\0\0\0" * 100])
def test_disconnect_before_accept(run, serve, early):
    """Of a client that did not wait for our answer, too."""
    events = []

    async def app(scope, receive, send):
        events.append(await receive())
        events.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.accept"})

    async def main():
        async with serve(app) as server:
            client = await server.connect(None)
            writing = asyncio.create_task(client.handshake())
            while not events:
                await asyncio.sleep(0.01)
            client.writer.write(early)
            await asyncio.sleep(0.02 if early else 0)
            client.writer.transport.abort()
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await writing
            while len(events) < 2:
                await asyncio.sleep(0.01)

    run(main())
    assert events == [
        {"type": "websocket.connect"},
        {"type": "websocket.disconnect", "code": 1006},
    ]


def test_shutdown(run, serve, record):
    events, app = record

    async def main():
        async with serve(app) as server:
            client = await server.connect()
            server.server.should_exit = True
            assert await client.items() == [Close(1012, "")]

    run(main())
    assert events[0] == {"type": "websocket.disconnect", "code": 1012}


def test_shutdown_before_accept(run, serve):
    async def app(scope, receive, send):
        await receive()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def main():
        async with serve(app) as server:
            client = await server.connect(None)
            opening = asyncio.create_task(client.handshake())
            while not server.server.server_state.tasks:
                await asyncio.sleep(0.01)
            server.server.should_exit = True
            await opening
            assert client.head.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
            assert await client.reader.read() == b"Internal Server Error"

    run(main())


def test_application_closes(run, serve):
    events = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "last words"})
        await send({"type": "websocket.close", "code": 3000, "reason": "enough"})
        with pytest.raises(
            RuntimeError,
            match=r"Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.",
        ):
            await send({"type": "websocket.send", "text": "more"})
        events.append(await receive())
        events.append(await receive())

    async def main():
        async with serve(app) as server:
            client = await server.connect()
            items = []
            while len(items) < 2:
                items += client.decoder.feed(await client.reader.read(100))
            assert items == ["last words", Close(3000, "enough")]
            client.writer.write(client.encoder.text("too late") + client.encoder.close(3000))
            assert await client.items() == []
            while len(events) < 2:
                await asyncio.sleep(0.01)

    run(main())
    assert events == [
        {"type": "websocket.disconnect", "code": 3000, "reason": "enough"},
        {"type": "websocket.disconnect", "code": 1005},
    ]


@pytest.mark.parametrize("accept", [False, True])
def test_application_fails(run, serve, caplog, may_fail, accept):
    may_fail.append(ValueError)

    async def app(scope, receive, send):
        await receive()
        if accept:
            await send({"type": "websocket.accept"})
        raise ValueError("boom")

    async def main():
        async with serve(app) as server:
            client = await server.connect()
            assert client.head.startswith(b"HTTP/1.1 101" if accept else b"HTTP/1.1 500")
            rest = await client.reader.read()  # 1006 to the client: no Close frame
            assert rest == (b"" if accept else b"Internal Server Error")

    run(main())
    (logged,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert logged.name == "uvicorn.error"
    assert logged.getMessage() == "Exception in ASGI application\n"


def test_application_returns(run, fake, settle, caplog):
    async def main():
        async def returns(scope, receive, send):
            pass

        connection = fake(returns)
        await settle()
        assert connection.wire.writes[0].startswith(b"HTTP/1.1 500 ")
        assert connection.wire.closed
        assert "ASGI callable returned without completing handshake." in caplog.text

        async def returns_something(scope, receive, send):
            await send({"type": "websocket.accept"})
            return 123

        connection = await fake(returns_something).opened()
        assert connection.written() == [] and connection.wire.closed
        assert "ASGI callable should return None, but returned '123'." in caplog.text

    run(main())


def test_messages_out_of_place(run, fake, settle):
    expected = (
        "Expected ASGI message 'websocket.accept', 'websocket.close' "
        "or 'websocket.http.response.start' but got 'websocket.send'."
    )

    async def app(scope, receive, send):
        await receive()
        with pytest.raises(RuntimeError) as caught:
            await send({"type": "websocket.send", "text": ""})
        assert str(caught.value) == expected
        await send({"type": "websocket.accept"})
        with pytest.raises(RuntimeError) as caught:
            await send({"type": "websocket.accept"})
        assert str(caught.value) == (
            "Expected ASGI message 'websocket.send' or 'websocket.close', "
            "but got 'websocket.accept'."
        )
        await send({"type": "websocket.close"})

    async def main():
        connection = await fake(app).opened()
        assert connection.written() == [[Close(1000, "")]]
        await connection.lost()
        connection.task.result()

    run(main())


def test_send_after_the_end(run, fake):
    """ASGI: an OSError; ``websocket.close`` may cross the end and says nothing."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "x"})
        await send({"type": "websocket.close"})
        await receive()
        for message in ({"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}):
            with pytest.raises(OSError):
                await send(message)

    async def main():
        connection = await fake(app).opened()
        connection.read(raw=connection.encoder.close(1001))
        await asyncio.sleep(0.01)
        assert connection.written() == [[Close(1001, "")]]
        await connection.lost()
        connection.task.result()

    run(main())


def test_accept(run, serve):
    async def app(scope, receive, send):
        headers = [(b"X-One", b"1"), (b"x-one", b"2")]
        await send({"type": "websocket.accept", "subprotocol": "two", "headers": headers})

    async def main():
        async with serve(app, headers=[("x-default", "yes")]) as server:
            client = await server.connect(b"sec-websocket-protocol: one, two\r\n")
            lines = client.head.lower().split(b"\r\n")
            assert b"sec-websocket-protocol: two" in lines
            assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in lines
            assert [line for line in lines if line.startswith(b"x-one")] == [
                b"x-one: 1",
                b"x-one: 2",
            ]
            assert b"x-default: yes" in lines and b"server: uvicorn" in lines
            assert len([line for line in lines if line.startswith(b"date:")]) == 1

    run(main())


@pytest.mark.parametrize("more", [{}, {"subprotocol": None}, {"subprotocol": ""}])
def test_a_subprotocol_as_a_header(run, fake, more):
    """uvicorn's own class sends it like any other, so applications do so."""
    headers = [(b"Sec-WebSocket-Protocol", b"two"), (b"x-one", b"1")]

    async def app(scope, receive, send):
        await send({"type": "websocket.accept", "headers": headers} | more)

    async def main():
        connection = fake(app, headers=b"Sec-WebSocket-Protocol: one, two\r\n")
        await asyncio.sleep(0)
        lines = connection.wire.writes[0].split(b"\r\n")
        assert lines[0].endswith(b" 101 Switching Protocols")
        assert b"Sec-WebSocket-Protocol: two" in lines and b"x-one: 1" in lines

    run(main())


def test_logs(run, serve, caplog):
    async def app(scope, receive, send):
        if scope["path"] == "/chat room":
            await send({"type": "websocket.accept"})

    async def main():
        caplog.set_level(5, "uvicorn.error")
        async with serve(app) as server:
            client = await server.connect()
            await client.items()
            host, port = client.writer.get_extra_info("sockname")
        texts = [r.getMessage() for r in caplog.records if r.name == "uvicorn.error"]
        assert f'{host}:{port} - "WebSocket /chat%20room?a=1" [accepted]' in texts
        assert f"{host}:{port} - WebSocket connection made" in texts
        assert f"{host}:{port} - WebSocket connection lost" in texts

    run(main())


def test_refused_handshake(run, fake, caplog):
    caplog.set_level("INFO", "uvicorn.error")

    async def app(scope, receive, send):
        raise AssertionError

    async def main():
        connection = fake(app, headers=b"sec-websocket-version: 12\r\n")
        (head,) = connection.wire.writes
        assert head.startswith(b"HTTP/1.1 426 ") and b"Sec-WebSocket-Version: 13\r\n" in head
        assert head.endswith(b"\r\n\r\nFailed to open a WebSocket connection: bad_version.\n")
        assert connection.wire.closed and connection.task is None
        connection.protocol.connection_lost(None)
        assert not connection.state.connections
        assert caplog.messages == ["connection rejected (426 bad_version)"]

    run(main())


def test_http_1_0_is_refused(run, serve, echo):
    """uvicorn's HTTP protocols replay it as 1.1; §4.2.1 wants at least that."""

    async def main():
        async with serve(echo) as server:
            client = await server.connect(None)
            client.writer.write(HTTP_1_0)
            answer = await client.reader.read()
        assert answer.startswith(b"HTTP/1.1 505 ")
        assert answer.endswith(b"connection: bad_http_version.\n")

    run(main())


def test_denial_with_length_leaves_at_once(run, fake, settle):
    go_on = asyncio.Event()
    events = []

    async def app(scope, receive, send):
        await receive()
        headers = [(b"Content-Length", b"4"), (b"content-type", b"text/css")]
        await send({"type": "websocket.http.response.start", "status": 418, "headers": headers})
        await go_on.wait()
        await send({"type": "websocket.http.response.body", "body": b"te", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"a!"})
        events.append(await receive())

    async def main():
        connection = fake(app)
        await settle()
        (head,) = connection.wire.writes
        assert head.startswith(b"HTTP/1.1 418 ") and head.endswith(b"\r\n\r\n")
        assert head.lower().count(b"content-length") == head.lower().count(b"content-type") == 1
        go_on.set()
        await settle()
        assert connection.wire.writes[1:] == [b"te", b"a!"]
        assert connection.wire.closed
        assert events == [{"type": "websocket.disconnect", "code": 1006}]

    run(main())


def test_denial_without_length_waits_for_the_body(run, fake, settle):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})
        assert connection.wire.writes == []
        await send({"type": "websocket.http.response.body", "body": b"body"})
        with pytest.raises(RuntimeError, match=r"after sending 'websocket.close'"):
            await send({"type": "websocket.http.response.body", "body": b"!"})

    async def main():
        nonlocal connection
        connection = fake(app)
        await connection.task
        (response,) = connection.wire.writes
        head, body = response.split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert b"Content-Length: 6" in head and b"Connection: close" in head
        assert b"Content-Type: text/plain; charset=utf-8" in head and b"Date: " in head
        assert body == b"nobody"

    connection = None
    run(main())


@pytest.mark.parametrize("status", [204, 304])
def test_denial_without_a_body(run, fake, settle, status):
    """RFC 9110 §8.6: and without a Content-Length."""

    async def app(scope, receive, send):
        headers = [(b"content-length", b"2"), (b"x-one", b"1")]
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async def main():
        connection = fake(app)
        await connection.task
        (response,) = connection.wire.writes
        head = response.lower()
        assert head.startswith(b"http/1.1 %d " % status) and head.endswith(b"\r\n\r\n")
        assert b"content-length" not in head and b"x-one: 1" in head
        assert connection.wire.closed

    run(main())


START = {"type": "websocket.http.response.start"}
WRONG = {
    "status 101": START | {"status": 101},
    "status 199": START | {"status": 199},
    "status 600": START | {"status": 600},
    "header": START | {"status": 403, "headers": [(b"a", b"b\r\nc: d")]},
    "subprotocol": {"type": "websocket.accept", "subprotocol": "not offered"},
    "subprotocol in a header": {
        "type": "websocket.accept",
        "headers": [(b"sec-websocket-protocol", b"not offered")],
    },
    "header of the handshake": {"type": "websocket.accept", "headers": [(b"upgrade", b"h2c")]},
}


@pytest.mark.parametrize("message", WRONG.values(), ids=WRONG)
def test_an_answer_that_cannot_be_given(run, fake, caplog, may_fail, message):
    """Nothing is logged that did not happen; the client is told of our fault."""
    may_fail.append(ValueError)
    caplog.set_level("INFO", "uvicorn.error")

    async def app(scope, receive, send):
        await send(message)

    async def main():
        connection = fake(app)
        await connection.task
        (response,) = connection.wire.writes
        assert response.startswith(b"HTTP/1.1 500 ") and connection.wire.closed
        assert [record.getMessage() for record in caplog.records] == [
            "Exception in ASGI application\n"
        ]

    run(main())


EARLY = "early" * 100


class Curt(WebSocketProtocol):
    limits = Limits(max_head=len(EARLY) + 7)  # the request is shorter


@pytest.mark.parametrize("cls", [WebSocketProtocol, Curt])
def test_frames_before_the_answer(run, fake, settle, cls):
    """They are kept until the handshake is answered; ``max_head`` bytes of them are read."""
    accept = asyncio.Event()
    events = []

    async def app(scope, receive, send):
        await accept.wait()
        await send({"type": "websocket.accept"})
        for _ in range(3):
            events.append(await receive())

    async def main():
        connection = fake(app, cls)
        connection.read(EARLY, raw=connection.encoder.ping(b"?"))
        connection.read("bird")
        assert connection.wire.paused is (cls is Curt) and connection.wire.writes == []
        accept.set()
        await connection.opened()
        assert connection.written() == [[Pong(b"?")]]
        assert not connection.wire.paused
        assert [event.get("text") for event in events] == [None, EARLY, "bird"]

    run(main())


def test_reading_goes_on_after_the_answer(run, fake, settle):
    """Also if the application asks for nothing of what was early."""

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        await asyncio.sleep(60)

    async def main():
        connection = fake(app, Curt)
        connection.read(EARLY)
        assert connection.wire.paused
        await connection.opened()
        assert not connection.wire.paused
        connection.task.cancel()

    run(main())


@pytest.mark.parametrize("option", [True, False])
def test_compression_only_by_option(run, serve, echo, option):
    async def main():
        async with serve(echo, ws_per_message_deflate=option) as server:
            client = await server.connect(DEFLATE)
            agreed = b"permessage-deflate" in client.head
            assert agreed is option
            if option:
                assert b"server_max_window_bits=12; client_max_window_bits=12" in client.head
            client.writer.write(client.encoder.text("a" * 1000))
            first = (await client.reader.read(100))[0]
            assert first == (0xC1 if option else 0x81)

    run(main())


def test_compression_by_message(run, fake, settle):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        send_one = {"type": "websocket.send"}
        await send(send_one | {"text": "a" * 1000, "wsfast.compress": False})
        await send(send_one | {"bytes": b"a", "wsfast.compress": True})
        await send(send_one | {"wsfast.prepared": PreparedMessage("a" * 1000)})
        await send(send_one | {"text": None, "bytes": b"a" * 1000})
        await send(send_one | {"text": None, "bytes": None})

    async def main():
        connection = fake(app, headers=DEFLATE)
        await settle()
        firsts = [(data[0], len(data) > 1000) for data in connection.wire.writes[1:]]
        assert firsts == [(0x81, True), (0xC2, False), (0x81, True), (0xC2, False)]

    run(main())


def test_text_as_bytes(run, fake, settle, record):
    events, app = record

    class Bytes(WebSocketProtocol):
        text = "bytes"

    async def main():
        connection = await fake(app, Bytes).opened()
        connection.read("€")
        connection.read("a", b"b", "c")
        connection.read(raw=MASKED_BAD_TEXT)
        await settle()
        assert connection.written() == [[Close(1007, "text is not valid UTF-8")]]

    run(main())
    assert [event.get("text", event.get("bytes")) for event in events[:-1]] == [
        "€".encode(),
        b"a",
        b"b",
        b"c",
    ]
    assert [*events[0]] == ["type", "text"] and [*events[2]] == ["type", "bytes"]


@pytest.mark.parametrize(
    "wrong", [{"text": "utf8"}, {"cork": True}, {"wake": "soon"}, {"limits": None}]
)
def test_attributes_are_checked(wrong):
    with pytest.raises((ValueError, TypeError)):
        type("Wrong", (WebSocketProtocol,), wrong)


def test_limits(run, fake, record, caplog):
    class Small(WebSocketProtocol):
        limits = Limits(max_message=1, max_fragments=2, close_timeout=3.0, queue_messages=1)

    assert caplog.messages == [
        "max_message of limits has no effect: set uvicorn's ws_max_size",
        "queue_messages of limits has no effect: set uvicorn's ws_max_queue",
    ]

    async def main():
        connection = await fake(record[1], Small, ws_max_size=500, ws_max_queue=7).opened()
        limits = connection.protocol._limits
        assert limits == Small.limits.replace(max_message=500, queue_messages=7)
        assert connection.protocol.close_timeout == 3.0
        unbounded = await fake(record[1], Small, ws_max_size=None, ws_max_queue=0).opened()
        assert unbounded.protocol._limits.max_message is None
        assert unbounded.protocol._limits.queue_messages > 1 << 30
        other = await fake(record[1], Small, ws_max_size=500, ws_max_queue=7).opened()
        assert other.protocol._limits is limits

    run(main())


def test_pings_to_a_peer_that_does_not_read(run, fake, record):
    """S18: only ``max_pending_pongs`` are kept, the newest in the place of the last."""

    class Few(WebSocketProtocol):
        limits = Limits(max_pending_pongs=3)

    async def main():
        connection = await fake(record[1], Few).opened()
        ping = connection.encoder.ping
        connection.read(raw=ping(b"0") + ping(b"1"))
        assert connection.written() == [[Pong(b"0"), Pong(b"1")]]
        connection.protocol.pause_writing()
        for number in range(10):
            connection.read(raw=ping(b"%d" % number))
        connection.read(raw=b"".join([ping(b"%d" % number) for number in range(10, 20)]))
        assert connection.written() == []
        connection.protocol.resume_writing()
        assert connection.written() == [[Pong(b"0"), Pong(b"1"), Pong(b"19")]]
        connection.protocol.pause_writing()
        connection.read(raw=ping(b"late") + connection.encoder.close())
        connection.protocol.resume_writing()
        assert connection.written() == [[Close(1000, "")]] and not connection.wire.late

    run(main())


def test_send_waits_for_the_transport(run, fake, settle):
    sent = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await receive()
            await send({"type": "websocket.send", "text": "x"})
            sent.append("x")

    async def main():
        connection = await fake(app).opened()
        connection.protocol.pause_writing()
        connection.read("go")
        await settle()
        assert not sent and not connection.wire.writes
        connection.protocol.resume_writing()
        connection.protocol.pause_writing()  # before the application could run
        await settle()
        assert not sent and not connection.wire.writes
        connection.protocol.resume_writing()
        await settle()
        assert connection.written() == [[*sent]] == [["x"]]
        connection.protocol.pause_writing()
        connection.read("go")
        await settle()
        await connection.lost()  # ends the wait too, by ClientDisconnected
        assert connection.task.result() is None

    run(main())
    assert sent == ["x"]


def test_who_waits_longest_sends_first(run, fake, settle):
    """Or else a task that sends in a loop, and fills the transport each time, keeps others out."""

    async def app(scope, receive, send):
        async def push(text):
            while True:
                await send({"type": "websocket.send", "text": text})

        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        async with asyncio.TaskGroup() as group:
            for text in "abc":
                group.create_task(push(text))

    async def main():
        connection = await fake(app).opened()
        protocol = connection.protocol
        take = protocol._write

        def take_and_be_full(data):
            take(data)
            protocol.pause_writing()

        protocol._write = take_and_be_full
        protocol.pause_writing()
        connection.read("go")
        for _ in range(6):
            await settle()
            protocol.resume_writing()
        await settle()
        assert "".join(connection.items()) == "abcabc"
        protocol._write = take
        connection.task.cancel()
        await connection.lost()

    run(main())

"""The opening handshake: RFC 6455 §1.3 and §4, RFC 8441 §5, and what must be refused."""

import pytest

from wsfast.deflate import PerMessageDeflate
from wsfast.errors import HandshakeError
from wsfast.handshake import (
    ClientHandshake,
    ServerHandshake,
    accept,
    check_connect,
    check_origin,
    check_upgrade,
    reject,
)

NONCE = b"the sample nonce"  # RFC 6455 §1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = [
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
]
REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


def changed(name, *values):
    """GOOD with ``name`` there as often as there are values."""
    rest = [field for field in GOOD if field[0].lower() != name.lower()]
    return rest + [(name, value) for value in values]


def refused(headers, method="GET", version="1.1"):
    with pytest.raises(HandshakeError) as caught:
        check_upgrade(method, version, headers)
    return caught.value


def test_rfc_1_3_server():
    handshake = ServerHandshake()
    request = handshake.feed(REQUEST + b"\x81\x85")
    assert (request.method, request.target, request.http_version) == ("GET", "/chat", "1.1")
    assert request.headers[0] == (b"host", b"server.example.com")
    assert handshake.trailing == b"\x81\x85"
    offer = check_upgrade(request.method, request.http_version, request.headers)
    assert offer.host == "server.example.com"
    assert offer.origin == "http://example.com"
    assert offer.subprotocols == ("chat", "superchat")
    assert bytes(accept(offer, subprotocol="chat")) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
    with pytest.raises(RuntimeError, match="over"):
        handshake.feed(b"x")


# Judging requests


@pytest.mark.parametrize(
    "headers",
    [
        changed("Connection", "keep-alive, Upgrade"),  # Firefox
        changed("Connection", "keep-alive", "upgrade"),
        changed("Connection", "UPGRADE,,"),
        changed("Upgrade", "WebSocket"),
        changed("Upgrade", "h2c, websocket"),
        changed("Upgrade", "websocket, HTTP/2.0"),  # RFC 9110 §7.8
        changed("Upgrade", "HTTP/2.0 ,, WebSocket"),
        changed("Upgrade", "HTTP/2.0", "websocket"),
        changed("Host", "[::1]:8000"),
        changed("Content-Length", "0"),
        [(name.upper().encode(), value.encode()) for name, value in GOOD],
        [*GOOD, ("X-Any", "snow \N{SNOWMAN} man"), ("Origin", "null")],
    ],
)
def test_good_upgrades(headers):
    assert check_upgrade("GET", "1.1", headers).key == b"dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    ("headers", "name", "status"),
    [
        (changed("Upgrade"), "bad_upgrade", 426),
        (changed("Upgrade", "websockets"), "bad_upgrade", 426),
        (changed("Upgrade", "web socket"), "bad_upgrade", 426),
        (changed("Upgrade", "websocket/13"), "bad_upgrade", 426),
        (changed("Upgrade", "HTTP/2.0"), "bad_upgrade", 426),
        (changed("Upgrade", "websocket, HTTP/"), "bad_upgrade", 426),
        (changed("Upgrade", "websocket, /2.0"), "bad_upgrade", 426),
        (changed("Upgrade", "websocket, HTTP/2/0"), "bad_upgrade", 426),
        (changed("Upgrade", "websocket, HTTP / 2.0"), "bad_upgrade", 426),
        (changed("Upgrade", "websocket, caf\xe9"), "bad_upgrade", 426),
        (changed("Connection", "upgrade, a/b"), "bad_connection", 426),
        (changed("Connection"), "bad_connection", 426),
        (changed("Connection", "notupgrade"), "bad_connection", 426),
        (changed("Host"), "bad_host", 400),
        (changed("Host", "a", "a"), "bad_host", 400),
        (changed("Host", ""), "bad_host", 400),
        (changed("Host", "a b"), "bad_host", 400),
        (changed("Host", "a/b"), "bad_host", 400),
        (changed("Sec-WebSocket-Version"), "bad_version", 426),
        (changed("Sec-WebSocket-Version", "8"), "bad_version", 426),
        (changed("Sec-WebSocket-Version", "13, 8"), "bad_version", 426),
        (changed("Sec-WebSocket-Version", "13", "13"), "bad_version", 426),
        (changed("Sec-WebSocket-Key"), "bad_key", 400),
        (changed("Sec-WebSocket-Key", "x"), "bad_key", 400),
        (changed("Sec-WebSocket-Key", *["dGhlIHNhbXBsZSBub25jZQ=="] * 2), "bad_key", 400),
        (changed("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j"), "bad_key", 400),
        (changed("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZSE="), "bad_key", 400),
        (changed("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZ!=="), "bad_key", 400),
        (changed("Origin", "http://a", "http://b"), "bad_origin", 400),
        (changed("Sec-WebSocket-Protocol", "a, b", "a"), "bad_subprotocols", 400),
        (changed("Sec-WebSocket-Protocol", "a b"), "bad_subprotocols", 400),
        (changed("Sec-WebSocket-Protocol", " , "), "bad_subprotocols", 400),
        (changed("Sec-WebSocket-Protocol", "caf\xe9"), "bad_subprotocols", 400),
        (changed("Sec-WebSocket-Extensions", "a; b=c d"), "bad_extensions", 400),
        (changed("Transfer-Encoding", "chunked"), "unexpected_body", 400),
        (changed("Content-Length", "5"), "unexpected_body", 400),
        (changed("Content-Length", ""), "unexpected_body", 400),  # RFC 9112 §6.3: unrecoverable
    ],
)
def test_bad_upgrades(headers, name, status):
    error = refused(headers)
    assert (error.name, error.status) == (name, status)
    assert str(error) == f"{name} (HTTP {status})"
    response = bytes(reject(error.status, error.headers))
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert b"close\r\n" in response and b"Content-Length: 0\r\n" in response


def test_bad_method_and_version():
    assert refused(GOOD, method="POST").headers == [("Allow", "GET")]
    assert refused(GOOD, method="get").status == 405
    for version in ("1.0", "0.9", "2", "2.0", "3"):
        assert refused(GOOD, version=version).name == "bad_http_version"
    error = refused(changed("Sec-WebSocket-Version", "8"))  # §4.4
    assert ("Sec-WebSocket-Version", "13") in error.headers


# Answers


def test_accept_negotiates_the_first_acceptable_offer():
    offer = check_upgrade(
        "GET",
        "1.1",
        changed(
            "Sec-WebSocket-Extensions",
            "x-foo, permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; foo, permessage-deflate; client_max_window_bits",
            "permessage-deflate",
        ),
    )
    response = accept(offer, extensions=[PerMessageDeflate(client_max_window_bits=10)])
    assert (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits=10") in (
        response.headers
    )
    assert len(response.extensions) == 1
    assert accept(offer).extensions == ()
    assert b"Extensions" not in bytes(accept(offer))


def test_s12_no_offer_raises():
    for params in ("foo=1", "server_max_window_bits=16", "server_max_window_bits=8", "foo; foo"):
        value = f"permessage-deflate; {params}"
        offer = check_upgrade("GET", "1.1", changed("Sec-WebSocket-Extensions", value))
        assert accept(offer, extensions=[PerMessageDeflate()]).extensions == ()


@pytest.mark.parametrize(
    "headers",
    [
        [("X", "a\r\nSet-Cookie: b")],
        [("X", "a\nb")],
        [("X", "a\x00")],
        [(b"X\r\nY", b"a")],
        [("X Y", "a")],
        [("", "a")],
        [("X:", "a")],
        [("X", "\N{SNOWMAN}")],
    ],
)
def test_s23_injection_into_answers(headers):
    offer = check_upgrade("GET", "1.1", GOOD)
    with pytest.raises(ValueError):
        accept(offer, headers=headers)
    with pytest.raises(ValueError):
        reject(403, headers)
    with pytest.raises(ValueError):
        ClientHandshake("ws://a", headers=headers)


def test_accept_refuses_what_contradicts_it():
    offer = check_upgrade("GET", "1.1", changed("Sec-WebSocket-Protocol", "chat"))
    for name in ("Upgrade", b"connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"):
        with pytest.raises(ValueError, match="handshake itself"):
            accept(offer, headers=[(name, "x")])
    for subprotocol in ("other", "Chat", "chat\r\nX: y"):
        with pytest.raises(ValueError, match="not offered"):
            accept(offer, subprotocol=subprotocol)
    response = accept(offer, headers=[("Set-Cookie", "a=b"), (b"Set-Cookie", b"c=d")])
    assert bytes(response).endswith(b"\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n")


def test_reject():
    assert bytes(reject(403, [("X-Why", "no")], b"go away")) == (
        b"HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 7\r\n"
        b"Connection: close\r\n\r\ngo away"
    )
    given_headers = [("content-length", "9"), ("connection", "keep-alive")]
    assert len(reject(403, given_headers).headers) == 2
    for status in (204, 304):
        assert reject(status).headers == [(b"Connection", b"close")]
    assert bytes(reject(499)).startswith(b"HTTP/1.1 499 \r\n")
    for status in (101, 199, 600):
        with pytest.raises(ValueError):
            reject(status)


# RFC 8441

CONNECT = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "server.example.com"),
    ("sec-websocket-protocol", "chat, superchat"),
    ("sec-websocket-extensions", "permessage-deflate"),
    ("sec-websocket-version", "13"),
    ("origin", "http://www.example.com"),
]


def test_rfc_8441_5_1():
    offer = check_connect([(name.encode(), value.encode()) for name, value in CONNECT])
    assert (offer.key, offer.host) == (None, "server.example.com")
    response = accept(
        offer, subprotocol="chat", extensions=[PerMessageDeflate()], headers=[("Server", "x")]
    )
    assert response.status == 200
    assert response.headers == [
        (b"sec-websocket-protocol", b"chat"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"server", b"x"),
    ]


@pytest.mark.parametrize(
    ("change", "name", "status"),
    [
        ({":method": "GET"}, "bad_method", 405),
        ({":method": None}, "bad_method", 405),
        ({":protocol": "connect-udp"}, "bad_protocol", 501),
        ({":protocol": None}, "bad_protocol", 501),
        ({":scheme": "ftp"}, "bad_pseudo_header", 400),
        ({":path": None}, "bad_pseudo_header", 400),
        ({":path": ""}, "bad_pseudo_header", 400),
        ({":path": "http://a/"}, "bad_pseudo_header", 400),  # RFC 9113 §8.3.1
        ({":path": "/a b"}, "bad_pseudo_header", 400),
        ({":path": "/a\r\nb"}, "bad_pseudo_header", 400),
        ({":authority": None}, "bad_pseudo_header", 400),
        ({":authority": "a b"}, "bad_pseudo_header", 400),
        ({":status": "200"}, "bad_pseudo_header", 400),
        ({"sec-websocket-version": "8"}, "bad_version", 400),
        ({"connection": "upgrade"}, "bad_connection", 400),
        ({"transfer-encoding": "chunked"}, "bad_connection", 400),
        ({"sec-websocket-protocol": "a, a"}, "bad_subprotocols", 400),
    ],
)
def test_bad_connects(change, name, status):
    fields = {**dict(CONNECT), **change}
    headers = [(k, v) for k, v in fields.items() if v is not None]
    headers.sort(key=lambda field: not field[0].startswith(":"))
    with pytest.raises(HandshakeError) as caught:
        check_connect(headers)
    assert (caught.value.name, caught.value.status) == (name, status)
    assert all(field.islower() for field, _ in caught.value.headers)  # RFC 9113 §8.2.1


def test_pseudo_headers_come_first_and_once():
    for headers in ([*CONNECT[1:], CONNECT[0]], [CONNECT[0], *CONNECT]):
        with pytest.raises(HandshakeError) as caught:
            check_connect(headers)
        assert caught.value.name == "bad_pseudo_header"


# S24


@pytest.mark.parametrize(
    ("origin", "allowed", "answer"),
    [
        ("https://a.example", ["https://a.example"], True),
        ("https://a.example:443", ["https://A.example"], True),
        ("http://a.example", ["http://a.example:80"], True),
        ("http://a.example", ["https://a.example"], False),
        ("https://a.example:8443", ["https://a.example"], False),
        ("https://a.example.evil", ["https://a.example"], False),
        ("https://evil/a.example", ["https://a.example"], False),
        ("null", ["https://a.example"], False),
        ("null", ["null"], True),
        (None, ["https://a.example"], False),
        (None, ["https://a.example", None], True),
        ("https://a.example", [None], False),
        ("", [None], False),
        ("https://a.example", [], False),
    ],
)
def test_s24_check_origin(origin, allowed, answer):
    assert check_origin(origin, allowed) is answer


def test_reprs():
    request = ServerHandshake().feed(REQUEST)
    offer = check_upgrade("GET", "1.1", request.headers)
    assert repr(request) == "Request(GET '/chat', 7 headers)"
    assert "server.example.com" in repr(offer)
    assert repr(accept(offer)) == "Response(101, 3 headers)"

"""The opening handshake: RFC 6455 §1.3 and §4, RFC 8441 §5, and what must be refused."""

import base64
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wsfast.deflate import PerMessageDeflate
from wsfast.errors import HandshakeError
from wsfast.frames import Limits
from wsfast.handshake import (
    ClientHandshake,
    Response,
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


def head_of(data, pieces=None, limits=None):
    """What a ServerHandshake makes of ``data``: fields, or the name of the error."""
    handshake = ServerHandshake(limits)
    try:
        for piece in pieces or [data]:
            request = handshake.feed(piece)
            if request is not None:
                fields = (request.method, request.target, request.http_version, request.headers)
                return fields, handshake.trailing
    except HandshakeError as exc:
        return exc.name
    return None


# Reading requests


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


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_any_chunking_small(size):
    pieces = [REQUEST[i : i + size] for i in range(0, len(REQUEST), size)]
    fields, _ = head_of(None, pieces)
    assert (fields, b"") == head_of(REQUEST)


HEAD_BYTES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"a: b", b":", b" ", b"GET / HTTP/1.1", b"x" * 9, b"\x00"]
)


@given(
    st.lists(HEAD_BYTES, max_size=12),
    st.booleans(),
    st.lists(st.integers(1, 30), min_size=1, max_size=9),
    st.integers(20, 60),
    st.integers(1, 3),
)
def test_any_chunking(words, good_start, sizes, max_head, max_headers):
    data = (b"GET / HTTP/1.1\r\n" if good_start else b"") + b"".join(words)
    limits = Limits(max_head=max_head, max_headers=max_headers)
    pieces, pos = [], 0
    while pos < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[pos : pos + size])
        pos += size
    whole, cut = head_of(data, limits=limits), head_of(data, pieces, limits)
    if isinstance(whole, tuple):
        assert cut[0] == whole[0] and whole[1].startswith(cut[1])
    else:
        assert cut == whole


def test_s5_byte_by_byte_looks_at_each_byte_once(monkeypatch):
    """Bytes searched stay within a small multiple of the bytes fed."""
    looked = 0

    class Counting(bytearray):
        def find(self, sub, start):
            nonlocal looked
            looked += len(self) - start
            return super().find(sub, start)

        def count(self, sub, start, stop):
            nonlocal looked
            looked += stop - start
            return super().count(sub, start, stop)

    handshake = ServerHandshake()
    handshake._reader._data = Counting()
    data = b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n"
    for i in range(len(data)):
        request = handshake.feed(data[i : i + 1])
    assert request is not None
    assert looked <= 16 * len(data)


@pytest.mark.parametrize("delta", [-2, -1, 0, 1, 2])
def test_limits_are_inclusive(delta):
    limits = Limits(max_head=len(REQUEST) + delta)
    result = head_of(REQUEST, limits=limits)
    assert (result == "head_too_big") == (delta < 0)
    limits = Limits(max_headers=7 + delta)
    assert (head_of(REQUEST, limits=limits) == "too_many_headers") == (delta < 0)


def test_too_big_is_431_before_the_end_comes():
    handshake = ServerHandshake(Limits(max_head=100))
    with pytest.raises(HandshakeError) as caught:
        handshake.feed(b"GET /" + b"x" * 95)
    assert caught.value.status == 431 and caught.value.name == "head_too_big"
    with pytest.raises(HandshakeError) as again:
        handshake.feed(b"\r\n\r\n")
    assert again.value is caught.value


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET / http/1.1\r\n\r\n",
        b"GET / HTTP/11\r\n\r\n",
        b"GET chat HTTP/1.1\r\n\r\n",
        b"GET /a#b HTTP/1.1\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
        b"G@T / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",  # white space before the colon
        b"GET / HTTP/1.1\r\n: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\nH\xc3\xb6st: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",  # obs-fold
        b"GET / HTTP/1.1\r\nA: b\r\n\tc: d\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
        b"\nGET / HTTP/1.1\r\n\r\n",
        *[b"GET / HTTP/1.1\r\nA: b%cC: d\r\n\r\n" % c for c in b"\x00\x0b\x0c\x1c\x1d\x1e\x7f"],
    ],
)
def test_s23_malformed_heads(data):
    assert head_of(data) == "bad_request"
    assert head_of(None, [data[i : i + 1] for i in range(len(data))]) == "bad_request"


def test_s23_line_ends_of_other_worlds_do_not_split_headers():
    """CVE-2026-44546: \\x85 and friends are line ends to str.splitlines only."""
    fields, _ = head_of(b"GET / HTTP/1.1\r\nA: b\x85C: d\xe2\x80\xa8E: f\r\n\r\n")
    assert fields[3] == [(b"a", b"b\x85C: d\xe2\x80\xa8E: f")]


def test_a_bare_lf_is_refused_at_once():
    with pytest.raises(HandshakeError):
        ServerHandshake().feed(b"GET / HTTP/1.1\n")


def test_absolute_target_and_white_space_around_values():
    fields, _ = head_of(b"GET http://a/b HTTP/1.1\r\nA:\t b c \t\r\nB:\r\n\r\n")
    assert fields[1] == "http://a/b"
    assert fields[3] == [(b"a", b"b c"), (b"b", b"")]


# Judging requests


@pytest.mark.parametrize(
    "headers",
    [
        changed("Connection", "keep-alive, Upgrade"),  # Firefox
        changed("Connection", "keep-alive", "upgrade"),
        changed("Connection", "UPGRADE,,"),
        changed("Upgrade", "WebSocket"),
        changed("Upgrade", "h2c, websocket"),
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


# Extensions, §9.1


def extensions_of(*values):
    return check_upgrade("GET", "1.1", changed("Sec-WebSocket-Extensions", *values)).extensions


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", (("a", ()),)),
        ("a; b", (("a", (("b", None),)),)),
        ("a;b=1;c", (("a", (("b", "1"), ("c", None))),)),
        ('a; b="1"', (("a", (("b", "1"),)),)),
        (r'a; b="\1\2"', (("a", (("b", "12"),)),)),
        ("a ; b = 1 , c", (("a", (("b", "1"),)), ("c", ()))),
        (",, a ,\t, b,", (("a", ()), ("b", ()))),
        ("a; b, a", (("a", (("b", None),)), ("a", ()))),
        ("", ()),
    ],
)
def test_extension_grammar(value, expected):
    assert extensions_of(value) == expected
    assert extensions_of(value, "z") == (*expected, ("z", ()))


@pytest.mark.parametrize(
    "value",
    ["a b", "a;", ";a", "a;=1", "a; b=", 'a; b=""', 'a; b="1', 'a; b="1 2"', 'a; b="\xe9"',
     'a; b=1"2"', 'a; b="1"2', "a=1", "a; b c", r'a; b="1\"', '"a"'],
)  # fmt: skip
def test_extension_grammar_refused(value):
    with pytest.raises(HandshakeError) as caught:
        extensions_of(value)
    assert caught.value.name == "bad_extensions"


def test_s5_extension_header_of_64_kib_is_linear():
    assert len(extensions_of("a; b=c, " * 8000)) == 8000
    with pytest.raises(HandshakeError):
        extensions_of('a; b="' + "\\\\" * 30_000)
    assert extensions_of("," * 60_000) == ()


@settings(max_examples=300)
@given(st.text(alphabet='a1;=," \t\\-é', max_size=14))
def test_extension_grammar_agrees_with_websockets(value):
    parser = pytest.importorskip("websockets.headers")
    from websockets.exceptions import InvalidHeader

    assume("\\" not in value)  # which theirs takes for no escape outside of some characters
    value = value.strip(" \t")  # which the field's grammar takes off
    try:
        expected = [(n, tuple(p)) for n, p in parser.parse_extension(value)]
    except InvalidHeader:
        expected = None
    try:
        ours = list(extensions_of(value))
    except HandshakeError:
        ours = None
    if not value.strip(" \t,"):
        assert ours == []  # 1#element, yet nothing is asked for
    elif re.search(r"[ \t]=|=[ \t]|[ \t];", value):
        assert ours == expected or expected is None  # theirs knows less of the implied *LWS
    else:
        assert ours == expected


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
        ({":authority": None}, "bad_pseudo_header", 400),
        ({":authority": "a b"}, "bad_pseudo_header", 400),
        ({":status": "200"}, "bad_pseudo_header", 400),
        ({"sec-websocket-version": "8"}, "bad_version", 400),
        ({"connection": "upgrade"}, "bad_connection", 400),
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


def test_pseudo_headers_come_first_and_once():
    for headers in ([*CONNECT[1:], CONNECT[0]], [CONNECT[0], *CONNECT]):
        with pytest.raises(HandshakeError) as caught:
            check_connect(headers)
        assert caught.value.name == "bad_pseudo_header"


# The client


def client(**options):
    return ClientHandshake("ws://server.example.com/chat", nonce=NONCE, **options)


def answer(*extra, status=b"HTTP/1.1 101 Switching Protocols", **change):
    fields = {"Upgrade": b"websocket", "Connection": b"Upgrade", "Sec-WebSocket-Accept": ACCEPT}
    fields.update({name.replace("_", "-"): value for name, value in change.items()})
    lines = [f"{name}: ".encode() + value for name, value in fields.items() if value is not None]
    return b"\r\n".join([status, *lines, *extra, b"", b""])


def test_rfc_1_3_client():
    ours = client(subprotocols=["chat", "superchat"], headers=[("Origin", "http://example.com")])
    assert ours.request() == (
        b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n"
        b"Origin: http://example.com\r\n\r\n"
    )
    response = ours.feed(answer(b"Sec-WebSocket-Protocol: chat") + b"\x81\x00")
    assert (response.status, response.subprotocol, response.extensions) == (101, "chat", ())
    assert ours.trailing == b"\x81\x00"
    with pytest.raises(RuntimeError):
        ours.feed(b"")


def test_nonces_are_fresh():
    keys = {re.search(rb"Key: (\S+)", ClientHandshake("ws://a").request())[1] for _ in range(9)}
    assert len(keys) == 9
    assert all(len(base64.b64decode(key)) == 16 for key in keys)
    with pytest.raises(ValueError):
        ClientHandshake("ws://a", nonce=b"short")


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "target", "authority"),
    [
        ("ws://a", False, "a", 80, "/", "a"),
        ("WSS://a", True, "a", 443, "/", "a"),
        ("ws://a:", False, "a", 80, "/", "a"),
        ("ws://a:443", False, "a", 443, "/", "a:443"),
        ("wss://a:443/", True, "a", 443, "/", "a"),
        ("ws://a?b=c", False, "a", 80, "/?b=c", "a"),
        ("ws://a/b/%20?c=d&e", False, "a", 80, "/b/%20?c=d&e", "a"),
        ("ws://[::1]:8000/x", False, "::1", 8000, "/x", "[::1]:8000"),
        ("wss://[2001:db8::1]", True, "2001:db8::1", 443, "/", "[2001:db8::1]"),
        ("ws://bücher.example/ü?ü", False, "xn--bcher-kva.example", 80, "/%C3%BC?%C3%BC",
         "xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_urls(url, secure, host, port, target, authority):
    ours = ClientHandshake(url)
    assert (ours.secure, ours.host, ours.port, ours.target) == (secure, host, port, target)
    assert f"GET {target} HTTP/1.1\r\nHost: {authority}\r\n".encode() in ours.request()


@pytest.mark.parametrize(
    "url",
    ["http://a", "a", "ws:a", "ws://", "ws:///x", "ws://a#", "ws://a/#b", "ws://a/b c",
     "ws://a/\r\nX: y", "ws://a\x00", "ws://a:0", "ws://a:65536", "ws://a:x", "ws://[::1", "ws://a]",
     "ws://[g]", "ws://u@"],
)  # fmt: skip
def test_urls_refused(url):
    with pytest.raises(ValueError):
        ClientHandshake(url)


def test_user_information_becomes_basic_authorization():
    request = ClientHandshake("ws://us%3Aer:p%40ss@a:81/x").request()
    assert b"Host: a:81\r\n" in request
    assert b"Authorization: Basic " + base64.b64encode(b"us:er:p@ss") + b"\r\n" in request
    assert b"Basic dTo=\r\n" in ClientHandshake("ws://u@a").request()
    own = ClientHandshake("ws://u:p@a", headers=[("Authorization", "Bearer x")]).request()
    assert own.count(b"uthorization") == 1 and b"Bearer x" in own


def test_client_headers():
    request = ClientHandshake("ws://a", headers=[(b"Host", "b"), ("Cookie", "c=d")]).request()
    assert request.count(b"Host") == 1 and request.endswith(b"Host: b\r\nCookie: c=d\r\n\r\n")
    for name in ("Upgrade", "connection", "Sec-WebSocket-Key", "Transfer-Encoding"):
        with pytest.raises(ValueError, match="handshake itself"):
            ClientHandshake("ws://a", headers=[(name, "x")])
    for subprotocols in (["a", "a"], ["a b"], [""], ["é"], ["a\r\nb"]):
        with pytest.raises(ValueError):
            ClientHandshake("ws://a", subprotocols=subprotocols)
    with pytest.raises(TypeError):
        ClientHandshake("ws://a", subprotocols="chat")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (answer(Upgrade=None), "bad_upgrade"),
        (answer(Upgrade=b"websocket, h2c"), "bad_upgrade"),
        (answer(Connection=b"close"), "bad_connection"),
        (answer(Sec_WebSocket_Accept=None), "bad_accept"),
        (answer(Sec_WebSocket_Accept=ACCEPT.lower()), "bad_accept"),
        (answer(Sec_WebSocket_Accept=ACCEPT + b"="), "bad_accept"),
        (answer(b"Sec-WebSocket-Accept: " + ACCEPT), "bad_accept"),
        (answer(b"Sec-WebSocket-Protocol: other"), "bad_subprotocol"),
        (answer(b"Sec-WebSocket-Protocol: Chat"), "bad_subprotocol"),
        (answer(b"Sec-WebSocket-Protocol: chat, chat2"), "bad_subprotocol"),
        (answer(b"Sec-WebSocket-Protocol: chat", b"Sec-WebSocket-Protocol: chat"),
         "bad_subprotocol"),
        (answer(b"Sec-WebSocket-Extensions: x-foo"), "bad_extensions"),
        (answer(b"Sec-WebSocket-Extensions: a b"), "bad_extensions"),
        (answer(b"Sec-WebSocket-Extensions: permessage-deflate; foo"), "bad_extensions"),
        (answer(b"Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate"),
         "bad_extensions"),
        (answer(status=b"HTTP/1.0 101 x"), "bad_response"),
        (answer(status=b"HTTP/2 101 x"), "bad_response"),
        (answer(status=b"HTTP/1.1 1O1 x"), "bad_response"),
        (answer(b"bad header: x"), "bad_response"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "bad_status"),
        (b"x" * 70000, "head_too_big"),
        (answer(*[b"a: b"] * 130), "too_many_headers"),
    ],
)  # fmt: skip
def test_client_refuses(data, name):
    for size in (len(data), 1000, 7):
        ours = client(subprotocols=["chat", "chat2"], extensions=[PerMessageDeflate()])
        with pytest.raises(HandshakeError) as caught:
            for i in range(0, len(data), size):
                assert ours.feed(data[i : i + size]) is None
        assert caught.value.name == name
        with pytest.raises(HandshakeError):
            ours.feed(b"")


def test_client_takes_variants():
    assert client().feed(answer(Upgrade=b"WebSocket", Connection=b"keep-alive, UPGRADE"))
    assert client().feed(answer(status=b"HTTP/1.1 101 "))
    assert client().feed(answer(status=b"HTTP/1.1 101"))


def test_client_unopened_extensions_must_not_be_answered():
    with pytest.raises(HandshakeError) as caught:
        client().feed(answer(b"Sec-WebSocket-Extensions: permessage-deflate"))
    assert caught.value.name == "bad_extensions"


def test_client_sees_the_refusal():
    ours = client()
    with pytest.raises(HandshakeError) as caught:
        ours.feed(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nX: caf\xe9\r\n\r\nbody")
    assert caught.value.status == 401
    assert caught.value.headers == [("www-authenticate", "Basic"), ("x", "caf\xe9")]
    assert ours.trailing == b"body"


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_client_skips_interim_answers(size):
    ours = client()
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer()
    results = [ours.feed(data[i : i + size]) for i in range(0, len(data), size)]
    assert isinstance(results[-1], Response) and not any(results[:-1])


BITS = st.sampled_from([None, 9, 10, 12, 15])


@given(BITS, BITS, BITS, BITS, st.tuples(*[st.booleans()] * 4))
def test_our_client_and_our_server_agree(cs, cc, ss, sc, flags):
    """Whatever either side wants, both end with the same parameters."""
    names = ("server_no_context_takeover", "client_no_context_takeover")
    wants = PerMessageDeflate(
        server_max_window_bits=cs, client_max_window_bits=cc, **dict(zip(names, flags[:2]))
    )
    has = PerMessageDeflate(
        server_max_window_bits=ss, client_max_window_bits=sc, **dict(zip(names, flags[2:]))
    )
    ours = client(extensions=[wants, PerMessageDeflate()])
    request = ServerHandshake().feed(ours.request())
    offer = check_upgrade(request.method, request.http_version, request.headers)
    served = accept(offer, extensions=[has])
    response = ours.feed(bytes(served))
    (theirs,), (mine,) = served.extensions, response.extensions
    assert theirs.deflater()._bits == mine.inflater()._bits
    assert theirs.inflater()._bits >= mine.deflater()._bits
    assert theirs.deflater()._takeover == mine.inflater()._takeover
    assert theirs.inflater()._takeover or not mine.deflater()._takeover
    assert mine.inflater().inflate(theirs.deflater().deflate(b"x" * 999, True), True, 999)


def test_agrees_with_wsproto():
    """wsproto as the other end, both ways, with subprotocol and compression."""
    wsproto = pytest.importorskip("wsproto")
    from wsproto.events import AcceptConnection, Request
    from wsproto.extensions import PerMessageDeflate as TheirDeflate

    theirs = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    ours = client(subprotocols=["b", "a"], extensions=[PerMessageDeflate()])
    theirs.receive_data(ours.request())
    (event,) = theirs.events()
    assert event.subprotocols == ["b", "a"] and event.target == "/chat"
    wire = theirs.send(AcceptConnection(subprotocol="a", extensions=[TheirDeflate()]))
    response = ours.feed(wire)
    assert response.subprotocol == "a" and len(response.extensions) == 1

    theirs = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    wire = theirs.send(
        Request(host="h", target="/", subprotocols=["x"], extensions=[TheirDeflate()])
    )
    request = ServerHandshake().feed(wire)
    offer = check_upgrade(request.method, request.http_version, request.headers)
    served = accept(offer, subprotocol="x", extensions=[PerMessageDeflate()])
    theirs.receive_data(bytes(served))
    (event,) = theirs.events()
    assert isinstance(event, AcceptConnection) and event.subprotocol == "x"
    assert [extension.name for extension in event.extensions] == ["permessage-deflate"]


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

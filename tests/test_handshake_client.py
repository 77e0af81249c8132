"""The client's opening handshake, RFC 6455 §3 and §4.1, and our two sides against each other."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfast.deflate import PerMessageDeflate
from wsfast.errors import HandshakeError
from wsfast.frames import Limits
from wsfast.handshake import ClientHandshake, Response, ServerHandshake, accept, check_upgrade

NONCE = b"the sample nonce"  # RFC 6455 §1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


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
     "ws://[g]", "ws://[a.ad]", "ws://u@", "w\N{LATIN SMALL LETTER LONG S}://a"],
)  # fmt: skip
def test_urls_refused(url):
    with pytest.raises(ValueError):
        ClientHandshake(url)


@pytest.mark.parametrize("char", "\xa0\N{ACCOUNT OF}／？＃＠：［］")
def test_s23_no_host_with_what_ends_one(char):
    """NFKC makes ASCII of them behind the URL's parser: CVE-2019-9636, CVE-2019-10160."""
    with pytest.raises(ValueError, match="not a host name"):
        ClientHandshake(f"ws://evil.example{char}.good.example/")


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
        (answer(status=b"HTTP/1.1 101 x\ry"), "bad_response"),
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


INTERIM = b"HTTP/1.1 100 \r\n\r\n"


@pytest.mark.parametrize("size", [1, 16, 17, 18, 4096, 1 << 20])
@pytest.mark.parametrize("count", [0, 1, 100])
@pytest.mark.parametrize("delta", [-1, 0, 1])
def test_all_answers_count_against_max_head(count, delta, size):
    data = INTERIM * count + answer()
    ours = client(limits=Limits(max_head=len(data) + delta))
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    if delta >= 0:
        assert [ours.feed(piece) for piece in pieces][-1].status == 101
        assert ours.trailing == b""
        return
    with pytest.raises(HandshakeError) as caught:
        for piece in pieces:
            assert ours.feed(piece) is None
    assert (caught.value.name, caught.value.status, ours.trailing) == ("head_too_big", 0, b"")


@pytest.mark.parametrize("size", [1, 17, 1000, 1 << 20])
def test_interim_answers_without_end_are_refused_at_max_head(size):
    """Once no room is left, whatever may come would be too much."""
    room = len(INTERIM) * 100
    ours = client(limits=Limits(max_head=room))
    flood = INTERIM * 1000
    fed = 0
    with pytest.raises(HandshakeError) as caught:
        while True:
            assert ours.feed(flood[fed : fed + size]) is None
            fed += size
    assert caught.value.name == "head_too_big"
    assert fed <= room < fed + 2 * size


@pytest.mark.parametrize("size", [1, 17, 1000, 1 << 20])
def test_s5_interim_answers_are_linear(size):
    """Bytes searched and bytes copied stay within a small multiple of the bytes fed."""
    looked = 0

    class Counting(bytearray):
        def find(self, sub, start):
            nonlocal looked
            found = super().find(sub, start)
            looked += (found if found >= 0 else len(self)) - start
            return found

        def count(self, sub, start, stop):
            nonlocal looked
            looked += stop - start
            return super().count(sub, start, stop)

        def __getitem__(self, index):
            nonlocal looked
            part = super().__getitem__(index)
            looked += len(part)
            return part

        def __delitem__(self, index):
            raise AssertionError("would move what is behind")

    data = INTERIM * 1000 + answer()
    ours = client()
    held = ours._reader._data = Counting()
    for i in range(0, len(data), size):
        assert ours._reader._data is held
        response = ours.feed(data[i : i + size] + b"frames" * (i + size >= len(data)))
    assert response.status == 101 and ours.trailing == b"frames"
    assert len(data) <= looked <= 16 * len(data)


@given(
    st.lists(
        st.sampled_from([INTERIM, b"HTTP/1.1 103 x\r\nLink: x\r\n\r\n", b"\r", b"\n", b"x"]),
        max_size=6,
    ),
    st.integers(1, 60),
    st.integers(1, 400),
)
def test_interim_answers_in_any_chunking(words, size, max_head):
    data = b"".join(words) + answer()

    def outcome(size):
        ours = client(limits=Limits(max_head=max_head))
        try:
            results = [ours.feed(data[i : i + size]) for i in range(0, len(data), size)]
        except HandshakeError as exc:
            return exc.name, exc.status, ours.trailing
        return [result.status for result in results if result], ours.trailing

    assert outcome(size) == outcome(len(data))


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
    assert theirs.deflater()._compressors._bits == mine.inflater()._bits
    assert theirs.inflater()._bits >= mine.deflater()._compressors._bits
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

"""Message heads and field grammars, through ServerHandshake: chunking, limits, S5, S23."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wsfast._http import read_extensions
from wsfast.errors import HandshakeError
from wsfast.frames import Limits
from wsfast.handshake import ServerHandshake

REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


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


# Sec-WebSocket-Extensions, RFC 6455 §9.1


def extensions_of(*values):
    """What the grammar makes of one or more fields; None for what is ungrammatical."""
    name = b"sec-websocket-extensions"
    return read_extensions([(name, value.encode("latin-1")) for value in values])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", [("a", ())]),
        ("a; b", [("a", (("b", None),))]),
        ("a;b=1;c", [("a", (("b", "1"), ("c", None)))]),
        ('a; b="1"', [("a", (("b", "1"),))]),
        (r'a; b="\1\2"', [("a", (("b", "12"),))]),
        ("a ; b = 1 , c", [("a", (("b", "1"),)), ("c", ())]),
        (",, a ,\t, b,", [("a", ()), ("b", ())]),
        ("a; b, a", [("a", (("b", None),)), ("a", ())]),
        ("", []),
    ],
)
def test_extension_grammar(value, expected):
    assert extensions_of(value) == expected
    assert extensions_of(value, "z") == [*expected, ("z", ())]


@pytest.mark.parametrize(
    "value",
    ["a b", "a;", ";a", "a;=1", "a; b=", 'a; b=""', 'a; b="1', 'a; b="1 2"', 'a; b="\xe9"',
     'a; b=1"2"', 'a; b="1"2', "a=1", "a; b c", r'a; b="1\"', '"a"'],
)  # fmt: skip
def test_extension_grammar_refused(value):
    assert extensions_of(value) is None
    assert extensions_of("z", value) is None


def test_s5_extension_header_of_64_kib_is_linear():
    assert len(extensions_of("a; b=c, " * 8000)) == 8000
    assert extensions_of('a; b="' + "\\\\" * 30_000) is None
    assert extensions_of("," * 60_000) == []


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
    ours = extensions_of(value)
    if not value.strip(" \t,"):
        assert ours == []  # 1#element, yet nothing is asked for
    elif re.search(r"[ \t]=|=[ \t]|[ \t];", value):
        assert ours == expected or expected is None  # theirs knows less of the implied *LWS
    else:
        assert ours == expected


def test_s17_refused_again_and_again():
    """A refusal that is raised anew must not grow a traceback: it keeps every frame in it."""
    handshake = ServerHandshake()
    for _ in range(20):
        with pytest.raises(HandshakeError) as caught:
            handshake.feed(b"\n")
        assert len(caught.traceback) == 2

"""Negotiation of permessage-deflate, RFC 7692 §5 and §7.1: each side's configuration, S12."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfast import FrameEncoder, Role, handshake
from wsfast.deflate import PerMessageDeflate


def negotiated(config, **params):
    return PerMessageDeflate(**config).negotiate(tuple(params.items()))


@pytest.mark.parametrize(
    ("config", "offer", "header", "inflate_bits", "deflate_bits"),
    [
        ({}, {}, "", 15, 15),
        ({}, {"client_max_window_bits": None}, "", 15, 15),
        ({}, {"client_max_window_bits": "8"}, "client_max_window_bits=8", 8, 15),
        ({}, {"server_max_window_bits": "9"}, "server_max_window_bits=9", 15, 9),
        ({"server_max_window_bits": 12}, {}, "server_max_window_bits=12", 15, 12),
        (
            {"server_max_window_bits": 12},
            {"server_max_window_bits": "10"},
            "server_max_window_bits=10",
            15,
            10,
        ),
        (
            {"server_max_window_bits": 12},
            {"server_max_window_bits": "15"},
            "server_max_window_bits=12",
            15,
            12,
        ),
        ({"client_max_window_bits": 12}, {}, "", 15, 15),
        (
            {"client_max_window_bits": 12},
            {"client_max_window_bits": None},
            "client_max_window_bits=12",
            12,
            15,
        ),
        (
            {"client_max_window_bits": 12},
            {"client_max_window_bits": "10"},
            "client_max_window_bits=10",
            10,
            15,
        ),
    ],
)
def test_server_windows(config, offer, header, inflate_bits, deflate_bits):
    agreed = negotiated(config, **offer)
    assert agreed.header == "; ".join(filter(None, ["permessage-deflate", header]))
    assert agreed.inflater()._bits == inflate_bits
    assert agreed.deflater()._compressors._bits == deflate_bits


@pytest.mark.parametrize("side", ["server", "client"])
def test_server_takeover(side):
    name = f"{side}_no_context_takeover"
    for config, offer in (({name: True}, {}), ({}, {name: None}), ({name: True}, {name: None})):
        agreed = negotiated(config, **offer)
        assert agreed.header == f"permessage-deflate; {name}"
        assert agreed.deflater()._takeover is (side == "client")
        assert agreed.inflater()._takeover is (side == "server")


@pytest.mark.parametrize(
    "params",
    [
        (("server_max_window_bits", "8"),),  # zlib cannot
        (("server_max_window_bits", None),),
        *[((name, bits),) for name in ("server_max_window_bits", "client_max_window_bits")
          for bits in ("7", "16", "08", "015", "", "x", "1e1", "-9", "٩")],
        (("foo", None),),
        (("foo", "1"),),
        (("Server_no_context_takeover", None),),
        (("server_no_context_takeover", "true"),),
        (("client_no_context_takeover", ""),),
        (("client_max_window_bits", None), ("client_max_window_bits", "9")),
        (("server_no_context_takeover", None), ("server_no_context_takeover", None)),
    ],
)  # fmt: skip
def test_s12_bad_offers_are_declined(params):
    assert PerMessageDeflate().negotiate(params) is None


def test_client_offer():
    assert PerMessageDeflate().offer() == "permessage-deflate; client_max_window_bits"
    config = PerMessageDeflate(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=10,
        client_max_window_bits=11,
    )
    assert config.offer() == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=10; client_max_window_bits=11"
    )


@pytest.mark.parametrize(
    ("config", "answer", "inflate_bits", "deflate_bits"),
    [
        ({}, {}, 15, 15),
        ({}, {"client_max_window_bits": "9"}, 15, 9),
        ({}, {"server_max_window_bits": "8"}, 8, 15),
        ({"client_max_window_bits": 12}, {}, 15, 12),
        ({"client_max_window_bits": 12}, {"client_max_window_bits": "12"}, 15, 12),
        ({"server_max_window_bits": 12}, {"server_max_window_bits": "10"}, 10, 15),
    ],
)
def test_client_windows(config, answer, inflate_bits, deflate_bits):
    agreed = PerMessageDeflate(**config).confirm(tuple(answer.items()))
    assert agreed.inflater()._bits == inflate_bits
    assert agreed.deflater()._compressors._bits == deflate_bits


def test_client_sends_nothing_compressed_where_the_window_is_too_small_for_zlib():
    """§7.1.2.2: our offer allows it, and a sender may always leave a message uncompressed."""
    agreed = PerMessageDeflate(level=9).confirm((("client_max_window_bits", "8"),))
    encoder = FrameEncoder(Role.CLIENT, deflate=agreed.deflater())
    assert not encoder.text("a" * 100_000)[0] & 0x40
    data = 40 * b"what lies further back than 256 bytes"
    stored = agreed.deflater().deflate(data, True) + b"\x00\x00\xff\xff"
    assert zlib.decompressobj(-8).decompress(stored) == data
    assert len(stored) > len(data)


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        ({}, {"client_max_window_bits": None}),  # valueless only in offers
        ({}, {"foo": None}),
        ({"client_max_window_bits": 12}, {"client_max_window_bits": "13"}),
        ({"server_max_window_bits": 12}, {}),
        ({"server_max_window_bits": 12}, {"server_max_window_bits": "13"}),
        ({"server_no_context_takeover": True}, {}),
    ],
)
def test_client_refuses(config, answer):
    assert PerMessageDeflate(**config).confirm(tuple(answer.items())) is None


def test_client_takeover():
    config = PerMessageDeflate(client_no_context_takeover=True)
    assert config.confirm(()).deflater()._takeover is False  # §7.1.1.2: ours to do
    agreed = PerMessageDeflate().confirm((("server_no_context_takeover", None),))
    assert agreed.inflater()._takeover is False
    assert agreed.deflater()._takeover is True


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["server_max_window_bits", "client_max_window_bits",
                             "server_no_context_takeover", "client_no_context_takeover", "foo"]),
            st.sampled_from([None, "8", "9", "12", "15", "16", "09"]),
        ),
        max_size=4,
    ),
    st.sampled_from([None, 9, 12, 15]),
    st.sampled_from([None, 9, 12, 15]),
    st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_negotiation_agrees_with_websockets(params, server_bits, client_bits, server_no, client_no):
    websockets = pytest.importorskip("websockets.extensions.permessage_deflate")
    from websockets.exceptions import NegotiationError

    config = {
        "server_max_window_bits": server_bits,
        "client_max_window_bits": client_bits,
        "server_no_context_takeover": server_no,
        "client_no_context_takeover": client_no,
    }
    ours = PerMessageDeflate(**config)
    theirs = websockets.ServerPerMessageDeflateFactory(**config)
    try:
        expected, _ = theirs.process_request_params(params, [])
    except NegotiationError:
        expected = None
    agreed = ours.negotiate(params)
    assert (agreed is None) == (expected is None)
    if agreed is not None:
        words = [name if value is None else f"{name}={value}" for name, value in expected]
        assert agreed.header == "; ".join(["permessage-deflate", *words])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"server_max_window_bits": 8}, ValueError),
        ({"client_max_window_bits": 16}, ValueError),
        ({"level": 10}, ValueError),
        ({"mem_level": 0}, ValueError),
        ({"threshold": -1}, ValueError),
        ({"level": True}, TypeError),
        ({"server_max_window_bits": "12"}, TypeError),
    ],
)
def test_configuration_is_checked(arguments, error):
    with pytest.raises(error):
        PerMessageDeflate(**arguments)


def test_uvicorn_parameters_and_laziness():
    config = PerMessageDeflate(server_max_window_bits=12, client_max_window_bits=12, mem_level=5)
    agreed = config.negotiate((("client_max_window_bits", None),))
    assert agreed.header == (
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
    )
    inflate, deflate = agreed.inflater(), agreed.deflater()
    assert inflate._context is None and deflate._context is None
    assert "PerMessageDeflate(" in repr(config) and "server_max_window_bits=12" in repr(agreed)


# On the wire: the field as it comes, RFC 7692 §5 and §7.1.3, RFC 6455 §9.1

HEADERS = [
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
]
NAME = "Sec-WebSocket-Extensions"


def answer(*fields, **config):
    """The server's Sec-WebSocket-Extensions to these of a client; None: there is none."""
    offer = handshake.check_upgrade("GET", "1.1", HEADERS + [(NAME, field) for field in fields])
    response = handshake.accept(offer, extensions=[PerMessageDeflate(**config)])
    found = [value for name, value in response.headers if name == NAME.encode()]
    assert len(found) == len(response.extensions) <= 1
    return found[0].decode() if found else None


def test_rfc_7_1_3_simplest_offer():
    assert answer("permessage-deflate") == "permessage-deflate"


def test_rfc_7_1_3_offer_with_a_fallback():
    offer = (
        "permessage-deflate; client_max_window_bits; server_max_window_bits=10, "
        "permessage-deflate; client_max_window_bits"
    )
    assert answer(offer) == "permessage-deflate; server_max_window_bits=10"
    # A server that could not have a window of 10 takes the second; 8 is what ours cannot have.
    wanted = "permessage-deflate; client_max_window_bits=12"
    assert answer(offer.replace("=10", "=8"), client_max_window_bits=12) == wanted


def test_rfc_7_1_3_the_simplest_answer_is_always_allowed_but_for_what_was_asked():
    assert answer("permessage-deflate; client_max_window_bits") == "permessage-deflate"
    for asked in ("server_no_context_takeover", "server_max_window_bits=10"):
        assert answer(f"permessage-deflate; {asked}") == f"permessage-deflate; {asked}"


@pytest.mark.parametrize(
    "field",
    [
        'permessage-deflate; server_max_window_bits="10"',
        'permessage-deflate;server_max_window_bits = "1\\0"',
        "permessage-deflate ; server_max_window_bits\t=\t10",
        "  permessage-deflate;\tserver_max_window_bits=10  ",
        'permessage-foo; x="10", permessage-deflate; server_max_window_bits=10',
        ", permessage-deflate; server_max_window_bits=10,",
    ],
)
def test_quoted_values_and_white_space_mean_the_same(field):
    assert answer(field) == "permessage-deflate; server_max_window_bits=10"


@pytest.mark.parametrize(
    "fields",
    [
        ("permessage-foo",),
        ("x-webkit-deflate-frame",),
        ("permessage-deflate; server_max_window_bits=8",),
        ("permessage-deflate; server_max_window_bits=16",),
        ('permessage-deflate; server_max_window_bits="08"',),
        ("permessage-deflate; client_max_window_bits=7",),
        ("permessage-deflate; foo=1", "permessage-deflate; client_max_window_bits=0"),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover",),
    ],
)
def test_s12_what_cannot_be_accepted_is_declined_and_the_connection_opens(fields):
    assert answer(*fields) is None


def test_the_first_that_can_be_accepted_wins_over_several_fields():
    fields = ["permessage-deflate; foo", "x-y, permessage-deflate; server_max_window_bits=9"]
    wanted = "permessage-deflate; server_max_window_bits=9"
    assert answer(*fields, "permessage-deflate") == wanted


@pytest.mark.parametrize(
    ("field", "bits"),
    [
        ('permessage-deflate; server_max_window_bits="12"', 12),
        ("permessage-deflate;server_max_window_bits=9; client_max_window_bits=9", 9),
        ("permessage-deflate; server_max_window_bits=8", 8),  # we only have to inflate it
    ],
)
def test_client_reads_the_same_grammar(field, bits):
    opening = handshake.ClientHandshake(
        "ws://localhost/", extensions=[PerMessageDeflate()], nonce=b"the sample nonce"
    )
    opening.request()
    response = opening.feed(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Extensions: " + field.encode() + b"\r\n\r\n"
    )
    assert response is not None
    (agreed,) = response.extensions
    assert agreed.server_max_window_bits == bits
    assert agreed.inflater()._bits == bits


@given(
    st.text(st.sampled_from('permessage-deflate;,= "1089server_max_window_bits\\\t'), max_size=80)
)
def test_s12_no_field_raises_anything_but_a_refusal(tail):
    try:
        found = answer("permessage-deflate; " + tail)
    except handshake.HandshakeError as exc:
        assert exc.status == 400
    else:
        assert found is None or found.startswith("permessage-deflate")

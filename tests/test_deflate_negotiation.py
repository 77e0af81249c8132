"""Negotiation of permessage-deflate, RFC 7692 §5 and §7.1: each side's configuration, S12."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    assert agreed.deflater()._bits == deflate_bits


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
    assert agreed.deflater()._bits == deflate_bits


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        ({}, {"client_max_window_bits": None}),  # valueless only in offers
        ({}, {"client_max_window_bits": "8"}),
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

"""PreparedMessage: one frame for many connections."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import wsfast
from wsfast import Connection, FrameEncoder, MessageDecoder, PreparedMessage, Role
from wsfast.deflate import PerMessageDeflate
from wsfast.prepared import kind_of

TEXT = '{"event": "tick", "values": [1, 2, 3, 4, 5, 6, 7, 8, 9]}' * 4


def connection(*params):
    """A server's connection on which permessage-deflate was agreed with these parameters."""
    agreed = PerMessageDeflate().negotiate(params)
    assert agreed is not None
    return Connection(Role.SERVER, extensions=[agreed])


def test_plain_frame_is_the_encoders():
    assert PreparedMessage(TEXT).frame_for(None) == FrameEncoder(Role.SERVER).text(TEXT)
    binary = b"\xff\x00"
    assert PreparedMessage(binary).frame_for(None) == FrameEncoder(Role.SERVER).binary(binary)


def test_a_client_needs_a_key_of_its_own():
    with pytest.raises(wsfast.LocalProtocolError) as caught:
        PreparedMessage("x").frame_for(Connection(Role.CLIENT))
    assert caught.value.name == "mask_required"


def test_mutable_data_is_copied():
    data = bytearray(b"abc")
    message = PreparedMessage(data)
    data[:] = b"xyz"
    assert message.frame_for(None).endswith(b"abc")


def test_compressed_once_for_all_connections_without_takeover(zlib_backend):
    message = PreparedMessage(TEXT)
    first, second = (connection(("server_no_context_takeover", None)) for _ in range(2))
    frame = message.frame_for(first)
    assert frame is message.frame_for(second)
    assert len(frame) < len(TEXT)
    client = PerMessageDeflate().confirm([("server_no_context_takeover", None)])
    assert client is not None
    decoder = MessageDecoder(Role.CLIENT, inflate=client.inflater())
    assert decoder.feed(frame + frame) == [TEXT, TEXT]


def test_one_frame_for_each_set_of_parameters():
    """Window, threshold and the rest may differ between connections."""
    alone = ("server_no_context_takeover", None)
    message = PreparedMessage(TEXT)
    wide, narrow = connection(alone), connection(alone, ("server_max_window_bits", "9"))
    assert message.frame_for(wide) is message.frame_for(connection(alone))
    assert message.frame_for(narrow) is not message.frame_for(wide)
    high = PerMessageDeflate(threshold=10_000).negotiate([alone])
    assert high is not None
    plain = Connection(Role.SERVER, extensions=[high])
    for _ in range(2):
        assert message.frame_for(plain) is message.frame_for(None)


def test_connections_with_the_same_frame_are_of_one_kind():
    alone = ("server_no_context_takeover", None)
    assert kind_of(connection(alone)) is kind_of(connection(alone))
    assert kind_of(connection(alone)) != kind_of(connection(alone, ("server_max_window_bits", "9")))
    assert kind_of(connection()) is kind_of(Connection(Role.SERVER)) is None
    message, ours = PreparedMessage(TEXT), connection(alone)
    assert message.frame_of(kind_of(ours), ours) is message.frame_for(ours)
    theirs = Connection(Role.CLIENT)
    with pytest.raises(wsfast.LocalProtocolError):
        message.frame_of(kind_of(theirs), theirs)


def test_threads_share_one(zlib_backend):
    """Both compress, at the same time; all get the same object."""

    class Slow(PreparedMessage):
        def _frame(self, parameters):
            frame = super()._frame(parameters)
            if parameters is not None:
                both.wait(10)
            return frame

    both, ours = threading.Barrier(2), connection(("server_no_context_takeover", None))
    message = Slow(TEXT)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(message.frame_for, [ours, ours])
    assert first is second is message.frame_for(ours)
    assert first == PreparedMessage(TEXT).frame_for(ours)


def test_other_extensions_are_passed_by():
    class Other:
        name = header = "x-other"

        def inflater(self, max_ratio=None):
            return None

        deflater = inflater

    message = PreparedMessage(TEXT)
    assert message.frame_for(Connection(Role.SERVER, extensions=[Other()])) is message.frame_for(
        None
    )


@pytest.mark.parametrize("data", [5, None, 1.5])
def test_only_text_and_bytes(data):
    with pytest.raises(TypeError):
        PreparedMessage(data)


def test_takeover_connections_get_it_plain():
    message = PreparedMessage(TEXT)
    assert message.frame_for(connection()) is message.frame_for(None)


@pytest.mark.parametrize("compress", [None, True, False])
def test_compress_option(compress):
    alone = connection(("server_no_context_takeover", None))
    small, large = "x", TEXT
    for text in (small, large):
        frame = PreparedMessage(text, compress=compress).frame_for(alone)
        squeezed = compress or (compress is None and text is large)
        assert bool(frame[0] & 0x40) is bool(squeezed)

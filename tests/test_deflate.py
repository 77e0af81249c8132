"""permessage-deflate: RFC 7692's own vectors, negotiation, limits, final blocks."""

import contextlib
import os
import sys
import threading
import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import wsfast
from wsfast import _zlib, deflate
from wsfast.codec import FrameEncoder, MessageDecoder
from wsfast.deflate import PerMessageDeflate
from wsfast.errors import RemoteProtocolError
from wsfast.frames import Limits, Role

HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")
TAIL = b"\x00\x00\xff\xff"


@pytest.fixture(autouse=True, scope="module")
def each_back_end(contexts, zlib_backend):
    """Every test here in C and in Python, on every back end: what the helpers below ask for."""


def inflater(bits=15, takeover=True, max_ratio=None):
    return deflate.Inflater(bits, takeover=takeover, max_ratio=max_ratio)


def deflater(bits=15, takeover=True, level=-1, mem_level=5):
    return deflate.Deflater(bits, takeover=takeover, level=level, mem_level=mem_level, threshold=0)


def stdlib(bits=15, level=-1):
    """What another implementation sends: the standard library's zlib, a new context each time."""

    def squeeze(data):
        compressor = zlib.compressobj(level, zlib.DEFLATED, -bits, 5)
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]

    return squeeze


def inflate_name(data, limit=None, **options):
    with pytest.raises(RemoteProtocolError) as caught:
        inflater(**options).inflate(data, True, limit)
    return caught.value.name


def test_an_inflater_that_has_failed_goes_on_without_what_it_held():
    """It once took the rest of the message before for its own, and looped."""
    wire = zlib.compress(b"abc", wbits=-15)  # ends with a final block
    ours = inflater()
    with pytest.raises(RemoteProtocolError, match="exceeds the limit"):
        ours.inflate(wire, True, 1)
    assert ours.inflate(b"", False, 1) == b""
    assert ours.inflate(wire, True, 3) == b"abc"


# RFC 7692 §7.2.3


@pytest.mark.parametrize(
    "wire",
    [
        "f2 48 cd c9 c9 07 00",  # §7.2.3.1 one block
        "00 05 00 fa ff 48 65 6c 6c 6f 00",  # §7.2.3.3 a stored block
        "f3 48 cd c9 c9 07 00 00",  # §7.2.3.4 a final block
        "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",  # §7.2.3.5 two blocks
    ],
)
@pytest.mark.parametrize("takeover", [True, False])
def test_rfc_vectors(wire, takeover):
    context = inflater(takeover=takeover)
    for _ in range(3):
        assert context.inflate(bytes.fromhex(wire), True, 5) == b"Hello"


def test_rfc_7_2_3_1_fragments():
    context = inflater()
    assert context.inflate(HELLO[:3], False, 5) + context.inflate(HELLO[3:], True, 5) == b"Hello"


def test_rfc_7_2_3_2_shared_window():
    context = inflater()
    assert context.inflate(HELLO, True, 5) == b"Hello"
    assert context.inflate(bytes.fromhex("f2 00 11 00 00"), True, 5) == b"Hello"
    ours, theirs = deflater(), inflater()
    wires = [ours.deflate(b"Hello", True) for _ in range(2)]
    assert wires[0] == HELLO
    assert len(wires[1]) < len(HELLO)  # 5 bytes of zlib, 4 of ISA-L
    assert [theirs.inflate(wire, True, 5) for wire in wires] == [b"Hello"] * 2


def test_rfc_7_2_3_2_without_takeover():
    context = inflater(takeover=False)
    assert context.inflate(HELLO, True, 5) == b"Hello"
    with pytest.raises(RemoteProtocolError) as caught:
        context.inflate(bytes.fromhex("f2 00 11 00 00"), True, 5)
    assert caught.value.name == "deflate_error"
    ours = deflater(takeover=False)
    assert [ours.deflate(b"Hello", True) for _ in range(2)] == [HELLO, HELLO]


def test_rfc_7_2_3_6_empty_message():
    ours, theirs = deflater(), inflater()
    for _ in range(3):
        wire = ours.deflate(b"", True)
        assert wire in (b"\x00", b"\x02\x00")  # ISA-L has a block more
        assert theirs.inflate(wire, True, 0) == b""
        assert theirs.inflate(b"\x00", True, 0) == b""
    assert theirs.inflate(b"", True, 0) == b""  # no block at all, which some senders write
    assert theirs.inflate(HELLO, True, 5) == b"Hello"


@given(
    messages=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=3), max_size=4),
    bits=st.integers(9, 15),
    takeover=st.booleans(),
    cuts=st.integers(1, 50),
)
def test_round_trip_in_any_pieces(messages, bits, takeover, cuts):
    ours, theirs = deflater(bits, takeover), inflater(bits, takeover)
    for message in messages:
        *first, last = message
        wire = b"".join([ours.deflate(part, False) for part in first] + [ours.deflate(last, True)])
        pieces = [wire[i : i + cuts] for i in range(0, len(wire), cuts)]
        out = [theirs.inflate(p, i == len(pieces) - 1, None) for i, p in enumerate(pieces)]
        assert b"".join(out) == b"".join(message)


def test_level_0_and_incompressible_data():
    ours, theirs = deflater(level=0), inflater()
    data = os.urandom(100_000)
    assert theirs.inflate(ours.deflate(data, True), True, len(data)) == data


# S1, S2: the limit


@pytest.mark.parametrize(
    "size", [1, 2, 257, 258, 259, 4096, 32766, 32767, 32768, 32769, 32770, 65536, 1 << 20]
)
@pytest.mark.parametrize("content", ["zeros", "noise"])
@pytest.mark.parametrize("delta", [-2, -1, 0, 1, 2])
def test_s2_limit_is_exact(size, content, delta):
    limit = size + delta
    if limit < 0:
        return
    data = bytes(size) if content == "zeros" else os.urandom(size)
    wire = deflater().deflate(data, True)
    if delta >= 0:
        assert inflater().inflate(wire, True, limit) == data
    else:
        assert inflate_name(wire, limit) == "message_too_big"


@given(size=st.integers(0, 70_000), delta=st.integers(-2, 2), piece=st.integers(1, 200))
def test_s2_limit_is_exact_in_pieces(size, delta, piece):
    limit = size + delta
    assume(limit >= 0)
    wire = deflater().deflate(bytes(size), True)
    context = inflater()
    out = b""
    try:
        for i in range(0, len(wire), piece):
            out += context.inflate(wire[i : i + piece], i + piece >= len(wire), limit - len(out))
    except RemoteProtocolError as exc:
        assert exc.name == "message_too_big" and delta < 0
    else:
        assert out == bytes(size) and delta >= 0


@pytest.fixture(scope="module")
def bomb():
    """64 MiB in 64 KiB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    blocks = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(64))
    return blocks + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]


@pytest.fixture
def produced(monkeypatch):
    """How many bytes each call of zlib's inflate gave."""
    sizes = []
    module = _zlib.load().inflates
    real = module.decompressobj

    class Spy:
        def __init__(self, *args):
            self._z = real(*args)

        def __getattr__(self, name):
            return getattr(self._z, name)

        def decompress(self, data, max_length):
            out = self._z.decompress(data, max_length)
            sizes.append(len(out))
            return out

    monkeypatch.setattr(module, "decompressobj", Spy)
    return sizes


def test_s1_bomb_is_stopped_inside_zlib(bomb, produced):
    assert inflate_name(bomb, 1000) == "message_too_big"
    assert produced == [1001]


@pytest.mark.parametrize("before", [0, 1, 999, 1000, 1001])
@pytest.mark.parametrize("fin", [True, False])
def test_s1_bomb_behind_a_final_block_is_stopped_inside_zlib(bomb, produced, before, fin):
    """What the blocks before took of the limit, those behind do not get again."""
    with pytest.raises(RemoteProtocolError) as caught:
        inflater().inflate(final(bytes(before))[:-1] + bomb, fin, 1000)
    assert caught.value.name == "message_too_big"
    assert sum(produced) == 1001


def test_s2_limit_is_exact_behind_a_final_block():
    wire = b"\x03\x00" + deflater(level=9).deflate(bytes(100_000), True)
    assert inflate_name(wire, 99_999) == "message_too_big"
    assert inflater().inflate(wire, True, 100_000) == bytes(100_000)


def test_no_limit_and_a_limit_beyond_any_size():
    wire = deflater().deflate(bytes(1000), True)
    for limit in (None, sys.maxsize - 1, sys.maxsize, 1 << 70):
        assert inflater().inflate(wire, True, limit) == bytes(1000)


def test_max_ratio():
    wire = deflater().deflate(bytes(1000), True)
    ratio = 1000 / len(wire)
    assert inflater(max_ratio=ratio).inflate(wire, True, None) == bytes(1000)
    assert inflate_name(wire, max_ratio=ratio * 0.99) == "message_too_big"
    context = inflater(max_ratio=ratio * 0.99)
    context.inflate(wire[:4], False, None)
    with pytest.raises(RemoteProtocolError):
        context.inflate(wire[4:], True, None)


# S11: final blocks


def final(data, zdict=b"", bits=15):
    """One message whose last block is final, as a sender without sync flush writes it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -bits, 8, zlib.Z_DEFAULT_STRATEGY, zdict)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH) + b"\x00"


def test_s11_messages_after_a_final_block():
    context = inflater()
    for _ in range(3):
        assert context.inflate(bytes.fromhex("f3 48 cd c9 c9 07 00 00"), True, 5) == b"Hello"
    assert context.inflate(bytes.fromhex("f2 00 11 00 00"), True, 5) == b"Hello"


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_s11_window_is_kept(bits):
    """The blocks behind a final one may refer to what came before it, messages ago."""
    text = os.urandom((1 << bits) - 300)
    ours, context = deflater(bits), inflater(bits)
    assert context.inflate(ours.deflate(b"x" * 5000 + text, True), True, None)[5000:] == text
    assert context.inflate(b"\x03\x00\x00", True, 0) == b""
    wire = final(text, zdict=text, bits=bits)
    assert len(wire) < len(text) // 2
    assert context.inflate(wire, True, None) == text


def test_s11_blocks_go_on_within_the_message():
    first, second = os.urandom(400), os.urandom(400)
    wire = final(first)[:-1] + final(second + first, zdict=first)
    for context in (inflater(), inflater(takeover=False)):
        for _ in range(2):
            assert context.inflate(wire, True, 1200) == first + second + first


@given(
    parts=st.lists(st.binary(max_size=200), min_size=1, max_size=6),
    piece=st.integers(1, 40),
    takeover=st.booleans(),
)
def test_s11_any_final_blocks_in_any_pieces(parts, piece, takeover):
    wire, history = b"", b""
    for part in parts:
        wire += final(part, zdict=history)[:-1]
        history += part
    for end in (b"", b"\x00"):  # without the empty block of §7.2.1 nothing is unclear either
        context = inflater(takeover=takeover)
        for _ in range(2):
            whole = wire + end
            out = [
                context.inflate(whole[i : i + piece], i + piece >= len(whole), None)
                for i in range(0, len(whole), piece)
            ]
            assert b"".join(out) == history


def test_s11_only_an_undecodable_rest_is_an_error():
    assert inflate_name(bytes.fromhex("f3 48 cd c9 c9 07 00 ff ff ff")) == "deflate_error"


@given(
    data=st.binary(max_size=60),
    level=st.sampled_from([0, 6]),
    missing=st.integers(0, 5),
    piece=st.integers(1, 70),
    more=st.integers(0, 1),
)
def test_s11_a_final_block_takes_nothing_from_our_tail(data, level, missing, piece, more):
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    wire = compressor.compress(data) + compressor.flush(zlib.Z_FINISH)
    wire = wire[: max(1, len(wire) - missing)]
    plain, name = zlib.decompressobj(-15), None
    try:
        out = plain.decompress(wire + TAIL)
    except zlib.error:
        name = "deflate_error"
    unused = len(plain.unused_data)
    if plain.eof and (0 < unused < len(TAIL) or (unused == 0 and wire[-1] >= 0x40)):
        name = "deflate_error"
    pieces = [wire[i : i + piece] for i in range(0, len(wire), piece)] + [b""] * more
    found, error = outcome({len(pieces) - 1}, None, pieces, 15, None)
    assert error == name
    assert name or found == out


@pytest.mark.parametrize("wire", ["f248cdc9c90704", "f248cdc9c907000000ffff01"])
@pytest.mark.parametrize("piece", [1, 5, 20])
@pytest.mark.parametrize("takeover", [True, False])
def test_s11_our_tail_is_the_length_of_an_empty_final_block(wire, piece, takeover):
    """gobwas/ws: what Go's ``flate.Writer`` ends with, closed without a flush and behind one."""
    context = inflater(takeover=takeover)
    wire = bytes.fromhex(wire)
    pieces = [wire[i : i + piece] for i in range(0, len(wire), piece)]
    for whole in (pieces, [*pieces, b""], pieces):
        out = [context.inflate(each, i == len(whole), None) for i, each in enumerate(whole, 1)]
        assert b"".join(out) == b"Hello"


def with_final_bit(wire, data):
    """``wire``, whose last block is the empty one of a flush, with BFINAL=1 in that."""
    for bit in range(3, 11):  # the header has three, and is followed by up to seven zeros
        last = int.from_bytes(wire[-2:], "little") | 1 << 16 - bit
        marked = wire[:-2] + last.to_bytes(2, "little")
        plain = zlib.decompressobj(-15)
        with contextlib.suppress(zlib.error):
            if plain.decompress(marked + TAIL) == data and plain.eof and not plain.unused_data:
                return marked
    raise AssertionError


def test_s11_the_header_of_an_empty_final_block_is_anywhere_in_a_byte():
    ends = set()
    for size in range(1, 100):
        data = bytes(x * x % 251 for x in range(size))
        wire = with_final_bit(stdlib()(data), data)
        ends.add(wire[-1])
        assert inflater().inflate(wire, True, None) == data
    assert ends == {0, 1, 2, 4, 8, 16, 32}


def test_s5_floods_of_final_blocks_are_refused():
    assert inflater().inflate(b"\x03\x00" * 1024 + b"\x00", True, 0) == b""
    assert inflate_name(b"\x03\x00" * 1025 + b"\x00", 0) == "deflate_error"
    context = inflater()
    for _ in range(2):  # they are counted by message
        context.inflate(b"\x03\x00" * 600 + b"\x00", True, 0)
    context.inflate(b"\x03\x00" * 600, False, 0)
    with pytest.raises(RemoteProtocolError):
        context.inflate(b"\x03\x00" * 600 + b"\x00", True, 0)


def test_a_context_that_another_thread_has_used_is_noticed(monkeypatch):
    """What it leaves of the other's data is more than ours: once counted back to before ours."""
    module = _zlib.load().inflates
    real = module.decompressobj

    class Shared:
        def __init__(self, *args):
            self._z = real(*args)

        def __getattr__(self, name):
            return getattr(self._z, name)

        def decompress(self, data, max_length):
            self._z.decompress(final(b"theirs") + bytes(1 << 20), 100)
            return self._z.decompress(data, max_length)

    monkeypatch.setattr(module, "decompressobj", Shared)
    with pytest.raises(RuntimeError, match="inflater is in use by another thread"):
        inflater().inflate(HELLO, True, None)


@pytest.mark.parametrize("data", [bytearray(HELLO), memoryview(HELLO), "text", None])
def test_it_takes_bytes_and_leaves_other_buffers_alone(data):
    kind = type(data).__name__
    with pytest.raises(TypeError, match=rf"'data' has incorrect type \(expected bytes, got {kind}"):
        inflater().inflate(data, True, None)
    assert data != bytearray(HELLO + TAIL)


def test_history_is_bounded():
    context = inflater(9)
    for size in (100, 500, 513, 100_000, 1):
        context.inflate(deflater(9).deflate(os.urandom(size), True), True, None)
        assert len(context._history) <= 2 * 512


@given(st.binary(max_size=100), st.booleans())
def test_garbage_never_raises_anything_else(data, fin):
    context = inflater()
    try:
        for _ in range(3):
            context.inflate(data, fin, 1000)
    except RemoteProtocolError as exc:
        assert exc.name in ("deflate_error", "message_too_big")


# Back ends


def outcome(deal, backend, pieces, bits, limit):
    """What a connection would see: all that comes out, then the error if there is one."""
    context = deflate.Inflater(bits, takeover=True, backend=backend)
    out = b""
    try:
        for i, piece in enumerate(pieces):
            out += context.inflate(piece, i in deal, limit)
    except RemoteProtocolError as exc:
        return out, exc.name
    return out, None


@given(data=st.data(), bits=st.integers(8, 15), level=st.integers(0, 9))
def test_same_bytes_errors_and_limits_as_the_standard_library(zlib_backend, data, bits, level):
    """Whatever comes in: right, damaged or invented, in any pieces, messages one after another."""
    size = data.draw(st.sampled_from([0, 20, 600, 5000]))
    seed = data.draw(st.binary(min_size=1, max_size=40))
    message = (seed * (size // len(seed) + 1))[:size] + seed
    wire = bytearray(stdlib(max(bits, 9), level)(message) if data.draw(st.booleans()) else seed)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(wire) - 1)) if wire else 0
        wire[place : place + 1] = data.draw(st.binary(max_size=2))
    step = data.draw(st.integers(1, 80))
    pieces = [bytes(wire[i : i + step]) for i in range(0, len(wire), step)] * 2
    deal = data.draw(st.sets(st.integers(0, len(pieces) or 1)))
    limit = data.draw(st.sampled_from([None, 0, 5, 300, len(message) - 1, len(message)]))
    expected = outcome(deal, "zlib", pieces, bits, limit)
    assert outcome(deal, zlib_backend, pieces, bits, limit) == expected


@given(
    messages=st.lists(st.binary(max_size=600), max_size=5),
    bits=st.integers(9, 15),
    level=st.integers(-1, 9),
    mem_level=st.integers(1, 9),
    takeover=st.booleans(),
    repeat=st.sampled_from([1, 40]),
)
def test_the_standard_library_understands_what_we_send(
    messages, bits, level, mem_level, takeover, repeat
):
    """Whatever the settings; without takeover each message by itself."""
    ours = deflater(bits, takeover, level, mem_level)
    theirs = zlib.decompressobj(-bits)
    for message in messages:
        if not takeover:
            theirs = zlib.decompressobj(-bits)
        message *= repeat
        assert theirs.decompress(ours.deflate(message, True) + TAIL) == message
        assert not theirs.eof and not theirs.unconsumed_tail


@pytest.mark.parametrize("level", range(-1, 10))
def test_every_level_is_one_of_the_back_ends(zlib_backend, level):
    data = b"level 0 of ISA-L makes it bigger " * 3
    wire = deflater(level=level).deflate(data, True)
    assert (len(wire) > len(data)) is (level == 0 and zlib_backend != "isal")


def test_no_takeover_shares_compressors_and_no_windows():
    """One compressor for all connections with equal settings; none while nothing is sent."""
    first, second = deflater(takeover=False), deflater(takeover=False)
    text = os.urandom(400)
    assert first.deflate(text, True) == second.deflate(text, True)
    assert first._context is None and second._context is None
    first.deflate(text, False)  # a fragmented message keeps its own until it ends
    begun = first._context
    assert second.deflate(b"Hello", True) == HELLO
    assert first._context is begun
    first.deflate(b"", True)
    assert first._context is None
    many = [deflater(takeover=False) for _ in range(10)]
    for last in (False, True):
        for one in many:
            one.deflate(b"at the same time", last)
    assert len(first._compressors._idle) == 4


@pytest.mark.parametrize("takeover", [True, False])
def test_a_message_that_failed_leaves_nothing_in_the_next(monkeypatch, takeover):
    """Ctrl-C, or no memory for what it yields: its bytes were never sent."""

    class Failing:
        def __init__(self, context):
            self._z = context

        def compress(self, data):
            return self._z.compress(data)

        def flush(self, mode):
            raise MemoryError

    ours, theirs = deflater(takeover=takeover), inflater(takeover=takeover)
    assert theirs.inflate(ours.deflate(b"before" * 9, True), True, None) == b"before" * 9
    take = _zlib.Compressors.take
    with monkeypatch.context() as patch:
        patch.setattr(_zlib.Compressors, "take", lambda self: Failing(take(self)))
        ours._context = None
        with pytest.raises(MemoryError):
            ours.deflate(b"secret" * 9, True)
    for text in (b"before" * 9, b"secret" * 9):
        assert theirs.inflate(ours.deflate(text, True), True, None) == text


def test_threads_never_share_a_compressor():
    wrong = []

    def work(seed):
        data = seed * 5000
        for _ in range(100):
            wire = deflater(takeover=False).deflate(data, True)
            if zlib.decompressobj(-15).decompress(wire + TAIL) != data:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=[bytes([n])]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_default_is_for_connections_made_after(zlib_backend):
    before = PerMessageDeflate().negotiate(())
    named = PerMessageDeflate(backend="zlib").negotiate(())
    try:
        wsfast.set_zlib_backend("zlib")
        assert PerMessageDeflate().negotiate(()).backend == "zlib"
    finally:
        wsfast.set_zlib_backend(zlib_backend)
    assert before.backend == zlib_backend and named.backend == "zlib"
    assert before.deflater()._compressors._backend.name == zlib_backend


@pytest.mark.parametrize("name", ["", "zlibng", "deflate"])
def test_unknown_back_ends(name):
    for choose in (wsfast.set_zlib_backend, lambda name: PerMessageDeflate(backend=name)):
        with pytest.raises(ValueError, match="there are zlib, zlib-ng, isal"):
            choose(name)


@pytest.mark.parametrize(
    ("name", "hidden"), [("zlib-ng", "zlib_ng"), ("isal", "isal"), ("isal", "zlib_ng")]
)
def test_a_missing_back_end_says_what_to_install(run_python, name, hidden):
    code = f"import sys, wsfast; sys.modules[{hidden!r}] = None; wsfast.set_zlib_backend({name!r})"
    said = run_python("-c", code).stderr
    words = (
        f"ImportError: the zlib back end '{name}' is not installed: pip install 'wsfast[{name}]'"
    )
    assert said.strip().splitlines()[-1] == words


# With the codec


@pytest.mark.parametrize("takeover", [True, False])
def test_through_the_codec(takeover):
    config = PerMessageDeflate(client_no_context_takeover=not takeover, threshold=10)
    client = config.confirm((("client_no_context_takeover", None),) if not takeover else ())
    server = config.negotiate(())
    encoder = FrameEncoder(Role.CLIENT, deflate=client.deflater())
    decoder = MessageDecoder(Role.SERVER, inflate=server.inflater())
    long = "wörld" * 1000
    wire = encoder.text(long) + encoder.text("hi") + encoder.text("hi", compress=True)
    wire += encoder.binary(b"a" * 20, fin=False) + encoder.ping(b"p") + encoder.continuation(b"bc")
    assert len(wire) < 200
    for chunk in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
        decoder = MessageDecoder(Role.SERVER, inflate=server.inflater())
        events = [event for piece in chunk for event in decoder.feed(piece)]
        messages = [event for event in events if isinstance(event, (str, bytes))]
        assert messages == [long, "hi", "hi", b"a" * 20 + b"bc"]


@pytest.mark.parametrize("delta", [-1, 0, 1])
def test_s1_s2_through_the_codec(delta):
    encoder = FrameEncoder(Role.CLIENT, deflate=deflater())
    wire = encoder.binary(bytes(5000), compress=True)
    limits = Limits(max_message=5000 + delta)
    decoder = MessageDecoder(Role.SERVER, limits=limits, inflate=inflater())
    (event,) = decoder.feed(wire)
    if delta < 0:
        assert isinstance(event, RemoteProtocolError) and event.name == "message_too_big"
        assert event.close_code == 1009
    else:
        assert event == bytes(5000)

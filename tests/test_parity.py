"""C and Python behave the same: any bytes, any chunking, any policy and limits."""

from __future__ import annotations

import copy
import inspect
import itertools
import sys
import zlib
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_codec import Late, Thrice

from wsfast import _deflate_py, deflate
from wsfast.frames import Limits, Policy, Role

NAMES = [
    "FrameDecoder",
    "FrameEncoder",
    "MessageDecoder",
    "Utf8Decoder",
    "Utf8Validator",
    "backend",
    "build_header",
    "mask",
    "mask_inplace",
    "parse_header",
    "scan",
    "utf8_valid",
]
FUNCTIONS = [name for name in NAMES if name.islower()]
CLASSES = [name for name in NAMES if not name.islower()]

policies = st.builds(
    Policy,
    mask=st.sampled_from(["require", "require", "forbid", "any"]),
    minimal_length=st.booleans(),
    msb=st.sampled_from(["reject", "too_big", "accept"]),
    rsv=st.sampled_from([0, 0, 1, 2, 4, 7]),
    check=st.sampled_from(["header", "payload"]),
    utf8=st.sampled_from(["fail_fast", "message", "off"]),
    close_codes=st.sampled_from(["rfc", "any"]),
)
_sizes = st.sampled_from([None, None, None, 0, 1, 5, 32, 64, 125, 126, 127, 300, (1 << 63) - 1])
limits = st.builds(
    Limits,
    max_message=_sizes,
    max_frame=_sizes,
    max_fragments=st.sampled_from([None, None, 1, 2, 3]),
)


# ---- what is there ------------------------------------------------------------------------------


def public(cls: type) -> list[str]:
    return [name for name in dir(cls) if not name.startswith("_")]


@pytest.mark.parametrize("name", NAMES)
def test_docstrings(agree: Any, name: str) -> None:
    if name != "backend":
        assert agree(lambda module: inspect.getdoc(getattr(module, name)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures(agree: Any, name: str) -> None:
    agree(lambda module: parameters(getattr(module, name)))


@pytest.mark.parametrize("name", CLASSES)
def test_members(agree: Any, name: str) -> None:
    agree(lambda module: getattr(module, name).__name__)
    members = agree(lambda module: public(getattr(module, name)))
    for member in members:
        agree(lambda module, member=member: described(getattr(getattr(module, name), member)))


def described(member: object) -> object:
    return inspect.getdoc(member), parameters(member)


def parameters(function: object) -> object:
    """Names, kinds and defaults; annotations are the stub's, ``self`` is not passed by name."""
    if not callable(function):
        return None
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in found if p.name != "self"]


# ---- decoders -----------------------------------------------------------------------------------


def zlib_inflater() -> deflate.Inflater:
    return deflate.Inflater(15, takeover=True)


@pytest.fixture(scope="module")
def history(outcome: Any) -> Callable[[Any, list[bytes]], list[object]]:
    """All a caller can see of a decoder while it is fed some chunks and the end."""

    def watch(decoder: Any, chunks: list[bytes]) -> list[object]:
        seen = []
        for feed in [*[partial(decoder.feed, chunk) for chunk in chunks], decoder.feed_eof]:
            seen.append(outcome(feed))
            seen.append((decoder.buffered, decoder.unfinished, outcome(lambda: decoder.failed)))
        return seen

    return watch


@given(st.data(), st.sampled_from(list(Role)), policies | st.none(), limits | st.none())
def test_frame_decoder(
    agree: Any,
    history: Any,
    streams: ModuleType,
    data: Any,
    role: Role,
    policy: Policy,
    limits: Limits,
) -> None:
    masked = data.draw(st.sampled_from([role is Role.SERVER] * 3 + [None]))
    chunks = data.draw(streams.chunked(data.draw(streams.mutated(masked))))
    options = {"policy": policy, "limits": limits, "partial": data.draw(st.booleans())}
    agree(lambda module: history(module.FrameDecoder(role, **options), chunks))


@given(st.data(), st.sampled_from(list(Role)), policies | st.none(), limits | st.none())
def test_message_decoder(
    agree: Any,
    history: Any,
    streams: ModuleType,
    data: Any,
    role: Role,
    policy: Policy,
    limits: Limits,
) -> None:
    masked = data.draw(st.sampled_from([role is Role.SERVER] * 3 + [None]))
    chunks = data.draw(streams.chunked(data.draw(streams.mutated(masked))))
    text = data.draw(st.sampled_from(["str", "bytes"]))
    inflate = data.draw(st.sampled_from([None, None, Thrice, Late, zlib_inflater]))

    def run(module: ModuleType) -> object:
        options = {"policy": policy, "limits": limits, "text": text}
        try:
            decoder = module.MessageDecoder(role, **options, inflate=inflate and inflate())
        except ValueError as exc:
            return str(exc)
        return history(decoder, chunks)

    agree(run)


@given(st.data())
def test_compressed_messages(
    agree: Any, history: Any, outcome: Any, streams: ModuleType, data: Any
) -> None:
    """Real DEFLATE data in fragments, then mutated."""
    squeeze = deflate.Deflater(15, takeover=True, level=6, mem_level=8, threshold=0)
    stream = bytearray()
    for _ in range(data.draw(st.integers(1, 3))):
        opcode = data.draw(st.sampled_from([streams.TEXT, streams.BINARY]))
        pieces = data.draw(st.lists(streams.texts(), min_size=1, max_size=3))
        for i, piece in enumerate(pieces):
            fin = i == len(pieces) - 1
            payload = squeeze.deflate(piece, fin)
            rsv = 0 if i else 4
            stream += streams.frame(0 if i else opcode, payload, fin=fin, rsv=rsv, key=streams.KEY)
    if data.draw(st.booleans()):
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    chunks = data.draw(streams.chunked(bytes(stream)))
    bounds = Limits(max_message=data.draw(st.sampled_from([None, 1, 10, 40, 1000])))
    text = data.draw(st.sampled_from(["str", "bytes"]))
    most = data.draw(st.sampled_from([1, 10, 40, 1000]))

    def run(module: ModuleType) -> object:
        whole, parts = (
            module.MessageDecoder(Role.SERVER, limits=bounds, text=text, inflate=zlib_inflater())
            for _ in range(2)
        )
        return history(whole, chunks), outcome(lambda: some(parts, chunks, most))

    agree(run)


def some(decoder: Any, chunks: list[bytes], most: int) -> list[object]:
    """What each call of ``feed_some`` yields, and leaves."""
    seen = []
    for chunk in chunks:
        while chunk:
            items, taken = decoder.feed_some(chunk, most)
            seen.append((items, taken, decoder.buffered, decoder.unfinished))
            chunk = chunk[taken:]
    return seen


@pytest.mark.parametrize("check", ["header", "payload"])
def test_every_first_byte(agree: Any, history: Any, streams: ModuleType, check: str) -> None:
    """All first bytes, inside and outside a fragmented message, at every length class."""
    opened = streams.frame(streams.TEXT, b"x", fin=False)
    lengths = [b"\x00", b"\x01a", b"\x7d", b"\x7e\x00\x7d", b"\x7e\x00\x7e", b"\x7f" + b"\0" * 8]
    policies = [Policy(mask="forbid", check=check, rsv=rsv) for rsv in (0, 7)]
    cases = list(itertools.product(policies, [b"", opened], range(256), lengths))

    def run(module: ModuleType) -> object:
        return [
            history(module.FrameDecoder(Role.CLIENT, policy=policy), [before, bytes([first]), rest])
            for policy, before, first, rest in cases
        ]

    agree(run)


@given(st.data(), policies)
def test_receive_buffer(
    backend: ModuleType, outcome: Any, streams: ModuleType, data: Any, policy: Policy
) -> None:
    """``get_buffer``/``buffer_updated`` are ``feed``."""
    chunks = data.draw(streams.chunked(data.draw(streams.mutated())))

    fed = backend.FrameDecoder(Role.SERVER, policy=policy)
    read = backend.FrameDecoder(Role.SERVER, policy=policy)
    for chunk in chunks:
        view = read.get_buffer(-1)
        view[: len(chunk)] = chunk
        assert outcome(read.buffer_updated, len(chunk)) == outcome(fed.feed, chunk)


# ---- contexts of permessage-deflate -------------------------------------------------------------


@pytest.fixture(scope="module")
def context_pairs(c_backends: list[str]) -> tuple[ModuleType, ModuleType]:
    if not c_backends:
        pytest.skip("only one implementation is present")
    from wsfast import _deflate_c

    return _deflate_c, _deflate_py


@pytest.mark.parametrize(
    ("name", "member", "arguments"),
    [
        ("Inflater", "inflate", {}),
        ("Deflater", "deflate", {"level": 6, "mem_level": 5, "threshold": 0}),
    ],
)
def test_context_members(context_pairs: Any, name: str, member: str, arguments: Any) -> None:
    ours, twin = [getattr(module, name) for module in context_pairs]
    assert public(ours) == public(twin)
    assert described(getattr(ours, member)) == described(getattr(twin, member))
    for cls in (ours, twin):
        with pytest.raises(TypeError, match="cannot be pickled: it holds half a stream"):
            copy.copy(cls(15, takeover=True, **arguments))


@st.composite
def deflated(draw: Any) -> list[bytes]:
    """Pieces of DEFLATE data, some with a final block, some damaged, some larger than a window."""
    found = []
    for message in draw(st.lists(st.binary(max_size=400), min_size=1, max_size=6)):
        compressor = zlib.compressobj(draw(st.sampled_from([0, 6])), zlib.DEFLATED, -9, 5)
        wire = compressor.compress(message * draw(st.sampled_from([1, 1, 3, 500])))
        wire += compressor.flush(draw(st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FINISH])))
        wire = wire.removesuffix(b"\x00\x00\xff\xff")
        cut = draw(st.integers(0, len(wire)))
        found += draw(st.sampled_from([[wire], [wire[:cut], wire[cut:]], [wire[:cut]], [b""]]))
    return found


@given(
    pieces=deflated(),
    bits=st.integers(8, 15),
    takeover=st.booleans(),
    max_ratio=st.sampled_from([None, None, 1, 2.5, 300]),
    fins=st.integers(0, 4095),
    limit=st.sampled_from([None, None, 0, 1, 400, 5000, 1 << 17, sys.maxsize, 1 << 70]),
)
def test_inflaters(
    context_pairs: Any, outcome: Any, zlib_backend: str, pieces: Any, bits: int, takeover: bool,
    max_ratio: Any, fins: int, limit: Any,
) -> None:  # fmt: skip
    """The same bytes, errors and history after any pieces, also behind an error."""
    both = [m.Inflater(bits, takeover=takeover, max_ratio=max_ratio) for m in context_pairs]
    for i, piece in enumerate(pieces):
        ours, twin = [outcome(one.inflate, piece, bool(fins >> i & 1), limit) for one in both]
        assert ours == twin
        ours, twin = [bytes(one._history or b"")[-(1 << bits) :] for one in both]
        assert ours == twin


@given(
    messages=st.lists(st.binary(max_size=300) | st.just(b"x" * 70_000), max_size=6),
    bits=st.integers(8, 15),
    takeover=st.booleans(),
    fins=st.integers(0, 63),
)
def test_deflaters(
    context_pairs: Any, zlib_backend: str, messages: Any, bits: int, takeover: bool, fins: int
) -> None:
    ours, twin = [
        module.Deflater(bits, takeover=takeover, level=6, mem_level=5, threshold=7)
        for module in context_pairs
    ]
    assert ours.threshold == twin.threshold == 7
    for i, message in enumerate(messages):
        fin = bool(fins >> i & 1)
        assert ours.deflate(message, fin) == twin.deflate(message, fin)


@given(
    role=st.sampled_from(list(Role)),
    text=st.text(max_size=300) | st.text("ab", max_size=300),
    takeover=st.booleans(),
    fin=st.booleans(),
)
def test_encoders_with_either_context(
    agree: Any, context_pairs: Any, role: Role, text: str, takeover: bool, fin: bool
) -> None:
    """What is handed over without a copy, and what is not: the same frames."""
    data = text.encode()
    shapes = [text, data, bytearray(data), memoryview(data), type("Str", (str,), {})(text)]

    def run(module: ModuleType) -> object:
        found = []
        for contexts, shape in itertools.product(context_pairs, shapes):
            squeeze = contexts.Deflater(12, takeover=takeover, level=6, mem_level=5, threshold=9)
            encoder = module.FrameEncoder(role, keys=lambda: b"\1\2\3\4", deflate=squeeze)
            found.append([encoder.text(shape, fin=fin), encoder.ping(b"p")])
            if not fin:
                found[-1].append(encoder.continuation(shape))
            found[-1].append(encoder.text(shape, compress=True))
        assert all(frames == found[0] for frames in found)
        return found

    agree(run)

"""C and Python behave the same: kernels, headers, ``scan``, texts in pieces, encoders."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfast import deflate
from wsfast.errors import LocalProtocolError
from wsfast.frames import Close, Header, Limits, Opcode, Ping, Policy, Role

policies = st.builds(
    Policy,
    mask=st.sampled_from(["require", "require", "forbid", "any"]),
    minimal_length=st.booleans(),
    msb=st.sampled_from(["reject", "too_big", "accept"]),
    rsv=st.sampled_from([0, 0, 1, 4, 7]),
    check=st.sampled_from(["header", "payload"]),
)
keys = st.binary(min_size=4, max_size=4) | st.binary(max_size=6)
offsets = st.integers(-2, 9) | st.sampled_from([1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) + 3])
cuts = [b"\xed", b"\xa0", b"\x80", b"\xf4", b"\x8f", b"\x90", b"\xe0", b"\xc3", b"\xff", b"a"]
pieces = st.lists(
    st.sampled_from(cuts) | st.binary(max_size=5) | st.text(max_size=40).map(str.encode),
    max_size=8,
)


@given(st.binary(max_size=200), keys, offsets)
def test_mask(agree: Any, outcome: Any, data: bytes, key: bytes, offset: int) -> None:
    def run(module: ModuleType) -> object:
        place = bytearray(data)
        new = outcome(module.mask, data, key, offset=offset)
        return new, outcome(module.mask_inplace, place, key, offset), place

    agree(run)


@given(st.data(), policies)
def test_parse_header(
    agree: Any, outcome: Any, streams: ModuleType, data: Any, policy: Policy
) -> None:
    buf = data.draw(streams.mutated(None))[: data.draw(st.integers(0, 20))]
    pos = data.draw(st.integers(-1, len(buf) + 1) | st.just(0))
    agree(lambda module: outcome(module.parse_header, buf, pos, policy=policy))


@given(
    st.integers(-1, 17),
    st.integers(0, 300) | st.sampled_from([-1, 65535, 65536, (1 << 63) - 1, 1 << 63, 1 << 64]),
    st.booleans(),
    st.integers(-1, 8),
    keys | st.none(),
)
def test_build_header(
    agree: Any, outcome: Any, opcode: int, length: int, fin: bool, rsv: int, key: bytes | None
) -> None:
    kind, built = agree(
        lambda module: outcome(module.build_header, opcode, length, fin=fin, rsv=rsv, key=key)
    )
    if kind is bytes:
        policy = Policy(mask="any", rsv=7, check="payload")
        header = agree(lambda module: module.parse_header(built, policy=policy))
        assert header == Header(
            Opcode(opcode), fin, rsv, key is not None, length, key or b"", len(built)
        )


@given(st.data(), policies, st.none() | st.integers(0, 130), st.integers(0, 3))
def test_scan(
    agree: Any,
    outcome: Any,
    streams: ModuleType,
    data: Any,
    policy: Policy,
    max_frame: int | None,
    max_frames: int,
) -> None:
    buf = data.draw(streams.mutated(None))
    pos = data.draw(st.sampled_from([0, 0, 0, 1, len(buf), len(buf) + 1]))
    options = {"policy": policy, "max_frame": max_frame, "max_frames": max_frames}
    agree(lambda module: outcome(module.scan, buf, pos, **options))


@given(st.data(), st.none() | st.integers(0, 130))
def test_scan_is_a_frame_decoder_without_memory(
    backend: ModuleType, streams: ModuleType, data: Any, max_frame: int | None
) -> None:
    """A decoder delivers what ``scan`` finds, unless what it remembers stops it earlier."""
    buf = data.draw(streams.mutated())
    policy = Policy(utf8="off", close_codes="any")
    frames, at, error = backend.scan(buf, policy=policy, max_frame=max_frame)
    limits = Limits(max_message=None, max_frame=max_frame)
    decoder = backend.FrameDecoder(Role.SERVER, policy=policy, limits=limits)
    fed = decoder.feed(buf)
    failed = decoder.failed
    if failed is not None:
        fed.pop()
    assert fed == frames[: len(fed)]
    if failed is None and not any(frame.opcode == 8 for frame in frames):
        assert (len(fed), error) == (len(frames), None)
        assert decoder.buffered <= len(buf) - at
    elif failed is not None and error is not None and failed.offset == error.offset:
        assert failed.name == error.name


@given(pieces, st.booleans())
def test_text_in_pieces(agree: Any, outcome: Any, pieces: list[bytes], final: bool) -> None:
    def run(module: ModuleType) -> object:
        seen = []
        for cls in (module.Utf8Validator, module.Utf8Decoder):
            text = cls()
            for i, piece in enumerate([*pieces, b"a"]):
                last = final and i == len(pieces) - 1
                seen.append((outcome(text.feed, piece, last), text.pending))
            text.reset()
            seen.append((outcome(text.feed, "é".encode(), True), text.pending))
        return seen

    agree(run)


@given(pieces)
def test_text_against_the_interpreter(backend: ModuleType, pieces: list[bytes]) -> None:
    """Positions, reasons and text are those of ``bytes.decode`` of all that was fed so far."""
    decoder, validator = backend.Utf8Decoder(), backend.Utf8Validator()
    text = ""
    for i, piece in enumerate(pieces):
        final = i == len(pieces) - 1
        whole = b"".join(pieces[: i + 1])
        try:
            whole.decode()
        except UnicodeDecodeError as exc:
            if final or exc.reason != "unexpected end of data":
                for feed in (decoder.feed, validator.feed):
                    with pytest.raises(UnicodeDecodeError) as ours:
                        feed(piece, final)
                    assert (ours.value.start, ours.value.end) == (exc.start, exc.end)
                    assert ours.value.reason == exc.reason
                return
        assert validator.feed(piece, final) is None
        text += decoder.feed(piece, final)
        assert text == whole.decode(errors="ignore")
        assert decoder.pending == validator.pending == len(whole) - len(text.encode())


# ---- encoders -----------------------------------------------------------------------------------


class Keys:
    """Predictable keys; a bad one now and then."""

    def __init__(self, good: list[bool]) -> None:
        self.good, self.calls = good, 0

    def __call__(self) -> bytes:
        self.calls += 1
        return bytes([self.calls % 256] * (4 if self.good[self.calls % len(self.good)] else 3))


class Squeeze:
    threshold = 5

    def deflate(self, data: bytes, fin: bool) -> bytes:
        if b"!" in data:
            raise LocalProtocolError("deflate_error")
        return b"<" + data + (b">" if fin else b"")


payloads = st.one_of(
    st.text(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.binary(max_size=12),
    st.sampled_from([b"p" * 125, b"p" * 126, "é" * 70, "x" * 65536, b"", "", "\ud800", 5, None]),
    st.binary(max_size=8).map(bytearray),
    st.text(max_size=8).map(lambda text: memoryview(text.encode())),
)
calls = st.one_of(
    st.tuples(
        st.sampled_from(["text", "binary"]),
        st.tuples(payloads),
        st.fixed_dictionaries({"fin": st.booleans(), "compress": st.sampled_from([None, 0, 1])}),
    ),
    st.tuples(
        st.just("continuation"),
        st.tuples(payloads),
        st.fixed_dictionaries({"fin": st.booleans()}),
    ),
    st.tuples(st.sampled_from(["ping", "pong", "parts"]), st.tuples(payloads), st.just({})),
    st.tuples(
        st.just("close"),
        st.tuples(st.integers(-1, 5001) | st.sampled_from([1000, 1005, 1 << 64]), payloads),
        st.just({}),
    ),
    st.tuples(st.sampled_from(["ping", "pong", "close"]), st.just(()), st.just({})),
)


@given(
    st.sampled_from(list(Role)),
    st.lists(calls, max_size=8),
    st.sampled_from([[True], [True, True, False]]),
    st.sampled_from([None, Squeeze()]),
)
def test_encoder(
    agree: Any, outcome: Any, role: Role, calls: list[Any], good: list[bool], squeeze: Any
) -> None:
    def run(module: ModuleType) -> object:
        keys = Keys(good)
        encoder = module.FrameEncoder(role, keys=keys, deflate=squeeze)
        sent = [outcome(getattr(encoder, name), *args, **kw) for name, args, kw in calls]
        return sent, keys.calls

    agree(run)


@given(
    st.sampled_from(list(Role)),
    st.lists(st.binary(max_size=9), min_size=1, max_size=4) | st.lists(st.text(), min_size=1),
    st.booleans(),
)
def test_what_is_encoded_is_decoded(
    backend: ModuleType, role: Role, pieces: list[Any], compressed: bool
) -> None:
    """A message in any fragments, a Ping before its last, comes out whole at the other side."""
    peer = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    deflater = inflater = None
    if compressed:
        deflater = deflate.Deflater(15, takeover=True, level=6, mem_level=8, threshold=0)
        inflater = deflate.Inflater(15, takeover=True)
    encoder = backend.FrameEncoder(role, deflate=deflater)
    decoder = backend.MessageDecoder(peer, inflate=inflater)
    start = encoder.binary if isinstance(pieces[0], bytes) else encoder.text
    wire = start(pieces[0], fin=False)
    wire += b"".join(encoder.continuation(piece, fin=False) for piece in pieces[1:])
    wire += encoder.ping(b"now") + encoder.continuation(b"") + encoder.close(1001, "é")
    whole = type(pieces[0])().join(pieces)
    assert decoder.feed(wire) == [Ping(b"now"), whole, Close(1001, "é")]
    assert not decoder.unfinished

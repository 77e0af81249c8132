"""Frames without a state: what ``wsfast.integrations`` stands on, the same in C and in Python."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from codecs import getincrementaldecoder
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfast import STRICT_CLIENT, STRICT_SERVER, FrameDecoder, Limits, Role
from wsfast.frames import Policy

policies = st.builds(
    Policy,
    mask=st.sampled_from(["require", "require", "forbid", "any"]),
    minimal_length=st.booleans(),
    msb=st.sampled_from(["reject", "too_big", "accept"]),
    rsv=st.sampled_from([0, 0, 4, 7]),
    check=st.sampled_from(["header", "payload"]),
)
sizes = st.none() | st.integers(-1, 200) | st.sampled_from([1 << 63, 1 << 64])
ANY = Policy(mask="any", rsv=7)


# ---- C and Python -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Scanner", "Builder", "Whole", "instance", "take", "take_text", "take_utf8"]
)
def test_names_and_docstrings(agree: Any, name: str) -> None:
    def described(module: ModuleType) -> object:
        thing = getattr(module, name)
        members = [member for member in dir(thing) if not member.startswith("_")]
        return thing.__name__, inspect.getdoc(thing), members if isinstance(thing, type) else None

    agree(described)


@given(st.data(), policies, sizes)
def test_frame(
    agree: Any, outcome: Any, streams: Any, data: Any, policy: Policy, most: int
) -> None:
    buf = data.draw(streams.mutated(None))
    pos = data.draw(st.sampled_from([0, 0, 0, 1, len(buf), len(buf) + 1, -1]))
    kind = data.draw(st.sampled_from([bytes, bytearray, memoryview]))
    options = {name: data.draw(st.booleans()) for name in ("mutable", "decode")}

    def run(module: ModuleType) -> object:
        scanner = module.Scanner(policy, **options)
        return outcome(scanner.frame, kind(buf), pos, most), scanner.frames

    agree(run)


@given(st.data(), policies)
def test_begin(agree: Any, outcome: Any, streams: Any, data: Any, policy: Policy) -> None:
    buf = data.draw(streams.mutated(None))
    buf = buf[: data.draw(st.integers(0, len(buf)) | st.integers(0, 14))]
    pos = data.draw(st.sampled_from([0, 0, 0, 1, len(buf), len(buf) + 1, -1]))

    def run(module: ModuleType) -> object:
        scanner = module.Scanner(policy)
        return outcome(scanner.begin, buf, pos), scanner.frames

    agree(run)


keys = st.sampled_from([None, b"\x11\x22\x33\x44", bytearray(b"abcd"), memoryview(b"\xff\0\xff\0")])
wrong_keys = st.sampled_from([b"", b"abc", b"abcde", 3, "abcd"])
texts = st.text(max_size=40).map(str.encode) | st.binary(max_size=40) | st.just(b"x" * 300)
helds = st.sampled_from([b"", b"", b"\xe2", b"\xe2\x82", b"\xf0\x9f\x98", b"\xff", b"\xed"])
wrong_helds = st.sampled_from([None, "\u00e9", bytearray(b"\xc3"), 1])


@given(st.data(), texts, keys | wrong_keys)
def test_take(agree: Any, outcome: Any, data: Any, text: bytes, key: Any) -> None:
    size = data.draw(st.integers(-1, len(text) + 1) | st.just(len(text)))
    kind = data.draw(st.sampled_from([bytearray, bytearray, bytearray, bytes, list]))

    def run(module: ModuleType) -> object:
        buf = kind(text)
        return outcome(module.take, buf, size, key), buf

    agree(run)


@pytest.mark.parametrize("name", ["take_text", "take_utf8"])
@given(st.data(), texts, keys | wrong_keys, helds | wrong_helds, st.booleans())
def test_take_text(
    agree: Any,
    outcome: Any,
    streams: Any,
    name: str,
    data: Any,
    text: bytes,
    key: Any,
    held: Any,
    last: bool,
) -> None:
    size = data.draw(st.integers(-1, len(text) + 1) | st.just(len(text)))
    usable = isinstance(key, (bytes, bytearray, memoryview)) and len(key) == 4
    masked = streams.xor(text, key) if usable else text

    def run(module: ModuleType) -> object:
        buf = bytearray(masked)
        return outcome(getattr(module, name), buf, size, key, held, last), buf

    agree(run)


@given(st.data(), policies, sizes, st.booleans())
def test_messages(
    agree: Any, outcome: Any, streams: Any, data: Any, policy: Policy, most: int, decode: bool
) -> None:
    buf = data.draw(streams.mutated(None))
    pos = data.draw(st.sampled_from([0, 0, 0, 1, len(buf), len(buf) + 1, -1]))

    def run(module: ModuleType) -> object:
        scanner = module.Scanner(policy, decode=decode, opcodes=("T", "B"))

        def shown() -> object:
            found, end, more = scanner.messages(buf, pos, most)
            return [(one.opcode, one.payload, one.data, one.fin) for one in found], end, more

        return outcome(shown), scanner.frames

    agree(run)


@given(st.data(), policies, sizes, st.booleans())
def test_message(
    agree: Any, outcome: Any, streams: Any, data: Any, policy: Policy, most: int, mutable: bool
) -> None:
    one = streams.frames(None).map(lambda parts: b"".join(parts[:1]))
    buf = data.draw(streams.mutated(None) | one)

    def run(module: ModuleType) -> object:
        def shown(one: Any) -> object:
            return one and (one.opcode, one.payload, one.data, one.fin)

        alone, among = (module.Scanner(policy, mutable=mutable) for _ in range(2))
        found, (many, end, _) = alone.message(buf, most), among.messages(buf, 0, most)
        is_one = len(many) == 1 and end == len(buf)
        assert shown(found) == (shown(many[0]) if is_one else None)
        assert alone.frames == is_one
        return shown(found)

    agree(run)


@given(st.integers(-1, 256), st.binary(max_size=300) | st.text(max_size=200), st.booleans())
def test_build(agree: Any, outcome: Any, head: int, payload: Any, mutable: bool) -> None:
    agree(
        lambda module: outcome(module.Builder(masked=False, mutable=mutable).build, head, payload)
    )


@pytest.mark.parametrize("wrong", [1, None, "\ud800", memoryview(b"abcd").cast("I"), [1]])
def test_build_refuses(agree: Any, outcome: Any, wrong: Any) -> None:
    kind, _ = agree(lambda module: outcome(module.Builder(masked=True).build, 0x81, wrong))
    assert kind == "raised"


# ---- what they do -------------------------------------------------------------------------------


@given(st.data(), st.none() | st.integers(0, 130))
def test_frame_after_frame_is_a_scan(
    backend: ModuleType, streams: Any, data: Any, most: int | None
) -> None:
    buf = data.draw(streams.mutated())
    scanner, at, found = backend.Scanner(STRICT_SERVER), 0, None
    taken = []
    while at < len(buf) and isinstance(found := scanner.frame(buf, at, most), tuple):
        head, payload, at = found
        taken.append((head, payload))
    frames, end, error = backend.scan(buf, policy=STRICT_SERVER, max_frame=most)
    assert [(f.fin << 7 | f.rsv << 4 | f.opcode, f.payload) for f in frames] == taken
    assert (end, scanner.frames) == (at, len(taken))
    assert (error.name if error else None) == (found if isinstance(found, str) else None)


def test_faults_are_named_and_nothing_is_consumed(backend: ModuleType) -> None:
    scanner = backend.Scanner(Policy(mask="require", check="payload"))
    for wire, name in [
        (b"\x83", "invalid_opcode"),
        (b"\xc1", "reserved_bits"),
        (b"\x09", "control_fragmented"),  # at the header, whatever the policy says
        (b"\x89\xfe", "control_too_long"),
        (b"\x81\x00", "mask_required"),
        (b"\x81\xfe\x00\x7d", "length_not_minimal"),
        (b"\x81\x8b", "frame_too_big"),
    ]:
        assert scanner.frame(wire, 0, 10) == name
        assert scanner.messages(wire, 0, 10) == ([], 0, False)
        assert scanner.message(wire, 10) is None
    assert scanner.frame(b"\x80\x80\0\0\0\0", 0, -1) == "frame_too_big"
    assert scanner.frames == 0


@given(st.data(), texts, keys)
def test_pieces_of_text_are_decoded_as_one(
    backend: ModuleType, streams: Any, data: Any, text: bytes, key: Any
) -> None:
    """As CPython's incremental decoder does it, in any cut; what is ill-formed stays."""
    decoder, key, held = getincrementaldecoder("utf-8")(), bytes(key or 4), b""
    buf = bytearray(streams.xor(text, key))
    while buf:
        size = data.draw(st.integers(1, len(buf)))
        last = size == len(buf) and data.draw(st.booleans())
        before, copy = bytes(buf), buf[:]
        found = backend.take_text(buf, size, key if any(key) else None, held, last)
        utf8 = backend.take_utf8(copy, size, key if any(key) else None, held, last)
        try:
            expected = decoder.decode(streams.xor(before[:size], key), last)
        except UnicodeDecodeError:
            assert (found, buf, utf8, copy) == (None, before, None, before)
            return
        text, held = found
        assert (text, held, buf) == (expected, decoder.getstate()[0], before[size:])
        assert (utf8, copy) == ((text.encode(), len(text), held), buf)
        key = key[size % 4 :] + key[: size % 4]


def test_what_is_taken_is_gone(backend: ModuleType, streams: Any) -> None:
    buf = bytearray(streams.frame(2, b"0123456789", key=b"abcd"))
    scanner = backend.Scanner(STRICT_SERVER)
    assert scanner.begin(buf[:5], 0) is None
    assert scanner.begin(b"\x83", 0) == "invalid_opcode"
    assert scanner.begin(buf, 0) == (0x82, 10, b"abcd", 6)
    assert scanner.frames == 1
    assert backend.Scanner(STRICT_CLIENT).begin(b"\x81\x05", 0) == (0x81, 5, None, 2)
    del buf[:6]
    assert backend.take(buf, 4, b"abcd") == b"0123"
    with memoryview(buf), pytest.raises(BufferError):
        backend.take(buf, 6, b"abcd")
    assert type(taken := backend.take(buf, 6, b"abcd")) is bytes
    assert (taken, buf) == (b"456789", b"")


@pytest.mark.parametrize("last", [False, True, None, 2, []])
@pytest.mark.parametrize("held", [b"", b"\xed", b"\xed\xa0", b"a"])
@pytest.mark.parametrize("more", [b"", b"\xed", b"\xa0", b"\xed\xa0", b"\xed\xbf", b"\x9f"])
def test_half_a_surrogate_waits_as_it_does_with_the_host(
    agree: Any, outcome: Any, held: bytes, more: bytes, last: Any
) -> None:
    """CPython's decoder, and so the host's, refuses a surrogate with its third byte only."""

    def run(module: ModuleType) -> object:
        buf = bytearray(more)
        return (
            outcome(module.take_utf8, buf, len(more), None, held, last),
            bytes(buf),
            outcome(module.take_text, bytearray(more), len(more), None, held, last),
        )

    agree(run)


@pytest.mark.parametrize("head", [-1, 256, 1 << 64, -(1 << 70)])
def test_a_head_is_a_byte(backend: ModuleType, head: int) -> None:
    with pytest.raises(ValueError, match=r"head must be 0\.\.255"):
        backend.Builder(masked=False).build(head, b"")


def test_a_str_is_sent_as_it_is(backend: ModuleType) -> None:
    class Str(str):
        def encode(self, *args: Any) -> bytes:
            return b"lies"

    assert backend.Builder(masked=False).build(0x81, Str("é")) == b"\x81\x02\xc3\xa9"


def test_large_pieces(backend: ModuleType, streams: Any) -> None:
    """Where the GIL is given up, and what is behind stays."""
    text = ("x" * 70_000 + "é").encode()
    buf = bytearray(streams.xor(text + b"rest", b"abcd"))
    assert backend.take_text(buf, len(text), b"abcd", b"", True) == (text.decode(), b"")
    buf[:0] = streams.xor(text, b"abcd")
    assert backend.take_utf8(buf, len(text), b"abcd", b"", True) == (text, 70_001, b"")
    buf[:0] = streams.xor(text, b"abcd")
    assert backend.take(buf, len(text), b"abcd") == text
    assert len(buf) == 4


def test_messages_stop_before_what_is_no_whole_message(backend: ModuleType, streams: Any) -> None:
    text, binary = streams.frame(1, "é".encode()), streams.frame(2, b"\xff")
    scanner = backend.Scanner(STRICT_CLIENT)
    for other, incomplete in (
        (streams.frame(9), False),
        (streams.frame(8), False),
        (streams.frame(1, fin=False), False),
        (streams.frame(0), False),
        (streams.frame(1, b"\xff"), False),
        (streams.frame(1, b"\xc3"), False),
        (streams.frame(2, b"12345678901"), False),
        (streams.frame(1, b"abc")[:-1], True),
        (streams.frame(9, b"abc")[:-1], True),
        (b"\x01", True),
        (b"", True),
    ):
        found, end, more = scanner.messages(text + binary + other, 0, 10)
        assert [one.payload for one in found] == ["é", b"\xff"]
        assert (end, more) == (len(text + binary), incomplete)


def test_whole_has_the_shape_of_a_frame(backend: ModuleType) -> None:
    whole = backend.Whole("opcode", "é")
    assert (whole.opcode, whole.payload, whole.data, whole.fin) == (
        "opcode",
        "é",
        b"\xc3\xa9",
        True,
    )
    assert backend.Whole(2, b"\xff").data == b"\xff"


def test_a_client_masks_with_fresh_keys(backend: ModuleType) -> None:
    builder = backend.Builder(masked=True)
    built = [builder.build(0x82, b"\0" * 9) for _ in range(64)]
    assert len({frame[2:6] for frame in built}) > 60
    decoder = FrameDecoder(Role.SERVER, limits=Limits())
    assert [frame.payload for frame in decoder.feed(b"".join(built))] == [b"\0" * 9] * 64
    assert builder.frames == 64


def test_mutable(backend: ModuleType) -> None:
    built = backend.Builder(masked=False, mutable=True).build(0x82, b"a")
    assert (type(built), built) == (bytearray, b"\x82\x01a")
    _, payload, _ = backend.Scanner(ANY, mutable=True).frame(built, 0, None)
    assert (type(payload), payload) == (bytearray, b"a")
    [whole], _, _ = backend.Scanner(ANY, mutable=True).messages(built, 0, None)
    assert (whole.payload, whole.data, type(whole.data)) == (b"a", b"a", bytearray)


def test_decode(backend: ModuleType, streams: Any) -> None:
    scanner = backend.Scanner(ANY, decode=True, mutable=True)
    for wire, expected in [
        (streams.frame(1, "aé".encode()), "aé"),
        (streams.frame(1), ""),
        (streams.frame(1, b"\xff"), bytearray(b"\xff")),
        (streams.frame(1, b"a", fin=False), bytearray(b"a")),
        (streams.frame(1, b"a", rsv=4), bytearray(b"a")),
        (streams.frame(2, b"a"), bytearray(b"a")),
    ]:
        _, payload, _ = scanner.frame(wire, 0, None)
        assert (type(payload), payload) == (type(expected), expected)


@pytest.mark.parametrize("name", ["Scanner", "Builder"])
def test_they_are_not_pickled(backend: ModuleType, name: str) -> None:
    made = backend.Scanner(ANY) if name == "Scanner" else backend.Builder(masked=True)
    with pytest.raises(TypeError, match=f"{name} cannot be pickled"):
        pickle.dumps(made)


# ---- instance -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Event:
    data: str
    last: bool = True

    def __post_init__(self) -> None:
        raise AssertionError("__init__ was called")


def test_instance_sets_what_is_frozen(backend: ModuleType) -> None:
    made = backend.instance(Event, ("data", "last"), ("a", False))
    assert type(made) is Event
    assert vars(made) == {"data": "a", "last": False}


@pytest.mark.parametrize(
    "arguments",
    [
        (Event, ("data",), ()),
        ("Event", ("data",), ("a",)),
        (int, ("data",), (1,)),
        (Event, (1,), ("a",)),
    ],
)
def test_instance_refuses(agree: Any, outcome: Any, arguments: Any) -> None:
    kind, _ = agree(lambda module: outcome(module.instance, *arguments))
    assert kind == "raised"

"""S1 to S7: what a peer can make us hold, compute or believe."""

from __future__ import annotations

import zlib
from types import ModuleType
from typing import Any

import pytest

from wsfast import HandshakeError, Limits, RemoteProtocolError, Role, handshake
from wsfast.deflate import PerMessageDeflate
from wsfast.frames import STRICT_SERVER, Policy

KEY = b"\x37\xfa\x21\x3d"
KIB, MIB = 1 << 10, 1 << 20
DECODERS = ["FrameDecoder", "MessageDecoder"]


def deflated(data: bytes) -> bytes:
    """The payload of a compressed message, RFC 7692 §7.2.1."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def error_of(items: list[Any]) -> str:
    """The name of the error in ``items``, or ""."""
    return items[-1].name if items and isinstance(items[-1], RemoteProtocolError) else ""


# ---- S1, S2: compression -------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1000, MIB, 16 * MIB])
def test_s01_decompression_bomb(
    backend: ModuleType, bomb: bytes, frame: Any, connection: Any, refusal: Any, traced: Any,
    limit: int,
) -> None:  # fmt: skip
    """The limit counts what comes out, and nothing beyond it is ever made (CVE-2018-1000518)."""
    assert 250 * KIB < len(bomb) < 270 * KIB
    slack = MIB if backend.backend() != "python" else MIB + len(bomb)  # the twin copies freely
    wire = frame(2, bomb, rsv=4, key=bytes(4))
    options = {"compressed": True, "limits": Limits(max_message=limit)}
    ours = connection(**options)
    with traced() as peak:
        assert error_of(ours.receive(wire)) == "message_too_big"
        assert peak() < limit + slack
    assert ours.close_sent.code == 1009
    assert refusal(wire, pieces=False, **options) == "message_too_big"


def test_s01_bomb_in_fragments(bomb: bytes, frame: Any, refusal: Any) -> None:
    """The limit is the message's, not the frame's."""
    parts = [bomb[i : i + 300] for i in range(0, 3000, 300)]
    wire = frame(2, parts[0], fin=False, rsv=4, key=KEY)
    wire += b"".join([frame(0, part, fin=False, key=KEY) for part in parts[1:]])
    limits = Limits(max_message=MIB)
    assert refusal(wire, compressed=True, limits=limits) == "message_too_big"


def test_s01_ratio(frame: Any, connection: Any, refusal: Any) -> None:
    """A cap of its own for what stays below ``max_message``; inclusive."""
    payload = deflated(bytes(2000))
    wire = frame(2, payload, rsv=4, key=KEY)
    ratio = 2000 / len(payload)
    assert connection(compressed=True, limits=Limits(max_ratio=ratio)).receive(wire) == [
        bytes(2000)
    ]
    limits = Limits(max_ratio=ratio * 0.999)
    assert refusal(wire, compressed=True, limits=limits) == "message_too_big"


def test_s28_many_messages_in_one_read(backend: ModuleType, frame: Any, traced: Any) -> None:
    """Each is within the limit; ``feed_some`` makes no more of them than it is asked for."""
    inflater = PerMessageDeflate().negotiate(()).inflater()  # type: ignore[union-attr]
    decoder = backend.MessageDecoder(Role.SERVER, inflate=inflater)
    left, count = memoryview(frame(2, deflated(bytes(MIB)), rsv=4, key=bytes(4)) * 50), 0
    with traced() as peak:
        while left:
            items, taken = decoder.feed_some(left, 2 * MIB)
            assert [len(item) for item in items] == [MIB, MIB]
            left, count = left[taken:], count + 2
        assert count == 50 and peak() < 6 * MIB  # with those of the call before


WINDOWS = [512, 32 * KIB, 64 * KIB]  # the least, the default and twice that


@pytest.mark.parametrize("limit", [2, 100, *[w + d for w in WINDOWS for d in (-1, 0, 1)]])
@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("size", [None, 100])
def test_s02_limit_is_exact(
    frame: Any, connection: Any, refusal: Any, limit: int, opcode: int, size: int | None
) -> None:
    """Up to the limit whole, beyond it refused, never cut off (websockets#1715)."""
    limits = Limits(max_message=limit)
    for length in range(limit - 2, limit + 3):
        data = b"".join([b"%d " % i for i in range(length // 2 + 1)])[:length]
        payload = deflated(data)
        cut = len(payload) if size is None else size
        wire = frame(opcode, payload[:cut], fin=cut >= len(payload), rsv=4, key=KEY)
        for start in range(cut, len(payload), cut):
            last = start + cut >= len(payload)
            wire += frame(0, payload[start : start + cut], fin=last, key=KEY)
        if length <= limit:
            expected = data.decode() if opcode == 1 else data
            assert connection(compressed=True, limits=limits).receive(wire) == [expected]
        else:
            options = {"compressed": True, "limits": limits, "pieces": False}
            assert refusal(wire, **options) == "message_too_big"


# ---- S3, S4: fragments and dribbles --------------------------------------------------------------


@pytest.mark.parametrize("decoder", DECODERS)
def test_s03_empty_continuations(backend: ModuleType, frame: Any, decoder: str) -> None:
    """Those count too (CVE-2026-48779)."""
    ours = getattr(backend, decoder)(Role.SERVER)
    again = frame(0, fin=False, key=KEY) * 3000
    ours.feed(frame(2, fin=False, key=KEY))
    names = []
    for _ in range(100):
        names.append(error_of(ours.feed(again)))
        assert ours.buffered == 0
    assert [name for name in names if name] == ["too_many_fragments"]
    assert names.index("too_many_fragments") == 65537 // 3000
    assert ours.failed.close_code == 1009


def test_s03_empty_continuations_take_no_memory(frame: Any, connection: Any, traced: Any) -> None:
    ours = connection()
    ours.receive(frame(2, fin=False, key=KEY))
    again = frame(0, fin=False, key=KEY) * 1000
    with traced() as peak:
        for _ in range(20):
            assert ours.receive(again) == []
        assert peak() < 16 * KIB


def test_s03_limit_is_exact(frame: Any, connection: Any, refusal: Any) -> None:
    limits = Limits(max_fragments=4)
    parts = frame(1, b"a", fin=False, key=KEY) + 2 * frame(0, fin=False, key=KEY)
    whole = parts + frame(0, b"b", key=KEY)
    assert connection(limits=limits).receive(whole * 2) == ["ab", "ab"]
    assert refusal(parts + 2 * frame(0, fin=False, key=KEY), limits=limits) == "too_many_fragments"


def test_s03_fragments_are_one_buffer(frame: Any, connection: Any, traced: Any) -> None:
    """20,000 of one byte: no object each (ws#2331 held 15 times their size)."""
    ours = connection()
    ours.receive(frame(2, fin=False, key=KEY))
    chunk = frame(0, b"x", fin=False, key=KEY) * 100
    with traced() as peak:
        for _ in range(200):
            ours.receive(chunk)
        assert peak() < 20_000 * 2 + 64 * KIB


@pytest.mark.parametrize("opcode", [1, 2])
def test_s04_dribble_is_one_buffer(frame: Any, connection: Any, traced: Any, opcode: int) -> None:
    """A message byte by byte takes what it would at once (CVE-2026-54274)."""
    size = 30_000
    wire = frame(opcode, b"x" * size, key=KEY)
    pieces = [wire[i : i + 1] for i in range(len(wire) - 1)]
    ours = connection()
    with traced() as peak:
        for piece in pieces:
            ours.receive(piece)
        assert peak() < 3 * size + 16 * KIB
    assert ours.receive(wire[-1:])[0] in ("x" * size, b"x" * size)


@pytest.mark.parametrize("start", [b"\x81", b"\x01\x80" + KEY, b"\x81\x85" + KEY, b"\x89\xfd"])
def test_s04_too_slow(frame: Any, connection: Any, farewell: Any, start: bytes) -> None:
    """``message_timeout`` runs from the first byte, and no byte or Ping gains time."""
    ours = connection(limits=Limits(message_timeout=5.0))
    ours.receive(start, 100.0)
    assert ours.next_deadline() == 105.0
    if start[0] == 1:
        ours.receive(frame(9, b"now", key=KEY) + frame(0, b"x", fin=False, key=KEY), 104.0)
    assert ours.tick(104.9) == []
    [error] = ours.tick(105.0)
    assert (error.name, ours.close_sent.code) == ("too_slow", 1008)
    assert farewell(ours)[-1].reason == "message timeout"
    assert ours.should_close_transport


# ---- S5: work ------------------------------------------------------------------------------------


def floods(frame: Any) -> dict[str, bytes]:
    some = 2000
    return {
        "a frame": frame(2, bytes(50_000), key=KEY),
        "headers": frame(2, b"", key=KEY) * some,
        "continuations": frame(1, b"a", fin=False, key=KEY)
        + frame(0, b"b", fin=False, key=KEY) * some,
        "pings within": (frame(2, b"a", fin=False, key=KEY) + frame(9, b"b", key=KEY) * some),
        "long headers": frame(2, bytes(70_000), fin=False, key=KEY),
    }


@pytest.mark.parametrize("size", [1, 3, 1000, MIB])
@pytest.mark.parametrize("decoder", DECODERS)
def test_s05_quadratic_work(backend: ModuleType, frame: Any, decoder: str, size: int) -> None:
    """Bytes moved, not seconds: at most four for each that came (CVE-2023-43669 took minutes)."""
    for kind, wire in floods(frame).items():
        ours = getattr(backend, decoder)(Role.SERVER)
        for start in range(0, len(wire), size):
            ours.feed(wire[start : start + size])
        assert ours.failed is None
        assert ours._moved <= 4 * len(wire), kind


def test_s05_quadratic_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head byte by byte: each byte is searched a few times, not once for each that follows."""
    searched = 0

    class Counting(bytearray):
        def find(self, what: bytes, start: int) -> int:
            nonlocal searched
            searched += len(self) - start
            return super().find(what, start)

    monkeypatch.setattr("wsfast._http.bytearray", Counting, raising=False)
    reader = handshake.ServerHandshake()
    head = b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000
    for byte in head:
        reader.feed(bytes([byte]))
    assert len(head) <= searched <= 4 * len(head)


# ---- S6, S7: lengths -----------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("opcode", [1, 2])
def test_s06_declared_length(
    backend: ModuleType, frame: Any, traced: Any, decoder: str, opcode: int
) -> None:
    """Nothing is reserved on the word of a header beyond 64 KiB (CVE-2022-35922 aborted)."""
    ours = getattr(backend, decoder)(Role.SERVER, limits=Limits(max_message=None))
    with traced() as peak:
        ours.feed(frame(opcode, b"", key=bytes(4), length=1 << 62) + b"x")
        assert peak() < 80 * KIB
        for _ in range(100):
            ours.feed(b"x" * KIB)
        assert peak() < 300 * KIB
    assert ours.buffered == 100 * KIB + 1


def test_s06_limit_comes_before_the_payload(frame: Any, refusal: Any) -> None:
    head = frame(2, b"", key=KEY, length=MIB + 1)[:10]  # not even the masking key is awaited
    assert refusal(head) == "message_too_big"
    assert refusal(head, limits=Limits(max_message=None, max_frame=MIB)) == "frame_too_big"


@pytest.mark.parametrize("length", [(1 << 63), (1 << 63) + 1, (1 << 64) - 1])
def test_s07_top_bit_of_the_length(frame: Any, refusal: Any, length: int) -> None:
    """§5.2: "the most significant bit MUST be 0" (aiohttp#9781, gorilla CVE-2020-27813)."""
    limits = Limits(max_message=None)
    assert refusal(frame(2, key=KEY, length=length, width=8), limits=limits) == "length_msb"


@pytest.mark.parametrize("most", [5, (1 << 63) - 1])
def test_s07_sums_do_not_wrap(frame: Any, refusal: Any, most: int) -> None:
    """What came and what is announced: compared by subtraction."""
    wire = frame(2, b"abc", fin=False, key=KEY)
    wire += frame(0, key=KEY, fin=False, length=(1 << 63) - 1, width=8)
    assert refusal(wire, limits=Limits(max_message=most)) == "message_too_big"


def test_s07_the_longest_length(backend: ModuleType, frame: Any) -> None:
    """Where all limits are off, 2**63 - 1 is a length like any other."""
    longest = (1 << 63) - 1
    ours = backend.MessageDecoder(Role.SERVER, limits=Limits(max_message=None))
    assert ours.feed(frame(2, key=KEY, length=longest, width=8) + b"abc") == []
    assert (ours.buffered, ours.failed) == (3, None)
    header = backend.parse_header(frame(2, key=KEY, length=longest, width=8), policy=STRICT_SERVER)
    assert header.length == longest
    any_length = Policy(msb="accept")
    beyond = backend.parse_header(
        frame(2, key=KEY, length=(1 << 64) - 1, width=8), policy=any_length
    )
    assert beyond.length == (1 << 64) - 1


def test_s07_announced_and_received_do_not_wrap(backend: ModuleType, frame: Any) -> None:
    """Their sum reserves memory: wrapped, it would do so for each read anew (S5)."""
    any_length, limits = Policy(msb="accept"), Limits(max_message=None)
    ours = backend.MessageDecoder(Role.SERVER, policy=any_length, limits=limits)
    ours.feed(frame(2, b"abc", fin=False, key=KEY))
    ours.feed(frame(0, key=KEY, length=(1 << 64) - 1, width=8))
    for _ in range(1000):
        ours.feed(bytes(100))
    assert (ours.buffered, ours.failed) == (100_003, None)
    assert ours._moved <= 4 * 100_003


def test_s05_one_extension_header_of_64_kib() -> None:
    """No grammar that backtracks (CVE-2021-32640)."""
    offers = ", ".join(["permessage-deflate; client_max_window_bits"] * 1200)
    headers = [
        ("Host", "a"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    offer = handshake.check_upgrade("GET", "1.1", [*headers, ("Sec-WebSocket-Extensions", offers)])
    response = handshake.accept(offer, extensions=[PerMessageDeflate()])
    assert len(response.extensions) == 1
    bad = ("Sec-WebSocket-Extensions", 'a; b="' + "\\" * 60_000)
    with pytest.raises(HandshakeError):
        handshake.check_upgrade("GET", "1.1", [*headers, bad])

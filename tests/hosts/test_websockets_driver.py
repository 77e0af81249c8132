"""websockets' Protocol, its own against the one with our driver: what is seen after every step.

On the websockets that is installed; ``websockets_versions.py`` runs this file on every supported
one. Nothing here says what is right: the library does, and the driver must do the same.
"""

from __future__ import annotations

import itertools
import random
import secrets
import struct
import tomllib
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("websockets")

import streams
import websockets_lab as lab
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

Setting = lab.Setting
SERVER, CLIENT = Side.SERVER, Side.CLIENT
SIDES = {"server": SERVER, "client": CLIENT}
KEY = streams.KEY
OTHER_KEY = {SERVER: None, CLIENT: KEY}  # what must not be there, or is missing
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def wire(side: Side, opcode: int, payload: bytes = b"", **kw: Any) -> bytes:
    """A frame as ``side`` must receive it; ``key=None`` leaves the mask away."""
    kw.setdefault("key", KEY if side is SERVER else None)
    return streams.frame(opcode, payload, **kw)


def feed(*parts: bytes) -> tuple[str, bytes]:
    return "feed", b"".join(parts)


# ---- the vectors of this repository -------------------------------------------------------------

VECTORS = {
    f"{file.stem}: {case['name']}": case
    for file in sorted((Path(__file__).parents[1] / "vectors").glob("*.toml"))
    for case in tomllib.loads(file.read_text("utf-8"))["case"]
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(stage: Any, name: str) -> None:
    case = VECTORS[name]
    count, filler = case.get("fill", (0, ""))
    data = bytes.fromhex(case["wire"]) + bytes.fromhex(filler) * count
    setting = Setting(
        SIDES[case["role"]],
        max_size=case.get("limits", {}).get("max_message", 1 << 20),
        extensions=[lab.deflate()] if case.get("inflate") else [],
    )
    end = [("eof",)] if case.get("eof") else []
    compare_all(stage, setting, [("feed", data), *end], near=16)


def compare_all(
    stage: Any, setting: Any, play: list[Any], near: int = 40, after: Sequence[Any] = ()
) -> list[Any]:
    """In every chunking; returns what is seen of it as it stands. ``after`` follows the first."""
    plays = list(lab.ways(play, near))
    plays[:2] = [[*each, *after] for each in plays[:2]]
    return stage.compare(lambda: [lab.perform(setting, each) for each in plays])[0]


# ---- behaviour by name --------------------------------------------------------------------------

Plays = dict[str, Callable[[Side], list[Any]]]


def both_sides(opcode: int, payload: bytes = b"", **kw: Any) -> Callable[[Side], list[Any]]:
    return lambda side: [feed(wire(side, opcode, payload, **kw))]


def frames(*plan: tuple[Any, ...], end: bool = False) -> Callable[[Side], list[Any]]:
    """One feed of frames ``(opcode, payload[, keywords])``, and perhaps the end of the stream."""

    def play(side: Side) -> list[Any]:
        parts = [wire(side, op, data, **(kw[0] if kw else {})) for op, data, *kw in plan]
        return [feed(*parts), *([("eof",)] if end else [])]

    return play


MORE = {"fin": False}
TAIL = (TEXT, b"after")
NAMED: Plays = {
    "text, binary, ping, pong": frames((TEXT, b"a"), (BINARY, b"b"), (PING, b"c"), (PONG, b"d")),
    "empty ones": frames((TEXT, b""), (BINARY, b""), (PING, b""), (PONG, b"")),
    "invalid UTF-8 is not judged here": frames((TEXT, b"\xff"), TAIL),
    "fragments": frames((TEXT, b"a", MORE), (CONT, b"b", MORE), (CONT, b""), TAIL),
    "control frames between": frames((BINARY, b"a", MORE), (PING, b"p"), (PONG, b""), (CONT, b"")),
    "126 bytes": both_sides(BINARY, b"x" * 126),
    "64 KiB": both_sides(BINARY, b"x" * 65536),
    "opcode 3 alone": frames((3, b""), TAIL),
    "opcode 11 of a frame that never ends": lambda side: [feed(wire(side, 11, b"", length=200))],
    "opcode before mask": lambda side: [feed(streams.frame(7, b"", key=OTHER_KEY[side]))],
    "wrong mask": lambda side: [feed(streams.frame(TEXT, b"Hi", key=OTHER_KEY[side]))],
    "wrong mask after text": lambda side: [
        feed(wire(side, TEXT, b"first"), streams.frame(TEXT, b"", key=OTHER_KEY[side])),
    ],
    "mask before size": lambda side: [
        ("set", lab.MAX_SIZE, 5),
        feed(streams.frame(TEXT, b"x" * 6, key=OTHER_KEY[side])),
    ],
    "RSV1": frames((TEXT, b"abc", {"rsv": 4}), TAIL),
    "RSV2 on a ping": frames((PING, b"abc", {"rsv": 2}), TAIL),
    "RSV3 on a close": frames((CLOSE, b"\x03\xe8", {"rsv": 1}), TAIL),
    "RSV1 on a continuation": frames((TEXT, b"a", MORE), (CONT, b"b", {"rsv": 4}), TAIL),
    "RSV before control rules": frames((PING, b"x" * 126, {"rsv": 4, "fin": False}), TAIL),
    "ping of 125": both_sides(PING, b"x" * 125),
    "ping of 126": frames((PING, b"x" * 126), TAIL),
    "pong of 65536": frames((PONG, b"x" * 65536), TAIL),
    "close of 126": frames((CLOSE, b"\x03\xe8" + b"x" * 124), TAIL),
    "fragmented ping": frames((PING, b"x", MORE), TAIL),
    "fragmented close": frames((CLOSE, b"\x03\xe8", MORE), TAIL),
    "long fragmented ping": frames((PING, b"x" * 126, MORE), TAIL),
    "lengths longer than needed": frames(
        (TEXT, b"abc", {"width": 2}), (BINARY, b"abc", {"width": 8}), (PING, b"p", {"width": 2})
    ),
    "a continuation first": frames((CONT, b"x"), TAIL),
    "a continuation of nothing": frames((TEXT, b"a"), (CONT, b"x", MORE), TAIL),
    "text within a message": frames((TEXT, b"a", MORE), (BINARY, b"x"), TAIL),
    "text within a message, unfinished": frames((TEXT, b"a", MORE), (TEXT, b"x", MORE), TAIL),
    "close within a message": frames((TEXT, b"a", MORE), (CLOSE, b"\x03\xe8"), TAIL, end=True),
    "close, empty": frames((TEXT, b"a"), (CLOSE, b""), TAIL, end=True),
    "close of one byte": frames((CLOSE, b"\x03"), TAIL, end=True),
    "close 1000": frames((CLOSE, b"\x03\xe8bye"), TAIL, end=True),
    "close 1005": frames((CLOSE, b"\x03\xed"), TAIL, end=True),
    "close 999": frames((CLOSE, b"\x03\xe7"), TAIL, end=True),
    "close 4999": frames((CLOSE, b"\x13\x87"), TAIL, end=True),
    "close 5000": frames((CLOSE, b"\x13\x88"), TAIL, end=True),
    "close, reason not UTF-8": frames((CLOSE, b"\x03\xe8\xe2\x82"), TAIL, end=True),
    "close twice": frames((CLOSE, b"\x03\xe8"), (CLOSE, b"\x03\xe9"), end=True),
    "only the end": lambda side: [("eof",)],
    "the end twice, then data": frames((TEXT, b"a"), end=True),
    "the end within a message": frames((TEXT, b"a", MORE), end=True),
    "close from here, then theirs": lambda side: [
        ("call", "send_close", 1001, "away"),
        *frames((TEXT, b"late"), (PING, b"p"), (CLOSE, b"\x03\xe9"), TAIL)(side),
        ("eof",),
    ],
    "close from here, then a fault": lambda side: [
        ("call", "send_close"),
        feed(wire(side, TEXT, b"late"), wire(side, 3)),
        ("eof",),
    ],
    "close from here, then the end": lambda side: [("call", "send_close"), ("eof",)],
    "fail from here, then data": lambda side: [
        feed(wire(side, TEXT, b"a")[:4]),
        ("call", "fail", 1008, "no"),
        feed(wire(side, TEXT, b"a")[4:], wire(side, TEXT, b"b"), wire(side, CLOSE, b"")),
        ("eof",),
        feed(b"x"),
    ],
}  # fmt: skip
for size in (0, 1, 125, 126, 127):
    NAMED[f"the end in a frame of {size}"] = lambda side, size=size: [
        feed(wire(side, TEXT, b"first"), wire(side, TEXT, b"x" * size)[:-1]), ("eof",), ("eof",),
    ]  # fmt: skip


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("name", NAMED)
def test_named(stage: Any, side: Side, name: str, debug: bool) -> None:
    after = [feed(wire(side, TEXT, b"later")), ("drain",), ("call", "send_text", b"x"), ("drain",)]
    again = [("eof",), feed(b"x"), ("call", "fail", 1011), ("call", "send_ping", b""), ("drain",)]
    setting = Setting(side, debug=debug)
    compare_all(stage, setting, NAMED[name](side), 6 if debug else 40, [*after, *again])


LIMITS = [None, 0, 1, 4, 5, 6, True, 1 << 63, 1 << 64, 1 << 80]
if lab.PAIRS:
    LIMITS += [(None, None), (None, 4), (4, None), (10, 4), (4, 10), (9, 5), (1 << 80, 5)]
else:
    LIMITS += [4.5, float("inf")]


@pytest.mark.parametrize("limit", LIMITS, ids=repr)
def test_max_size(stage: Any, side: Side, limit: Any) -> None:
    setting = Setting(side, max_size=limit)
    plays = [
        frames((TEXT, b"x" * 4), (TEXT, b"x" * 5), (TEXT, b"x" * 6), TAIL),
        frames((TEXT, b"x" * 3, MORE), (PING, b""), (CONT, b"x", MORE), (CONT, b"xy"), TAIL),
        frames((TEXT, b"", MORE), *[(CONT, b"xy", MORE)] * 5, (CONT, b"")),
        frames((TEXT, b"", MORE), (CONT, b"12345"), (TEXT, b"12345", MORE), (CONT, b"6")),
        frames((TEXT, b"", MORE), (PING, b"12345"), (PING, b"123456"), TAIL),
        frames((PING, b"12345"), (PONG, b"123456"), TAIL),
        frames((CLOSE, b"\x03\xe8more"), TAIL, end=True),
        lambda side: [feed(wire(side, BINARY, b"x", length=1 << 40))],
        lambda side: [feed(wire(side, BINARY, b"x" * 300))],
        *(
            lambda side, length=length: [feed(wire(side, BINARY, b"xyz", length=length)), ("eof",)]
            for length in (1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
        ),
    ]
    for play in plays:
        compare_all(stage, setting, play(side), near=14)


def test_max_size_is_asked_for_each_frame(stage: Any, side: Side) -> None:
    """Changed between two frames. (Within one, the library's limit is the one it began with.)"""
    for new in (None, 3, 4, 1 << 70, -1, *([] if lab.PAIRS else [4.5])):
        play = [
            feed(wire(side, TEXT, b"abcd"), wire(side, TEXT, b"abcd", fin=False)),
            ("set", lab.MAX_SIZE, new),
            feed(wire(side, CONT, b"abcd"), wire(side, TEXT, b"abcd"), wire(side, TEXT, b"e")),
        ]
        compare_all(stage, Setting(side), play)


DATA: list[Any] = [
    *(bytearray(b"ab"), memoryview(b"ab"), memoryview(bytearray(b"xaxb"))[1::2]),
    *(memoryview(b"abcd").cast("I"), memoryview(b"abcd").cast("B", (2, 2)), memoryview(b"")),
    *("ab", None, 5, [97, 98], (97,), b"", bytearray(), object(), [300], 5.5),
]


@pytest.mark.parametrize("data", DATA, ids=repr)
def test_what_is_fed(stage: Any, side: Side, data: Any) -> None:
    """bytearray += data decides what is accepted; and afterwards the connection goes on."""
    whole = wire(side, TEXT, b"Hello")
    for prefix in (b"", whole[:1], whole[:-2], whole, wire(side, TEXT, b"", length=4)):
        play = [feed(prefix), ("feed", data), feed(whole), ("feed", data), ("eof",), ("feed", data)]
        stage.same(Setting(side), play)
    view = type(data) if isinstance(data, (bytearray, memoryview)) else bytes
    stage.same(Setting(side), [("feed", view(whole + whole[:3])), ("feed", view(whole[3:]))])


@pytest.mark.parametrize("data", DATA, ids=repr)
def test_what_is_sent(stage: Any, side: Side, data: Any) -> None:
    calls = [
        ("call", "send_text", data), ("call", "send_binary", data, False),
        ("call", "send_continuation", data, False), ("call", "send_continuation", data, True),
        ("call", "send_ping", data), ("call", "send_pong", data), ("call", "fail", 1011, data),
    ]  # fmt: skip
    for extensions in ([], [lab.deflate()], [lab.Reverse]):
        setting = Setting(side, extensions=extensions)
        stage.same(setting, [*calls, ("drain",)])
        for call in calls:
            stage.same(setting, [call, ("drain",), ("call", "send_text", b"x"), ("drain",)])


def test_every_size_sent(stage: Any, side: Side) -> None:
    sizes = [*range(70), *range(120, 132), 1000, 65534, 65535, 65536, 65537, 1 << 20]
    for kind in (bytes, bytearray, memoryview):
        play = [("call", "send_binary", kind(bytes([n % 251]) * n)) for n in sizes]
        stage.same(Setting(side), play)


@pytest.mark.parametrize("extension", [None, lab.Reverse, lab.Failing, lab.deflate()])
@pytest.mark.parametrize("mask", [True, False])
def test_frames_serialized(stage: Any, mask: bool, extension: Any) -> None:
    """Frame.serialize() by itself: legacy connections call it, with all there may be in a frame."""

    class Odd(Frame):
        """A subclass, and a check of its own."""

        def check(self) -> None:
            if self.data == b"refused":
                raise RuntimeError("BOOM")

    opcodes: list[Any] = [*Opcode, 0, 1, 3, 9, 15, 16, 0x80, 255]
    bits = [
        {},
        {"fin": False},
        {"fin": 0, "rsv1": True},
        {"rsv2": 1},
        {"rsv3": True},
        {"rsv1": None},
    ]
    values: list[Any] = [b"", b"x", b"!", b"refused", bytearray(b"y"), b"x" * 126, "text", None, 5]

    def run() -> list[Any]:
        found = []
        for cls, opcode, data, bit in itertools.product((Frame, Odd), opcodes, values, bits):
            made = [extension()] if extension else random.choice([None, [], ()])
            frame = cls(opcode, data, **bit)
            kind, value = lab.outcome(frame.serialize, mask=mask, extensions=made)
            if kind == "returned":
                assert value[0] == "bytes"
                value = lab.unmasked(value[1])
            found.append((cls, opcode, data, bit, kind, value))
        return found

    stage.compare(run)
    for arguments in ({}, {"mask": mask, "extension": None}):
        stage.compare(lambda given=arguments: lab.outcome(Frame(1, b"").serialize, **given))
    stage.compare(lambda: lab.outcome(Frame(1, b"").serialize, mask))


STATES: dict[str, Callable[[Side], list[Any]]] = {
    "open": lambda side: [],
    "sending fragments": lambda side: [("call", "send_text", b"a", False)],
    "receiving fragments": frames((TEXT, b"a", MORE)),
    "in a header": lambda side: [feed(wire(side, TEXT, b"a" * 300)[:3])],
    "in a payload": lambda side: [feed(wire(side, TEXT, b"a" * 300)[:200])],
    "closing": lambda side: [("call", "send_close", 1000)],
    "closed by them": frames((CLOSE, b"\x03\xe8")),
    "failed": lambda side: [("call", "fail", 1008)],
    "failed by them": frames((3, b"")),
    "eof": lambda side: [("eof",)],
    "closed": lambda side: [feed(wire(side, CLOSE, b"\x03\xe8")), ("eof",)],
    "closed, then more": lambda side: [
        ("call", "send_close"), feed(wire(side, CLOSE), b"x"), ("eof",),
    ],
}  # fmt: skip
CALLS: list[Any] = [
    ("call", "send_text", b"x"), ("call", "send_text", b"x", False),
    ("call", "send_binary", b"x"), ("call", "send_binary", b"x", False),
    ("call", "send_continuation", b"x", False), ("call", "send_continuation", b"x", True),
    ("call", "send_ping", b""), ("call", "send_ping", b"x" * 126), ("call", "send_pong", b"x"),
    ("call", "send_close"), ("call", "send_close", 1000, "bye"), ("call", "send_close", 1005),
    ("call", "send_close", None, "why"), ("call", "send_close", 1000, "x" * 124),
    ("call", "send_close", 4000, "\ud800"), ("call", "fail", 1011), ("call", "fail", 1006),
    ("call", "fail", 1000, "\ud800"), ("call", "fail", 5), ("call", "fail", 1000, "x" * 200),
    ("eof",), ("step",), ("first",), ("feed", b""), ("feed", b"\x8b"),
]  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_every_call_in_every_state(stage: Any, side: Side, state: str) -> None:
    after = [feed(wire(side, TEXT, b"Hi")), ("eof",), ("first",), ("drain",)]
    pairs = itertools.product(CALLS, [("call", "send_close"), CALLS[-1]])
    plays = [[*STATES[state](side), *calls, *after] for calls in [*((c,) for c in CALLS), *pairs]]
    stage.compare(lambda: [lab.perform(Setting(side), play) for play in plays])


@pytest.mark.parametrize("cls", lab.SUBCLASSES, ids=lambda cls: cls.__name__)
def test_subclasses(stage: Any, side: Side, cls: type[Protocol]) -> None:
    words = [b"a", b"answer", b"b", b"raise", b"refuse", b"c"]
    for order in (words, [words[0], words[4], words[2], words[3]], words[:3]):
        plan = [(PING if i % 2 else TEXT, word) for i, word in enumerate(order)]
        play = [*frames(*plan)(side), *frames((CLOSE, b"\x03\xe8"), TAIL, end=True)(side)]
        compare_all(stage, Setting(side, cls=cls), [*play, ("call", "send_text", b"x")], near=20)


def test_methods_set_on_the_instance(stage: Any, side: Side) -> None:
    """As tests and instrumentation do."""

    def spy(name: str) -> Callable[[Protocol], None]:
        def place(protocol: Protocol) -> None:
            method = getattr(protocol, name)

            def called(*args: Any, **kwargs: Any) -> Any:
                protocol.logger.info("%s %s", name, lab.shown(args))
                return method(*args, **kwargs)

            setattr(protocol, name, called)

        return place

    names = ["recv_frame", "send_frame", "fail", "discard", "send_eof", "parse", "receive_data"]
    for name in names:
        play = [
            feed(wire(side, TEXT, b"a")),
            ("do", spy(name)),
            *frames((TEXT, b"b"), (PING, b"p"), (TEXT, b"c", MORE), (CONT, b"d"))(side),
            *frames((CLOSE, b"\x03\xe8"), TAIL, end=True)(side),
        ]
        compare_all(stage, Setting(side), play, near=20)
        broken = [*play[:2], *frames((TEXT, b"b"), (3, b""), end=True)(side)]
        compare_all(stage, Setting(side), broken, near=20)


CHANGES: list[tuple[str, Callable[[], Any]]] = [
    ("debug", bool),
    ("extensions", lambda: [lab.Reverse()]),
    ("extensions", lambda: (lab.Reverse(),)),
    ("extensions", tuple),
    ("events", list),
    ("writes", list),
]


@pytest.mark.parametrize("name,new", CHANGES)
def test_what_is_set_in_between(stage: Any, side: Side, name: str, new: Any) -> None:
    """The library looks at its attributes for each frame."""
    (good,) = frames((TEXT, b"a"), (PING, b"p"), (TEXT, b"b", MORE), (CONT, b"c"))(side)
    bad = frames((TEXT, b"d", {"rsv": 2}), (TEXT, b"e", {"rsv": 1}))(side)
    change = ("do", lambda protocol: setattr(protocol, name, new()))
    for debug in (False, True):
        play = [("set", "debug", debug), good, change, good, ("set", "debug", True), good, *bad]
        compare_all(stage, Setting(side, debug=True), [*play, ("eof",)], near=5)


def test_many_frames_in_one_read(stage: Any, side: Side) -> None:
    plan = [(TEXT, b"%d" % i) for i in range(300)]
    plan[100:100] = [(PING, b"%d" % i) for i in range(20)]
    plan[200:200] = [(TEXT, b"a", MORE), *[(CONT, b"b", MORE)] * 50, (PONG, b""), (CONT, b"c")]
    (whole,) = frames(*plan)(side)
    stage.same(Setting(side), [whole, ("drain",), whole])
    for size in (7, 64, 1000):
        parts = [whole[1][i : i + size] for i in range(0, len(whole[1]), size)]
        steps = itertools.chain.from_iterable((feed(part), ("drain",)) for part in parts)
        stage.same(Setting(side), steps)


def test_large_frames_in_pieces(stage: Any, side: Side) -> None:
    large = wire(side, BINARY, bytes(range(256)) * 700)
    whole = large + wire(side, TEXT, b"a") + large + wire(side, 3)
    for size in (4096, 65536, len(large) - 1, len(large) + 1):
        parts = [feed(whole[i : i + size]) for i in range(0, len(whole), size)]
        stage.same(Setting(side), [*parts, ("eof",)])


# ---- extensions ---------------------------------------------------------------------------------


def squeeze(bits: int = 15, takeover: bool = True) -> Callable[..., bytes]:
    """A real peer: ``squeeze()(payload, fin=True, start=True)`` is what compression makes of it."""
    made = [zlib.compressobj(wbits=-bits)]

    def compress(payload: bytes, fin: bool = True, start: bool = True) -> bytes:
        if start and not takeover:
            made[0] = zlib.compressobj(wbits=-bits)
        data = made[0].compress(payload) + made[0].flush(zlib.Z_SYNC_FLUSH)
        return data[:-4] if fin else data

    return compress


@cache
def noise(size: int) -> bytes:
    """Bytes that do not compress, the same every time."""
    state, found = 1, bytearray()
    while len(found) < size:
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        found.append(state >> 16 & 0xFF)
    return bytes(found)


DEFLATES = [
    dict(zip(("remote_takeover", "local_takeover", "remote_bits", "local_bits"), each))
    for each in [*itertools.product([True, False], [True, False], [15, 9], [15, 9])]
]
RSV1 = {"rsv": 4}


@pytest.mark.parametrize("options", DEFLATES, ids=lambda o: "-".join(str(v) for v in o.values()))
@pytest.mark.parametrize("cls", [PerMessageDeflate, lab.CountingDeflate], ids=["own", "subclass"])
def test_deflate(stage: Any, side: Side, options: dict[str, Any], cls: Any) -> None:
    compress = squeeze(options["remote_bits"], options["remote_takeover"])
    plan: list[Any] = [(TEXT, b"plain"), (PING, b"p")]
    for payload in (b"", b"Hello", b"Hello", b"a" * 5000, noise(2030), noise(2040), noise(5000)):
        plan.append((TEXT, compress(payload), RSV1))
    plan += [
        (BINARY, compress(b"abc", False), {"rsv": 4, "fin": False}), (PING, b"between"),
        (CONT, compress(b"", False, False), MORE), (CONT, compress(b"d" * 400, True, False)),
        (BINARY, b"plain", MORE), (CONT, b""), (TEXT, compress(b"Hello"), RSV1),
    ]  # fmt: skip
    sends = [("call", "send_text", data) for data in (b"", b"Hello", noise(3000), noise(2040))]
    sends += [("call", "send_binary", b"a", False), ("call", "send_continuation", b"b", True)]
    setting = Setting(side, extensions=[lab.deflate(**options, cls=cls)], max_size=8000)
    found = compare_all(stage, setting, [*frames(*plan)(side), *sends, ("drain",)], near=6)
    assert all(not seen or seen["parser_exc"] is None for *_, seen in found), "the peer is wrong"


def broken_deflate() -> Plays:
    compress = squeeze()
    hello, zeros = compress(b"Hello"), squeeze()(b"\0" * 100_000)
    first = {"rsv": 4, "fin": False}
    final = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"  # BFINAL set, RFC 7692 §7.2.3.4
    edge = noise(2500)
    return {
        "not deflate": frames((TEXT, b"\xff\xff\xff", RSV1), TAIL),
        "cut": frames((TEXT, hello[:-2], RSV1), TAIL, (TEXT, hello, RSV1)),
        "a bomb": frames((TEXT, zeros, RSV1), TAIL),
        "a bomb in fragments": frames(
            (BINARY, squeeze()(b"x" * 900, False), first), (CONT, zeros, MORE), TAIL
        ),
        "RSV1 in a continuation": frames((TEXT, hello[:2], first), (CONT, hello[2:], RSV1), TAIL),
        "RSV1 on a control frame": frames((PING, hello, RSV1), TAIL),
        "RSV2 with it": frames((TEXT, hello, {"rsv": 6}), TAIL),
        "RSV3 alone": frames((TEXT, b"Hello", {"rsv": 1}), TAIL),
        "RSV1 on a continuation of plain text": frames((TEXT, b"a", MORE), (CONT, b"b", RSV1)),
        "a final block": frames((TEXT, final, RSV1), (TEXT, hello, RSV1)),
        "behind a final block": frames((TEXT, final[:-1] + b"\x05" * 9, RSV1), TAIL),
        "just at the limit": frames((TEXT, squeeze()(noise(1000)), RSV1), TAIL),
        "one above": frames((TEXT, squeeze()(noise(1001)), RSV1), TAIL),
        "long and incompressible": frames((TEXT, squeeze()(edge), RSV1), TAIL),
        "expected a continuation": frames((TEXT, hello, first), (TEXT, hello, RSV1), TAIL),
        "unexpected continuation": frames((CONT, hello, RSV1), TAIL),
        "close in between": frames((TEXT, hello[:3], first), (CLOSE, b"\x03\xe8"), end=True),
        "the end in between": frames((TEXT, hello[:3], first), end=True),
    }  # fmt: skip


BROKEN_DEFLATE = broken_deflate()


@pytest.mark.parametrize("name", BROKEN_DEFLATE)
def test_broken_deflate(stage: Any, side: Side, name: str) -> None:
    limits = [1000, 0, None, 2500]
    for limit, takeover in itertools.product(limits, [True, False]):
        setting = Setting(side, max_size=limit, extensions=[lab.deflate(takeover)])
        compare_all(stage, setting, BROKEN_DEFLATE[name](side), near=3)


EXTENSIONS = [
    [lab.Reverse], [lab.Double], [lab.Failing], [lab.deflate(), lab.Reverse],
    [lab.Reverse, lab.deflate()], [lab.deflate(), lab.deflate()], [lab.Double, lab.deflate()],
]  # fmt: skip


@pytest.mark.parametrize("extensions", EXTENSIONS, ids=lambda e: "-".join(f.__name__ for f in e))
def test_other_extensions(stage: Any, side: Side, extensions: list[Any]) -> None:
    hello = squeeze()(b"Hello")
    plans: list[Any] = [
        [(TEXT, b"abc"), (TEXT, b"abc", {"rsv": 2}), (PING, b"p"), (PING, b"pq", {"rsv": 2}), TAIL],
        [(TEXT, b"ab", MORE), (CONT, b"cd", {"fin": False, "rsv": 2}), (CONT, b"e"), TAIL],
        [(TEXT, b"ab", {"rsv": 1}), (PING, b"x" * 63), (TEXT, b"c", {"rsv": 3}), TAIL],
        [(TEXT, hello, RSV1), (TEXT, hello, {"rsv": 6}), (TEXT, hello, {"rsv": 7}), TAIL],
        [(TEXT, b"ok"), (TEXT, b"!ok"), TAIL], [(PING, b"!ok"), TAIL],
        [(TEXT, b"x" * 40, MORE), (CONT, b"x" * 15, MORE), (CONT, b""), TAIL],
        [(TEXT, b"x" * 60, MORE), (CONT, b""), TAIL], [(CLOSE, b"\x03\xe8"), TAIL],
    ]  # fmt: skip
    sends = [("call", "send_text", b"abc"), ("call", "send_binary", b"!", False), ("drain",)]
    for plan, limit in itertools.product(plans, [100, None]):
        setting = Setting(side, max_size=limit, extensions=extensions)
        compare_all(stage, setting, [*frames(*plan)(side), *sends], near=8)


# ---- what others put in the place of the library's parts ----------------------------------------


def test_keys_are_drawn_from_secrets(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody replaces it, the very bytes it returns are used, and it is asked as often."""
    calls: list[int] = []

    def token_bytes(size: int) -> bytes:
        calls.append(size)
        return bytes([len(calls) % 256]) * size

    play = [("call", "send_text", b"Hi"), feed(wire(CLIENT, PING, b"p"), wire(CLIENT, TEXT, b"x"))]
    play += [("call", "send_binary", b"x" * 300), ("call", "send_close"), ("drain",)]
    free = stage.same(Setting(CLIENT), play)

    def run() -> Any:
        calls.clear()
        return lab.perform(Setting(CLIENT), play, exact=True), len(calls)

    monkeypatch.setattr(secrets, "token_bytes", token_bytes)
    found, asked = stage.compare(run)
    assert asked == 4 and len(free) == len(found)


def test_keys_are_not_repeated(stage: Any) -> None:
    with stage.driver():
        protocol = Protocol(CLIENT)
        for _ in range(2000):
            protocol.send_text(b"")
        assert len({data[2:] for data in protocol.data_to_send()}) > 1990


def test_a_broken_unpack(stage: Any, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """As websockets' own tests do it: the exception becomes parser_exc."""
    real = struct.unpack

    def unpack(*args: Any) -> Any:
        if broken:
            raise RuntimeError("BOOM")
        return real(*args)

    broken = True
    one = wire(side, TEXT, b"abc")

    def run() -> Any:
        nonlocal broken
        found = []
        for play in ([feed(one)], [feed(one, one[:1]), feed(one[1:])], [feed(one[:1]), feed(one)]):
            actor = lab.Actor(Setting(side), False)
            found.append((actor.take(play[0]), actor.seen()))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(struct, "unpack", unpack)
                broken = True
                found.append((actor.take(play[-1]), actor.seen()))
                broken = False
                found.append((actor.take(("eof",)), actor.seen()))
        return found

    stage.compare(run)


REPLACED = [
    ("websockets.frames.Frame.check", lambda self: None),
    ("websockets.frames.Frame.serialize", lambda self, **kw: bytes(self.data)),
    ("websockets.protocol.Protocol.recv_frame", lambda self, frame: self.events.append(1)),
    ("websockets.protocol.Protocol.send_frame", lambda self, frame: self.writes.append(b"!")),
    ("websockets.protocol.Protocol.fail", lambda self, *a: self.logger.info("fail %s", a)),
    ("websockets.protocol.Protocol.receive_data", lambda self, data: self.events.append(data)),
    ("websockets.protocol.Protocol.events_received", lambda self: []),
    ("websockets.streams.StreamReader.feed_data", lambda self, data: self.buffer.extend(b"")),
]  # fmt: skip


@pytest.mark.parametrize("target,value", REPLACED, ids=[name for name, _ in REPLACED])
def test_replaced_while_active(stage: Any, side: Side, target: str, value: Any) -> None:
    """A method that somebody replaces on the class, over ours, is called as before."""
    play = [*frames((TEXT, b"a"), (PING, b"p"), (TEXT, b"b", {"rsv": 1}))(side), ("drain",)]

    def run() -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, value)
            return lab.perform(Setting(side), play)

    stage.compare(run)


# ---- the opening handshake ----------------------------------------------------------------------

REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def accept(protocol: Any) -> None:
    request = next(iter(protocol.events))
    response = protocol.accept(request)
    del response.headers["Date"]
    protocol.send_response(response)


def server(**options: Any) -> Protocol:
    options.pop("state")
    return ServerProtocol(**options)


def client(**options: Any) -> Protocol:
    options.pop("state")
    made = ClientProtocol(parse_uri("ws://localhost/chat"), **options)
    made.key = "dGhlIHNhbXBsZSBub25jZQ=="
    return made


def test_server_handshake(stage: Any) -> None:
    text = wire(SERVER, TEXT, b"Hello")
    after = [feed(text, text[:3]), feed(text[3:]), *frames((CLOSE, b""), end=True)(SERVER)]
    plays = [
        [feed(REQUEST), ("do", accept), *after],
        [feed(REQUEST, text), ("do", accept), *after],  # too early
        [feed(REQUEST, text[:3]), ("do", accept), feed(text[3:]), *after],
        [feed(REQUEST, wire(SERVER, 3)), *after],
        [feed(REQUEST[:50]), ("eof",)],
    ]
    for play, debug in itertools.product(plays, [False, True]):
        setting = Setting(SERVER, make=server, debug=debug)
        stage.same(setting, play)
        stage.same(setting, lab.bytewise(play))


def test_client_handshake(stage: Any) -> None:
    text = wire(CLIENT, TEXT, b"Hello")
    after = [feed(text, text[:3]), feed(text[3:]), *frames((CLOSE, b""), end=True)(CLIENT)]
    refused = RESPONSE.replace(b"101 Switching Protocols", b"404 Not Found")
    for play, debug in itertools.product(
        [
            [feed(RESPONSE, text), *after],
            [feed(RESPONSE, text[:1]), feed(text[1:]), *after],
            [feed(RESPONSE, wire(CLIENT, 3)), *after],
            [feed(refused, b"body"), ("eof",)],
            [feed(b"nonsense\r\n\r\n", text)],
        ],
        [False, True],
    ):
        compare_all(stage, Setting(CLIENT, make=client, debug=debug), play, near=5)


# ---- any stream, any chunks, anything in between -------------------------------------------------

sizes = st.sampled_from([None, 1 << 20, 1 << 20, 0, 1, 5, 64, 125, 126, 300])
if lab.PAIRS:
    sizes = sizes | st.tuples(sizes, sizes)
payloads = st.binary(max_size=8) | st.sampled_from([b"x" * 125, b"x" * 126, b"\xff", noise(3000)])
call = st.just("call")
data_sent = st.sampled_from(["send_text", "send_binary", "send_continuation"])
steps = st.one_of(
    st.tuples(call, data_sent, payloads, st.booleans()),
    st.tuples(call, st.sampled_from(["send_ping", "send_pong"]), payloads),
    st.tuples(call, st.just("send_close"), st.sampled_from([None, 1000, 1005, 4000])),
    st.tuples(call, st.just("fail"), st.sampled_from([1000, 1002, 1006, 1011, 7])),
    st.sampled_from([("eof",), ("step",), ("drain",), ("feed", b"")]),
)  # fmt: skip
any_extensions = st.sampled_from([[], [], [], [lab.deflate()], *EXTENSIONS])


@st.composite
def interleaved(draw: st.DrawFn, parts: list[bytes]) -> list[Any]:
    """Chunks fed, with anything in between, and mostly the end."""
    play: list[Any] = [("feed", part) for part in parts]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 4]))):
        play.insert(draw(st.integers(0, len(play))), draw(steps))
    return [*play, *draw(st.sampled_from([[("eof",)], [], [("eof",), ("feed", b"x")]]))]


@st.composite
def deflated(draw: st.DrawFn, side: Side, bits: int, takeover: bool) -> bytes:
    """Messages of a real peer, some not compressed, some broken."""
    compress, found = squeeze(bits, takeover), []
    for _ in range(draw(st.integers(1, 4))):
        opcode = draw(st.sampled_from([TEXT, BINARY]))
        parts = draw(st.lists(payloads | st.just(b"\0" * 3000), min_size=1, max_size=3))
        squeezed = draw(st.sampled_from([True, True, True, False]))
        for at, part in enumerate(parts):
            fin = at == len(parts) - 1
            data = compress(part, fin, at == 0) if squeezed else part
            if draw(st.integers(0, 9)) == 0:
                data = data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=3))
            rsv = 4 if squeezed and at == 0 else draw(st.sampled_from([0] * 9 + [4, 2]))
            found.append(wire(side, CONT if at else opcode, data, fin=fin, rsv=rsv))
            if draw(st.integers(0, 5)) == 0:
                found.append(wire(side, draw(st.sampled_from([PING, PONG])), b"p"))
    return b"".join(found)


@pytest.mark.parametrize("masked", [True, False, None], ids=["masked", "not masked", "mixed"])
@given(st.data())
def test_any_stream(stage: Any, masked: bool | None, data: st.DataObject) -> None:
    side = SERVER if masked else CLIENT
    stream = data.draw(streams.mutated(masked))
    setting = Setting(
        side,
        max_size=data.draw(sizes),
        extensions=data.draw(any_extensions),
        debug=data.draw(st.integers(0, 9)) == 0,
        cls=data.draw(st.sampled_from([Protocol] * 9 + list(lab.SUBCLASSES))),
        state=data.draw(st.sampled_from([State.OPEN] * 9 + [State.CLOSING, State.CONNECTING])),
    )
    play = data.draw(interleaved(data.draw(streams.chunked(stream))))
    stage.same(setting, play)
    if len(stream) <= 60:
        compare_all(stage, setting, [feed(stream), ("eof",)])


@given(st.data())
def test_any_deflated_stream(stage: Any, side: Side, data: st.DataObject) -> None:
    options = data.draw(st.sampled_from(DEFLATES))
    stream = data.draw(deflated(side, options["remote_bits"], options["remote_takeover"]))
    cls = data.draw(st.sampled_from([PerMessageDeflate, PerMessageDeflate, lab.CountingDeflate]))
    setting = Setting(side, data.draw(sizes), [lab.deflate(**options, cls=cls)])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)])]
    stage.same(setting, data.draw(interleaved(parts)))


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@given(st.data())
def test_our_classes(stage: Any, side: Side, debug: bool, data: st.DataObject) -> None:
    """FastServerProtocol and FastClientProtocol, without install(), against the library's own."""
    from wsfast.websockets import _protocols as ours

    def made(cls: type[Protocol]) -> Any:
        first = (parse_uri("ws://localhost/"),) if side is CLIENT else ()
        return Setting(
            side, limit, extensions, debug=debug, make=lambda **options: cls(*first, **options)
        )

    limit, extensions = data.draw(sizes), data.draw(any_extensions)
    stream = data.draw(streams.mutated(side is SERVER))
    play = data.draw(interleaved(data.draw(streams.chunked(stream))))
    stage.turn(False)
    own = ServerProtocol if side is SERVER else ClientProtocol
    original = lab.perform(made(own), play)
    found = lab.perform(made(ours.FAST[own]), play)
    assert found == original, lab.difference(original, found)


# ---- in place and away between any two steps ----------------------------------------------------


@given(st.data())
def test_turned_on_and_off_in_traffic(stage: Any, side: Side, data: st.DataObject) -> None:
    """Connections outlive install() and uninstall(), and lose nothing."""
    stream = data.draw(streams.mutated(side is SERVER))
    setting = Setting(side, data.draw(sizes), data.draw(any_extensions))
    play = data.draw(interleaved(data.draw(streams.chunked(stream))))
    turns = data.draw(st.lists(st.booleans(), min_size=len(play) + 1, max_size=len(play) + 1))
    stage.turn(False)
    original = lab.perform(setting, play)
    try:
        stage.turn(turns[0])
        actor, found = lab.Actor(setting, False), []
        for turn, step in zip(turns[1:], play):
            stage.turn(turn)
            found.append((step, actor.take(step), actor.seen()))
    finally:
        stage.turn(False)
    assert found == original, lab.difference(original, found)


@pytest.mark.parametrize("first", [True, False], ids=["made with", "made without"])
def test_turned_at_every_byte(stage: Any, side: Side, first: bool) -> None:
    """One turn, at each position of a stream of every kind of frame."""
    long = {"width": 2}
    good = [(TEXT, b"ab", long), (PING, b"p"), (BINARY, b"", MORE), (CONT, b"x"), (PONG, b"")]
    for last in ((CLOSE, b"\x03\xe8"), (3, b""), (TEXT, b"", {"rsv": 1})):
        (whole,) = frames(*good, last)(side)
        play = [*lab.bytewise([whole]), ("eof",)]
        stage.turn(False)
        original = lab.perform(Setting(side), play)
        for at in range(len(play)):
            stage.turn(first)
            actor, found = lab.Actor(Setting(side), False), []
            for number, step in enumerate(play):
                if number == at:
                    stage.turn(not first)
                found.append((step, actor.take(step), actor.seen()))
            assert found == original, (at, lab.difference(original, found))
    stage.turn(False)


def test_install_and_uninstall_in_traffic(stage: Any, side: Side) -> None:
    """The same with install() and uninstall() themselves."""
    (whole,) = frames((TEXT, b"a"), (PING, b"p"), (BINARY, b"b" * 200), (3, b""))(side)
    parts = [("feed", whole[1][i : i + 23]) for i in range(0, len(whole[1]), 23)]
    stage.turn(False)
    original = lab.perform(Setting(side), parts)
    for first in (stage.install, stage.uninstall):
        first()
        actor, found = lab.Actor(Setting(side), False), []
        turns = itertools.cycle([stage.uninstall, stage.install])
        for part, turn in zip(parts, turns):
            turn()
            found.append((part, actor.take(part), actor.seen()))
        stage.uninstall()
        assert found == original, lab.difference(original, found)


# ---- that all of this notices something ---------------------------------------------------------


def test_frames_went_through_the_driver(stage: Any, side: Side) -> None:
    before = stage.status().hits
    stage.same(
        Setting(side), [*frames((TEXT, b"a"), (PING, b"b"))(side), ("call", "send_text", b"")]
    )
    assert stage.status().hits >= before + 3


@pytest.mark.parametrize(
    "setting, direct",
    [
        (Setting(SERVER, make=server), True),
        (Setting(SERVER, cls=lab.Parsing), True),
        (Setting(SERVER, cls=lab.Looping), False),
    ],
    ids=["ServerProtocol", "Parsing", "Looping"],
)
def test_frames_are_taken_from_what_is_read(stage: Any, setting: Setting, direct: bool) -> None:
    """And not by way of the parser, unless somebody would miss its steps."""
    with stage.driver():
        protocol: Any = setting.protocol()[0]
        if isinstance(protocol, ServerProtocol):
            protocol.receive_data(REQUEST)
            accept(protocol)
        protocol.receive_data(wire(SERVER, TEXT, b"a"))
        assert (protocol._wsfast_parser is protocol.parser) is direct


WRONG: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "bytes for a bytearray": lambda patch: patch.setattr(Frame, "check", as_bytes),
    "an int for an Opcode": lambda patch: patch.setattr(Frame, "check", as_int),
    "a ping not answered": lambda patch: patch.setattr(Protocol, "send_frame", lambda *a: None),
    "another text": lambda patch: patch.setattr(Protocol, "fail", failing(Protocol.fail)),
}


def as_bytes(self: Frame) -> None:
    self.data = memoryview(bytes(self.data))


def as_int(self: Frame) -> None:
    self.opcode = int(self.opcode)  # type: ignore[assignment]
    if self.rsv1:
        raise RuntimeError


def failing(fail: Any) -> Any:
    return lambda self, code, reason="": fail(self, code, reason + "!")


@pytest.mark.parametrize("name", WRONG)
def test_differences_are_noticed(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        wrong = lab.Stage(lambda on: WRONG[name](patch) if on else patch.undo())
        play = frames((TEXT, b"a"), (PING, b"p"), (3, b""))(CLIENT)
        with pytest.raises(AssertionError, match="original"):
            wrong.same(Setting(CLIENT), play)


assert Opcode(TEXT) is Opcode.TEXT

"""The conversations that every host has with a raw peer: what the peer does, what the application.

Data only, but for what is too long to write down. ``scenario_peer.py`` plays the peer on a socket,
``scenario_hosts/`` the application in each host, ``test_scenarios.py`` compares.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from scenario_wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Wire

# ---- what a scenario is -------------------------------------------------------------------------

PAUSE = (
    "pause"  # let the host read what was sent, so that the next bytes come in a read of their own
)
HOLD = "hold"  # the same, and read nothing meanwhile
EOF = "eof"  # no more is sent
RESET = "reset"  # the connection is torn down


@dataclass(frozen=True)
class Read:
    """Wait for so many messages of the host, beyond those waited for before."""

    messages: int


Step = bytes | str | Read
Steps = Callable[[Wire], Iterable[Step]]
# What the application does in turn: a verb of scenario_hosts/stage.py and its arguments.
Action = tuple[Any, ...]
SINK: tuple[Action, ...] = (("receive all",),)
ECHO: tuple[Action, ...] = (("echo",),)
LOOPS = {"receive all", "echo", "iterate"}  # they end with the connection
ENDING = {"close", "fail"}


@dataclass(frozen=True)
class Scenario:
    """``eager``: the peer's first bytes come right behind the handshake, in the same segment."""

    name: str
    steps: Steps
    app: Sequence[Action] = SINK
    extension: str = ""  # what a client offers, and what a server agrees to
    eager: bool = False
    vague: bool = False  # it is chance how often something happens again: once is noted

    @property
    def host_closes(self) -> bool:
        """Whether the application closes, and a Close frame of the host wants an answer."""
        return self.app[-1][0] not in LOOPS or any(action[0] in ENDING for action in self.app)


SCENARIOS: dict[str, Scenario] = {}


def add(name: str, steps: Steps, app: Sequence[Action] = SINK, **options: Any) -> None:
    assert name not in SCENARIOS
    SCENARIOS[name] = Scenario(name, steps, app, **options)


def each(*parts: bytes) -> list[Step]:
    """Every part in a read of its own."""
    found: list[Step] = []
    for part in parts:
        found += [part, PAUSE]
    return found


def cut(data: bytes, *places: int) -> list[Step]:
    """``data`` in reads that end at these places."""
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return each(*(data[start:end] for start, end in pairwise(edges)))


def drip(data: bytes) -> list[Step]:
    return cut(data, *range(len(data)))


# ---- contents -----------------------------------------------------------------------------------

SIZES = (0, 1, 125, 126, 65535, 65536)
MEBIBYTE = 1 << 20  # every host's limit, where it has one
ALPHABETS = {
    "ascii": "Hello, world",
    "latin-1": "Déjà vu, ça et là",
    "cyrillic": "Привет, мир",
    "cjk": "你好，世界",
    "emoji": "👋🌍👩‍👩‍👧‍👦",
    "mixed": "a\0é\u07ff\u0800€\uffff\U00010000😀\U0010ffff",
}


def octets(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def letters(size: int, alphabet: str = "abcdefghijklmnopqrstuvwxyz ") -> str:
    return (alphabet * (size // len(alphabet) + 1))[:size]


# ---- the peer sends messages --------------------------------------------------------------------


def lockstep(*messages: Callable[[Wire], bytes]) -> Steps:
    """Each message after the answer to the one before."""

    def steps(w: Wire) -> Iterable[Step]:
        for message in messages:
            yield message(w)
            yield Read(1)
        yield w.close(1000)

    return steps


add("text-sizes", lambda w: [*each(*(w.text(letters(n)) for n in SIZES)), w.close(1000)])
add("binary-sizes", lambda w: [*each(*(w.binary(octets(n)) for n in SIZES)), w.close(1000)])
add("text-mebibyte", lambda w: [w.text(letters(MEBIBYTE)), w.close(1000)])
add("binary-mebibyte", lambda w: [w.binary(octets(MEBIBYTE)), w.close(1000)])
add("cjk-mebibyte", lambda w: [w.text(letters(MEBIBYTE // 3, "漢字")), w.close(1000)])
add("alphabets", lambda w: [*each(*map(w.text, ALPHABETS.values())), w.close(1000)])
add(
    "alphabets-long",
    lambda w: [*each(*(w.text(letters(9000, a)) for a in ALPHABETS.values())), w.close(1000)],
)
add("echo-text", lockstep(*(lambda w, n=n: w.text(letters(n)) for n in SIZES)), ECHO)
add("echo-binary", lockstep(*(lambda w, n=n: w.binary(octets(n)) for n in SIZES)), ECHO)
add("echo-alphabets", lockstep(*(lambda w, a=a: w.text(a) for a in ALPHABETS.values())), ECHO)
add("echo-mebibyte", lockstep(lambda w: w.text(letters(MEBIBYTE))), ECHO)
add("echo-cjk", lockstep(lambda w: w.text(letters(MEBIBYTE // 3, "漢字"))), ECHO)
BURST = 60
add(
    "echo-burst",
    lambda w: [b"".join(w.text(f"message {i}") for i in range(BURST)), Read(BURST), w.close(1000)],
    ECHO,
)
add(
    "echo-burst-binary",
    lambda w: [b"".join(w.binary(octets(i)) for i in range(BURST)), Read(BURST), w.close()],
    ECHO,
)
add(
    "echo-bursts",  # larger than a read of any host, and cut anywhere
    lambda w: [
        b"".join(w.text(letters(i * 7 % 1000)) for i in range(300)),
        Read(300),
        b"".join(w.binary(octets(i * 7 % 1000)) for i in range(300)),
        Read(300),
        w.close(1000),
    ],
    ECHO,
)
add(
    "echo-pings",  # pings and fragments among messages: the answers' order
    lambda w: [
        w.text("one") + w.ping(b"1") + w.text("two") + w.ping(b"2") + w.binary(b"3"),
        Read(3),
        w.fragments(TEXT, b"fo", b"ur", between=w.ping(b"4")) + w.text("five") + w.pong(b"6"),
        Read(2),
        w.close(1000),
    ],
    ECHO,
)
add(
    "many-in-one-read",
    lambda w: [
        b"".join(w.text(f"{i}") + w.binary(b"%d" % i) for i in range(100)) + w.close(1000),
    ],
)
add("echo-too-late", lambda w: [w.text("one") + w.binary(b"two") + w.close(1000)], ECHO)
add("echo-fault", lambda w: [w.text("one") + w.binary(b"two") + w.frame(3)], ECHO)
add(
    "echo-between",  # what is sent while messages wait, and then something else
    lambda w: [
        b"".join(w.text(f"{i}") for i in range(6)),
        Read(3),
        w.ping(b"after"),
        w.close(1000),
    ],
    (
        ("receive",),
        ("send", "one"),
        ("ping", b"first"),
        ("send", b"two"),
        ("pong", b"second"),
        ("fragments", ["th", "ree"]),
        SINK[0],
    ),
)
add("queued", lambda w: [b"".join(w.text(f"{i}") for i in range(400)), w.close(1000)],
    (("wait", 0.02), ("receive all",)))  # fmt: skip
add("queued-pings", lambda w: [b"".join(w.text(f"{i}") + w.ping(b"%d" % i) for i in range(100)),
    w.close(1000)], (("wait", 0.02), ("receive all",)))  # fmt: skip
add("eager", lambda w: [w.text("at once") + w.text("and again"), w.close(1000)], eager=True)

# ---- fragments, control frames ------------------------------------------------------------------

EMPTY = b""
CUTS = {
    "two": (b"ab", b"cd"),
    "empty-first": (EMPTY, b"ab"),
    "empty-last": (b"ab", EMPTY),
    "empty-middle": (b"ab", EMPTY, EMPTY, b"cd"),
    "all-empty": (EMPTY, EMPTY, EMPTY),
    "in-characters": ("é€😀".encode()[:1], "é€😀".encode()[1:4], "é€😀".encode()[4:7],
                      EMPTY, "é€😀".encode()[7:]),
    "many": tuple(b"%d" % (i % 10) for i in range(200)),
}  # fmt: skip
for kind, opcode in (("text", TEXT), ("binary", BINARY)):
    add(
        f"fragments-{kind}",
        lambda w, op=opcode: [*each(*(w.fragments(op, *c) for c in CUTS.values())), w.close(1000)],
    )
    add(
        f"fragments-apart-{kind}",
        lambda w, op=opcode: [
            *each(*(w.frame(CONT if i else op, b"xy", fin=i == 4) for i in range(5))),
            w.close(1000),
        ],
    )
    add(
        f"fragments-large-{kind}",
        lambda w, op=opcode: [w.fragments(op, *[letters(70000).encode()] * 10), w.close(1000)],
    )
    add(
        f"echo-fragments-{kind}",
        lockstep(*(lambda w, op=opcode, c=c: w.fragments(op, *c) for c in CUTS.values())),
        ECHO,
    )
    add(
        f"control-between-{kind}",
        lambda w, op=opcode: [
            *each(*(w.fragments(op, b"ab", b"cd", b"ef", between=between)
                    for between in (w.ping(), w.pong(), w.ping(b"in") + w.pong(b"between"),
                                    w.ping(octets(125))))),
            w.close(1000),
        ],
    )  # fmt: skip
add(
    "control-between-characters",
    lambda w: [w.fragments(TEXT, *CUTS["in-characters"], between=w.ping(b"?")) + w.close(1000)],
)
add("pings", lambda w: [*each(b"".join(w.ping(octets(n)) for n in range(126))), w.close(1000)])
add("pings-apart", lambda w: [*each(*(w.ping(octets(n)) for n in (0, 1, 4, 125))), w.close(1000)])
add("pongs", lambda w: [b"".join(w.pong(octets(n)) for n in range(126)), w.close(1000)])

# ---- where a read may end -----------------------------------------------------------------------

add("drip-text", lambda w: [*drip(w.text("drop by drop: é€😀")), w.close(1000)])
add("drip-fragments", lambda w: [*drip(w.fragments(TEXT, b"ab", EMPTY, b"c")), w.close(1000)])
add("drip-ping", lambda w: [*drip(w.ping(b"drop")), w.close(1000)])
add("drip-close", lambda w: drip(w.close(1000, "drop")))
add(
    "cut-in-header",  # in each place of the longest header, and of its key
    lambda w: [
        step
        for place in range(1, 16)
        for step in cut(w.binary(octets(65536 + place)), place)
    ]
    + [w.close(1000)],
)  # fmt: skip
add(
    "cut-in-medium-header",
    lambda w: (
        [step for place in range(1, 9) for step in cut(w.text(letters(300)), place)]
        + [w.close(1000)]
    ),
)
add(
    "cut-in-payload",  # at each phase of the key
    lambda w: [
        step
        for place in range(7, 16)
        for step in cut(w.text("é€😀" * 5), place, place + 13)
    ]
    + [w.close(1000)],
)  # fmt: skip
add(
    "cut-across",  # reads that end in one frame begin in the one before
    lambda w: [
        *cut(b"".join(w.text(letters(n)) for n in range(0, 400, 23)), *range(37, 4000, 97)),
        w.close(1000),
    ],
)
add(
    "cut-large",
    lambda w: [*cut(w.text(letters(200_000, "aé€😀")), 1000, 65537, 65538, 300_001), w.close(1000)],
)
add(
    "echo-cut",
    lambda w: (
        [
            step
            for place in range(1, 16)
            for step in (*cut(w.text("echo é€😀") + w.text("and"), place), Read(2))
        ]
        + [w.close(1000)]
    ),
    ECHO,
)

# ---- permessage-deflate -------------------------------------------------------------------------

TAKEOVER, NO_TAKEOVER = (
    "permessage-deflate",
    ("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
)
OFFERS = {
    "takeover": TAKEOVER,
    "no-takeover": NO_TAKEOVER,
    "bits": "permessage-deflate; client_max_window_bits=12; server_max_window_bits=12",
}
PROSE = letters(3000, "the same words again and again, é€😀 ")


def deflated(w: Wire) -> Iterable[Step]:
    for text in (*ALPHABETS.values(), "", PROSE, PROSE, letters(70000)):
        yield w.compressed(text)
        yield PAUSE
    yield w.compressed(octets(70000)) + w.compressed(b"") + w.compressed(b"\xff") + w.close(1000)


def deflated_fragments(w: Wire) -> Iterable[Step]:
    for between in (b"", w.ping(b"between"), w.ping() + w.pong(b"x")):
        yield from each(w.compressed_fragments(TEXT, PROSE.encode(), 5, between))
        yield from each(w.compressed_fragments(BINARY, octets(5000), 2, between))
    yield w.frame(TEXT, b"", rsv=4, fin=False) + w.more(w.squeezed("late")) + w.more(b"", fin=True)
    yield w.close(1000)


def deflated_echo(w: Wire) -> Iterable[Step]:
    for text in (*ALPHABETS.values(), "", PROSE, PROSE, letters(70000)):
        yield w.compressed(text)
        yield Read(1)
        yield w.text(text)  # not compressed, which is allowed
        yield Read(1)
    yield w.compressed(octets(70000)) + w.compressed(b"")
    yield Read(2)
    yield b"".join(w.compressed(f"message {i}") for i in range(50))
    yield Read(50)
    yield w.close(1000)


def deflated_cut(w: Wire) -> Iterable[Step]:
    yield from drip(w.compressed("drop by drop: é€😀"))
    whole = w.compressed(PROSE) + w.ping(b"x") + w.compressed(PROSE) + w.compressed(octets(500))
    yield from cut(whole, *range(1, len(whole), 31))
    yield w.close(1000)


for offer, extension in OFFERS.items():
    add(f"deflate-{offer}", deflated, extension=extension)
    add(f"deflate-fragments-{offer}", deflated_fragments, extension=extension)
    add(f"deflate-echo-{offer}", deflated_echo, ECHO, extension=extension)
    add(f"deflate-cut-{offer}", deflated_cut, extension=extension)
add(
    "deflate-uncompressed",
    lambda w: [
        *each(w.text("plain") + w.compressed("squeezed") + w.fragments(TEXT, b"in ", b"parts")),
        w.binary(octets(300)) + w.ping(b"x") + w.compressed(octets(300)) + w.close(1000),
    ],
    extension=TAKEOVER,
)
add(
    "deflate-mebibyte",
    lambda w: [*each(*map(w.compressed, (letters(MEBIBYTE), octets(MEBIBYTE)))), w.close(1000)],
    extension=TAKEOVER,
)


def final_block(data: bytes) -> bytes:
    """A message that ends its stream, as RFC 7692 §7.2.3.4 has it."""
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush(zlib.Z_FINISH) + b"\x00"


DEFLATE_FAULTS: dict[str, Callable[[Wire], bytes]] = {
    "garbage": lambda w: w.frame(TEXT, b"\xff\xfe\xfd", rsv=4),
    "bad-utf8": lambda w: w.frame(TEXT, w.squeezed(b"abc\xff"), rsv=4),
    "bad-utf8-late": lambda w: w.compressed_fragments(TEXT, b"x" * 200 + b"\xe2\x82(", 3, b""),
    "cut-character": lambda w: w.frame(TEXT, w.squeezed(b"abc\xe2\x82"), rsv=4),
    "rsv1-continuation": lambda w: (
        w.frame(TEXT, w.squeezed("ab"), rsv=4, fin=False) + w.frame(CONT, w.squeezed("c"), rsv=4)
    ),
    "rsv1-ping": lambda w: w.frame(PING, b"abc", rsv=4),
    "rsv1-close": lambda w: w.frame(CLOSE, b"\x03\xe8", rsv=4),
    "rsv2": lambda w: w.frame(TEXT, w.squeezed("abc"), rsv=6),
    "bomb": lambda w: w.compressed(bytes(2 * MEBIBYTE)),
    "bomb-fragments": lambda w: w.compressed_fragments(BINARY, bytes(2 * MEBIBYTE), 3, b""),
    "final-block": lambda w: w.frame(TEXT, final_block(b"the end"), rsv=4) + w.compressed("more"),
    "text-in-fragments": lambda w: w.frame(TEXT, w.squeezed("ab"), rsv=4, fin=False) + w.text("c"),
}
for fault, wrong in DEFLATE_FAULTS.items():
    add(
        f"deflate-fault-{fault}",
        lambda w, wrong=wrong: [w.compressed("before") + wrong(w) + w.close(1000)],
        extension=TAKEOVER,
    )

# ---- the peer closes ----------------------------------------------------------------------------

LEGAL = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4999)
ILLEGAL = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
for code in LEGAL + ILLEGAL:
    add(f"close-{code}", lambda w, code=code: [w.text("last") + w.close(code)])
REASONS = {
    "ascii": b"going home",
    "non-ascii": "до свидания 👋".encode(),
    "longest": b"r" * 123,
    "bad-utf8": b"bye\xff",
    "cut-utf8": b"bye\xe2\x82",
}
for kind, reason in REASONS.items():
    add(f"close-reason-{kind}", lambda w, r=reason: [w.text("last") + w.close(3000, r)])
add("close-empty", lambda w: [w.text("last") + w.close()])
add("close-one-byte", lambda w: [w.text("last") + w.frame(CLOSE, b"\x03")])
add("close-at-once", lambda w: [w.close(1000)])
add("close-in-fragments", lambda w: [w.text("unfinished", fin=False) + w.close(1000)])
add("close-twice", lambda w: [w.close(1000) + w.close(1001)])
add("close-then-text", lambda w: [w.close(1000) + w.text("after")])
add("close-then-ping", lambda w: [w.close(1000) + w.ping(b"after")])
add("close-then-fault", lambda w: [w.close(1000) + w.frame(3, b"after")])

# ---- faults -------------------------------------------------------------------------------------

FAULTS: dict[str, Callable[[Wire], bytes]] = {
    "opcode-3": lambda w: w.frame(3, b"abc"),
    "opcode-7": lambda w: w.frame(7),
    "opcode-11": lambda w: w.frame(11, b"abc"),
    "opcode-15": lambda w: w.frame(15, octets(126)),
    "rsv1": lambda w: w.frame(TEXT, b"abc", rsv=4),
    "rsv2": lambda w: w.frame(BINARY, b"abc", rsv=2),
    "rsv3": lambda w: w.frame(TEXT, b"abc", rsv=1),
    "rsv-ping": lambda w: w.frame(PING, b"abc", rsv=7),
    "rsv-close": lambda w: w.frame(CLOSE, b"\x03\xe8", rsv=1),
    "fragmented-ping": lambda w: w.frame(PING, b"abc", fin=False),
    "fragmented-pong": lambda w: w.frame(PONG, fin=False),
    "fragmented-close": lambda w: w.frame(CLOSE, b"\x03\xe8", fin=False),
    "long-ping": lambda w: w.frame(PING, octets(126)),
    "long-pong": lambda w: w.frame(PONG, octets(300)),
    "long-close": lambda w: w.frame(CLOSE, b"\x03\xe8" + b"r" * 124),
    "wrong-mask": lambda w: w.frame(TEXT, b"abc", masked=not w.client),
    "wrong-mask-empty": lambda w: w.frame(BINARY, masked=not w.client),
    "wrong-mask-ping": lambda w: w.frame(PING, b"abc", masked=not w.client),
    "length-16": lambda w: w.frame(TEXT, b"abc", width=2),
    "length-64": lambda w: w.frame(TEXT, b"abc", width=8),
    "length-64-of-16": lambda w: w.frame(BINARY, octets(300), width=8),
    "length-16-ping": lambda w: w.frame(PING, b"abc", width=2),
    "length-msb": lambda w: w.frame(TEXT, b"abc", length=1 << 63 | 3, width=8),
    "continuation": lambda w: w.more(b"abc", fin=True),
    "continuation-open": lambda w: w.more(b"abc"),
    "text-in-fragments": lambda w: w.text("a", fin=False) + w.text("b"),
    "binary-in-fragments": lambda w: w.text("a", fin=False) + w.binary(b"b", fin=False),
    "utf8-ff": lambda w: w.frame(TEXT, b"\xff"),
    "utf8-late": lambda w: w.frame(TEXT, b"a" * 300 + b"\xc0\xaf" + b"a" * 300),
    "utf8-surrogate": lambda w: w.frame(TEXT, b"a\xed\xa0\x80"),
    "utf8-too-high": lambda w: w.frame(TEXT, b"\xf4\x90\x80\x80"),
    "utf8-unfinished": lambda w: w.frame(TEXT, "€".encode()[:2]),
    "utf8-at-a-cut": lambda w: w.fragments(TEXT, b"a\xe2\x82", b"(b"),
    "utf8-second": lambda w: w.fragments(TEXT, b"good", b"b\xffd", b"good"),
    "utf8-unfinished-fragments": lambda w: w.fragments(TEXT, b"a", b"\xf0\x9f", b""),
}


def early(wrong: bytes, rest: bytes) -> list[Step]:
    """Cut at its beginning. The end comes with the rest: some applications find the fault, and
    that while more is read."""
    return cut(wrong + rest, 1, 2, min(7, len(wrong) - 1))


for fault, wrong in FAULTS.items():
    add(
        f"fault-{fault}",
        lambda w, wrong=wrong: [w.text("before") + wrong(w) + w.text("after") + w.close(1000)],
    )
    add(
        f"fault-{fault}-in-fragments",
        lambda w, wrong=wrong: [
            w.text("be", fin=False) + w.more("fore") + wrong(w) + w.close(1000)
        ],
    )
    # Is it found at the header, or with the payload? The header alone, and then no more, tells.
    add(f"fault-{fault}-header", lambda w, wrong=wrong: [wrong(w)[:2], EOF])
    add(f"fault-{fault}-cut", lambda w, wrong=wrong: early(wrong(w), w.close(1000)))

TOO_BIG: dict[str, Steps] = {
    "announced": lambda w: [w.frame(BINARY, b"abc", length=MEBIBYTE + 1, width=8), EOF],
    "frame": lambda w: [w.binary(octets(MEBIBYTE + 1)), EOF],
    "text": lambda w: [w.text(letters(MEBIBYTE + 1)), EOF],
    "fragments": lambda w: [
        w.binary(octets(MEBIBYTE - 1), fin=False),
        w.more(b"ab", fin=True),
        EOF,
    ],
    "then-more": lambda w: [
        *each(w.binary(octets(MEBIBYTE - 1), fin=False)),
        *each(w.more(b"ab", fin=True) + w.text("after") + w.ping(b"after") + w.text("again")),
        w.text("later"),
        EOF,
    ],
    "text-fragments": lambda w: [
        *(w.frame(CONT if i else TEXT, letters(1 << 16).encode(), fin=False) for i in range(16)),
        w.more("x", fin=True),
        EOF,
    ],
    "by-bytes": lambda w: [w.text(letters(MEBIBYTE // 2, "é") + "x"), EOF],
}
for kind, steps in TOO_BIG.items():
    add(f"too-big-{kind}", steps)

# ---- the end without a Close frame --------------------------------------------------------------

ENDS: dict[str, Callable[[Wire], bytes]] = {
    "at-once": lambda w: b"",
    "after-text": lambda w: w.text("last"),
    "after-first-byte": lambda w: w.text("last") + w.text("lost")[:1],
    "in-length": lambda w: w.text("last") + w.text(letters(300))[:3],
    "in-key": lambda w: w.text("last") + w.frame(TEXT, b"lost", masked=True)[:4],
    "after-header": lambda w: w.text("last") + w.frame(TEXT, b"lost")[: 6 if w.client else 2],
    "in-payload": lambda w: w.text("last") + w.text("lost")[:-1],
    "in-fragments": lambda w: w.text("last") + w.text("lost", fin=False),
    "in-ping": lambda w: w.text("last") + w.ping(b"lost")[:-2],
    "in-close": lambda w: w.text("last") + w.close(1000, "lost")[:-2],
}
for kind, data in ENDS.items():
    add(f"eof-{kind}", lambda w, data=data: [data(w), EOF])
add("eof-in-deflated", lambda w: [w.compressed(PROSE)[:-3], EOF], extension=TAKEOVER)
add("reset", lambda w: [w.text("last"), Read(1), RESET], ECHO)

# ---- the application sends ----------------------------------------------------------------------

DONE: Action = ("close", 1000, "done")


def sends(name: str, *actions: Action, **options: Any) -> None:
    add(f"send-{name}", lambda w: [], (*actions, *SINK), **options)


def nothing(w: Wire) -> Iterable[Step]:
    return []


class Text(str): ...


class Octets(bytes): ...


class Buffer(bytearray): ...


MUTABLE = bytearray(b"mutable")
sends("text", *(("send", letters(n)) for n in SIZES), DONE)
sends("binary", *(("send", octets(n)) for n in SIZES), DONE)
sends("alphabets", *(("send", text) for text in ALPHABETS.values()), DONE)
sends("alphabets-long", *(("send", letters(9000, a)) for a in ALPHABETS.values()), DONE)
sends("mebibyte", ("send", letters(MEBIBYTE)), ("send", octets(MEBIBYTE)), DONE)
sends("many", *(("send", f"message {i}") for i in range(300)), DONE)
sends(
    "buffers",
    ("send", MUTABLE),
    ("send", memoryview(b"a view")),
    ("send", memoryview(b"a view with holes")[::2]),
    ("send", bytearray(octets(70000))),
    DONE,
)
sends(
    "wrong-types",
    ("wait", 0.005),
    *(("send", value) for value in (None, 1, {"a": "b"}, 1.5, object)),
    DONE,
)
sends("subclasses", *(("send", value) for value in (Text("té"), Octets(b"b"), Buffer(b"b"))), DONE)
sends("surrogate", ("send", "before"), ("send", "\ud800"), ("send", "after"), DONE)
sends(
    "fragments",
    ("fragments", ["one", "two", "three"]),
    ("fragments", [b"one", b"", b"three"]),
    ("fragments", ["é€😀", ""]),
    ("fragments", ["alone"]),
    ("fragments", []),
    ("fragments", [bytearray(b"one"), memoryview(b"two")]),
    ("fragments", [letters(70000), letters(70000)]),
    DONE,
)
sends("fragments-mixed", ("fragments", ["one", b"two"]), ("send", "after"), DONE)
sends("fragments-wrong", ("fragments", ["one", 2]), ("send", "after"), DONE)
sends("fragments-wrong-first", ("fragments", [1, "two"]), ("send", "after"), DONE)
sends(
    "async-fragments",
    ("async fragments", ["one", "two", "three"]),
    ("async fragments", [b"alone"]),
    ("async fragments", []),
    DONE,
)
sends(
    "as-other",
    ("send as", b"bytes as text", True),
    ("send as", "text as bytes é", False),
    ("send as", b"\xff", True),
    DONE,
)
sends("pings", ("ping", b""), ("ping", b"payload"), ("ping", "text é"), ("ping", octets(125)),
      ("ping", octets(126)), ("ping awaited", b"answered"), DONE)  # fmt: skip
sends("pongs", ("pong", b""), ("pong", b"payload"), ("pong", "text é"), ("pong", octets(126)), DONE)
for code in (1000, 1001, 1011, 3000, 4999, 999, 1005, 1006, 1015, 2999, 5000):
    sends(f"close-{code}", ("send", "last"), ("close", code, ""), ("send", "too late?"), DONE)
for kind, text in (
    ("reason", "going home"),
    ("non-ascii", "до свидания 👋"),
    ("longest", "r" * 123),
    ("too-long", "é" * 62),
    ("none", None),
):
    sends(f"close-reason-{kind}", ("close", 3000, text), DONE)
sends("after-close", DONE, ("send", "late"), ("send", b"late"), ("ping", b"late"),
      ("fragments", ["la", "te"]), ("close", 1001, "again"))  # fmt: skip
for offer, extension in OFFERS.items():
    sends(
        f"deflated-{offer}",
        *(("send", text) for text in (*ALPHABETS.values(), "", PROSE, PROSE)),
        *(("send", octets(n)) for n in SIZES),
        ("send", bytearray(octets(3000))),
        ("send", memoryview(octets(3000))),
        ("fragments", [PROSE, "é€😀", "", PROSE]),
        ("fragments", [b"", octets(3000)]),
        ("ping awaited", b"never compressed"),
        ("send", letters(MEBIBYTE)),
        DONE,
        extension=extension,
    )

add("send-nothing", lambda w: [], (("send", "last"),))  # the application returns
add("send-fail", lambda w: [], (("send", "last"), ("fail",)))
# More than the system takes for a peer that does not read; how much it takes is not ours to say.
LARGE = (*[("send", letters(MEBIBYTE))] * 7, ("send", "small"))
for kind, steps in {
    "reader": lambda w: [HOLD, Read(8)],
    "reset": lambda w: [HOLD, RESET],
    "close": lambda w: [HOLD, w.close(1000)],
}.items():
    ending = (DONE,) if kind == "reader" else ()
    add(f"send-slow-{kind}", steps, (*LARGE, *ending, *SINK), vague=True)
FRAGMENTS: Action = ("async fragments", ["one", "two", "three"])
sends(
    "together",  # what is sent at the same time does not mix
    ("together", FRAGMENTS, ("send", "whole"), ("send", b"whole")),
    ("together", FRAGMENTS, ("later", "ping", b"between"), ("later", "send", b"whole")),
    ("together", *[("send", f"{i}") for i in range(20)]),
    ("together", FRAGMENTS, ("later", "broadcast", "skipped"), ("later", "send", "whole")),
    ("together", ("receive",), ("receive",), DONE),
    DONE,
)
sends(
    "behind-close",
    ("together", DONE, ("later", "send", "late"), ("later", "ping", b"late")),
    ("broadcast", "later still"),
    DONE,
)
for offer in ("none", *OFFERS):
    sends(
        f"broadcast-{offer}",
        *(("broadcast", text) for text in (*ALPHABETS.values(), "", PROSE, letters(70000))),
        *(("broadcast", data) for data in (b"", octets(300), MUTABLE, memoryview(b"view"))),
        *(("broadcast", value) for value in (None, 1, ["a"], Text("é"))),
        ("send", PROSE),
        DONE,
        ("broadcast", "late"),
        extension=OFFERS.get(offer, ""),
    )
CLOSES = (("receive",), ("close", 1000, "here"), *SINK)  # while something is under way
add("close-here-in-fragments", lambda w: [w.text("go") + w.text("unfinished", fin=False)], CLOSES)
add("close-here-in-frame", lambda w: [w.text("go") + w.text("unfinished")[:-2]], CLOSES)
add("close-here-in-header", lambda w: [w.text("go") + w.text(letters(300))[:3]], CLOSES)
add(
    "close-here-behind",
    lambda w: [b"".join(w.text(f"{i}") for i in range(9))],
    (("receive",), ("send", "one"), ("send", b"two"), ("close", 1000, "here"), *SINK),
)
add("close-here-full", lambda w: [b"".join(w.text(f"{i}") for i in range(9))], CLOSES)

# ---- other ways to receive ----------------------------------------------------------------------

MESSAGES: tuple[Callable[[Wire], bytes], ...] = (
    lambda w: w.text("whole é€😀"),
    lambda w: w.binary("binary é€😀".encode()),
    lambda w: w.fragments(TEXT, *CUTS["in-characters"]),
    lambda w: w.fragments(BINARY, b"ab", b"", b"cd"),
    lambda w: w.text(letters(70000, "aé€😀")),
    lambda w: w.text(""),
)


def some(w: Wire) -> Iterable[Step]:
    yield b"".join(message(w) for message in MESSAGES)
    yield w.close(1000)


def some_apart(w: Wire) -> Iterable[Step]:
    for message in MESSAGES:
        yield from each(message(w))
    yield w.close(3000, "apart")


for kind, how in (
    ("iterate", (("iterate",), *SINK)),
    ("stream", (*[("stream",)] * 6, *SINK)),
    ("stream-bytes", (*[("stream as", False)] * 6, *SINK)),
    ("stream-text", (*[("stream as", True)] * 6, *SINK)),
    ("as-bytes", (*[("receive as", False)] * 6, *SINK)),
    ("as-text", (*[("receive as", True)] * 6, *SINK)),
    ("mixed", (("stream",), ("receive as", False), ("iterate",), *SINK)),
):
    add(f"receive-{kind}", some, how)
    add(f"receive-{kind}-apart", some_apart, how)
add("receive-as-text-bad", lambda w: [w.binary(b"good") + w.binary(b"b\xffd") + w.close(1000)],
    (("receive as", True), ("receive as", True), *SINK))  # fmt: skip
add("receive-iterate-fault", lambda w: [w.text("good") + w.frame(3)],
    (("iterate",), *SINK))  # fmt: skip
add("receive-stream-fault", lambda w: [w.fragments(TEXT, b"good", b"b\xffd") + w.close(1000)],
    (("stream",), *SINK))  # fmt: skip
add("receive-iterate-eof", lambda w: [w.text("good"), EOF], (("iterate",), *SINK))
add(
    "receive-cancelled",  # what comes after a receive that was given up is not lost
    lambda w: [Read(1), w.text("one") + w.text("two"), Read(2), w.text("three") + w.close(1000)],
    (
        ("receive cancelled", 0.005),
        ("send", "now"),
        ("receive",),
        ("send", "1"),
        ("receive",),
        ("send", "2"),
        *SINK,
    ),
)

"""What a compressed message must not be, and the windows agreed on; RFC 7692 §6 and §7.1."""

from __future__ import annotations

from ..case import MUST, SHOULD, Case, Failed, Script, Skipped, Wish
from ..scripts import answers, binary, close, failure, more, ping, pong, refuses, text
from ..talk import told
from ..wire import BINARY, RSV1, RSV2, RSV3, TEXT, Frame, Message
from .deflate import AGAIN, ONE_BLOCK, PROSE, case, noise, packed, split, squeezed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..talk import Talk

_RULES = {
    "rsv1-on-continuation": ("§6.1", [text("a", fin=False), more(b"b", rsv=RSV1)]),
    "rsv1-on-second-compressed": (
        "§6.1",
        [frame._replace(rsv=RSV1) for frame in split(packed(PROSE), 20)],
    ),
    "rsv1-on-ping": ("§6", [ping(b"a", rsv=RSV1)]),
    "rsv1-on-pong": ("§6", [pong(b"a", rsv=RSV1)]),
    "rsv1-on-close": ("§6", [close(rsv=RSV1)]),
    "rsv2": ("§6", [text("a", rsv=RSV2)]),
    "rsv3-with-rsv1": ("§6", [squeezed(PROSE)._replace(rsv=RSV1 | RSV3)]),
}
_DATA = {
    "reserved-block": ("a block of the type that is reserved", b"\x07\xff\xff"),
    "stored-length": ("a stored block whose length does not agree", b"\x00\x05\x00\x05\x00Hello"),
    "garbage": ("bytes that are no DEFLATE", b"\xff" * 32),
    "garbage-behind-good": ("garbage behind a good block", packed(PROSE) + b"\xff\xff\xff\xff"),
    "too-far-back": ("a match that reaches beyond all that was sent", AGAIN),
}


def _fails_fast() -> Script:
    def play(talk: Talk) -> str:
        payload = packed(b"caf\xe9" + noise(400).hex().encode())
        talk.send(split(payload, 300)[0], ping(b"are you still reading?"))
        return failure(talk)

    return Script("the connection failed before the message ends", play)


def _pinged(count: int) -> Script:
    """Pings between the fragments of a compressed message, each answered before the next."""
    frames = split(packed(PROSE), *range(10, 10 * count + 1, 10))
    sent: list[Frame | bytes] = []
    for number, frame in enumerate(frames):
        sent += [frame, ping(b"%d" % number)] if number < count else [frame]

    def play(talk: Talk) -> str:
        talk.send(*sent)
        pongs = 0
        while isinstance(item := talk.next(), Frame) and told(item).startswith("a Pong"):
            pongs += 1
        if item is None or isinstance(item, Frame) or item.payload != PROSE:
            raise Failed(told(item))
        return f"the message, behind {pongs} Pongs"

    return Script("the message back, and Pongs", play)


def in_turn(*messages: bytes) -> Script:
    """Messages one after another, each compressed in the context agreed on, each echoed."""

    def play(talk: Talk) -> str:
        compressed = 0
        for message in messages:
            talk.send(Frame(BINARY, talk.compress(message), rsv=RSV1))
            item = talk.next()
            if not isinstance(item, Message) or item.payload != message:
                raise Failed(told(item))
            compressed += item.compressed
        return f"all echoed, {compressed} of {len(messages)} of them compressed"

    return Script(f"{len(messages)} messages back, inflated with the window agreed on", play)


def _within(bits: int) -> Script:
    """Repetitions just within the window agreed on, and just beyond it."""
    size = 1 << bits
    near, far = noise(size // 2), noise(size + size // 4, seed=2)
    turns = in_turn(near + near, far + far, near)

    def play(talk: Talk) -> str:
        if talk.agreement is None or talk.agreement.theirs_bits > bits:
            raise Skipped("not negotiated")
        return turns.play(talk)

    return turns._replace(play=play)


def _windows() -> list[Case]:
    cases = []
    for bits in range(8, 16):
        says = f"what it sends looks back over {1 << bits} bytes at most"
        script = _within(bits)
        wish = Wish(theirs_bits=bits)
        # zlib cannot compress with 8: who would need to may decline, or not compress.
        level = SHOULD if bits == 8 else MUST
        cases.append(case(f"window-{bits}", "§7.1.2", says, script, level=level, wish=wish))
    return cases


WORD = noise(2000).hex().encode()  # long enough for every threshold

CASES = [
    *[
        case(name, section, "a reserved bit where it has no meaning", refuses(*sent, code=1002))
        for name, (section, sent) in _RULES.items()
    ],
    *[
        case(name, "§7.2.2", says, refuses(Frame(TEXT, payload, rsv=RSV1), code=1002))
        for name, (says, payload) in _DATA.items()
    ],
    case(
        "utf8-invalid",
        "§6.2",
        "text that is no UTF-8 once inflated",
        refuses(squeezed(b"caf\xe9 " + PROSE), code=1007),
    ),
    case("utf8-invalid-raw", "§6.2", "or uncompressed", refuses(text(b"\xff"), code=1007)),
    case(
        "binary-is-not-checked",
        "§6.2",
        "a compressed binary message of any bytes",
        answers(squeezed(b"\xff\xfe" * 40, BINARY), back=[Message(BINARY, b"\xff\xfe" * 40)]),
    ),
    case(
        "utf8-fails-fast",
        "§6.2",
        "what the first fragment inflates to is wrong, the message goes on",
        _fails_fast(),
        level=SHOULD,
    ),
    case("ping-between", "§6.1", "a Ping between compressed fragments", _pinged(1)),
    case("pings-between", "§6.1", "five Pings between compressed fragments", _pinged(5)),
    case(
        "pong-between",
        "§6.1",
        "a Pong between compressed fragments",
        answers(
            *[split(packed(PROSE), 20)[0], pong(b"heartbeat"), split(packed(PROSE), 20)[1]],
            back=[Message(TEXT, PROSE)],
        ),
    ),
    case(
        "text-within-compressed",
        "§6.1",
        "a new message before the last fragment of a compressed one",
        refuses(split(packed(PROSE), 20)[0], binary(b"b"), code=1002),
    ),
    case(
        "context-takeover",
        "§7.1.1",
        "messages that look back at those before",
        in_turn(WORD, WORD, PROSE, WORD),
    ),
    case(
        "whole-window",
        "§7.1.1",
        "a message that looks back over nearly 32 KiB, through others",
        in_turn(noise(8000, 3), noise(8000, 4), noise(8000, 5), noise(8000, 3)),
    ),
    case(
        "no-context-takeover-of-its-own",
        "§7.1.1",
        "each of its messages inflates by itself",
        in_turn(WORD, WORD, WORD),
        wish=Wish(theirs_fresh=True),
    ),
    case(
        "no-context-takeover-of-ours",
        "§7.1.1",
        "each of ours is compressed by itself",
        in_turn(WORD, WORD, PROSE),
        wish=Wish(ours_fresh=True),
    ),
    case(
        "no-context-takeover-at-all",
        "§7.1.1",
        "neither side looks back",
        in_turn(WORD, WORD, PROSE),
        wish=Wish(ours_fresh=True, theirs_fresh=True),
    ),
    case(
        "our-window-9",
        "§7.1.2",
        "ours are compressed with a window of 512 bytes",
        in_turn(WORD, PROSE, WORD),
        wish=Wish(ours_bits=9),
    ),
    *_windows(),
    case(
        "many-small",
        "§7.2",
        "two hundred short messages in one packet",
        answers(
            *[Frame(TEXT, ONE_BLOCK, rsv=RSV1)] * 200,
            back=[Message(TEXT, b"Hello")] * 200,
        ),
    ),
]

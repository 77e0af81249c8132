"""Compressed messages; RFC 7692 §6 and §7.2. Where it is not negotiated, cases are skipped."""

from __future__ import annotations

import zlib
from itertools import pairwise

from ..case import INFO, MUST, Case, Script, Skipped, Wish
from ..scripts import answers, expect, fragments, text
from ..talk import told
from ..wire import BINARY, RSV1, TAIL, TEXT, Frame, Message
from .framing import letters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..talk import Talk

HELLO = [Message(TEXT, b"Hello")]
# RFC 7692 §7.2.3.1 to .6
ONE_BLOCK = bytes.fromhex("f2 48 cd c9 c9 07 00")
AGAIN = bytes.fromhex("f2 00 11 00 00")
STORED = bytes.fromhex("00 05 00 fa ff 48 65 6c 6c 6f 00")
FINAL = bytes.fromhex("f3 48 cd c9 c9 07 00 00")
CUT_OFF = bytes.fromhex("01 09 00 f6 ff 48 65 6c 6c 6f")  # a stored block, 4 bytes short
TWO_BLOCKS = bytes.fromhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00")
EMPTY = b"\x00"
PROSE = b"The quick brown fox jumps over the lazy dog, and so does the next one. " * 30


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes that nothing compresses, the same ones each time."""
    out = bytearray()
    while len(out) < length:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out += (seed >> 16).to_bytes(6, "big")
    return bytes(out[:length])


def packed(data: bytes, level: int = 6, strategy: int = 0) -> bytes:
    """Compressed by itself: whatever the window, this looks back at nothing before."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -9, 8, strategy)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def squeezed(data: bytes, opcode: int = TEXT) -> Frame:
    return Frame(opcode, packed(data), rsv=RSV1)


def split(payload: bytes, *at: int) -> list[Frame]:
    """A compressed text in fragments: RSV1 on the first only."""
    edges = [0, *at, len(payload)]
    first, *rest = fragments(TEXT, *[payload[a:b] for a, b in pairwise(edges)])
    return [first._replace(rsv=RSV1), *rest]


def case(
    name: str,
    section: str,
    says: str,
    script: Script,
    *,
    level: str = MUST,
    wish: Wish | None = None,
) -> Case:
    return Case(f"deflate/{name}", f"RFC 7692 {section}", level, says, script, wish=wish or Wish())


def inflates(payload: bytes, message: bytes = b"Hello") -> Script:
    frame = Frame(TEXT, payload, rsv=RSV1)
    return answers(frame, back=[Message(TEXT, message)])


def _looks_back(first: bytes) -> Script:
    """The second message is nothing but a look back at the first."""

    def play(talk: Talk) -> str:
        if talk.agreement is None or not talk.agreement.ours_takeover:
            raise Skipped("it asked for no context takeover")
        for payload in (first, AGAIN):
            talk.send(Frame(TEXT, payload, rsv=RSV1))
            expect(talk, HELLO, [])
        return "as expected"

    return Script("2 messages back", play)


def _empty_payload() -> Script:
    def play(talk: Talk) -> str:
        talk.send(Frame(TEXT, b"", rsv=RSV1))
        item = talk.next()
        return "an empty message" if item == Message(TEXT, b"") else told(item)

    return Script("an empty message, or the connection failed", play)


def _cut_off() -> Script:
    """To the letter of §7.2.2 the tail is data then, but nobody sent it."""

    def play(talk: Talk) -> str:
        talk.send(Frame(BINARY, CUT_OFF, rsv=RSV1))
        return told(talk.next())

    return Script("the connection failed, or a message of 9 bytes, 5 of which were sent", play)


_VECTORS = [
    case("one-block", "§7.2.3.1", "one block", inflates(ONE_BLOCK)),
    case(
        "one-block-fragmented",
        "§7.2.3.1",
        "one block in two fragments",
        answers(*split(ONE_BLOCK, 3), back=HELLO),
    ),
    case("shared-window", "§7.2.3.2", "the second message looks back", _looks_back(ONE_BLOCK)),
    case("stored-block", "§7.2.3.3", "a block without compression", inflates(STORED)),
    case("final-block", "§7.2.3.4", "a block with BFINAL set", inflates(FINAL)),
    case("two-blocks", "§7.2.3.5", "two blocks in one message", inflates(TWO_BLOCKS)),
    case("empty", "§7.2.3.6", "an empty message is 00", inflates(EMPTY, b"")),
    case(
        "final-block-then-next",
        "§7.2.3.4",
        "a message behind one that had BFINAL set",
        answers(
            *[Frame(TEXT, payload, rsv=RSV1) for payload in (FINAL, STORED, FINAL, ONE_BLOCK)],
            back=HELLO * 4,
        ),
    ),
    case(
        "final-block-keeps-window",
        "§7.2.3.4",
        "and it may look back over the end of the block",
        _looks_back(FINAL),
    ),
    case(
        "final-block-within-message",
        "§7.2.3.4",
        "blocks go on behind one with BFINAL set, within a message",
        inflates(FINAL[:-1] + STORED, b"HelloHello"),
    ),
    case(
        "final-block-cut-off",
        "§7.2.2",
        "a block with BFINAL set that ends with the tail the receiver appends",
        _cut_off(),
        level=INFO,
    ),
    case("empty-payload", "§7.2.3.6", "no byte at all", _empty_payload(), level=INFO),
]

_PAYLOADS = [
    case(
        f"text-{n}",
        "§7.2.2",
        f"a text of {n} bytes",
        answers(squeezed(letters(n)), back=[Message(TEXT, letters(n))]),
    )
    for n in (1, 125, 126, 65535, 65536, 200_000)
] + [
    case(
        f"noise-{n}",
        "§7.2.2",
        f"{n} bytes that do not compress",
        answers(squeezed(noise(n), BINARY), back=[Message(BINARY, noise(n))]),
    )
    for n in (100, 70_000)
]

_ENCODERS = {
    "stored": ("stored blocks only", packed(PROSE, level=0)),
    "fixed": ("Huffman codes of the standard", packed(PROSE, strategy=zlib.Z_FIXED)),
    "huffman-only": ("no matches", packed(PROSE, strategy=zlib.Z_HUFFMAN_ONLY)),
    "best": ("level 9", packed(PROSE, level=9)),
    "empty-blocks": ("a hundred empty blocks first", (EMPTY + TAIL) * 100 + packed(PROSE)),
}

CASES = [
    *_VECTORS,
    *_PAYLOADS,
    *[
        case(f"encoder-{name}", "§7.2.1", says, inflates(payload, PROSE))
        for name, (says, payload) in _ENCODERS.items()
    ],
    case(
        "uncompressed",
        "§6.1",
        "a message may go uncompressed all the same",
        answers(text("plain")),
    ),
    case(
        "alternating",
        "§6.1",
        "compressed and not in turn",
        answers(
            *[squeezed(b"one"), text("two"), squeezed(b"three"), text("four")],
            back=[Message(TEXT, word) for word in (b"one", b"two", b"three", b"four")],
        ),
    ),
    case(
        "fragments-of-1-byte",
        "§6.1",
        "every byte of the compressed message a fragment",
        answers(*split(packed(PROSE), *range(1, len(packed(PROSE)))), back=[Message(TEXT, PROSE)]),
    ),
    case(
        "fragments-empty",
        "§6.1",
        "empty fragments around it",
        answers(*split(packed(PROSE), 0, 20, 20, len(packed(PROSE))), back=[Message(TEXT, PROSE)]),
    ),
    case(
        "by-1",
        "§6.2",
        "byte by byte",
        answers(squeezed(PROSE[:100]), back=[Message(TEXT, PROSE[:100])], by=1),
    ),
    case(
        "utf8-split",
        "§6.2",
        "a code point over two compressed fragments",
        answers(*split(packed("😀".encode()), 2), back=[Message(TEXT, "😀".encode())]),
    ),
]

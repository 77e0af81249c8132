"""Too much of anything: every answer in bounded time; RFC 6455 §10.4."""

from __future__ import annotations

import zlib

from .. import opening
from ..case import BOTH, INFO, MUST, SERVER, SHOULD, Case, Failed, Script, Skipped, Wish
from ..scripts import answers, binary, expect, failure, fragments, more, ping, pong, text
from ..talk import told
from ..wire import BINARY, PONG, RSV1, TAIL, TEXT, Frame, Message
from .framing import letters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..talk import Talk

SECTION = "RFC 6455 §10.4"
LARGEST = 64 << 20  # bytes: a limit beyond this is not tried
BOMB = 64 << 20  # bytes, or four times the limit if that is more


def _limited(talk: Talk) -> int:
    if talk.limit > LARGEST:
        raise Skipped(f"a limit of {talk.limit} bytes is not tried")
    return talk.limit


def accepts_limit(build: Callable[[int], list[Frame]]) -> Script:
    """A message of exactly the limit is none too big."""

    def play(talk: Talk) -> str:
        n = _limited(talk)
        talk.send(*build(n))
        item = talk.next()
        if not isinstance(item, Message) or len(item.payload) != n:
            raise Failed(told(item))
        return f"the message of {n} bytes"

    return Script("the message back", play)


def refuses_beyond(build: Callable[[int], list[Frame]], beyond: int = 1) -> Script:
    """A message of more than the limit fails the connection."""

    def play(talk: Talk) -> str:
        talk.send(*build(_limited(talk) + beyond))
        return failure(talk)

    return Script("the connection failed, best with Close 1009", play)


def _says_1009() -> Script:
    def play(talk: Talk) -> str:
        talk.send(*plain(_limited(talk) + 1))
        return failure(talk, 1009)

    return Script("Close 1009", play)


def plain(n: int) -> list[Frame]:
    return [text(letters(n))]


def in_pieces(n: int) -> list[Frame]:
    third = n // 3
    return fragments(TEXT, letters(third), letters(third), letters(n - 2 * third))


def declared(n: int) -> list[Frame]:
    """The header alone: it says enough."""
    return [Frame(BINARY, b"", length=n)]


def declared_in_second(n: int) -> list[Frame]:
    return [binary(letters(1000), fin=False), more(b"")._replace(length=n - 1000)]


def zeros(n: int) -> list[Frame]:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = b"".join([deflate.compress(bytes(min(1 << 20, n - at))) for at in range(0, n, 1 << 20)])
    out += deflate.flush(zlib.Z_SYNC_FLUSH)
    return [Frame(BINARY, out.removesuffix(TAIL), rsv=RSV1)]


def _bomb() -> Script:
    def play(talk: Talk) -> str:
        talk.send(*zeros(max(BOMB, 4 * _limited(talk))))
        return failure(talk)

    return Script("the connection failed in time", play)


def _flood(frame: Frame, count: int) -> Script:
    """Many useless frames: the message goes on, or the connection is failed; both in time."""

    def play(talk: Talk) -> str:
        talk.send(text("a", fin=False), *[frame] * count, more(b"b"))
        item = talk.next()
        if isinstance(item, Message):
            return f"{told(item)}: it takes them"
        return "TCP ended" if item is None else told(item)

    return Script("the message back, or the connection failed", play)


def _many_pings(count: int) -> Script:
    def play(talk: Talk) -> str:
        talk.send(*[ping(b"%d" % number) for number in range(count)], text("after the flood"))
        pongs, last, echoed = 0, b"", False
        while not echoed or last != b"%d" % (count - 1):
            item = talk.next()
            if isinstance(item, Message):
                echoed = True
            elif item is not None and item.opcode == PONG:
                pongs, last = pongs + 1, item.payload
            else:
                raise Failed(f"{told(item)} after {pongs} Pongs")
        return f"{pongs} Pongs"

    return Script("the last Ping answered, and the message behind echoed", play)


def _many_pongs(count: int) -> Script:
    def play(talk: Talk) -> str:
        talk.send(*[pong(b"unsolicited")] * count, text("after the flood"))
        return expect(talk, [Message(TEXT, b"after the flood")], [])

    return Script("the message behind echoed", play)


def _dribbled_request() -> Script:
    def play(talk: Talk) -> str:
        talk.send(opening.request(talk.url), by=3)
        head = talk.read_head()
        if head is None or head.status != 101:
            raise Failed("no answer" if head is None else f"status {head.status}")
        talk.send(text(letters(300)), ping(b"slow"), by=2)
        return expect(talk, [Message(TEXT, letters(300))], [b"slow"])

    return Script("the echo and the Pong", play)


def _case(
    name: str,
    level: str,
    says: str,
    script: Script,
    *,
    limit: bool = False,
    wish: Wish | None = None,
) -> Case:
    sides = (SERVER,) if limit else BOTH
    return Case(
        f"limits/{name}", SECTION, level, says, script, sides, wish, alone=True, limit=limit
    )


CASES = [
    _case("exact", SHOULD, "a message of the limit", accepts_limit(plain), limit=True),
    _case(
        "exact-in-fragments", SHOULD, "the same in fragments", accepts_limit(in_pieces), limit=True
    ),
    _case(
        "exact-compressed",
        SHOULD,
        "the limit once inflated",
        accepts_limit(zeros),
        limit=True,
        wish=Wish(),
    ),
    _case("beyond", SHOULD, "a message of one byte more", refuses_beyond(plain), limit=True),
    _case("beyond-says-1009", SHOULD, "and it is told so", _says_1009(), limit=True),
    _case(
        "beyond-in-fragments",
        SHOULD,
        "fragments of one byte more together",
        refuses_beyond(in_pieces),
        limit=True,
    ),
    _case(
        "beyond-compressed",
        SHOULD,
        "one byte more once inflated",
        refuses_beyond(zeros),
        limit=True,
        wish=Wish(),
    ),
    _case(
        "beyond-declared",
        SHOULD,
        "a header that declares more; nothing behind it",
        refuses_beyond(declared),
        limit=True,
    ),
    _case(
        "beyond-declared-in-fragment",
        SHOULD,
        "a second fragment that declares more than is left",
        refuses_beyond(declared_in_second),
        limit=True,
    ),
    _case(
        "declared-2-62",
        SHOULD,
        "a header that declares 2**62 bytes",
        refuses_beyond(lambda n: declared(1 << 62)),
        limit=True,
    ),
    _case("bomb", SHOULD, "a decompression bomb", _bomb(), limit=True, wish=Wish()),
    _case(
        "empty-fragments",
        INFO,
        "100,000 empty fragments in one message",
        _flood(more(b"", fin=False), 100_000),
    ),
    _case(
        "fragments-of-1-byte",
        INFO,
        "20,000 fragments of one byte",
        _flood(more(b".", fin=False), 20_000),
    ),
    _case("pings", MUST, "5,000 Pings, then a message", _many_pings(5000)),
    _case("pongs", MUST, "5,000 Pongs that answer nothing", _many_pongs(5000)),
    _case(
        "empty-messages",
        MUST,
        "2,000 empty messages",
        answers(*[text("")] * 1000, *[binary(b"")] * 1000),
    ),
    Case(
        "limits/dribble",
        SECTION,
        MUST,
        "the request and the frames in pieces of two and three bytes",
        _dribbled_request(),
        (SERVER,),
        opens=True,
    ),
]

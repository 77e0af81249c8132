"""The few shapes that most cases have: something goes out, something must come back."""

from __future__ import annotations

from .case import Failed, Script
from .talk import told
from .wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, Message, close_code, close_payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .talk import Talk

    Sent = Frame | bytes

# Codes that say that something went wrong. Which one is right is a SHOULD, and a case of its own.
ERRORS = (1002, 1003, 1007, 1008, 1009, 1011)


def text(payload: str | bytes, fin: bool = True, rsv: int = 0) -> Frame:
    return Frame(TEXT, payload if isinstance(payload, bytes) else payload.encode(), fin, rsv)


def binary(payload: bytes, fin: bool = True, rsv: int = 0) -> Frame:
    return Frame(BINARY, payload, fin, rsv)


def more(payload: bytes, fin: bool = True, rsv: int = 0) -> Frame:
    return Frame(CONT, payload, fin, rsv)


def ping(payload: bytes = b"", fin: bool = True, rsv: int = 0) -> Frame:
    return Frame(PING, payload, fin, rsv)


def pong(payload: bytes = b"", fin: bool = True, rsv: int = 0) -> Frame:
    return Frame(PONG, payload, fin, rsv)


def close(code: int | None = 1000, reason: bytes = b"", fin: bool = True, rsv: int = 0) -> Frame:
    return Frame(CLOSE, b"" if code is None else close_payload(code, reason), fin, rsv)


def fragments(opcode: int, *payloads: bytes) -> list[Frame]:
    """One message."""
    last = len(payloads) - 1
    return [
        Frame(CONT if number else opcode, payload, fin=number == last)
        for number, payload in enumerate(payloads)
    ]


# ---- it answers as it should ------------------------------------------------------------------


def due(frames: Iterable[Sent]) -> tuple[list[Message], list[bytes]]:
    """What an echo owes for ``frames``: messages, and payloads of Pongs."""
    messages: list[Message] = []
    pongs, opcode, payload = [], 0, b""
    for frame in frames:
        assert isinstance(frame, Frame), "bytes need `back`"
        if frame.opcode == PING:
            pongs.append(frame.payload)
        elif frame.opcode <= BINARY:
            opcode = frame.opcode or opcode
            payload += frame.payload
            if frame.fin:
                messages.append(Message(opcode, payload))
                payload = b""
    return messages, pongs


def expect(talk: Talk, messages: list[Message], pongs: list[bytes]) -> str:
    """Take exactly these, messages in order. Of Pongs the last is enough, §5.5.3."""
    wanted, owed = list(messages), list(pongs)
    while wanted or owed:
        item = talk.next()
        if isinstance(item, Message) and wanted:
            first = wanted.pop(0)
            if item[:2] != first[:2]:
                raise Failed(f"{told(item)} instead of {told(first)}")
        elif isinstance(item, Frame) and item.opcode == PONG and item.payload in owed:
            del owed[: owed.index(item.payload) + 1]
        else:
            raise Failed(told(item))
    return "as expected"


def _shown(messages: list[Message], pongs: list[bytes]) -> str:
    words = []
    if messages:
        words.append("the message" if len(messages) == 1 else f"{len(messages)} messages in order")
    if pongs:
        words.append("a Pong with its payload" if len(pongs) == 1 else "a Pong to the last Ping")
    return " and ".join(words) + " back"


def answers(*frames: Sent, by: int = 0, back: list[Message] | None = None) -> Script:
    """The echo of all messages, and a Pong to each Ping or to the latest of them."""
    messages, pongs = due(frames) if back is None else (back, [])

    def play(talk: Talk) -> str:
        talk.send(*frames, by=by)
        return expect(talk, messages, pongs)

    return Script(_shown(messages, pongs), play)


def ignores(*frames: Sent) -> Script:
    """Nothing comes back for these; the echo goes on."""

    def play(talk: Talk) -> str:
        talk.send(*frames, text("still here"))
        return expect(talk, [Message(TEXT, b"still here")], [])

    return Script("nothing back, and the next message echoed", play)


# ---- it fails the connection ------------------------------------------------------------------


def failure(
    talk: Talk, code: int | None = None, spare: int = 0, within: float | None = None
) -> str:
    """How the connection was failed; ``Failed`` if it was not.

    ``spare`` messages, from before the fault, may come first. With ``code``, only a Close frame
    with that code will do.
    """
    while True:
        item = talk.next(within)
        if isinstance(item, Message) and spare:
            spare -= 1
            continue
        if code is not None and told(item) != f"Close {code}":
            raise Failed(told(item))
        if item is None:
            return told(item)
        if item.opcode == CLOSE and _says_fault(talk, item):
            return told(item)
        if item.opcode == CLOSE:
            raise Failed(f"{told(item)}, as if nothing had been wrong")
        raise Failed(f"it answers: {told(item)}")


def _says_fault(talk: Talk, item: Message | Frame) -> bool:
    """A code that does; or none, unless that just answers a Close frame of ours."""
    code = close_code(item.payload)
    return code in ERRORS or (code is None and not talk.sent_close)


def refuses(*frames: Sent, code: int, by: int = 0, spare: int = 0) -> Script:
    """The connection is failed: by a Close frame that does not say all is well, or without one."""

    def play(talk: Talk) -> str:
        talk.send(*frames, by=by)
        return failure(talk, None, spare)

    return Script(f"the connection failed, best with Close {code}", play)


def says(code: int, *frames: Sent) -> Script:
    """The connection is failed with exactly this code."""

    def play(talk: Talk) -> str:
        talk.send(*frames)
        return failure(talk, code)

    return Script(f"Close {code}", play)


# ---- it closes ---------------------------------------------------------------------------------


def closing(talk: Talk) -> int | None:
    """The code of the Close frame that must come now."""
    item = talk.next()
    if not isinstance(item, Frame) or item.opcode != CLOSE:
        raise Failed(told(item))
    return close_code(item.payload)


def closes(*frames: Sent, code: int | None, by: int = 0) -> Script:
    """The closing handshake is answered: with ``code``, 1000 or nothing in the Close frame."""

    def play(talk: Talk) -> str:
        talk.send(*frames, by=by)
        found = closing(talk)
        if found not in (code, None, 1000):
            raise Failed(f"Close {found}")
        return "an empty Close" if found is None else f"Close {found}"

    return Script(f"Close {code}, 1000 or an empty one" if code else "a Close frame", play)


def ends(talk: Talk) -> str:
    """TCP is ended by the other side, with nothing more said."""
    item = talk.next()
    if item is not None:
        raise Failed(told(item))
    return "TCP ended"

"""The closing handshake and how a connection fails; RFC 6455 §5.5.1 and §7."""

from __future__ import annotations

from ..case import INFO, MUST, SERVER, SHOULD, Case, Failed, Script, Silence
from ..scripts import (
    close,
    closes,
    closing,
    ends,
    expect,
    failure,
    fragments,
    ping,
    refuses,
    says,
    text,
)
from ..talk import told
from ..wire import CLOSE, TEXT, Frame, Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..talk import Talk

FRAME = "RFC 6455 §5.5.1"
CODES = "RFC 6455 §7.4"
# Who may not be named on the wire at all, §7.4.1 and §7.4.2; and who means nothing there.
FORBIDDEN = (0, 999, 1005, 1006, 1015)
UNASSIGNED = (1004, 1016, 1100, 2000, 2999, 5000, 65535)
REGISTERED = (1012, 1013, 1014)  # by IANA after the RFC, §11.7
VALID = (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999)


def _codes() -> list[Case]:
    cases = [
        Case(
            f"close/code-{code}",
            CODES if code not in REGISTERED else "RFC 6455 §11.7",
            SHOULD if code in REGISTERED else MUST,
            f"the code {code} closes the connection",
            closes(close(code, b"reason"), code=code),
        )
        for code in VALID
    ]
    for level, codes in ((MUST, FORBIDDEN), (SHOULD, UNASSIGNED)):
        cases += [
            Case(
                f"close/code-{code}",
                CODES,
                level,
                f"the code {code} is never on the wire",
                refuses(close(code), code=1002),
            )
            for code in codes
        ]
    return cases


def _echoes_code() -> Script:
    def play(talk: Talk) -> str:
        talk.send(close(4321, b"bye"))
        code = closing(talk)
        if code != 4321:
            raise Failed("an empty Close" if code is None else f"Close {code}")
        return "Close 4321"

    return Script("Close 4321", play)


def _discards(*behind: Frame) -> Script:
    """Nothing that comes behind the Close frame is answered."""

    def play(talk: Talk) -> str:
        talk.send(close(), *behind)
        closing(talk)
        talk.end_as_server()
        return _nothing_more(talk)

    return Script("a Close frame and nothing more", play)


def _nothing_more(talk: Talk) -> str:
    try:
        item = talk.next(min(1.0, talk.timeout))
    except Silence:
        return "a Close frame, and TCP still open"
    if item is not None:
        raise Failed(f"behind its Close frame: {told(item)}")
    return "a Close frame, then the end of TCP"


def _server_ends() -> Script:
    def play(talk: Talk) -> str:
        talk.send(close())
        closing(talk)
        return ends(talk)

    return Script("the server ends TCP at once, with the client still waiting", play)


def _ends_after_failure() -> Script:
    def play(talk: Talk) -> str:
        talk.send(Frame(3, b"reserved"))
        if failure(talk).startswith("Close"):
            talk.send(close(1002))
            talk.end_as_server()
            ends(talk)
        return "TCP ended"

    return Script("TCP is ended, whether or not a Close frame came first", play)


def _silent_after_failure() -> Script:
    """§7.1.7: no more data is processed."""

    def play(talk: Talk) -> str:
        talk.send(Frame(3, b"reserved"), text("after the fault"), ping(b"too"))
        how = failure(talk)
        talk.end_as_server()
        return _nothing_more(talk) if how.startswith("Close") else how

    return Script("the connection failed, and what came behind the fault not answered", play)


def _message_first() -> Script:
    def play(talk: Talk) -> str:
        talk.send(text("last words"), close())
        item = talk.next()
        if isinstance(item, Message):
            closing(talk)
            return "the echo, then the Close frame"
        return f"{told(item)}, no echo"

    return Script("the echo may come before the Close frame", play)


def _end_of_stream(*sent: Frame) -> Script:
    """TCP's end without a Close frame: §7.1.5, 1006 for the application."""

    def play(talk: Talk) -> str:
        talk.send(*sent)
        talk.link.finish()
        while (item := talk.next()) is not None:
            if not isinstance(item, Frame) or item.opcode != CLOSE:
                raise Failed(told(item))
        return "TCP ended"

    return Script("TCP is ended by the other side too", play)


def _after_first() -> Script:
    def play(talk: Talk) -> str:
        talk.send(text("one"))
        expect(talk, [Message(TEXT, b"one")], [])
        talk.send(close(1001, b"going away"))
        found = closing(talk)
        return "an empty Close" if found is None else f"Close {found}"

    return Script("a Close frame", play)


CASES = [
    Case("close/empty", FRAME, MUST, "no code in it", closes(close(None), code=None)),
    Case("close/after-a-message", FRAME, MUST, "a message and its echo first", _after_first()),
    Case("close/by-1", FRAME, MUST, "byte by byte", closes(close(1000, b"bye"), code=1000, by=1)),
    *_codes(),
    Case(
        "close/code-is-echoed",
        FRAME,
        SHOULD,
        "an answer typically echoes the code received",
        _echoes_code(),
    ),
    Case(
        "close/reason-123",
        FRAME,
        MUST,
        "the longest reason",
        closes(close(1000, b"r" * 123), code=1000),
    ),
    Case(
        "close/reason-of-code-points",
        FRAME,
        MUST,
        "a reason of 30 four-byte code points",
        closes(close(1000, ("😀" * 30).encode()), code=1000),
    ),
    Case("close/length-1", FRAME, MUST, "half a code", refuses(Frame(CLOSE, b"\x03"), code=1002)),
    *[
        Case(
            f"close/reason-{name}",
            FRAME,
            MUST,
            f"a reason that is no UTF-8: {data.hex(' ')}",
            refuses(close(1000, data), code=1007),
        )
        for name, data in {
            "ff": b"\xff",
            "cut-short": b"good until here \xe2\x82",
            "overlong": b"\xc0\xaf",
            "surrogate": b"\xed\xa0\x80",
        }.items()
    ],
    Case(
        "close/message-behind",
        "RFC 6455 §1.4",
        MUST,
        "a message behind the Close frame is discarded",
        _discards(text("too late")),
    ),
    Case(
        "close/ping-behind",
        "RFC 6455 §5.5.2",
        SHOULD,
        "a Ping behind the Close frame needs no answer, and none fits",
        _discards(ping(b"too late")),
    ),
    Case(
        "close/fault-behind",
        "RFC 6455 §1.4",
        MUST,
        "even a frame that is wrong is discarded behind the Close frame",
        _discards(Frame(3, b"reserved")),
    ),
    Case(
        "close/twice",
        FRAME,
        MUST,
        "two Close frames have one answer",
        _discards(close(1001)),
    ),
    Case(
        "close/message-before",
        FRAME,
        INFO,
        "a message and a Close frame in one packet: whether the echo comes",
        _message_first(),
    ),
    Case(
        "close/server-ends-tcp",
        "RFC 6455 §7.1.1",
        MUST,
        "behind the closing handshake the server ends TCP at once",
        _server_ends(),
        sides=(SERVER,),
    ),
    Case(
        "close/ends-tcp-after-failure",
        "RFC 6455 §7.1.7",
        MUST,
        "a failed connection is closed",
        _ends_after_failure(),
    ),
    Case(
        "close/nothing-after-failure",
        "RFC 6455 §7.1.7",
        MUST,
        "what comes behind a fault is not processed",
        _silent_after_failure(),
    ),
    Case(
        "close/says-1002",
        CODES,
        SHOULD,
        "a frame that breaks the protocol is told so",
        says(1002, Frame(3, b"reserved")),
    ),
    Case(
        "close/says-1007",
        CODES,
        SHOULD,
        "a text that is no UTF-8 is told so",
        says(1007, text(b"\xff")),
    ),
    Case(
        "close/end-of-stream",
        "RFC 6455 §7.1.5",
        SHOULD,
        "TCP's end without a Close frame ends the other direction too",
        _end_of_stream(),
    ),
    Case(
        "close/end-of-stream-within-frame",
        "RFC 6455 §7.1.5",
        SHOULD,
        "TCP's end within a frame",
        _end_of_stream(Frame(TEXT, b"half", length=100)),
    ),
    Case(
        "close/end-of-stream-within-message",
        "RFC 6455 §7.1.5",
        SHOULD,
        "TCP's end between fragments",
        _end_of_stream(*fragments(TEXT, b"a", b"b")[:1]),
    ),
]

"""What a server makes of offers of permessage-deflate; RFC 7692 §5 and §7.1, RFC 6455 §9.1.

An offer that must not be accepted is declined (§7): the connection opens without it. It is never
an HTTP error, since the next offer of the list may be good.
"""

from __future__ import annotations

from .. import opening
from ..case import INFO, MUST, SERVER, SHOULD, Case, Failed, Script, Skipped
from ..scripts import expect, text
from ..wire import TEXT, Message
from .handshake import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..opening import Params
    from ..talk import Talk

PMD = opening.PMD
# A text that compresses, so that who agreed on too much shows it.
LINE = b"the same line again and again, " * 40


def _ask(talk: Talk, offer: str, extra: str = "") -> list[tuple[str, Params]]:
    """The extensions agreed on, and an echo over what they make of the connection."""
    second = f"Sec-WebSocket-Extensions: {extra}" if extra else ""
    talk.send(opening.request(talk.url, sec_websocket_extensions=offer, extra=second))
    head = talk.read_head()
    if head is None:
        raise Failed("TCP ended without an answer")
    if head.status != 101:
        raise Failed(f"status {head.status}")
    opening.check_answer(head)
    return opening.extensions(head)


def _echo(talk: Talk) -> None:
    talk.send(text(LINE))
    expect(talk, [Message(TEXT, LINE)], [])


def declines(offer: str) -> Script:
    def play(talk: Talk) -> str:
        found = _ask(talk, offer)
        if found:
            raise Failed(f"it accepts, and answers {_shown(found)}")
        _echo(talk)
        return "101 without an extension"

    return Script("101 without an extension, and the echo of a message", play)


def obeys(offer: str, *, accepted: str = "", extra: str = "", must: bool = False) -> Script:
    """Accepted as ``accepted`` (the offer itself, if not given) demands, or declined.

    Declined is not right where ``must``, but skipped: nobody need have the extension.
    """

    def play(talk: Talk) -> str:
        found = _ask(talk, offer, extra)
        if not found:
            _echo(talk)
            if must:
                raise Skipped("not negotiated")
            return "101 without an extension"
        if len(found) != 1 or found[0][0] != PMD:
            raise Failed(f"it answers {_shown(found)}")
        talk.agree(opening.check_agreed(found[0][1], opening.params_of(accepted or offer)))
        _echo(talk)
        return f"it answers {_shown(found)}"

    return Script("an answer that keeps to the offer", play)


def falls_back(bad: str, good: str, extra: bool = False) -> Script:
    """The first offer cannot be accepted, the second can: §5 gives a list for that."""

    def play(talk: Talk) -> str:
        found = _ask(talk, bad, good) if extra else _ask(talk, f"{bad}, {good}")
        if not found:
            raise Failed("101 without an extension")
        if len(found) != 1 or found[0][0] != PMD:
            raise Failed(f"it answers {_shown(found)}")
        talk.agree(opening.check_agreed(found[0][1], opening.params_of(good)))
        _echo(talk)
        return f"it answers {_shown(found)}"

    return Script(f"the second offer accepted: {good}", play)


def malformed(value: str) -> Script:
    """§9.1: the connection is to be failed; at the least nothing may be agreed on."""

    def play(talk: Talk) -> str:
        talk.send(opening.request(talk.url, sec_websocket_extensions=value))
        head = talk.read_head()
        if head is None or head.status != 101:
            return refusal(head)
        if opening.extensions(head):
            raise Failed(f"it accepts, and answers {_shown(opening.extensions(head))}")
        return "101 without an extension"

    return Script("a refusal, or no extension", play)


def _shown(found: list[tuple[str, Params]]) -> str:
    return ", ".join(
        "; ".join([name, *[k if v is None else f"{k}={v}" for k, v in params.items()]])
        for name, params in found
    )


def _case(name: str, section: str, level: str, says: str, script: Script) -> Case:
    return Case(f"deflate-offer/{name}", section, level, says, script, (SERVER,), opens=True)


# What must be declined, by the section that says so.
DECLINED = {
    "unknown-parameter": ("§7", "foo"),
    "unknown-parameter-with-value": ("§7", "foo=1"),
    "server-no-context-takeover-twice": (
        "§7.1",
        "server_no_context_takeover; server_no_context_takeover",
    ),
    "client-no-context-takeover-twice": (
        "§7.1",
        "client_no_context_takeover; client_no_context_takeover",
    ),
    "server-bits-twice": ("§7.1", "server_max_window_bits=10; server_max_window_bits=10"),
    "client-bits-twice": ("§7.1", "client_max_window_bits; client_max_window_bits=10"),
    "server-no-context-takeover-1": ("§7.1.1.1", "server_no_context_takeover=1"),
    "client-no-context-takeover-1": ("§7.1.1.2", "client_no_context_takeover=true"),
    "server-bits-without-value": ("§7.1.2.1", "server_max_window_bits"),
    "server-bits-7": ("§7.1.2.1", "server_max_window_bits=7"),
    "server-bits-16": ("§7.1.2.1", "server_max_window_bits=16"),
    "server-bits-08": ("§7.1.2.1", "server_max_window_bits=08"),
    "server-bits-010": ("§7.1.2.1", "server_max_window_bits=010"),
    "server-bits-0": ("§7.1.2.1", "server_max_window_bits=0"),
    "server-bits-word": ("§7.1.2.1", "server_max_window_bits=ten"),
    "server-bits-plus": ("§7.1.2.1", "server_max_window_bits=+9"),
    "client-bits-7": ("§7.1.2.2", "client_max_window_bits=7"),
    "client-bits-16": ("§7.1.2.2", "client_max_window_bits=16"),
    "client-bits-08": ("§7.1.2.2", "client_max_window_bits=08"),
    "client-bits-word": ("§7.1.2.2", "client_max_window_bits=ten"),
}
BOTH_FRESH = f"{PMD}; server_no_context_takeover; client_no_context_takeover"

CASES = [
    _case("plain", "RFC 7692 §5", MUST, "no parameters", obeys(PMD, must=True)),
    _case(
        "as-browsers",
        "RFC 7692 §7.1.2.2",
        MUST,
        "client_max_window_bits without a value, as browsers offer it",
        obeys(f"{PMD}; client_max_window_bits", must=True),
    ),
    *[
        _case(name, f"RFC 7692 {section}", MUST, f"{PMD}; {params}", declines(f"{PMD}; {params}"))
        for name, (section, params) in DECLINED.items()
    ],
    *[
        _case(
            f"server-bits-{bits}",
            "RFC 7692 §7.1.2.1",
            MUST,
            f"server_max_window_bits={bits} is kept, or the offer declined",
            obeys(f"{PMD}; server_max_window_bits={bits}"),
        )
        for bits in range(8, 16)
    ],
    *[
        _case(
            f"client-bits-{bits}",
            "RFC 7692 §7.1.2.2",
            MUST,
            f"client_max_window_bits={bits} is answered with no more",
            obeys(f"{PMD}; client_max_window_bits={bits}"),
        )
        for bits in (8, 9, 15)
    ],
    _case(
        "quoted",
        "RFC 6455 §9.1",
        MUST,
        "a quoted value is that value, or declined",
        obeys(f'{PMD}; server_max_window_bits="10"', accepted=f"{PMD}; server_max_window_bits=10"),
    ),
    _case(
        "no-context-takeover",
        "RFC 7692 §7.1.1",
        MUST,
        "both no_context_takeover: the server's is answered",
        obeys(BOTH_FRESH),
    ),
    _case(
        "all-parameters",
        "RFC 7692 §7.1",
        MUST,
        "all four at once",
        obeys(f"{BOTH_FRESH}; server_max_window_bits=12; client_max_window_bits=12"),
    ),
    _case(
        "white-space",
        "RFC 6455 §9.1",
        MUST,
        "spaces wherever the grammar has room for them",
        obeys(
            f" {PMD} ;  client_max_window_bits =  12 ",
            accepted=f"{PMD}; client_max_window_bits=12",
        ),
    ),
    _case(
        "behind-another-extension",
        "RFC 6455 §9.1",
        SHOULD,
        "an unknown extension before it",
        falls_back("x-wsfast-unknown; a", PMD),
    ),
    _case(
        "fallback-unknown-parameter",
        "RFC 7692 §5.2",
        SHOULD,
        "an offer with an unknown parameter, then a plain one",
        falls_back(f"{PMD}; foo", PMD),
    ),
    _case(
        "fallback-bad-bits",
        "RFC 7692 §5.2",
        SHOULD,
        "an offer of a window that cannot be, then a plain one",
        falls_back(f"{PMD}; server_max_window_bits=99", f"{PMD}; client_max_window_bits"),
    ),
    _case(
        "fallback-two-lines",
        "RFC 7692 §5.2",
        SHOULD,
        "the second offer in a field of its own",
        falls_back(f"{PMD}; foo", PMD, extra=True),
    ),
    _case(
        "two-good-ones",
        "RFC 7692 §5",
        MUST,
        "of two that could be accepted, one is",
        obeys(f"{PMD}; client_max_window_bits, {PMD}", accepted=f"{PMD}; client_max_window_bits"),
    ),
    *[
        _case(
            f"malformed-{name}",
            "RFC 6455 §9.1",
            level,
            f"no list of extensions: {value}",
            malformed(value),
        )
        for name, level, value in (
            ("equals", MUST, f"{PMD}; ="),
            ("quote", MUST, f'{PMD}; server_max_window_bits="10'),
            ("semicolons", INFO, f"{PMD};; client_max_window_bits"),
            ("name", MUST, "permessage deflate"),
        )
    ],
]

"""A suite that cannot fail proves nothing: each fault of a server fails the cases it should."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from conformance_lab import Faults, failed, probe, running

from wsfast import Limits, Policy
from wsfast.cli.conformance.cases import choose
from wsfast.deflate import PerMessageDeflate

CASES = choose("server")


class Generous(PerMessageDeflate):
    """Takes any offer, and what it is told not to."""

    def negotiate(self, params):
        return PerMessageDeflate().negotiate(())


class Wide(PerMessageDeflate):
    """Agrees on a window, and looks back further."""

    def negotiate(self, params):
        agreed = super().negotiate(params)
        if agreed is not None:
            agreed.server_max_window_bits = 15
        return agreed


class Forgetful(PerMessageDeflate):
    """Agrees on no context takeover of its own, and takes it over."""

    def negotiate(self, params):
        agreed = super().negotiate(params)
        if agreed is not None:
            agreed.server_no_context_takeover = False
        return agreed


class NoHistory(PerMessageDeflate):
    """Lets each message of the client begin with an empty window, though that was not agreed."""

    def negotiate(self, params):
        agreed = super().negotiate(params)
        if agreed is not None:
            agreed.client_no_context_takeover = True
        return agreed


def names(pattern):
    return {case.name for case in CASES if re.fullmatch(pattern, case.name)}


def swap(old, new):
    return lambda data: data.replace(old, new)


def masked(frame):
    """With a key of zeros, and a second byte that says so."""
    size = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[:1] + bytes([frame[1] | 128]) + frame[2:size] + bytes(4) + frame[size:]


def not_minimal(frame):
    return frame[:1] + b"\x7e\x00" + frame[1:] if frame[1] < 126 else frame


# What is wrong, which cases are played, and which of these must fail: all others must pass.
FAULTS = {
    "not minimal": (
        Faults(Policy(minimal_length=False)),
        r"(framing|control)/.*",
        r"framing/length-\d+-in-.*",
    ),
    "unmasked": (Faults(Policy(mask="any")), r"framing/.*", r"framing/unmasked-.*"),
    "msb": (Faults(Policy(msb="accept")), r"framing/length-.*", ""),
    "reserved bits": (
        Faults(Policy(rsv=3)),
        r"reserved/.*",
        r"reserved/rsv(2|3|23)-(?!ping|pong|close|continuation).*",
    ),
    "no UTF-8": (
        Faults(Policy(utf8="off")),
        r"utf8/.*",
        r"utf8/(continuation|start|two|overlong|surrogate|above|five|six|byte-f|latin).*"
        r"|utf8/(late|in-the-middle|cut-by.*|broken-by.*|fails-fast.*)",
    ),
    "late UTF-8": (Faults(Policy(utf8="message")), r"utf8/.*", r"utf8/fails-fast-.*"),
    "any code": (
        Faults(Policy(close_codes="any")),
        r"close/code-.*",
        r"close/code-(0|999|1004|1005|1006|1015|1016|1100|2000|2999|5000|65535)",
    ),
    "any offer": (
        Faults(deflate=Generous),
        r"deflate-offer/(unknown|server-bits-(7|9|twice)|plain|no-context).*",
        r"deflate-offer/(?!plain).*",
    ),
    "a wider window": (Faults(deflate=Wide), r"deflate/window-.*", r"deflate/window-(9|1[0-4])"),
    "takes over": (
        Faults(deflate=Forgetful),
        r"deflate/(no-context|context|one-block).*",
        r"deflate/no-context-takeover-(of-its-own|at-all)",
    ),
    "no history": (
        Faults(deflate=NoHistory),
        r"deflate/(shared|context|whole|no-context|one-block|final-block-keeps|final-block$).*",
        r"deflate/(shared-window|context-takeover|whole-window|final-block-keeps-window)"
        r"|deflate/no-context-takeover-of-its-own",
    ),
    "says nothing": (
        Faults(output=lambda frame: b"" if frame[:1] == b"\x88" else frame),
        r"close/(says|empty|ends|code-1000|length).*|reserved/opcode-3",
        r"close/(says-.*|empty|code-1000)",
    ),
    "says 1000": (
        Faults(output=lambda frame: b"\x88\x02\x03\xe8" if frame[:1] == b"\x88" else frame),
        r"close/(says|empty|ends-tcp|code-1000|length).*|reserved/.*",
        r"close/(says-.*|ends-tcp.*|length-1)|reserved/.*",
    ),
    "a smaller limit": (
        Faults(limits=Limits(max_message=(1 << 20) - 1)),
        r"limits/(exact|beyond).*",
        r"limits/exact.*",
    ),
    "a greater limit": (
        Faults(limits=Limits(max_message=(1 << 20) + 1)),
        r"limits/(exact|beyond).*",
        r"limits/beyond(-compressed|-in-fragments|-says-1009|-declared|-declared-in-fragment)?",
    ),
    "masks": (Faults(output=masked), r"framing/text-\d+|ping/\d+", r".*"),
    "long lengths": (Faults(output=not_minimal), r"framing/text-\d+", r"framing/text-(0|1|125)"),
    "wrong Accept": (
        Faults(answer=swap(b"Accept: s3", b"Accept: S3")),
        r"handshake/(plain|by-1|case-of-tokens|key-missing)",
        r"handshake/(plain|by-1|case-of-tokens)",
    ),
    "a subprotocol": (
        Faults(answer=swap(b"Upgrade: w", b"Sec-WebSocket-Protocol: x\r\nUpgrade: w")),
        r"handshake/.*subprotocol.*|handshake/plain",
        r"handshake/.*subprotocol.*(?<!no-ascii)",
    ),
    "lets anybody in": (
        Faults(lenient_opening=True),
        r"handshake/(plain|key|version|upgrade|connection|host).*",
        r"handshake/(key|version|upgrade|connection-(m|n|w)|host).*",
    ),
    "breaks": (Faults(breaks_on_refusal=True), r"handshake/(key|plain).*", r"handshake/key.*"),
    "no Pong": (Faults(ignores_pings=True), r"ping/\d+|pong/unsolicited", r"ping/\d+"),
    "upper case": (
        Faults(message=lambda m: m.upper() if isinstance(m, str) else m),
        r"fragments/(text|binary)-\d.*",
        r"fragments/text-.*",
    ),
    "no echo": (Faults(message=lambda m: None), r"pong/.*|ping/4", r"pong/unsolicited.*"),
    "stays": (Faults(stays=True), r"close/(server-ends|ends|empty|by-1).*", r"close/.*ends-tcp.*"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_its_cases_and_no_other(fault):
    faults, played, expected = FAULTS[fault]
    cases = [case for case in CASES if re.fullmatch(played, case.name)]
    assert cases
    with running(faults) as server:
        results = probe(server, cases, timeout=1.0)
    assert failed(results) == names(expected) & set(results)


def test_the_suite_knows_nothing_of_the_codec():
    """It would not see a fault that it shares."""
    own = {"bare", "hosts", "peers", "report", "report_peers"}  # servers, and the version's name
    package = import_module("wsfast.cli.conformance").__path__[0]
    for file in Path(package).rglob("*.py"):
        if file.stem not in own:
            assert not re.search(r"^\s*(from|import) wsfast\b", file.read_text("utf-8"), re.M), file

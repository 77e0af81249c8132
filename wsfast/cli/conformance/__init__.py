"""``wsfast conformance``: what a WebSocket server or client makes of every corner of the RFCs."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .case import Case

EXAMPLES = """\
examples:
  wsfast conformance ws://127.0.0.1:8000/           a server that echoes, in a few seconds
  wsfast conformance wss://localhost/ --insecure    with a certificate nobody signed
  wsfast conformance ws://127.0.0.1:8000/ --only close,utf8 --verbose
  wsfast conformance --list
  wsfast conformance --client -- python client.py {url}
  wsfast conformance --client --port 9001           a client with a loop of its own, as Autobahn's
  wsfast conformance --peers --markdown table.md    the servers installed here, side by side

A case is a MUST, a SHOULD or informational. Where an extension is not negotiated its cases are
skipped. Cases that need the server's limit of a message are informational without --max-message.
Exit status: 0 nothing failed, 1 a case failed or nobody answered (--peers: a peer did not start),
2 wrong usage, 3 no peer is installed.
"""
USAGE = """\
wsfast conformance [OPTION...] URL
       wsfast conformance [OPTION...] --client [--port N] [-- CMD... {url}]
       wsfast conformance [OPTION...] --peers [--markdown FILE|-]
       wsfast conformance --list [--client] [--only WORDS]"""
DESCRIPTION = """\
Test a WebSocket server that echoes every message (URL), a client that does (--client), or each
server library that is installed here (--peers) against RFC 6455 and RFC 7692, far beyond ordinary
use: every length and chopping, reserved bits, UTF-8, close codes, masking, permessage-deflate and
its negotiation, floods, and the grammar of the opening handshake. Each case names its section.
"""


def add_parser(commands: Any) -> None:
    """Add ``conformance`` to the subcommands of ``wsfast``."""
    parser = commands.add_parser(
        "conformance",
        help="test a WebSocket server or client against the RFCs",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("target", nargs="*", metavar="URL", help="of the server; behind --client --: a command")
    add("--client", action="store_true", help="test a client: we are the server")
    add("--peers", action="store_true", help="test each server library installed here")
    add("--list", action="store_true", help="list the cases, and do nothing")
    add("--only", type=_words, metavar="WORDS", help="cases with one of these in name or section")
    wait = "seconds to wait for an answer (default: 4)"
    add("--timeout", type=_seconds, default=4.0, metavar="N", help=wait)
    add("--max-message", type=_bytes, metavar="BYTES", help="what the server limits a message to")
    add("--insecure", action="store_true", help="wss: trust any certificate")
    add("--port", type=_port, metavar="N", help="for --client (default: any that is free)")
    add("--verbose", action="store_true", help="show the cases that passed too")
    add("--json", metavar="FILE|-", help="write the result as JSON; - for stdout")
    add("--markdown", metavar="FILE|-", help="of --peers: write the table, case by peer")
    parser.set_defaults(run=run)


def _words(text: str) -> tuple[str, ...]:
    from .._parser import meant
    from .cases import CASES, choose

    words = tuple([word.strip() for word in text.split(",") if word.strip()])
    for word in words:
        if not (choose("server", [word]) or choose("client", [word])):
            near = meant(word, {case.name.partition("/")[0] for case in CASES})
            raise argparse.ArgumentTypeError(f"no case has {word!r}; see --list{near}")
    return words


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.1 <= seconds <= 60:
        raise argparse.ArgumentTypeError("must be a number from 0.1 to 60")
    return seconds


def _bytes(text: str) -> int:
    if not text.isdecimal() or not 1024 <= int(text) < 1 << 62:
        raise argparse.ArgumentTypeError("must be a number of bytes, 1024 at least")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be a port, 0 to 65535")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit status."""
    from .cases import choose

    fault = _unfit(args)
    if fault:
        return _say(fault, 2)
    cases = choose("client" if args.client else "server", args.only or ())
    if args.list:
        from . import report

        print(report.listing(cases))
        return 0
    if not cases:
        return _say("no case of these is for that side; see --list", 2)
    try:
        if args.peers:
            return _peers(args, cases)
        return _client(args, cases) if args.client else _server(args, cases)
    except OSError as exc:
        return _say(exc, 1)


def _say(text: object, status: int) -> int:
    from .._text import printable

    print(f"wsfast conformance: {printable(text)}", file=sys.stderr)
    return status


def _unfit(args: argparse.Namespace) -> str | None:
    """Why these arguments do not go together."""
    if args.client and args.peers:
        return "--client and --peers are two commands"
    if args.client and args.target and not any("{url}" in word for word in args.target):
        return "the command of --client needs {url} where the URL goes"
    if not args.client and args.port is not None:
        return "--port is for --client"
    if not args.peers and args.markdown:
        return "--markdown is for --peers"
    if args.list or args.client:
        return _unwritable(args.json)
    if len(args.target) != (0 if args.peers else 1):
        if args.peers:
            return "--peers takes no URL"
        return "one URL is needed, for example: wsfast conformance ws://127.0.0.1:8000/"
    return _unwritable(args.json, args.markdown)


def _unwritable(*files: str | None) -> str | None:
    for file in files:
        if file and file != "-" and not os.access(os.path.dirname(file) or ".", os.W_OK):
            return f"cannot write {file}: no such folder, or no permission"
    return None


def _server(args: argparse.Namespace, cases: list[Case]) -> int:
    from ..bench.progress import progress
    from . import report
    from .opening import parse_url
    from .prober import Prober, Unreachable

    (target,) = args.target
    try:
        url = parse_url(target)
    except ValueError as exc:
        return _say(f"{target}: {exc}", 2)
    prober = Prober(url, timeout=args.timeout, limit=args.max_message, insecure=args.insecure)
    try:
        prober.check()
    except Unreachable as exc:
        trust = ", or see --insecure" if url.secure else ""
        return _say(f"no WebSocket server at {target}: {exc}; start one that echoes{trust}", 1)
    if not prober.echoes():
        _say("no text comes back from it; most cases fail where the server does not echo", 0)
    started = time.monotonic()
    with progress("cases") as update:
        results = prober.run(cases, update)
    return _deliver(report.document("server", target, results, started, args.max_message), args)


def _client(args: argparse.Namespace, cases: list[Case]) -> int:
    from ..bench.progress import progress
    from . import report
    from .receiver import NoClient, Receiver

    started = time.monotonic()
    receiver = Receiver(cases, port=args.port or 0, timeout=args.timeout)
    try:
        with progress("cases") as update:
            if args.target:
                results = receiver.run(args.target, update)
            else:
                number = report.so_many(len(cases))
                print(f"{number}, one a connection: {receiver.url}", file=sys.stderr)
                results = receiver.wait(update)
    except NoClient as exc:
        return _say(f"the client did not connect: {exc}; {{url}} in its words is where to", 1)
    finally:
        receiver.close()
    of = " ".join(args.target) or "a client"
    return _deliver(report.document("client", of, results, started), args)


def _peers(args: argparse.Namespace, cases: list[Case]) -> int:
    from . import report_peers
    from .peers import compare, installed

    chosen, missing = installed()
    for name, why in missing.items():
        _say(f"left out: {name}: {why}", 0)
    if missing:
        _say("most of these come with: pip install 'wsfast[conformance]'", 0)
    if not chosen:
        return _say("no peer is installed", 3)
    found = compare(chosen, cases, args.timeout, missing)
    print(report_peers.table(found), file=sys.stderr if "-" in (args.json, args.markdown) else None)
    _write(args.json, json.dumps(found, indent=1, ensure_ascii=False))
    _write(args.markdown, report_peers.markdown(found))
    return 1 if len(found["peers"]) < len(chosen) else 0  # what each passes is what was asked


def _deliver(document: dict[str, Any], args: argparse.Namespace) -> int:
    """Report and JSON; where stdout carries the JSON, the report goes to stderr."""
    from . import report

    out = sys.stderr if args.json == "-" else sys.stdout
    for line in report.lines(document, colour=out.isatty(), verbose=args.verbose):
        print(line, file=out)
    _write(args.json, json.dumps(document, indent=1, ensure_ascii=False))
    return 1 if document["counts"]["fail"] else 0


def _write(file: str | None, text: str) -> None:
    if file == "-":
        print(text)
    elif file:
        with open(file, "w", encoding="utf-8") as out:
            out.write(text.rstrip("\n") + "\n")

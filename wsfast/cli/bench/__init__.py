"""``wsfast bench``: what a message costs this machine's servers, with wsfast and without."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib.util import find_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .measure import Session
    from .plan import Group
    from .result import Calls

EXAMPLES = """\
examples:
  wsfast bench                                about a minute, then a table
  wsfast bench --loop uvloop --app raw        one event loop, no framework
  wsfast bench --seconds 300 --json out.json  narrower intervals, and every figure as JSON
  wsfast bench --only uvicorn,uvicorn+wsfast --json - | jq .ratios

Servers run as processes on 127.0.0.1 and end with the command. Exit status: 0 measured, 1 a server
failed or answered wrongly, 2 wrong usage, 3 something that is needed is not installed.
"""
DESCRIPTION = """\
Echo text messages through real servers over real sockets and compare the CPU time the server
spends per message: a raw TCP echo (the floor), uvicorn as it comes, uvicorn with wsfast. Every
reply is compared byte for byte.
"""
SECONDS = 60.0


def add_parser(commands: Any) -> None:
    """Add ``bench`` to the subcommands of ``wsfast``."""
    from .plan import APPS, LOOPS

    parser = commands.add_parser(
        "bench",
        help="measure servers with and without wsfast on this machine",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "kind", nargs="?", choices=["echo"], default="echo", help="what to measure (default: echo)"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=SECONDS,
        metavar="N",
        help="time for measuring, without starting the servers (default: %(default)g)",
    )
    parser.add_argument(
        "--loop",
        choices=[*LOOPS, "both"],
        help="event loop (default: those that are installed)",
    )
    parser.add_argument(
        "--only", type=_servers, metavar="IDS", help=f"servers, of {_known()} (default: all)"
    )
    parser.add_argument(
        "--app",
        choices=sorted(APPS),
        help="raw: bare ASGI echo; starlette: a JSON application (default: both)",
    )
    parser.add_argument("--json", metavar="FILE|-", help="write the result as JSON; - for stdout")
    parser.add_argument("--plot", metavar="FILE.png", help="draw a chart (needs matplotlib)")
    parser.set_defaults(run=run)


def _known() -> str:
    from .plan import SERVERS

    return ",".join(SERVERS)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("must be a number, more than 0 and at most 3600")
    return seconds


def _servers(text: str) -> tuple[str, ...]:
    from .plan import SERVERS

    wanted = text.split(",")
    unknown = [name for name in wanted if name not in SERVERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown server {unknown[0]!r}; known: {_known()}")
    return tuple([name for name in SERVERS if name in wanted])


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit status."""
    from .._text import printable
    from .launch import ServerError
    from .measure import BenchError
    from .plan import Missing

    try:
        groups = _groups(args)
        if args.plot and not find_spec("matplotlib"):
            raise Missing("--plot needs matplotlib: pip install matplotlib")
    except Missing as exc:
        print(f"wsfast bench: {printable(exc)}", file=sys.stderr)
        return 3
    fault = _unwritable(args.json, args.plot)
    if fault:
        print(f"wsfast bench: {printable(fault)}", file=sys.stderr)
        return 2
    if not groups:
        print("wsfast bench: nothing to measure: raw-tcp serves no application", file=sys.stderr)
        return 2
    try:
        document = echo(groups, args.seconds)
        _deliver(document, args)
    except (BenchError, ServerError, OSError) as exc:
        print(f"wsfast bench: {printable(exc)}", file=sys.stderr)
        return 1
    return 0


def _unwritable(*files: str | None) -> str | None:
    """Why one of the files cannot be written, asked before a minute is spent on its content."""
    for file in files:
        if file and file != "-" and not os.access(os.path.dirname(file) or ".", os.W_OK):
            return f"cannot write {file}: no such folder, or no permission"
    return None


def _groups(args: argparse.Namespace) -> list[Group]:
    from . import plan

    servers = args.only or plan.SERVERS
    plan.check_servers(servers)
    loops = plan.choose_loops(args.loop)
    return plan.groups(loops, plan.choose_apps(args.app), servers)


def echo(groups: list[Group], seconds: float) -> dict[str, Any]:
    """Start the servers, measure for about ``seconds``, end them; the JSON document."""
    from . import launch, result
    from .measure import Session, pinned
    from .progress import progress

    began, started = time.monotonic(), result.now()
    keys = list(dict.fromkeys([group.key(name) for group in groups for name in group.servers]))
    with progress("measuring") as update, launch.servers(keys) as servers:
        update(0.0)
        with pinned(list(servers.values())) as is_pinned:
            session = Session(groups, servers, seconds, update)
            session.verify()
            session.measure()
        calls = _system_calls(session)
    took = time.monotonic() - began
    return result.document(session, calls, started=started, seconds=took, pinned=is_pinned)


def _system_calls(session: Session) -> Calls:
    from . import syscalls

    calls: Calls = {}
    if not syscalls.available():
        return calls
    for group in session.groups:
        for name in group.servers:
            try:
                calls[group, name] = syscalls.per_message(session, group, name)
            except syscalls.StraceError:
                return {}  # not permitted here, then nowhere
    return calls


def _deliver(document: dict[str, Any], args: argparse.Namespace) -> None:
    """Table, JSON and chart; where stdout carries the JSON, the table goes to stderr."""
    from . import report

    text = json.dumps(document, indent=1, ensure_ascii=False)
    print(report.table(document), file=sys.stderr if args.json == "-" else sys.stdout)
    if args.json == "-":
        print(text)
    elif args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    if args.plot:
        report.plot(document, args.plot)

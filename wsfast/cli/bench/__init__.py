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
    from .result import Calls, Memory

EXAMPLES = """\
examples:
  wsfast bench                                about a minute, then a table
  wsfast bench --loop uvloop --app raw        one event loop, no framework
  wsfast bench --seconds 300 --json out.json  narrower intervals, and every figure as JSON
  wsfast bench --plot echo.png                the table as a chart too
  wsfast bench hosts --plot hosts.png         every host that is installed, eight minutes
  wsfast bench hosts --only websockets,websockets+wsfast --seconds 30 --json - | jq .ratios

{servers}

Servers run as processes on 127.0.0.1 and end with the command. Exit status: 0 measured, 1 a server
failed, answered wrongly or ran without the wsfast it should run with, 2 wrong usage, 3 something
that is needed is not installed.
"""
DESCRIPTION = """\
Echo text messages through real servers over real sockets and compare the CPU time the server
spends per message with wsfast and without, beside a raw TCP echo, the floor. Every reply is
compared. echo: uvicorn with wsfast's own class, raw, under Starlette, and with compression.
hosts: each library that wsfast accelerates, and rivals; also the memory of idle connections.
"""


def add_parser(commands: Any) -> None:
    """Add ``bench`` to the subcommands of ``wsfast``."""
    from .contenders import LOOPS
    from .plan import APPS, KINDS

    parser = commands.add_parser(
        "bench",
        help="measure servers with and without wsfast on this machine",
        description=DESCRIPTION,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "kind", nargs="?", choices=[*KINDS], default="echo", help="what to measure (default: echo)"
    )
    times = ", ".join([f"{kind.seconds:g} for {name}" for name, kind in KINDS.items()])
    parser.add_argument(
        "--seconds",
        type=_seconds,
        metavar="N",
        help=f"time for measuring, without starting the servers (default: {times})",
    )
    parser.add_argument(
        "--loop",
        choices=[*LOOPS, "both"],
        help="event loop (default: those that are installed)",
    )
    parser.add_argument(
        "--only",
        type=_servers,
        metavar="IDS",
        help="servers of those below, with commas between (default: all)",
    )
    parser.add_argument(
        "--app",
        choices=sorted(APPS),
        help="of echo; raw: bare ASGI echo; starlette: a JSON application; deflate: the bare echo"
        " of JSON, compressed as browsers ask for it (default: all)",
    )
    parser.add_argument("--json", metavar="FILE|-", help="write the result as JSON; - for stdout")
    parser.add_argument("--plot", metavar="FILE.png", help="draw a chart (needs matplotlib)")
    parser.set_defaults(run=run)


def _epilog() -> str:
    from textwrap import wrap

    from .contenders import CONTENDERS, WAYS
    from .plan import KINDS

    lines = [f"servers of echo: {', '.join(KINDS['echo'].servers)}", "servers of hosts:"]
    for family in (("raw-tcp",), *KINDS["hosts"].families):
        lines += wrap(", ".join(family), 98, initial_indent="  ", subsequent_indent="    ")
    lines.append("of these, with")
    for way, text in WAYS.items():
        lines.append(f"  {text}:")
        lines += [f"    {one.id}" for one in CONTENDERS.values() if one.way == way]
    return EXAMPLES.format(servers="\n".join(lines))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("must be a number, more than 0 and at most 3600")
    return seconds


def _servers(text: str) -> tuple[str, ...]:
    from .._parser import meant
    from .contenders import CONTENDERS

    wanted = text.split(",")
    unknown = [name for name in wanted if name not in CONTENDERS]
    if unknown:
        known, near = ",".join(CONTENDERS), meant(unknown[0], CONTENDERS)
        raise argparse.ArgumentTypeError(f"unknown server {unknown[0]!r}; known: {known}{near}")
    return tuple([name for name in CONTENDERS if name in wanted])


def run(args: argparse.Namespace) -> int:
    """The command; returns the exit status."""
    from .launch import ServerError
    from .measure import BenchError
    from .plan import Missing

    try:
        groups = _groups(args)
        if args.plot and not find_spec("matplotlib"):
            raise Missing("--plot needs matplotlib: pip install matplotlib")
    except Missing as exc:
        return _say(exc, 3)
    fault = _unfit(args) or _unwritable(args.json, args.plot)
    if fault:
        return _say(fault, 2)
    if not groups:
        return _say("nothing to measure: no server of these with that --app or --loop", 2)
    try:
        document = measured(args.kind, groups, args.seconds or _default_seconds(args.kind))
        _deliver(document, args)
    except (BenchError, ServerError, OSError) as exc:
        return _say(exc, 1)
    return 0


def _say(text: object, status: int) -> int:
    from .._text import printable

    print(f"wsfast bench: {printable(text)}", file=sys.stderr)
    return status


def _default_seconds(kind: str) -> float:
    from .plan import KINDS

    return KINDS[kind].seconds


def _unfit(args: argparse.Namespace) -> str | None:
    """Why these options do not go together."""
    from .plan import KINDS

    for name in args.only or ():
        if name not in KINDS[args.kind].servers:
            (other,) = [kind for kind in KINDS if name in KINDS[kind].servers]
            known = ",".join(KINDS[args.kind].servers)
            return f"{name} is not a server of {args.kind}: {known}; wsfast bench {other} has it"
    if args.app and args.kind != "echo":
        return f"--app is for echo; {args.kind} has one application, the echo"
    return None


def _unwritable(*files: str | None) -> str | None:
    """Why one of the files cannot be written, asked before a minute is spent on its content."""
    for file in files:
        if file and file != "-" and not os.access(os.path.dirname(file) or ".", os.W_OK):
            return f"cannot write {file}: no such folder, or no permission"
    return None


def _groups(args: argparse.Namespace) -> list[Group]:
    from . import plan

    servers, left_out = plan.choose_servers(args.kind, args.only)
    for name, why in left_out.items():
        _say(f"left out: {name}: {why}", 0)
    loops = plan.choose_loops(args.kind, args.loop)
    return plan.groups(args.kind, loops, plan.choose_apps(args.kind, args.app), servers)


def measured(kind: str, groups: list[Group], seconds: float) -> dict[str, Any]:
    """Start the servers, measure for about ``seconds``, end them; the JSON document."""
    from . import launch, result
    from .measure import Session, pinned
    from .progress import progress

    began, started = time.monotonic(), result.now()
    memory = _memory(groups) if kind == "hosts" else {}
    keys = list(dict.fromkeys([group.key(name) for group in groups for name in group.servers]))
    with progress("measuring") as update, launch.servers(keys) as servers:
        update(0.0)
        with pinned(list(servers.values())) as is_pinned:
            session = Session(groups, servers, seconds, update)
            session.verify()
            session.measure()
        hits = session.hits()
        calls = _system_calls(session, _counted(kind, groups))
    took = time.monotonic() - began
    return result.document(
        kind, session, hits, calls, memory, started=started, seconds=took, pinned=is_pinned
    )


def _memory(groups: list[Group]) -> Memory:
    from . import memory
    from .progress import progress

    with progress("idle connections") as update:
        return memory.measure(groups, update)


def _counted(kind: str, groups: list[Group]) -> list[Group]:
    """Whose system calls are counted: of the many hosts at one size, or it would take minutes."""
    smallest = min([group.size for group in groups])
    return [group for group in groups if kind == "echo" or group.size == smallest]


def _system_calls(session: Session, groups: list[Group]) -> Calls:
    """Where strace is there and may attach; else of none."""
    from . import syscalls

    calls: Calls = {}
    if not syscalls.available():
        return calls
    for group in groups:
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

"""The ``wsfast`` command: one module per subcommand, each loaded when it runs."""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = """\
examples:
  wsfast status                  which implementation runs, and how to switch it on in your server
  wsfast bench                   what it saves on this machine, in about a minute
  wsfast run hypercorn app:app   a server with its WebSocket library accelerated
  wsfast conformance ws://…      what a server or client makes of every corner of the RFCs

Exit status: 0 ok, 1 it failed, 2 wrong usage, 3 something that is needed is missing.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; each sets ``run``, a function of its arguments."""
    from wsfast import __version__

    from . import bench, conformance, run, status
    from ._parser import Parser

    parser = Parser(
        prog="wsfast",
        description="A WebSocket codec in C for the Python servers people already run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wsfast {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    status.add_parser(commands)
    bench.add_parser(commands)
    run.add_parser(commands)
    conformance.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (argparse itself exits with 2 or 0)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed: "wsfast status >&-"
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    parser = build_parser()
    words = sys.argv[1:] if argv is None else argv
    if not words:
        parser.exit(2, parser.format_help())
    args = parser.parse_args(words)
    try:
        result: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("wsfast: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:  # "wsfast status | head -1"
        for stream in (sys.stdout, sys.stderr):  # for the flush at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 1
    return result

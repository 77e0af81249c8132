"""``wsfast run``: a command of yours, its WebSocket libraries accelerated, no line of it changed.

The command is executed in the place of this process. What gets wsfast in is ``_bootstrap``, a
folder with a ``sitecustomize`` at the head of PYTHONPATH, which every Python runs when it starts:
that covers the workers that servers spawn too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys

from ._text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from ._target import Target

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bootstrap")
USAGE = (
    "wsfast run [--only HOSTS] [--require] [--no-propagate] [--policy strict] [--cork] [--] CMD..."
)
DESCRIPTION = """\
Start a command with the WebSocket libraries that wsfast knows accelerated, in all of its
processes. CMD is a command, a file.py, or -m and a module; python itself works too. Its output,
its signals and its exit status are its own. `import wsfast; wsfast.install()` at the top of a
program does the same from inside.
"""
EXAMPLES = """\
examples:
  wsfast run hypercorn app:app --workers 4
  wsfast run --require sanic app:app          or not at all
  wsfast run --only websockets server.py
  wsfast run -m myapp --port 8000
  WSFAST_REPORT=report.jsonl wsfast run -- python server.py    each process adds a line at its end

WSFAST=0 in the environment switches it off, WSFAST_REQUIRE=1 is --require. A Python in isolation
(-I, -E, -S) ignores it, and one of another virtual environment needs wsfast installed there.
uvicorn gains more by a switch of its own: uvicorn --ws wsfast.uvicorn:WebSocketProtocol app:app

Exit status: that of the command; 2 wrong usage, 3 the command, or wsfast in its Python, is missing.
"""


def add_parser(commands: Any) -> None:
    """Add ``run`` to the subcommands of ``wsfast``."""
    parser = commands.add_parser(
        "run",
        help="start a command with its WebSocket libraries accelerated",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--only",
        type=_hosts,
        metavar="HOSTS",
        help=f"of {','.join(_known())}, with commas between (default: all)",
    )
    parser.add_argument(
        "--require",
        action="store_true",
        help="fail rather than run a library without wsfast: its import raises HostRefused",
    )
    parser.add_argument(
        "--no-propagate",
        action="store_true",
        help="leave alone the processes that the command starts, workers too",
    )
    parser.add_argument(
        "--policy",
        choices=["host", "strict"],
        default="host",
        help="as strict as the library itself, or RFC 6455 on top (default: host)",
    )
    parser.add_argument(
        "--cork",
        action="store_true",
        help="websockets on asyncio: while received messages wait, collect what is sent, and "
        "write it in one go",
    )
    # Two names for the rest of the line: argparse would not take a leading -m for a command.
    rest = {"nargs": argparse.REMAINDER, "default": [], "help": argparse.SUPPRESS}
    parser.add_argument("-m", dest="module", **rest)
    parser.add_argument("command", **rest)
    parser.set_defaults(run=run, refuse=parser.error)


def _known() -> list[str]:
    """The hosts that are patched in place."""
    from wsfast.integrations._hosts import HOSTS

    return [name for name, host in HOSTS.items() if host.groups]


def _hosts(text: str) -> str:
    """``--only``, checked."""
    from wsfast.integrations._hosts import HOSTS

    from ._parser import meant

    names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name not in HOSTS:
            known, near = ",".join(_known()), meant(name, HOSTS)
            raise argparse.ArgumentTypeError(f"unknown host {name!r}; known: {known}{near}")
        if not HOSTS[name].groups:
            hook = HOSTS[name].supported_hook
            raise argparse.ArgumentTypeError(f"{name} has a switch of its own: {hook}")
    return ",".join(names)


def run(args: argparse.Namespace) -> int:
    """Become the command. Returns only where that fails, and on Windows, with its exit status."""
    from wsfast.integrations import _env
    from wsfast.integrations._hosts import HOSTS

    from ._target import Ignored, Missing, resolve

    words = ["-m", *args.module, *args.command] if args.module else args.command
    if words[:1] == ["--"]:
        words = words[1:]
    if not words or words == ["-m"]:
        args.refuse("which command? For example: wsfast run hypercorn app:app")
    environment = dict(os.environ)
    try:
        target = resolve(words)
        if _env.chosen() != frozenset():
            if args.require:
                environment["WSFAST_REQUIRE"] = "1"
            if _env.required(environment) and not args.only and (names := _env.strangers(HOSTS)):
                args.refuse(f"WSFAST names hosts unknown to wsfast: {', '.join(names)}")
            _prepare(target, args, environment)
    except (Ignored, Missing) as exc:
        _say(str(exc))
        return 2 if isinstance(exc, Ignored) else 3
    try:
        if os.name == "nt":
            return _watch(target.argv, environment)
        _become(target.argv, environment)
    except OSError as exc:
        _say(f"{printable(target.argv[0])} cannot be started: {exc.strerror}")
        return 3


def _prepare(target: Target, args: argparse.Namespace, environment: dict[str, str]) -> None:
    """Look whether wsfast will be there, and write into ``environment`` what gets it in."""
    from ._target import Missing

    if os.pathsep in BOOTSTRAP:
        raise Missing(f"PYTHONPATH cannot hold {BOOTSTRAP}, for the {os.pathsep} in it")
    target.check_options()
    if target.python is not None:
        _look(target.python, args.only.split(",") if args.only else [], environment)
    path = environment.get("PYTHONPATH")
    entries = path.split(os.pathsep) if path else []  # an empty one in it: the working directory
    entries = [BOOTSTRAP, *[entry for entry in entries if entry != BOOTSTRAP]]
    environment["PYTHONPATH"] = os.pathsep.join(entries)
    if args.only:
        environment["WSFAST"] = args.only
    wishes = ["first"]
    wishes += ["strict"] if args.policy == "strict" else []
    wishes += ["cork"] if args.cork else []
    wishes += ["alone"] if args.no_propagate else []
    environment["WSFAST_RUN"] = ",".join(wishes)


def _look(python: str, wanted: list[str], environment: dict[str, str]) -> None:
    """Say what is surprising about the wsfast of ``python``; ``Missing`` where a host is, or where
    nothing would be accelerated and that is required."""
    import wsfast
    from wsfast.integrations import _env

    from ._target import Missing, ask

    def idle(why: str) -> None:
        if _env.required(environment):
            raise Missing(why)
        _say(why)

    shown, found = printable(python), ask(python, environment)
    if found["version"] != wsfast.__version__:
        _say(f"{shown} has wsfast {found['version']}, not {wsfast.__version__}; that one will run")
    if found["backend"] == "python" and not environment.get("WSFAST_BACKEND"):
        idle("no C extension, so nothing is accelerated; wsfast status says why")
    missing = [name for name in wanted or _known() if name in found["absent"]]
    if wanted and missing:
        raise Missing(f"{shown} has no {' and no '.join(missing)}")
    if missing == _known():
        idle(f"{shown} has neither {' nor '.join(missing)}, so nothing is accelerated")


def _say(text: str) -> None:
    print(f"wsfast run: {text}", file=sys.stderr, flush=True)


def _become(argv: list[str], environment: dict[str, str]) -> NoReturn:
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and that would be inherited
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execve(argv[0], argv, environment)


def _watch(argv: list[str], environment: dict[str, str]) -> int:
    """In the place of exec on Windows, where that returns to the shell before the command ends.

    Ctrl-C and Ctrl-Break reach every process of the console by themselves.
    """
    if hasattr(signal, "SIGBREAK"):
        signal.signal(signal.SIGBREAK, lambda number, frame: None)
    with subprocess.Popen(argv, env=environment) as process:
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                return process.wait()

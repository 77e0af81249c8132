"""Plays Autobahn's cases against our servers and prints a strict verdict.

    python tests/autobahn/run.py [--testee uvicorn|bare] [--backend c|python] [--group N]...

Without options: both testees (uvicorn with our class; the example on a bare Connection) on both
back ends, groups 1-7, 9 and 10. Reports stay in reports/autobahn. Exit status: 0 every case OK or
INFORMATIONAL, 1 not.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "servers"))

import runners  # noqa: E402
from launch import Server, launch  # noqa: E402
from verdict import CASES_OF_GROUP, Verdict, judge  # noqa: E402

DEFAULT_GROUPS = (1, 2, 3, 4, 5, 6, 7, 9, 10)
MAX_MESSAGE = 16 << 20  # bytes; the largest message of group 9 is exactly this
TIMEOUT = 900.0  # seconds for one testee


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--testee", action="append", choices=["uvicorn", "bare"])
    parser.add_argument("--backend", action="append", choices=["c", "python"])
    parser.add_argument("--group", action="append", type=int, choices=CASES_OF_GROUP)
    parser.add_argument("--runner", default="auto", choices=["auto", "wstest", "kosoku"])
    parser.add_argument(
        "--ws",
        default="wsfast.uvicorn:WebSocketProtocol",
        metavar="CLASS",
        help="uvicorn's --ws; `auto`: what uvicorn's own class scores",
    )
    parser.add_argument("--reports", type=Path, default=ROOT / "reports" / "autobahn")
    args = parser.parse_args()
    args.testee = args.testee or ["uvicorn", "bare"]
    args.backend = args.backend or ["c", "python"]
    args.group = sorted(set(args.group or DEFAULT_GROUPS))
    return args


def start(testee: str, backend: str, ws: str) -> AbstractContextManager[Server]:
    if testee == "bare":
        return launch("bare_echo.py", backend=backend)
    return launch("uvicorn_echo.py", "--ws", ws, "--max-size", str(MAX_MESSAGE), backend=backend)


def play(runner: runners.Runner, testee: str, backend: str, args: argparse.Namespace) -> Verdict:
    folder = args.reports / f"{testee}-{backend}"
    shutil.rmtree(folder, ignore_errors=True)
    cases = [f"{group}.*" for group in args.group]
    with start(testee, backend, args.ws) as server:
        print(f"{testee}, {server.backend or 'not wsfast'}: {server.protocol} ...", flush=True)
        started = time.monotonic()
        index = runner.run(f"ws://127.0.0.1:{server.port}", cases, folder, TIMEOUT)
    verdict = judge(index, args.group)
    report(verdict, time.monotonic() - started)
    return verdict


def report(verdict: Verdict, seconds: float) -> None:
    print(f"    {len(verdict.passed)} passed, {len(verdict.failed)} failed in {seconds:.0f} s")
    if verdict.informational:
        print("    informational:", ", ".join(verdict.informational))
    for line in verdict.failed:
        print("    FAILED", line)
    if verdict.missing:
        print(f"    FAILED {verdict.missing} cases were not played")


def main() -> int:
    args = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)
    runner = runners.choose(args.runner)
    print(f"Autobahn by {runner.name}, groups", *args.group)
    verdicts = [
        play(runner, testee, backend, args) for testee in args.testee for backend in args.backend
    ]
    passed = sum(len(verdict.passed) for verdict in verdicts)
    failed = sum(len(verdict.failed) + verdict.missing for verdict in verdicts)
    print(f"{passed} passed, {failed} failed")
    return 0 if all(verdict.good for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())

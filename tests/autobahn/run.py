"""Plays Autobahn's cases against our servers and our client and prints a strict verdict.

    python tests/autobahn/run.py [--short] [--only GROUPS] [--side server|client]
                                 [--testee NAME]... [--backend c|python]... [--hosts]

Without options: everything of ours, all groups (1-7, 9, 10, 12, 13), on both back ends; `--short`
leaves 12 and 13 out, which are permessage-deflate and long. `--hosts`: the servers that wsfast
patches in place, as they are and with it, compared case by case. Reports stay in reports/autobahn;
`--table` prints what they say and plays nothing. Exit status: 0 every case of ours OK or
INFORMATIONAL, every host as without us; 1 not.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "servers"))

import legs  # noqa: E402
import runners  # noqa: E402
from legs import Leg, Outcome  # noqa: E402
from testees import HOSTS, OURS, SHORT, TESTEES  # noqa: E402
from verdict import CASES_OF_GROUP  # noqa: E402

PROGRESS = 60.0  # seconds between signs of life


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--short", dest="only", action="store_const", const=list(SHORT), help="--only 1-7,9,10"
    )
    what.add_argument("--only", type=legs.groups, metavar="GROUPS", help="such as 1-7,9,12")
    parser.add_argument("--side", choices=["server", "client"], help="what wsfast is")
    parser.add_argument("--testee", action="append", choices=TESTEES)
    parser.add_argument("--hosts", action="store_true", help=f"the testees {', '.join(HOSTS)}")
    parser.add_argument("--backend", action="append", choices=["c", "python", "plain"])
    parser.add_argument("--runner", default="auto", choices=["auto", "wstest", "kosoku"])
    parser.add_argument("--jobs", type=int, metavar="N", help="legs at the same time")
    parser.add_argument("--reports", type=Path, default=ROOT / "reports" / "autobahn")
    parser.add_argument("--table", action="store_true", help="print a table of the reports")
    args = parser.parse_args()
    args.only = args.only or list(CASES_OF_GROUP)
    if args.jobs is None:  # the short groups wait more than they work
        args.jobs = (os.cpu_count() or 1) * (2 if max(args.only) < 12 else 1)
    args.testee = args.testee or (HOSTS if args.hosts else OURS)
    return args


def main() -> int:
    args = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)
    if args.table:
        print(legs.table(args.reports))
        return 0
    todo = list(legs.plan(args.testee, args.only, args.side, args.backend))
    runner = runners.choose(args.runner)
    print(f"Autobahn by {runner.name}: {len(todo)} legs, {args.jobs} at a time")
    outcomes = play_all(todo, runner, args)
    different = legs.compare(outcomes, args.reports)
    for line in different:
        print("DIFFERENT", line)
    passed = sum(len(outcome.verdict.passed) for outcome in outcomes if outcome.verdict)
    failed = sum(outcome.failures for outcome in outcomes) + len(different)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not outcomes else 0


def play_all(todo: list[Leg], runner: runners.Runner, args: argparse.Namespace) -> list[Outcome]:
    outcomes: list[Outcome] = []
    started = time.monotonic()
    with ThreadPoolExecutor(args.jobs) as pool:
        waiting = {pool.submit(legs.play, leg, runner, args.reports): leg for leg in todo}
        while waiting:
            done, _ = wait(waiting, PROGRESS, return_when="FIRST_COMPLETED")
            for future in done:
                del waiting[future]
                outcomes.append(future.result())
                print(f"[{len(outcomes)}/{len(todo)}]", *legs.lines(outcomes[-1]), sep="\n    ")
            if not done:
                playing = [leg for future, leg in waiting.items() if future.running()]
                at = "; ".join(
                    f"{leg} at {runners.position(leg.folder(args.reports))}" for leg in playing
                )
                print(f"{time.monotonic() - started:.0f} s: {at}")
    return outcomes


if __name__ == "__main__":
    sys.exit(main())

"""The hosts' own tests: as they are, then with wsfast active, in C and in Python; compared.

    python tests/hosts/suites.py [NAME…] [--all-versions] [--work DIR] [--json FILE|-]

A NAME is a host, or a host with a version (wsproto, wsproto-1.2.0); without one all of suites.toml.
Each suite gets an environment of its own, with the wsfast of this checkout as it is built, and a
copy of its tests. Every test must end as it does without wsfast, but for what suites.toml says, and
frames must have gone through the seams. Exit status: 0 the same; 1 a difference, a failure nobody
knew, no frame, or nothing was run; 2 usage.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from suite_verdict import Problem, Run, Suite, judge, read, select  # noqa: E402
from suite_workplace import Workplace, make_pip  # noqa: E402

MODES = ("plain", "c", "python")
SHOWN = 20  # problems of one suite that are printed,
LINES = 12  # with so many lines of the traceback

Played = tuple[dict[str, Run], list[Problem]]


def play(suite: Suite, args: argparse.Namespace, folder: Path, pip: Path) -> Played:
    """Prepare one suite, run it in all modes at once (tests mostly sleep), and judge."""
    place = Workplace(suite, folder / suite.name, pip)
    try:
        place.prepare(args.wsfast)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        problems = [Problem(f"not prepared: {error}")]
        tell(suite, {}, problems)
        return {}, problems
    with ThreadPoolExecutor(1 if suite.alone else len(MODES)) as pool:
        running = {mode: pool.submit(place.run, mode, suite.targets) for mode in args.mode}
    runs = {mode: future.result() for mode, future in running.items()}
    for mode, run in runs.items():
        place.again(mode, run)
    problems = judge(suite, runs)
    tell(suite, runs, problems)
    return runs, problems


def tell(suite: Suite, runs: dict[str, Run], problems: list[Problem]) -> None:
    """Print what became of a suite."""
    lines = []
    for mode, run in runs.items():
        kinds = run.counts(suite.may_fail).items()
        counts = ", ".join(f"{number} {outcome}" for outcome, number in kinds)
        hits = "".join(f", {n} frames of {host}" for host, n in sorted(run.hits.items()) if n)
        lines.append(f"{mode:7} {run.seconds:4.0f} s  {counts}{hits}")
        lines += [f"{mode}: {test} failed once, and passed alone, thrice" for test in run.again]
    for problem in problems[:SHOWN]:
        lines.append(problem.text)
        lines += [f"      | {line}" for line in problem.why.splitlines()[-LINES:]]
    if len(problems) > SHOWN:
        lines.append(f"and {len(problems) - SHOWN} more")
    print("\n".join(f"{suite.name:24}{line}" for line in lines), flush=True)


def as_json(results: dict[str, Played]) -> str:
    """The schema is for those who compare two runs of this."""
    found = {}
    for name, (runs, problems) in results.items():
        modes = {
            mode: {
                "seconds": round(run.seconds, 1),
                "counts": run.counts(),
                "hits": +run.hits,  # without zeros
                "again": run.again,
            }
            for mode, run in runs.items()
        }
        found[name] = {"problems": [problem.text for problem in problems], "runs": modes}
    return json.dumps({"schema": "wsfast-suites/1", "suites": found}, indent=1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="a host, or a host with a version")
    add("--all-versions", action="store_true", help="the oldest versions, too")
    add("--ci", action="store_true", help="all versions that CI runs, no more")
    add("--mode", action="append", choices=MODES[1:], help="only this one, beside plain")
    add("--jobs", type=int, default=4, help="so many suites at a time (default: 4)")
    add("--wsfast", type=Path, default=ROOT, help="a wheel, or a folder with a built wsfast/")
    add("--work", type=Path, help="keep environments and logs here (default: a temporary folder)")
    add("--json", metavar="FILE", help="the results as JSON, - for standard output")
    args = parser.parse_args()
    args.mode = ["plain", *(args.mode or MODES[1:])]
    try:
        suites = read(HERE / "suites.toml")
        args.suites = select(suites, args.names, args.all_versions, args.ci)
    except KeyError as error:
        parser.error(error.args[0])
    return args


def main() -> int:
    """Play what was asked for; the last line counts tests that passed, and problems."""
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(args.jobs) as pool:
        folder = (args.work or Path(temporary)).resolve()
        pip = make_pip(folder)
        played = list(pool.map(lambda suite: play(suite, args, folder, pip), args.suites))
    results = {suite.name: one for suite, one in zip(args.suites, played)}
    if args.json == "-":
        print(as_json(results))
    elif args.json:
        Path(args.json).write_text(as_json(results) + "\n", "utf-8")
    passed = sum(run.counts().get("passed", 0) for runs, _ in played for run in runs.values())
    failed = sum(len(problems) for _, problems in played)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

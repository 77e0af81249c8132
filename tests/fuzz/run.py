"""Coverage-guided fuzzing of the C core and of the package: every target against its oracle.

    python tests/fuzz/run.py [--seconds N] [--only WORDS] [--jobs N] [--rounds N]
    python tests/fuzz/run.py --merge     what was found, minimised, into tests/fuzz/corpus
    python tests/fuzz/run.py --table     what all runs so far came to, as Markdown

Each target starts from its committed corpus and from what earlier runs found (reports/fuzz), and
is stopped after N seconds, 0 meaning that the corpus is only replayed. Prints executions, edges
covered, seconds since the last new edge and the corpus; crashing inputs are kept and named.

The C targets (tests/fuzz/c) need clang with libFuzzer: apt-get install clang-14 libclang-rt-14-dev
(or a later pair). The Python targets (tests/fuzz/python) need atheris: pip install atheris.
Nothing is installed here. What is missing fails; leave it out with --only.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
REPORTS = ROOT / "reports/fuzz"
LOG = REPORTS / "log.jsonl"
HARNESS = HERE / "python/harness.py"
FLAGS = [
    *("-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined"),
    *("-fsanitize=fuzzer,address,undefined", f"-I{ROOT}/wsfast/include", f"-I{ROOT}/csrc"),
]
LONGEST = {"c": 2048, "python": 1024}  # bytes of an input
LONGEST_KEPT = 512  # of one in the committed corpus
PROGRESS = re.compile(r"^#(\d+)\s+(\w+)\s.*cov: (\d+) .*corp: (\d+)/")


# ---- what there is ------------------------------------------------------------------------------


def targets() -> list[str]:
    sys.path.insert(0, str(HARNESS.parent))
    sys.path.insert(0, str(ROOT))
    from oracles import ORACLES

    core = sorted(f"c/{file.stem}" for file in HERE.glob("c/*.c"))
    return [*core, *(f"python/{name}" for name in ORACLES)]


def clang() -> str | None:
    names = ["clang", *(f"clang-{version}" for version in range(30, 11, -1))]
    return next((found for name in names if (found := shutil.which(name))), None)


def build(compiler: str, names: Iterable[str], jobs: int) -> None:
    """The C targets, in reports/fuzz/bin."""
    (REPORTS / "bin").mkdir(parents=True, exist_ok=True)

    def compile_one(name: str) -> None:
        sources = [*map(str, ROOT.glob("csrc/*.c")), str(HERE / f"{name}.c")]
        done = subprocess.run([compiler, *FLAGS, *sources, "-o", str(binary(name))], check=False)
        if done.returncode:
            sys.exit(f"{name} does not compile (is libclang-rt-…-dev there?)")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(compile_one, names))


def binary(name: str) -> Path:
    return REPORTS / "bin" / Path(name).name


def command(name: str) -> list[str]:
    if name.startswith("c/"):
        return [str(binary(name))]
    return [sys.executable, str(HARNESS), Path(name).name]


# ---- one run ------------------------------------------------------------------------------------


@dataclass
class Result:
    """``cpu``: seconds of processor; ``quiet``: on the clock, since an edge new to the corpus."""

    day: str
    target: str
    seconds: float = 0.0
    cpu: float = 0.0
    executions: int = 0
    edges: int = 0
    quiet: float = 0.0
    corpus: int = 0
    new: int = 0
    status: int = 0

    def line(self) -> str:
        verdict = "ok" if self.status == 0 else f"FAILED, status {self.status}"
        return (
            f"{self.target:28} {self.seconds:6.0f} s ({self.cpu:.0f} of processor) "
            f"{self.executions:>10,} runs {self.edges:>5} edges, last new {self.quiet:4.0f} s ago, "
            f"corpus {self.corpus:>4} (+{self.new})  {verdict}"
        )


def fuzz(name: str, seconds: int) -> Result:
    """Run one target; its output is shown where it fails."""
    scratch, kept = REPORTS / "corpus" / name, CORPUS / name
    findings = REPORTS / "findings" / name
    for folder in (scratch, findings, kept):
        folder.mkdir(parents=True, exist_ok=True)
    before = len(list(scratch.iterdir()))
    limit = ["-runs=0"] if seconds == 0 else [f"-max_total_time={seconds}"]
    options = [
        *limit, "-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={findings}/",
        f"-max_len={LONGEST[name.split('/')[0]]}", str(scratch), str(kept),
    ]  # fmt: skip
    result = Result(date.today().isoformat(), name)
    lines = watch([*command(name), *options], result)
    result.new = len(list(scratch.iterdir())) - before
    if result.status:
        print("\n".join(lines[-40:]), flush=True)
    REPORTS.mkdir(parents=True, exist_ok=True)
    with LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")
    print(result.line(), flush=True)
    return result


def watch(words: list[str], result: Result) -> list[str]:
    """Follow libFuzzer's progress; what it said."""
    lines: list[str] = []
    start = last_new = time.monotonic()
    replayed = False
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        cwd=REPORTS,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if match := PROGRESS.match(line):
                edges = int(match[3])
                if replayed and edges > result.edges:
                    last_new = time.monotonic()
                replayed = replayed or match[2] == "INITED"
                result.executions, result.edges = int(match[1]), edges
                result.corpus = int(match[4])
        _, status, used = os.wait4(process.pid, 0)  # Popen.wait() does not tell what was used
        process.returncode = result.status = os.waitstatus_to_exitcode(status)
        result.cpu = round(used.ru_utime + used.ru_stime, 1)
    finally:
        process.kill()
    end = time.monotonic()
    result.seconds, result.quiet = round(end - start, 1), round(end - last_new, 1)
    return lines


# ---- the corpus, and the sum of all runs --------------------------------------------------------


def merge(name: str) -> None:
    """The fewest short inputs that cover what all of them cover, as the committed corpus."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # Every Python input takes its milliseconds of `make test`: there, new edges only.
        counters = int(name.startswith("c/"))
        options = ["-merge=1", f"-use_counters={counters}", f"-max_len={LONGEST_KEPT}", folder]
        sources = [str(kept), str(REPORTS / "corpus" / name)]
        Path(sources[1]).mkdir(parents=True, exist_ok=True)
        subprocess.run([*command(name), *options, *sources], check=True, capture_output=True)
        found = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
    for file in kept.iterdir():
        file.unlink()
    for unit, data in found.items():
        (kept / unit).write_bytes(data)
    print(f"{name:28} {len(found):>4} inputs, {sum(map(len, found.values())):>7,} bytes")


def table() -> str:
    """What the log adds up to; the edges are the last run's, for the code may have changed.

    A run that finds no new edge adds to the silence before it.
    """
    sums: dict[str, Result] = {}
    crashes: dict[str, int] = {}
    for line in LOG.read_text("utf-8").splitlines():
        run = Result(**json.loads(line))
        known = sums.setdefault(run.target, Result(run.day, run.target))
        known.quiet = run.quiet + (known.quiet if run.quiet == run.seconds else 0)
        known.seconds += run.seconds
        known.cpu += run.cpu
        known.executions += run.executions
        known.edges, known.corpus, known.day = run.edges, run.corpus, run.day
        crashes[run.target] = crashes.get(run.target, 0) + bool(run.status)
    rows = [
        f"| {r.day} | {r.target} | {r.executions:,} | {r.seconds:,.0f} | {r.cpu:,.0f} "
        f"| {r.edges} | {r.quiet:,.0f} | {r.corpus} | {crashes[r.target]} |"
        for r in sums.values()
    ]
    columns = [
        *("date", "target", "executions", "seconds", "of processor"),
        *("edges", "quiet", "corpus", "crashes"),
    ]
    return "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows])


# ---- the command --------------------------------------------------------------------------------


def missing(names: list[str]) -> list[str]:
    """What these targets need and is not there, and how to get it."""
    found = []
    if clang() is None and any(name.startswith("c/") for name in names):
        found.append("clang: apt-get install clang-14 libclang-rt-14-dev")
    if not importlib.util.find_spec("atheris") and any(n.startswith("python/") for n in names):
        found.append("atheris: pip install atheris")
    return found


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--only", default="", help="targets that contain one of these, by commas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once")
    parser.add_argument("--rounds", type=int, default=1, help="through all targets, 0 for ever")
    parser.add_argument("--merge", action="store_true", help="minimise the corpus and end")
    parser.add_argument("--table", action="store_true", help="print the sum of all runs and end")
    return parser.parse_args(words)


def each(jobs: int, work: Callable[[str], object], names: list[str]) -> list[object]:
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(work, names))


def main(words: list[str] | None = None) -> int:
    options = parse(words)
    if options.table:
        print(table())
        return 0
    wanted = options.only.split(",")
    names = [name for name in targets() if any(word in name for word in wanted)]
    if lacks := missing(names):
        print("missing:", *lacks, sep="\n  ")
        print(f"0 passed, {len(names)} failed")
        return 1
    build(clang() or "", [name for name in names if name.startswith("c/")], options.jobs)
    if options.merge:
        each(options.jobs, merge, names)
        return 0
    results: list[Result] = []
    while options.rounds == 0 or len(results) < options.rounds * len(names):
        results += each(options.jobs, lambda name: fuzz(name, options.seconds), names)  # type: ignore[arg-type]
    failed = sum(result.status != 0 for result in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())

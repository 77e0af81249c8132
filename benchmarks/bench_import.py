"""What ``import wsfast`` costs: CPU time over a bare interpreter, median of 21, budget 8 ms.

    python benchmarks/bench_import.py [--runs N] [--json FILE] [--strict]

Each run starts both interpreters, one after the other; the difference is taken within a run. CPU
time is the children's, user and system, as the operating system accounts it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from statistics import median

import machine

BUDGET_MS = 8.0  # docs/api.md, Environment
BARE = "pass"


def cpu_ms(code: str) -> float:
    """CPU milliseconds of an interpreter that runs ``code``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return 1000 * (user + system)


def importing(name: str) -> str:
    """Code that imports ``name`` from where this interpreter would."""
    return f"import sys; sys.path = {sys.path[1:]!r}; import {name}"


def runs(name: str, count: int) -> list[float]:
    """CPU milliseconds of each import over the bare interpreter started beside it."""
    cpu_ms(importing(name))  # byte-code and page cache
    return [cpu_ms(importing(name)) - cpu_ms(BARE) for _ in range(count)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--strict", action="store_true", help="above the budget is an error")
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    found = runs("wsfast", args.runs)
    middle = median(found)
    verdict = "PASS" if middle <= BUDGET_MS else "FAIL"
    print(f"import wsfast: {middle:.2f} ms [{min(found):.2f}..{max(found):.2f}] over a bare "
          f"interpreter, {args.runs} runs; budget {BUDGET_MS} ms: {verdict}")  # fmt: skip
    if args.json:
        result = {"machine": machine.describe(), "budget_ms": BUDGET_MS, "ms": found}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    return 1 if args.strict and verdict == "FAIL" else 0


if __name__ == "__main__":
    sys.exit(main())

"""The driver of websockets compared with the library on every version that it accepts.

    python tests/hosts/websockets_versions.py [VERSIONS] [--profile NAME] [--jobs N]

Runs ``test_websockets_driver.py`` and ``test_websockets_asyncio_*.py`` with each version in the
place of the installed one, by the hypothesis profile NAME ("quick" where it is left out). Needs
what ``make test`` installs, and a package index. Prints a table; exit status: 0 all passed, 1 a
failure, a version without a test, or one that is not the one meant, 2 usage.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from fingerprints import VERSIONS  # noqa: E402

TESTS = [HERE / "test_websockets_driver.py", *sorted(HERE.glob("test_websockets_asyncio_*.py"))]
LIMIT = 600  # seconds for one version; beyond it hangs
SHOWN = 40  # lines of a run that failed
COUNTED = re.compile(r"(\d+) (passed|failed|error|skipped)")


def install(version: str, folder: Path) -> None:
    """The one package, to come before the installed one on the path."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--target", str(folder), f"websockets=={version}"]
    subprocess.run(command, check=True)


def run(folder: Path, profile: str, version: str) -> tuple[str, dict[str, int], float, str]:
    """The version, how many tests ended how, the seconds it took, and what was printed."""
    started = time.monotonic()
    place = folder / version
    install(version, place)
    env = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    asked = "import websockets; print(websockets.__version__, websockets.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", asked], env=env, cwd=folder, capture_output=True, text=True
    )
    if found.stdout.split() != [version, str(place / "websockets/__init__.py")]:
        return version, {"error": 1}, 0.0, f"another one is imported: {found.stdout}{found.stderr}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    command += [f"--hypothesis-profile={profile}", *map(str, TESTS)]
    try:
        done = subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired as exc:
        return version, {"error": 1}, float(LIMIT), f"{exc}"
    output = done.stdout + done.stderr
    *_, last = output.strip().splitlines() or [""]
    counts = {word: int(number) for number, word in COUNTED.findall(last)}
    if done.returncode and not counts.keys() & {"failed", "error"}:
        counts["error"] = 1
    return version, counts, time.monotonic() - started, output


def main() -> int:
    """Run all, print the table and the sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", default=VERSIONS["websockets"], metavar="VERSION")
    parser.add_argument("--profile", default="quick", help="of hypothesis, see tests/conftest.py")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    if unknown := set(args.versions) - set(VERSIONS["websockets"]):
        parser.error(f"not among the supported versions: {', '.join(sorted(unknown))}")
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.jobs) as pool:
        for version, counts, seconds, output in pool.map(
            partial(run, Path(folder), args.profile), args.versions
        ):
            good, bad = counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)
            bad += not good and not bad
            passed, failed = passed + good, failed + bad
            print(f"{version:8}{good:6} passed {bad:4} failed {seconds:6.0f} s", flush=True)
            if bad:
                print(*output.strip().splitlines()[-SHOWN:], sep="\n", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The folder of one suite: its environment, the sources of its tests, what its runs leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import venv
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import suite_sources
from suite_verdict import Run, Suite, tests_of

HERE = Path(__file__).resolve().parent
LIMIT = 900  # seconds for one run; beyond it hangs
FEW = 20  # failures that may be a matter of time


def make_pip(folder: Path) -> Path:
    """The Python of an environment with pip in it: one for all suites, which saves time."""
    if not (folder / "pip").exists():
        venv.create(folder / "pip", with_pip=True)
    return folder / "pip/bin/python"


class Workplace:
    """Made for ``suite`` in ``folder``, where what can be kept is used again the next time.

    ``pip`` is a Python that has it.
    """

    def __init__(self, suite: Suite, folder: Path, pip: Path) -> None:
        self.suite = suite
        self.folder = folder
        self.python = folder / "venv/bin/python"
        self.pip = pip

    def prepare(self, wsfast: Path) -> None:
        """Everything is made once, but for wsfast, a wheel or a folder with the built package."""
        wanted = [f"{self.suite.host}=={self.suite.version}", *self.suite.requires]
        stamp = self.folder / "installed"
        if not stamp.exists() or stamp.read_text() != "\n".join(wanted):
            shutil.rmtree(self.folder, ignore_errors=True)
            venv.create(self.folder / "venv", with_pip=False)
            self.add(*wanted)
            stamp.write_text("\n".join(wanted))
        self.install(wsfast)
        sources, root = self.folder / "sources", self.folder / "root"
        if not root.exists():
            shutil.rmtree(sources, ignore_errors=True)
            root.symlink_to(suite_sources.fetch(self.suite.tests, wanted[0], sources, self.pip))

    def install(self, wsfast: Path) -> None:
        if wsfast.is_file():
            self.add("--force-reinstall", "--no-deps", str(wsfast))
            return
        (site,) = (self.folder / "venv/lib").glob("python*/site-packages")
        shutil.rmtree(site / "wsfast", ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__", "*.c", "*.pyx")
        shutil.copytree(wsfast / "wsfast", site / "wsfast", ignore=ignored)

    def add(self, *packages: str) -> None:
        command = [self.pip, "-m", "pip", "--python", self.python, "install", "-qq"]
        command += ["--no-compile", "--disable-pip-version-check"]
        subprocess.run([*command, *packages], check=True)

    def tests(self, mode: str) -> Path:
        """A fresh copy of the tests for this mode, and the recorder."""
        folder = self.folder / mode
        suite_sources.copy(self.folder / "root", self.suite.copy, folder)
        shutil.copy(HERE / "suite_recorder.py", folder)
        for name, source in self.suite.add.items():
            shutil.copy(HERE / source, folder / name)
        return folder

    def run(self, mode: str, targets: Iterable[str], files: str = "") -> Run:
        """One run; the files it leaves are called ``files``, or as the mode."""
        outcomes, report, log = (
            self.folder / f"{files or mode}.{ending}" for ending in ("json", "jsonl", "log")
        )
        for file in (outcomes, report):
            file.unlink(missing_ok=True)
        tests = self.tests(mode)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("WSFAST", "PYTHON"))}
        env |= {"SUITE_OUTCOMES": str(outcomes), "PYTHONPATH": str(tests)}
        command = [str(self.python), *self.suite.command]
        if "pytest" in command:
            command += ["-q", "-p", "suite_recorder", "-p", "no:cacheprovider"]
        command += [f"--deselect={test}" for test in sorted(tests_of(self.suite.deselected))]
        if mode != "plain":
            env |= {"WSFAST_BACKEND": mode, "WSFAST_REPORT": str(report)}
            command = [str(self.python), "-m", "wsfast", "run", "--", *command]
        started = time.monotonic()
        bounded([*command, *targets], tests, env, log)
        run = collect(outcomes, report)
        run.log = log.read_text("utf-8", "replace")[-2000:]
        run.seconds = time.monotonic() - started
        return run

    def again(self, mode: str, run: Run) -> None:
        """Time must not decide: what failed passes if it does so alone, each of three times.

        Where much failed it is not time.
        """
        failed = {test for test, outcome in run.outcomes.items() if outcome == "failed"}
        failed -= self.suite.may_fail
        if len(failed) > FEW:
            return
        for _ in range(3):
            if failed:
                outcomes = self.run(mode, sorted(failed), f"{mode}-again").outcomes
                failed = {test for test in failed if outcomes.get(test) == "passed"}
        run.again = sorted(failed)
        run.outcomes |= dict.fromkeys(failed, "passed")


def bounded(command: list[str], folder: Path, env: dict[str, str], log: Path) -> None:
    """Run it in ``folder``; what it leaves behind, or all of it past the limit, is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def collect(outcomes: Path, report: Path) -> Run:
    """What is in the files. Without the first the run broke off: then no test passed."""
    run = Run()
    if outcomes.exists():
        found = json.loads(outcomes.read_text("utf-8"))
        run.outcomes = {test: outcome for test, (outcome, _) in found.items()}
        run.whys = {test: why for test, (_, why) in found.items() if why}
    for line in report.read_text("utf-8").splitlines() if report.exists() else []:
        process = json.loads(line)
        run.backends.add(process["backend"])
        for host in process["hosts"]:
            run.hits[host["name"]] += host["hits"]
            in_part = host["state"] == "active" and host["seams"]  # else a switch of its own counts
            if host["reason"] and (in_part or host["state"] == "refused"):
                run.refusals.add((host["name"], host["reason"]))
    return run

"""Breaks the code on purpose, one line at a time, and demands that the tests turn red.

    python tests/mutants.py [NAME…]      all, or those whose name contains one of the words

Works in a copy; the checkout is not touched. Exits 1 if a mutant survives. POSIX, with a compiler.
"""

from __future__ import annotations

import os
import queue
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).resolve().parents[1]
COPIED = ["csrc", "wsfast", "setup.py", "pyproject.toml", "README.md", "LICENSE"]
TESTS = ["kernels", "text", "vectors", "keys", "guard_pages", "parity_kernels"]  # the fast ones
# Asked before there are threads: two that ask first at the same time get half of it.
COMPILER, LINKER = [shlex.split(sysconfig.get_config_var(name)) for name in ("CC", "LDSHARED")]
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
ROOMS = ["_kernels_c", "_encoder_c", "_scan_c", "_codec_c"]


VECTORS_ONLY = ["csrc/utf8_tpl.h", "csrc/cpu.c"]


class Mutant(NamedTuple):
    name: str
    file: str
    line: str  # what is there, exactly once
    broken: str


MUTANTS = [
    Mutant(
        "mask: phase of a short tail", "csrc/mask_tpl.h", "wsf_twice(wsf_turn_key(key, n))", "k"
    ),
    Mutant("mask: phase of the last vector", "csrc/mask_tpl.h", "V_KEY(wsf_turn_key(key, n))", "k"),
    Mutant(
        "mask: one vector left out", "csrc/mask_tpl.h", "n - i > V_SIZE;", "n - i > 2 * V_SIZE;"
    ),
    Mutant(
        "mask: high bits of the end",
        "csrc/mask_tpl.h",
        "V high = V_OR(start, end);",
        "V high = start;",
    ),
    Mutant(
        "mask: reads past the end", "csrc/mask_tpl.h", "V_LOAD(src + n - V_SIZE)", "V_LOAD(src + n)"
    ),
    Mutant(
        "mask: high bits of the start",
        "csrc/mask_tpl.h",
        "V high = V_OR(start, end);",
        "V high = end;",
    ),
    Mutant("mask: phase once aligned", "csrc/mask_tpl.h", "V_KEY(wsf_turn_key(key, i))", "k"),
    Mutant("mask: position", "csrc/mask.c", "position & 3", "position & 1"),
    Mutant(
        "utf8: surrogates",
        "csrc/utf8_tpl.h",
        "OVERLONG_3 | SURROGATE,\n    TOO_SHORT | TOO_LARGE",
        "OVERLONG_3,\n    TOO_SHORT | TOO_LARGE",
    ),
    Mutant("utf8: too large", "csrc/utf8_tpl.h", "CARRY | TOO_LARGE,", "CARRY,"),
    Mutant("utf8: third byte", "csrc/utf8_tpl.h", "0xE0 - 0x80", "0xC0 - 0x80"),
    Mutant("utf8: cut before ASCII", "csrc/utf8_tpl.h", " && utf8_boundary(p, i) == i", ""),
    Mutant("utf8: end of the bulk", "csrc/utf8_tpl.h", "return utf8_boundary(p, i);", "return i;"),
    Mutant("utf8: exact check", "csrc/utf8.c", "c == 0xF4 ? 0x8F", "c == 0xF4 ? 0x9F"),
    Mutant("utf8: last word", "csrc/utf8.c", "n - i < 8 && n >= 8", "n >= 8"),
    Mutant("utf8: carry", "csrc/utf8.c", "return found - (int)held;", "return found;"),
    Mutant("frame: 126 read", "csrc/frame.c", "short_length < 126", "short_length <= 126"),
    Mutant("frame: 126 written", "csrc/frame.c", "if (length < 126)", "if (length <= 126)"),
    Mutant("frame: minimal", "csrc/frame.c", "126u : 1u << 16", "126u : 1u << 15"),
    Mutant("frame: top bit", "csrc/frame.c", "frame->length >> 63", "frame->length >> 62"),
    Mutant("close: range of codes", "csrc/close.c", "code <= 1014", "code <= 1015"),
    Mutant(
        "decoder: message limit",
        "csrc/decoder.c",
        "frame->length > d->limits.max_message -",
        "frame->length >= d->limits.max_message -",
    ),
    Mutant(
        "decoder: limit of short messages",
        "csrc/decoder.c",
        "max_frame || length > d->limits.max_message",
        "max_frame",
    ),
    Mutant(
        "decoder: fragment limit",
        "csrc/decoder.c",
        "d->fragments >= d->limits",
        "d->fragments > d->limits",
    ),
    Mutant(
        "decoder: pings end messages",
        "csrc/decoder.c",
        "d->frame.opcode < WSF_CLOSE && d->frame.fin",
        "d->frame.fin",
    ),
    Mutant("cpu: AVX2 is lost", "csrc/cpu.c", "return extended[EBX] & 1u << 5;", "return false;"),
    Mutant("keys: used twice", "wsfast/_keys.py", "self._used = start + 4", "self._used = start"),
    Mutant("twin: mask tail", "wsfast/_kernels_py.py", "turned[: size & 3]", "turned[: size & 1]"),
    Mutant("twin: close codes", "wsfast/_kernels_py.py", "code <= 1014", "code <= 1013"),
]


def run(*command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **variables}
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False
    )


def demand(*command: str, cwd: Path, **variables: str) -> None:
    done = run(*command, cwd=cwd, **variables)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")


class Workshop:
    """A copy of the sources, built; and the quick way to build it again."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        for name in COPIED:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("*.so", "__pycache__")
                shutil.copytree(ROOT / name, place / name, ignore=ignored)
            elif (ROOT / name).exists():
                shutil.copy2(ROOT / name, place / name)
        build = (sys.executable, "setup.py", "build_ext", "--inplace")
        demand(*build, cwd=place, WSFAST_BUILD="yes")

    def copy(self, place: Path) -> Self:
        """Another one, built already."""
        shutil.copytree(self.place, place)
        twin = type(self).__new__(type(self))
        twin.place = place
        return twin

    def rebuild(self) -> None:
        """The core again, linked to the bindings as they are: two seconds instead of ten."""
        [temporary] = self.place.glob("build/temp.*")
        cores = sorted(self.place.glob("csrc/*.c"))
        flags = ["-std=c11", "-O1", "-fPIC", "-Iwsfast/include", "-Icsrc", "-c"]
        objects = temporary / "csrc"
        demand(*COMPILER, *flags, *map(str, cores), cwd=self.place)
        for core in cores:
            shutil.move(self.place / f"{core.stem}.o", objects / f"{core.stem}.o")
        for room in ROOMS:
            parts = [*objects.glob("*.o"), temporary / "wsfast" / f"{room}.o"]
            target = self.place / "wsfast" / f"{room}{SUFFIX}"
            demand(*LINKER, *map(str, parts), "-o", str(target), cwd=self.place)

    def test(self, expected: str) -> subprocess.CompletedProcess[str]:
        return self.pytest([f"test_{name}.py" for name in TESTS], WSFAST_EXPECT=expected)

    def pytest(
        self, files: list[str], *more: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run tests of the checkout on the package that is here, up to the first that fails."""
        packages = [path for path in sys.path if path.endswith("site-packages")]
        options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *more]
        paths = [str(ROOT / "tests" / file) for file in files]
        return run(
            *(sys.executable, "-S", "-P", "-m", "pytest", *options, *paths),
            cwd=self.place,
            PYTHONPATH=os.pathsep.join([str(self.place), *packages]),
            **variables,
        )

    def is_red(self, mutant: Mutant, expected: str) -> str:
        """What the tests say of it: a line, or nothing if it survived."""
        file = self.place / mutant.file
        good = file.read_text("utf-8")
        if good.count(mutant.line) != 1:
            sys.exit(f"{mutant.name}: {mutant.line!r} is there {good.count(mutant.line)} times")
        file.write_text(good.replace(mutant.line, mutant.broken), "utf-8")
        try:
            self.rebuild()
            done = self.test(expected)
        finally:
            file.write_text(good, "utf-8")
        if done.returncode == 0:
            return ""
        said = re.search(r"^(?:FAILED \S*/|ERROR: )(.{1,80})", done.stdout + done.stderr, re.M)
        return said[1] if said else f"exit status {done.returncode}"


def in_turn(workshop: Any, broken: Sequence[Any], judge: Callable[[Any, Any], str]) -> int:
    """Have each judged in a workshop of its core, and print what is said; how many are silent."""
    free = queue.SimpleQueue[Any]()
    free.put(workshop)
    for number in range(2, (os.cpu_count() or 1) + 1):
        free.put(workshop.copy(workshop.place.with_name(str(number))))

    def survives(one: Any) -> bool:
        start = time.monotonic()
        mine = free.get()
        try:
            said = judge(mine, one)
        finally:
            free.put(mine)
        took = time.monotonic() - start
        name = " ".join([*one[:-3]])  # all but file, line and what it is broken to
        print(f"{name:44} {took:5.1f} s  {said or 'SURVIVED'}", flush=True)
        return not said

    with ThreadPoolExecutor(free.qsize()) as pool:
        return sum(pool.map(survives, broken))


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder, "1")
        workshop = Workshop(first)
        listed = "from wsfast import _kernels_c as c; print(*c._available())"
        isas = run(sys.executable, "-S", "-c", listed, cwd=first).stdout.split()
        expected = ",".join(f"c-{isa}" for isa in isas)
        if not isas or workshop.test(expected).returncode:
            sys.exit("the tests must be green before anything is broken")

        def judge(mine: Workshop, mutant: Mutant) -> str:
            if isas == ["scalar"] and mutant.file in VECTORS_ONLY:
                return "left out: this CPU has no vectors that use it"
            return mine.is_red(mutant, expected)

        survivors = in_turn(workshop, chosen, judge)
    print(f"{len(chosen)} mutants, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

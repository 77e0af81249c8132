"""The tests under sanitizers. Each builds a copy of the sources; the checkout stays as it is.

    python tests/fuzz/sanitize.py asan [pytest's arguments]   the suite, ASan and UBSan: 20 min
    python tests/fuzz/sanitize.py tsan [pytest's arguments]   threads, TSan: 1 min
    python tests/fuzz/sanitize.py valgrind                    the codec, memcheck: some minutes

Needs gcc (CC= names another) with its sanitizers, or valgrind, which knows no AVX-512. Nothing is
installed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CC = os.environ.get("CC", "gcc")
DEBUG = "-g -O1 -fno-omit-frame-pointer"
ASAN = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
PYTEST = ["-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
# It starts a process with an environment of its own, where ASan finds itself loaded too late.
NOT_PRELOADED = "tests/test_subinterpreters.py::test_c_refuses_and_says_what_to_do"
ORACLES = ["messages", "frames", "scan", "kernels", "encoder"]  # the C code, without hosts


@contextmanager
def built(flags: str) -> Iterator[Path]:
    """A folder with sources and tests, the extensions built in it."""
    with tempfile.TemporaryDirectory() as folder:
        for item in ROOT.iterdir():
            if item.name in ("build", "dist", "reports") or item.name.startswith("."):
                continue
            if item.is_dir():
                ignored = shutil.ignore_patterns("*.so", "__pycache__", "node_modules", "_*_c.c")
                shutil.copytree(item, Path(folder, item.name), ignore=ignored)
            else:
                shutil.copy2(item, folder)
        links = " ".join(word for word in flags.split() if word.startswith("-fsanitize="))
        variables = {"CC": CC, "CFLAGS": flags, "LDFLAGS": links, "WSFAST_BUILD": "yes"}
        subprocess.run(
            [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
            cwd=folder, env={**os.environ, **variables}, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        yield Path(folder)


def runtime(name: str) -> str:
    """The sanitizer's library, which must be loaded before Python."""
    words = [CC, f"-print-file-name=lib{name}.so"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def python(place: Path, words: list[str], *prefix: str, **variables: str) -> int:
    """``python words``, which imports the package in ``place``."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    variables["PYTHONPATH"] = os.pathsep.join([str(place), *packages])
    variables["PYTHONMALLOC"] = "malloc"  # each object an allocation of its own
    print(shlex.join(["python", *words]), flush=True)
    command = [*prefix, sys.executable, "-S", *words]
    return subprocess.run(
        command, cwd=place, env={**os.environ, **variables}, check=False
    ).returncode


def asan(words: list[str]) -> int:
    """handle_segv=0: a test touches a guard page on purpose and expects the signal."""
    with built(f"{DEBUG} {ASAN}") as place:
        return python(
            place, [*PYTEST, "--deselect", NOT_PRELOADED, *words],
            LD_PRELOAD=f"{runtime('asan')} {runtime('ubsan')}",
            ASAN_OPTIONS="detect_leaks=0:handle_segv=0",
        )  # fmt: skip


def tsan(words: list[str]) -> int:
    """Decoders in threads, threads.c; then the extension's, large chunks without the GIL."""
    with built(f"{DEBUG} -fsanitize=thread") as place:
        program = str(place / "threads")
        sources = [*map(str, place.glob("csrc/*.c")), str(place / "tests/fuzz/threads.c")]
        places = [f"-I{place}/wsfast/include", f"-I{place}/csrc"]
        flags = [*DEBUG.split(), "-std=c11", "-fsanitize=thread", "-pthread"]
        subprocess.run([CC, *flags, *places, *sources, "-o", program], check=True)
        status = subprocess.run([program], check=False).returncode
        tests = words or ["-s", "tests/test_threads.py"]  # -s: a race is told on stderr
        options = {"LD_PRELOAD": runtime("tsan"), "TSAN_OPTIONS": "exitcode=66"}
        return status or python(place, [*PYTEST, *tests], **options)


def valgrind(words: list[str]) -> int:
    """The corpus through the codec's oracles, without pytest: it takes a hundred times as long.

    Fails for errors that the extension took part in: CPython's own are not ours.
    """
    with built(DEBUG) as place:
        report = place / "errors.xml"
        options = ["--quiet", "--error-limit=no", "--num-callers=40"]
        options += ["--track-origins=yes", "--xml=yes", f"--xml-file={report}"]
        replay = ["tests/fuzz/python/oracles.py", *(words or ORACLES)]
        status = python(place, replay, "valgrind", *options)
        return judged(report, str(place / "wsfast")) or status


def judged(report: Path, package: str) -> int:
    errors = [  # with XML it also reports what lives to the end
        error
        for error in ElementTree.parse(report).findall("error")
        if not error.findtext("kind", "").startswith("Leak_")
    ]
    ours = [error for error in errors if is_ours(error, package)]
    for error in ours:
        print(ElementTree.tostring(error, "unicode"))
    print(f"memcheck: {len(ours)} errors of the extension, {len(errors) - len(ours)} others")
    return bool(ours)


def is_ours(error: ElementTree.Element, package: str) -> bool:
    """Whether we touched what we must not, or left memory unwritten that someone looked at."""
    stacks = error.findall("stack")
    if error.findtext("kind", "").startswith("Uninit"):
        stacks = stacks[1:]  # where that memory comes from
    objects = [place.text or "" for stack in stacks for place in stack.iter("obj")]
    return any(name.startswith(package) for name in objects)


def main() -> int:
    kinds = {"asan": asan, "tsan": tsan, "valgrind": valgrind}
    if len(sys.argv) < 2 or sys.argv[1] not in kinds:
        print(__doc__)
        return 2
    return kinds[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

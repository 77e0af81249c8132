"""The tests under sanitizers: a copy of the sources is built for each, the checkout stays as it is.

    python tests/fuzz/sanitize.py asan [pytest's arguments]      the whole suite: ASan and UBSan
    python tests/fuzz/sanitize.py tsan                           the C core in threads: TSan
    python tests/fuzz/sanitize.py valgrind [pytest's arguments]  the codec's tests: memcheck

Needs gcc (CC= names another) with its sanitizers, or valgrind; nothing is installed. valgrind
knows no AVX-512, and runs some fifty times slower: by default a few files with few examples.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CC = os.environ.get("CC", "gcc")
DEBUG = "-g -O1 -fno-omit-frame-pointer"
ASAN = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
CODEC = ["kernels", "parity", "parity_kernels", "chunking", "scan", "text", "vectors", "arguments"]


def copy_built(place: Path, flags: str) -> None:
    """Sources and tests in ``place``, with the extensions built there."""
    for item in ROOT.iterdir():
        if item.name in ("build", "dist", "reports") or item.name.startswith("."):
            continue
        if item.is_dir():
            ignored = shutil.ignore_patterns("*.so", "__pycache__", "node_modules", "_*_c.c")
            shutil.copytree(item, place / item.name, ignore=ignored)
        else:
            shutil.copy2(item, place)
    links = " ".join(word for word in flags.split() if word.startswith("-fsanitize="))
    variables = {"CC": CC, "CFLAGS": flags, "LDFLAGS": links, "WSFAST_BUILD": "yes"}
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
        cwd=place, env={**os.environ, **variables}, check=True,
    )  # fmt: skip


def runtime(name: str) -> str:
    """The sanitizer's library, which must be loaded before Python."""
    words = [CC, f"-print-file-name=lib{name}.so"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def pytest(place: Path, words: list[str], prefix: list[str], **variables: str) -> int:
    """The tests of ``place``, which import the package beside them."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    variables["PYTHONPATH"] = os.pathsep.join([str(place), *packages])
    variables["PYTHONMALLOC"] = "malloc"  # each object an allocation of its own
    command = [*prefix, sys.executable, "-S", "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    print(shlex.join([*command[len(prefix) :], *words]), flush=True)
    return subprocess.run(
        [*command, *words], cwd=place, env={**os.environ, **variables}, check=False
    ).returncode


def asan(words: list[str]) -> int:
    """handle_segv=0: a test touches a guard page on purpose and expects the signal."""
    with tempfile.TemporaryDirectory() as folder:
        copy_built(Path(folder), f"{DEBUG} {ASAN}")
        return pytest(
            Path(folder), words, [],
            LD_PRELOAD=f"{runtime('asan')} {runtime('ubsan')}",
            ASAN_OPTIONS="detect_leaks=0:handle_segv=0",
        )  # fmt: skip


def tsan(words: list[str]) -> int:
    """Decoders in threads, tests/fuzz/threads.c; the extension's threads: tests/test_threads.py."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder, "threads"))
        sources = [*map(str, ROOT.glob("csrc/*.c")), str(HERE / "threads.c")]
        places = [f"-I{ROOT}/wsfast/include", f"-I{ROOT}/csrc"]
        flags = [*DEBUG.split(), "-std=c11", "-fsanitize=thread", "-pthread"]
        subprocess.run([CC, *flags, *places, *sources, "-o", program], check=True)
        return subprocess.run([program], check=False).returncode


def valgrind(words: list[str]) -> int:
    """Only errors that a function of the extension took part in: CPython's own are not ours."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        copy_built(place, DEBUG)
        files = [f"tests/test_{name}.py" for name in CODEC]
        few = ["--hypothesis-profile=quick", "--timeout=0"]
        checker = ["valgrind", "--quiet", "--error-limit=no", "--track-origins=yes", "--xml=yes"]
        checker += [f"--xml-file={place}/errors.xml", "--num-callers=40"]
        status = pytest(place, words or [*files, *few], checker)
        errors = ElementTree.parse(place / "errors.xml").findall("error")
        ours = [error for error in errors if is_ours(error, str(place / "wsfast"))]
        for error in ours:
            print(ElementTree.tostring(error, "unicode"))
        print(f"memcheck: {len(ours)} errors of the extension, {len(errors) - len(ours)} others")
        return status or bool(ours)


def is_ours(error: ElementTree.Element, package: str) -> bool:
    """Whether we touched what we must not, or left memory unwritten that someone looked at."""
    stacks = error.findall("stack")
    if error.findtext("kind", "").startswith("Uninit"):
        stacks = stacks[1:]  # where that memory comes from
    return any(place.text.startswith(package) for s in stacks for place in s.iter("obj"))


def main() -> int:
    kinds = {"asan": asan, "tsan": tsan, "valgrind": valgrind}
    if len(sys.argv) < 2 or sys.argv[1] not in kinds:
        print(__doc__)
        return 2
    return kinds[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

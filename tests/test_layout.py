"""What only one room may know, which way imports run, and how big a room may be.

Reads the sources, so it needs a checkout; it is skipped where there is none.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "wsfast"
pytestmark = pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="needs a checkout")

CORE = [*ROOT.glob("csrc/*.[ch]"), PACKAGE / "include/wsf.h"]
PYTHON = sorted(PACKAGE.rglob("*.py"))
CYTHON = sorted(PACKAGE.glob("*.p[yx][xd]"))
TESTS = sorted((ROOT / "tests").glob("*.py"))

# What: (pattern, where it is looked for, the rooms that may know it)
SECRETS: dict[str, tuple[str, list[Path], set[str]]] = {
    "intrinsics": (
        r"\b_mm\d*_|\b__m\d+i?\b|\bvld1|arm_neon",
        [*CORE, *CYTHON],
        {"kernels_avx2.c"},
    ),
    "questions to the CPU": (
        r"cpuid|xgetbv|__builtin_cpu|getauxval",
        [*CORE, *CYTHON, *PYTHON],
        {"cpu.c"},
    ),
    "kernels by name": (
        r"wsf_kernels_\w+",
        [*CORE, *CYTHON],
        {"dispatch.c", "wsf_internal.h", "kernels_scalar.c", "kernels_avx2.c"},
    ),
    "Python, memory, I/O or randomness in the core": (
        r"Python\.h|\b[mc]alloc\b|\bfree\(|stdio|printf|\brand\(|getrandom|getenv",
        CORE,
        set(),
    ),
    "header bits in C": (r"\bFIN [=:]|rsv << 4|>> 4 & 7", CORE, {"frame.c"}),
    "header bits in Python": (
        r"0x0F|0x7F\b(?!\))|<< 7|>> 4",
        PYTHON,
        {"_kernels_py.py", "wire.py"},
    ),
    "key phase in C": (r"& 3\b|% 4", CORE, {"mask.c", "wsf_internal.h"}),
    "buffers": (r"PyObject_GetBuffer\(", CYTHON, {"_kernels_c.pyx"}),
    "typed memoryviews, include, DEF": (
        r"\b(?:char|uint8_t|int)\s*\[:|^include |^DEF ",
        CYTHON,
        set(),
    ),
    "the environment": (
        r"\benviron\b|getenv",
        [ROOT / "setup.py", *PYTHON, *TESTS],
        {"setup.py", "codec.py", "_env.py", "run.py", "sitecustomize.py"}
        | {"conftest.py", "mutants.py", "test_layout.py"},
    ),
    "randomness": (
        r"\burandom\b|\bsecrets\b|import random|\brandbytes\b",
        [*PYTHON, *CYTHON],
        # The key pools; a nonce per handshake, also an argument; the benchmark's own client; and
        # the drivers, which ask whether a host's source of keys was patched.
        {
            *("_keys.py", "_encoder_c.pyx", "_handshake_client.py", "load.py"),
            *("_websockets.py", "_websockets_asyncio.py", "_wsproto.py"),
        },
    ),
    "how errors end the connection": (
        r"\b100[29], \"",
        [*CORE, *PYTHON, *CYTHON],
        {"wsf.h", "errors.py"},
    ),
}


@pytest.mark.parametrize("secret", SECRETS)
def test_only_one_room_knows(secret: str) -> None:
    pattern, files, rooms = SECRETS[secret]
    found = [
        (file.name, number, line.strip())
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line) and not is_comment(file, line)
    ]
    assert [place for place in found if place[0] not in rooms] == []
    assert bool(found) is bool(rooms), "the pattern finds nothing any more"


def is_comment(file: Path, line: str) -> bool:
    signs = ("/*", "*", "//") if file.suffix in (".c", ".h") else ("#", '"""', "``")
    return line.lstrip().startswith(signs)


# ---- imports run one way ------------------------------------------------------------------------

# Each may import those before it. A package is one room.
RANKS = [
    {"errors", "frames", "_keys", "close_codes", "_build_info", "_version", "_wake_py", "_wake_c"},
    {"_kernels_py", "_kernels_c", "_http", "_zlib"},
    {"_reader_py", "_encoder_py", "_handshake_values", "_scan_py", "_deflate_py", "_deflate_c"},
    {"_encoder_c"},
    {"_scan_c"},
    {"_codec_py", "_codec_c", "_handshake_client"},
    {"codec", "handshake", "_deadlines"},
    {"connection", "_waiter", "_contexts"},
    {"deflate"},
    {"prepared"},
    {"broadcasting"},
    {"uvicorn", "integrations"},
    {"websockets"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}


def imports(file: Path) -> set[str]:
    """Rooms of the package that ``file`` imports when it runs, wherever it does so."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):  # what only the type checker sees does not run
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    here = ["wsfast", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {room(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            found.add(room(module))
            if module == "wsfast":
                found |= {alias.name for alias in node.names if alias.name in RANK}
    return found - {""}


def room(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "wsfast":
        return ""
    return parts[1] if len(parts) > 1 else "wsfast"


def test_imports_run_one_way() -> None:
    wrong = []
    for file in PYTHON:
        mine = room(".".join(["wsfast", *file.relative_to(PACKAGE).with_suffix("").parts]))
        if mine == "__init__":  # re-exports
            continue
        assert mine in RANK, f"{file.name} has no rank yet"
        for other in imports(file) - {mine}:
            if other == "wsfast":
                allowed = RANK[mine] >= RANK["uvicorn"]
            else:
                allowed = RANK[other] < RANK[mine]
            if not allowed:
                wrong.append(f"{mine} imports {other}")
    assert not wrong


def test_only_the_chooser_imports_an_implementation() -> None:
    implementations = {name for name in RANK if name.endswith(("_py", "_c"))}
    users = {file.stem for file in PYTHON if imports(file) & implementations}
    choosers = {"codec", "_contexts", "_waiter"}
    assert users <= choosers | {"_codec_py", "_encoder_py", "_reader_py", "_scan_py"}


# ---- budgets ------------------------------------------------------------------------------------

FILE, FUNCTION = 400, 50
# A budget is a smoke alarm, not a law: the reason stands beside each exception.
LONGER_FILES = {
    "_codec_c.pyx": 600,  # docs/api.md's layer 2; kernels and encoder already have their own
    "_codec_py.py": 420,  # its twin: both decoders, and what they share
    "_kernels_c.pyx": 450,  # layer 1: eight functions and two classes with their arguments' checks
    "_kernels_py.py": 465,  # four small rooms of csrc side by side, for the reader
    "_scan_c.pyx": 480,  # what hosts with a buffer of their own share: two classes, a few functions
    "_load.c": 620,  # the load generator: one optional extension, not part of the codec
}


def test_files_are_short() -> None:
    sources = [*CORE, *PYTHON, *CYTHON, PACKAGE / "cli/_load.c", ROOT / "setup.py"]
    long = {
        file.name: lines
        for file in sources
        if (lines := len(file.read_text("utf-8").splitlines())) > LONGER_FILES.get(file.name, FILE)
    }
    assert not long


def python_functions(file: Path) -> dict[str, int]:
    tree = ast.parse(file.read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        f"{file.name}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, functions)
    }


def c_functions(file: Path) -> dict[str, int]:
    """By the style of this code: a function's braces are the ones in the first column."""
    found, start = {}, 0
    lines = file.read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start:
            found[f"{file.name}:{lines[start - 1]}"] = number - start
            start = 0
    return found


def cython_functions(file: Path) -> dict[str, int]:
    text = file.read_text("utf-8")
    blocks = re.split(r"^(?= *(?:cdef|def|cpdef)\b[^\n]*\()", text, flags=re.M)[1:]
    return {
        f"{file.name}:{b.splitlines()[0].strip()}": len(b.rstrip().splitlines()) for b in blocks
    }


def test_functions_are_short() -> None:
    lengths: dict[str, Any] = {}
    for file in [*PYTHON, ROOT / "setup.py"]:
        lengths |= python_functions(file)
    for file in CORE:
        lengths |= c_functions(file)
    for file in CYTHON:
        lengths |= cython_functions(file)
    assert len(lengths) > 200
    assert not {name: n for name, n in lengths.items() if n > FUNCTION}

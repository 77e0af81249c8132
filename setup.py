"""Builds the C extensions; everything else is in pyproject.toml.

``WSFAST_BUILD`` unset: the codec is built if a compiler can, and a failure is kept in the package
for ``wsfast status``, since pip hides build warnings; ``yes``: a failure is an error; ``no``: pure
Python.
"""

import glob
import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

WISH = os.environ.get("WSFAST_BUILD", "")
CORE = sorted(glob.glob("csrc/*.c"))
HEADERS = ["wsfast/include/wsf.h", *sorted(glob.glob("csrc/*.h"))]
PYTHON = sys.implementation.name
MSVC = sys.platform == "win32"
# Each extension has a core of its own, which no other library's names may take the place of.
FLAGS = ["/std:c11"] if MSVC else ["-std=c11", "-O3", "-fvisibility=hidden"]
if not MSVC and "-g" not in os.environ.get("CFLAGS", "").split():
    FLAGS.append("-g0")  # Python's own -g makes the wheel four times as big


def extension(name: str, sources: list[str], optional: bool = False) -> Extension:
    return Extension(
        f"wsfast.{name}",
        sources,
        optional=optional,
        include_dirs=["wsfast/include", "csrc"],
        depends=[*HEADERS, "setup.py"],  # its flags
        extra_compile_args=FLAGS,
        # No lines of Python in the generated C's tracebacks, no unused checks of Cython's own.
        define_macros=[("CYTHON_CLINE_IN_TRACEBACK", "0")],
    )


def codec() -> list[Extension]:
    from Cython.Build import cythonize

    rooms = [extension(room, [f"wsfast/{room}.pyx"]) for room in ("_wake_c", "_deflate_c")]
    for room in ("_kernels_c", "_encoder_c", "_scan_c", "_codec_c"):
        rooms.append(extension(room, [f"wsfast/{room}.pyx", *CORE]))
    return cythonize(rooms)


def extensions() -> list[Extension]:
    if WISH == "no" or PYTHON != "cpython":
        return []
    found = codec()
    if not MSVC:  # the load generator of `wsfast bench`: POSIX; without it one in Python is used
        found.append(extension("cli._load", ["wsfast/cli/_load.c"], optional=WISH != "yes"))
    return found


def leave(root: str, ok: bool, reason: str | None) -> None:
    """Tell ``wsfast.build_info()`` how the build went."""
    package = os.path.join(root, "wsfast")
    os.makedirs(package, exist_ok=True)
    with open(os.path.join(package, "_build_info.py"), "w", encoding="utf-8") as file:
        file.write(f'"""Written by setup.py."""\n\nINFO = {{"ok": {ok}, "reason": {reason!r}}}\n')


class build_package(build_py):
    """Without extensions nothing else would run that could tell why."""

    def run(self) -> None:
        super().run()
        if not self.distribution.ext_modules:
            reason = "WSFAST_BUILD=no" if WISH == "no" else f"it needs CPython, this is {PYTHON}"
            leave("" if self.editable_mode else self.build_lib, False, reason)


class optional_build_ext(build_ext):
    """Builds what it can and leaves in the package what it could not, and why."""

    def run(self) -> None:
        reason = None
        try:
            super().run()
        except Exception as exc:
            if WISH == "yes":
                raise
            reason = f"{type(exc).__name__}: {exc}"
            self.forget()
        leave("" if self.inplace else self.build_lib, reason is None, reason)

    def forget(self) -> None:
        """Half a codec is none: leave no extension behind, of this build or an earlier one."""
        for extension in self.extensions:
            path = self.get_ext_fullpath(extension.name)
            if os.path.exists(path):
                os.remove(path)
        self.extensions = []


if WISH not in ("", "yes", "no"):
    sys.exit(f"WSFAST_BUILD={WISH!r}: expected yes, no, or nothing")
setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": optional_build_ext, "build_py": build_package},
)

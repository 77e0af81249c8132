"""What a command line starts: which program, which Python runs it, which wsfast that has."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig

from ._text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

PYTHON = re.compile(r"(python|pypy)w?(\d[\d.]*)?[td]*(\.exe)?")
# What pip writes where the path of the interpreter is too long, or has a space, for a first line.
SHELL_EXEC = re.compile(rb"'''exec' (?:\"([^\"]+)\"|'([^']+)'|(\S+))(.*?) \"\$0\"")
IGNORES = {  # how "python -h" puts it, and what that means here
    "I": "isolates that Python from its environment",
    "E": "makes that Python ignore its environment",
    "S": "makes that Python start without sitecustomize",
}
# As the bootstrap will find it: not in the working directory, which comes later.
ASK = """\
import sys
if sys.path[0] == "": del sys.path[0]
import json, wsfast
absent = [host.name for host in wsfast.status() if host.state == "absent"]
print("")  # the line of somebody's sitecustomize may not be complete
print(json.dumps({"version": wsfast.__version__, "backend": wsfast.backend(), "absent": absent}))
"""
ASK_TIMEOUT = 60.0  # seconds


class Missing(Exception):
    """Something that is needed to start the command is not there."""


class Ignored(Exception):
    """The command tells its Python to ignore the way wsfast gets in."""


class Target:
    """What is to be executed: ``argv``, its first item an absolute or relative path.

    ``python`` is the interpreter that runs it and ``options`` the words behind that, of which the
    first may be interpreter options; ``None`` and empty where it is not known to be Python.
    """

    def __init__(self, argv: list[str], python: str | None, options: Sequence[str]) -> None:
        self.argv = argv
        self.python = python
        self.options = options

    def check_options(self) -> None:
        """``Ignored`` where the interpreter would not run the bootstrap."""
        letter = _ignoring(self.options)
        if letter:
            raise Ignored(
                f"python -{letter} {IGNORES[letter]}, so wsfast cannot get in; leave -{letter} "
                f"out, or call wsfast.install() at the top of the program"
            )


def resolve(words: Sequence[str]) -> Target:
    """The program that ``words`` mean, found as the shell does, then beside this Python."""
    name, *rest = words
    if name == "-m" or name.lower().endswith(".py"):
        if name != "-m" and not os.path.isfile(name):
            raise Missing(f"{printable(name)}: no such file")
        return Target([sys.executable, *words], sys.executable, ())
    path = shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))
    if path is None:
        raise Missing(
            f"{printable(name)}: no such command on PATH or beside this Python, or none that may "
            f"be executed. To install one: {printable(sys.executable)} -m pip install PACKAGE"
        )
    if PYTHON.fullmatch(os.path.basename(path)):
        return Target([path, *rest], path, rest)
    script = _shebang(path)
    return Target([path, *rest], script[0] if script else None, script[1:])


def _shebang(path: str) -> list[str]:
    """The Python that a script asks for and its options; empty where it asks for another thing."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:  # it may be executed, but not read
        return []
    first, _, rest = head.partition(b"\n")
    if not first.startswith(b"#!"):
        return []
    words = os.fsdecode(first[2:]).split()
    if words and os.path.basename(words[0]) == "env":
        del words[0]
        while words and (words[0].startswith("-") or "=" in words[0]):  # -S, VARIABLE=value
            del words[0]
        words[:1] = [shutil.which(name) or name for name in words[:1]]
    elif first.strip() == b"#!/bin/sh" and (match := SHELL_EXEC.match(rest)):
        words = [os.fsdecode(match[1] or match[2] or match[3]), *os.fsdecode(match[4]).split()]
    return words if words and PYTHON.fullmatch(os.path.basename(words[0])) else []


def _ignoring(options: Sequence[str]) -> str:
    """The letter of the interpreter option, of -I, -E and -S, that keeps the bootstrap out."""
    words = iter(options)
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            break
        if word.startswith("--"):
            continue
        for place, letter in enumerate(word[1:], 2):
            if letter in IGNORES:
                return letter
            if letter in "cm":  # the rest is the program's
                return ""
            if letter in "WXQ":
                if place == len(word):
                    next(words, None)  # its value
                break
    return ""


def ask(python: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """``version`` and ``backend`` of the wsfast that ``python`` imports, and the hosts ``absent``.

    ``Missing`` where there is none.
    """
    shown = printable(python)
    try:
        done = subprocess.run(
            [python, "-c", ASK],
            env={key: value for key, value in environment.items() if key != "WSFAST_REPORT"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_TIMEOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Missing(f"the Python of this command does not start: {printable(exc)}") from None
    lines = (done.stdout if done.returncode == 0 else "").splitlines()
    if not lines:
        said = done.stderr.splitlines() or [f"exit status {done.returncode}"]
        raise Missing(
            f"the Python of this command, {shown}, cannot import wsfast ({printable(said[-1])}). "
            f"Install it there: {shown} -m pip install wsfast. Or name the Python that has it, "
            f"{printable(sys.executable)}; or, if the command only starts another one, put wsfast "
            "run behind it"
        )
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer

"""``wsfast status``: which implementation runs here, why, and how to switch it on."""

from __future__ import annotations

import argparse
import platform
from importlib import import_module, metadata
from typing import Any

from ._text import printable

DESCRIPTION = """\
Say which implementation of wsfast this Python runs, why it is not the C one where it is not, which
WSFAST variables are in force, and how to switch wsfast on in the servers installed here. Run it
with the Python, and in the environment, of your server.
"""
SLOW = "pure Python: the same behaviour, much slower"
SWITCH = "wsfast.uvicorn:WebSocketProtocol"
HOOK_SINCE = (0, 36)  # the first uvicorn whose --ws takes module:Class


def add_parser(commands: Any) -> None:
    """Add ``status`` to the subcommands of ``wsfast``."""
    parser = commands.add_parser(
        "status",
        help="which implementation runs, and how to switch it on",
        description=DESCRIPTION,
        epilog="examples:\n  wsfast status\n  WSFAST_BACKEND=python wsfast status\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the status; always 0, since every state it can print is one that works."""
    rows = [*_package(), *_build(), *_surroundings(), *_uvicorn()]
    width = max([len(name) for name, _ in rows])
    for name, text in rows:
        print(f"{name.ljust(width)}  {printable(text)}")
    return 0


def kernels() -> list[str]:
    """The kernels of the C extension that this machine can run, best first; none without it."""
    try:
        kernels_c: Any = import_module("wsfast._kernels_c")
    except ModuleNotFoundError:
        return []
    found: list[str] = kernels_c._available()
    return found


def _package() -> list[tuple[str, str]]:
    import wsfast

    name = wsfast.backend()
    if name == "python":
        chosen = wsfast.codec.environment().get("WSFAST_BACKEND")
        name += f" ({SLOW}; {'WSFAST_BACKEND asks for it' if chosen else 'no C extension'})"
    return [
        ("wsfast", f"{wsfast.__version__}, {wsfast.__path__[0]}"),
        ("back end", name),
        ("kernels", ", ".join(kernels()) or "none: the C extension is not there"),
    ]


def _build() -> list[tuple[str, str]]:
    import wsfast

    info = wsfast.build_info()
    if info["ok"]:
        return [("C build", "ok")]
    word = "failed" if info["ok"] is False else "unknown"
    if info["reason"] == "WSFAST_BUILD=no":
        word = "not tried"
    return [("C build", f"{word}: {info['reason']}")]


def _surroundings() -> list[tuple[str, str]]:
    from wsfast import codec

    python = f"{platform.python_implementation()} {platform.python_version()}"
    variables = [f"{name}={value}" for name, value in codec.environment().items()]
    return [
        ("Python", f"{python}, {platform.platform()}"),
        ("environment", " ".join(variables) or "WSFAST_BACKEND is not set"),
    ]


def _uvicorn() -> list[tuple[str, str]]:
    try:
        version = metadata.version("uvicorn")
    except metadata.PackageNotFoundError:
        return [("uvicorn", "not installed")]
    if _release(version) < HOOK_SINCE:
        return [("uvicorn", f"{version}: too old for --ws module:Class, which came with 0.36")]
    return [
        ("uvicorn", f"{version}, to switch wsfast on:"),
        ("", f"  uvicorn --ws {SWITCH} your.module:app"),
        ("", f'  uvicorn.run(app, ws="{SWITCH}")'),
    ]


def _release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version; zeros where there are none."""
    parts = version.split(".")[:2]
    return tuple([int(part) if part.isdigit() else 0 for part in parts])

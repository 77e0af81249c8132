"""``wsfast status``: which implementation runs here, why, and how to switch it on."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from importlib import import_module, metadata
from typing import Any

from ._text import printable

DESCRIPTION = """\
Say which implementation of wsfast this Python runs, why it is not the C one where it is not, what
can compress, and which WSFAST variables are in force. Then, for each WebSocket library and server
installed here: whether wsfast.install() would accelerate it, why not, and how to switch wsfast on.
Run it with the Python, and in the environment, of your server. What it tells of libraries it has
tried in a process of its own: inside your program, wsfast.status() tells what is.
"""
EXAMPLES = """\
examples:
  wsfast status
  .venv/bin/python -m wsfast status      of the Python that your server runs on
  WSFAST=websockets wsfast status --require && systemctl restart chat

Exit status: 0; with --require 1 where a library would run without wsfast, or in part.
"""
SLOW = "pure Python: the same behaviour, much slower"
PROBE_TIMEOUT = 60.0  # seconds
SWITCH = "wsfast.uvicorn:WebSocketProtocol"
HOOK_SINCE = (0, 36)  # the first uvicorn whose --ws takes module:Class


def add_parser(commands: Any) -> None:
    """Add ``status`` to the subcommands of ``wsfast``."""
    parser = commands.add_parser(
        "status",
        help="which implementation runs, and how to switch it on",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--require",
        action="store_true",
        help="exit with 1 where a library that WSFAST does not leave out would run without wsfast, "
        "or in part; so does WSFAST_REQUIRE=1 in the environment",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the status: 0, since every state it can print is one that works, if not ``require``."""
    from wsfast.integrations import _env

    hosts, short = _hosts()
    rows = [*_package(), *_build(), *_compression(), *_surroundings(), *hosts, *_uvicorn()]
    width = max([len(name) for name, _ in rows])
    for name, text in rows:
        print(f"{name.ljust(width)}  {printable(text)}")
    if short and (args.require or _env.required()):
        print(f"wsfast status: required, but not to be had: {', '.join(short)}", file=sys.stderr)
        return 1
    return 0


def kernels() -> str:
    """The kernels of the C extension that this machine can run, best first; or why none."""
    try:
        kernels_c: Any = import_module("wsfast._kernels_c")
    except ModuleNotFoundError:
        return "none: the C extension is not there"
    except ImportError as exc:  # WSFAST_BACKEND=python went round it
        return f"none: the C extension does not load ({exc})"
    return ", ".join(kernels_c._available())


def _package() -> list[tuple[str, str]]:
    import wsfast

    name = wsfast.backend()
    if name == "python":
        chosen = wsfast.codec.environment().get("WSFAST_BACKEND")
        name += f" ({SLOW}; {'WSFAST_BACKEND asks for it' if chosen else 'no C extension'})"
    return [
        ("wsfast", f"{wsfast.__version__}, {wsfast.__path__[0]}"),
        ("back end", name),
        ("kernels", kernels()),
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


def _compression() -> list[tuple[str, str]]:
    """What can compress, the default first, which is what runs unless a program asks for more."""
    from wsfast import _zlib

    rows: list[tuple[str, str]] = []
    for name in _zlib.BACKENDS:
        try:
            _zlib.load(name)
        except ImportError:
            text = f"not installed; pip install 'wsfast[{name}]'"
        else:
            ask = f'installed; in the program: wsfast.set_zlib_backend("{name}")'
            text = "the default" if name == _zlib.load().name else ask
        rows.append(("" if rows else "compression", f"{name}: {text}"))
    return rows


def _surroundings() -> list[tuple[str, str]]:
    from wsfast import codec
    from wsfast.integrations import _env

    python = f"{platform.python_implementation()} {platform.python_version()}"
    found = {**codec.environment(), **_env.variables()}
    variables = [f"{name}={value}" for name, value in found.items()]
    return [
        ("Python", f"{python}, {platform.platform()}"),
        ("environment", " ".join(variables) or "no WSFAST variable is set"),
    ]


def _hosts() -> tuple[list[tuple[str, str]], list[str]]:
    """What ``wsfast.install()`` would do here; whom it would leave as they are, be it in part."""
    from wsfast.integrations import _env
    from wsfast.integrations._hosts import HOSTS

    rows, short = [], []
    chosen = _env.chosen()
    for host in HOSTS.values():
        if not host.groups:  # it has a switch of its own
            continue
        try:
            version = metadata.version(host.distribution)
        except metadata.PackageNotFoundError:
            rows.append((host.name, "not installed"))
            continue
        found = _probed(host.name)
        text, active = _told(found)
        rows.append((host.name, f"{version}: {text}"))
        if (not active or found["reason"]) and (chosen is None or host.name in chosen):
            short.append(host.name)
        if active:
            rows.append(("", "  import wsfast; wsfast.install()    or    wsfast run CMD..."))
            if host.supported_hook:
                rows.append(("", f"  without a patch: {host.supported_hook}"))
    return rows, short + _env.strangers(HOSTS)


def _told(found: dict[str, Any]) -> tuple[str, bool]:
    """In words, and whether wsfast would have a part in it."""
    import wsfast

    if "error" in found:
        return f"cannot be imported, so nothing is known of it ({found['error']})", False
    state = found["state"]
    if state == "active":
        part = f" in part ({found['reason']})" if found["reason"] else ""
        how = (
            "go through wsfast's pure Python" if wsfast.backend() == "python" else "be accelerated"
        )
        return f"would {how}{part}, to switch wsfast on:", True
    if state == "refused":
        _, _, text = " ".join(found["said"]).partition(" runs without wsfast: ")
        return f"would run without wsfast: {text or found['reason']}", False
    return f"off: {found['reason']}", False


def _probed(name: str) -> dict[str, Any]:
    """The answer of ``_probe`` in another process: importing a host here would not be undone."""
    command = [sys.executable, "-P", "-m", "wsfast.cli._probe", name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it took longer than {PROBE_TIMEOUT:g} seconds"}
    lines = (done.stdout.strip() or "{}").splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except ValueError:
        found = {}
    said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()
    return found if "state" in found or "error" in found else {"error": said[-1]}


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

"""uvicorn's own WebSocket tests, once with its default class and once with ours, compared.

    python tests/hosts/uvicorn_suite.py [--show]

Downloads the sdist of the installed uvicorn into a temporary folder, puts a ``conftest.py`` beside
its ``tests/protocols/test_websocket.py`` that gives the fixture ``ws_protocol_cls`` one class, and
runs that file twice. Every test must end as it does with uvicorn's default, but for those named
below. Exit status: 0 the same, 1 a difference, or nothing was tested; 3 something is not installed.

Needs, beside wsfast: uvicorn[standard], pytest, httpx2, wsproto, websockets, anyio, pip and a
package index.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

DEFAULT = "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol"
OURS = "wsfast.uvicorn:WebSocketProtocol"
TESTS = "tests/protocols/test_websocket.py"
NEEDS = ("uvicorn", "pytest", "httpx2", "wsproto", "websockets", "anyio", "pip", "wsfast")
# uvicorn's third HTTP implementation: its tests are skipped where it is not installed.
HAVE_ZTTP = importlib.util.find_spec("zttp") is not None

# Not run: they assert uvicorn's private classes or their way of doing it. Each has a test of ours
# for the same behaviour in test_uvicorn_suite_replacements.py.
DESELECTED = {
    "test_server_keepalive_ping_pong": "asserts isinstance of uvicorn's own classes",
    "test_server_keepalive_disabled": "asserts isinstance of uvicorn's own classes",
    "test_close_resumes_reads_paused_on_an_unconsumed_message": (
        "asserts that reading pauses after one message; ours pauses at ws_max_queue"
    ),
}
# Skipped for uvicorn's default by its class name; with ours they must pass.
MUST_PASS = (
    "test_server_reject_connection_with_invalid_msg",
    "test_server_reject_connection_with_missing_body",
    "test_server_multiple_websocket_http_response_start_events",
)

CONFTEST = """
import json
from pathlib import Path

import pytest
from uvicorn.importer import import_from_string

CLASS = import_from_string({cls!r})
outcomes = {{}}
connections = []


@pytest.fixture
def ws_protocol_cls(monkeypatch):
    connection_made = CLASS.connection_made

    def counted(self, transport):
        connections.append(1)
        connection_made(self, transport)

    monkeypatch.setattr(CLASS, "connection_made", counted)
    return CLASS


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        if outcomes.get(report.nodeid) in (None, "passed"):
            outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session):
    result = {{"outcomes": outcomes, "connections": len(connections)}}
    Path({result!r}).write_text(json.dumps(result))
"""


def missing() -> list[str]:
    """What is needed and not installed."""
    return [name for name in NEEDS if importlib.util.find_spec(name) is None]


def fetch(folder: Path) -> Path:
    """The unpacked sdist of the installed uvicorn."""
    wanted = f"uvicorn=={version('uvicorn')}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", ":all:", "--dest", str(folder), wanted]
    subprocess.run(command, check=True)
    (archive,) = folder.glob("uvicorn-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    root = folder / archive.name.removesuffix(".tar.gz")
    # Its own source must not shadow the installed package.
    (root / "uvicorn").rename(root / "_uvicorn_source")
    return root


def run(root: Path, cls: str) -> tuple[dict[str, str], int]:
    """Outcomes by test, and how many connections the class served."""
    result = root / "outcomes.json"
    conftest = root / "tests/protocols/conftest.py"
    conftest.write_text(CONFTEST.format(cls=cls, result=str(result)))
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    for name in DESELECTED:
        command += ["--deselect", f"{TESTS}::{name}"]
    print(f"== {cls}", flush=True)
    subprocess.run([*command, TESTS], cwd=root)
    if not result.exists():
        return {}, 0
    found = json.loads(result.read_text())
    result.unlink()
    return found["outcomes"], found["connections"]


def compare(default: dict[str, str], ours: dict[str, str]) -> list[str]:
    """What differs that must not, one line each."""
    lines = []
    for test in sorted(default | ours):
        wanted = default.get(test, "not there")
        name = test.rpartition("::")[2].partition("[")[0]
        if name in MUST_PASS and (HAVE_ZTTP or "zttp" not in test):
            wanted = "passed"
        got = ours.get(test, "not there")
        if got != wanted:
            lines.append(f"{test}: {wanted} with uvicorn's default, {got} with ours")
    return lines


def main() -> int:
    """Run both, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true", help="list every test and how it ended")
    args = parser.parse_args()
    if absent := missing():
        print(f"not installed: {', '.join(absent)}")
        return 3
    with tempfile.TemporaryDirectory() as folder:
        root = fetch(Path(folder))
        default, used_default = run(root, DEFAULT)
        ours, used = run(root, OURS)
    if args.show:
        for test, outcome in sorted(ours.items()):
            print(f"{outcome:8}{test}")
    differences = compare(default, ours)
    if not used or not used_default or not any(o == "passed" for o in ours.values()):
        differences.append("no test used the class")
    for name, reason in DESELECTED.items():
        print(f"deselected {name}: {reason}")
    for label, outcomes in (("default", default), ("ours", ours)):
        counts = {o: list(outcomes.values()).count(o) for o in ("passed", "failed", "skipped")}
        print(label, counts)
    print(f"{used} connections were served by {OURS}")
    print("\n".join(differences) or "the same")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

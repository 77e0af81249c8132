"""WSFAST_EXPECT_HOSTS: no test is skipped for what a job says is there.

WSFAST_EXPECT, which does it for implementations: tests/test_import.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
SKIPS = re.compile(r'importorskip\("(\w+)')
# Parts of CPython that not every system has, and our extension, which WSFAST_EXPECT is for.
NOT_EXPECTED = {"_testcapi", "resource", "wsfast"}
# One test, which skips without websockets, where the modules named are not found.
SESSION = """\
import sys

import pytest

file, *hidden = sys.argv[1:]


class Hides:
    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self):  # pytest's own finder must come behind
        sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(name)


options = ["-p", "no:anyio", "-p", "no:cacheprovider", "-k", "agrees_with_websockets"]
sys.exit(pytest.main([*options, file], plugins=[Hides()]))
"""


@pytest.fixture(scope="module")
def session(run_python: Any) -> Callable[..., tuple[int, str]]:
    """``session(expected, *hidden)``: its exit status, and what it says."""

    def run(expected: str | None, *hidden: str) -> tuple[int, str]:
        file = str(TESTS / "test_http.py")
        done = run_python("-c", SESSION, file, *hidden, WSFAST_EXPECT_HOSTS=expected)
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_host_that_is_expected_is_there(session: Any) -> None:
    """By its name in the scenarios, or as the module that tests ask for."""
    install = "; pip install 'wsfast[dev]'"
    for expected, hidden, says in (
        ("uvicorn-wsproto", ("uvicorn", "hypercorn"), f"there is no uvicorn{install}"),
        ("wsproto,websockets", ("wsproto",), f"there is no wsproto{install}"),
        ("websockets,websocket", (), "nothing is named websocket\n"),
    ):
        status, said = session(expected, *hidden)
        assert status == 4, said
        assert said.count("WSFAST_EXPECT_HOSTS: ") == 1
        assert says in said


def test_a_host_that_is_not_expected_is_a_visible_skip(session: Any) -> None:
    pytest.importorskip("websockets")
    for expected in (None, "wsproto"):
        status, said = session(expected, "websockets")
        assert (status, "SKIPPED [1] " in said) == (0, True), said


def test_all_is_what_any_test_skips_without(session: Any) -> None:
    sources = [file.read_text("utf-8") for file in TESTS.rglob("*.py")]
    found = {name for source in sources for name in SKIPS.findall(source)} - NOT_EXPECTED
    assert len(found) > 5
    status, said = session("all", *found)
    (missing,) = re.findall("there is no (.*);", said)
    assert (status, found - {*missing.split(", ")}) == (4, set())

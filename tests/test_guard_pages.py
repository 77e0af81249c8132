"""No implementation touches a byte outside the buffers it is given (S20)."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="mprotect is POSIX")
SCRIPT = str(Path(__file__).with_name("guard_pages.py"))


def test_guard_pages(backend: ModuleType, run_python: Any) -> None:
    done = run_python(SCRIPT, backend.backend())
    assert (done.returncode, done.stdout) == (0, "untouched\n"), done.stderr


def test_guard_is_a_guard(run_python: Any) -> None:
    done = run_python(SCRIPT, "python", "--touch")
    assert done.returncode < 0
    assert "fault" in done.stderr

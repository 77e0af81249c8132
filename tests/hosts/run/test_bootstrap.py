"""The ``sitecustomize`` of ``wsfast run``: the one that was there before runs as without it."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

from wsfast.cli import run

SOURCE = Path(run.BOOTSTRAP, "sitecustomize.py")
SHOW = """\
import sys
found = sys.modules.get("sitecustomize")
spec = getattr(found, "__spec__", None)
print(found, spec and (spec.name, spec.origin), getattr(sys, "mark", None), "wsfast" in sys.modules)
"""


@pytest.mark.parametrize(
    "text",
    [
        None,
        "import sys; sys.mark = 1",
        "import sys; sys.stdout.write('no end of line')",
        "import sys, os; sys.mark = os.environ['PATH']; import json",
        "import sitecustomize, sys; sys.mark = sitecustomize.__file__",
        "raise ValueError('theirs')",
        "import no_such_module",
        "from sitecustomize import no_such_name",
        "raise ImportError('bare')",
        "raise ImportError('by name', name='sitecustomize')",
        "not python",
        "import sys; sys.modules.pop(__name__)",
        "import sys; sys.modules[__name__] = sys",
        "import warnings; warnings.warn('theirs')",
    ],
)
def test_the_next_one_runs_as_without_us(text, ran, plain, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    if text is not None:
        (folder / "sitecustomize.py").write_text(text)
    (tmp_path / "show.py").write_text(SHOW)
    theirs = plain(sys.executable, "show.py", PYTHONPATH=str(folder))
    ours = plain(sys.executable, "show.py", PYTHONPATH=f"{run.BOOTSTRAP}{os.pathsep}{folder}")
    said = "False", "True"
    assert theirs.stdout.endswith(said[0] + "\n")
    assert ours.stdout == theirs.stdout.replace(*said)
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)


def test_children_where_theirs_puts_itself_in_front(plain, command_line, tmp_path):
    """As opentelemetry-instrument does, whose sitecustomize does not run the next."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "sys.mark = 1\n"
        f"rest = [e for e in os.environ['PYTHONPATH'].split(os.pathsep) if e != {str(folder)!r}]\n"
        f"os.environ['PYTHONPATH'] = os.pathsep.join([{str(folder)!r}, *rest])\n"
    )
    show = "import os, sys; print(sys.mark, 'wsfast' in sys.modules, os.environ['PYTHONPATH'])"
    code = f"{show}; import subprocess; subprocess.run([sys.executable, '-c', {show!r}])"
    path = f"{folder}{os.pathsep}{Path(run.BOOTSTRAP).parents[2]}"
    done = plain(*command_line, sys.executable, "-uc", code, PYTHONPATH=path)
    assert done.stdout == f"1 True {run.BOOTSTRAP}{os.pathsep}{path}\n" * 2, done.stderr


def test_what_fails_in_us_costs_one_line(ran, tmp_path):
    package = tmp_path / "wsfast"
    package.mkdir()
    lines = [
        "__version__ = '0'",
        "def status(): return []",
        "def backend(): return 'c'",
    ]
    (package / "__init__.py").write_text("\n".join(lines))
    (package / "integrations.py").write_text("raise ValueError('broken')")
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1)'])"
    done = ran(sys.executable, "-c", code, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "1\n")
    line = f"wsfast run: not active in {sys.executable}: ValueError: broken"
    assert done.stderr.splitlines()[1:] == [line, line]


def test_kill_switch_in_a_child(ran):
    code = "import os, subprocess, sys; os.environ['WSFAST'] = '0'; subprocess.run(sys.argv[1:])"
    child = [sys.executable, "-c", "import sys; print('wsfast' in sys.modules)"]
    assert ran(sys.executable, "-c", code, *child).stdout == "False\n"


def test_old_pythons_can_read_it():
    tree = ast.parse(SOURCE.read_text("ascii"), feature_version=(3, 4))
    new = (ast.JoinedStr, ast.AnnAssign, ast.AsyncFunctionDef, ast.NamedExpr, ast.Nonlocal)
    for node in ast.walk(tree):
        assert not isinstance(node, new)
        assert getattr(node, "annotation", None) is None
        if isinstance(node, ast.Raise):
            assert node.cause is None
        if isinstance(node, ast.Call):
            assert getattr(node.func, "id", "") not in ("print", "super")

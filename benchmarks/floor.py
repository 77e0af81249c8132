"""Builds ``floor.c`` with the system's compiler into a temporary directory and imports it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
import tempfile
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

SOURCE = Path(__file__).with_name("floor.c")


@cache
def load() -> ModuleType:
    """The module, built once per process; ``ImportError`` where there is no compiler."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "floor_c" + sysconfig.get_config_var("EXT_SUFFIX"))
        command = [*compiler, "-O3", "-shared", "-fPIC", "-I", sysconfig.get_path("include")]
        try:
            subprocess.run(
                [*command, str(SOURCE), "-o", str(target)],
                check=True,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError as exc:
            raise ImportError(f"no C compiler: {exc}") from exc
        except subprocess.CalledProcessError as exc:
            raise ImportError(f"floor.c was not built: {exc.stderr.strip()}") from exc
        spec = spec_from_file_location("floor_c", target)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

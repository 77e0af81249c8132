"""The machine in words that say what matters and name no host."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def describe() -> dict[str, object]:
    """CPU, cores, system, Python and its compiler."""
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "os": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
    }

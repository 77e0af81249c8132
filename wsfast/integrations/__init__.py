"""Hosts patched in place: ``install`` lets wsfast do the work of libraries people already run.

Each driver takes ordinary frames and leaves everything else to the library's own code; a library
that is not exactly what its driver was tested with is left as it is, and one warning says so.
"""

from __future__ import annotations

import os

from . import _env, _report
from ._fingerprints import KNOWN
from ._hosts import HOSTS
from ._status import HostRefused, HostStatus
from ._switch import Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

__all__ = ["HostRefused", "HostStatus", "install", "is_active", "status", "uninstall"]

_SWITCH = Switch(HOSTS, KNOWN)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SWITCH.forked)


def install(
    *names: str,
    policy: Literal["host", "strict"] = "host",
    on_refusal: Literal["warn", "raise", "ignore"] = "warn",
    cork: bool = False,
) -> list[HostStatus]:
    """Accelerate these hosts, or all that wsfast knows; returns what became of each.

    Never imports a host: one that is imported is patched now, the others when they are.
    """
    path = _env.report()
    if path is not None:
        _report.arm(path, _SWITCH.status)
    return _SWITCH.install(names, policy, on_refusal, cork)


def uninstall(*names: str) -> None:
    """Put these hosts, or all, back as they were."""
    _SWITCH.uninstall(names)


def status() -> list[HostStatus]:
    """Every host that wsfast knows, in this process."""
    return _SWITCH.status()


def is_active(name: str) -> bool:
    """Whether frames of this host go through wsfast in this process."""
    return _SWITCH.is_active(name)

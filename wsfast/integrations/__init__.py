"""Hosts patched in place: ``install`` lets wsfast do the work of libraries people already run.

Each driver takes ordinary frames and leaves everything else to the library's own code; a library
that is not exactly what its driver was tested with is left as it is, and one warning says so.
"""

from __future__ import annotations

import os

from ..frames import _one_of
from . import _env
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

    Never imports a host: what is imported already is patched now, the rest when it is. A host that
    is not exactly what wsfast was tested with is left as it is; ``on_refusal`` says whether that
    is logged (``"warn"``, on the logger ``wsfast``, once), raised as ``HostRefused`` after the
    other hosts were seen to (``"raise"``; what is found out at a later import is logged, and that
    import fails with it), or only told by ``status()`` (``"ignore"``). ``WSFAST_REQUIRE=1`` in the
    environment means ``"raise"``. ``ValueError`` for names that wsfast does not know.

    ``policy="strict"`` puts the RFC's strictness on top of the host's own; ``cork=True`` lets
    answers collect while received messages wait. They hold for all the host's connections: calling
    again changes them, and is otherwise without effect on a host that is active.

    Does nothing where the environment says ``WSFAST=0``, or where pure Python would have to do the
    work and nobody asked for that with ``WSFAST_BACKEND=python``: ``"raise"`` raises then, too.
    """
    on_refusal = _checked(policy, on_refusal)
    return _SWITCH.install(names, policy, on_refusal, bool(cork))


def switch_on(*, policy: str, cork: bool) -> None:
    """``install()`` without asking what became of it: that costs a process 40 ms more."""
    _SWITCH.switch_on(policy, _checked(policy, "warn"), cork)


def _checked(policy: str, on_refusal: str) -> Literal["warn", "raise", "ignore"]:
    """Hear the environment; what ``on_refusal`` is then."""
    _one_of("policy", policy, ("host", "strict"))
    _one_of("on_refusal", on_refusal, ("warn", "raise", "ignore"))
    path = _env.report()
    if path is not None:
        from . import _report

        _report.arm(path, _SWITCH.status)
    return "raise" if _env.required() else on_refusal  # type: ignore[return-value]


def uninstall(*names: str) -> None:
    """Put these hosts, or all, back as they were; ``ValueError`` for names wsfast does not know.

    What somebody else has patched since stays, with wsfast beneath: the status says so. A
    connection of websockets keeps the parser it was made with.
    """
    _SWITCH.uninstall(names)


def status() -> list[HostStatus]:
    """Every host that wsfast knows, in this process."""
    return _SWITCH.status()


def is_active(name: str) -> bool:
    """Whether frames of this host go through wsfast in this process; ``ValueError`` if unknown."""
    return _SWITCH.is_active(name)

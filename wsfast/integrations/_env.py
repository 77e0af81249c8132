"""What the environment says about hosts: the only file of this package that reads it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KILL, ALL = {"0", "no", "off", "false"}, {"", "1", "yes", "on", "true"}


def wish() -> str:
    """``WSFAST`` as it is set now; empty where it is not."""
    return os.environ.get("WSFAST", "").strip()


def chosen() -> frozenset[str] | None:
    """The hosts that ``WSFAST`` lets through: None for all, an empty set for ``WSFAST=0``."""
    text = wish()
    if text.lower() in ALL:
        return None
    if text.lower() in KILL:
        return frozenset()
    return frozenset([name.strip().lower() for name in text.split(",") if name.strip()])


def strangers(known: Iterable[str]) -> list[str]:
    """What ``WSFAST`` names that is none of the ``known`` hosts."""
    return sorted((chosen() or frozenset()).difference(known))


def required(environment: Mapping[str, str] = os.environ) -> bool:
    """``WSFAST_REQUIRE``: a host that is wanted and refused is an error, whatever else is said."""
    return environment.get("WSFAST_REQUIRE", "").strip().lower() not in {"", *KILL}


def variables() -> dict[str, str]:
    """The variables of this package that are set."""
    names = ("WSFAST", "WSFAST_REQUIRE", "WSFAST_REPORT")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def report() -> str | None:
    """``WSFAST_REPORT``: the file that each process adds its line to when it ends."""
    return os.environ.get("WSFAST_REPORT") or None

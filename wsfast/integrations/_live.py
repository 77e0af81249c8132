"""A host in this process: its groups of seams, what was asked for it, what became of it."""

from __future__ import annotations

import sys
from contextlib import suppress

from . import _seams
from ._seams import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ._hosts import Group, Host
    from ._seams import Placed

NOT_ASKED = "wsfast.install() was not called"
TAKEN_BACK = "wsfast.uninstall() was called"
OWN_SWITCH = "wsfast does not patch it, it has a switch of its own"
PURE = "the C extension is not there, and pure Python is not faster than the host itself"


class Settings:
    """What ``install`` was told for the drivers."""

    __slots__ = ("cork", "policy")

    def __init__(self, policy: str, cork: bool) -> None:
        self.policy = policy
        self.cork = cork

    def tell(self, driver: Any) -> None:
        if hasattr(driver, "configure"):
            driver.configure(policy=self.policy, cork=self.cork)


class Live:
    """A group of seams in this process."""

    def __init__(self, group: Group) -> None:
        self.trigger = group.trigger
        self.driver_name = group.driver
        self.driver: Any = None
        self.placed: list[Placed] = []  # what we put there; others may have patched on top of it
        self.originals: dict[str, Any] = {}  # what stood there when the driver was first placed
        self.done = False  # all of it is placed, tested and wanted
        self.refusal: Refusal | None = None
        self.note = ""
        self.before = (
            0  # hits that do not count: of the self-test, or of the process we forked from
        )

    @property
    def hits(self) -> int:
        """Frames that went through it in this process."""
        return self._counted() - self.before

    def count_from(self, hits: int) -> None:
        """Let ``hits`` be ``hits`` now."""
        self.before = self._counted() - hits

    def _counted(self) -> int:
        counted = getattr(self.driver, "hits", None)
        return int(counted()) if counted is not None else 0

    def standing(self) -> list[str]:
        """The targets that call us, be it through somebody else's patch on top."""
        return [one.seam.target for one in self.placed if one.who() != ""]

    def others(self) -> Iterator[tuple[str, str]]:
        """Target and who stands there, where that is not us; ``""`` is the host itself."""
        for one in self.placed:
            who = one.who()
            if who is not None:
                yield one.seam.target, who


class LiveHost:
    """A host in this process."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.why_off = NOT_ASKED if host.groups else OWN_SWITCH  # empty while the host is wanted
        self.refusal: Refusal | None = None  # of the host as such
        self.settings = Settings("host", False)
        self.quiet = False
        self.fatal = False  # a refusal is raised, where that is possible
        self.said = ""  # the last warning: one is enough
        self.made_before = 0  # connections that do not count, of the process we forked from
        self.groups = [Live(group) for group in host.groups]

    def pending(self) -> list[Live]:
        """Groups that wait for the host, those before them being done or waiting too."""
        if self.why_off:
            return []
        return [live for live in self.groups if not live.done and live.refusal is None]

    def awaited(self) -> list[Live]:
        """Groups whose import we shall see: those that wait, or all where it must fail."""
        return self.groups if self.fatal and self.left() else self.pending()

    def refusals(self) -> list[Refusal]:
        every = [self.refusal, *[live.refusal for live in self.groups]]
        return [one for one in dict.fromkeys(every) if one is not None]

    def left(self) -> bool:
        """Whether it is known to be left as it is though it is wanted, be it in part."""
        return bool(self.refusals()) or self.why_off is PURE

    def made(self) -> int | None:
        """Connections that came by the host's own switch; None where that is not set."""
        module = sys.modules.get(self.host.counter)
        return None if module is None else getattr(module, "made", 0) - self.made_before

    def put_back(self) -> None:
        """Undo what is placed; what others have patched since stays, with us beneath."""
        for live in reversed(self.groups):
            live.done = False
            if live.placed:
                with suppress(Exception):  # a driver that declines is put back as well
                    Settings("host", False).tell(live.driver)
            _seams.put_back(live.placed)
            live.placed = [one for one in live.placed if one.who()]

    def notes(self) -> Iterator[str]:
        """What is worth saying of what is placed."""
        for live in self.groups:
            if live.note:
                yield live.note
            for target, who in live.others():
                if not who:
                    yield f"{target} is the host's own again: call wsfast.install() once more"
                elif self.why_off:
                    yield f"{target} could not be put back: {who} has patched it after wsfast"
                else:
                    yield f"{target}: {who} has patched it after wsfast"
        made = self.made()
        if made is not None:
            count = f"{made or 'no'} connection{'' if made == 1 else 's'}"
            yield f"{count} so far by {self.host.counter.rpartition('.')[0]}, without a patch"


def installed(host: Host) -> str | None:
    """The version of the distribution, None where there is none."""
    from importlib import metadata  # 40 ms: for a process that meets a host, or asks

    try:
        return metadata.version(host.distribution) or None
    except metadata.PackageNotFoundError:
        return None


def check_version(host: Host) -> None:
    """``Refusal`` unless the version installed is one that the drivers are made for."""
    version = installed(host)
    if version is None:
        raise Refusal("its version cannot be told, there is no metadata of it", "use pip for it")
    try:
        fits = host.fits(version)
    except ValueError as exc:
        raise Refusal(str(exc)) from None
    if not fits:
        way = "use one of those, or look for a newer wsfast"
        raise Refusal(f"this wsfast is made for {host.name} {host.versions}", way)


def is_imported(name: str) -> bool:
    """Whether the module is there and its code has run to the end."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return module is not None and not getattr(spec, "_initializing", False)


def warning(host: Host, refusal: Refusal) -> str:
    """The one line in the log: who, what, and what to do."""
    ways = [refusal.advice] if refusal.advice else []
    if host.supported_hook and refusal.hook:
        ways.append(f"the supported way needs no patch: {host.supported_hook}")
    version = installed(host) or "(no version)"
    return f"{host.name} {version} runs without wsfast: {refusal}. What to do: {'; '.join(ways)}"

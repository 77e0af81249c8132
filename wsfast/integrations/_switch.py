"""The switch: what is wanted of each host, what became of it, and the lock around both.

The lock is held while a driver is verified, swapped and tested, never during an import: a thread
that imports a host calls us while it holds the lock of that module.
"""

from __future__ import annotations

import logging
import sys
import threading
from importlib import import_module, metadata

from .. import codec
from . import _env, _seams
from ._finder import Finder
from ._status import HostRefused, HostStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ._hosts import Group, Host
    from ._seams import Placed
    from ._status import State

logger = logging.getLogger("wsfast")

ABSENT = "not installed"
NOT_ASKED = "nobody has called wsfast.install()"
PURE = "the C extension is not there, and pure Python is not faster than the host's own"
RELOADED = "it was imported again after wsfast.install(): call that again"
UNDER_WAY = "it is being imported right now: call wsfast.install() again once it is"


class Settings:
    """What ``install`` was told about a host; equal where a driver would see no difference."""

    __slots__ = ("cork", "policy")

    def __init__(self, policy: str, cork: bool) -> None:
        self.policy = policy
        self.cork = cork

    def __str__(self) -> str:
        return f"policy={self.policy!r}, cork={self.cork}"


class Live:
    """A group of seams in this process. Without ``placed`` nothing of it is replaced."""

    def __init__(self, host: LiveHost, group: Group) -> None:
        self.host = host
        self.group = group
        self.wanted = False
        self.refusal = ""
        self.note = ""
        self.driver: Any = None
        self.placed: list[Placed] = []
        self.before = 0  # hits that were not of this process, or the self-test's

    @property
    def pending(self) -> bool:
        return self.wanted and not self.placed and not self.refusal

    def counted(self) -> int:
        """Frames that went through the driver since it was imported."""
        hits = getattr(self.driver, "hits", None)
        return int(hits()) if hits is not None else 0

    def strangers(self) -> Iterator[tuple[str, str]]:
        """(target, who) where what we placed does not stand any more; "" for the host itself."""
        for one in self.placed:
            who = one.stranger()
            if who is not None:
                yield one.seam.target, who


class LiveHost:
    """A host in this process."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.settings: Settings | None = None  # None while nobody wants it
        self.why_off = NOT_ASKED
        self.quiet = False
        self.said = ""  # the last refusal that was logged
        self.groups = [Live(self, group) for group in host.groups]


class Switch:
    """``install``, ``uninstall`` and ``status`` over ``hosts``; ``known``: see _fingerprints.py."""

    def __init__(self, hosts: Mapping[str, Host], known: Mapping[str, Mapping[str, str]]) -> None:
        self._known = known
        self._hosts = {name: LiveHost(host) for name, host in hosts.items()}
        self._finder = Finder(self._imported, self._unwatchable)
        self._lock = threading.RLock()

    # ---- what is asked of it --------------------------------------------------------------------

    def install(
        self, names: tuple[str, ...], policy: str, on_refusal: str, cork: bool
    ) -> list[HostStatus]:
        lives = self._named(names)
        for life in lives:
            self._want(life, bool(names), Settings(policy, cork), on_refusal != "warn")
        self._wait()
        for life in lives:
            for live in life.groups:
                if live.pending and live.group.trigger in sys.modules:
                    self._apply(live)
        self._wait()
        found = [self._status(life) for life in lives]
        refused = tuple([one for one in found if one.state == "refused"])
        if refused and on_refusal == "raise":
            raise HostRefused(refused)
        return found

    def uninstall(self, names: tuple[str, ...]) -> None:
        with self._lock:
            for life in self._named(names):
                life.settings = None
                life.why_off = "wsfast.uninstall() was called" if life.groups else life.why_off
                for live in reversed(life.groups):
                    live.wanted = False
                    live.refusal = live.note = ""
                    _seams.put_back(live.placed)
                    live.placed = [one for one in live.placed if one.stranger()]
        self._wait()

    def status(self) -> list[HostStatus]:
        return [self._status(life) for life in self._hosts.values()]

    def is_active(self, name: str) -> bool:
        (life,) = self._named((name,))
        return self._status(life).state == "active"

    def forked(self) -> None:
        """In a child after fork: another thread may have held the lock; the hits were not ours."""
        self._lock = threading.RLock()
        for life in self._hosts.values():
            for live in life.groups:
                live.before = live.counted()

    # ---- wanting --------------------------------------------------------------------------------

    def _named(self, names: tuple[str, ...]) -> list[LiveHost]:
        unknown = [name for name in names if name not in self._hosts]
        if unknown:
            raise ValueError(
                f"unknown host {', '.join(map(repr, unknown))}; wsfast knows "
                f"{', '.join(self._hosts)}"
            )
        return [self._hosts[name] for name in names or self._hosts]

    def _want(self, life: LiveHost, by_name: bool, settings: Settings, quiet: bool) -> None:
        with self._lock:
            life.why_off = self._forbidden(life.host, by_name)
            life.quiet = quiet
            if life.why_off:
                return
            life.settings = settings
            for live in life.groups:
                live.wanted = True
                live.refusal = live.note = ""
                if live.placed:
                    self._again(live)

    def _forbidden(self, host: Host, by_name: bool) -> str:
        """Why the host shall be left alone whatever it is; empty where it shall not."""
        chosen = _env.chosen()
        if chosen is not None and host.name not in chosen:
            return f"WSFAST={_env.wish()} in the environment"
        if not host.groups:
            return f"not patched, it has a switch of its own: {host.supported_hook}"
        if codec.backend() == "python" and not codec.environment():
            return PURE
        return ""

    def _again(self, live: Live) -> None:
        """A group that is in place already: new settings, or a host that was loaded anew."""
        settings = live.host.settings
        if any(not who for _, who in live.strangers()):
            _seams.put_back(live.placed)
            live.placed = []
            sys.modules.pop(live.group.driver, None)  # its originals are those of the old host
            return
        try:
            live.driver.configure(policy=settings.policy, cork=settings.cork)
        except Exception as exc:
            live.note = f"the settings stay as they were: {exc}"

    def _wait(self) -> None:
        """Have the finder wait for what is pending and not imported, or go."""
        with self._lock:
            self._finder.wait_for(
                frozenset(
                    [
                        live.group.trigger
                        for life in self._hosts.values()
                        for live in life.groups
                        if live.pending
                    ]
                )
            )

    # ---- applying -------------------------------------------------------------------------------

    def _imported(self, trigger: str) -> None:
        """The finder's call, on any thread, inside the import of the host: nothing may escape."""
        for life in self._hosts.values():
            for live in life.groups:
                if live.pending and live.group.trigger == trigger:
                    self._apply(live)
        self._wait()

    def _unwatchable(self, trigger: str, why: str) -> None:
        for life in self._hosts.values():
            for live in life.groups:
                if live.pending and live.group.trigger == trigger:
                    self._refuse(live, f"{why}: import it before wsfast.install()")

    def _apply(self, live: Live) -> None:
        host = live.host.host
        try:
            self._check_version(host)
            driver = import_module(live.group.driver)
        except _seams.Refusal as exc:
            self._refuse(live, str(exc))
            return
        except Exception as exc:
            self._refuse(live, f"its driver does not load ({_said(exc)})")
            return
        with self._lock:
            if not live.pending:  # another thread was quicker, or it is not wanted any more
                return
            try:
                self._place(live, driver)
            except _seams.Refusal as exc:
                self._refuse(live, str(exc))
            except Exception as exc:
                self._refuse(live, f"the self-test of its driver failed ({_said(exc)})")

    def _check_version(self, host: Host) -> None:
        version = installed(host)
        if version is None:
            raise _seams.Refusal("its version cannot be told: no metadata of it is installed")
        try:
            fits = host.fits(version)
        except ValueError as exc:
            raise _seams.Refusal(str(exc)) from None
        if not fits:
            raise _seams.Refusal(f"wsfast knows {host.name} {host.versions}")

    def _place(self, live: Live, driver: Any) -> None:
        for earlier in live.host.groups:
            if earlier is live:
                break
            if not earlier.placed:
                raise _seams.Refusal(f"{earlier.group.trigger} is left as it is")
        settings = live.host.settings
        _seams.verify(driver.SEAMS, self._known)
        if hasattr(driver, "configure"):
            driver.configure(policy=settings.policy, cork=settings.cork)
        placed = _seams.swap(driver.SEAMS)
        try:
            driver.selftest()
        except BaseException:
            _seams.put_back(placed)
            raise
        live.driver = driver
        live.placed = placed
        live.before = live.counted()

    def _refuse(self, live: Live, why: str) -> None:
        host = live.host.host
        live.refusal = why
        message = (
            f"{host.name} {installed(host) or ''} is left as it is, without wsfast: {why}. "
            + _advice(host)
        )
        if live.host.said != message and not live.host.quiet:
            live.host.said = message
            logger.warning("%s", message)

    # ---- telling --------------------------------------------------------------------------------

    def _status(self, life: LiveHost) -> HostStatus:
        with self._lock:
            version = installed(life.host)
            seams = tuple([one.seam.target for live in life.groups for one in live.placed])
            hits = sum([live.counted() - live.before for live in life.groups])
            state, reason = self._state(life, version)
            hook = life.host.supported_hook
            return HostStatus(life.host.name, version, state, seams, hook, hits, reason)

    def _state(self, life: LiveHost, version: str | None) -> tuple[State, str]:
        notes = [live.refusal or live.note for live in life.groups]
        for live in life.groups:
            notes += [
                f"{target}: {f'{who} is on top of wsfast' if who else RELOADED}"
                for target, who in live.strangers()
            ]
        reason = "; ".join(filter(None, notes))
        if any(live.placed for live in life.groups):
            return "active", reason
        if any(live.refusal for live in life.groups):
            return "refused", reason
        if version is None:
            return "absent", ABSENT
        if life.settings is None or life.why_off:
            return "off", life.why_off
        try:
            self._check_version(life.host)
        except _seams.Refusal as exc:
            return "refused", str(exc)
        return "pending", reason


def _advice(host: Host) -> str:
    ways = ["look for a newer wsfast, or report this line"]
    if host.supported_hook:
        ways.append(f"the supported way works meanwhile: {host.supported_hook}")
    return f"What to do: {'; '.join(ways)}"


def _said(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"


def installed(host: Host) -> str | None:
    """The version of the distribution, None where there is none."""
    try:
        return metadata.version(host.distribution) or None
    except metadata.PackageNotFoundError:
        return None

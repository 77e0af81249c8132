"""The switch: what is wanted of each host, what became of it, and the lock around both.

The lock is held while a driver is verified, swapped and tested, never during an import: a thread
that imports a host calls us while it holds the lock of that module.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module

from .. import codec
from . import _env, _seams
from ._finder import Finder, await_import
from ._live import (
    NOT_ASKED,
    OWN_SWITCH,
    PURE,
    TAKEN_BACK,
    LiveHost,
    Settings,
    check_version,
    installed,
    is_imported,
    warning,
)
from ._seams import Refusal
from ._status import HostRefused, HostStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._hosts import Host
    from ._live import Live
    from ._status import State

UNDER_WAY = "it is being imported right now: call wsfast.install() again once that is done"


class Switch:
    """``install``, ``uninstall`` and ``status`` over ``hosts``; ``known``: see _fingerprints.py."""

    def __init__(self, hosts: Mapping[str, Host], known: Mapping[str, Mapping[str, str]]) -> None:
        self._known = known
        self._hosts = {name: LiveHost(host) for name, host in hosts.items()}
        self._finder = Finder(self._imported, self._unwatchable)
        self._lock = threading.RLock()
        self._said_of_environment = ""

    # ---- what is asked of it --------------------------------------------------------------------

    def install(
        self, names: tuple[str, ...], policy: str, on_refusal: str, cork: bool
    ) -> list[HostStatus]:
        lives = self._switch_on(names, policy, on_refusal, cork)
        found = [self._status(life) for life in lives]
        if on_refusal == "raise":  # also by what the version foretells
            refused = [life for life, one in zip(lives, found) if one.state == "refused"]
            self._raise([life for life in lives if life.left() or life in refused])
        if on_refusal != "ignore" and any(life.why_off is PURE for life in lives):
            _warn(f"wsfast leaves all hosts alone: {PURE}; `wsfast status` says why it is missing")
        return found

    def switch_on(self, policy: str, on_refusal: str, cork: bool) -> None:
        """The same for all hosts, without asking what became of them; those that nobody imports
        raise nothing."""
        lives = self._switch_on((), policy, on_refusal, cork)
        if on_refusal == "raise":
            there = [
                life for life in lives if any(is_imported(live.trigger) for live in life.groups)
            ]
            self._raise([life for life in there if life.left()])

    def _switch_on(
        self, names: tuple[str, ...], policy: str, on_refusal: str, cork: bool
    ) -> list[LiveHost]:
        lives = self._named(names)
        self._check_environment(on_refusal == "raise")
        for life in lives:
            with self._lock:
                life.quiet, life.fatal = on_refusal != "warn", on_refusal == "raise"
                self._want(life, bool(names), Settings(policy, cork))
        self._wait()
        for life in lives:
            for live in life.pending():
                await_import(live.trigger)  # one that began before the finder was there
                if is_imported(live.trigger):
                    self._apply(life, live)
                elif sys.modules.get(live.trigger) is not None:  # by this very thread
                    live.note = UNDER_WAY
            life.quiet = on_refusal == "ignore"  # nobody may see what a later import raises
        self._wait()
        return lives

    def uninstall(self, names: tuple[str, ...]) -> None:
        for life in self._named(names):
            with self._lock:
                life.why_off = TAKEN_BACK if life.groups else OWN_SWITCH
                life.refusal = None
                life.put_back()
                for live in life.groups:
                    live.refusal = None
                    live.note = ""
        self._wait()

    def status(self) -> list[HostStatus]:
        return [self._status(life) for life in self._hosts.values()]

    def is_active(self, name: str) -> bool:
        (life,) = self._named((name,))
        return any(live.standing() for live in life.groups) or bool(life.made())

    def forked(self) -> None:
        """In a child of fork(): another thread may have held the lock; no hit was ours."""
        self._lock = threading.RLock()
        for life in self._hosts.values():
            life.made_before += life.made() or 0
            for live in life.groups:
                live.count_from(0)

    # ---- wanting --------------------------------------------------------------------------------

    def _named(self, names: tuple[str, ...]) -> list[LiveHost]:
        if not all(isinstance(name, str) for name in names):
            raise TypeError('names of hosts are strings: wsfast.install("websockets", "wsproto")')
        unknown = [name for name in names if name not in self._hosts]
        if unknown:
            wrong, right = ", ".join(map(repr, unknown)), ", ".join(self._hosts)
            raise ValueError(f"unknown host {wrong}; wsfast knows {right}")
        return [self._hosts[name] for name in dict.fromkeys(names or self._hosts)]

    def _check_environment(self, fatal: bool) -> None:
        unknown = _env.strangers(self._hosts)
        if unknown and (fatal or self._said_of_environment != _env.wish()):
            self._said_of_environment = _env.wish()
            wrong, right = ", ".join(unknown), ", ".join(self._hosts)
            says = f"WSFAST={_env.wish()} names hosts unknown to wsfast: {wrong}; it knows {right}"
            if fatal:
                raise ValueError(says)
            _warn(says)

    def _want(self, life: LiveHost, by_name: bool, settings: Settings) -> None:
        life.why_off = self._forbidden(life.host)
        life.refusal = None
        if life.why_off:
            return
        if not life.groups:
            life.why_off = OWN_SWITCH
            if by_name:
                self._refuse(life, None, Refusal(OWN_SWITCH, "", hook=True))
            return
        life.settings = settings
        for live in life.groups:
            live.refusal = None
            live.note = ""
        if any(not who for live in life.groups for _, who in live.others()):
            life.put_back()  # the host was imported anew
        for live in life.groups:
            if live.done:
                self._again(live, settings)

    def _forbidden(self, host: Host) -> str:
        """Why the host shall be left alone whatever it is; empty where it shall not."""
        chosen = _env.chosen()
        if chosen is not None and host.name not in chosen:
            return f"WSFAST={_env.wish()} in the environment"
        if host.groups and codec.backend() == "python" and not codec.environment():
            return PURE
        return ""

    def _again(self, live: Live, settings: Settings) -> None:
        try:
            settings.tell(live.driver)
        except Exception as exc:
            live.note = f"its settings stay as they were ({_said(exc)})"

    def _wait(self) -> None:
        """Have the finder wait for what is pending, or go."""
        with self._lock:
            waiting = [live.trigger for life in self._hosts.values() for live in life.awaited()]
            self._finder.wait_for(frozenset(waiting))

    def _raise(self, lives: list[LiveHost]) -> None:
        refused = tuple([one for one in map(self._status, lives) if one.state != "absent"])
        if refused:
            for life in lives:
                life.fatal = False  # the caller knows: it may go on and import the host as it is
            self._wait()
            raise HostRefused(refused)

    # ---- applying -------------------------------------------------------------------------------

    def _imported(self, name: str) -> None:
        """A trigger was imported, by this thread, which is inside that import: nothing may escape
        but what is no ``Exception``, and the refusal of a host that must not run without us."""
        for life in self._hosts.values():
            if any(live.trigger == name for live in life.pending()):
                for live in life.pending():
                    if live.trigger == name or is_imported(live.trigger):
                        self._apply(life, live)
        self._wait()
        self._raise_at(name)

    def _raise_at(self, name: str) -> None:
        """Each import that makes a host of use fails, if that must not run without us."""
        for life in self._hosts.values():
            if life.fatal and life.left() and any(live.trigger == name for live in life.groups):
                raise HostRefused((self._status(life),))

    def _unwatchable(self, name: str) -> None:
        for life in self._hosts.values():
            for live in life.pending():
                if live.trigger == name:
                    why = f"{name} has a loader that cannot be watched"
                    self._refuse(
                        life, live, Refusal(why, "import it before wsfast.install()", hook=True)
                    )
        self._raise_at(name)

    def _apply(self, life: LiveHost, live: Live) -> None:
        """Apply a group whose trigger is imported; a failure is its refusal."""
        if any(not before.done for before in life.groups[: life.groups.index(live)]):
            return  # its turn comes with theirs
        try:
            check_version(life.host)
            driver = self._load(life, live)
            with self._lock:
                if live in life.pending():  # no other thread was quicker
                    self._place(life, live, driver)
        except Exception as exc:
            why = exc if isinstance(exc, Refusal) else Refusal(f"its driver failed ({_said(exc)})")
            self._refuse(life, live, why)
            if not live.placed:  # the originals that it took may not be the host's own
                sys.modules.pop(live.driver_name, None)

    def _load(self, life: LiveHost, live: Live) -> Any:
        """The driver, imported anew where the host was: it keeps originals of the old one."""
        try:
            driver = import_module(live.driver_name)
            now = _seams.originals(driver.SEAMS)
            if live.originals and not live.placed and now != live.originals:
                for later in life.groups[life.groups.index(live) :]:  # they may import this one
                    sys.modules.pop(later.driver_name, None)
                driver = import_module(live.driver_name)
        except Refusal:
            raise
        except Exception as exc:
            raise Refusal(f"its driver does not load ({_said(exc)})") from exc
        return driver

    def _place(self, life: LiveHost, live: Live, driver: Any) -> None:
        there = {one.seam.target for one in live.placed}
        missing = tuple([seam for seam in driver.SEAMS if seam.target not in there])
        _seams.verify(missing, self._known)
        life.settings.tell(driver)
        live.originals = _seams.originals(driver.SEAMS)
        counts = [(each, each.hits) for host in self._hosts.values() for each in host.groups]
        placed = _seams.swap(missing)
        try:
            if placed:  # else all of it is still there, beneath what others have patched since
                driver.selftest()
        except BaseException as exc:
            _seams.put_back(placed)
            if isinstance(exc, Exception):
                raise Refusal(f"the self-test failed ({_said(exc)})") from exc
            raise
        live.driver = driver
        live.placed += placed
        live.done = True
        live.note = ""
        for each, hits in counts:  # the self-test may have gone through other drivers too
            each.count_from(hits)

    def _refuse(self, life: LiveHost, live: Live | None, refusal: Refusal) -> None:
        """Keep the refusal, which is also that of the groups after it, and tell it once."""
        if live is None:
            life.refusal = refusal
        else:
            for later in life.groups[life.groups.index(live) :]:
                later.refusal = refusal
        text = warning(life.host, refusal)
        if not life.quiet and life.said != text:
            life.said = text
            _warn(text)

    # ---- telling --------------------------------------------------------------------------------

    def _status(self, life: LiveHost) -> HostStatus:
        version = installed(life.host)
        with self._lock:
            seams = tuple([target for live in life.groups for target in live.standing()])
            state, reason = self._state(life, version, bool(seams))
            hits = sum([live.hits for live in life.groups])
        hook = life.host.supported_hook
        return HostStatus(life.host.name, version, state, seams, hook, hits, reason)

    def _state(self, life: LiveHost, version: str | None, active: bool) -> tuple[State, str]:
        reason = "; ".join([*map(str, life.refusals()), *life.notes()])
        if active or life.made():
            return "active", reason
        if life.refusals():
            return "refused", reason
        if version is None:
            return "absent", "not installed"
        if life.why_off:
            why = life.why_off
            if why == NOT_ASKED:  # as `wsfast run` does not, where the environment forbids it
                why = self._forbidden(life.host) or why
            return ("off", why) if life.made() is None else ("pending", reason)
        try:
            check_version(life.host)
        except Refusal as exc:
            return "refused", str(exc)
        return "off" if reason and life.groups[0].done else "pending", reason


def _warn(text: str) -> None:
    import logging

    logging.getLogger("wsfast").warning("%s", text)


def _said(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"

"""Late import hook: calls back once a module that somebody else imports has been executed."""

from __future__ import annotations

import sys
import threading
from importlib import _bootstrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class Finder:
    """Stands first in ``sys.meta_path`` while it waits for anything; finds nothing itself.

    It asks the other finders and wraps ``exec_module`` of the loader they found: of that instance,
    not of its class, so that resources, source and everything else of it stay as they are. ``call``
    gets the name of the module; what it raises goes to the importer, so it should not.
    """

    def __init__(self, call: Callable[[str], None], give_up: Callable[[str], None]) -> None:
        self._call = call
        self._give_up = give_up  # its loader cannot be wrapped
        self._waiting: frozenset[str] = frozenset()
        self._busy = threading.local()

    def wait_for(self, names: frozenset[str]) -> None:
        """Wait for these modules from now on, and for no other."""
        self._waiting = names
        if names and self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        elif not names and self in sys.meta_path:
            others = list(sys.meta_path)
            others.remove(self)
            sys.meta_path = others  # another thread walks the old list, and must not skip one

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the others find, its loader wrapped."""
        busy: set[str] = vars(self._busy).setdefault("names", set())
        if name not in self._waiting or name in busy:
            return None
        busy.add(name)  # another finder may ask all the others as we do, us among them
        try:
            spec = self._ask_others(name, path, target)
        finally:
            busy.discard(name)
        if spec is not None:
            self._wrap(name, spec.loader)
        return spec

    def _ask_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(name, path, target)
            if spec is not None:
                return spec
        return None

    def _wrap(self, name: str, loader: Any) -> None:
        run = getattr(loader, "exec_module", None)
        if run is None or isinstance(loader, type):  # built in, frozen, or of the old protocol
            self._give_up(name)
            return

        def exec_module(module: ModuleType) -> None:
            if module.__name__ != name:  # a loader may serve several modules
                run(module)
                return
            try:
                run(module)
            finally:
                if vars(loader).get("exec_module") is exec_module:
                    del loader.exec_module
            self._call(name)

        try:
            loader.exec_module = exec_module
        except AttributeError:
            self._give_up(name)


def await_import(name: str) -> None:
    """Wait for the thread that is importing the module, if there is one, as its import would.

    Nothing public does this without importing the module where no thread is; should importlib lose
    what does, such an import is left as it is, unnoticed.
    """
    wait = getattr(_bootstrap, "_lock_unlock_module", None)
    if wait is not None:
        wait(name)

"""The back ends of permessage-deflate: the modules of zlib, zlib-ng and ISA-L."""

from __future__ import annotations

import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_IDLE = 4  # compressors kept for connections without takeover: enough for as many threads


class Backend:
    """A module that deflates, one that inflates, and the former's levels.

    ``levels[level]`` is what a level of zlib's, 0..9, becomes; the default, -1, is the last.
    """

    __slots__ = ("deflates", "inflates", "levels", "name")

    def __init__(self, name: str, deflates: Any, inflates: Any, levels: tuple[int, ...]) -> None:
        self.name = name
        self.deflates = deflates
        self.inflates = inflates
        self.levels = levels


_ZLIB_LEVELS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1)
# Level 0 of ISA-L has fixed codes and no lookup table: small messages grow. Its level 2 is no
# better than 1 and takes 2.5 times the memory, 3 saves another 3 % of 16 KiB.
_ISAL_LEVELS = (1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 1)


def _zlib_ng() -> Any:
    from zlib_ng import zlib_ng

    return zlib_ng


def _make(name: str) -> Backend:
    if name == "zlib":
        return Backend(name, zlib, zlib, _ZLIB_LEVELS)
    if name == "zlib-ng":
        return Backend(name, _zlib_ng(), _zlib_ng(), _ZLIB_LEVELS)
    from isal import isal_zlib

    # ISA-L's own inflate is slower below 1 KiB, and differs from zlib's: in which damaged streams
    # it refuses, in how much it yields before the end of one. zlib-ng's does not.
    return Backend(name, isal_zlib, _zlib_ng(), _ISAL_LEVELS)


BACKENDS = ("zlib", "zlib-ng", "isal")
_loaded: dict[str, Backend] = {}
_default = "zlib"


def load(name: str | None = None) -> Backend:
    """The back end of that name, or the process's default.

    ``ValueError`` for an unknown name, ``ImportError`` where its packages are missing.
    """
    name = _default if name is None else name
    found = _loaded.get(name)
    if found is None:
        if name not in BACKENDS:
            raise ValueError(f"no zlib back end {name!r}: there are {', '.join(BACKENDS)}")
        try:
            found = _loaded[name] = _make(name)
        except ImportError as exc:
            hint = f"pip install 'wsfast[{name}]'"
            raise ImportError(f"the zlib back end {name!r} is not installed: {hint}") from exc
    return found


def set_zlib_backend(name: str) -> None:
    """Choose what compresses, for the connections this process opens from now on.

    ``"zlib"``, the standard library's, is the default; ``"zlib-ng"`` and ``"isal"`` need the extra
    of that name. ``PerMessageDeflate(backend=…)`` goes before it.
    """
    global _default
    _default = load(name).name


class Compressors:
    """Compressors with the same settings, and the idle ones: none holds anything of a message."""

    __slots__ = ("_backend", "_bits", "_idle", "_level", "_mem_level")

    def __init__(self, backend: Backend, bits: int, level: int, mem_level: int) -> None:
        self._backend = backend
        self._bits = bits
        self._level = backend.levels[level]
        self._mem_level = mem_level
        self._idle: list[Any] = []

    def take(self) -> Any:
        """One with an empty window, the caller's alone."""
        try:
            return self._idle.pop()
        except IndexError:
            module = self._backend.deflates
            return module.compressobj(self._level, zlib.DEFLATED, -self._bits, self._mem_level)

    def give(self, context: Any) -> None:
        """Back, behind a full flush."""
        if len(self._idle) < _IDLE:
            self._idle.append(context)


_compressors: dict[tuple[str, int, int, int], Compressors] = {}


def equal(backend: Backend, bits: int, level: int, mem_level: int) -> Compressors:
    """Those of the process with these settings."""
    key = (backend.name, bits, level, mem_level)
    found = _compressors.get(key)
    if found is None:
        found = _compressors.setdefault(key, Compressors(backend, bits, level, mem_level))
    return found

"""Seams: looking whether a host is what its driver was written for, replacing, putting back.

A driver is a module made for one module of a host, imported only after that. It has

    SEAMS: tuple[Seam, …]       what it replaces; the originals are taken when it is imported
    configure(*, policy, cork)  called before the swap, again when the settings change, and with
                                policy="host", cork=False before what was swapped is put back
    selftest()                  called after the swap, < 5 ms; raises AssertionError with a
                                sentence. It imports nothing (others may be importing the host: the
                                lock of the switch is held), and uses no ``assert`` (python -O)
    hits() -> int               frames that went through it so far

and nothing in it waits for a thread. ``configure`` and ``hits`` may be missing.
"""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


REPORT = "look for a newer wsfast, or report this line"
# What help(), typing.get_type_hints(), pickle and tracers ask of a function.
SHOWN = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")


class Refusal(Exception):
    """Why a host is left as it is, a clause that goes on after its name and version.

    ``advice`` is what to do; ``hook``: the supported hook helps. It stands on the same inside of
    the host, so it does not where that is unknown.
    """

    def __init__(self, why: str, advice: str = REPORT, hook: bool = False) -> None:
        super().__init__(why)
        self.advice = advice
        self.hook = hook


class Seam:
    """``target``, ``"module:Class.method"``, is to become ``replacement``, a function.

    ``reads`` names what the replacement re-implements or relies on (functions, properties,
    classes): their source is looked at too.
    """

    __slots__ = ("reads", "replacement", "target")

    def __init__(self, target: str, replacement: Any, *, reads: tuple[str, ...] = ()) -> None:
        self.target = target
        self.replacement = replacement
        self.reads = reads


class Place:
    """Where a target is: ``raw`` is what stands in the ``__dict__``, a classmethod and all."""

    __slots__ = ("home", "name", "own", "owner", "raw", "target")

    def __init__(self, target: str) -> None:
        module_name, _, path = target.partition(":")
        owner: Any = sys.modules.get(module_name)
        *parents, name = path.split(".")
        try:
            for parent in parents:
                owner = vars(owner)[parent]
            homes = owner.__mro__ if isinstance(owner, type) else (owner,)
            self.home = next(home for home in homes if name in vars(home))
        except (KeyError, TypeError, StopIteration):
            raise Refusal(f"{target} is not there") from None
        self.target = target
        self.owner = owner
        self.name = name
        self.raw = vars(self.home)[name]
        self.own = self.home is owner  # else inherited: putting back means deleting


class Placed:
    """A seam that was swapped, and what it takes to put it back."""

    __slots__ = ("ours", "place", "seam")

    def __init__(self, seam: Seam, place: Place) -> None:
        self.seam = seam
        self.place = place
        self.ours = seam.replacement
        for name in SHOWN:
            if hasattr(place.raw, name):
                setattr(self.ours, name, getattr(place.raw, name))
        if type(self.ours) is FunctionType:  # for other drivers, which may read what it replaces
            vars(self.ours)["__wrapped__"] = place.raw
        kind = type(place.raw)
        if kind in (classmethod, staticmethod) and type(seam.replacement) is not kind:
            self.ours = kind(seam.replacement)
        try:
            setattr(place.owner, place.name, self.ours)
        except (AttributeError, TypeError) as exc:
            raise Refusal(f"{seam.target} cannot be replaced: {exc}") from exc

    def who(self) -> str | None:
        """Who stands there instead of us: ``""`` for the host itself, None where we do."""
        try:
            now = Place(self.seam.target)
        except Refusal:
            return ""
        if now.raw is self.ours:
            return None
        return stranger(now) or ""

    def restore(self) -> None:
        """Put the original back, as it was, if what stands there is still ours."""
        place = self.place
        if vars(place.owner).get(place.name) is not self.ours:
            return
        if place.own:
            setattr(place.owner, place.name, place.raw)
        else:
            delattr(place.owner, place.name)


def stranger(place: Place) -> str | None:
    """The module that put ``place.raw`` there, or a method of the class that it is, where that is
    not a module of the host."""
    package = place.target.partition(".")[0].partition(":")[0]
    thing = code_of(place.raw)
    who = maker(thing)
    if who.partition(".")[0] not in (package, "builtins"):
        return who
    for each in map(code_of, vars(thing).values() if isinstance(thing, type) else ()):
        who = maker(each).replace("namedtuple_", "collections.")  # as these call their __new__
        known = who.partition(".")[0] in (package, *sys.stdlib_module_names)  # dataclasses, enum
        if not known and (type(each) is FunctionType or hasattr(each, "__wrapped__")):
            return who
    return None


def maker(thing: Any) -> str:
    """The module that a function, a class or an object comes from."""
    if type(thing) is FunctionType:  # not isinstance(): mocks and wrappers pretend to be one
        return str(thing.__globals__.get("__name__", "?"))
    if isinstance(thing, type) or type(thing) is BuiltinFunctionType:
        return str(thing.__module__)
    return type(thing).__module__


def code_of(raw: Any) -> Any:
    """The function in a method, a property or what the standard library's decorators made of it;
    the host's own where one of ours stands."""
    if isinstance(raw, (classmethod, staticmethod)):
        raw = raw.__func__
    elif isinstance(raw, property):
        raw = raw.fget
    while hasattr(raw, "__wrapped__"):
        is_function = type(raw) is FunctionType
        maker = raw.__globals__.get("__name__") if is_function else type(raw).__module__
        if maker not in ("contextlib", "functools") and not str(maker).startswith(__package__):
            break
        raw = raw.__wrapped__
    return raw


def verify(seams: tuple[Seam, ...], known: Mapping[str, Mapping[str, str]]) -> None:
    """``Refusal`` unless every seam, and what it reads, is what the driver was tested with."""
    from . import _source  # a process that imports no host does without

    replaced = {seam.target for seam in seams}
    targets = [*replaced, *[read for seam in seams for read in seam.reads]]
    moved: list[str] = []
    for target in dict.fromkeys(sorted(targets)):
        place = Place(target)
        who = stranger(place)
        if who is not None:
            way = f"call wsfast.install() before {who} patches it, or do without one of the two"
            raise Refusal(f"{target} was patched by {who}", way, hook=True)
        thing = code_of(place.raw)
        if type(thing) is BuiltinFunctionType and target not in replaced:
            continue  # compiled by the host: its version says what it does
        if type(thing) is not FunctionType and not isinstance(thing, type):
            raise Refusal(f"{target} is not a Python function any more")
        found = _source.digest(thing)
        if found is not None and found not in known.get(target, ()):
            moved.append(target)
    if moved:
        raise Refusal(f"the source of {', '.join(moved)} is not one that this wsfast knows")


def originals(seams: tuple[Seam, ...]) -> dict[str, Any]:
    """What stands at each target now."""
    return {seam.target: Place(seam.target).raw for seam in seams}


def swap(seams: tuple[Seam, ...]) -> list[Placed]:
    """Replace all of them, or none."""
    placed: list[Placed] = []
    try:
        for seam in seams:
            placed.append(Placed(seam, Place(seam.target)))
    except BaseException:
        put_back(placed)
        raise
    return placed


def put_back(placed: list[Placed]) -> None:
    """Restore what is still ours."""
    for one in placed:
        one.restore()

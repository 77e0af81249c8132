"""The register of contenders, and the ways to call them."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from typing import Any

from cases import Case

Work = tuple[Callable[[int], Any], Callable[[], Any]]  # (do it n times, do it once and show it)
Make = Callable[[Case], Work]
Decorator = Callable[[Make], Make]


@dataclass(frozen=True)
class Offer:
    """One contender for some operations. ``make(case)`` returns its ``Work``."""

    name: str
    package: str  # its distribution; "" for what needs none
    ops: tuple[str, ...]
    delivers: str
    make: Make
    twin: bool = False  # pure Python: only when asked for

    @property
    def version(self) -> str | None:
        """Of the installed package; None where it is missing."""
        try:
            return version(self.package) if self.package else ""
        except PackageNotFoundError:
            return None


OFFERS: list[Offer] = []


def offers(name: str, *ops: str, package: str = "", delivers: str, twin: bool = False) -> Decorator:
    """Register the decorated ``make`` as contender ``name`` for ``ops``."""

    def register(make: Make) -> Make:
        OFFERS.append(Offer(name, package, ops, delivers, make, twin))
        return make

    return register


class Wrong(Exception):
    """A contender that does not deliver what it should: its time would mean nothing."""


@dataclass(frozen=True)
class Contender:
    """An offer ready to run on one case, and verified."""

    offer: Offer
    run: Callable[[int], Any]


def ready(offer: Offer, case: Case) -> Contender:
    """Set up and verified; ``ImportError`` where its package is missing."""
    run, once = offer.make(case)
    if once() != case.wanted:
        raise Wrong(f"{offer.name} delivers something else for {case.name}")
    return Contender(offer, run)


def field(case: Case, *, twin: bool = False) -> tuple[list[Contender], list[tuple[str, str]]]:
    """The contenders for ``case``, ours first, and ``(name, why)`` of those missing."""
    found, missing = [], []
    for offer in OFFERS:
        if case.op not in offer.ops or (offer.twin and not twin):
            continue
        try:
            found.append(ready(offer, case))
        except ImportError as exc:
            missing.append((offer.name, str(exc)))
    return found, missing


# ---- ways to call -------------------------------------------------------------------------------


def calls(function: Callable[..., Any], *args: Any) -> Callable[[int], None]:
    """``function(*args)`` n times, the loop at its cheapest."""

    def one(n: int) -> None:
        for _ in repeat(None, n):
            function(first)

    def two(n: int) -> None:
        for _ in repeat(None, n):
            function(first, second)

    first, second = args if len(args) == 2 else (args[0], None)
    return two if len(args) == 2 else one


def simple(function: Callable[..., Any], *args: Any) -> Work:
    """Work whose result is the result."""
    return calls(function, *args), lambda: function(*args)


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("the coroutine waits")


def read_frame(frame: bytes | bytearray) -> tuple[int, bool, bytes]:
    """(first byte, masked, payload) of one whole frame, by the book."""
    n, at = frame[1] & 0x7F, 2
    if n > 125:
        at = 4 if n == 126 else 10
        n = int.from_bytes(frame[2:at], "big")
    payload = frame[at:]
    if masked := frame[1] >= 0x80:
        key, payload = frame[at : at + 4], frame[at + 4 :]
        payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    if len(payload) != n:
        raise Wrong(f"a frame says {n} bytes and has {len(payload)}")
    return frame[0], masked, bytes(payload)


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """One for all, since some contenders keep the loop they were made on."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop

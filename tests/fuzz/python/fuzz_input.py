"""What the oracles share: the fuzzer's bytes read as choices, and what a caller can see compared.

An input is a few bytes that choose settings, then the bytes that are judged: so a seed is easily
made, and a mutation of either half keeps the other. No oracle needs a fuzzer: each is a function
of bytes that returns nothing and raises where it disagrees.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from wsfast.frames import Limits, Policy, Role

T = TypeVar("T")
TESTS = Path(__file__).parents[2]
sys.path.append(str(TESTS))  # where what ``load`` takes finds streams.py, outside of pytest too
KEY = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7


class Input:
    """Takes bytes from the front; behind the end they are 0."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def pick(self, options: Sequence[T]) -> T:
        return options[self.byte() % len(options)]

    def take(self, size: int) -> bytes:
        """As many as there are, at most ``size``."""
        taken = self.data[self.at : self.at + size]
        self.at += size
        return taken

    def rest(self) -> bytes:
        return self.take(len(self.data))

    def __bool__(self) -> bool:
        return self.at < len(self.data)


def chunks(stream: bytes, way: int) -> list[bytes]:
    """``stream`` in pieces: 0 whole, 1 byte by byte, else cut as the number has it."""
    if way == 0:
        return [stream]
    if way == 1:
        return [stream[i : i + 1] for i in range(len(stream))]
    found, at, state = [], 0, way
    while at < len(stream):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        size = 1 + (state >> 20) % (1 << (state >> 16 & 7))
        found.append(stream[at : at + size])
        at += size
    return found


# ---- settings -----------------------------------------------------------------------------------

SIZES = (None, 1 << 20, 0, 1, 5, 32, 64, 125, 126, 127, 300, (1 << 63) - 1)


def policy_from(given: Input) -> Policy | None:
    a, b, c = given.byte(), given.byte(), given.byte()
    if a & 0x80:  # the strict one of the role
        return None
    return Policy(
        mask=("require", "forbid", "any", "require")[a & 3],
        minimal_length=not a & 4,
        msb=("reject", "too_big", "accept", "reject")[a >> 3 & 3],
        rsv=b & 7,
        check="payload" if b & 8 else "header",
        utf8=("fail_fast", "message", "off")[c % 3],
        close_codes="any" if c & 0x80 else "rfc",
    )


def limits_from(given: Input) -> Limits:
    return Limits(
        max_message=given.pick(SIZES),
        max_frame=given.pick(SIZES),
        max_fragments=given.pick((None, 65537, 1, 2, 3)),
    )


def role_from(given: Input) -> Role:
    return given.pick((Role.SERVER, Role.CLIENT))


# ---- the implementations ------------------------------------------------------------------------


@cache
def _compiled() -> ModuleType | None:
    try:
        return importlib.import_module("wsfast._codec_c")
    except ModuleNotFoundError:
        return None


@cache
def backends() -> list[str]:
    """``python``, and ``c-…`` for each set of kernels, the preferred one last."""
    c = _compiled()
    isas = reversed(c._kernels_c._available()) if c else ()
    return ["python", *(f"c-{isa}" for isa in isas)]


def implementation(name: str) -> ModuleType:
    if name == "python":
        return importlib.import_module("wsfast._codec_py")
    c = _compiled()
    assert c is not None
    c._select(name.removeprefix("c-"))
    return c


def implementations() -> Iterator[tuple[str, ModuleType]]:
    for name in backends():
        yield name, implementation(name)


def contexts() -> Iterator[ModuleType]:
    """Each implementation of ``Inflater`` and ``Deflater``."""
    yield importlib.import_module("wsfast._deflate_py")
    if _compiled():
        yield importlib.import_module("wsfast._deflate_c")


def agree(run: Callable[[ModuleType], T]) -> T:
    """``run(module)`` for every implementation; all must return the same."""
    found = {name: run(module) for name, module in implementations()}
    for name, value in found.items():
        same(value, found["python"], name)
    return found["python"]


def same(found: object, expected: object, what: str = "") -> None:
    """Also where ``python -O`` would drop an assert."""
    if found != expected:
        raise AssertionError(f"{what}\nfound:    {found!r}\nexpected: {expected!r}")


# ---- what can be seen ---------------------------------------------------------------------------


def shown(value: object) -> object:
    """``value`` as something that compares by everything a caller can see of it."""
    if isinstance(value, BaseException):
        names = ("name", "offset", "close_code", "start", "end", "reason")
        return type(value), str(value), [getattr(value, name, None) for name in names]
    if isinstance(value, (list, tuple)):
        return type(value), [shown(item) for item in value]
    return type(value), value


def outcome(call: Callable[..., object], *args: object, **kwargs: object) -> object:
    """What comes back or is raised, fit for comparison."""
    try:
        return shown(call(*args, **kwargs))
    except Exception as exc:
        return "raised", shown(exc)


@cache
def load(name: str, *folders: str) -> ModuleType:
    """A module of the tests, by its path beneath ``tests``."""
    path = TESTS.joinpath(*folders, f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def xor(data: bytes, key: bytes, position: int = 0) -> bytes:
    """The definition of §5.3, byte by byte."""
    return bytes(byte ^ key[(position + i) % 4] for i, byte in enumerate(data))


def items_of(decoder: Any, pieces: Sequence[bytes]) -> list[Any]:
    return [item for piece in pieces for item in decoder.feed(piece)] + decoder.feed_eof()

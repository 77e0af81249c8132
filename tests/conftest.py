"""What all tests share: the implementations present, and frames to feed them.

``backend`` runs a test once per implementation: ``python``, ``c-scalar``, ``c-avx2``, … An absent
one is simply not there, unless WSFAST_EXPECT lists it: then the session fails before it starts, so
that CI cannot test the slow path by mistake. The header of the report says what is tested.

Tests that need a package skip where it is not installed, unless WSFAST_EXPECT_HOSTS lists it, or a
host of ``hosts/scenario_hosts/registry.py`` that requires it, or says ``all``: then, too, the
session fails before it starts.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import streams
from hypothesis import HealthCheck, settings
from scenario_hosts.registry import HOSTS, absent

import wsfast
from wsfast import _zlib, codec

# A shared CI core can stall for longer than any deadline: the timeout of pyproject.toml is enough.
# A fixture of module scope may outlive an example; drawing a mutated stream is not quick.
_CALM = (HealthCheck.too_slow, HealthCheck.data_too_large)
# The gate tries the same examples every time; `make fuzz` (long) looks for new ones.
settings.register_profile(
    "default", max_examples=100, deadline=None, derandomize=True, suppress_health_check=_CALM
)
settings.register_profile("ci", settings.get_profile("default"), max_examples=400, print_blob=True)
settings.register_profile(
    "long", settings.get_profile("default"), max_examples=20_000, derandomize=False
)
settings.register_profile("quick", settings.get_profile("default"), max_examples=15)
settings.load_profile("default")

EXPECTED = tuple(filter(None, os.environ.get("WSFAST_EXPECT", "").split(",")))
EXPECTED_HOSTS = set(filter(None, os.environ.get("WSFAST_EXPECT_HOSTS", "").split(",")))
TOOLS = ("anyio", "matplotlib", "starlette", "trustme")  # for which tests skip, beside the hosts


def _compiled() -> ModuleType | None:
    """The C implementation; None only where it was never built. A broken one is an error."""
    try:
        return importlib.import_module("wsfast._codec_c")
    except ModuleNotFoundError as exc:
        if exc.name != "wsfast._codec_c":
            raise
        return None


C = _compiled()
C_BACKENDS = [f"c-{isa}" for isa in reversed(C._kernels_c._available())] if C else []
BACKENDS = ["python", *C_BACKENDS]
CONTEXTS = ["python", "c"] if C else ["python"]


def _installed(name: str) -> bool:
    """Whether this zlib back end is; a package that is there but does not load is an error."""
    packages = {"zlib": [], "zlib-ng": ["zlib_ng"], "isal": ["isal", "zlib_ng"]}
    return all(importlib.util.find_spec(package) for package in packages[name])


ZLIB_BACKENDS = [name for name in _zlib.BACKENDS if _installed(name)]


def pytest_configure(config: pytest.Config) -> None:
    present = BACKENDS + ZLIB_BACKENDS
    missing = [name for name in EXPECTED if name not in present]
    if missing:
        found = ", ".join(present)
        raise pytest.UsageError(f"WSFAST_EXPECT: no {', '.join(missing)} here (there are {found})")
    _expect_hosts()


def _expect_hosts() -> None:
    """What tests would skip for is there, or nothing is tested."""
    names = {name: host.requires for name, host in HOSTS.items()}
    names |= {module: (module,) for needs in [TOOLS, *names.values()] for module in needs}
    if unknown := sorted(EXPECTED_HOSTS - {*names, "all"}):
        raise pytest.UsageError(f"WSFAST_EXPECT_HOSTS: nothing is named {', '.join(unknown)}")
    expected = names if "all" in EXPECTED_HOSTS else EXPECTED_HOSTS
    if missing := absent(sorted({module for name in expected for module in names[name]})):
        raise pytest.UsageError(
            f"WSFAST_EXPECT_HOSTS: there is no {', '.join(missing)}; pip install 'wsfast[dev]'"
        )


def pytest_report_header(config: pytest.Config) -> list[str]:
    place = Path(wsfast.__file__).parent
    return [
        f"wsfast {wsfast.__version__} from {place}, back end {codec.backend()}",
        f"back ends tested: {', '.join(BACKENDS)}; expected: {', '.join(EXPECTED) or 'none'}",
        f"zlib back ends tested: {', '.join(ZLIB_BACKENDS)}",
    ]


@contextmanager
def implementation(name: str) -> Iterator[ModuleType]:
    if name == "python":
        yield importlib.import_module("wsfast._codec_py")
        return
    assert C is not None
    before = C.backend()
    C._select(name.removeprefix("c-"))
    try:
        yield C
    finally:
        C._select(before.removeprefix("c-"))


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Each implementation in turn: a module with the names of layers 1 and 2."""
    with implementation(request.param) as module:
        yield module


@contextmanager
def deflating_by(name: str) -> Iterator[ModuleType]:
    """``deflate.py`` with the contexts of this implementation."""
    module = importlib.import_module(f"wsfast._deflate_{'py' if name == 'python' else 'c'}")
    with pytest.MonkeyPatch.context() as patch:
        for part in ("Inflater", "Deflater"):
            patch.setattr(f"wsfast.deflate.{part}", getattr(module, part))
        yield module


@pytest.fixture(scope="module", params=CONTEXTS)
def contexts(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Each implementation of ``Inflater`` and ``Deflater`` in turn."""
    with deflating_by(request.param) as module:
        yield module


@pytest.fixture(scope="module", params=_zlib.BACKENDS)
def zlib_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each zlib back end in turn, as the process's default; skipped where it is not installed.

    Unless WSFAST_EXPECT lists it: ``make test`` and CI do.
    """
    if request.param not in ZLIB_BACKENDS:
        pytest.skip(f"pip install 'wsfast[{request.param}]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_zlib, "_default", request.param)
        yield request.param


@pytest.fixture(scope="session")
def c_backends() -> list[str]:
    """The sets of C kernels present, the preferred one last."""
    return C_BACKENDS


@pytest.fixture(scope="session")
def agree() -> Callable[[Callable[[ModuleType], object]], object]:
    """``agree(run)``: ``run(module)`` for every implementation; all must return the same."""
    if not C_BACKENDS:
        pytest.skip("only one implementation is present")

    def check(run: Callable[[ModuleType], object]) -> object:
        found = {}
        for name in BACKENDS:
            with implementation(name) as module:
                found[name] = run(module)
        for name in C_BACKENDS:
            assert found[name] == found["python"], name
        return found["python"]

    return check


def shown(value: object) -> object:
    """``value`` as something that compares by everything a caller can see of it."""
    if isinstance(value, BaseException):
        names = ("name", "offset", "close_code", "start", "end", "reason")
        return type(value), str(value), [getattr(value, name, None) for name in names]
    if isinstance(value, (list, tuple)):
        return type(value), [shown(item) for item in value]
    return type(value), value


@pytest.fixture(scope="session")
def outcome() -> Callable[..., object]:
    """``outcome(call, *args, **kwargs)``: what comes back or is raised, fit for comparison."""

    def run(call: Callable[..., object], *args: object, **kwargs: object) -> object:
        try:
            return shown(call(*args, **kwargs))
        except Exception as exc:
            return "raised", shown(exc)

    return run


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``run_python(*args, **variables)``: another interpreter that finds the same wsfast.

    ``variables`` are set in its environment, or removed where they are None.
    """

    def run(*args: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        place = str(Path(wsfast.__file__).parents[1])
        env = {**os.environ, "PYTHONPATH": place, **variables}
        return subprocess.run(
            [sys.executable, "-P", *args],  # the working directory must not come first
            env={name: value for name, value in env.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


@pytest.fixture(scope="session", name="streams")
def streams_fixture() -> ModuleType:
    """The module ``streams.py`` beside this file: streams of frames, mostly valid, and mutated."""
    return streams


@pytest.fixture(scope="session")
def frame() -> Callable[..., bytes]:
    """``frame(opcode, payload=b"", *, fin=True, rsv=0, key=None, length=None, width=None)``.

    The bytes of one frame, built without wsfast: masked where ``key`` is given; ``length`` and
    ``width`` (0, 2 or 8 extended bytes) lie about the payload where they are given.
    """
    return streams.frame


@pytest.fixture(scope="module")
def connection_backend(backend: ModuleType) -> Iterator[None]:
    """Connection on each implementation in turn; the peer in a test on the default one."""
    with deflating_by(backend.backend()), pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsfast.connection.MessageDecoder", backend.MessageDecoder)
        patch.setattr("wsfast.connection.FrameEncoder", backend.FrameEncoder)
        yield

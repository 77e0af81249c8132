"""Servers and real clients for the interoperability tests.

A client that is not installed is a visible skip, and so is a proxy. Where WSFAST_EXPECT_CLIENTS or
WSFAST_EXPECT_PROXIES (names separated by commas) lists it, its absence is a failure instead, so
that CI cannot lose one unnoticed.
"""

from __future__ import annotations

import importlib.util
import os
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from clients.base import TIMEOUT, Client, Unavailable
from clients.registry import CLIENTS, make
from launch import Server, launch
from proxies.registry import PROXIES
from proxies.running import find

MARKED = ("node", "chromium")  # clients that need more than a Python package

# uvicorn's --ws. `auto` checks the tests themselves, against uvicorn's own class.
ws_class = os.environ.get("WSFAST_INTEROP_WS", "wsfast.uvicorn:WebSocketProtocol")
expected = {
    variable: frozenset(filter(None, os.environ.get(variable, "").split(",")))
    for variable in ("WSFAST_EXPECT_CLIENTS", "WSFAST_EXPECT_PROXIES")
}


def pytest_configure(config: pytest.Config) -> None:
    for name in MARKED:
        config.addinivalue_line("markers", f"{name}: needs {name}, see tests/interop")
    for (variable, names), known in zip(expected.items(), (CLIENTS, PROXIES)):
        if unknown := names - known.keys():
            raise pytest.UsageError(f"{variable}: nothing is named {', '.join(sorted(unknown))}")


@dataclass(frozen=True)
class Kind:
    """What distinguishes one server of these tests from another."""

    backend: str
    tls: bool = False
    compression: bool = True
    ping_interval: float = 20.0  # seconds
    ping_timeout: float = 20.0
    max_message: int = 1 << 20  # bytes

    def arguments(self, certfile: str) -> list[str]:
        arguments = ["--ws", ws_class, "--max-size", str(self.max_message)]
        arguments += ["--ping-interval", str(self.ping_interval)]
        arguments += ["--ping-timeout", str(self.ping_timeout)]
        if self.tls:
            arguments += ["--certfile", certfile]
        if not self.compression:
            arguments += ["--no-compression"]
        return arguments


@dataclass(frozen=True)
class Target:
    """A running server as a test sees it."""

    server: Server
    kind: Kind
    ca_file: str

    def url(self, path: str = "/") -> str:
        return f"{'wss' if self.kind.tls else 'ws'}://127.0.0.1:{self.server.port}{path}"

    def get(self, path: str) -> bytes:
        """The body of an HTTP GET from the same application."""
        context = ssl.create_default_context(cafile=self.ca_file) if self.kind.tls else None
        url = self.url(path).replace("ws", "http", 1)
        with urllib.request.urlopen(url, timeout=TIMEOUT, context=context) as response:
            body: bytes = response.read()
        return body


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """PEM files made just now: a certificate for 127.0.0.1 with its key; who signed it."""
    import trustme

    folder = tmp_path_factory.mktemp("tls")
    paths: tuple[Path, Path] = (folder / "server.pem", folder / "authority.pem")
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(paths[0]))
    authority.cert_pem.write_to_path(str(paths[1]))
    return str(paths[0]), str(paths[1])


@pytest.fixture(scope="session")
def start_server(certificate: tuple[str, str]) -> Iterator[Callable[[Kind], Target]]:
    """Starts a server of some kind, once for the whole session."""
    certfile, ca_file = certificate
    running: dict[Kind, Target] = {}
    with ExitStack() as stack:

        def start(kind: Kind) -> Target:
            if kind not in running:
                launched = launch(
                    "uvicorn_echo.py", *kind.arguments(certfile), backend=kind.backend
                )
                running[kind] = Target(stack.enter_context(launched), kind, ca_file)
            return running[kind]

        yield start


@pytest.fixture(scope="session")
def start_client(
    certificate: tuple[str, str], start_server: Callable[[Kind], Target]
) -> Iterator[Callable[[str], Client]]:
    """Starts a client by its name, once for the session; skips or fails where it is absent.

    Asks for ``start_server`` only to end before it: a server that stops waits for the TLS
    connections a browser keeps open.
    """
    running: dict[str, Client] = {}
    absent: dict[str, str] = {}
    with ExitStack() as stack:

        def start(name: str) -> Client:
            if name not in running and name not in absent:
                try:
                    running[name] = make(name, certificate[1])
                except Unavailable as exc:
                    absent[name] = str(exc)
                else:
                    stack.callback(running[name].stop)
            if name in absent:
                _report_absent(name, absent[name])
            return running[name]

        yield start


def _report_absent(name: str, reason: str) -> None:
    for variable, names in expected.items():
        if name in names:
            pytest.fail(f"{variable} lists {name}: {reason}")
    pytest.skip(f"{name}: {reason}")


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    """The name of a proxy that is here; skips or fails where it is absent."""
    name: str = request.param
    try:
        find(PROXIES[name])
    except Unavailable as exc:
        _report_absent(name, str(exc))
    return name


@pytest.fixture(params=["c", "python"])
def server_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    if backend == "c" and importlib.util.find_spec("wsfast._codec_c") is None:
        pytest.skip("the C back end is not built")
    return backend


@pytest.fixture(params=["plain", "deflate"])
def compression(request: pytest.FixtureRequest) -> bool:
    enabled: bool = request.param == "deflate"
    return enabled


@pytest.fixture(params=["ws", "wss"])
def target(
    request: pytest.FixtureRequest,
    server_backend: str,
    compression: bool,
    start_server: Callable[[Kind], Target],
) -> Target:
    """One of the eight servers: back end, compression, TLS."""
    kind = Kind(server_backend, tls=request.param == "wss", compression=compression)
    return start_server(kind)


@pytest.fixture
def keepalive_target(server_backend: str, start_server: Callable[[Kind], Target]) -> Target:
    """A server that gives a client two seconds to answer its pings."""
    return start_server(Kind(server_backend, ping_interval=0.2, ping_timeout=2.0))


@pytest.fixture
def small_target(
    server_backend: str, compression: bool, start_server: Callable[[Kind], Target]
) -> Target:
    """A server whose limit is so low that it has read all of a message it refuses.

    A connection closed with octets unread is reset by the system, and the Close frame that says
    1009 may be lost with it.
    """
    return start_server(Kind(server_backend, compression=compression, max_message=1 << 14))


@pytest.fixture
def client(request: pytest.FixtureRequest, start_client: Callable[[str], Client]) -> Client:
    """The client named by the test's parametrization."""
    return start_client(request.param)

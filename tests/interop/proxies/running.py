"""Runs a proxy with the configuration that docs/proxies.md prints, as a user without rights."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.base import TIMEOUT, Unavailable
from proxies.registry import PROXIES, Entry

PAGE = Path(__file__).resolve().parents[3] / "docs" / "proxies.md"
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # not in everybody's PATH
USER = "nobody" if os.geteuid() == 0 else None  # None: who we are


class ProxyFailed(Exception):
    """The proxy did not start, or does not do what it was told."""


def find(entry: Entry) -> str:
    program = shutil.which(entry.program, path=os.pathsep.join((os.environ.get("PATH", ""), SBIN)))
    if program is None:
        raise Unavailable(f"it is not installed; apt-get install {entry.package}")
    return program


def configuration(name: str, hasty: bool) -> str:
    """The block of the page in this proxy's language, filled in.

    Whatever is replaced has to be there exactly once, so that page and test cannot part.
    """
    entry = PROXIES[name]
    (text,) = re.findall(rf"^```{name}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    for printed, ours in {**entry.filled, **(entry.hasty if hasty else {})}.items():
        if text.count(printed) != 1:
            raise ProxyFailed(f"{PAGE.name} has {printed!r} {text.count(printed)} times")
        text = text.replace(printed, ours)
    return entry.around.replace("<site>", text)


class Proxy:
    def __init__(self, name: str, folder: Path, upstream: int) -> None:
        self.entry = PROXIES[name]
        self.port = _free_port()
        self._name = name
        self._folder = folder
        self._values = {
            "<folder>": str(folder),
            "<port>": str(self.port),
            "<upstream>": str(upstream),
        }

    def start(self, certfile: str, hasty: bool) -> None:
        (self._folder / "config").write_text(self._fill(configuration(self._name, hasty)))
        shutil.copy(certfile, self._folder / "site.pem")
        with (self._folder / "log").open("ab") as log:
            if USER is not None:
                for path in (self._folder, *self._folder.iterdir()):
                    shutil.chown(path, USER)
            self._process = subprocess.Popen(
                **self._command(self.entry.arguments), stdout=log, stderr=log
            )
        try:
            self._wait_for("a client", self._answers)
        except ProxyFailed:
            self.stop()
            raise

    def reload(self) -> None:
        """Returns when it is done: new connections find the new configuration."""
        how = self.entry.reload
        if isinstance(how, tuple):
            subprocess.run(**self._command(how), check=True, capture_output=True, timeout=TIMEOUT)
        else:
            before = self._workers()
            self._process.send_signal(how)
            self._wait_for("a new worker", lambda: bool(self._workers() - before))

    def log(self) -> str:
        return (self._folder / "log").read_text("utf-8", "replace")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        sys.stderr.write(self.log())

    def _fill(self, text: str) -> str:
        for name, value in self._values.items():
            text = text.replace(name, value)
        return text

    def _command(self, arguments: tuple[str, ...]) -> dict:
        home = {name: str(self._folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        return {
            "args": [find(self.entry), *map(self._fill, arguments)],
            "cwd": self._folder,
            "env": {**os.environ, **home},
            "user": USER,
            "stdin": subprocess.DEVNULL,
        }

    def _wait_for(self, what: str, there: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT
        while not there():
            if self._process.poll() is not None or time.monotonic() > end:
                raise ProxyFailed(f"{self._name}: in vain for {what}\n{self.log()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as plain,
                context.wrap_socket(plain),
            ):
                return True
        except OSError:
            return False

    def _workers(self) -> set[str]:
        """Its children, by Linux's word."""
        pid = self._process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def running(name: str, upstream: int, certfile: str, hasty: bool = False) -> Iterator[Proxy]:
    """A proxy before the server at ``upstream``."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        proxy = Proxy(name, Path(folder), upstream)
        proxy.start(certfile, hasty)
        try:
            yield proxy
        finally:
            proxy.stop()

"""A library that exists only here, drivers for it, and a switch that knows both."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from wsfast import HostStatus, codec
from wsfast.integrations import _source
from wsfast.integrations._hosts import Group, Host
from wsfast.integrations._switch import Switch

PROTOCOL = '''
"""The core of the host."""

import contextlib


class Base:
    def inherited(self):
        return "host"


class Protocol(Base):
    def parse(self, data):
        """Judge ``data``."""
        return ["host", self.helper(data)]  # as it came

    def helper(self, data):
        return data

    @classmethod
    def made(cls, value):
        return ["host", cls.__name__, value]

    @staticmethod
    def still(value):
        return ["host", value]

    @contextlib.contextmanager
    def context(self):
        yield self

    @property
    def shown(self):
        return "shown"


def serialize(data):
    return ["host", data]
'''

CONNECTION = """
from .protocol import Protocol


class Connection:
    def send(self, data):
        return ["host", data]
"""

DRIVER = """
from fakehost.protocol import Protocol

from wsfast.integrations._seams import Seam

_parse = Protocol.parse
settings = []
frames = 0


def parse(self, data):
    global frames
    frames += 1
    return ["wsfast", _parse(self, data)]


def configure(*, policy, cork):
    settings.append((policy, cork))


def selftest():
    if Protocol().parse(1) != ["wsfast", ["host", 1]]:
        raise AssertionError("parse says something else")


def hits():
    return frames


SEAMS = (
    Seam(
        "fakehost.protocol:Protocol.parse",
        parse,
        reads=("fakehost.protocol:Protocol.helper", "fakehost.protocol:Protocol.context"),
    ),
)
"""

SECOND = """
from fakehost.connection import Connection

from wsfast.integrations._seams import Seam

_send = Connection.send


def send(self, data):
    return ["wsfast", _send(self, data)]


def selftest():
    pass


SEAMS = (Seam("fakehost.connection:Connection.send", send),)
"""

TARGETS = (
    *(f"Protocol.{name}" for name in ("parse", "helper", "made", "still", "context", "shown")),
    *("Base.inherited", "Base", "serialize"),
)


class Fake:
    """``fakehost`` 1.5 with two modules, and ``fakehook``, which has nothing but a hook."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hosts = {
            "fakehost": Host(
                "fakehost",
                "1.2",
                "2",
                "Protocol(wsfast=True)",
                Group("fakehost.protocol", "fakedriver"),
                Group("fakehost.connection", "fakedriver2"),
            ),
            "fakehook": Host(
                "fakehook", "1", None, "fakehook --ws wsfast", counter="fakeclass._connections"
            ),
        }
        self.known: dict[str, dict[str, str]] = {}
        self.switches: list[Switch] = []
        self.write("fakehost/__init__", "")
        self.write("fakehost/protocol", PROTOCOL)
        self.write("fakehost/connection", CONNECTION)
        self.write("fakedriver", DRIVER)
        self.write("fakedriver2", SECOND)
        self.version("1.5")
        self.metadata("fakehook", "3.0")
        self.learn()

    def write(self, module: str, source: str) -> None:
        file = self.root / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source, "utf-8")
        importlib.invalidate_caches()

    def edit(self, module: str, *changes: tuple[str, str]) -> None:
        source = (self.root / f"{module}.py").read_text("utf-8")
        for old, new in changes:
            assert old in source
            source = source.replace(old, new)
        self.write(module, source)

    def version(self, text: str | None) -> None:
        """What the metadata of the distribution says; None: there is none."""
        for folder in self.root.glob("fakehost-*.dist-info"):
            (folder / "METADATA").unlink()
            folder.rmdir()
        if text is not None:
            self.metadata("fakehost", text)
        importlib.invalidate_caches()

    def metadata(self, name: str, version: str) -> None:
        folder = self.root / f"{name}-{version}.dist-info"
        folder.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (folder / "METADATA").write_text(metadata, "utf-8")

    def learn(self) -> None:
        """Take the host's sources as they are now for those that were tested."""
        for module in ("protocol", "connection"):
            file = self.root / f"fakehost/{module}.py"
            spec = importlib.util.spec_from_file_location(f"learnt_{module}", file)
            assert spec is not None and spec.loader is not None
            if module == "connection":
                digest = _source.digest(_function(file, "send"))
                self.known["fakehost.connection:Connection.send"] = {str(digest): "1.5"}
                continue
            loaded = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = loaded
            spec.loader.exec_module(loaded)
            for target in TARGETS:
                thing: Any = loaded
                for name in target.split("."):
                    thing = vars(thing)[name]
                thing = getattr(thing, "__func__", getattr(thing, "fget", thing))
                digest = _source.digest(getattr(thing, "__wrapped__", thing))
                self.known[f"fakehost.protocol:{target}"] = {str(digest): "1.5"}
            del sys.modules[spec.name]

    def switch(self) -> Switch:
        made = Switch(self.hosts, self.known)
        self.switches.append(made)
        return made

    def forget(self) -> None:
        """Have the next import load everything again."""
        for name in list(sys.modules):
            if name.partition(".")[0] in ("fakehost", "fakedriver", "fakedriver2", "fakeclass"):
                del sys.modules[name]


def _function(file: Path, name: str) -> FunctionType:
    """A function of a file that cannot be imported on its own."""
    code = compile(file.read_text("utf-8"), str(file), "exec")
    for part in itertools.chain.from_iterable(
        [getattr(each, "co_consts", ()) for each in code.co_consts]
    ):
        if getattr(part, "co_name", "") == name:
            return FunctionType(part, {})
    raise LookupError(name)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """See ``Fake``; what its switches did is undone, and that nothing stays is checked."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files change within a second
    monkeypatch.setattr(codec, "backend", lambda: "c-scalar")
    monkeypatch.delenv("WSFAST", raising=False)
    monkeypatch.delenv("WSFAST_REPORT", raising=False)
    finders = list(sys.meta_path)
    made = Fake(tmp_path)
    yield made
    for switch in made.switches:
        switch.uninstall(())
    made.forget()
    assert sys.meta_path == finders


class Calls:
    """``install`` and the like of one switch, with the defaults of the public functions."""

    def __init__(self, switch: Switch) -> None:
        self.switch = switch
        self.uninstall = lambda *names: switch.uninstall(names)
        self.is_active = switch.is_active

    def install(
        self, *names: str, policy: str = "host", on_refusal: str = "warn", cork: bool = False
    ) -> list[HostStatus]:
        return self.switch.install(names, policy, on_refusal, cork)

    def status(self, name: str = "fakehost") -> HostStatus:
        (found,) = [one for one in self.switch.status() if one.name == name]
        return found


@pytest.fixture
def calls(fake: Fake) -> Calls:
    """``install``, ``uninstall``, ``status(name)`` and ``is_active`` of a switch for ``fake``."""
    return Calls(fake.switch())


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Any:
    """``warnings()``: the texts logged on ``wsfast`` so far, all of them warnings."""
    caplog.set_level(logging.DEBUG, "wsfast")

    def texts() -> list[str]:
        records = [record for record in caplog.records if record.name == "wsfast"]
        assert all(record.levelno == logging.WARNING for record in records)
        return [record.getMessage() for record in records]

    return texts

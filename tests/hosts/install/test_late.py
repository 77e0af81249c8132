"""Hosts that are imported after ``install()``."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from importlib import import_module, reload, resources

import pytest

from wsfast.integrations._finder import Finder

PARSE = "fakehost.protocol:Protocol.parse"
SEND = "fakehost.connection:Connection.send"


def finders():
    return [one for one in sys.meta_path if isinstance(one, Finder)]


def parsed():
    return import_module("fakehost.protocol").Protocol().parse(1)


@contextmanager
def first(finder):
    """Another finder before all others."""
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


OURS = ["wsfast", ["host", 1]]


def test_patched_when_it_is_imported(calls):
    calls.install()
    assert len(finders()) == 1 and sys.meta_path[0] is finders()[0]
    assert parsed() == OURS
    assert calls.status().seams == (PARSE,)
    assert len(finders()) == 1  # fakehost.connection may still come
    connection = import_module("fakehost.connection")
    assert connection.Connection().send(1) == OURS
    assert calls.status().seams == (PARSE, SEND)
    assert finders() == []


def test_both_come_with_one_import(calls):
    calls.install()
    import_module("fakehost.connection")
    assert calls.status().seams == (PARSE, SEND)
    assert finders() == []


def test_the_groups_come_in_their_order_whatever_is_imported_first(fake, calls):
    fake.write(
        "fakehost/connection",
        "class Connection:\n    def send(self, data):\n        return ['host', data]\n",
    )
    fake.learn()
    calls.install()
    connection = import_module("fakehost.connection")
    assert connection.Connection().send(1) == ["host", 1]
    assert calls.status().state == "pending"
    assert parsed() == OURS
    assert connection.Connection().send(1) == OURS


def test_uninstall_takes_the_finder_away(calls):
    calls.install()
    calls.uninstall()
    assert finders() == []
    assert parsed() == ["host", 1]


def test_a_second_switch_has_a_finder_of_its_own(fake, calls):
    """As two copies of wsfast in one process would: each asks the others, nobody asks for ever."""
    calls.install()
    fake.switch().install((), "host", "warn", False)
    assert len(finders()) == 2
    assert parsed() == OURS


def test_a_finder_that_asks_all_others_is_no_endless_loop(calls):
    class Nosy:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.startswith("fakehost."):
                found = [finder.find_spec(name, path, target) for finder in finders()]
                assert found == [None]

    calls.install()
    sys.meta_path.append(Nosy)
    sys.meta_path.insert(0, Nosy)
    try:
        with pytest.raises(AssertionError):  # asked first, it is given our spec
            parsed()
        sys.meta_path.remove(Nosy)
        assert parsed() == OURS
    finally:
        sys.meta_path.remove(Nosy)


def test_asking_for_the_spec_alone_does_no_harm(fake, calls):
    calls.install()
    for _ in range(2):
        assert importlib.util.find_spec("fakehost.protocol").name == "fakehost.protocol"
    assert importlib.util.find_spec("fakehost.nothing") is None
    assert calls.status().state == "pending"
    assert parsed() == OURS


def test_the_loader_is_what_it_was(fake, calls):
    fake.write("fakehost/protocol", (fake.root / "fakehost/protocol.py").read_text("utf-8"))
    (fake.root / "fakehost/data.txt").write_text("data")
    before = importlib.machinery.SourceFileLoader.exec_module
    calls.install()
    protocol = import_module("fakehost.protocol")
    loader = protocol.__spec__.loader
    assert type(loader) is importlib.machinery.SourceFileLoader
    assert "exec_module" not in vars(loader)
    assert importlib.machinery.SourceFileLoader.exec_module is before
    assert protocol.__loader__ is loader
    assert loader.get_source("fakehost.protocol").lstrip().startswith('"""The core')
    assert not loader.is_package("fakehost.protocol")
    assert "def helper" in inspect.getsource(protocol)
    assert (resources.files("fakehost") / "data.txt").read_text() == "data"


def test_an_import_that_fails_is_retried(fake, calls):
    fake.edit("fakehost/protocol", ("import contextlib", "import contextlib\n1 / 0"))
    calls.install()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            import_module("fakehost.protocol")
        assert calls.status().state == "pending"
    fake.edit("fakehost/protocol", ("\n1 / 0", ""))
    assert parsed() == OURS


def test_reload_of_a_host_that_waits(fake, calls):
    fake.edit("fakedriver", ("import Protocol\n", "import Protocol, nothing\n"))
    calls.install()
    protocol = import_module("fakehost.protocol")
    assert calls.status().state == "refused"
    fake.edit("fakedriver", ("import Protocol, nothing\n", "import Protocol\n"))
    calls.install()
    assert calls.status().state == "active"
    calls.uninstall()
    del sys.modules["fakehost.protocol"]
    calls.install()
    sys.modules["fakehost.protocol"] = protocol
    reload(protocol)
    assert parsed() == OURS


def test_install_while_the_host_is_being_imported(fake, calls):
    """By another thread: it waits. By this one: it says so."""
    begun, go = threading.Event(), threading.Event()
    fake.edit("fakehost/protocol", ("import contextlib", "import contextlib\nimport fakegate"))
    fake.write("fakegate", "pass\n")
    fake.learn()
    sys.modules.pop("fakegate", None)
    fake.write("fakegate", "import gates\ngates.begun.set()\ngates.go.wait(10)\n")
    gates = type(sys)("gates")
    gates.begun, gates.go = begun, go
    sys.modules["gates"] = gates
    try:
        importing = threading.Thread(target=import_module, args=("fakehost.protocol",))
        importing.start()
        assert begun.wait(10)
        installing = threading.Thread(target=calls.install)
        installing.start()
        go.set()
        importing.join(10)
        installing.join(10)
        assert not importing.is_alive() and not installing.is_alive()
    finally:
        del sys.modules["gates"], sys.modules["fakegate"]
    assert parsed() == OURS
    assert calls.status().reason == ""


def test_install_after_the_finders_were_asked_and_before_the_module_is_there(fake, calls):
    begun, go = threading.Event(), threading.Event()

    class Slow(importlib.machinery.SourceFileLoader):
        def create_module(self, spec):
            begun.set()
            assert go.wait(10)

    class Finds:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "fakehost.protocol":
                return None
            file = fake.root / "fakehost/protocol.py"
            return importlib.util.spec_from_file_location(name, file, loader=Slow(name, str(file)))

    with first(Finds):
        importing = threading.Thread(target=import_module, args=("fakehost.protocol",))
        importing.start()
        assert begun.wait(10)
        installing = threading.Thread(target=calls.install)
        installing.start()
        while not finders():
            time.sleep(0.001)
        go.set()
        importing.join(10)
        installing.join(10)
    assert not importing.is_alive() and not installing.is_alive()
    assert parsed() == OURS


def test_install_from_within_the_import_of_the_host(fake, calls):
    fake.write("fakegate", "pass\n")
    fake.edit(
        "fakehost/protocol",
        ("import contextlib", "import contextlib\nimport sys\n\nsys.modules['calls'].install()"),
    )
    sys.modules["calls"] = calls
    try:
        import_module("fakehost.protocol")
    finally:
        del sys.modules["calls"]
    assert calls.status().state == "pending"
    assert calls.status().reason.startswith("it is being imported right now: call wsfast.install()")
    calls.install()
    assert calls.status().state == "active"
    assert parsed() == OURS


def test_imports_in_many_threads(calls):
    failed = []

    def work(action):
        try:
            barrier.wait(10)
            action()
        except BaseException as exc:
            failed.append(exc)

    actions = [
        *[lambda: import_module("fakehost.protocol")] * 3,
        *[lambda: import_module("fakehost.connection")] * 3,
        *[calls.install] * 3,
    ]
    barrier = threading.Barrier(len(actions))
    threads = [threading.Thread(target=work, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failed == [] and not any(thread.is_alive() for thread in threads)
    assert parsed() == OURS
    found = calls.status()
    assert (found.state, set(found.seams), found.reason) == ("active", {PARSE, SEND}, "")
    assert finders() == []


def test_a_zip_file(fake, calls, monkeypatch):
    """One loader for all modules of the archive; the source comes from the archive."""
    archive = fake.root / "hosts.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for module in ("__init__", "protocol", "connection"):
            file.write(fake.root / f"fakehost/{module}.py", f"fakehost/{module}.py")
    for module in ("__init__", "protocol", "connection"):
        (fake.root / f"fakehost/{module}.py").unlink()
    (fake.root / "fakehost").rename(fake.root / "elsewhere")
    monkeypatch.syspath_prepend(str(archive))
    calls.install()
    connection = import_module("fakehost.connection")
    assert ".zip" in connection.__file__
    assert calls.status().state == "active", calls.status().reason
    assert connection.Connection().send(1) == OURS and parsed() == OURS
    assert "exec_module" not in vars(connection.__loader__)


def test_a_loader_of_several_modules_calls_back_for_each(fake):
    class One(importlib.machinery.SourceFileLoader):
        """As of a zip file: told by the module what to load."""

        def get_filename(self, name=None):
            return str(fake.root / f"{name.replace('.', '/')}.py")

    loader = One("fakehost", "")

    class Finds:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if not name.startswith("fakehost."):
                return None
            origin = str(fake.root / f"{name.replace('.', '/')}.py")
            return importlib.util.spec_from_file_location(name, origin, loader=loader)

    called = []
    finder = Finder(called.append, called.append)
    finder.wait_for(frozenset(["fakehost.protocol", "fakehost.connection"]))
    try:
        with first(Finds):
            import_module("fakehost.connection")
            assert called == []  # not asked
        fake.forget()
        sys.meta_path.insert(1, Finds)
        import_module("fakehost.connection")  # which imports the other
        assert called == ["fakehost.protocol", "fakehost.connection"]
        assert "exec_module" not in vars(loader)
    finally:
        sys.meta_path.remove(Finds)
        finder.wait_for(frozenset())


def test_a_lazy_loader(calls):
    class Lazy:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "fakehost.protocol":
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            spec.loader = importlib.util.LazyLoader(spec.loader)
            return spec

    with first(Lazy):
        calls.install()
        assert parsed() == OURS
        import_module("fakehost.connection")


@pytest.mark.parametrize("kind", ["class", "slots"])
def test_a_loader_that_cannot_be_watched(calls, warnings, kind):
    class Slots:
        __slots__ = ("loader",)

        def __init__(self, loader):
            self.loader = loader

        def create_module(self, spec):
            return None

        def exec_module(self, module):
            self.loader.exec_module(module)

    class Static:
        create_module = staticmethod(lambda spec: None)

    class Odd:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "fakehost.protocol":
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            Static.exec_module = staticmethod(spec.loader.exec_module)
            spec.loader = Static if kind == "class" else Slots(spec.loader)
            return spec

    with first(Odd):
        calls.install()
        assert parsed() == ["host", 1]
    assert calls.status().reason == "fakehost.protocol has a loader that cannot be watched"
    assert "What to do: import it before wsfast.install(); " in warnings()[0]
    calls.install()
    assert parsed() == OURS


def test_interrupt_in_the_hook_reaches_the_importer(fake, calls):
    fake.edit("fakedriver", ("def selftest():", "def selftest():\n    raise KeyboardInterrupt"))
    calls.install()
    with pytest.raises(KeyboardInterrupt):
        import_module("fakehost.protocol")


def test_blocked_module(calls):
    sys.modules["fakehost.protocol"] = None
    try:
        calls.install()
        assert calls.status().state == "pending"
    finally:
        del sys.modules["fakehost.protocol"]
    assert parsed() == OURS

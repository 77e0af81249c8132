"""Digests of sources: the same on every Python that runs these tests."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
import types
from pathlib import Path

import pytest

from wsfast.integrations import _fingerprints, _hosts, _seams, _source

SAMPLE = '''
def keep(word):
    return lambda function: function


class Sample:
    """Doc."""

    @keep(
        "decorator"
    )
    def strings(self, a: int = 1, *, b="é") -> str:
        """Docstring,
        on two lines."""
        # comment
        text = f"{a!r:>{10}} {{literal}} {b} é {'nested'}" "tail"
        more = (f\'\'\'multi
        line {
            a
        } end\'\'\')

        if a := 2:   # walrus
            return text + \\
                more
        """no docstring"""
        f"{a}"
        async def inner():
            "doc"
            yield rb"\\\\x00" + b"", 0x_ff, 1e3, ...
        return lambda: inner

# in the first column

    def short(self): return 1

    def last(self):
        pass


@keep("class")
class Decorated: x: int = 1


def one(): return f"{1}"
def two():
    return 2
'''
# As Python 3.11 computes them, and every later one must.
DIGESTS = {
    "Sample.strings": "433e15eb3f9a1bce5b940f36a52f2825",
    "Sample.short": "b14cfbdecd6bc1f48b12eb25f45d885e",
    "Sample.last": "a31268ad590ee5bbfc5e4ca2d88ed8fe",
    "Sample": "8e224e17baca5d7564e663150fd89020",
    "Decorated": "48f6702d80c006093d3f802fceae0c04",
    "one": "61d18e8f2a4ebcc4cca6c27eaa1a2e31",
    "two": "432f4bc86b51d55c08e7bd31f60aa04f",
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """``load(source)``: a module of it."""
    count = itertools.count()

    def make(source):
        file = tmp_path / f"sample{next(count)}.py"
        file.write_text(source, "utf-8")
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, file.stem, module)
        spec.loader.exec_module(module)
        return module

    return make


def digest(module, path):
    thing = module
    for name in path.split("."):
        thing = getattr(thing, name)
    return _source.digest(thing)


def test_the_same_on_every_python(load):
    module = load(SAMPLE)
    assert {path: digest(module, path) for path in DIGESTS} == DIGESTS


def test_what_counts_and_what_does_not(load):
    base = "def f(a):\n    '''Doc.'''\n    return [a, f'{a}', 1]\n"
    same = (
        "def f( a ) :  # why\n\n    return [ a,\n        f'{a}', 1 ]\n",
        "def f(a):\n\t\"Doc\"\n\treturn [a, f'{a}', 1]\n\n\nx = 1\n",
        "import os\n\n\ndef f(a):\n    return \\\n        [a, f'{a}', 1]\ndef g(): pass\n",
    )
    other = (
        "def f(b):\n    return [b, f'{b}', 1]\n",
        "def f(a):\n    return [a, f'{ a}', 1]\n",
        "def f(a):\n    return [a, f'{a}', 0x1]\n",
        "def f(a):\n    return [a, '{a}', 1]\n",
        "def f(a):\n    if 1: return [a, f'{a}', 1]\n",
        "def f(a):\n    '''Doc.'''\n    return [a, f'{a}', 1]\n    return\n",
        "def d(f): return f\n@d\ndef f(a):\n    return [a, f'{a}', 1]\n",
        "async def f(a):\n    return [a, f'{a}', 1]\n",
    )
    mine = digest(load(base), "f")
    assert mine is not None and re.fullmatch("[0-9a-f]{32}", mine)
    for source in same:
        assert digest(load(source), "f") == mine, source
    found = {digest(load(source), "f") for source in other}
    assert len(found) == len(other) and mine not in found


def test_blocks_count(load):
    inside = "def f(a):\n    for b in a:\n        print(b)\n        return b\n"
    after = "def f(a):\n    for b in a:\n        print(b)\n    return b\n"
    assert digest(load(inside), "f") != digest(load(after), "f")


def test_no_source():
    assert _source.digest(types.FunctionType(compile("0", "<frozen app>", "exec"), {})) is None
    assert _source.digest(type("Made", (), {})) is None
    assert _source.digest(int) is None


def test_known_digests_are_whole_and_used():
    """What the file names is what the drivers of the installed hosts name, and in that form."""
    for target, digests in _fingerprints.KNOWN.items():
        assert re.fullmatch(r"[\w.]+:[\w.]+", target)
        assert digests
        for value, versions in digests.items():
            assert re.fullmatch("[0-9a-f]{32}", value)
            assert re.fullmatch(r"\d[\w.]*([ -]\d[\w.]*)*", versions)


@pytest.mark.parametrize("name", [n for n, host in _hosts.HOSTS.items() if host.groups])
def test_the_installed_hosts_are_known(name):
    """Fails with the release of a host that no driver was tried with."""
    pytest.importorskip(_hosts.HOSTS[name].groups[0].trigger)
    for group in _hosts.HOSTS[name].groups:
        importlib.import_module(group.trigger)
        seams = importlib.import_module(group.driver).SEAMS
        _seams.verify(seams, _fingerprints.KNOWN)
        file = Path(importlib.import_module(group.driver).__file__ or "")
        assert file.parent == Path(_hosts.__file__).parent

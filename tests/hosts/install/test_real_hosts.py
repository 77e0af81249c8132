"""The libraries that are installed: patched, and put back to the last attribute."""

from __future__ import annotations

import importlib.util
import json

import pytest

from wsfast.integrations._hosts import HOSTS

CODE = """
import importlib, json, sys
from types import FunctionType, ModuleType

import wsfast
from wsfast.integrations._hosts import HOSTS

name = sys.argv[1]
package = HOSTS[name].groups[0].trigger.partition(".")[0]


def everything():
    found = {}
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType) or module.__name__.partition(".")[0] != package:
            continue
        for key, value in vars(module).items():
            found[module.__name__, key] = value
            if isinstance(value, type) and value.__module__.partition(".")[0] == package:
                for attribute, raw in vars(value).items():
                    found[value.__module__, value.__qualname__, attribute] = raw
    return found


def differences(before):
    after = everything()
    keys = {*before, *after}
    return sorted(":".join(k) for k in keys if before.get(k, k) is not after.get(k, k))


for group in HOSTS[name].groups:
    importlib.import_module(group.trigger)
before = everything()
names = ("state", "reason", "seams", "hits")
told = []
for action in (wsfast.install, wsfast.uninstall, wsfast.install, wsfast.uninstall):
    action(name)
    (found,) = [one for one in wsfast.status() if one.name == name]
    told.append({**{n: getattr(found, n) for n in names}, "moved": differences(before)})
print(json.dumps(told))
"""
PATCHED = [name for name, host in HOSTS.items() if host.groups]


@pytest.mark.parametrize("backend", ["python", "c"])
@pytest.mark.parametrize("name", PATCHED)
def test_installed_twice_and_put_back(run_python, c_backends, name, backend):
    pytest.importorskip(HOSTS[name].groups[0].trigger)
    if backend == "c" and not c_backends:
        pytest.skip("the C extension is not there")
    done = run_python("-c", CODE, name, WSFAST_BACKEND=backend, WSFAST=None, WSFAST_REPORT=None)
    assert done.stderr == ""
    on, off, on_again, off_again = json.loads(done.stdout)
    assert (on["state"], on["reason"], on["hits"]) == ("active", "", 0)
    assert on["moved"] == on_again["moved"] != []
    assert len(on["moved"]) == len(on["seams"]), "replaced, but not by a seam"
    assert (off["state"], off["seams"], off["moved"]) == ("off", [], [])
    assert (off_again["state"], off_again["moved"]) == ("off", [])


ASKED = """
import importlib, inspect, json, pickle, sys, typing
import wsfast
from wsfast.integrations._hosts import HOSTS
from wsfast.integrations._seams import Place

name = sys.argv[1]
for group in HOSTS[name].groups:
    importlib.import_module(group.trigger)


def hints(function):
    try:
        return sorted(map(str, typing.get_type_hints(function).items()))
    except NameError as exc:
        return str(exc)


def asked(target):
    function = Place(target).raw
    known = [getattr(function, each) for each in ("__module__", "__qualname__", "__doc__")]
    pickled = pickle.dumps(function).decode("latin-1")
    return [*known, str(inspect.signature(function)), hints(function), pickled]


wsfast.install(name)
(seams,) = [one.seams for one in wsfast.status() if one.name == name]
on = [asked(seam) for seam in seams]
wsfast.uninstall()
print(json.dumps([on, [asked(seam) for seam in seams]]))
"""


@pytest.mark.parametrize("name", PATCHED)
def test_what_is_asked_of_the_functions(run_python, name):
    """By tools that document, check types, or name what they trace."""
    pytest.importorskip(HOSTS[name].groups[0].trigger)
    done = run_python("-c", ASKED, name, WSFAST_BACKEND="python", WSFAST=None, WSFAST_REPORT=None)
    assert done.stderr == ""
    on, off = json.loads(done.stdout)
    assert on == off != []


@pytest.mark.parametrize("name", PATCHED)
def test_late(run_python, name):
    pytest.importorskip(HOSTS[name].groups[0].trigger)
    code = "import importlib, sys, wsfast; wsfast.install()\n"
    triggers = [group.trigger for group in HOSTS[name].groups]
    assert importlib.util.find_spec(triggers[0])
    code += "".join([f"importlib.import_module({trigger!r})\n" for trigger in triggers])
    code += "print(wsfast.is_active(sys.argv[1]), [s.reason for s in wsfast.status()][:2])\n"
    code += "from wsfast.integrations._finder import Finder\n"
    code += "print([f.__class__.__name__ for f in sys.meta_path].count('Finder'))"
    done = run_python("-c", code, name, WSFAST_BACKEND="python", WSFAST=name, WSFAST_REPORT=None)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("True ")
    assert done.stdout.splitlines()[1] == "0"


STACKED = """
import sys
import wsfast, wsproto.connection
import simple_websocket

connection = wsproto.connection.Connection
plain = vars(connection).get(sys.argv[1])
if plain is not None:
    setattr(connection, sys.argv[1], lambda *args: plain(*args))
elif sys.argv[1] == "version":
    from wsfast.integrations import _live
    versions = {"wsproto": "9", "simple-websocket": "1.1.0"}
    _live.installed = lambda host: versions.get(host.distribution)
elif sys.argv[1] == "changed":
    from wsfast.integrations import _SWITCH
    _SWITCH._known = {**_SWITCH._known, "wsproto.frame_protocol:MessageDecoder": {}}
wsfast.install("wsproto", "simple-websocket")
for one in wsfast.status():
    if one.name in ("wsproto", "simple-websocket"):
        print(one.state, one.hits, one.reason)
"""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("nothing", ""),
        ("send", ""),  # of wsproto alone: the other stands on wsproto itself
        ("events", "wsproto.connection:Connection.events was patched by __main__"),
        ("version", "this wsfast is made for wsproto >=1.2,<1.4"),
        ("changed", "the source of wsproto.frame_protocol:MessageDecoder is not one that"),
    ],
)
def test_simple_websocket_stands_on_wsproto(run_python, change, says):
    pytest.importorskip("simple_websocket")
    done = run_python(
        "-c", STACKED, change, WSFAST_BACKEND="python", WSFAST=None, WSFAST_REPORT=None
    )
    below, above = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert below[:2] == ["active" if change == "nothing" else "refused", "0"]
    assert above[:2] == ["refused" if says else "active", "0"]
    assert says in above[2]


def test_a_sub_interpreter_has_a_switch_of_its_own(run_python):
    code = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import sys, wsfast
other = interpreters.create()
failure = interpreters.run_string(other, f'''
import sys
sys.path[:] = {sys.path}
import wsfast
print([one.state for one in wsfast.install() if one.state != "absent"])
wsfast.uninstall()
''')
interpreters.destroy(other)
print(failure, {one.state for one in wsfast.status()} <= {"off", "absent"})
"""
    done = run_python("-c", code, WSFAST_BACKEND="python", WSFAST=None, WSFAST_REPORT=None)
    assert done.stderr == ""
    states, end = done.stdout.splitlines()
    assert set(json.loads(states.replace("'", '"'))) <= {"pending", "off"}
    assert end == "None True"

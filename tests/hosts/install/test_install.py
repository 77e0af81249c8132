"""install, uninstall, status and is_active, on a host that exists only here."""

from __future__ import annotations

import inspect
import pickle
import sys
import threading
from importlib import import_module, reload

import pytest

import wsfast
from wsfast import HostRefused, HostStatus, codec

PARSE = "fakehost.protocol:Protocol.parse"
SEND = "fakehost.connection:Connection.send"
HOOK = "Protocol(wsfast=True)"


def host(name="protocol"):
    return import_module(f"fakehost.{name}")


# ---- what is imported already -------------------------------------------------------------------


def test_an_imported_host_is_patched_and_put_back(fake, calls):
    Protocol = host().Protocol
    original = Protocol.parse
    (found,) = calls.install("fakehost")
    assert found == HostStatus("fakehost", "1.5", "active", (PARSE,), HOOK, 0, "")
    assert Protocol().parse(1) == ["wsfast", ["host", 1]]
    assert calls.is_active("fakehost")
    assert calls.status().hits == 1
    calls.uninstall("fakehost")
    assert vars(Protocol)["parse"] is original
    assert Protocol().parse(1) == ["host", 1]
    expected = ("fakehost", "1.5", "off", (), HOOK, 1, "wsfast.uninstall() was called")
    assert calls.status() == HostStatus(*expected)
    assert not calls.is_active("fakehost")


def test_what_exists_already_is_patched_too(calls):
    protocol = host().Protocol()
    calls.install()
    assert protocol.parse(1) == ["wsfast", ["host", 1]]


def test_without_names_every_host_is_installed(calls):
    host()
    found = calls.install()
    assert [(one.name, one.state) for one in found] == [("fakehost", "active"), ("fakehook", "off")]


def test_install_imports_no_host(calls):
    (found,) = calls.install("fakehost")
    assert found.state == "pending" and found.version == "1.5" and found.seams == ()
    assert not [name for name in sys.modules if name.startswith(("fakehost", "fakedriver"))]


def test_again_changes_nothing(fake, calls, warnings):
    protocol = host()
    calls.install()
    ours = vars(protocol.Protocol)["parse"]
    calls.install("fakehost", "fakehost")
    assert vars(protocol.Protocol)["parse"] is ours
    calls.uninstall()
    calls.uninstall()
    assert protocol.Protocol().parse(1) == ["host", 1]
    calls.install()
    assert protocol.Protocol().parse(1) == ["wsfast", ["host", 1]]
    assert warnings() == []


@pytest.mark.parametrize("call", ["install", "uninstall", "is_active"])
def test_unknown_names(calls, call):
    with pytest.raises(
        ValueError, match="unknown host 'fakehots'; wsfast knows fakehost, fakehook"
    ):
        getattr(calls, call)("fakehots")


def test_status_before_install(calls):
    assert calls.status().state == "off"
    assert calls.status().reason == "wsfast.install() was not called"


def test_status_where_the_environment_forbids_it(calls, monkeypatch):
    """`wsfast run` then does not call install()."""
    monkeypatch.setenv("WSFAST", "0")
    assert calls.status().reason == "WSFAST=0 in the environment"


def test_absent_host(fake, calls, warnings):
    fake.version(None)
    (found,) = calls.install("fakehost", on_refusal="raise")
    assert (found.state, found.version, found.reason) == ("absent", None, "not installed")
    assert warnings() == []


def test_threads_install_once(fake, calls):
    protocol = host()
    threads = [threading.Thread(target=calls.install) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(import_module("fakedriver").settings) == {("host", False)}
    assert protocol.Protocol().parse(1) == ["wsfast", ["host", 1]]
    calls.uninstall()
    assert protocol.Protocol().parse(1) == ["host", 1]


# ---- kinds of attributes ------------------------------------------------------------------------

KINDS = """
from fakehost import protocol
from fakehost.protocol import Protocol

from wsfast.integrations._seams import Seam


def made(cls, value):
    return ["wsfast", cls.__name__, value]


def still(value):
    return ["wsfast", value]


def inherited(self):
    return "wsfast"


def serialize(data):
    return ["wsfast", data]


def selftest():
    pass


SEAMS = (
    Seam("fakehost.protocol:Protocol.made", made),
    Seam("fakehost.protocol:Protocol.still", staticmethod(still)),
    Seam("fakehost.protocol:Protocol.inherited", inherited, reads=("fakehost.protocol:Base",)),
    Seam("fakehost.protocol:serialize", serialize, reads=("fakehost.protocol:Protocol.shown",)),
)
"""


def test_every_kind_of_attribute_is_replaced_and_restored_exactly(fake, calls):
    fake.write("fakedriver", KINDS)
    fake.known["fakehost.protocol:Protocol.inherited"] = fake.known[
        "fakehost.protocol:Base.inherited"
    ]
    protocol = host()
    before = dict(vars(protocol.Protocol)), dict(vars(protocol)), dict(vars(protocol.Base))
    (found,) = calls.install("fakehost")
    assert found.state == "active", found.reason

    class Sub(protocol.Protocol):
        pass

    assert Sub.made(1) == Sub().made(1) == ["wsfast", "Sub", 1]
    assert Sub.still(1) == Sub().still(1) == ["wsfast", 1]
    assert Sub().inherited() == "wsfast" and protocol.Base().inherited() == "host"
    assert protocol.serialize(1) == ["wsfast", 1]
    calls.uninstall()
    assert (
        dict(vars(protocol.Protocol)),
        dict(vars(protocol)),
        dict(vars(protocol.Base)),
    ) == before
    assert "inherited" not in vars(protocol.Protocol)
    assert isinstance(vars(protocol.Protocol)["made"], classmethod)


# ---- settings -----------------------------------------------------------------------------------


def test_settings_reach_the_driver_and_can_be_changed(calls):
    host()
    calls.install(policy="strict", cork=True)
    driver = import_module("fakedriver")
    assert driver.settings == [("strict", True)]
    calls.install()
    assert driver.settings == [("strict", True), ("host", False)]
    assert calls.status().hits == 0


def test_a_driver_may_decline_other_settings(fake, calls):
    fake.edit(
        "fakedriver",
        (
            "    settings.append",
            "    if settings: raise RuntimeError('too late')\n    settings.append",
        ),
    )
    host()
    calls.install()
    (found,) = calls.install("fakehost", cork=True)
    assert found.state == "active"
    assert found.reason == "its settings stay as they were (RuntimeError: too late)"
    assert import_module("fakedriver").settings == [("host", False)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"policy": "lax"}, "policy must be one of 'host', 'strict', not 'lax'"),
        ({"on_refusal": "log"}, "on_refusal must be one of 'warn', 'raise', 'ignore', not 'log'"),
    ],
)
def test_wrong_settings(arguments, says):
    with pytest.raises(ValueError, match=says):
        wsfast.install("websockets", **arguments)


# ---- others patch too ---------------------------------------------------------------------------


def other(self, data):
    return ["other", data]


def test_a_patch_on_top_of_ours_stays(calls):
    protocol = host()
    calls.install()
    ours = vars(protocol.Protocol)["parse"]
    protocol.Protocol.parse = other
    assert calls.status().state == "active"
    assert calls.status().reason == f"{PARSE}: {__name__} has patched it after wsfast"
    calls.uninstall()
    assert protocol.Protocol.parse is other
    found = calls.status()
    assert (found.state, found.seams) == ("active", (PARSE,))
    assert found.reason == f"{PARSE} could not be put back: {__name__} has patched it after wsfast"
    calls.install()
    assert calls.status().reason == f"{PARSE}: {__name__} has patched it after wsfast"
    calls.uninstall()
    protocol.Protocol.parse = ours
    calls.uninstall()
    assert protocol.Protocol().parse(1) == ["host", 1]
    assert calls.status().state == "off"


def test_an_original_put_back_by_others_is_seen(calls):
    Protocol = host().Protocol
    original = Protocol.parse
    calls.install()
    Protocol.parse = original
    found = calls.status()
    assert (found.state, found.seams) == ("off", ())
    says = f"{PARSE} is the host's own again: call wsfast.install() once more"
    assert found.reason == says
    calls.install()
    assert Protocol().parse(1) == ["wsfast", ["host", 1]]
    calls.uninstall()
    assert Protocol.parse is original


def test_a_host_imported_anew_is_seen_and_patched_again(fake, calls):
    protocol = host()
    calls.install()
    protocol.Protocol().parse(1)
    reload(protocol)
    assert protocol.Protocol().parse(1) == ["host", 1]
    assert calls.status().state == "off"
    calls.install()
    assert protocol.Protocol().parse(1) == ["wsfast", ["host", 1]]
    assert calls.status().state == "active"
    calls.uninstall()
    assert protocol.Protocol().parse(1) == ["host", 1]


# ---- the environment ----------------------------------------------------------------------------


def test_kill_switch(calls, monkeypatch, warnings):
    monkeypatch.setenv("WSFAST", "0")
    protocol = host()
    found = calls.install(on_refusal="raise")
    assert {one.state for one in found} == {"off"}
    assert {one.reason for one in found} == {"WSFAST=0 in the environment"}
    assert protocol.Protocol().parse(1) == ["host", 1]
    assert "fakedriver" not in sys.modules
    assert warnings() == []


@pytest.mark.parametrize("value", ["", "1", "fakehost", " fakehook , FAKEHOST "])
def test_environment_lets_through(calls, monkeypatch, value):
    monkeypatch.setenv("WSFAST", value)
    host()
    calls.install()
    assert calls.status().state == "active"


def test_environment_leaves_out(calls, monkeypatch):
    monkeypatch.setenv("WSFAST", "fakehook")
    host()
    (found,) = calls.install("fakehost", on_refusal="raise")
    assert (found.state, found.reason) == ("off", "WSFAST=fakehook in the environment")


def test_unknown_names_in_the_environment_are_told_once(calls, monkeypatch, warnings):
    monkeypatch.setenv("WSFAST", "fakehost,tornado,flask")
    host()
    calls.install()
    calls.install()
    assert calls.status().state == "active"
    assert warnings() == [
        "WSFAST=fakehost,tornado,flask names hosts unknown to wsfast: flask, tornado; "
        "it knows fakehost, fakehook"
    ]


def test_unknown_names_in_the_environment_are_an_error_where_refusals_are(calls, monkeypatch):
    monkeypatch.setenv("WSFAST", "fakehosts")
    for _ in range(2):
        with pytest.raises(ValueError, match="names hosts unknown to wsfast: fakehosts"):
            calls.install(on_refusal="raise")


@pytest.mark.parametrize(
    ("wish", "state"), [("Off", "off"), ("false", "off"), ("yes", "active"), ("TRUE", "active")]
)
def test_words_in_the_environment(calls, monkeypatch, warnings, wish, state):
    monkeypatch.setenv("WSFAST", wish)
    host()
    calls.install()
    assert (calls.status().state, warnings()) == (state, [])


@pytest.mark.parametrize("asked", [True, False])
def test_pure_python_must_be_asked_for(calls, monkeypatch, warnings, asked):
    monkeypatch.setattr(codec, "backend", lambda: "python")
    wish = {"WSFAST_BACKEND": "python"} if asked else {}
    monkeypatch.setattr(codec, "environment", lambda: wish)
    host()
    calls.install()
    assert calls.status().state == ("active" if asked else "off")
    if asked:
        assert warnings() == []
    else:
        assert calls.status().reason.startswith("the C extension is not there, and pure Python")
        (text,) = warnings()
        assert text.startswith("wsfast leaves all hosts alone: the C extension is not there")
        with pytest.raises(HostRefused, match="fakehost: the C extension is not there") as caught:
            calls.install(on_refusal="raise")
        assert [one.name for one in caught.value.statuses] == ["fakehost"]


def test_pure_python_fails_the_import_of_a_host_that_must_be_accelerated(calls, monkeypatch):
    """Under ``wsfast run --require``; a Python that imports none is none of its business."""
    monkeypatch.setattr(codec, "backend", lambda: "python")
    monkeypatch.setattr(codec, "environment", dict)
    calls.switch.switch_on("host", "raise", False)
    for _ in range(2):
        with pytest.raises(HostRefused, match="fakehost: the C extension is not there"):
            host()
    with pytest.raises(HostRefused):
        calls.install(on_refusal="raise")
    host()
    with pytest.raises(HostRefused):
        calls.switch.switch_on("host", "raise", False)


def test_names_are_strings(calls):
    with pytest.raises(TypeError, match="names of hosts are strings"):
        calls.install(["fakehost"])


# ---- hosts with nothing but a switch of their own -----------------------------------------------


def test_hook_only(calls, warnings):
    calls.install()
    found = calls.status("fakehook")
    assert (found.state, found.supported_hook) == ("off", "fakehook --ws wsfast")
    assert found.reason == "wsfast does not patch it, it has a switch of its own"
    assert warnings() == []
    (found,) = calls.install("fakehook")
    assert found.state == "refused"
    assert warnings() == [
        "fakehook 3.0 runs without wsfast: wsfast does not patch it, it has a switch of "
        "its own. What to do: the supported way needs no patch: fakehook --ws wsfast"
    ]
    with pytest.raises(HostRefused, match="fakehook: wsfast does not patch it"):
        calls.install("fakehook", on_refusal="raise")


def test_the_class_of_a_hook_is_told_of(fake, calls, warnings):
    """It is pending where the class is loaded, active where connections have come to it."""

    def told():
        found = calls.status("fakehook")
        return found.state, calls.is_active("fakehook"), found.reason

    fake.write("fakeclass/__init__", "")
    fake.write("fakeclass/_connections", "made = 0")
    ours = import_module("fakeclass._connections")
    assert told() == ("pending", False, "no connections so far by fakeclass, without a patch")
    ours.made += 1
    assert told() == ("active", True, "1 connection so far by fakeclass, without a patch")
    calls.install()
    calls.uninstall()
    ours.made += 1
    assert told() == ("active", True, "2 connections so far by fakeclass, without a patch")
    calls.switch.forked()
    assert told()[0] == "pending"
    ours.made += 1
    assert told()[2] == "1 connection so far by fakeclass, without a patch"
    assert warnings() == []


# ---- the public face ----------------------------------------------------------------------------


def test_public_functions_and_their_signatures():
    signature = str(inspect.signature(wsfast.install)).replace("'", '"')
    assert 'policy: "Literal["host", "strict"]" = "host"' in signature
    assert 'on_refusal: "Literal["warn", "raise", "ignore"]" = "warn"' in signature
    assert signature.startswith('(*names: "str"') and 'cork: "bool" = False' in signature
    assert {"websockets", "wsproto", "uvicorn"} <= {one.name for one in wsfast.status()}
    assert not wsfast.is_active("wsproto")


def test_host_status_is_a_value():
    one = HostStatus("fakehost", "1.5", "active", (PARSE,), HOOK, 3, "")
    assert one == pickle.loads(pickle.dumps(one)) and hash(one) == hash(
        pickle.loads(pickle.dumps(one))
    )
    assert repr(one).startswith(
        "HostStatus(name='fakehost', version='1.5', state='active', seams=("
    )
    with pytest.raises(AttributeError, match="HostStatus is immutable"):
        one.hits = 4
    with pytest.raises(TypeError, match="HostStatus is final"):
        type("Sub", (HostStatus,), {})
    match one:
        case HostStatus(name, _, "active", hits=3):
            assert name == "fakehost"


def test_host_refused_can_be_pickled():
    status = HostStatus("fakehost", "1.5", "refused", (), HOOK, 0, "it has changed")
    error = pickle.loads(pickle.dumps(HostRefused((status,))))
    assert error.statuses == (status,)
    assert str(error) == "fakehost: it has changed (`wsfast status` says what to do)"

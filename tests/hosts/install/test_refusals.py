"""When a host is left as it is, and what is said of it then."""

from __future__ import annotations

import contextlib
import functools
import sys
from importlib import import_module
from unittest import mock

import pytest

from wsfast import HostRefused, integrations
from wsfast.integrations._hosts import HOSTS, Group, Host

PARSE = "fakehost.protocol:Protocol.parse"
REPORT = "look for a newer wsfast, or report this line"
FAILS = ("def selftest():", "def selftest():\n    1 / 0")
HOOK = "the supported way needs no patch: Protocol(wsfast=True)"


def host(name="protocol"):
    return import_module(f"fakehost.{name}")


def refused(calls, warnings, advice=REPORT):
    """Install, see that the host is as it was, and return the reason."""
    protocol = host()
    before = dict(vars(protocol.Protocol))
    (found,) = calls.install("fakehost")
    assert (found.state, found.seams) == ("refused", ())
    assert dict(vars(protocol.Protocol)) == before
    text = f"fakehost 1.5 runs without wsfast: {found.reason}. What to do: {advice}"
    assert warnings() == [text]
    calls.install("fakehost")
    assert warnings() == [text]
    assert not calls.is_active("fakehost")
    return found.reason


# ---- versions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        *[(version, True) for version in ("1.2", "1.2.0", "1.2.0.0", "1.10", "1.3.4.5", "v1.9")],
        *[(version, True) for version in ("1.3rc1", "1.2.post1", "1.2.1.dev0", "1.9+local.2")],
        *[(version, False) for version in ("1.1.9", "1", "0.9.9", "2", "2.0.1", "10.0")],
        *[(version, False) for version in ("1.2rc1", "1.2.0a2", "1.2.dev5", "1.2-beta.1")],
        *[(version, False) for version in ("2.0rc1", "2.0.0.dev1+gabc", "2a0")],
    ],
)
def test_versions(version, fits):
    assert Host("fakehost", "1.2", "2", "").fits(version) is fits
    assert Host("fakehost", "1.2", "2", "").versions == ">=1.2,<2"


@pytest.mark.parametrize("version", ["", "unknown", "1!1.5"])
def test_what_is_no_version(version):
    with pytest.raises(ValueError, match="is not a version that can be compared"):
        Host("fakehost", "1.2", "2", "").fits(version)


def test_an_open_range():
    assert Host("fakehook", "0.36", None, "").fits("99.1")
    assert Host("fakehook", "0.36", None, "").versions == ">=0.36"


def test_the_real_ranges():
    fit = {
        "websockets": ("15.0.1", "16.0", "17.4", "17.99"),
        "wsproto": ("1.2.0", "1.3.2"),
        "simple-websocket": ("1.0.0", "1.1.0"),
        "uvicorn": ("0.36.0", "1.0"),
    }
    not_fit = {
        "websockets": ("15.0", "14.2", "18.0", "18.0rc1"),
        "wsproto": ("1.1.0", "1.4"),
        "simple-websocket": ("0.10.1", "1.2.0"),
        "uvicorn": ("0.35.1",),
    }
    assert list(HOSTS) == list(fit)
    for name, host in HOSTS.items():
        assert all(host.fits(version) for version in fit[name])
        assert not any(host.fits(version) for version in not_fit[name])


@pytest.mark.parametrize(
    ("version", "says", "advice"),
    [
        (
            "2.0",
            "this wsfast is made for fakehost >=1.2,<2",
            "use one of those, or look for a newer wsfast",
        ),
        ("weird", "'weird' is not a version that can be compared", REPORT),
        (None, "its version cannot be told, there is no metadata of it", "use pip for it"),
    ],
)
def test_version_not_supported(fake, calls, warnings, version, says, advice):
    host()
    fake.version(version)
    (found,) = calls.install("fakehost")
    assert (found.state, found.version, found.reason) == ("refused", version, says)
    assert host().Protocol().parse(1) == ["host", 1]
    assert "fakedriver" not in sys.modules
    shown = version or "(no version)"
    assert warnings() == [f"fakehost {shown} runs without wsfast: {says}. What to do: {advice}"]


def test_version_not_supported_is_foretold_but_not_warned_of(fake, calls, warnings):
    fake.version("2.1")
    (found,) = calls.install("fakehost")
    assert found.state == "refused"
    assert found.reason == "this wsfast is made for fakehost >=1.2,<2"
    assert warnings() == []
    host()
    assert len(warnings()) == 1


# ---- sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# as it came", "# as it came, or not"),
        ('"""Judge ``data``."""', "'''Another text\n\n        on lines.'''"),
        ('["host", self.helper(data)]', '[ "host",self.helper( data ) ]'),
        ("    def helper", "\n\n    # new\n\n    def helper"),
        ("def serialize(data):", "def serialize(data, more=None):"),
    ],
)
def test_what_does_not_count(fake, calls, old, new):
    fake.edit("fakehost/protocol", (old, new))
    host()
    calls.install()
    assert calls.status().state == "active", calls.status().reason


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        ('["host", self.helper(data)]', '["Host", self.helper(data)]', ["parse"]),
        ("        return data\n\n", "        return data or None\n\n", ["helper"]),
        ("yield self", "yield self.shown", ["context"]),
        ("def parse(self, data)", "def parse(self, data, *, debug=False)", ["parse"]),
        ("self, data", "self, data, /", ["helper", "parse"]),
    ],
)
def test_changed_source(fake, calls, warnings, old, new, moved):
    fake.edit("fakehost/protocol", (old, new))
    names = ", ".join([f"fakehost.protocol:Protocol.{name}" for name in moved])
    says = f"the source of {names} is not one that this wsfast knows"
    assert refused(calls, warnings) == says


def test_a_target_that_is_gone(fake, calls, warnings):
    fake.edit(
        "fakehost/protocol", ("def helper", "def assistant"), ("self.helper", "self.assistant")
    )
    assert refused(calls, warnings) == "fakehost.protocol:Protocol.helper is not there"


def test_a_target_nobody_recorded(fake, calls, warnings):
    del fake.known[PARSE]
    assert refused(calls, warnings) == f"the source of {PARSE} is not one that this wsfast knows"


def test_without_source_the_version_decides(fake, calls, monkeypatch):
    fake.known.clear()
    fake.edit("fakehost/protocol", ("return data", "return data"))
    protocol = host()
    (fake.root / "fakehost/protocol.py").unlink()  # as in a frozen application
    calls.install()
    assert calls.status().state == "active", calls.status().reason
    assert protocol.Protocol().parse(1) == ["wsfast", ["host", 1]]


def test_a_target_that_became_something_else(fake, calls, warnings):
    fake.edit("fakehost/protocol", ("\n\ndef serialize", "\nProtocol.parse = 1\n\n\ndef serialize"))
    assert refused(calls, warnings) == f"{PARSE} is not a Python function any more"


# ---- others were here ---------------------------------------------------------------------------


def plain(original):
    return lambda self, data: original(self, data)


def wrapping(original):
    @functools.wraps(original)
    def wrapper(self, data):
        return original(self, data)

    return wrapper


def mocking(original):
    return mock.MagicMock(spec=original, wraps=original)


@pytest.mark.parametrize(
    ("patch", "who"), [(plain, __name__), (wrapping, __name__), (mocking, "unittest.mock")]
)
@pytest.mark.parametrize("name", ["parse", "helper"])
def test_patched_by_others(calls, warnings, monkeypatch, patch, who, name):
    monkeypatch.setattr(host().Protocol, name, patch(vars(host().Protocol)[name]))
    advice = f"call wsfast.install() before {who} patches it, or do without one of the two; {HOOK}"
    says = f"fakehost.protocol:Protocol.{name} was patched by {who}"
    assert refused(calls, warnings, advice) == says


@pytest.mark.parametrize("patch", [plain, wrapping])
def test_a_class_that_is_read_patched_by_others(fake, calls, warnings, monkeypatch, patch):
    fake.edit("fakedriver", ("Protocol.helper", "Base"))
    monkeypatch.setattr(host().Base, "inherited", patch(host().Base.inherited))
    advice = f"call wsfast.install() before {__name__} patches it, or do without one of the two"
    says = f"fakehost.protocol:Base was patched by {__name__}"
    assert refused(calls, warnings, f"{advice}; {HOOK}") == says


# ---- drivers that fail --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ('"wsfast", ["host", 1]', '"wsfast", ["host", 2]'),
            "the self-test failed (AssertionError: parse says something else)",
        ),
        (
            FAILS,
            "the self-test failed (ZeroDivisionError: division by zero)",
        ),
        (
            ("_parse =", "1 / 0\n_parse ="),
            "its driver does not load (ZeroDivisionError: division by zero)",
        ),
        (
            ("import Protocol\n", "import Protocol, Parser\n"),
            "its driver does not load (ImportError: cannot import name 'Parser' from ",
        ),
        (
            ("    settings.append", "    raise RuntimeError('no')\n    settings.append"),
            "its driver failed (RuntimeError: no)",
        ),
    ],
)
def test_failing_driver(fake, calls, warnings, change, says):
    fake.edit("fakedriver", change)
    assert refused(calls, warnings).startswith(says)


def test_the_groups_after_a_refused_one_are_left_alone_too(fake, calls, warnings):
    fake.edit("fakedriver", FAILS)
    connection = host("connection")
    calls.install()
    assert connection.Connection().send(1) == ["host", 1]
    assert "fakedriver2" not in sys.modules or not calls.status().seams
    assert len(warnings()) == 1


def test_a_group_may_be_refused_alone(fake, calls, warnings):
    fake.edit("fakehost/connection", ('["host", data]', '["Host", data]'))
    connection, protocol = host("connection"), host()
    calls.install()
    found = calls.status()
    assert (found.state, found.seams) == ("active", (PARSE,))
    says = "the source of fakehost.connection:Connection.send is not one that this wsfast knows"
    assert found.reason == says
    assert connection.Connection().send(1) == ["Host", 1]
    assert protocol.Protocol().parse(1) == ["wsfast", ["host", 1]]
    assert len(warnings()) == 1


def test_interrupt_in_a_selftest_leaves_nothing_behind(fake, calls):
    fake.edit("fakedriver", ("def selftest():", "def selftest():\n    raise KeyboardInterrupt"))
    original = host().Protocol.parse
    with pytest.raises(KeyboardInterrupt):
        calls.install()
    assert host().Protocol.parse is original
    assert calls.status().seams == ()


def test_a_refused_host_is_looked_at_again(fake, calls, warnings, monkeypatch):
    advice = (
        f"call wsfast.install() before {__name__} patches it, or do without one of the two; {HOOK}"
    )
    with monkeypatch.context() as patch:
        patch.setattr(host().Protocol, "parse", plain(host().Protocol.parse))
        refused(calls, warnings, advice)
    (found,) = calls.install("fakehost")
    assert (found.state, found.reason) == ("active", "")
    assert import_module("fakedriver")._parse.__globals__ is vars(host())  # and not the patch


# ---- who hears of it ----------------------------------------------------------------------------


def test_raise(fake, calls, warnings):
    fake.version("3")
    host()
    with pytest.raises(HostRefused) as caught:
        calls.install(on_refusal="raise")
    why = "fakehost: this wsfast is made for fakehost >=1.2,<2"
    assert str(caught.value) == f"{why} (`wsfast status` says what to do)"
    assert [one.name for one in caught.value.statuses] == ["fakehost"]
    assert warnings() == []


def test_raise_comes_before_the_host_is_imported_where_the_version_says_enough(fake, calls):
    fake.version("3")
    with pytest.raises(HostRefused):
        calls.install("fakehost", on_refusal="raise")


def test_raise_tells_of_all(fake, calls):
    """Of who is there and refused, and of whom the version foretells it: they may be imported."""
    fake.hosts["fakeother"] = Host("fakeother", "1", "2", "", Group("fakeother", "nobody"))
    fake.metadata("fakeother", "3.0")
    fake.write("fakeother", "")
    fake.edit("fakedriver", FAILS)
    host()
    with pytest.raises(HostRefused) as caught:
        type(calls)(fake.switch()).install(on_refusal="raise")
    assert [one.name for one in caught.value.statuses] == ["fakehost", "fakeother"]
    import_module("fakeother")
    sys.modules.pop("fakeother")


def test_ignore(fake, calls, warnings):
    fake.version("3")
    host()
    (found,) = calls.install("fakehost", on_refusal="ignore")
    assert found.state == "refused"
    assert warnings() == []


@pytest.mark.parametrize(("on_refusal", "said"), [("warn", 1), ("ignore", 0)])
def test_an_import_does_not_raise(fake, calls, warnings, on_refusal, said):
    fake.edit("fakedriver", FAILS)
    calls.install("fakehost", on_refusal=on_refusal)
    assert host().Protocol().parse(1) == ["host", 1]
    assert len(warnings()) == said


def test_raise_fails_each_import_until_something_else_is_said(fake, calls, warnings):
    fake.edit("fakedriver", FAILS)
    calls.install("fakehost", on_refusal="raise")
    for name in ("protocol", "protocol", "connection"):
        with pytest.raises(HostRefused, match="fakehost: the self-test failed"):
            host(name)
    assert "fakehost.protocol" not in sys.modules
    assert len(warnings()) == 1  # with what to do
    calls.uninstall()
    assert host().Protocol().parse(1) == ["host", 1]


def test_raise_fails_an_import_for_a_part_of_the_host(fake, calls):
    fake.edit("fakedriver2", FAILS)
    calls.install("fakehost", on_refusal="raise")
    host()
    with pytest.raises(HostRefused) as caught:
        host("connection")
    assert [one.state for one in caught.value.statuses] == ["active"]
    calls.install(on_refusal="ignore")
    host("connection")
    with pytest.raises(HostRefused):
        calls.install(on_refusal="raise")


def test_who_was_told_by_install_may_import_the_host_as_it_is(fake, calls):
    fake.version("3")
    with pytest.raises(HostRefused):
        calls.install(on_refusal="raise")
    assert host().Protocol().parse(1) == ["host", 1]


@pytest.mark.parametrize(
    ("wish", "raises"), [("1", True), ("Yes", True), ("0", False), ("off", False), ("", False)]
)
def test_required_by_the_environment(fake, calls, monkeypatch, wish, raises):
    monkeypatch.setattr(integrations, "_SWITCH", calls.switch)
    monkeypatch.setenv("WSFAST_REQUIRE", wish)
    fake.version("3")
    host()
    expected = pytest.raises(HostRefused) if raises else contextlib.nullcontext()
    with expected:
        integrations.install(on_refusal="ignore")
    with expected:
        integrations.switch_on(policy="host", cork=False)


def test_uninstall_takes_the_refusal_back(fake, calls):
    fake.version("3")
    host()
    calls.install()
    calls.uninstall()
    assert (calls.status().state, calls.status().reason) == ("off", "wsfast.uninstall() was called")

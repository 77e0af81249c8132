"""``wsfast bench hosts``: who is measured, what is refused, small runs, the tables."""

import importlib.util
import json
import re

import pytest
from bench_document import check_schema, document_of

import wsfast
from wsfast import cli
from wsfast.cli import bench
from wsfast.cli.bench import contenders, hosts, launch, memory, plan, report, report_hosts, syscalls
from wsfast.cli.bench.measure import Session

HOSTS = plan.KINDS["hosts"].servers


def main(*argv):
    return cli.main(["bench", *argv])


# ---- who is measured -------------------------------------------------------------------------


def test_every_contender_can_be_started_and_is_compared_with_its_plain_host():
    together = plan.groups("hosts", (*plan.LOOPS, *plan.OWN_LOOPS), ("raw",), HOSTS)
    assert {name for group in together for name in group.servers} == set(HOSTS)
    assert set(HOSTS) == set(contenders.CONTENDERS)
    for one in contenders.CONTENDERS.values():
        assert one.serve in hosts.SERVE
        assert not one.way or one.way in contenders.WAYS
        assert ("+" in one.id) is bool(one.way)
        if one.way:
            assert (one.id, one.plain) in contenders.PAIRS


def test_what_is_compared_takes_turns():
    together = plan.groups("hosts", (*plan.LOOPS, *plan.OWN_LOOPS), ("raw",), HOSTS)
    for of, to in contenders.PAIRS:
        if to != plan.FLOOR:
            loops = {g.loop for g in together if of in g.servers and to in g.servers}
            assert loops == set(contenders.CONTENDERS[of].loops)


def test_the_floor_stands_beside_the_first_family_of_its_loop():
    together = plan.groups("hosts", ("asyncio", "trio"), ("raw",), HOSTS)
    first = together[0]
    assert first.servers[:2] == (plan.FLOOR, "websockets")
    assert "picows.websockets" in first.servers
    assert sum([plan.FLOOR in group.servers for group in together]) == 6
    alone = plan.groups("hosts", ("uvloop",), ("raw",), (plan.FLOOR,))
    assert {group.servers for group in alone} == {(plan.FLOOR,)}


def test_a_loop_that_is_asked_for_leaves_out_hosts_with_their_own():
    assert plan.choose_loops("hosts", "asyncio") == ("asyncio",)
    assert set(plan.OWN_LOOPS) < set(plan.choose_loops("hosts", None))


# ---- options and exit statuses ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["echo", "--only", "hypercorn"], "hypercorn is not a server of echo"),
        (["hosts", "--only", "raw-tcp", "--app", "raw"], "--app is for echo"),
        (["hosts", "--only", "trio-websocket", "--loop", "asyncio"], "nothing to measure"),
    ],
)
def test_what_does_not_go_together_exits_with_2(argv, said, capsys, monkeypatch):
    monkeypatch.setattr(plan, "find_spec", lambda name: True)
    assert main(*argv) == 2
    assert said in capsys.readouterr().err


def test_a_missing_contender_that_was_asked_for_exits_with_3(capsys, monkeypatch):
    monkeypatch.setattr(plan, "find_spec", lambda name: None if name == "picows" else True)
    assert main("hosts", "--only", "websockets,picows.websockets") == 3
    err = capsys.readouterr().err
    assert "picows is not installed: pip install 'wsfast[bench]'" in err


def test_a_missing_contender_that_was_not_asked_for_is_left_out_and_said_so(capsys, monkeypatch):
    monkeypatch.setattr(plan, "find_spec", lambda name: None if name == "wsproto" else True)
    monkeypatch.setattr(bench, "measured", lambda kind, groups, seconds: pytest.fail(str(groups)))
    able, left_out = plan.choose_servers("hosts", None)
    assert {name for name in HOSTS if "wsproto" in contenders.CONTENDERS[name].needs} == {*left_out}
    assert set(able) == set(HOSTS) - set(left_out)
    with pytest.raises(pytest.fail.Exception):
        main("hosts")
    assert "left out: hypercorn+wsfast: wsproto is not installed" in capsys.readouterr().err


def test_with_no_host_at_all_it_exits_with_3(capsys, monkeypatch):
    monkeypatch.setattr(plan, "find_spec", lambda name: None)
    assert main("hosts") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("wsfast bench: websockets, picows, uvicorn, ")
    assert line.endswith(" are not installed: pip install 'wsfast[bench]'")


def test_install_needs_the_c_extension_or_somebody_who_asked_for_python(capsys, monkeypatch):
    monkeypatch.setattr(plan, "find_spec", lambda name: True)
    monkeypatch.setattr(plan, "_installable", lambda: False)
    assert main("hosts", "--only", "websockets+wsfast") == 3
    assert "C extension" in capsys.readouterr().err
    able, _ = plan.choose_servers("hosts", None)
    assert {"uvicorn+wsfast", "websockets+hook"} < set(able)
    assert not {name for name in able if contenders.CONTENDERS[name].installs}


# ---- the whole, small ------------------------------------------------------------------------

TINY = ["hosts", "--seconds", "0.2", "--loop", "asyncio"]


@pytest.fixture
def websockets(monkeypatch):
    """websockets is there, and the servers may be accelerated by whatever back end runs here."""
    pytest.importorskip("websockets")
    monkeypatch.setenv("WSFAST_BACKEND", wsfast.backend())
    monkeypatch.setattr(plan, "_installable", lambda: True)
    monkeypatch.setattr(memory, "IDLE", 20)
    monkeypatch.setattr(syscalls, "available", lambda: False)  # echo's tests look at those
    return ["--only", "raw-tcp,websockets,websockets+wsfast"]


def test_a_small_run_carries_hits_memory_and_ratios(websockets, capsys):
    assert main(*TINY, *websockets, "--json", "-") == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    check_schema(document, "hosts")
    assert [server["id"] for server in document["servers"]] == websockets[1].split(",")
    accelerated = document["servers"][-1]
    assert accelerated["hits"] >= accelerated["messages"] > 0
    assert len(document["cells"]) == 3 * len(plan.SIZES) * len(plan.IN_FLIGHT)
    assert {(ratio["of"], ratio["to"]) for ratio in document["ratios"]} == {
        ("websockets+wsfast", "websockets")
    }
    if document["memory"]:
        assert [entry["server"] for entry in document["memory"]] == websockets[1].split(",")[1:]
    assert "×16, µs" in captured.err


def test_a_server_without_the_wsfast_it_should_have_ends_the_run(websockets, capsys, monkeypatch):
    monkeypatch.setenv("WSFAST", "0")
    assert main(*TINY, *websockets) == 1
    assert "wsfast.install('websockets'): off: WSFAST=0" in capsys.readouterr().err


def test_no_hits_end_the_run(websockets, capsys, monkeypatch):
    monkeypatch.setattr(launch.Server, "hits", lambda self: 0)
    assert main(*TINY, *websockets) == 1
    assert "websockets+wsfast asyncio raw: wsfast is on, but" in capsys.readouterr().err


def test_wrong_replies_end_the_run(websockets, capsys, monkeypatch):
    lane = b"\x81\x81abcd\0", b"\x81\1b", 1  # "a", and "b" is to come back
    monkeypatch.setattr(memory, "measure", lambda groups, update: {})
    monkeypatch.setattr(plan, "text_lanes", lambda n, size: [lane])
    assert main(*TINY, "--only", "websockets") == 1
    assert "replies are wrong" in capsys.readouterr().err


@pytest.mark.parametrize("name", HOSTS)
def test_every_contender_answers(name, websockets):
    contender = contenders.CONTENDERS[name]
    for module in contender.needs:
        pytest.importorskip(module)
    key = (name, contender.loops[0], "raw")
    with launch.servers([key]) as servers:
        group = plan.Group(key[1], "raw", 32, 16, (name,))
        made = Session([group], servers, 1.0, lambda fraction: None)
        made.batch(group, name, messages=64)
        assert set(made.hits()) == ({key} if contender.way else set())


# ---- memory ----------------------------------------------------------------------------------


def test_memory_is_of_websocket_servers_on_one_loop():
    together = plan.groups("hosts", ("asyncio", "uvloop", "trio"), ("raw",), HOSTS)
    keys = memory.keys(together)
    assert {loop for _, loop, _ in keys} == {"asyncio"}
    assert "raw-tcp" not in {name for name, _, _ in keys}
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(("limit", "expected"), [(-1, 1000), (10_000, 1000), (256, 192), (3, 1)])
def test_connections_stay_within_the_limit_on_open_files(limit, expected, monkeypatch):
    resource = pytest.importorskip("resource")
    limit = resource.RLIM_INFINITY if limit < 0 else limit
    monkeypatch.setattr(resource, "getrlimit", lambda what: (limit, limit))
    assert memory.connections() == expected


def test_where_the_system_does_not_say_there_is_no_memory(monkeypatch):
    group = plan.Group("asyncio", "raw", 32, 1, ("raw-tcp",))
    monkeypatch.setattr(memory, "FLOOR", "")  # so that this needs no host
    monkeypatch.setattr(memory, "IDLE", 3)
    monkeypatch.setattr(memory, "text_lanes", plan.raw_lanes)
    monkeypatch.setattr(memory, "upgrade", lambda: (None, b""))
    monkeypatch.setattr(launch.Server, "pss", lambda self: None)
    assert memory.measure([group], lambda fraction: None) == {}


# ---- the tables ------------------------------------------------------------------------------


def document(low, median, high):
    return document_of("hosts", "websockets+wsfast", "websockets", low, median, high)


def test_table_prints_losses_and_ties_as_such():
    assert "10.0 · 1.20 [1.10–1.30]  " in report.table(document(1.1, 1.2, 1.3))
    assert "10.0 · 1.02 [0.98–1.06] same" in report.table(document(0.98, 1.02, 1.06))
    assert "10.0 · 0.91 [0.90–0.93] slower" in report.table(document(0.90, 0.91, 0.93))


def test_what_is_not_the_same_host_stands_beside():
    rival = document_of("hosts", "websockets+wsfast", "picows.websockets", 1.1, 1.2, 1.3)
    lines = report.table(rival).splitlines()
    assert any(
        re.match(r"websockets\+wsfast to picows.websockets  asyncio +1.20 \[", x) for x in lines
    )


def test_memory_is_a_table_of_its_own():
    made = document(1.1, 1.2, 1.3)
    entry = {"server": "websockets", "loop": "asyncio", "connections": 1000}
    made["memory"] = [{**entry, "kib_per_connection": [15.5, 15.0, 15.2]}]
    *_, block = report_hosts.blocks(made)
    assert block[1] == ["websockets", "asyncio", "1000", "15.2", "15.0–15.5"]


def test_markdown_has_the_same_cells():
    made = document(1.1, 1.2, 1.3)
    text = report.markdown(made)
    for row in report_hosts.blocks(made)[0]:
        assert f"| {' | '.join(row)} |" in text
    assert "\x1b" not in text


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="matplotlib is missing")
def test_plot_is_a_png(tmp_path):
    path = tmp_path / "out.png"
    report.plot(document(1.1, 1.2, 1.3), str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="matplotlib is missing")
@pytest.mark.parametrize(
    ("found", "says"),
    [((1.1, 1.2, 1.3), "1.20"), ((0.8, 0.9, 0.95), "0.90 slower"), ((0.9, 1.0, 1.1), "1.00 same")],
)
def test_plot_prints_losses_and_ties_as_such(found, says):
    from matplotlib import pyplot

    figure = report_hosts.draw(pyplot, document(*found))
    (panel,) = figure.axes
    pyplot.close(figure)
    assert [text.get_text() for text in panel.texts] == [says]

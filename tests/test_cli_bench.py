"""``wsfast bench``: its options, its statistics, what it sends, and small runs of the whole."""

import asyncio
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import time

import pytest
from bench_document import check_schema, document_of

import wsfast
from wsfast import cli
from wsfast.cli import bench
from wsfast.cli.bench import apps, launch, load, measure, plan, report, report_echo, stats, syscalls
from wsfast.cli.bench.measure import Sample, Session, Turn
from wsfast.cli.bench.servers import listen

# ---- options and exit statuses ---------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ["codec"],
        ["--seconds", "0"],
        ["--seconds", "nan"],
        ["--seconds", "soon"],
        ["--only", "uvicorn,nginx\x1b[31m"],
        ["--loop", "trio"],
        ["--app", "django"],
    ],
)
def test_wrong_usage_exits_with_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["bench", *argv])
    assert caught.value.code == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [["--only", "raw-tcp", "--app", "starlette"], ["--json", "/no/such/folder/x", "--app", "raw"]],
)
def test_nothing_to_do_exits_with_2(argv, capsys, monkeypatch):
    monkeypatch.setattr(plan, "find_spec", lambda name: True)
    assert cli.main(["bench", *argv]) == 2
    assert capsys.readouterr().err.startswith("wsfast bench: ")


@pytest.mark.parametrize(
    ("argv", "module"),
    [
        ([], "uvicorn"),
        (["--loop", "both", "--only", "raw-tcp"], "uvloop"),
        (["--loop", "uvloop", "--only", "raw-tcp"], "uvloop"),
        (["--app", "starlette", "--only", "uvicorn"], "starlette"),
        (["--plot", "x.png", "--only", "raw-tcp", "--app", "raw"], "matplotlib"),
    ],
)
def test_what_is_not_installed_exits_with_3_and_says_what(argv, module, capsys, monkeypatch):
    def find_spec(name):
        return None if name == module else True

    monkeypatch.setattr(plan, "find_spec", find_spec)
    monkeypatch.setattr(bench, "find_spec", find_spec)
    assert cli.main(["bench", *argv]) == 3
    err = capsys.readouterr().err
    assert module in err
    assert "pip install" in err


def test_optional_parts_are_left_out_where_they_are_not_installed(monkeypatch):
    monkeypatch.setattr(plan, "find_spec", lambda name: None)
    assert plan.choose_loops("echo", None) == ("asyncio",)
    assert plan.choose_apps("echo", None) == ("raw", "deflate")


def test_the_realistic_row_comes_first_and_has_no_floor():
    servers = plan.KINDS["echo"].servers
    groups = plan.groups("echo", plan.LOOPS, plan.APPS, servers)
    assert [group.app for group in groups] == ["starlette"] * 2 + ["raw"] * 12 + ["deflate"] * 8
    assert groups[0].servers == ("uvicorn", "uvicorn+wsfast")
    assert groups[2].servers == servers


# ---- statistics ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "low", "high"), [(1, 1, 1), (5, 1, 5), (6, 1, 6), (8, 1, 8), (9, 2, 8), (12, 3, 10)]
)
def test_interval_is_the_table_of_the_sign_test(n, low, high):
    values = [float(value) for value in range(n, 0, -1)]
    assert stats.interval(values) == (low, high)


def test_interval_covers_the_median_as_often_as_it_says():
    assert stats.coverage(6, 1) == pytest.approx(0.96875)
    assert stats.coverage(5, 1) < stats.CONFIDENCE
    for n in range(stats.FEWEST, 60):
        rank = int(stats.interval([float(value) for value in range(1, n + 1)])[0])
        assert stats.coverage(n, rank) >= stats.CONFIDENCE > stats.coverage(n, rank + 1)


def test_ratio_is_of_rounds_not_of_medians():
    assert stats.ratio([1.0, 10.0, 100.0], [2.0, 30.0, 400.0]) == (3.0, 2.0, 4.0)


def test_rotation_lets_every_server_go_first_and_both_ways_round():
    orders = [measure.rotated(["a", "b", "c"], number) for number in range(6)]
    assert ["".join(order) for order in orders] == ["abc", "bca", "cab", "cba", "acb", "bac"]


@pytest.mark.parametrize(("seconds", "batches"), [(0.1, 40), (51, 40), (3000, 40), (3000, 1)])
def test_schedule_keeps_enough_rounds_and_sane_batches(seconds, batches):
    rounds, batch = measure.schedule(seconds, batches)
    assert rounds > stats.FEWEST
    assert 0.01 <= batch <= 2.0
    if seconds == 51:
        assert rounds * batches * (batch + measure.OVERHEAD) == pytest.approx(seconds)


def session(turns):
    group = plan.Group("asyncio", "raw", 32, 1, ("uvicorn",))
    made = Session([group], {}, 1.0, lambda fraction: None)
    made.rounds = 7
    made.turns[group] = turns
    return made, group


def turn(number, *spins):
    return Turn({"uvicorn": Sample(float(number), 1.0)}, spins)


def test_slow_turns_are_dropped():
    made, group = session([*[turn(n, 1.0, 1.05) for n in range(6)], turn(6, 1.0, 1.7)])
    assert made.used(group) == made.good(group) == made.turns[group][:6]


def test_a_machine_never_at_rest_gets_its_steadiest_turns():
    steady, unsteady = turn(1, 1.7, 1.7), turn(2, 1.0, 1.7)
    made, group = session([unsteady, *[turn(0, 1.0, 1.0)] * 5, steady])
    assert made.used(group)[5:] == [steady]


def test_calls_are_counted_from_the_rows_not_the_total():
    rows = (
        "% time     seconds  usecs/call     calls    errors syscall\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        " 60.00    0.000012           2         6           epoll_wait\n"
        " 40.00    0.000008           1         8         2 recvfrom\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
    )
    for total in (
        "100.00    0.000020           1        14         2 total\n",
        "100.00    0.000020                    14         2 total\n",
    ):
        assert syscalls.count(rows + total) == 14


# ---- what is sent ----------------------------------------------------------------------------


def messages(frames):
    decoder = wsfast.MessageDecoder(wsfast.Role.SERVER)
    return decoder.feed(frames)


@pytest.mark.parametrize("size", plan.SIZES)
def test_text_lanes_hold_different_messages_of_one_size(size):
    lanes = load.text_lanes(8, size)
    texts = [text for requests, _, _ in lanes for text in messages(requests)]
    assert {len(text) for text in texts} == {size}
    assert len(set(texts)) == len(texts) == sum([count for _, _, count in lanes])


def test_masking_keys_are_fresh():
    assert load.text_lanes(1, 32) != load.text_lanes(1, 32)


def test_json_lanes_hold_questions_and_their_answers():
    client = wsfast.MessageDecoder(wsfast.Role.CLIENT)
    (requests, replies, count), *_ = load.json_lanes(8)
    questions = messages(requests)
    assert {len(question) for question in questions} == {load.JSON_SIZE}
    assert [json.loads(reply) for reply in client.feed(replies)] == [
        apps.acknowledge(json.loads(question)) for question in questions
    ]
    assert count == len(questions)


def test_raw_lanes_expect_what_they_send():
    assert all(out == back for out, back, _ in load.raw_lanes(8, 32))


# ---- the whole, small ------------------------------------------------------------------------


def test_a_small_run_writes_json_alone_to_stdout(capsys):
    argv = ["bench", "--seconds", "0.2", "--only", "raw-tcp", "--loop", "asyncio", "--json", "-"]
    assert cli.main(argv) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    check_schema(document, "echo")
    assert document["servers"] == [{"id": "raw-tcp"}]
    assert len(document["cells"]) == 6
    assert document["ratios"] == []
    assert "raw ASGI echo, 64 KiB, ×16" in captured.err


def test_a_small_run_of_the_json_application(capsys, tmp_path):
    for module in ("uvicorn", "websockets", "starlette"):
        pytest.importorskip(module)
    path = tmp_path / "out.json"
    argv = ["bench", "echo", "--seconds", "0.2", "--app", "starlette", "--loop", "asyncio"]
    assert cli.main([*argv, "--json", str(path)]) == 0
    document = json.loads(path.read_text(encoding="utf-8"))
    check_schema(document, "echo")
    assert [server["id"] for server in document["servers"]] == ["uvicorn", "uvicorn+wsfast"]
    assert [(ratio["of"], ratio["to"]) for ratio in document["ratios"]] == [
        ("uvicorn+wsfast", "uvicorn")
    ]
    assert capsys.readouterr().out.splitlines()[1].startswith("starlette, JSON, 200 B, ×1")


def test_a_server_that_does_not_start_is_shown_escaped(capsys, monkeypatch):
    monkeypatch.setattr(launch, "BOOT", r"import sys; sys.exit('no \x1b[31mluck')")
    argv = ["bench", "--seconds", "0.2", "--only", "raw-tcp", "--loop", "asyncio"]
    assert cli.main(argv) == 1
    err = capsys.readouterr().err
    assert err.endswith("wsfast bench: raw-tcp asyncio raw did not start: no \\x1b[31mluck\n")


def test_wrong_replies_end_the_run(capsys, monkeypatch):
    monkeypatch.setattr(plan, "raw_lanes", lambda n, size: [(b"ab", b"ac", 1)])
    argv = ["bench", "--seconds", "0.2", "--only", "raw-tcp", "--loop", "asyncio"]
    assert cli.main(argv) == 1
    assert "replies are wrong" in capsys.readouterr().err


def test_without_strace_there_are_no_system_calls(monkeypatch):
    made, _ = session([])
    monkeypatch.setattr(syscalls.shutil, "which", lambda name: None)
    assert bench._system_calls(made, made.groups) == {}


def test_where_strace_may_not_attach_there_are_no_system_calls(monkeypatch):
    def refused(session, group, name):
        raise syscalls.StraceError("Operation not permitted")

    made, _ = session([])
    monkeypatch.setattr(syscalls, "available", lambda: True)
    monkeypatch.setattr(syscalls, "per_message", refused)
    assert bench._system_calls(made, made.groups) == {}


@pytest.mark.skipif(not syscalls.available(), reason="strace is missing")
def test_an_strace_that_cannot_attach_is_an_error():
    with pytest.raises(syscalls.StraceError), syscalls.Strace(2**22 + 1) as strace:
        strace.toggle()


def test_cpu_time_can_be_asked_of_the_server_itself():
    key = ("raw-tcp", "asyncio", "raw")
    with launch.servers([key]) as servers:
        before = servers[key]._ask("cpu")
        assert 0 < before < servers[key]._ask("cpu")


def test_asyncio_does_not_delay_what_the_servers_send():
    async def main():
        told = asyncio.get_running_loop().create_future()

        def accepted(_, writer):
            sock = writer.get_extra_info("socket")
            told.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(accepted, sock=listen()) as server:
            with socket.create_connection(server.sockets[0].getsockname()):
                return await told

    assert asyncio.run(main())


def listens(port):
    """Whether the server is still there; its process may linger as a zombie nobody waits for."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_servers_end_whatever_happens():
    key = ("raw-tcp", "asyncio", "raw")
    with pytest.raises(KeyboardInterrupt), launch.servers([key]) as servers:
        port = servers[key].port
        assert listens(port)
        raise KeyboardInterrupt
    assert not listens(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_servers_do_not_outlive_the_command(number):
    script = (
        "import time\n"
        "from wsfast.cli.bench import launch\n"
        "with launch.servers([('raw-tcp', 'asyncio', 'raw')]) as servers:\n"
        "    print(next(iter(servers.values())).port, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        port = int(parent.stdout.readline())
        parent.send_signal(number)
    deadline = time.monotonic() + 5
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not listens(port)


# ---- the table -------------------------------------------------------------------------------


def document(low, median, high):
    return document_of("echo", "uvicorn+wsfast", "uvicorn", low, median, high)


def test_table_prints_losses_and_ties_as_such():
    assert "1.20 [1.10–1.30]  " in report.table(document(1.1, 1.2, 1.3))
    assert "1.02 [0.98–1.06] same" in report.table(document(0.98, 1.02, 1.06))
    assert "0.91 [0.90–0.93] slower" in report.table(document(0.90, 0.91, 0.93))


def test_table_says_how_when_and_what_was_not_ideal():
    text = report.table(document(1.1, 1.2, 1.3))
    assert "2026-01-02" in text
    assert "In real applications the gain is smaller" in text
    assert "Not pinned" in text
    assert "slow client" in text
    assert "50.0k → 50.0k" in text
    assert "– → –" not in text
    assert "System calls were not counted: strace is missing" in text
    assert "\x1b" not in text


def test_table_shows_the_system_calls_that_were_counted():
    counted = document(1.1, 1.2, 1.3)
    for cell, calls in zip(counted["cells"], (3.25, 1.5), strict=True):
        cell["syscalls_per_msg"] = calls
    text = report.table(counted)
    assert "3.25 → 1.50" in text
    assert "not counted" not in text


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="matplotlib is missing")
def test_plot_is_a_png(tmp_path):
    path = tmp_path / "out.png"
    report.plot(document(1.1, 1.2, 1.3), str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="matplotlib is missing")
@pytest.mark.parametrize(
    ("found", "says"),
    [((1.1, 1.2, 1.3), "1.20 × less"), ((0.8, 0.9, 0.95), "slower"), ((0.9, 1.0, 1.1), "same")],
)
def test_plot_prints_losses_and_ties_as_such(found, says):
    from matplotlib import pyplot

    figure = report_echo.draw(pyplot, document(*found))
    (panel,) = figure.axes
    pyplot.close(figure)
    assert [text.get_text().split(" ", 1)[0] for text in panel.texts] == ["10.0", "10.0"]
    assert panel.texts[1].get_text().endswith(says)

"""``wsfast conformance --client``: our own client passes, a faulty one does not."""

import contextlib
import json
import os
import re
import runpy
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wsfast import Connection, HandshakeError, Policy, Role, cli
from wsfast.cli.conformance.cases import choose
from wsfast.cli.conformance.receiver import Receiver
from wsfast.handshake import ClientHandshake

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "echo_client.py"
example = runpy.run_path(str(EXAMPLE))


def converse(url, change=None):
    """The example; or, where ``change`` gives another ``Connection``, a loop of our own."""
    # Whatever it gets wrong: it is the suite's verdict that counts.
    with contextlib.suppress(HandshakeError, OSError):
        if change is None:
            example["converse"](url, lambda message: message)
            return
        sock, connection, data = example["connect"](url, example["LIMITS"], None)
        with sock:
            echo(sock, change(connection), data)


def echo(sock, connection, data):
    while not connection.should_close_transport:
        for event in connection.receive(data):
            if isinstance(event, (str, bytes)):
                connection.send(event)
        sock.sendall(b"".join(connection.data_to_send()))
        data = sock.recv(65536)
        if not data:
            return


def verdicts(pattern, client):
    cases = [case for case in choose("client") if re.fullmatch(pattern, case.name)]
    receiver = Receiver(cases, timeout=10.0)
    urls = [f"{receiver.url}/runCase?case={number}" for number in range(1, len(cases) + 1)]
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(client, urls))
        return {result.case.name: result for result in receiver.wait(lambda fraction: None)}
    finally:
        receiver.close()


def failed(results):
    return {name for name, result in results.items() if result.outcome == "fail"}


def test_the_example_passes(connection_backend):
    results = verdicts(r".*", converse)
    assert len(results) > 300
    assert failed(results) == set()
    assert not [name for name, result in results.items() if result.outcome == "skip"]


def lax(policy):
    def change(connection):
        return Connection(Role.CLIENT, extensions=connection.extensions, policy=policy)

    return lambda url: converse(url, change)


FAULTS = {
    "masked": (lax(Policy(mask="any")), r"framing/.*", r"framing/masked-.*"),
    "not minimal": (
        lax(Policy(mask="forbid", minimal_length=False)),
        r"framing/.*",
        r"framing/length-\d+-in.*",
    ),
    "one key": (
        lambda url: converse(
            url, lambda c: Connection(Role.CLIENT, extensions=c.extensions, keys=lambda: b"abcd")
        ),
        r"client/(fresh-keys|request)",
        r"client/fresh-keys",
    ),
    "late UTF-8": (
        lax(Policy(mask="forbid", utf8="message")),
        r"utf8/.*",
        r"utf8/fails-fast-.*",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_its_cases_and_no_other(fault):
    client, played, expected = FAULTS[fault]
    results = verdicts(played, client)
    assert failed(results) == {name for name in results if re.fullmatch(expected, name)}


def credulous(url):
    """A client that takes any answer for an opening handshake."""
    opening = ClientHandshake(url)
    sock = socket.create_connection((opening.host, opening.port), 10)
    with sock, contextlib.suppress(OSError):
        sock.sendall(opening.request())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(4096)
        trailing = answer.partition(b"\r\n\r\n")[2]
        echo(sock, Connection(Role.CLIENT), trailing)


def test_a_credulous_client_fails():
    results = verdicts(r"client/.*", credulous)
    passed = {name for name, result in results.items() if result.outcome == "pass"}
    assert passed == {
        f"client/{name}"
        for name in (
            *("request", "waits", "answer-by-1", "frames-with-answer", "connection-list"),
            *("case-of-tokens", "other-fields", "fresh-keys"),
        )
    }


def test_a_command_for_each_case(tmp_path, capsys):
    file = tmp_path / "result.json"
    argv = ["conformance", "--client", "--only", "ping/4,client/accept-w", "--json", str(file)]
    assert cli.main([*argv, "--timeout", "20", "--", sys.executable, str(EXAMPLE), "{url}"]) == 0
    found = json.loads(file.read_text("utf-8"))
    assert found["side"] == "client"
    assert found["counts"]["pass"] == 2
    assert "2 cases: 2 passed, 0 failed" in capsys.readouterr().out


def test_a_command_that_does_not_connect_is_run_once(tmp_path, capsys):
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'a').write('{{url}} '); raise SystemExit('no socket here')"
    argv = ["conformance", "--client", "--timeout", "0.5", "--", sys.executable, "-c", code]
    assert cli.main(argv) == 1
    told = capsys.readouterr().err
    assert "the client did not connect: no socket here; {url} in its words" in told
    assert ran.read_text().split()[1:] == []


def test_a_command_that_connects_once_only(tmp_path, capsys):
    """Its other cases fail, each with what it said."""
    file = tmp_path / "first"
    play = f"runpy.run_path({str(EXAMPLE)!r}, None, '__main__')"
    code = f"import runpy; open({str(file)!r}, 'x'); {play}"
    argv = ["conformance", "--client", "--only", "ping/4,ping/1 ", "--timeout", "5"]
    assert cli.main([*argv, "--", sys.executable, "-c", code, "{url}"]) == 1
    assert "the client did not connect (FileExistsError" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_command_that_ends_before_its_connection(capsys):
    """It did connect, whoever ends first."""
    code = r"""if True:
        import os, socket, sys, time, urllib.parse
        url = urllib.parse.urlsplit(sys.argv[1])
        with socket.create_connection((url.hostname, url.port)) as sock:
            if os.fork():
                os._exit(0)
            for stream in 0, 1, 2:
                os.close(stream)
            time.sleep(0.4)
            sock.sendall(b"GET /runCase?" + url.query.encode() + b" HTTP/1.1\r\n\r\n")
    """
    argv = ["conformance", "--client", "--only", "ping/4,ping/1 ", "--timeout", "5"]
    assert cli.main([*argv, "--", sys.executable, "-c", code, "{url}"]) == 1
    shown = capsys.readouterr().out
    assert "0 passed" in shown
    assert "did not connect" not in shown


def test_autobahn_s_paths():
    """Ask how many, run each by its number, ask for the report."""
    cases = choose("client", ["ping/0", "ping/1"])
    receiver = Receiver(cases, timeout=10.0)
    said = []

    def client():
        example["converse"](f"{receiver.url}/getCaseCount", said.append)
        for number in range(1, int(said[0]) + 1):
            converse(f"{receiver.url}/runCase?case={number}&agent=test")
        converse(f"{receiver.url}/updateReports?agent=test")

    thread = threading.Thread(target=client)
    thread.start()
    results = receiver.wait(lambda fraction: None)
    thread.join()
    receiver.close()
    assert said[0] == str(len(cases))
    assert {result.outcome for result in results} == {"pass"}


def test_any_other_path_plays_the_next_case():
    cases = choose("client", ["ping/0", "ping/1 "])
    receiver = Receiver(cases, timeout=10.0)
    for _ in cases:
        converse(receiver.url)
    results = receiver.wait(lambda fraction: None)
    receiver.close()
    assert [result.outcome for result in results] == ["pass"] * len(cases)

"""``wsfast conformance URL``: its options, its report, and wsfast's own servers under it."""

import json
import random
import re
import socket
import subprocess
import sys
import zlib

import pytest
from conformance_lab import Faults, failed, probe, running
from launch import launch

from wsfast import cli
from wsfast.cli.conformance import opening, peers, report, report_peers, wire
from wsfast.cli.conformance.case import OUTCOMES
from wsfast.cli.conformance.cases import CASES, choose

# What uvicorn decides before our class is asked: its HTTP layer (httptools) leaves white space
# behind the value of Upgrade, and hands on requests of HTTP/1.0 as if of 1.1.
UVICORN_S_OWN = {"handshake/white-space", "handshake/http-1.0"}

# ---- the cases -------------------------------------------------------------------------------


def test_cases_have_stable_names_and_say_what_they_are():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 400
    for case in CASES:
        assert re.fullmatch(r"[a-z0-9-]+/[a-z0-9.+-]+", case.name)
        assert re.fullmatch(r"RFC \d{4} §[\d.]+", case.section), case.name
        assert case.level in ("MUST", "SHOULD", "INFO")
        assert case.says
        assert case.script.expected
        assert case.sides


def test_words_choose_cases():
    assert {case.name for case in choose("server", ["ping/4", "close/code-1005"])} == {
        "ping/4",
        "close/code-1005",
    }
    assert choose("client", ["§4.2.2"]) == []


# ---- wsfast's own servers --------------------------------------------------------------------


def test_a_bare_connection_passes_everything(connection_backend):
    with running() as server:
        results = probe(server, choose("server"))
    assert failed(results) == set()
    skipped = {name for name, result in results.items() if result.outcome == "skip"}
    assert skipped == {"deflate/window-8"}  # zlib cannot, so it is declined


@pytest.mark.parametrize("backend_name", ["c", "python"])
def test_our_uvicorn_class_passes_all_that_is_its_own(backend_name, c_backends, tmp_path, capsys):
    pytest.importorskip("uvicorn")
    if backend_name == "c" and not c_backends:
        pytest.skip("no C extension")
    file = tmp_path / "result.json"
    with launch("uvicorn_echo.py", "--max-size", str(1 << 20), backend=backend_name) as server:
        argv = ["conformance", f"ws://127.0.0.1:{server.port}/", "--max-message", str(1 << 20)]
        status = cli.main([*argv, "--timeout", "10", "--json", str(file)])
    found = json.loads(file.read_text("utf-8"))
    check_schema(found)
    wrong = {case["name"] for case in found["cases"] if case["outcome"] == "fail"}
    assert wrong <= UVICORN_S_OWN
    assert status == bool(wrong)
    out = capsys.readouterr().out
    assert f"{len(choose('server'))} cases: " in out
    assert "\x1b" not in out  # no terminal, no colours


def check_schema(found):
    assert found["schema"] == "wsfast-conformance/1"
    assert found["side"] in ("server", "client")
    assert found["finished"].endswith("Z")
    tally = found["counts"]
    assert tally["cases"] == len(found["cases"]) == sum(tally[name] for name in OUTCOMES)
    for case in found["cases"]:
        assert set(case) == {
            *("name", "section", "level", "says"),
            *("outcome", "expected", "seen", "seconds"),
        }
        assert case["outcome"] in OUTCOMES
        assert case["seen"]


def test_wss(tmp_path, capsys):
    pytest.importorskip("uvicorn")
    trustme = pytest.importorskip("trustme")
    pem = tmp_path / "server.pem"
    trustme.CA().issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        pem
    )
    with launch("uvicorn_echo.py", "--certfile", str(pem), backend="python") as server:
        url = f"wss://127.0.0.1:{server.port}/"
        only = ["--only", "framing/text,close/empty,close/server-ends", "--timeout", "10"]
        assert cli.main(["conformance", url, *only, "--insecure"]) == 0
        assert cli.main(["conformance", url, *only]) == 1  # nobody trusts that certificate
    captured = capsys.readouterr()
    assert "✔ framing: 13 passed\n" in captured.out
    assert "CERTIFICATE_VERIFY_FAILED" in captured.err


# ---- options and exit statuses ---------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ["--only", "no-such-word\x1b", "ws://x/"],
        ["--timeout", "0", "ws://x/"],
        ["--timeout", "soon", "ws://x/"],
        ["--max-message", "1", "ws://x/"],
        ["--client", "--port", "70000"],
    ],
)
def test_wrong_values_exit_with_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["conformance", *argv])
    assert caught.value.code == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["ws://a/", "ws://b/"],
        ["http://127.0.0.1/"],
        ["ws://127.0.0.1/#fragment"],
        ["ws://127.0.0.1/a\x1bb"],
        ["--client", "--peers"],
        ["--client", "python", "client.py"],
        ["--port", "1", "ws://127.0.0.1/"],
        ["--peers", "ws://127.0.0.1/"],
        ["--markdown", "-", "ws://127.0.0.1/"],
        ["--only", "client/waits", "ws://127.0.0.1/"],
        ["--json", "/no/such/folder/x", "ws://127.0.0.1/"],
    ],
)
def test_wrong_usage_exits_with_2(argv, capsys):
    assert cli.main(["conformance", *argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith("wsfast conformance: ")
    assert "\x1b" not in err


def test_nobody_there_exits_with_1(capsys):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert cli.main(["conformance", f"ws://127.0.0.1:{port}/"]) == 1
    assert "no WebSocket server at" in capsys.readouterr().err


def test_list(capsys):
    assert cli.main(["conformance", "--list", "--only", "close/code-1005"]) == 0
    line = "close/code-1005  MUST    RFC 6455 §7.4: the code 1005 is never on the wire\n"
    assert capsys.readouterr().out == line
    assert cli.main(["conformance", "--list", "--client", "--only", "client/"]) == 0
    assert "client/waits" in capsys.readouterr().out


def test_failures_are_told_and_trust_nobody(capsys):
    def spoiled(message):
        return "\x1b[31m"

    with running(Faults(message=spoiled)) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        assert cli.main(["conformance", url, "--only", "framing/hello", "--json", "-"]) == 1
    captured = capsys.readouterr()
    (case,) = json.loads(captured.out)["cases"]
    assert case["outcome"] == "fail"
    assert "instead of a text of 5 bytes" in case["seen"]
    assert "expected: the message back" in captured.err
    assert "1 failed (1 of them a MUST)" in captured.err
    assert "no text comes back" in captured.err
    assert "\x1b" not in captured.err


def test_an_echo_server_is_not_told_to_echo(capsys):
    with running() as server:
        argv = ["conformance", f"ws://127.0.0.1:{server.port}/", "--only", "framing/hello"]
        assert cli.main(argv) == 0
    assert "no text comes back" not in capsys.readouterr().err


def test_without_a_limit_its_cases_are_informational(capsys):
    with running() as server:
        url = f"ws://127.0.0.1:{server.port}/"
        assert cli.main(["conformance", url, "--only", "limits/beyond", "--verbose"]) == 0
    assert "informational, 0 skipped" in capsys.readouterr().out


# ---- the codec for probing -------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("masked", [False, True])
def test_frames_go_there_and_back(length, masked):
    frame = wire.Frame(wire.BINARY, bytes(range(256)) * 257, fin=True)
    frame = frame._replace(payload=frame.payload[:length])
    reader = wire.Reader(masked)
    for byte in wire.encode(frame, masked, b"\x01\x02\x03\x04"):
        assert reader.next() is None
        reader.feed(bytes([byte]))
    assert reader.next() == wire.Message(wire.BINARY, frame.payload)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("83 00", "reserved opcode 3"),
        ("8b 00", "reserved opcode 11"),
        ("c1 00", "reserved bits"),
        ("80 00", "continues nothing"),
        ("01 00 81 00", "within another message"),
        ("81 80", "is masked"),
        ("81 7e 00 01", "not the fewest"),
        ("09 00", "is fragmented"),
        ("c9 00", "reserved bits"),
        ("89 7e 00 7e" + " 00" * 126, "126 bytes"),
        ("88 01 03", "no valid code"),
        ("88 02 03 ed", "no valid code"),
        ("88 03 03 e8 ff", "not UTF-8"),
        ("81 01 ff", "not UTF-8"),
    ],
)
def test_reader_finds_fault(data, says):
    reader = wire.Reader(masked=False)
    reader.feed(bytes.fromhex(data))
    with pytest.raises(wire.Fault, match=says):
        while reader.next() is not None:
            pass


def test_reader_inflates_with_the_window_agreed_on():
    noise = random.Random(1).randbytes(2000)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    far = deflate.compress(noise + noise) + deflate.flush(zlib.Z_SYNC_FLUSH)
    frame = wire.encode(wire.Frame(2, far.removesuffix(wire.TAIL), rsv=4), False, b"")
    for bits, good in ((15, True), (9, False)):
        reader = wire.Reader(masked=False)
        reader.agree(wire.Agreement(theirs_bits=bits))
        reader.feed(frame)
        if good:
            assert reader.next() == wire.Message(2, noise + noise, True)
        else:
            with pytest.raises(wire.Fault, match="window of 9 bits"):
                reader.next()


def test_accept_of_the_rfc():
    assert opening.accept_of(opening.KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


# ---- peers -----------------------------------------------------------------------------------


def test_peers_side_by_side(tmp_path, monkeypatch, capsys):
    pytest.importorskip("websockets")
    wanted = {name: peers.PEERS[name] for name in ("wsfast.Connection", "websockets", "tornado")}
    monkeypatch.setattr(peers, "PEERS", wanted)
    real = peers.find_spec
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name == "tornado" else real(name))
    file, page = tmp_path / "peers.json", tmp_path / "peers.md"
    only = ["--only", "framing/length-125,ping/4,close/empty"]
    argv = ["conformance", "--peers", *only, "--json", str(file), "--markdown", str(page)]
    assert cli.main(argv) == 0
    found = json.loads(file.read_text("utf-8"))
    assert [peer["id"] for peer in found["peers"]] == ["wsfast.Connection", "websockets"]
    assert found["missing"] == {"tornado": "not installed: tornado"}
    for peer in found["peers"]:
        check_schema(peer)
    text = page.read_text("utf-8")
    assert "| framing/length-125-in-2-bytes | RFC 6455 §5.2 | MUST | ✔ | ✘ |" in text
    assert "2 more cases were passed by every one of them." in text
    assert "Left out: tornado, not installed: tornado." in text
    captured = capsys.readouterr()
    assert "left out: tornado" in captured.err
    assert "MUST failed" in captured.out


def test_no_peer_exits_with_3(monkeypatch, capsys):
    monkeypatch.setattr(peers, "PEERS", {})
    assert cli.main(["conformance", "--peers"]) == 3
    assert "no peer" in capsys.readouterr().err


def test_every_peer_has_a_server():
    done = subprocess.run(
        [sys.executable, "-c", "from wsfast.cli.conformance import hosts; print(*hosts.SERVE)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {peer.serve for peer in peers.PEERS.values()} == set(done.stdout.split())


def test_reports_of_nothing():
    empty = {"peers": [], "missing": {}, "wsfast": "0", "backend": "c", "finished": "2026-01-02T"}
    assert "0 more cases" in report_peers.markdown(empty)
    assert report.listing([]) == ""

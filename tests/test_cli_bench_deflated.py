"""The load of ``wsfast bench --app deflate``: against a server of our own, good and bad."""

import contextlib
import json
import socket
import threading

import pytest
from bench_document import check_schema

from wsfast import Connection, Role, cli, handshake
from wsfast.cli.bench import deflated
from wsfast.deflate import PerMessageDeflate

AGREED = (PerMessageDeflate(server_max_window_bits=12),)


@pytest.fixture
def serve():
    """``serve(answer)``: a server that writes ``answer(connection, message)``'s bytes."""
    with contextlib.ExitStack() as stack:

        def start(answer, extensions=AGREED, sizes=None, greeting=b""):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            how = answer, extensions, [] if sizes is None else sizes, greeting
            threading.Thread(target=accept, args=(listener, how)).start()
            stack.callback(listener.shutdown, socket.SHUT_RDWR)  # ends the accept() in the thread
            return listener.getsockname()[1]

        def accept(listener, how):
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threading.Thread(target=talk, args=(sock, *how)).start()

        yield start


def talk(sock, answer, extensions, sizes, greeting):
    with sock, contextlib.suppress(OSError):
        request = handshake.ServerHandshake().feed(sock.recv(65536))
        offer = handshake.check_upgrade(request.method, request.http_version, request.headers)
        response = handshake.accept(offer, extensions=extensions)
        sock.sendall(bytes(response) + greeting)
        connection = Connection(Role.SERVER, extensions=response.extensions)
        while data := sock.recv(65536):
            sizes.append(len(data))
            for message in connection.receive(data, 0.0):
                answer(connection, message)
            sock.sendall(b"".join(connection.data_to_send()))


def echo(connection, message):
    connection.send(message)


LANES = deflated.event_lanes(2, 200)


@pytest.mark.parametrize("in_flight", [1, 16])
@pytest.mark.parametrize("messages", [1, 7, 900])  # of the last, each text is sent again
def test_sends_just_as_many_messages_as_asked(serve, in_flight, messages):
    marks = []
    done, seconds, wrong = deflated.run(
        "127.0.0.1", serve(echo), LANES, in_flight=in_flight, warmup=5, messages=messages,
        mark=lambda: marks.append(1),
    )  # fmt: skip
    assert (done, wrong, len(marks)) == (messages, 0, 2)
    assert seconds > 0


def test_what_is_sent_is_compressed_with_what_went_before(serve):
    sizes = []
    deflated.run("127.0.0.1", serve(echo, sizes=sizes), LANES[:1], messages=100)
    alone, *_, last = sizes
    assert sum(sizes[50:]) < 50 * 120  # of 200 bytes
    assert last < alone


def test_replies_that_differ_are_counted(serve):
    port = serve(lambda connection, message: connection.send(message[:-1] + "!"))
    assert deflated.run("127.0.0.1", port, LANES, warmup=4, messages=20)[::2] == (20, 24)


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (lambda c, m: (c.send(m), c.send(m)), ConnectionError, "more than was asked for"),
        (lambda c, m: c.send(m.encode()), ConnectionError, "something else than text: b'"),
        (lambda c, m: c.close(1000), ConnectionError, r"else than text: Close\(code=1000"),
        (lambda c, m: None, TimeoutError, "no reply for 200 ms after 0 messages"),
    ],
    ids=["twice", "binary", "closes", "silent"],
)
def test_a_server_that_does_not_echo(serve, answer, error, says):
    with pytest.raises(error, match=says):
        deflated.run("127.0.0.1", serve(answer), LANES[:1], messages=5, timeout=0.2)


def test_a_server_that_does_not_compress(serve):
    with pytest.raises(ConnectionError, match="did not agree on permessage-deflate"):
        deflated.run("127.0.0.1", serve(echo, extensions=()), LANES, messages=5)


@pytest.mark.parametrize(
    ("response", "error", "says"),
    [
        (b"", ConnectionResetError, "closed the connection after 0 messages"),
        (b"HTTP/1.1 403 No\r\n\r\n", ConnectionError, r"handshake: bad_status \(HTTP 403\)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ConnectionError, "handshake: bad_response"),
    ],
    ids=["gone", "refuses", "no HTTP"],
)
def test_a_server_that_does_not_open_the_connection(response, error, says):
    def answer():
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer).start()
        with pytest.raises(error, match=says):
            deflated.run("127.0.0.1", listener.getsockname()[1], LANES[:1], messages=5)


def test_a_server_that_speaks_first(serve):
    port = serve(echo, greeting=b"\x81\x02hi")
    with pytest.raises(ConnectionError, match=r"before it was spoken to: b'\\x81\\x02hi'"):
        deflated.run("127.0.0.1", port, LANES[:1], messages=5)


@pytest.mark.parametrize("size", [200, 16384])
def test_events_have_their_size_and_each_is_new(size):
    lanes = deflated.event_lanes(8, size)
    texts = [text for lane in lanes for text in lane]
    assert {len(text.encode()) for text in texts} == {size}
    assert len(set(texts)) == len(texts)
    assert json.loads(texts[0].split("\n")[0])["time"] > 0


def test_a_small_run(capsys, tmp_path):
    for module in ("uvicorn", "websockets"):
        pytest.importorskip(module)
    path = tmp_path / "out.json"
    argv = ["bench", "--seconds", "0.2", "--app", "deflate", "--loop", "asyncio"]
    assert cli.main([*argv, "--json", str(path)]) == 0
    document = json.loads(path.read_text(encoding="utf-8"))
    check_schema(document, "echo")
    assert [server["id"] for server in document["servers"]] == ["uvicorn", "uvicorn+wsfast"]
    assert capsys.readouterr().out.splitlines()[1].startswith("raw, compressed JSON, 200 B, ×1")

"""The load generator, in C and in Python, against servers good and bad."""

import base64
import contextlib
import hashlib
import signal
import socket
import sys
import threading
import time

import pytest

import wsfast
from wsfast.cli import _load_py

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture(params=["c", "python"])
def run(request):
    if request.param == "python":
        return _load_py.run
    if not wsfast.build_info()["ok"]:
        pytest.skip("the C extensions are not built")
    from wsfast.cli import _load

    return _load.run


@pytest.fixture
def serve():
    """``serve(handler)``: a server on 127.0.0.1, ``handler(socket)`` in a thread per connection."""
    with contextlib.ExitStack() as stack:

        def start(handler):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=accept, args=(listener, handler), daemon=True).start()
            return listener.getsockname()[1]

        def accept(listener, handler):
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threading.Thread(target=handle, args=(sock, handler), daemon=True).start()

        def handle(sock, handler):
            with sock, contextlib.suppress(OSError):
                handler(sock)

        yield start


def chunks(sock):
    while data := sock.recv(65536):
        yield data


def echo(sock):
    for data in chunks(sock):
        sock.sendall(data)


def read_head(sock):
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(65536)
    return head


def upgrade(sock):
    key = read_head(sock).split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept)
    sock.sendall(b"\r\n\r\n")


def lanes(connections=2, size=10, count=3):
    requests = [
        b"".join([bytes([65 + c, 48 + n]) * (size // 2) for n in range(count)])
        for c in range(connections)
    ]
    return [(request, request, count) for request in requests]


REQUEST = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
ACCEPT = base64.b64encode(hashlib.sha1(b"AAAAAAAAAAAAAAAAAAAAAA==" + GUID).digest())


@pytest.mark.parametrize("in_flight", [1, 16])
@pytest.mark.parametrize("messages", [1, 7, 200])
def test_sends_just_as_many_messages_as_asked(run, serve, in_flight, messages):
    port = serve(echo)
    done, seconds, mismatches = run(
        "127.0.0.1", port, lanes(), in_flight=in_flight, warmup=5, messages=messages
    )
    assert (done, mismatches) == (messages, 0)
    assert seconds > 0


def test_runs_for_the_seconds_asked(run, serve):
    done, seconds, mismatches = run("127.0.0.1", serve(echo), lanes(), seconds=0.1)
    assert done > 10
    assert mismatches == 0
    assert 0.1 <= seconds < 2


def test_messages_larger_than_the_socket_buffers(run, serve):
    big = lanes(connections=2, size=1 << 20, count=2)
    assert run("127.0.0.1", serve(echo), big, in_flight=4, messages=16)[::2] == (16, 0)


def test_marks_are_called_before_and_after_the_timed_messages(run, serve):
    seen = []

    def counting_echo(sock):
        for data in chunks(sock):
            total[0] += len(data)
            sock.sendall(data)

    total = [0]
    port = serve(counting_echo)
    run("127.0.0.1", port, lanes(1), warmup=3, messages=5, mark=lambda: seen.append(total[0]))
    assert seen == [30, 80]


def test_a_mark_that_raises_ends_the_run(run, serve):
    def mark():
        raise LookupError("mark")

    with pytest.raises(LookupError, match="mark"):
        run("127.0.0.1", serve(echo), lanes(), messages=5, mark=mark)


def test_upgrades_before_it_sends(run, serve):
    def handler(sock):
        upgrade(sock)
        echo(sock)

    result = run("127.0.0.1", serve(handler), lanes(), request=REQUEST, accept=ACCEPT, messages=50)
    assert result[::2] == (50, 0)


def test_counts_replies_that_differ(run, serve):
    def handler(sock):
        for data in chunks(sock):
            sock.sendall(data[:-1] + b"!")

    assert run("127.0.0.1", serve(handler), lanes(), warmup=4, messages=20)[::2] == (20, 24)


def test_notices_a_repeated_reply(run, serve):
    def handler(sock):
        first = sock.recv(10)
        sock.sendall(first)
        for _ in chunks(sock):
            sock.sendall(first)

    # Of three different messages in turn, every third is by chance the right answer.
    assert run("127.0.0.1", serve(handler), lanes(1), messages=30)[::2] == (30, 20)


def test_more_replies_than_messages_are_an_error(run, serve):
    def handler(sock):
        for data in chunks(sock):
            sock.sendall(data * 2)

    with pytest.raises(ConnectionError, match="more than was asked for"):
        run("127.0.0.1", serve(handler), lanes(1), messages=5)


def test_replies_to_what_was_not_sent_are_an_error(run, serve):
    """Taken for answers, they once let what waits to be sent outgrow the memory it lies in."""

    def handler(sock):
        sock.sendall(b"ab")
        ended.wait(10)

    ended, request = threading.Event(), bytes(12 << 20)  # more than the sockets' buffers take
    try:
        with pytest.raises(ConnectionError, match="more than was asked for"):
            run("127.0.0.1", serve(handler), [(request, b"a", 1)], in_flight=2, messages=2)
    finally:
        ended.set()


def test_a_server_that_dies_in_mid_run(run, serve):
    def handler(sock):
        for _ in range(3):
            sock.sendall(sock.recv(10))

    with pytest.raises(ConnectionResetError, match=r"closed the connection after 3 messages"):
        run("127.0.0.1", serve(handler), lanes(1), messages=100)


def test_a_server_that_falls_silent(run, serve):
    with pytest.raises(TimeoutError, match="no reply for 200 ms after 0 messages"):
        run("127.0.0.1", serve(lambda sock: list(chunks(sock))), lanes(), messages=5, timeout=0.2)


def test_a_server_that_trickles(run, serve):
    def handler(sock):
        data = sock.recv(1000)
        for place in range(len(data)):
            sock.sendall(data[place : place + 1])
            time.sleep(0.05)

    with pytest.raises(TimeoutError):
        run("127.0.0.1", serve(handler), lanes(1, size=100), messages=5, timeout=0.2)


def test_a_refused_handshake_shows_its_status_line_escaped(run, serve):
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 403 \x1b[31mNo\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(ConnectionError) as caught:
        run("127.0.0.1", serve(handler), lanes(), request=REQUEST, accept=ACCEPT, messages=1)
    assert str(caught.value) == r"the server refused the handshake: 'HTTP/1.1 403 \x1b[31mNo'"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n" + ACCEPT + b"\r\n\r\nunasked",
        b"HTTP/1.0 101 Switching Protocols\r\n" + ACCEPT + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching",
        b"\r\n\r\n",
        b"x" * 20000,
    ],
    ids=["accept", "trailing", "version", "cut", "empty", "endless"],
)
def test_answers_that_are_no_handshake(run, serve, answer):
    def handler(sock):
        read_head(sock)
        sock.sendall(answer)

    with pytest.raises(ConnectionError, match="refused the handshake"):
        run("127.0.0.1", serve(handler), lanes(), request=REQUEST, accept=ACCEPT, messages=1)


def test_a_server_that_never_answers_the_handshake(run, serve):
    with pytest.raises(TimeoutError):
        run(
            "127.0.0.1",
            serve(lambda sock: list(chunks(sock))),
            lanes(),
            request=REQUEST,
            messages=1,
            timeout=0.2,
        )


def test_nobody_listens(run):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            run("127.0.0.1", sock.getsockname()[1], lanes(), messages=1)


def test_ctrl_c_is_heard(run, serve):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            run("127.0.0.1", serve(echo), lanes(), seconds=20)
        assert time.monotonic() - start < 5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_two_threads_load_one_server(run, serve):
    port, results = serve(echo), []
    threads = [
        threading.Thread(
            target=lambda: results.append(run("127.0.0.1", port, lanes(), messages=100)[::2])
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(100, 0), (100, 0)]


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"seconds": -1.0},
        {"seconds": float("nan")},
        {"messages": -1},
        {"messages": 1, "warmup": -1},
        {"messages": 1, "in_flight": 0},
        {"messages": 1, "timeout": 0.0},
    ],
)
def test_wrong_numbers(run, kwargs):
    with pytest.raises(ValueError):
        run("127.0.0.1", 9, lanes(), **kwargs)


@pytest.mark.parametrize(
    "wrong", [[], [(b"abc", b"abc", 2)], [(b"", b"", 1)], [(b"abc", b"abc", 0)]]
)
def test_wrong_lanes(run, wrong):
    with pytest.raises(ValueError):
        run("127.0.0.1", 9, wrong, messages=1)


@pytest.mark.skipif(sys.platform != "linux", reason="counts Linux's page faults")
def test_python_takes_no_page_from_the_system_for_a_reply(serve, run_python):
    """In a process of its own: what was freed before raises the size from which malloc asks."""
    script = (
        "import resource, sys\n"
        "from wsfast.cli._load_py import run\n"
        "faults = lambda: marks.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)\n"
        "marks, lane = [], (b'message.' * 8, b'message.' * 8, 8)\n"
        "run('127.0.0.1', int(sys.argv[1]), [lane], warmup=100, messages=500, mark=faults)\n"
        "print(marks[1] - marks[0])\n"
    )
    own = {"LD_PRELOAD": None, "PYTHONMALLOC": None, "WSFAST_BACKEND": "python"}  # no sanitizer's
    told = run_python("-c", script, str(serve(echo)), **own)
    assert int(told.stdout) < 100, told.stderr

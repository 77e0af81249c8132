"""The published examples, with each other and with peers that misbehave; ws and wss."""

from __future__ import annotations

import asyncio
import runpy
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from wsfast import Close, Connection, FrameEncoder, Limits, RemoteProtocolError, Role, handshake
from wsfast.deflate import PerMessageDeflate

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CLIENT = EXAMPLES / "echo_client.py"
SERVER = EXAMPLES / "echo_server.py"
TIMEOUT = 20.0  # seconds

client = runpy.run_path(str(CLIENT))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """PEM files: a certificate for localhost with its key; who signed it."""
    trustme = pytest.importorskip("trustme")
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return str(folder / "server.pem"), str(folder / "authority.pem")


# ---- the client, to a server that does what a test says -----------------------------------------


class Visitor:
    """A client at a server of the test: its connection, and what it said."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.seen: list[object] = []
        opening = handshake.ServerHandshake()
        request = None
        while request is None:
            request = opening.feed(sock.recv(65536))
        offer = handshake.check_upgrade(request.method, request.http_version, request.headers)
        response = handshake.accept(offer, extensions=[PerMessageDeflate()])
        self.connection = Connection(Role.SERVER, extensions=response.extensions)
        self.opening = bytes(response)

    def write(self, raw: bytes = b"") -> None:
        opening, self.opening = self.opening, b""
        self.sock.sendall(opening + b"".join(self.connection.data_to_send()) + raw)

    def read(self, count: int) -> None:
        """Until the client has said so much, or is gone."""
        while len(self.seen) < count:
            data = self.sock.recv(65536)
            self.seen += self.connection.receive(data) if data else [None]


@contextmanager
def serving(script: Callable[[Visitor], None]) -> Iterator[tuple[str, list[object]]]:
    """The URL of a server that plays ``script`` with one client, and what that client says."""
    seen: list[object] = []

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(TIMEOUT)
            visitor = Visitor(sock)
            visitor.seen = seen
            script(visitor)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/", seen
        thread.join(TIMEOUT)


def test_messages_come_back_until_the_server_closes() -> None:
    def script(visitor: Visitor) -> None:
        visitor.connection.send("héllo" * 100)  # leaves with the answer to the handshake
        visitor.write()
        visitor.read(1)
        visitor.connection.send(b"\xff")
        visitor.write()
        visitor.read(2)
        visitor.connection.close(1001, "bye")
        visitor.write()
        visitor.read(3)

    with serving(script) as (url, seen):
        connection = client["converse"](url, lambda message: message)
    assert seen == ["héllo" * 100, b"\xff", Close(1001, "bye")]
    assert connection.close_rcvd == Close(1001, "bye")
    assert connection.failed is None


def test_no_reply_sends_nothing() -> None:
    def script(visitor: Visitor) -> None:
        visitor.connection.send("not answered")
        visitor.connection.close()
        visitor.write()
        visitor.read(1)

    heard: list[str] = []
    with serving(script) as (url, seen):
        client["converse"](url, heard.append)
    assert heard == ["not answered"]
    assert seen == [Close(1000, "")]


@pytest.mark.parametrize(
    "raw, code, name",
    [
        (b"\x81\x01\xff", 1007, "invalid_utf8"),
        (b"\x82\x7e\x00\x80" + bytes(128), 1009, "message_too_big"),
    ],
)
def test_the_client_says_why_and_lets_the_server_close_first(raw, code, name) -> None:
    """RFC 6455 §7.1.1: it waits for the end of the transport."""

    def script(visitor: Visitor) -> None:
        visitor.write(raw)
        visitor.read(1)
        visitor.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            visitor.sock.recv(1)

    with serving(script) as (url, seen):
        connection = client["converse"](url, str, limits=Limits(max_message=127))
    assert [event.code for event in seen] == [code]
    assert isinstance(connection.failed, RemoteProtocolError)
    assert connection.failed.name == name


def test_a_server_that_stays_silent_is_left_at_the_deadline() -> None:
    def script(visitor: Visitor) -> None:
        visitor.write(b"\x8f\x00")
        visitor.read(2)

    with serving(script) as (url, seen):
        connection = client["converse"](url, str, limits=Limits(close_timeout=0.1))
    assert connection.failed.name == "invalid_opcode"
    assert seen[0].code == 1002
    assert seen[1] is None, "the client closed the transport"


def test_a_transport_that_breaks() -> None:
    with serving(Visitor.write) as (url, _):
        connection = client["converse"](url, str)
    assert connection.failed.name == "unexpected_eof"


# ---- as programs --------------------------------------------------------------------------------


def run_client(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CLIENT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def test_the_client_as_a_program() -> None:
    def script(visitor: Visitor) -> None:
        visitor.connection.send("x" * 11)
        visitor.write()
        visitor.read(1)
        if visitor.connection.close_rcvd is None:
            visitor.connection.close(4000, "enough")
            visitor.write()
            visitor.read(2)

    with serving(script) as (url, seen):
        done = run_client(url, "--max-message", "11")
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed: 4000 enough\n", "")
    assert seen == ["x" * 11, Close(4000, "enough")]
    with serving(script) as (url, seen):
        done = run_client(url, "--max-message", "10")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{url}: ")
    assert [event.code for event in seen] == [1009]


def test_the_client_as_a_program_says_what_refused_it() -> None:
    def script(visitor: Visitor) -> None:
        visitor.opening = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
        visitor.write()

    with serving(script) as (url, _):
        done = run_client(url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{url}: ")
    assert "Traceback" not in done.stderr


@contextmanager
def example_server(*arguments: str) -> Iterator[str]:
    """The URL that examples/echo_server.py prints."""
    command = [sys.executable, str(EXAMPLES / "echo_server.py"), "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_client_and_server_speak(scheme, certificate) -> None:
    certfile, ca_file = certificate
    arguments = ["--certfile", certfile] if scheme == "wss" else []
    with example_server("--max-message", "1000", *arguments) as url:
        assert url.startswith(f"{scheme}://")
        url = url.replace("127.0.0.1", "localhost")
        context = ssl.create_default_context(cafile=ca_file)
        sock, connection, data = client["connect"](url, Limits(), context)
        with sock:
            events = connection.receive(data)
            for message in ("ü" * 500, "too long" * 500):
                connection.send(message)
                client["write"](sock, connection)
                while not events:
                    events = connection.receive(client["read_until"](sock, None))
                seen, events = events, []
                assert seen == [message] if len(message) == 500 else seen[0].code == 1009


def test_a_certificate_that_nobody_trusts(certificate) -> None:
    with example_server("--certfile", certificate[0]) as url:
        done = run_client(url.replace("127.0.0.1", "localhost"))
        assert done.returncode == 1
        assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


@asynccontextmanager
async def unread(serve: Callable[..., object]) -> AsyncIterator[asyncio.StreamWriter]:
    """A client that does not read, at this server behind small buffers."""

    def small(sock: socket.socket) -> socket.socket:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        return sock

    listener = small(socket.create_server(("127.0.0.1", 0)))
    server = await asyncio.start_server(serve, sock=listener)
    sock = small(socket.socket())
    sock.connect(listener.getsockname())
    reader, writer = await asyncio.open_connection(sock=sock)
    opening = handshake.ClientHandshake("ws://localhost/")
    writer.write(opening.request())
    while opening.feed(await reader.read(1 << 16)) is None:
        pass
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    yield writer
    writer.transport.abort()
    server.close()
    await server.wait_closed()


FRAME = FrameEncoder(Role.CLIENT).binary(bytes(1 << 16))


def test_the_server_does_not_read_while_its_peer_does_not() -> None:
    """Else what it has to send to that peer piles up."""

    async def main() -> None:
        async with unread(runpy.run_path(str(SERVER))["serve"]) as writer:
            with pytest.raises(TimeoutError):
                for _ in range(512):  # 32 MiB
                    writer.write(FRAME)
                    await asyncio.wait_for(writer.drain(), 1)

    asyncio.run(main())


def test_the_server_does_not_wait_for_ever_for_a_peer_that_does_not_read() -> None:
    serve = runpy.run_path(str(SERVER))["serve"]
    serve.__globals__["WRITE_TIMEOUT"] = 0.2
    brief = partial(serve, limits=Limits(close_timeout=0.2))

    async def main() -> None:
        async with unread(brief) as writer, asyncio.timeout(TIMEOUT):
            with pytest.raises(ConnectionError):
                while True:
                    writer.write(FRAME)
                    await writer.drain()

    asyncio.run(main())


def test_the_server_does_not_abort_who_reads_at_last() -> None:
    """asyncio's abort() fails where close() found something unsent, and all of it left since."""
    serve = runpy.run_path(str(SERVER))["serve"]
    serve.__globals__["WRITE_TIMEOUT"] = 0.2
    brief = partial(serve, limits=Limits(close_timeout=0.6))
    errors: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context["message"]))
        async with unread(brief) as writer:
            writer.write(512 * FRAME)
            await asyncio.sleep(0.4)  # the server has given up
            writer.transport.set_protocol(asyncio.Protocol())  # which only reads
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(0.8)

    asyncio.run(main())
    assert not [error for error in errors if "abort" in error]


@pytest.mark.parametrize("name", ["echo_server.py", "broadcast_server.py"])
def test_ctrl_c_with_somebody_connected_is_no_traceback(name: str) -> None:
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell lets its background jobs ignore it, and they hand that on.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    ) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().rstrip(b"/\n").rpartition(b":")[2])
            opening = handshake.ClientHandshake(f"ws://127.0.0.1:{port}/")
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
                sock.sendall(opening.request())
                assert sock.recv(65536).startswith(b"HTTP/1.1 101 ")
                server.send_signal(signal.SIGINT)
                said = server.communicate(timeout=TIMEOUT)[1]
        finally:
            server.kill()
    assert (server.returncode, said) == (0, b"")

"""The server that docs/security.md points to: its deadlines and bounds, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from wsfast import (
    Close,
    FrameEncoder,
    Limits,
    LocalProtocolError,
    MessageDecoder,
    Role,
    handshake,
)

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "production_server.py"
pytestmark = pytest.mark.skipif(not EXAMPLE.exists(), reason="needs a checkout")


@pytest.fixture
def example():
    """The module, with little patience."""
    spec = importlib.util.spec_from_file_location("production_server", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.LIMITS = Limits(
        open_timeout=0.2, close_timeout=0.2, message_timeout=0.2, queue_messages=2, max_message=1000
    )
    module.WRITE_TIMEOUT = 0.2
    return module


@pytest.fixture
def run(example):
    """``run(main)``: ``main(connect, server)`` beside a server, for at most ten seconds.

    Nothing goes wrong in the server that it does not expect.
    """

    def call(main, loop_factory=None):
        faults = []

        async def both():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: faults.append(context))
            server = example.Server()
            listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
            port = listener.sockets[0].getsockname()[1]
            async with listener:
                await main(lambda **options: connected(port, **options), server)
            while server.connections:
                await asyncio.sleep(0.01)

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.wait_for(both(), 10))
        assert not faults

    return call


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.encoder, self.decoder = FrameEncoder(Role.CLIENT), MessageDecoder(Role.CLIENT)

    async def items(self):
        """All until the server hangs up."""
        found = []
        while data := await self.reader.read(1 << 16):
            found += self.decoder.feed(data)
        return found


@asynccontextmanager
async def connected(port, origin=None, request=None, **tls):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **tls)
    client = Client(reader, writer)
    try:
        if request is None:
            headers = [] if origin is None else [("Origin", origin)]
            opening = handshake.ClientHandshake(f"ws://127.0.0.1:{port}/", headers=headers)
            writer.write(opening.request())
            client.head = await reader.readuntil(b"\r\n\r\n")
        else:
            writer.write(request)
        yield client
    finally:
        writer.close()


def test_messages(run):
    async def main(connect, server):
        async with connect() as client:
            for text in ("one", "two"):
                client.writer.write(client.encoder.text(text))
                assert client.decoder.feed(await client.reader.read(100)) == [text]
            client.writer.write(client.encoder.close())
            assert await client.items() == [Close(1000, "")]

    run(main)


@pytest.mark.parametrize("request_", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_s25_half_open_handshakes_end(run, request_):
    async def main(connect, server):
        async with connect(request=request_) as client:
            assert await client.items() == []
            assert not server.connections  # with nothing to say to it, nobody waits for it

    run(main)


def test_s25_half_open_tls_ends(example, tmp_path, monkeypatch, capsys):
    """asyncio would wait for a minute, and nobody counts whom it waits for."""
    trustme = pytest.importorskip("trustme")
    pem = str(tmp_path / "pem")
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    monkeypatch.setattr(sys, "argv", ["", "--port", "0", "--certificate", pem, "--key", pem])

    async def main():
        serving = asyncio.create_task(example.main())
        while not (said := re.search(r"port (\d+)", capsys.readouterr().out)):
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(said[1]))
        assert await reader.read() == b""
        writer.close()
        os.kill(os.getpid(), signal.SIGTERM)
        await serving

    asyncio.run(asyncio.wait_for(main(), 10))


def test_who_is_aborted_over_tls_is_named(example, tmp_path, monkeypatch, capsys, caplog):
    trustme = pytest.importorskip("trustme")
    pem, authority = str(tmp_path / "pem"), trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    monkeypatch.setattr(sys, "argv", ["", "--port", "0", "--certificate", pem, "--key", pem])
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main():
        serving = asyncio.create_task(example.main())
        while not (said := re.search(r"port (\d+)", capsys.readouterr().out)):
            await asyncio.sleep(0.01)
        tls = {"ssl": context, "server_hostname": "localhost"}
        async with connected(int(said[1]), **tls):
            os.kill(os.getpid(), signal.SIGTERM)  # its Close stays without an answer
            await serving

    with caplog.at_level("INFO"):
        asyncio.run(asyncio.wait_for(main(), 10))
    assert "('127.0.0.1', " in caplog.text


def test_s23_bad_handshakes_are_answered(run):
    async def main(connect, server):
        async with connect(request=b"GET / HTTP/1.1\r\n\r\n") as client:
            assert (await client.reader.read()).startswith(b"HTTP/1.1 426 ")

    run(main)


@pytest.mark.parametrize(("origin", "status"), [
    (None, 101), ("http://{host}", 101), ("https://{host}", 101), ("https://evil.example", 403),
])  # fmt: skip
def test_s24_origins(run, origin, status):
    async def main(connect, server):
        async with connect() as client:
            port = client.writer.get_extra_info("peername")[1]
        given = origin and origin.format(host=f"127.0.0.1:{port}")
        async with connect(origin=given) as client:
            assert client.head.startswith(b"HTTP/1.1 %d " % status)

    run(main)


def test_s04_slow_messages_end(run):
    async def main(connect, server):
        async with connect() as client:
            client.writer.write(client.encoder.text("a", fin=False))
            assert await client.items() == [Close(1008, "message timeout")]

    run(main)


def test_a_peer_that_goes_on_sending_is_told(run):
    """And not reset: see docs/proxies.md."""

    async def main(connect, server):
        async with connect() as client:
            client.writer.write(client.encoder.binary(bytes(4_000_000)))
            sent = asyncio.create_task(client.writer.drain())
            assert await client.items() == [Close(1009, "message exceeds the limit")]
            await sent
            while server.connections:  # but it is not waited for, either
                await asyncio.sleep(0.01)

    run(main)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_peer_that_resets(run, loop):
    """Whenever it does: no write_eof() on a transport that is gone, which uvloop refuses."""
    module = pytest.importorskip(loop)
    at_once = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets

    async def main(connect, server):
        for number in range(20):
            async with connect() as client:
                client.writer.write(client.encoder.text("a") + b"\xc1" * (number % 2))
                sock = client.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                await asyncio.sleep(number / 10000)
                client.writer.transport.abort()

    run(main, module.new_event_loop)


def test_a_stop_waits_for_those_that_linger(run, example):
    """Or else its end resets them."""
    example.LIMITS = example.LIMITS.replace(close_timeout=5.0)

    async def main(connect, server):
        async with connect() as client:
            client.writer.write(b"\xc1" + bytes(5))
            assert [item.code for item in await client.items()] == [1002]
            stopping = asyncio.create_task(server.stop())
            await asyncio.sleep(0.1)
            assert not stopping.done()
            client.writer.close()
            await stopping

    run(main)


def test_s06_long_messages_end(run):
    async def main(connect, server):
        async with connect() as client:
            client.writer.write(client.encoder.binary(bytes(1001)))
            assert (await client.items())[-1].code == 1009

    run(main)


def test_a_slow_application_holds_the_peer_back(run, example):
    busy = asyncio.Event()

    async def answer(message):
        await busy.wait()
        return message

    example.answer = answer
    sent = ["x"] * 200

    async def main(connect, server):
        async with connect() as client:
            for text in sent[:4]:
                client.writer.write(client.encoder.text(text))
            await asyncio.sleep(0.05)
            [session] = server.sessions
            assert session.full()
            for text in sent[4:]:
                client.writer.write(client.encoder.text(text))
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            held = len(session.inbox)
            busy.set()
            assert held <= 4  # what one read brought
            echoed = []
            while len(echoed) < len(sent):
                echoed += client.decoder.feed(await client.reader.read(1 << 16))
            assert echoed == sent

    run(main)


@pytest.mark.parametrize(
    "outcome",
    [ArithmeticError(), ConnectionResetError(), TimeoutError(), LocalProtocolError("closing"), 5],
)
def test_an_application_that_fails(run, example, caplog, outcome):
    """Also with what the socket, or the connection, might raise; 5 is no message."""

    async def answer(message):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    example.answer = answer

    async def main(connect, server):
        async with connect() as client:
            client.writer.write(client.encoder.text("a"))
            assert (await client.items())[-1].code == 1011

    run(main)
    assert "the application failed" in caplog.text


@pytest.mark.parametrize("fault", [ConnectionResetError(), OSError(errno.EHOSTUNREACH, "no route")])
def test_a_socket_that_fails_is_aborted(run, example, caplog, fault):
    """When an answer is written to it; that is no fault of the application."""

    async def drain():
        raise fault

    async def main(connect, server):
        async def answer(message):
            session.writer.drain = drain
            return message

        example.answer = answer
        async with connect() as client:
            while not server.sessions:
                await asyncio.sleep(0.01)
            [session] = server.sessions
            client.writer.write(client.encoder.text("a"))
            assert await client.items() == ["a"]
            assert session.writer.transport.is_closing()

    run(main)
    assert "the application failed" not in caplog.text


def test_an_answer_that_comes_too_late(run, example, caplog):
    """While the connection is closing nobody waits for it."""
    busy = asyncio.Event()

    async def answer(message):
        await busy.wait()
        return message

    example.answer = answer

    async def main(connect, server):
        async with connect() as client:
            client.writer.write(client.encoder.text("a"))
            while not server.sessions:
                await asyncio.sleep(0.01)
            [session] = server.sessions
            await asyncio.sleep(0.02)
            session.stop()
            busy.set()
            assert await client.items() == [Close(1001, "")]

    run(main)
    assert "the application failed" not in caplog.text


def test_what_comes_after_the_application_failed_is_discarded(run, example):
    """It must not wait for somebody to take it."""

    async def fail(message):
        raise ValueError

    example.answer = fail

    async def main(connect, server):
        async with connect() as client:
            client.writer.write(client.encoder.text("a"))
            assert client.decoder.feed(await client.reader.read(100))[-1].code == 1011
            for _ in range(2 * example.LIMITS.queue_messages):
                client.writer.write(client.encoder.text("late"))
            await asyncio.sleep(0.05)  # the server has read them
            client.writer.write(client.encoder.close(1011))
            assert await client.items() == []

    run(main)


def test_s19_a_peer_that_does_not_read_ends(run, example):
    example.LIMITS = example.LIMITS.replace(max_message=1 << 20)

    async def main(connect, server):
        async with connect() as client:
            client.writer.transport.pause_reading()
            while server.sessions:
                client.writer.write(client.encoder.binary(bytes(500_000)))
                await asyncio.sleep(0.005)

    run(main)


def test_who_reads_what_was_left_is_not_aborted(run, example):
    """asyncio's abort() fails where close() found something unsent, and all of it left since."""

    async def answer(message):
        return bytes(4 << 20)  # more than the buffers of a socket take

    example.answer = answer
    example.LIMITS = example.LIMITS.replace(close_timeout=0.5)

    async def main(connect, server):
        async with connect() as client:
            client.writer.write(client.encoder.text("a"))
            await client.reader.readexactly(1)
            client.writer.write(client.encoder.close())
            client.writer.write_eof()
            while server.connections:
                await asyncio.sleep(0.01)
            with suppress(ConnectionError):  # on a machine that is too slow for it
                await client.reader.read()
            await asyncio.sleep(0.6)  # over close_timeout

    run(main)


def test_too_many(run, example):
    example.CONNECTIONS = 1

    async def main(connect, server):
        async with connect() as first:
            assert first.head.startswith(b"HTTP/1.1 101 ")
            async with connect() as second:
                assert second.head.startswith(b"HTTP/1.1 503 ")

    run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_descriptors_that_run_out_do_not_fill_the_log(tmp_path):
    import resource

    log = tmp_path / "log"
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [sys.executable, str(EXAMPLE), "--port", "0"], stdout=subprocess.PIPE, stderr=file
        ) as process,
        ExitStack() as clients,
    ):
        port = int(re.search(rb"port (\d+)", process.stdout.readline())[1])
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (32, 32))
        try:
            for _ in range(40):
                clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(500):
                if b"out of system resource" in log.read_bytes():
                    break
                time.sleep(0.01)
            clients.close()

            async def main():  # it serves again
                async with connected(port) as client:
                    assert client.head.startswith(b"HTTP/1.1 101 ")

            asyncio.run(asyncio.wait_for(main(), 20))
        finally:
            process.kill()
    # One second between two tries: one or two of them.
    assert 1 <= log.read_bytes().count(b"out of system resource") <= 300


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_sigterm(run_python):
    with subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        port = int(re.search(rb"port (\d+)", process.stdout.readline())[1])

        async def main():
            async with connected(port) as client:
                os.kill(process.pid, signal.SIGTERM)
                data = await client.reader.read(100)
                assert client.decoder.feed(data) == [Close(1001, "")]
                client.writer.write(client.encoder.close(1001))
                assert await client.items() == []

        try:
            with socket.create_connection(("127.0.0.1", port)) as half_open:
                half_open.sendall(b"GET ")  # and no more
                asyncio.run(asyncio.wait_for(main(), 20))
                assert process.wait(5) == 0
            assert b"Traceback" not in process.stderr.read()
        finally:
            process.kill()

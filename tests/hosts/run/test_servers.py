"""Real servers under ``wsfast run``: frames go through it in each process that serves."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import connect

# Each answer is the number of the process. After "rest" it takes no connection for a while, so that
# the next one goes to another.
APP = """\
import os, time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": str(os.getpid())})
        if event["text"] == "rest":
            time.sleep(0.5)
"""
SERVER = """\
import asyncio, os
from websockets.asyncio.server import serve

async def answer(connection):
    async for message in connection:
        await connection.send(str(os.getpid()))

async def main():
    async with serve(answer, "127.0.0.1", 0) as server:
        print("at 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

def run():
    asyncio.run(main())

if __name__ == "__main__":
    run()
"""
SPAWN = """\
import multiprocessing, signal
import server

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=server.run) for _ in range(2)]
    for worker in workers:
        worker.start()
    signal.signal(signal.SIGTERM, lambda number, frame: [one.terminate() for one in workers])
    for worker in workers:
        worker.join()
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    for name, text in (("app", APP), ("server", SERVER), ("spawn", SPAWN)):
        (tmp_path / f"{name}.py").write_text(text)


def ask(port: int) -> int:
    with connect(f"ws://127.0.0.1:{port}/", proxy=None, open_timeout=60) as client:
        client.send("hello")
        return int(client.recv(60))


def processes(port: int, wanted: int, known: set[int] | None = None) -> set[int]:
    """The processes that answer at ``port``, ``wanted`` of them besides those ``known``."""
    end = time.monotonic() + 60
    found: set[int] = set()
    with ExitStack() as stack:
        while len(found) < wanted:
            assert time.monotonic() < end, found
            try:
                client = connect(f"ws://127.0.0.1:{port}/", proxy=None, open_timeout=60)
                stack.enter_context(client)  # closed at the end: a server at rest does not answer
                client.send("rest")
                found |= {int(client.recv(60))} - (known or set())
            except (OSError, ConnectionClosed, InvalidMessage):  # the server is being replaced
                time.sleep(0.1)
    return found


SERVERS = {
    "uvicorn --workers": ("websockets", "uvicorn app:app --port 0 --workers 2"),
    "hypercorn": ("wsproto", "hypercorn app:app --bind 127.0.0.1:0 -w 2"),
    "hypercorn, one process": ("wsproto", "hypercorn app:app --bind 127.0.0.1:0 -w 1"),
    "gunicorn": (
        "websockets",
        "gunicorn -k uvicorn_worker.UvicornWorker app:app --bind 127.0.0.1:0 -w 2",
    ),
}


@pytest.mark.parametrize("name", SERVERS)
def test_every_worker(name, serving):
    host, line = SERVERS[name]
    running = serving(*line.split())
    served = processes(running.port(), 1 if "one" in name else 2)
    assert running.stop() == 0, running.output()
    report = running.report()
    for process in served:
        assert report[process][host]["state"] == "active", report[process][host]
        assert report[process][host]["hits"] > 0
    assert "Traceback" not in running.output()


def test_reload(serving, tmp_path):
    running = serving("uvicorn", "app:app", "--port", "0", "--reload")
    served = processes(running.port(), 1)
    (tmp_path / "app.py").write_text(APP + "# changed\n")
    served |= processes(running.port(), 1, served)
    assert running.stop() == 0, running.output()
    report = running.report()
    assert all(report[process]["websockets"]["hits"] > 0 for process in served)


@pytest.mark.parametrize(
    "words", ["server.py", "-m server", "python server.py", "-- ./server.sh"], ids=str
)
def test_program(words, serving, tmp_path):
    script = tmp_path / "server.sh"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' server.py\n")
    script.chmod(0o755)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.defpath])
    running = serving(*words.split(), PATH=path)
    process = ask(running.port())
    assert process == running.process.pid
    assert running.stop() == -signal.SIGTERM
    assert running.report()[process]["websockets"]["hits"] > 0


def test_spawned_processes(serving):
    running = serving("spawn.py")
    end = time.monotonic() + 60
    while len(ports := running.wait_for(r"127\.0\.0\.1:(\d+)")) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    served = {ask(int(port)) for port in ports}
    assert running.stop() == 0, running.output()
    report = running.report()
    assert len(served) == 2
    assert all(report[process]["websockets"]["hits"] > 0 for process in served)


def test_only_some_hosts(serving):
    running = serving("--only", "wsproto", "server.py")
    process = ask(running.port())
    running.stop()
    found = running.report()[process]
    assert found["websockets"]["state"] == "off"
    assert found["wsproto"]["state"] == "pending"


def test_left_alone(serving):
    running = serving("server.py", WSFAST="0")
    assert ask(running.port()) == running.process.pid
    assert running.stop() == -signal.SIGTERM
    assert not running.file.exists()

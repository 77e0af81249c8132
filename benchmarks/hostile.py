"""Hostile peers against real servers, ours beside others, in one run; see docs/security.md.

    python benchmarks/hostile.py [--only ID…] [--attacks NAME…] [--json FILE] [--md FILE]

Every attack meets a fresh server process, after one message that loads what is loaded late.
Memory is what the process grew by at its peak (VmHWM, reset before), time its CPU time. Bounded,
on loopback; about seven minutes. `--strict` exits 1 where one of our own bars is missed. Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hostile_servers import HALF_OPEN, LIMIT, SERVERS, version_of
from machine import describe

from wsfast import Close, FrameEncoder, MessageDecoder, Role

KIB, MIB = 1 << 10, 1 << 20
OURS = ("wsfast.uvicorn", "wsfast Connection")
READ = 256 * KIB  # what asyncio makes room for before it reads, and a flood fills
PATIENCE = 15.0  # seconds a server may take to answer an attack
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)


class Server:
    """One server process and what it uses."""

    def __init__(self, name: str) -> None:
        script = Path(__file__).with_name("hostile_servers.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.before = 0

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _status(self, field: str) -> int:
        """Bytes; of VmRSS or VmHWM."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(text.partition(f"{field}:")[2].split()[0]) * KIB

    def start_counting(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")  # proc(5): VmHWM
        self.before = self._status("VmRSS")

    def growth(self) -> int:
        return max(0, self._status("VmHWM") - self.before)

    def cpu(self) -> float:
        """Seconds, of all threads."""
        return time.clock_gettime_ns((~self.process.pid << 3) | 2) / 1e9


class Client:
    """A raw connection that has opened, and has had one message echoed."""

    def __init__(self, server: Server, window: int | None = None) -> None:
        self.sock = socket.socket()
        if window is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", server.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(REQUEST)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.sock.recv(1)
        self.compressed = b"permessage-deflate" in head.lower()
        self.decoder = MessageDecoder(Role.CLIENT)
        self.encoder = FrameEncoder(Role.CLIENT, keys=lambda: bytes(4))
        self.sock.sendall(self.encoder.binary(b"hello"))  # too short to be compressed
        self.sock.recv(100)

    def hurry(self) -> None:
        """1 MiB of Pongs nobody asked for (RFC 6455 §5.5.3), as fast as they are taken."""
        pongs = self.encoder.pong(bytes(58)) * (MIB // 64)
        self.sock.sendall(pongs + self.encoder.binary(b"hello"))
        self.sock.recv(100)

    def end(self, patience: float = PATIENCE) -> str:
        """How the server answers: "1009", "dropped", or "open" where it says nothing."""
        last = time.monotonic() + patience
        while (left := last - time.monotonic()) > 0:
            try:
                self.sock.settimeout(left)
                data = self.sock.recv(65536)
            except TimeoutError:
                break
            except ConnectionError:
                return "dropped"
            closes = [item for item in self.decoder.feed(data) if isinstance(item, Close)]
            if closes:
                return str(closes[0].code)
            if not data:
                return "dropped"
        return "open"


def bomb(server: Server) -> dict[str, Any]:
    """256 MiB of zeros in one frame of 254 KiB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    again = compressor.compress(bytes(MIB)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    payload = (first + 255 * again)[:-4]
    wire = b"\xc2\xff" + len(payload).to_bytes(8, "big") + bytes(4) + payload
    client = Client(server)
    server.start_counting()
    before = server.cpu()
    with contextlib.suppress(ConnectionError):
        client.sock.sendall(wire)
    outcome = client.end() if client.compressed else "no compression"
    return {"outcome": outcome, "growth": server.growth(), "cpu_s": server.cpu() - before}


def many(server: Server) -> dict[str, Any]:
    """512 messages of 1 MiB in 516 KiB, as fast as they are taken, and a witness beside them.

    The longest that the witness waits for an echo is how long the others of a server stand still.
    """
    client, witness = Client(server), Client(server)
    if not client.compressed:
        return {"outcome": "no compression", "growth": 0, "cpu_s": 0.0, "stall_s": 0.0}
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    wire = b""
    for _ in range(512):
        payload = compressor.compress(bytes(LIMIT)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        wire += b"\xc2\xfe" + (len(payload) - 4).to_bytes(2, "big") + bytes(4) + payload[:-4]
    server.start_counting()
    before = server.cpu()
    client.sock.setblocking(False)
    left, stall = memoryview(wire), 0.0
    last = time.monotonic() + 6
    while (now := time.monotonic()) < last:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            left = left[client.sock.send(left) :] if left else left
        with contextlib.suppress(BlockingIOError, ConnectionError):
            client.sock.recv(MIB)
        witness.sock.sendall(witness.encoder.binary(b"hello"))
        witness.sock.recv(100)
        stall = max(stall, time.monotonic() - now)
        time.sleep(0.001)
    outcome = f"an echo took {stall * 1e3:,.0f} ms"
    growth, cpu = server.growth(), server.cpu() - before
    return {"outcome": outcome, "growth": growth, "cpu_s": cpu, "stall_s": stall}


def empties(server: Server) -> dict[str, Any]:
    """300,000 empty continuations of one message."""
    client = Client(server)
    server.start_counting()
    before = server.cpu()
    client.sock.setblocking(False)
    wire = memoryview(b"\x02\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 300_000)
    outcome = ""
    while wire and not outcome:
        readable, writable, _ = select.select([client.sock], [client.sock], [], PATIENCE)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if writable:
                wire = wire[client.sock.send(wire[: 64 * KIB]) :]
        if readable:
            outcome = client.end()
        if not readable and not writable:
            outcome = "stuck"
    outcome = outcome or client.end(3)
    return {"outcome": outcome, "growth": server.growth(), "cpu_s": server.cpu() - before}


def pings(server: Server) -> dict[str, Any]:
    """400,000 Pings of a client that reads nothing, with the least window there is."""
    client = Client(server, window=4096)
    client.sock.setblocking(False)
    server.start_counting()
    before = server.cpu()
    wire = memoryview(client.encoder.ping(bytes(125)) * 400_000)  # 50 MiB to answer
    size = len(wire)
    while wire:
        if not select.select([], [client.sock], [], 3)[1]:
            break
        wire = wire[client.sock.send(wire[: 64 * KIB]) :]
    time.sleep(1)
    taken = 1 - len(wire) / size
    outcome = "all read" if not wire else f"held back after {taken:.0%}"
    return {"outcome": outcome, "growth": server.growth(), "cpu_s": server.cpu() - before}


def dribble(server: Server) -> dict[str, Any]:
    """A message byte by byte: what a byte costs at 256 KiB and at 1 MiB."""
    sizes = (LIMIT // 4, LIMIT - 1)  # aiohttp's limit is not inclusive
    costs = [float("inf")] * 2
    growth = 0
    for turn in (0, 1) * 3:  # the best of three: machines change speed
        size = sizes[turn]
        client = Client(server)
        wire = b"\x82\xff" + size.to_bytes(8, "big") + bytes(4) + bytes(size)
        server.start_counting()
        before = server.cpu()
        for i in range(len(wire) - 1):
            client.sock.send(wire[i : i + 1])
        time.sleep(0.3)
        costs[turn] = min(costs[turn], (server.cpu() - before) / size * 1e9)
        growth = max(growth, server.growth())
        client.sock.close()
    flat = costs[1] / costs[0]
    outcome = f"{costs[0]:.0f} and {costs[1]:.0f} ns a byte"
    return {"outcome": outcome, "growth": growth, "ns_per_byte": costs, "ratio": flat}


def half_open(server: Server, count: int = HALF_OPEN) -> dict[str, Any]:
    """Handshakes that never end: how many the server still holds three seconds after ten.

    One that lets go of them may take its time for so many at once.
    """
    server.start_counting()
    before = server.cpu()
    poll = select.poll()
    held: dict[int, socket.socket] = {}
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        sock.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        held[sock.fileno()] = sock
        poll.register(sock, select.POLLIN)
    start = now = time.monotonic()
    while held and now - start < (13 if len(held) == count else 60):
        for number, _ in poll.poll(500):
            sock = held[number]
            with contextlib.suppress(ConnectionError):
                if sock.recv(1000):
                    continue
            poll.unregister(sock)
            held.pop(number).close()
        now = time.monotonic()
    for sock in held.values():
        sock.close()
    outcome = f"{len(held):,} still open" if held else f"none left after {now - start:.1f} s"
    growth = server.growth()
    return {"outcome": outcome, "growth": growth, "open": len(held), "cpu_s": server.cpu() - before}


ATTACKS: dict[str, Callable[..., dict[str, Any]]] = {
    "bomb": bomb,
    "many": many,
    "empties": empties,
    "pings": pings,
    "dribble": dribble,
    "half-open": half_open,
}
TITLES = {
    "bomb": "256 MiB in a frame of 254 KiB; the limit is 1 MiB",
    "many": "512 messages of 1 MiB, compressed to 516 KiB, as fast as they are taken",
    "empties": "300,000 empty continuations",
    "pings": "400,000 Pings of 125 bytes, and no Pong is read",
    "dribble": "a message of 256 KiB, and of 1 MiB, byte by byte (CPU: ns a byte, second to first)",
    "half-open": "10,000 handshakes that never end",
}


def bars(results: list[dict[str, Any]]) -> Iterator[tuple[str, bool, str]]:
    """What ours must keep: (name, kept, figure)."""
    for row in results:
        if row["server"] not in OURS:
            continue
        attack, grown = row["attack"], f"+{row['growth'] / KIB:,.0f} KiB, {row['outcome']}"
        name = f"{row['server']}: {attack}"
        if attack == "bomb":
            yield name, row["outcome"] == "1009" and row["growth"] <= LIMIT + MIB, grown
        elif attack == "many":  # the queue, twice the message that is echoed, what zlib joins
            yield name, row["growth"] <= 8 * MIB and row["stall_s"] < 0.1, grown
        elif attack == "empties":
            reads = 2 if row["server"] == "wsfast Connection" else 0  # a StreamReader copies them
            most = reads * READ + 64 * KIB
            yield name, row["outcome"] == "1009" and row["growth"] <= most, grown
        elif attack == "pings":  # what is queued is counted in tests/hosts/test_uvicorn_hostile.py
            yield name, row["growth"] <= 2 * MIB, grown
        elif attack == "dribble":
            yield name, row["ratio"] < 1.5, f"{row['ratio']:.2f}"
        elif attack == "half-open" and row["server"] == "wsfast Connection":
            yield name, row["open"] == 0, row["outcome"]


def table(results: list[dict[str, Any]]) -> str:
    lines = []
    for attack, title in TITLES.items():
        rows = [row for row in results if row["attack"] == attack]
        if not rows:
            continue
        lines += [
            f"### {title}",
            "",
            "| server | grew by, KiB | CPU, s | outcome |",
            "|---|--:|--:|---|",
        ]
        for row in rows:
            cpu = f"{row['cpu_s']:.2f}" if "cpu_s" in row else f"×{row['ratio']:.2f}"
            grew = f"{row['growth'] / KIB:,.0f}"
            lines.append(f"| {row['server']} | {grew} | {cpu} | {row['outcome']} |")
        lines.append("")
    return "\n".join(lines)


def measure(names: list[str], attacks: list[str], count: int) -> list[dict[str, Any]]:
    results = []
    for attack in attacks:
        for name in names:
            with Server(name) as server:
                client = Client(server)  # loads what is loaded late,
                client.hurry()  # and has what fast reads take, whatever is read
                client.sock.close()
                time.sleep(0.2)
                try:
                    options = {"count": count} if attack == "half-open" else {}
                    found = ATTACKS[attack](server, **options)
                except OSError as exc:
                    found = {
                        "outcome": f"failed: {exc}",
                        "growth": 0,
                        "cpu_s": 0.0,
                        "open": -1,
                        "ratio": 0,
                        "stall_s": 99.0,
                    }
            results.append({"attack": attack, "server": name, **found})
            print(
                f"{attack:10} {name:20} +{found['growth'] / KIB:10,.0f} KiB  {found['outcome']}",
                flush=True,
            )
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--half-open", type=int, default=HALF_OPEN)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--md", type=Path)
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    versions = {name: version_of(name) for name in options.only}
    names = [name for name, found in versions.items() if found is not None]
    for name in set(versions) - set(names):
        print(f"{name} is not installed")
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    results = measure(names, options.attacks, options.half_open)
    kept = list(bars(results))
    for name, good, figure in kept:
        print(f"{'kept  ' if good else 'MISSED'} {name}: {figure}")
    report = {
        "started": started, "machine": describe(), "limit": LIMIT,
        "versions": versions, "results": results,
        "bars": [{"name": name, "kept": good, "figure": figure} for name, good, figure in kept],
    }  # fmt: skip
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if options.md is not None:
        head = f"# Hostile peers, {started[:10]}\n\n{', '.join(map(str, describe().values()))}\n\n"
        options.md.write_text(head + table(results), "utf-8")
    return 1 if options.strict and not all(good for _, good, _ in kept) else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
    sys.exit(main())

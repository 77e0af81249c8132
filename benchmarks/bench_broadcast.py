"""One message to 1,000 connections, prepared against sent to each, and against websockets.

    python benchmarks/bench_broadcast.py [--connections N] [--rounds N] [--json FILE] [--strict]

Compression is on, without context takeover of the server. First the codec alone, then the whole
of asyncio servers that write to as many connections, of TCP on loopback and of a Unix socket, as
behind a proxy on the same machine, on asyncio's own event loop and on uvloop, and once without
compression: CPU time of their process, kernel included, until all is written. Exit status: 0; 1
with --strict when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from pathlib import Path
from random import Random
from typing import Any

import machine
import tables
from broadcast_servers import CONFIG, text
from rounds import Track, kept, pairs, summary

import wsfast
from wsfast import Connection, FrameEncoder, MessageDecoder, PreparedMessage, Role
from wsfast.cli.bench.stats import ratio

SERVERS = Path(__file__).with_name("broadcast_servers.py")
SIZES = (110, 16 << 10)
CODEC = "codec"
OFFER = "permessage-deflate; server_no_context_takeover; server_max_window_bits=12"


@dataclass(frozen=True)
class Place:
    title: str
    loop: str = "asyncio"
    unix: bool = False  # a Unix socket
    offer: str = OFFER


SOCKETS = {
    "server, TCP": Place("Server, through TCP"),
    "server, TCP, uvloop": Place("Server, through TCP, uvloop", "uvloop"),
    "server, Unix": Place("Server, through a Unix socket", unix=True),
    "server, Unix, uvloop": Place("Server, through a Unix socket, uvloop", "uvloop", unix=True),
    "server, TCP, plain": Place("Server, through TCP, without compression", offer=""),
}
BARS = {
    CODEC: {110: 20, 16 << 10: 20},
    **{name: {110: 2.5, 16 << 10: 10} for name, place in SOCKETS.items() if place.offer},
}
OURS, EACH, RIVAL = "prepared", "sent to each", "websockets broadcast()"
FLOOR = "floor: transport.write(), ready made"
JUDGED = (EACH, RIVAL)  # what the bars compare ours with
Rows = dict[str, list[float | None]]  # nanoseconds per connection
Cells = dict[tuple[str, int], Rows]
Interval = tuple[float, float, float]


def installed(package: str) -> str | None:
    """Its version; None: it is not there, and neither are its rows."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def rival() -> str | None:
    return installed("websockets")


def connection() -> Connection:
    agreed = CONFIG.negotiate([])
    assert agreed is not None
    return Connection(Role.SERVER, extensions=[agreed])


def check(frame: bytes, size: int, offer: str = OFFER) -> None:
    """One connection's copy is the message, compressed if that was offered."""
    inflate = None
    if offer:
        agreed = [("server_no_context_takeover", None), ("server_max_window_bits", "12")]
        client = CONFIG.confirm(agreed)
        assert client is not None
        inflate = client.inflater()
    assert (len(frame) < size) == bool(offer)
    assert MessageDecoder(Role.CLIENT, inflate=inflate).feed(frame) == [text(size)]


def codec(size: int, count: int, track: Track) -> Rows:
    """The frames alone: of the encoder of each connection, or of one message for all."""
    message, ours = text(size), [connection() for _ in range(count)]
    encoders = [FrameEncoder(Role.SERVER, deflate=one.extensions[0].deflater()) for one in ours]

    def each(n: int) -> None:
        for _ in repeat(None, n):
            for encoder in encoders:
                encoder.text(message)

    def prepared(n: int) -> None:
        for _ in repeat(None, n):
            made = PreparedMessage(message)
            for one in ours:
                made.frame_for(one)

    for frame in (encoders[0].text(message), PreparedMessage(message).frame_for(ours[0])):
        check(frame, size)
    runs = {OURS: prepared, EACH: each}
    if rival():
        runs[RIVAL] = codec_of_websockets(size, count)
    return dict(zip(runs, track.race(list(runs.values()), count)))


def codec_of_websockets(size: int, count: int) -> Callable[[int], None]:
    """What its ``broadcast()`` does but for the transport."""
    from contenders import websockets_end

    message, protocols = text(size), [websockets_end("SERVER", alone=True) for _ in range(count)]

    def broadcast(n: int) -> None:
        for _ in repeat(None, n):
            data = message.encode()
            for protocol in protocols:
                protocol.send_text(data)
                protocol.data_to_send()

    protocols[0].send_text(message.encode())
    check(b"".join(protocols[0].data_to_send()), size)
    return broadcast


# ---- servers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """How a server of broadcast_servers.py writes the message; ``word`` is its name there."""

    server: str
    word: str


WAYS = {
    OURS: Way("wsfast", "prepared"),
    EACH: Way("wsfast", "each"),
    RIVAL: Way("websockets", "broadcast"),
    f"{RIVAL}, wsfast.install()ed": Way("websockets+wsfast", "broadcast"),
    FLOOR: Way("wsfast", "written"),
    "floor: socket.send(), ready made": Way("wsfast", "kernel"),
}
REQUEST = (
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


class Server:
    """One of broadcast_servers.py, and its clients; they read all before the next message."""

    def __init__(self, name: str, count: int, place: Place) -> None:
        self.offer = place.offer
        self.selector = selectors.DefaultSelector()
        with tempfile.TemporaryDirectory() as folder:  # of a socket that all are connected to
            path = [f"{folder}/socket"] if place.unix else []
            command = [sys.executable, str(SERVERS), name, place.loop, str(count), *path]
            self.child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            address = self.line().strip()
            self.sockets = [self.open(address) for _ in range(count)]

    def line(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline()

    def open(self, address: str) -> socket.socket:
        """A client behind its handshake; the address is a port or a path."""
        if address.isdigit():
            one = socket.create_connection(("127.0.0.1", int(address)))
        else:
            one = socket.socket(socket.AF_UNIX)
            one.connect(address)
        extensions = f"Sec-WebSocket-Extensions: {self.offer}\r\n" if self.offer else ""
        one.sendall(f"{REQUEST}{extensions}\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += one.recv(1 << 16)
        assert self.offer.encode() in answer, answer
        assert (b"permessage-deflate" in answer) == bool(self.offer), answer
        self.selector.register(one, selectors.EVENT_READ)
        return one

    def send(self, word: str, size: int) -> int:
        """Have a message sent to all; nanoseconds."""
        assert self.child.stdin is not None
        print(word, size, file=self.child.stdin, flush=True)
        took = int(self.line())
        check(self.read(), size, self.offer)
        return took

    def read(self) -> bytes:
        """The frame that every client gets; 126 to 65,535 bytes, or fewer than 126."""
        got = dict.fromkeys(self.sockets, b"")
        due, length = len(got), -1
        while due:
            for key, _ in self.selector.select():
                one: Any = key.fileobj
                data = got[one] = got[one] + one.recv(1 << 16)
                if length < 0:
                    short = data[1] < 126
                    length = data[1] + 2 if short else int.from_bytes(data[2:4], "big") + 4
                due -= len(data) == length
        assert len(set(got.values())) == 1
        return data

    def close(self) -> None:
        assert self.child.stdin is not None and self.child.stdout is not None
        self.child.stdin.close()
        self.child.wait(10)
        self.child.stdout.close()
        self.selector.close()
        for one in self.sockets:
            one.close()


def through_sockets(what: str, count: int, rounds: int, ways: dict[str, Way]) -> Cells:
    found: Cells = {(what, size): {name: [] for name in ways} for size in SIZES}
    servers: dict[str, Server] = {}
    try:
        for way in ways.values():
            if way.server not in servers:
                servers[way.server] = Server(way.server, count, SOCKETS[what])
        for turn in range(-2, rounds):  # the first two warm up
            order = Random(turn).sample(list(ways.items()), len(ways))  # as of rounds.py
            for (_, size), rows in found.items():
                for name, way in order:
                    took = servers[way.server].send(way.word, size)
                    if turn >= 0:
                        rows[name].append(took / count)
    finally:
        for server in servers.values():
            server.close()
    return found


# ---- the whole ----------------------------------------------------------------------------------


def compared(rows: Rows, name: str, ours: str = OURS) -> Interval:
    """How many times what ``ours`` takes does ``name`` take."""
    return ratio(*pairs(rows[ours], rows[name]))


def verdicts(cells: Cells) -> list[tuple[str, int, str, float, Interval | None]]:
    """What, size, beside whom, the bar, and what was measured."""
    return [
        (what, size, name, BARS[what][size], compared(rows, name) if name in rows else None)
        for name in JUDGED
        for (what, size), rows in cells.items()
        if what in BARS
    ]


def table(what: str, size: int, rows: Rows) -> str:
    lines = []
    for name, found in rows.items():
        mid, low, high = summary(found)
        cheaper = "" if name == OURS else tables.times(compared(rows, name))
        lines.append([name, tables.number(mid), f"{tables.number(low)}..{tables.number(high)}",
                      cheaper, f"{len(kept(found))}/{len(found)}"])  # fmt: skip
    name = "Codec alone" if what == CODEC else SOCKETS[what].title
    title = f"\n## {name}, ns per connection · {size:,} B\n\n"
    return title + tables.grid(["", "median", "min..max", f"{OURS} is x cheaper", "batches"], lines)


def ending(cells: Cells) -> str:
    """The rival, losses, and the bars with the pair that each is judged on."""
    lines = ["\n## Rivals\n", f"* websockets {rival() or 'MISSING'}", "\n## Losses\n"]
    lost = [f"* {what}, {size:,} B: {name} is cheaper; ours is x {tables.times(got)}"
            for (what, size), rows in cells.items() for name in rows
            if name != OURS and not name.startswith("floor")
            and (got := compared(rows, name))[2] < 1]  # fmt: skip
    lines += lost or [f"* none: nothing but the floors is surely cheaper than {OURS}"]
    lines.append("\n## Acceptance\n")
    for what, size, name, bar, got in verdicts(cells):
        measured = "not measured" if got is None else f"x {tables.times(got)}"
        words = f"{what}, {size:,} B, {OURS} against {name}: {measured}, wanted x {bar}"
        if got is not None and FLOOR in (rows := cells[what, size]):
            words += f"; the floor is at x {compared(rows, name, FLOOR)[0]:.2f}"
        lines.append(tables.verdict(tables.reached(got, bar), words))
    return "\n".join(lines)


def as_json(cells: Cells, count: int, rounds: int) -> dict[str, object]:
    return {
        "schema": "wsfast-bench/1",
        "kind": "broadcast",
        "wsfast": wsfast.__version__,
        "backend": wsfast.backend(),
        "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine.describe(),
        "versions": {"websockets": rival(), "uvloop": installed("uvloop")},
        "settings": {"connections": count, "rounds": rounds, "clock": "process CPU time",
                     "deflate": repr(CONFIG)},
        "cells": [{"what": what, "size": size, "way": way, "ns": [round(x) for x in kept(times)]}
                  for (what, size), rows in cells.items() for way, times in rows.items()],
        "acceptance": [{"what": what, "size": size, "of": OURS, "to": name, "wanted": bar,
                        "measured": got and [round(x, 2) for x in got],
                        "passed": tables.reached(got, bar)}
                       for what, size, name, bar, got in verdicts(cells)],
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", metavar="FILE", help="write the figures too")
    parser.add_argument("--strict", action="store_true", help="a missed bar is an error")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    ways = WAYS if rival() else {n: w for n, w in WAYS.items() if w.server == "wsfast"}
    print(tables.heading(machine.describe(), wsfast.__version__, wsfast.backend()))
    print(f"\n{args.connections:,} connections, {CONFIG}")
    track = Track(args.rounds)
    cells: Cells = {(CODEC, size): codec(size, args.connections, track) for size in SIZES}
    for what, place in SOCKETS.items():
        if place.loop == "uvloop" and installed("uvloop") is None:
            print(f"\n{what}: MISSING, pip install uvloop")
            continue
        cells |= through_sockets(what, args.connections, args.rounds, ways)
    for (what, size), rows in cells.items():
        print(table(what, size, rows))
    print(ending(cells))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(as_json(cells, args.connections, args.rounds), file, indent=1)
            file.write("\n")
    missed = any(tables.reached(got, bar) is False for *_, bar, got in verdicts(cells))
    return 1 if args.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())

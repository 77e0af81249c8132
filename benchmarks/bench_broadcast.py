"""One message to 1,000 connections, prepared against sent to each; the method is in README.md.

    python benchmarks/bench_broadcast.py [--connections N] [--rounds N] [--json FILE] [--strict]

Compression is on, without context takeover of the server. First the codec alone, then the whole
of an asyncio server that writes to as many TCP connections on loopback: CPU time of its process,
kernel included, until all is written. Exit status: 0; 1 with --strict when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
import socket
import subprocess
import sys
from datetime import UTC, datetime
from itertools import repeat
from time import process_time_ns
from typing import Any

import machine
import tables
from deflate_cases import DeflateCase
from rounds import Track, kept, pairs, summary

import wsfast
from wsfast import (
    Connection,
    FrameEncoder,
    MessageDecoder,
    PreparedMessage,
    Role,
    StreamPeer,
    broadcast,
)
from wsfast.cli.bench.stats import ratio
from wsfast.deflate import PerMessageDeflate

SIZES = (110, 16 << 10)
BARS = {("codec", 110): 20, ("codec", 16 << 10): 20, ("server", 110): 2.5, ("server", 16 << 10): 10}
TITLES = {"codec": "Codec alone", "server": "Server, through sockets"}
CONFIG = PerMessageDeflate(server_no_context_takeover=True, server_max_window_bits=12)
Rows = dict[str, list[float | None]]  # nanoseconds per connection
Cells = dict[tuple[str, int], Rows]


def text(size: int) -> str:
    return DeflateCase("deflate", size).messages[0]


def connection() -> Connection:
    agreed = CONFIG.negotiate([])
    assert agreed is not None
    return Connection(Role.SERVER, extensions=[agreed])


def check(frame: bytes, size: int) -> None:
    """One connection's copy is the message, compressed."""
    agreed = [("server_no_context_takeover", None), ("server_max_window_bits", "12")]
    client = CONFIG.confirm(agreed)
    assert client is not None and len(frame) < size
    assert MessageDecoder(Role.CLIENT, inflate=client.inflater()).feed(frame) == [text(size)]


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
    return dict(zip(("sent to each", "prepared"), track.race([each, prepared], count)))


# ---- the server ---------------------------------------------------------------------------------


async def serve(count: int) -> None:
    """A server of its own process: told what to send on stdin, it answers with its CPU time."""
    peers: list[StreamPeer] = []
    full = asyncio.Event()

    def joined(reader: Any, writer: asyncio.StreamWriter) -> None:
        peers.append(StreamPeer(connection(), writer))
        if len(peers) == count:
            full.set()

    server = await asyncio.start_server(joined, "127.0.0.1", 0, backlog=count)
    print(server.sockets[0].getsockname()[1], flush=True)
    await full.wait()
    async with server:
        for line in sys.stdin:
            way, size = line.split()
            message = text(int(size))
            frame = PreparedMessage(message).frame_for(peers[0].connection)
            start = process_time_ns()
            if way == "prepared":
                broadcast(peers, message)
            elif way == "written":
                for peer in peers:
                    peer.writer.write(frame)
            else:
                for peer in peers:
                    peer.connection.send(message)
                    peer.flush()
            took = process_time_ns() - start
            assert not any(peer.bytes_queued for peer in peers), "the kernel did not take it all"
            print(took, flush=True)


class Clients:
    """The other ends, which read all there is before the next message."""

    def __init__(self, port: int, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for one in self.sockets:
            self.selector.register(one, selectors.EVENT_READ)

    def read(self) -> bytes:
        """The frame that every one of them gets; 126 to 65,535 bytes, or fewer than 126."""
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
        self.selector.close()
        for one in self.sockets:
            one.close()


def through_sockets(count: int, rounds: int) -> Cells:
    command = [sys.executable, __file__, "--serve", "--connections", str(count)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    clients = Clients(int(child.stdout.readline()), count)
    ways = ("sent to each", "prepared", "written only, ready made")
    found: Cells = {("server", size): {way: [] for way in ways} for size in SIZES}
    try:
        for turn in range(-2, rounds):  # the first two warm up
            for (_, size), rows in found.items():
                for way in ways[turn % 3 :] + ways[: turn % 3]:
                    print(way.split()[0], size, file=child.stdin, flush=True)
                    took = int(child.stdout.readline())
                    check(clients.read(), size)
                    if turn >= 0:
                        rows[way].append(took / count)
    finally:
        child.stdin.close()
        clients.close()
        child.wait(10)
    return found


# ---- the whole ----------------------------------------------------------------------------------


def compared(rows: Rows) -> tuple[float, float, float]:
    return ratio(*pairs(rows["prepared"], rows["sent to each"]))


def table(what: str, size: int, rows: Rows) -> str:
    lines = []
    for name, found in rows.items():
        mid, low, high = summary(found)
        cheaper = tables.times(compared(rows)) if name == "sent to each" else ""
        lines.append([name, tables.number(mid), f"{tables.number(low)}..{tables.number(high)}",
                      cheaper, f"{len(kept(found))}/{len(found)}"])  # fmt: skip
    title = f"\n## {TITLES[what]}, ns per connection · {size:,} B\n\n"
    return title + tables.grid(
        ["", "median", "min..max", "prepared is x cheaper", "batches"], lines
    )


def as_json(cells: Cells, count: int, rounds: int) -> dict[str, object]:
    results = {cell: compared(rows) for cell, rows in cells.items()}
    return {
        "schema": "wsfast-bench/1",
        "kind": "broadcast",
        "wsfast": wsfast.__version__,
        "backend": wsfast.backend(),
        "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine.describe(),
        "settings": {"connections": count, "rounds": rounds, "clock": "process CPU time",
                     "deflate": repr(CONFIG)},
        "cells": [{"what": what, "size": size, "way": way, "ns": [round(x) for x in kept(times)]}
                  for (what, size), rows in cells.items() for way, times in rows.items()],
        "acceptance": [{"what": cell[0], "size": cell[1], "wanted": BARS[cell],
                        "measured": [round(x, 2) for x in got], "passed": got[0] >= BARS[cell]}
                       for cell, got in results.items()],
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", metavar="FILE", help="write the figures too")
    parser.add_argument("--strict", action="store_true", help="a missed bar is an error")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.serve:
        asyncio.run(serve(args.connections))
        return 0
    print(tables.heading(machine.describe(), wsfast.__version__, wsfast.backend()))
    print(f"\n{args.connections:,} connections, {CONFIG}")
    track = Track(args.rounds)
    cells: Cells = {("codec", size): codec(size, args.connections, track) for size in SIZES}
    cells |= through_sockets(args.connections, args.rounds)
    for (what, size), rows in cells.items():
        print(table(what, size, rows))
    print("\n## Acceptance\n")
    missed = 0
    for (what, size), rows in cells.items():
        got, bar = compared(rows), BARS[what, size]
        missed += got[0] < bar
        verdict = "PASS" if got[0] >= bar else "FAIL"
        print(f"* {verdict}  {what}, {size:,} B: x {tables.times(got)}, wanted x {bar}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(as_json(cells, args.connections, args.rounds), file, indent=1)
            file.write("\n")
    return 1 if args.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())

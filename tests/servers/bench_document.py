"""Documents of ``wsfast bench --json``: what must hold for each, and small ones made by hand."""

import wsfast
from wsfast.cli.bench import stats


def check_schema(document, kind):
    assert document["schema"] == "wsfast-bench/1"
    assert document["kind"] == kind
    assert document["generator"] in ("c", "python")
    assert document["wsfast"] == wsfast.__version__
    assert document["backend"] == wsfast.backend()
    assert document["started"].endswith("Z")
    assert set(document["machine"]) == {"cpu", "cores", "os", "python"}
    settings = document["settings"]
    assert settings["http"] == "h11"
    assert settings["tls"] is False
    known = {server["id"] for server in document["servers"]}
    for server in document["servers"]:
        assert server["id"] == "raw-tcp" or server["version"][0].isdigit()
        assert ("+" in server["id"]) is ("hits" in server)
        assert server.get("hits", 1) > 0
    for cell in document["cells"]:
        assert cell["server"] in known
        assert cell["loop"] in settings["loops"]
        assert cell["app"] in settings["apps"]
        assert cell["deflate"] is (cell["app"] == "deflate")
        assert cell["verified"] is True
        assert len(cell["cpu_us"]) == len(cell["msgs_per_s"]) >= stats.FEWEST
        assert min(cell["cpu_us"]) > 0
        assert cell["syscalls_per_msg"] is None or cell["syscalls_per_msg"] > 0
    for ratio in document["ratios"]:
        assert {ratio["of"], ratio["to"]} <= known
        assert ratio["low"] <= ratio["median"] <= ratio["high"]
    assert bool(document["memory"]) <= (kind == "hosts")
    for entry in document["memory"]:
        assert entry["server"] in known
        assert entry["connections"] > 0
        assert len(entry["kib_per_connection"]) > 1


def document_of(kind, of, to, low, median, high):
    """A document of one load, two servers, and their ratio."""
    shared = {"loop": "asyncio", "app": "raw", "size": 32, "in_flight": 1}
    cell = {**shared, "cpu_us": [10.0], "msgs_per_s": [50000], "syscalls_per_msg": None}
    return {
        "started": "2026-01-02T03:04:05Z",
        "wsfast": "0.1.0",
        "backend": "python",
        "generator": "python",
        "kind": kind,
        "seconds": 60.0,
        "machine": {"cpu": "C\x1b[31m", "cores": 2, "python": "3.11.7"},
        "settings": {"connections": 8, "rounds": 7, "pinned": False, "slow_turns": 0},
        "servers": [{"id": to}, {"id": of}],
        "cells": [{**cell, "server": name} for name in (to, of)],
        "ratios": [{**shared, "of": of, "to": to, "low": low, "median": median, "high": high}],
        "memory": [],
    }

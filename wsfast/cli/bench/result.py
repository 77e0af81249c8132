"""The outcome as data: JSON of schema ``wsfast-bench/1``."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from .contenders import CONTENDERS, PAIRS
from .load import GENERATOR
from .measure import SLOW
from .plan import CONNECTIONS
from .stats import ratio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .launch import Key
    from .measure import Session
    from .plan import Group

    Calls = dict[tuple[Group, str], float]
    Memory = dict[Key, list[tuple[int, int]]]  # connections, bytes


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine() -> dict[str, object]:
    """Where it ran."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "os": platform.platform(),
        "python": platform.python_version(),
    }


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _settings(session: Session, pinned: bool) -> dict[str, object]:
    turns = [
        (len(session.turns[g]), len(session.good(g)), len(session.used(g))) for g in session.groups
    ]
    return {
        "loops": unique([group.loop for group in session.groups]),
        "http": "h11",
        "apps": unique([group.app for group in session.groups]),
        "connections": CONNECTIONS,
        "rounds": session.rounds,
        "batch_seconds": round(session.batch_seconds, 4),
        "turns": sum([all_of for all_of, _, _ in turns]),
        "slow_turns": sum([all_of - good for all_of, good, _ in turns]),
        "slow_turns_used": sum([max(0, used - good) for _, good, used in turns]),
        "slow_factor": SLOW,
        "pinned": pinned,
        "tls": False,
    }


def _cell(session: Session, group: Group, name: str, calls: Calls) -> dict[str, object]:
    samples = [turn.samples[name] for turn in session.used(group)]
    counted = calls.get((group, name))
    return {
        "server": name,
        "loop": group.loop,
        "app": group.app,
        "size": group.size,
        "in_flight": group.in_flight,
        "deflate": group.app == "deflate",
        "verified": True,  # a wrong reply ends the run
        "cpu_us": [round(sample.cpu_us, 3) for sample in samples],
        "msgs_per_s": [round(sample.msgs_per_s) for sample in samples],
        "syscalls_per_msg": None if counted is None else round(counted, 3),
    }


def _ratios(session: Session, group: Group) -> list[dict[str, object]]:
    result = []
    for of, to in PAIRS:
        if of not in group.servers or to not in group.servers:
            continue
        turns = session.used(group)
        middle, low, high = ratio(
            [turn.samples[of].cpu_us for turn in turns], [turn.samples[to].cpu_us for turn in turns]
        )
        result.append(
            {
                "of": of,
                "to": to,
                "loop": group.loop,
                "app": group.app,
                "size": group.size,
                "in_flight": group.in_flight,
                "median": round(middle, 4),
                "low": round(low, 4),
                "high": round(high, 4),
            }
        )
    return result


def _version(module: str) -> str:
    try:
        return metadata.version(module)  # a distribution may be written with _ for -
    except metadata.PackageNotFoundError:
        return "?"


def _servers(session: Session, hits: dict[Key, int]) -> list[dict[str, object]]:
    """Those that took part; hits and messages are of all their processes."""
    present = {key[0] for key in session.servers}
    result = []
    for name, contender in CONTENDERS.items():
        if name not in present:
            continue
        entry: dict[str, object] = {"id": name}
        if contender.needs:
            entry["version"] = _version(contender.needs[0])
        if len(contender.needs) > 1:
            entry["codec"] = f"{contender.needs[-1]} {_version(contender.needs[-1])}"
        if contender.way:
            entry["hits"] = sum([n for key, n in hits.items() if key[0] == name])
            entry["messages"] = sum([n for key, n in session.messages.items() if key[0] == name])
        result.append(entry)
    return result


def _memory(key: Key, rounds: list[tuple[int, int]]) -> dict[str, object]:
    """Resident memory (Pss) of an idle connection."""
    return {
        "server": key[0],
        "loop": key[1],
        "connections": rounds[0][0],
        "kib_per_connection": [round(size / 1024 / count, 2) for count, size in rounds],
    }


def document(
    kind: str,
    session: Session,
    hits: dict[Key, int],
    calls: Calls,
    memory: Memory,
    *,
    started: str,
    seconds: float,
    pinned: bool,
) -> dict[str, Any]:
    """The whole run; every list is in the order of the table."""
    import wsfast

    return {
        "schema": "wsfast-bench/1",
        "wsfast": wsfast.__version__,
        "backend": wsfast.backend(),
        "generator": GENERATOR,
        "kind": kind,
        "started": started,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "settings": _settings(session, pinned),
        "servers": _servers(session, hits),
        "cells": [_cell(session, g, name, calls) for g in session.groups for name in g.servers],
        "ratios": [entry for group in session.groups for entry in _ratios(session, group)],
        "memory": [_memory(key, rounds) for key, rounds in memory.items()],
    }

"""websockets' ``broadcast()`` to many asyncio connections, its own against ours."""

from __future__ import annotations

import zlib
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

pytest.importorskip("websockets")

import websockets_lab as lab
from websockets.protocol import Side
from websockets_scenarios import broadcast
from websockets_wire import Act, chain, perform, plain

SERVER = Side.SERVER
SETTINGS = {"level": 2}
ALONE = lab.deflate(local_takeover=False, memLevel=5)
PARAMETERS = [
    [], [ALONE], [ALONE], [lab.deflate(False, False)], [lab.deflate(memLevel=5)],
    [lab.deflate(local_takeover=False, local_bits=9, memLevel=5)],
    [lab.deflate(local_takeover=False, level=1)], [lab.deflate(local_takeover=False, level=99)],
    [lab.deflate(local_takeover=False, memLevel=5, cls=lab.CountingDeflate)],
    [lab.Reverse], [lab.Reverse, ALONE], [ALONE, lab.Reverse],
]  # fmt: skip


async def broadcasting_to_many(act: Act, prepare: Any = None, **options: Any) -> None:
    """One message to connections with as many parameters; ``prepare`` sees each as it is sent."""
    several = []
    for extensions in PARAMETERS:
        make = plain(act.connection.protocol.side, extensions=extensions)
        several.append(Act(make, lambda: None))
        several[-1].start()
    for message in ("a", "é€😀" * 3000, b"b" * 70_000, bytearray(b"c" * 300), ""):
        try:
            connections = [one.connection for one in several]
            broadcast(map(prepare, connections) if prepare else connections, message, **options)
        except ExceptionGroup as exc:
            act.say("main", chain(exc))
    for one in several:
        for extension in one.connection.protocol.extensions:
            one.say("extension", sorted(vars(extension)), getattr(extension, "calls", None))
        act.say("one of many", *one.trace)


def altered(connection: Any) -> Any:
    """Its parameters change from one to the next, though the settings are the same object."""
    if list(map(type, extensions := connection.protocol.extensions)) == [lab.PerMessageDeflate]:
        SETTINGS["level"] = 9 - SETTINGS["level"]
        extensions[0].compress_settings = SETTINGS
    return connection


def spied(connection: Any) -> Any:
    """Somebody counts what its extensions do."""

    def counted(extension: Any, message: Any) -> Any:
        extension.calls = getattr(extension, "calls", 0) + 1
        return type(extension).encode(extension, message)

    for extension in connection.protocol.extensions:
        extension.encode = partial(counted, extension)
    return connection


def in_a_message(connection: Any) -> Any:
    """It sends fragments meanwhile, whose context must stay what it is."""
    protocol = connection.protocol
    with suppress(Exception):  # of a level that there is not
        if protocol.expect_continuation_frame:
            protocol.send_continuation(b"and more", fin=False)
        else:
            protocol.send_text(b"more", fin=False)
        connection.send_data()
    return connection


@pytest.mark.parametrize("raising", [False, True], ids=["logged", "raised"])
@pytest.mark.parametrize("prepare", [None, altered, spied, in_a_message])
def test_broadcast_to_many(stage: Any, side: Side, prepare: Any, raising: bool) -> None:
    """Byte for byte what the library writes, and in the same state afterwards."""
    scenario = partial(broadcasting_to_many, prepare=prepare, raise_exceptions=raising)

    def run() -> Any:
        SETTINGS["level"] = 2
        return perform(scenario, plain(side))

    found = stage.compare(run)[0]
    assert "scenario" not in [who for who, *_ in found], found


def test_broadcast_compresses_once(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each set of parameters, where no context is kept."""
    made, compressobj = [], zlib.compressobj

    def counted(*args: Any, **options: Any) -> Any:
        made.append(options)
        return compressobj(*args, **options)

    async def scenario(act: Act) -> None:
        connections = []
        for extension in (ALONE, lab.deflate(local_takeover=False, local_bits=12, memLevel=5)):
            for _ in range(10):
                other = Act(plain(SERVER, extensions=[extension]), lambda: None)
                other.start()
                connections.append(other.connection)
        made.clear()
        broadcast(connections, "a" * 300)

    monkeypatch.setattr(zlib, "compressobj", counted)
    with stage.driver():
        perform(scenario, plain(SERVER))
    assert made == [{"wbits": -bits, "memLevel": 5} for bits in (15, 12)]

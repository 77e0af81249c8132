"""websockets' asyncio connections, their own against those with our driver: one trace for each.

Scenarios run on a loop of asyncio's with a transport in memory.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import secrets
import struct
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("websockets")

import websockets_lab as lab
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.http11 import Request, Response
from websockets.protocol import Side, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from websockets_scenarios import SCENARIOS, acting, actions, just_in_time, queues, trace_of
from websockets_wire import Act, perform, plain, same_in_lanes, texts

SERVER, CLIENT = Side.SERVER, Side.CLIENT


@pytest.mark.parametrize("how", [{}, {"warm": False}, {"debug": True}], ids=["", "new", "debug"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios(stage: Any, side: Side, name: str, how: dict[str, bool]) -> None:
    found = stage.compare(lambda: trace_of(name, side=side, **how))
    assert not any(each[0] == "scenario" or each[1:] == ("hangs",) for each in found[0]), found


@pytest.mark.parametrize("first", [True, False], ids=["made with", "made without"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_turned_on_and_off_before_each_read(stage: Any, side: Side, name: str, first: bool) -> None:
    stage.turn(False)
    original = trace_of(name, side=side)
    for period in (1, 2, 3):
        turns = map(stage.turn, itertools.cycle([not first] * period + [first] * period))
        stage.turn(first)
        found = trace_of(name, side=side, turn=partial(next, turns))
        stage.turn(False)
        assert found == original, lab.difference(original, found)


def test_read_in_the_turn_of_its_time_limit(stage: Any, side: Side) -> None:
    """The library's task would run one turn later: when it is too late, and the message waits."""

    def seen() -> list[Any]:
        trace = perform(just_in_time, plain(side), lambda: None, warm=True)[0]
        return [each[1:] for each in trace if each[0] == "main"]

    stage.turn(False)
    (first, *_), second = seen()
    assert (first, second) == ("raised", ("returned", "just in time"))
    with stage.driver():
        first, (second, *_) = seen()
    assert (first, second) == (("returned", "just in time"), "raised")


def test_what_is_seen_of_the_methods(stage: Any) -> None:
    """By who documents, traces, or calls them wrongly."""

    def run() -> Any:
        found = []
        for seam, owner, name in map(lab.place, stage.seams):
            method = getattr(owner, name)
            parameters = [
                (each.name, each.kind, each.default)
                for each in inspect.signature(method).parameters.values()
            ]
            asked = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isfunction)
            found.append((seam, method.__name__, method.__qualname__, parameters))
            found.append([question(method) for question in asked])
        return found

    stage.compare(run)


# ---- extensions, replaced parts -----------------------------------------------------------------


@pytest.mark.parametrize("extension", [lab.deflate(), lab.Double, lab.deflate(False, False, 9, 9)])
@pytest.mark.parametrize("name", ["receiving", "sending", "in_pieces", "echoing", "back_pressure",
                                  "broadcasting", "broadcasting_in_vain"])  # fmt: skip
def test_extensions(stage: Any, side: Side, name: str, extension: Any) -> None:
    stage.compare(lambda: trace_of(name, side=side, extensions=[extension]))


@pytest.mark.parametrize("extension", [lab.Reverse, lab.Double])
def test_an_extension_of_later(stage: Any, side: Side, extension: Any) -> None:
    async def scenario(act: Act) -> None:
        for _ in range(2):
            act.feed(texts(act, "a"))
            await act.get(act.connection.send("b"))
            await act.get(act.connection.recv())
            act.connection.protocol.extensions.append(extension())

    stage.compare(lambda: perform(scenario, plain(side)))


def test_a_broken_unpack(stage: Any, side: Side) -> None:
    """As websockets' own tests do it."""

    def unpack(*args: Any) -> Any:
        raise RuntimeError("BOOM")

    async def scenario(act: Act) -> None:
        act.feed(texts(act, "a"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(struct, "unpack", unpack)
            act.feed(texts(act, "b"))
        act.feed(texts(act, "c"))
        act.spawn(act.connection.recv())
        act.spawn(act.connection.recv())
        await act.settle()

    stage.compare(lambda: perform(scenario, plain(side)))


def test_keys_are_drawn_from_secrets(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> Any:
        keys = itertools.count()
        monkeypatch.setattr(secrets, "token_bytes", lambda n: bytes([next(keys) % 256]) * n)
        return trace_of("sending", side=CLIENT), next(keys)

    stage.compare(run)


# ---- the classes that serve() and connect() use, and ours for create_connection= ----------------


def grown(
    side: Side, server: type = ServerConnection, client: type = ClientConnection, **options: Any
):
    """A connection as ``serve()`` and ``connect()`` make it, behind its handshake."""

    class Stub:
        """Of a Server all that a connection asks for."""

        def start_connection_handler(self, connection: Any) -> None:
            pass

        async def handler(self, connection: Any) -> None:
            pass

        def __init__(self) -> None:
            self.handler_tasks: set[Any] = set()

    def make(act: Act) -> Any:
        options.setdefault("ping_interval", None)
        if side is SERVER:
            made = server(ServerProtocol(state=State.OPEN, logger=act.logger), Stub(), **options)
            made.request = Request("/", {})
        else:
            uri = parse_uri("ws://localhost/")
            made = client(ClientProtocol(uri, state=State.OPEN, logger=act.logger), **options)
            made.response = Response(101, "", {})
        return made

    return make


@pytest.mark.parametrize("name", SCENARIOS)
def test_grown_connections(stage: Any, side: Side, name: str) -> None:
    options = {key: value for key, value in SCENARIOS[name][1].items() if key != "max_size"}
    function = SCENARIOS[name][0]
    stage.compare(lambda: perform(function, grown(side, **options)))


@pytest.mark.parametrize("cork", [False, True], ids=["", "cork"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_our_classes(stage: Any, side: Side, name: str, cork: bool) -> None:
    """Without install(): what create_connection= gets."""
    from wsfast.websockets import asyncio as ours

    options = {key: value for key, value in SCENARIOS[name][1].items() if key != "max_size"}
    classes = {
        kind: type(cls.__name__, (cls,), {"cork": cork})
        for kind, cls in (("server", ours.ServerConnection), ("client", ours.ClientConnection))
    }
    stage.turn(False)
    function = SCENARIOS[name][0]
    original = perform(function, grown(side, **options))
    found = perform(function, grown(side, **classes, **options))
    if cork:
        same_in_lanes(original, found)
    else:
        assert found == original, lab.difference(original, found)


# ---- any scenario -------------------------------------------------------------------------------


@given(st.data())
def test_any_scenario(stage: Any, side: Side, data: st.DataObject) -> None:
    steps = data.draw(st.lists(actions, max_size=12))
    extensions = data.draw(st.sampled_from([[], [], [], [lab.Reverse]]))
    options = {
        "max_queue": data.draw(queues),
        "max_size": data.draw(st.sampled_from([1 << 20, 200])),
    }
    make = plain(side, extensions=extensions, **options)
    original = stage.compare(lambda: perform(acting(steps), make))
    turns = map(
        stage.turn, itertools.cycle(data.draw(st.lists(st.booleans(), min_size=1, max_size=4)))
    )
    try:
        found = perform(acting(steps), make, partial(next, turns))
    finally:
        stage.turn(False)
    assert found == original, lab.difference(original, found)


# ---- on a socket --------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_served_and_connected(stage: Any, run: Any, compression: str | None) -> None:
    """serve() and connect() as they are, on each loop there is, with both sides patched."""

    async def main(found: list[Any]) -> None:
        async def handler(connection: Any) -> None:
            async for message in connection:
                await connection.send(message)
                await connection.send([message, message])
            closed.set_result(connection.close_code)

        closed = asyncio.get_running_loop().create_future()
        options = {"compression": compression, "ping_interval": None}
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}/", proxy=None, **options) as client:
                for message in ("a", b"b", "é" * 5000, b"", "x" * 200_000):
                    await client.send(message)
                    found += [await client.recv() for _ in range(2)]
                await asyncio.gather(*[client.send(str(i)) for i in range(50)])
                found += [await client.recv() for _ in range(100)]
                await (await client.ping())
            found += [client.close_code, client.close_reason, await closed]

    def both() -> list[Any]:
        found: list[Any] = []
        run(main(found))
        return found

    assert len(stage.compare(both)) == 113


def test_a_missing_frame_is_noticed() -> None:
    """That a difference makes a test fail."""
    put = Connection.process_event

    def losing(self: Any, event: Any) -> None:
        if event.data != b"b":
            put(self, event)

    with pytest.MonkeyPatch.context() as patch:
        change = patch.setattr
        wrong = lab.Stage(lambda on: change(Connection, "process_event", losing if on else put))
        with pytest.raises(AssertionError, match="original"):
            wrong.compare(lambda: trace_of("iterating"))

"""Subclasses of websockets' asyncio connections, and methods that others replaced: all are called.

As often, and in the order, that the library's own code calls them in.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

pytest.importorskip("websockets")

import websockets_lab as lab
from websockets.asyncio import messages
from websockets.asyncio.connection import Connection
from websockets.frames import Frame
from websockets.protocol import Protocol, Side
from websockets_scenarios import SCENARIOS, trace_of
from websockets_wire import Act, perform, plain, texts

SERVER = Side.SERVER


class Events(Connection):
    def process_event(self, event: Any) -> None:
        self.logger.info("event %s", lab.shown(event))
        super().process_event(event)


class Receiving(Connection):
    async def recv(self, *args: Any, **options: Any) -> Any:
        self.logger.info("recv %s %s", args, options)
        return await super().recv(*args, **options)


class Sending(Connection):
    async def send(self, message: Any, **options: Any) -> None:
        self.logger.info("send %s %s", lab.shown(message), options)
        await super().send(message, **options)


class Writing(Connection):
    def send_data(self) -> None:
        self.logger.info("send_data")
        super().send_data()


class Draining(Connection):
    async def drain(self) -> None:
        self.logger.info("drain")
        await super().drain()


class Context(Connection):
    def send_context(self, **options: Any) -> Any:
        self.logger.info("send_context %s", options)
        return super().send_context(**options)


class Equal(Connection):
    """Not hashable."""

    def __eq__(self, other: object) -> bool:
        return True


class Reading(Connection):
    def data_received(self, data: bytes) -> None:
        self.logger.info("data_received %d", len(data))
        super().data_received(data)


class Proxy:
    """Stands before another object with its public names, and has no method in its own class."""

    def __init__(self, other: Any) -> None:
        vars(self)["other"] = other

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.other, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.other, name, value)


class Proxied(Connection):
    def __init__(self, protocol: Any, **options: Any) -> None:
        super().__init__(Proxy(protocol), **options)


class Noting(messages.Assembler):
    def put(self, frame: Any) -> None:
        self.logger.info("put %s", lab.shown(bytes(frame.data)))
        super().put(frame)

    def maybe_pause(self) -> None:
        self.logger.info("maybe_pause")
        super().maybe_pause()

    def maybe_resume(self) -> None:
        self.logger.info("maybe_resume")
        super().maybe_resume()


class Queueing(Connection):
    """With a queue of its own class."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.recv_messages.__class__ = Noting
        self.recv_messages.logger = self.logger


@pytest.mark.parametrize(
    "cls",
    [
        *(Events, Receiving, Sending, Writing, Draining, Context, Equal, Reading),
        *(Proxied, Queueing),
    ],
    ids=lambda c: c.__name__,
)
@pytest.mark.parametrize("name", ["iterating", "sending", "in_pieces", "echoing", "closing"])
def test_subclasses(stage: Any, side: Side, name: str, cls: Any) -> None:
    stage.compare(lambda: trace_of(name, side=side, cls=cls))


@pytest.mark.parametrize("cls", lab.SUBCLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("name", ["iterating", "sending", "in_pieces", "echoing", "closing"])
def test_subclasses_of_the_protocol(stage: Any, side: Side, name: str, cls: Any) -> None:
    stage.compare(lambda: trace_of(name, side=side, protocol=cls))


def test_a_transport_put_there_by_hand(stage: Any) -> None:
    """As unit tests do it: connection_made() was not called, and there is no queue."""

    async def scenario(act: Act) -> None:
        connection = plain(SERVER)(act)
        connection.transport = act.wire
        await act.get(connection.send("a"))

    assert ("main", "returned", None) in stage.compare(lambda: perform(scenario, plain(SERVER)))[0]


@pytest.mark.parametrize("method", ["recv", "send", "data_received"])
@pytest.mark.parametrize("name", ["iterating", "echoing"])
def test_methods_set_on_the_instance(stage: Any, name: str, method: str) -> None:
    """The public ones, and the transport's; as tests and instrumentation do it."""

    async def scenario(act: Act) -> None:
        original = getattr(act.connection, method)

        def spy(*args: Any, **options: Any) -> Any:
            act.say("spy", method)
            return original(*args, **options)

        setattr(act.connection, method, spy)
        await SCENARIOS[name][0](act)

    found = stage.compare(lambda: perform(scenario, plain(SERVER)))
    assert ("spy", method) in found[0] or (name, method) == ("iterating", "send")


INNER_SPIES = [
    *[(None, name) for name in ("process_event", "send_data", "drain", "send_context")],
    *[("protocol", name) for name in ("receive_data", "events_received", "send_text")],
    ("protocol", "close_expected"),
]


@pytest.mark.parametrize("owner,method", INNER_SPIES)
@pytest.mark.parametrize("name", ["iterating", "echoing"])
def test_inner_methods_set_on_the_instance(
    stage: Any, name: str, owner: str | None, method: str
) -> None:
    """Before it is used: as instrumentation does it where it is made."""

    def make(act: Act) -> Any:
        made = plain(SERVER)(act)
        target = made if owner is None else getattr(made, owner)
        original = getattr(target, method)

        def spy(*args: Any, **options: Any) -> Any:
            act.say("spy", method)
            return original(*args, **options)

        setattr(target, method, spy)
        return made

    stage.compare(lambda: perform(SCENARIOS[name][0], make))


CLASS_SPIES = [
    (Protocol, "events_received"), (Protocol, "send_text"), (Protocol, "receive_data"),
    (Protocol, "recv_frame"), (Protocol, "send_frame"), (Connection, "process_event"),
    (Connection, "recv"), (Connection, "send"), (Connection, "data_received"),
    (messages.Assembler, "put"), (messages.Assembler, "get"), (messages.SimpleQueue, "put"),
    (messages.SimpleQueue, "get"), (Frame, "serialize"),
]  # fmt: skip


@pytest.mark.parametrize("cls,method", CLASS_SPIES)
@pytest.mark.parametrize("name", ["iterating", "echoing", "many_in_one_read"])
def test_methods_replaced_on_the_class(stage: Any, name: str, cls: Any, method: str) -> None:
    """Over ours, as websockets' own tests and tracers do it."""

    def run() -> Any:
        original = getattr(cls, method)
        calls = itertools.count()

        def spy(self: Any, *args: Any, **options: Any) -> Any:
            next(calls)
            return original(self, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cls, method, spy)
            return trace_of(name), next(calls)

    stage.compare(run)


@pytest.mark.parametrize("method", ["events_received", "send_text", "send_binary"])
def test_methods_replaced_later(stage: Any, method: str) -> None:
    """On the class, while connections have read and sent: as websockets' own tests do it."""

    async def scenario(act: Act) -> None:
        original = getattr(Protocol, method)

        def spy(self: Any, *args: Any, **options: Any) -> Any:
            act.say("spy", method)
            return original(self, *args, **options)

        for _ in range(2):
            act.feed(texts(act, "a"))
            await act.get(act.connection.send("b"))
            await act.get(act.connection.send(b"c"))
            patch.setattr(Protocol, method, spy)
        for _ in range(2):
            await act.get(act.connection.recv())

    def run() -> Any:
        nonlocal patch
        with pytest.MonkeyPatch.context() as patch:
            return perform(scenario, plain(SERVER))

    patch: Any = None
    assert ("spy", method) in stage.compare(run)[0]

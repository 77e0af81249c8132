"""websockets' asyncio connections with ``install(cork=True)``, against the library's own.

Only the order within each task and on the wire is the same, not who comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("websockets")

import websockets_lab as lab
from websockets.protocol import Side
from websockets_scenarios import SCENARIOS, acting, actions, queues, trace_of
from websockets_wire import Act, frame, perform, plain, same_in_lanes, texts, writes

CLOSE = 8


@pytest.fixture(scope="module")
def corking() -> Iterator[Any]:
    made = lab.Installed(cork=True)
    yield made
    made.turn(False)


@pytest.mark.parametrize("name", SCENARIOS)
def test_corked(corking: Any, side: Side, name: str) -> None:
    corking.turn(False)
    original = trace_of(name, side=side)
    with corking.driver():
        found = trace_of(name, side=side)
    same_in_lanes(original, found)


def test_cork_saves_writes(corking: Any) -> None:
    corking.turn(False)
    original = writes(trace_of("echoing")[0])
    with corking.driver():
        assert writes(trace_of("echoing")[0]) < original / 2


def test_a_large_frame_is_not_collected(corking: Any, side: Side) -> None:
    """It leaves at once, behind what was."""
    said = "1", "2" * 20_000, "3", "4"

    async def answer(act: Act) -> None:
        act.feed(texts(act, *said))
        for _ in said:
            await act.connection.send(await act.connection.recv())
        await act.settle()

    corking.turn(False)
    original = perform(answer, plain(side))
    with corking.driver():
        found = perform(answer, plain(side))
    same_in_lanes(original, found)
    assert (writes(original[0]), writes(found[0])) == (4, 3)


def test_uninstalled_while_corked(corking: Any, side: Side) -> None:
    """What was collected leaves before what is sent without the driver."""

    async def scenario(act: Act) -> None:
        act.feed(texts(act, "1", "2", "3", "4"))
        for _ in range(3):
            await act.connection.send(await act.connection.recv())
        corking.uninstall()
        await act.connection.send("after")
        await act.connection.close()

    async def answer(act: Act) -> None:
        act.spawn(scenario(act))
        await act.settle()
        act.feed(frame(act, CLOSE, b"\x03\xe8"))
        act.eof()

    corking.turn(False)
    original = perform(answer, plain(side))
    corking.install()
    try:
        found = perform(answer, plain(side))
    finally:
        corking.uninstall()
    same_in_lanes(original, found)


@given(st.data())
def test_any_scenario_corked(corking: Any, side: Side, data: st.DataObject) -> None:
    steps = data.draw(st.lists(actions.filter(lambda step: step[0] != "fault"), max_size=12))
    make = plain(side, max_queue=data.draw(queues))
    corking.turn(False)
    original = perform(acting(steps), make)
    with corking.driver():
        found = perform(acting(steps), make)
    same_in_lanes(original, found)

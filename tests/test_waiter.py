"""``Waiter``: a task waits on it again and again; it is told as by a Future, or at once."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import gc
import inspect
import pickle
import sys
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from wsfast import _wake_py, codec

WAITERS = {"python": _wake_py.Waiter}
if codec.backend() != "python":
    from wsfast import _wake_c

    WAITERS["c"] = _wake_c.Waiter
TASKS = {"C task": asyncio.Task}
if sys.version_info < (3, 14):  # then current_task() knows no other
    TASKS["Python task"] = asyncio.tasks._PyTask  # type: ignore[attr-defined]


@pytest.fixture(params=WAITERS)
def kind(request: pytest.FixtureRequest) -> type:
    return WAITERS[request.param]


class Stage:
    """A loop whose turns are taken by hand, and a waiter on it; ``said`` is what tasks did."""

    def __init__(self, kind: type, task: type) -> None:
        self.loop = asyncio.new_event_loop()
        self.waiter: Any = kind(self.loop)
        self.task = task
        self.said: list[Any] = []

    def start(self, coroutine: Coroutine[Any, Any, None]) -> Any:
        """A task of it, run up to where it waits."""
        task = self.task(coroutine, loop=self.loop)
        self.run_once()
        return task

    def run_once(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def turn(self) -> list[Any]:
        """One turn of the loop; what was said since the last that was asked."""
        self.run_once()
        said, self.said = self.said, []
        return said

    def fire(self) -> None:
        """As a transport does it, inside the running loop: from 3.14 on no task runs outside."""
        asyncio._set_running_loop(self.loop)
        try:
            self.waiter.fire()
        finally:
            asyncio._set_running_loop(None)

    async def wait(self, times: int = 1, name: str = "woken") -> None:
        for _ in range(times):
            try:
                await self.waiter
            except BaseException as exc:
                self.said.append((type(exc), str(exc), self.waiter.waiting))
                self.waiter.waiting = False
                raise
            self.said.append((name, self.waiter.waiting))


@pytest.fixture(params=TASKS)
def stage(request: pytest.FixtureRequest, kind: type) -> Iterator[Stage]:
    stage = Stage(kind, TASKS[request.param])
    yield stage
    stage.turn()
    stage.loop.close()


WOKEN = [("woken", False)]


def test_fire_runs_the_task_before_it_returns(stage):
    stage.start(stage.wait(3))
    for _ in range(3):
        assert stage.waiter.waiting
        assert not stage.waiter.done()
        stage.fire()
        assert stage.said == WOKEN
        stage.said.clear()
    assert not stage.waiter.waiting
    assert stage.waiter.done()
    stage.fire()  # nobody waits
    assert stage.turn() == []


def test_fire_inside_a_task_leaves_it_to_the_next_turn(stage):
    async def fire() -> None:
        stage.waiter.fire()
        stage.said.append("fired")

    stage.start(stage.wait())
    stage.start(fire())
    assert stage.turn() == ["fired", *WOKEN]


def test_a_result_is_told_in_the_next_turn(stage):
    stage.start(stage.wait(2))
    for _ in range(2):
        stage.waiter.set_result(None)
        assert stage.waiter.done()
        assert not stage.waiter.waiting
        assert stage.said == []
        stage.fire()  # told already
        assert stage.said == []
        assert stage.turn() == WOKEN


def test_an_exception_is_told_in_the_next_turn(stage):
    task = stage.start(stage.wait())
    stage.waiter.set_exception(EOFError("over"))
    assert stage.said == []
    assert stage.turn() == [(EOFError, "over", False)]
    assert type(task.exception()) is EOFError


@pytest.mark.parametrize("message", [(), ("why",)])
def test_cancelled(stage, message):
    task = stage.start(stage.wait())
    assert task.cancel(*message)
    assert stage.waiter.waiting  # until it has heard of it
    stage.fire()
    assert stage.said == []
    assert stage.turn() == [(asyncio.CancelledError, "".join(message), True)]
    assert task.cancelled()
    stage.start(stage.wait())
    stage.fire()
    assert stage.turn() == WOKEN


@pytest.mark.parametrize("tell", ["fire", "set_result"])
def test_cancelled_too_late_the_task_hears_it_at_its_next_wait(stage, tell):
    async def twice() -> None:
        await stage.wait()
        task.cancel()
        await stage.wait()

    task = stage.start(twice())
    stage.fire() if tell == "fire" else stage.waiter.set_result(None)
    assert stage.waiter.cancel() is False  # it is about to be told
    stage.turn()
    stage.turn()
    stage.turn()
    assert task.cancelled()


@pytest.mark.parametrize("limit", ["timeout", "wait_for"])
def test_time_limits(stage, limit):
    async def limited() -> None:
        try:
            if limit == "timeout":
                async with asyncio.timeout(0):
                    await stage.wait()
            else:
                await asyncio.wait_for(stage.wait(), 0.001)
        except TimeoutError:
            stage.said.append("too late")

    task = stage.start(limited())
    said = []
    while not task.done():
        said += stage.turn()
    assert said[-1] == "too late"
    assert not stage.waiter.waiting


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_the_end_of_the_program_goes_through_the_loop(stage, exception):
    """uvloop swallows what goes up through ``data_received``."""

    async def leave() -> None:
        await stage.waiter
        raise exception("out")

    task = stage.start(leave())
    stage.fire()
    with pytest.raises(exception, match="out"):
        stage.turn()
    assert type(task.exception()) is exception


def test_any_other_exception_stays_in_the_task(stage):
    async def fail() -> None:
        await stage.waiter
        raise ValueError("wrong")

    task = stage.start(fail())
    stage.fire()
    assert str(task.exception()) == "wrong"


def test_each_task_wakes_in_its_own_context(stage):
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="outside")

    async def wait() -> None:
        name.set("inside")
        await stage.waiter
        stage.said.append(name.get())

    stage.start(wait())
    stage.fire()
    stage.start(wait())
    stage.waiter.set_result(None)
    assert stage.turn() == ["inside", "inside"]
    assert name.get() == "outside"


def test_fire_in_the_context_of_the_task_leaves_it_to_the_next_turn(stage):
    context = contextvars.copy_context()
    stage.task(stage.wait(), loop=stage.loop, context=context)
    stage.turn()
    context.run(stage.fire)
    assert stage.said == []
    assert stage.turn() == WOKEN


def test_what_a_callback_raises_it_raises_once(stage):
    called = []

    def callback(answer: object) -> None:
        called.append(answer)
        raise RuntimeError("its own")

    stage.waiter.add_done_callback(callback, context=contextvars.copy_context())
    with pytest.raises(RuntimeError, match="its own"):
        stage.fire()
    stage.turn()
    assert len(called) == 1


@pytest.mark.parametrize("tell", ["fire", "set_result", "set_exception", "cancel"])
def test_it_keeps_no_context_of_a_task_that_is_gone(stage, tell):
    class Value:
        pass

    held: contextvars.ContextVar[Value] = contextvars.ContextVar("held")

    async def wait() -> None:
        held.set(Value())
        seen.append(weakref.ref(held.get()))
        with contextlib.suppress(EOFError, asyncio.CancelledError):
            await stage.waiter

    seen: list[Any] = []
    task = stage.start(wait())
    arguments = {"set_result": [None], "set_exception": [EOFError()]}
    getattr(stage if tell == "fire" else stage.waiter, tell)(*arguments.get(tell, []))
    stage.turn()
    assert task.done()
    del task
    gc.collect()
    assert seen[0]() is None


def test_a_coroutine_that_is_closed_leaves_nothing_behind(stage):
    coroutine = stage.wait()
    coroutine.send(None)
    coroutine.close()
    assert stage.turn() == [(GeneratorExit, "", True)]
    stage.fire()
    stage.waiter.set_result(None)
    assert stage.turn() == []


def test_it_passes_for_a_future(stage):
    assert asyncio.isfuture(stage.waiter)
    assert stage.waiter.get_loop() is stage.loop
    assert stage.waiter.cancel("nobody waits") is False


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_not_copied(stage: Stage, copied: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="Waiter cannot be pickled"):
        copied(stage.waiter)


def test_parity():
    """The same public names, documented alike."""
    python, c = WAITERS["python"], WAITERS.get("c", WAITERS["python"])

    def public(cls: type) -> dict[str, str | None]:
        return {n: inspect.getdoc(getattr(cls, n)) for n in dir(cls) if not n.startswith("_")}

    found = public(c)
    for name, text in public(python).items():
        assert name in found
        assert text == found[name] or inspect.isdatadescriptor(getattr(python, name)), name

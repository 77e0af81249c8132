"""What a hostile reader of the switch found: each was a defect once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from wsfast.uvicorn._wake import DirectWaiter


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_a_task_that_is_woken_directly_can_end_the_loop(exception: type[BaseException]) -> None:
    """uvloop swallows what goes up through ``data_received``: ``sys.exit()`` hung the program."""

    async def leave() -> None:
        await waiter
        raise exception("out")

    def data_received() -> None:
        with contextlib.suppress(BaseException):  # as uvloop does
            waiter.fire()

    loop = asyncio.new_event_loop()
    try:
        waiter = DirectWaiter(loop)
        task = loop.create_task(leave())
        loop.call_later(0.01, data_received)
        loop.call_later(5, loop.stop)
        with pytest.raises(exception, match="out"):
            loop.run_forever()
        assert isinstance(task.exception(), exception)
    finally:
        loop.close()

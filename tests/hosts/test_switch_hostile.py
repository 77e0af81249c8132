"""What a hostile reader of the switch found: each was a defect once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side

import wsfast
from wsfast._waiter import Waiter


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
        waiter = Waiter(loop)
        task = loop.create_task(leave())
        loop.call_later(0.01, data_received)
        loop.call_later(5, loop.stop)
        with pytest.raises(exception, match="out"):
            loop.run_forever()
        assert isinstance(task.exception(), exception)
    finally:
        loop.close()


def test_strict_refuses_what_the_library_lets_pass() -> None:
    """The self-test compares with the library, so it must not ask for more than the library."""
    lengths = bytes.fromhex("82fe0001000000002a"), bytes.fromhex("82ff" + 8 * "ff" + 4 * "00")
    fine = bytes.fromhex("8281000000002a")
    for policy, ends in (("strict", True), ("host", False)):
        (status,) = wsfast.install("websockets", policy=policy, on_refusal="raise")
        try:
            assert status.state == "active"
            for wire in lengths:
                protocol = Protocol(Side.SERVER, max_size=None)
                protocol.receive_data(fine + wire)
                assert protocol.events_received()[0] == Frame(Opcode.BINARY, b"*")
                assert (protocol.close_sent is not None) is ends
                if protocol.close_sent is not None:
                    assert protocol.close_sent.code == CloseCode.PROTOCOL_ERROR
                    assert "payload length" in protocol.close_sent.reason
        finally:
            wsfast.uninstall("websockets")

"""Memory that runs out in the middle of a call: what was not sent is not referred to later."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from wsfast import Connection, Role
from wsfast.deflate import PerMessageDeflate

_testcapi = pytest.importorskip("_testcapi", reason="CPython's own way to refuse memory")

LOST, AFTER = (f"{word}, and what all messages have in common " * 9 for word in "ab")


def refused(call: Callable[[], object]) -> Iterator[bool]:
    """``call`` once for each allocation in it, that one refused: whether it failed."""
    for number in range(1, 200):
        _testcapi.set_nomemory(number, number + 1)
        try:
            call()
        except MemoryError:
            failed = True
        else:
            failed = False
        finally:
            _testcapi.remove_mem_hooks()
        yield failed


@pytest.mark.parametrize("role", Role)
def test_the_peer_can_inflate_what_comes_after(role: Role) -> None:
    config = PerMessageDeflate(threshold=0)
    ours, theirs = config.negotiate(()), config.confirm(())
    if role is Role.CLIENT:
        ours, theirs = theirs, ours
    other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    connection = Connection(role, extensions=[ours])
    peer = Connection(other, extensions=[theirs])

    def read() -> list[object]:
        return peer.receive(b"".join(connection.data_to_send()))

    seen = []
    for failed in refused(lambda: connection.send(LOST)):
        assert read() == ([] if failed else [LOST])
        connection.send(AFTER)
        assert read() == [AFTER]
        seen.append(failed)
    assert any(seen) and not seen[-1]

"""One message to many connections, and what to do about those that do not keep up.

A target is anything with the four members of ``Target``: the connection object of
``wsfast.uvicorn``, ``scope["extensions"]["wsfast"]["connection"]``, or a ``Connection`` together
with the asyncio stream it is written to, a ``StreamPeer``.
"""

from __future__ import annotations

from contextlib import suppress

from .connection import State
from .errors import LocalProtocolError
from .prepared import PreparedMessage, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator, Iterable
    from typing import Any, Literal, Protocol

    from typing_extensions import Buffer

    from .connection import Connection

    class Target(Protocol):
        """What ``broadcast`` asks of a connection; its owner decides how bytes leave."""

        @property
        def bytes_queued(self) -> int:
            """Bytes that wait in this process for the peer to read."""

        def send_prepared(self, message: PreparedMessage, max_unsent: int | None = None, /) -> bool:
            """Send without waiting, unless more than ``max_unsent`` bytes wait; whether it was.

            ``LocalProtocolError`` where no message can be sent.
            """

        def disconnect(self, code: int, reason: str, /) -> None:
            """End the connection, whether the peer reads or not."""

        async def drain(self) -> None:
            """Return when the transport takes more, or is gone."""


_PASSED_OVER = ("closing", "expected_continuation")  # no message can be sent to it now
_POLICIES = ("drop", "disconnect", "wait")
_OPEN = State.OPEN


class Broadcast:
    """A broadcast that was made; ``slow`` are the targets that did not keep up."""

    __slots__ = ("_timeout", "slow")

    def __init__(self, slow: list[Any], timeout: float | None) -> None:
        self.slow = slow
        self._timeout = timeout  # None: there is nothing to wait for

    def __await__(self) -> Generator[Any, None, list[Any]]:
        """Under ``"wait"``, until all have room again; ``slow``, which then were disconnected."""
        return self._finish().__await__()

    async def _finish(self) -> list[Any]:
        timeout, self._timeout = self._timeout, None
        if timeout is None:
            return self.slow
        from asyncio import ensure_future, sleep, wait

        if not self.slow:
            await sleep(0)  # who only broadcasts lets the loop tell that peers are gone
            return self.slow
        waiting = {ensure_future(target.drain()): target for target in self.slow}
        try:
            done, late = await wait(waiting, timeout=timeout)
        finally:
            for task in waiting:
                task.cancel()
        self.slow = [target for task, target in waiting.items() if task in late]
        _disconnect(self.slow)
        for task in done:
            task.result()
        return self.slow


def broadcast(
    targets: Iterable[Target],
    message: PreparedMessage | str | Buffer,
    *,
    slow: Literal["drop", "disconnect", "wait"] = "drop",
    max_unsent: int = 1 << 20,
    timeout: float = 10.0,
) -> Broadcast:
    """Send one message to all targets: framed once, compressed at most once for equal parameters.

    All is done when it returns, but for what ``"wait"`` waits for. Slow is a target that has more
    than ``max_unsent`` bytes unsent.

    "drop"        it misses this message
    "disconnect"  it is disconnected, with 1008
    "wait"        it gets the message, and ``await broadcast(…)`` waits until its transport takes
                  more; who is not that far within ``timeout`` seconds is disconnected, with 1008

    The ``slow`` of the result names those that were dropped, were disconnected, or (until it was
    awaited) are waited for. Targets that are closing, or within a fragmented message, are passed
    over.
    """
    if slow not in _POLICIES:
        raise ValueError(f"slow must be one of {', '.join(map(repr, _POLICIES))}, not {slow!r}")
    if max_unsent is None:  # to send_prepared() it would be no limit
        raise TypeError("max_unsent must be a number of bytes, not None")
    if timeout is None:  # to Broadcast there would be nothing to wait for
        raise TypeError("timeout must be a number of seconds, not None")
    if not timeout >= 0:  # a NaN is not
        raise ValueError(f"timeout must be a number of seconds, 0 or more, not {timeout!r}")
    if not isinstance(message, PreparedMessage):
        message = PreparedMessage(message)
    waits = slow == "wait"
    most = None if waits else max_unsent
    late = []
    for target in targets:
        try:
            sent = target.send_prepared(message, most)
        except LocalProtocolError as exc:
            if exc.name not in _PASSED_OVER:
                raise
            continue
        if not sent or (waits and target.bytes_queued > max_unsent):
            late.append(target)
    if slow == "disconnect":
        _disconnect(late)
    return Broadcast(late, timeout if waits else None)


def _disconnect(targets: list[Target]) -> None:
    for target in targets:
        target.disconnect(1008, "too slow")


class StreamPeer:
    """A ``Connection`` and the asyncio ``StreamWriter`` its owner writes it to: a target.

    ``close_timeout`` seconds after ``disconnect`` the transport is aborted, whatever still waits
    in it.
    """

    __slots__ = ("_abort", "_kind", "_transport", "close_timeout", "connection", "writer")

    def __init__(
        self,
        connection: Connection,
        writer: asyncio.StreamWriter,
        *,
        close_timeout: float = 10.0,
    ) -> None:
        self.connection = connection
        self.writer = writer
        self.close_timeout = close_timeout
        self._abort: asyncio.TimerHandle | None = None
        self._transport = writer.transport  # looked up once, as the kind
        self._kind = kind_of(connection)

    @property
    def bytes_queued(self) -> int:
        """Bytes in the connection and in the transport."""
        try:
            unsent = self._transport.get_write_buffer_size()
        except AttributeError:  # asyncio's TLS, closed twice, has forgotten what it holds
            unsent = 0
        return self.connection.bytes_queued + unsent

    def flush(self) -> None:
        """Write what the connection has to send."""
        data = self.connection.data_to_send()
        # Behind write_eof() not even nothing may be written, on uvloop nothing to what is gone.
        if data and not self._transport.is_closing():
            # writelines() never pauses before 3.12.9 and 3.13.2 (CVE-2024-12254).
            self.writer.write(b"".join(data))

    def send_prepared(self, message: PreparedMessage, max_unsent: int | None = None) -> bool:
        """``Connection.send_prepared``, written at once; False where more than that is unsent."""
        transport, connection = self._transport, self.connection
        queued = connection.bytes_queued
        if transport.is_closing():
            if max_unsent is not None and self.bytes_queued > max_unsent:
                return False  # so that disconnect() can bound how long it takes
            raise LocalProtocolError("closing")
        if max_unsent is not None and queued + transport.get_write_buffer_size() > max_unsent:
            return False
        if queued or connection.state is not _OPEN or connection._fragmented:
            connection.send_prepared(message)
            self.flush()
        else:  # it would be queued, and taken at once
            transport.write(message.frame_of(self._kind, connection))
        return True

    def disconnect(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close frame behind what is unsent, and end the transport.

        The owner's next read finds the end of the stream.
        """
        from asyncio import get_running_loop

        if not self.writer.is_closing():
            with suppress(LocalProtocolError):  # it is closing
                self.connection.close(code, reason)
            self.flush()
            self.writer.close()
        if self._abort is None:
            self._abort = get_running_loop().call_later(self.close_timeout, _abort, self._transport)

    async def drain(self) -> None:
        """``StreamWriter.drain``; a lost connection is no error here."""
        with suppress(OSError):  # a ConnectionError, but also ETIMEDOUT, EHOSTUNREACH or TLS's
            await self.writer.drain()


def _abort(transport: asyncio.WriteTransport) -> None:
    with suppress(AttributeError):  # asyncio's own, where close() has written all
        transport.abort()

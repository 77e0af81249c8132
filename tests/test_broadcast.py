"""broadcast: one message to many, and those that do not keep up."""

from __future__ import annotations

import asyncio
import runpy
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wsfast import (
    Close,
    Connection,
    FrameEncoder,
    Limits,
    LocalProtocolError,
    MessageDecoder,
    PreparedMessage,
    Role,
    StreamPeer,
    broadcast,
)
from wsfast.deflate import PerMessageDeflate
from wsfast.handshake import ClientHandshake

TEXT = '{"event": "tick", "values": [1, 2, 3, 4, 5, 6, 7, 8, 9]}' * 4
LARGE = "x" * (4 << 20)  # more than the buffers of a socket take


class Target:
    """A connection whose peer reads when it is told to."""

    def __init__(self, queued: int = 0, error: str | None = None) -> None:
        self.bytes_queued = queued
        self.error = error
        self.frames: list[bytes] = []
        self.ended: list[tuple[int, str]] = []
        self.read = asyncio.Event()

    def send_prepared(self, message: PreparedMessage, max_unsent: int | None = None) -> bool:
        if max_unsent is not None and self.bytes_queued > max_unsent:
            return False
        if self.error is not None:
            raise LocalProtocolError(self.error)
        frame = message.frame_for(None)
        self.bytes_queued += len(frame)
        self.frames.append(frame)
        return True

    def disconnect(self, code: int, reason: str) -> None:
        self.ended.append((code, reason))

    async def drain(self) -> None:
        await self.read.wait()


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


# ---- policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", ["drop", "disconnect"])
def test_who_has_more_than_max_unsent_misses_the_message(slow: Any) -> None:
    quick, full, over = Target(), Target(100), Target(101)
    sent = broadcast([quick, full, over], "hello", slow=slow, max_unsent=100)
    assert [bool(target.frames) for target in (quick, full, over)] == [True, True, False]
    assert sent.slow == [over]
    assert over.ended == ([(1008, "too slow")] if slow == "disconnect" else [])
    assert not quick.ended and not full.ended


def test_one_frame_for_all() -> None:
    targets = [Target() for _ in range(3)]
    for message in ("hello", b"bytes", bytearray(b"more"), PreparedMessage("made before")):
        broadcast(targets, message)
    assert all(frames[0] is frames[1] is frames[2] for frames in zip(*(t.frames for t in targets)))
    assert len(targets[0].frames) == 4


def test_wait_sends_to_all_and_waits_for_the_slow() -> None:
    async def main() -> None:
        quick, late = Target(), Target(100)
        sent = broadcast([quick, late], "hello", slow="wait", max_unsent=100)
        assert quick.frames and late.frames  # sent in order, whatever is awaited
        assert sent.slow == [late]
        waiting = asyncio.ensure_future(sent)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        late.read.set()
        assert await waiting == [] == await sent
        assert not late.ended

    run(main())


def test_wait_disconnects_after_its_timeout() -> None:
    async def main() -> None:
        stuck, late = Target(), Target()
        late.read.set()
        options: Any = {"slow": "wait", "max_unsent": 0, "timeout": 0.01}
        assert await broadcast([stuck, late], "hello", **options) == [stuck]
        assert stuck.ended == [(1008, "too slow")] and not late.ended

    run(main())


def test_a_wait_that_is_cancelled_leaves_no_task() -> None:
    async def main() -> None:
        stuck, before = Target(), asyncio.all_tasks()
        waiting = asyncio.ensure_future(broadcast([stuck], "x", slow="wait", max_unsent=0))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before and not stuck.ended

    run(main())


def test_a_wait_for_nobody_lets_the_loop_have_its_turn() -> None:
    """Else an application that only broadcasts keeps it from ever telling that a peer is gone."""

    async def main() -> None:
        turns: list[int] = []
        asyncio.get_running_loop().call_soon(turns.append, 1)
        assert await broadcast([Target()], "x", slow="wait") == [] and turns

    run(main())


def test_what_drain_raises_is_not_lost() -> None:
    class Broken(Target):
        async def drain(self) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await broadcast([Broken()], "x", slow="wait", max_unsent=0)

    run(main())


def test_await_works_for_every_policy() -> None:
    async def main() -> None:
        for slow in ("drop", "disconnect", "wait"):
            over = [Target(2), Target(2), Target(2)]
            assert await broadcast(over, "", slow=slow, max_unsent=1, timeout=0) == over

    run(main())


def test_who_cannot_be_sent_to_is_passed_over() -> None:
    targets = [Target(error="closing"), Target(error="expected_continuation"), Target()]
    assert broadcast(targets, "hello").slow == []
    assert targets[2].frames
    with pytest.raises(LocalProtocolError, match="mask"):
        broadcast([Target(error="mask_required")], "hello")


def test_arguments() -> None:
    with pytest.raises(ValueError, match="slow must be one of 'drop', 'disconnect', 'wait'"):
        broadcast([], "x", slow="block")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        broadcast([], 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_unsent must be a number of bytes, not None"):
        broadcast([Target()], "x", max_unsent=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="timeout must be a number of seconds, not None"):
        broadcast([Target()], "x", slow="wait", timeout=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'>=' not supported"):
        broadcast([Target()], "x", timeout="1")  # type: ignore[arg-type]
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match=f"0 or more, not {wrong}"):
            broadcast([Target()], "x", timeout=wrong)


# ---- Connection ---------------------------------------------------------------------------------


def connection(*params: tuple[str, str | None]) -> Connection:
    agreed = PerMessageDeflate().negotiate(params)
    assert agreed is not None
    return Connection(Role.SERVER, extensions=[agreed])


@pytest.mark.parametrize("alone", [True, False])
def test_send_prepared_among_other_messages(connection_backend: None, alone: bool) -> None:
    """Without takeover it is compressed; with it, plain: and the peer's window stays in step."""
    params: Any = [("server_no_context_takeover", None)] if alone else []
    ours = connection(*params)
    client = PerMessageDeflate().confirm(params)
    assert client is not None
    message = PreparedMessage(TEXT)
    for send in (lambda: ours.send(TEXT), lambda: ours.send_prepared(message)) * 2:
        send()
    queued = ours.bytes_queued
    frames = ours.data_to_send()
    assert queued == sum(map(len, frames))
    assert bool(frames[1][0] & 0x40) is alone
    assert frames[1] is frames[3] is message.frame_for(ours)
    decoder = MessageDecoder(Role.CLIENT, inflate=client.inflater())
    assert decoder.feed(b"".join(frames)) == [TEXT] * 4


def test_send_prepared_raises_as_send_does(connection_backend: None) -> None:
    ours = connection()
    ours.send_fragment("a", fin=False)
    with pytest.raises(LocalProtocolError, match="inside a fragmented message"):
        ours.send_prepared(PreparedMessage("x"))
    ours.send_fragment("b", fin=True)
    ours.close()
    with pytest.raises(LocalProtocolError) as caught:
        ours.send_prepared(PreparedMessage("x"))
    assert caught.value.name == "closing"
    with pytest.raises(LocalProtocolError) as caught:
        Connection(Role.CLIENT).send_prepared(PreparedMessage("x"))
    assert caught.value.name == "mask_required"


# ---- StreamPeer, on sockets ---------------------------------------------------------------------


async def pair(
    talk: Callable[[StreamPeer, asyncio.StreamReader, asyncio.StreamReader], Any],
    ours: Connection | None = None,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    **options: Any,
) -> None:
    """A peer on the server's side of a connection, its reader there, and the client's reader."""
    ours = ours or Connection(Role.SERVER)
    opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.set_result((reader, writer))

    here, there = tls or (None, None)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=here)
    port = server.sockets[0].getsockname()[1]
    secure: Any = {"ssl": there, "server_hostname": "localhost"} if there else {}
    client, theirs = await asyncio.open_connection("127.0.0.1", port, **secure)
    reader, writer = await opened
    try:
        await talk(StreamPeer(ours, writer, **options), reader, client)
    finally:
        theirs.close()
        writer.close()
        server.close()
        await server.wait_closed()


async def until_end(client: asyncio.StreamReader, inflate: Any = None) -> list[Any]:
    decoder = MessageDecoder(Role.CLIENT, limits=Limits(max_message=8 << 20), inflate=inflate)
    items = []
    while data := await client.read(1 << 16):
        items += decoder.feed(data)
    return items


def test_stream_peer_writes_at_once_and_in_order() -> None:
    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        peer.connection.send("one")
        broadcast([peer], "two")
        assert peer.bytes_queued == 0
        peer.disconnect(1000, "done")
        peer.disconnect(1000, "again")  # is without effect
        assert broadcast([peer], "three").slow == []
        assert await until_end(client) == ["one", "two", Close(1000, "done")]

    run(pair(talk))


@pytest.mark.parametrize("alone", [True, False])
def test_stream_peer_sends_what_its_connection_would(alone: bool) -> None:
    """Past the connection's queue where nothing is in it; its windows stay in step."""
    params: Any = [("server_no_context_takeover", None)] if alone else []
    theirs = PerMessageDeflate().confirm(params)
    assert theirs is not None

    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        sent = []
        for number in range(3):
            peer.connection.send(f"{number} {TEXT}")
            if number == 1:
                peer.flush()
            sent += [f"{number} {TEXT}", f"all {number} {TEXT}"]
            for _ in range(2):  # the second of them finds an empty queue
                broadcast([peer], sent[-1])
            sent.append(sent[-1])
        peer.disconnect()
        assert await until_end(client, theirs.inflater()) == [*sent, Close(1000, "")]

    run(pair(talk, connection(*params)))


def test_stream_peer_within_a_message_or_behind_its_close_is_passed_over() -> None:
    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        peer.connection.send_fragment("a", fin=False)
        peer.flush()  # nothing is queued any more
        assert broadcast([peer], "x").slow == []
        peer.connection.send_fragment("b", fin=True)
        peer.connection.close()
        peer.flush()
        with pytest.raises(LocalProtocolError, match="closing"):
            peer.send_prepared(PreparedMessage("x"))
        peer.writer.close()
        assert await until_end(client) == ["ab", Close(1000, "")]

    run(pair(talk))


def test_stream_peer_of_a_client_is_an_error() -> None:
    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        with pytest.raises(LocalProtocolError, match="mask"):
            peer.send_prepared(PreparedMessage("x"))

    run(pair(talk, Connection(Role.CLIENT)))


def test_stream_peer_is_slow_by_what_the_transport_holds() -> None:
    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        assert broadcast([peer], LARGE).slow == []
        assert peer.bytes_queued > 1 << 16
        assert broadcast([peer], "dropped", max_unsent=1 << 16).slow == [peer]
        broadcast([peer], "kept", max_unsent=8 << 20)
        reading = asyncio.ensure_future(until_end(client))
        assert await broadcast([peer], "last", slow="wait", max_unsent=1 << 16) == []
        peer.disconnect()
        items = await reading
        assert [item if type(item) is Close else len(item) for item in items[1:]] == [
            len("kept"), len("last"), Close(1000, ""),
        ]  # fmt: skip

    run(pair(talk))


def test_stream_peer_whose_transport_is_gone_is_passed_over() -> None:
    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        peer.writer.transport.abort()
        assert broadcast([peer], "x").slow == []
        with pytest.raises(LocalProtocolError):
            peer.send_prepared(PreparedMessage("x"))
        peer.disconnect()  # is without effect
        assert peer.connection.close_sent is None

    run(pair(talk))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_stream_peer_whose_transport_is_gone_has_nothing_written(loop: str) -> None:
    """Its owner still answers what was read before; uvloop refuses to write."""
    module = pytest.importorskip(loop)

    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        peer.writer.transport.abort()
        assert await reader.read() == b""
        peer.connection.receive(FrameEncoder(Role.CLIENT).ping())
        peer.flush()
        assert peer.bytes_queued == 0

    with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
        runner.run(asyncio.wait_for(pair(talk), 20))


@pytest.mark.parametrize("slow", ["drop", "disconnect", "wait"])
def test_stream_peer_closed_twice_does_not_end_the_broadcast(slow: Any) -> None:
    """asyncio's TLS then fails when asked for its buffer, and the others would get nothing."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    here, there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(here)
    authority.configure_trust(there)

    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        peer.disconnect()
        peer.writer.close()  # its owner's
        other = Target()
        assert broadcast([peer, other], "x", slow=slow).slow == []
        assert len(other.frames) == 1 and peer.bytes_queued == 0
        peer.flush()
        await peer.drain()

    run(pair(talk, tls=(here, there)))


@pytest.mark.parametrize("slow", ["disconnect", "wait"])
def test_stream_peer_that_never_reads_is_aborted(slow: Any) -> None:
    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        broadcast([peer], LARGE)
        owner = asyncio.ensure_future(peer.writer.drain())  # as a server that echoes would be
        assert await broadcast([peer], "x", slow=slow, max_unsent=1, timeout=0.01) == [peer]
        assert peer.connection.close_sent == Close(1008, "too slow")
        assert await reader.read() == b""  # the owner's loop ends
        await asyncio.wait([owner])
        owner.exception()
        assert peer.bytes_queued == 0
        await peer.drain()  # no error

    run(pair(talk, close_timeout=0.05))


def test_stream_peer_that_is_closing_is_aborted_too() -> None:
    """Its owner has closed it, but what it was sent does not leave."""

    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        for _ in range(4):  # the buffers grow
            peer.send_prepared(PreparedMessage(LARGE))
        peer.writer.close()
        for _ in range(2):
            assert broadcast([peer], "x", slow="disconnect", max_unsent=1).slow == [peer]
        await asyncio.sleep(0.1)
        assert peer.bytes_queued == 0

    run(pair(talk, close_timeout=0.05))


def test_stream_peer_that_ends_in_time_is_not_aborted() -> None:
    """asyncio's abort() fails where close() found something unsent, and all of it left since."""

    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        broadcast([peer], LARGE)
        peer.disconnect()
        assert peer.bytes_queued
        with suppress(ConnectionError):  # on a machine that is too slow for it
            await until_end(client)
        await asyncio.sleep(0.6)
        assert errors == []

    run(pair(talk, close_timeout=0.5))


def test_stream_peer_whose_half_is_closed_is_disconnected() -> None:
    """§7.1.1: after both Close frames the server closes, and may do so by halves."""

    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        peer.connection.close()
        peer.flush()
        peer.writer.write_eof()
        assert broadcast([peer], "x", slow="disconnect", max_unsent=-1).slow == [peer]
        assert peer.writer.is_closing()

    run(pair(talk))


@pytest.mark.parametrize("lost", [TimeoutError(110, "timed out"), OSError(113, "no route")])
def test_stream_peer_lost_in_whatever_way_is_no_error(lost: OSError) -> None:
    async def talk(peer: StreamPeer, reader: Any, client: Any) -> None:
        reader.set_exception(lost)  # what asyncio does with the system's error
        assert await broadcast([peer], "x", slow="wait", max_unsent=-1) == []

    run(pair(talk))


# ---- examples/broadcast_server.py ---------------------------------------------------------------

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "broadcast_server.py"


class Client:
    """One of the room, who offers compression."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def enter(self, early: str = "") -> Client:
        """``early`` is what it says before it has the server's answer."""
        opening = ClientHandshake("ws://localhost/", extensions=[PerMessageDeflate()])
        hello = FrameEncoder(Role.CLIENT).text(early) if early else b""
        self.writer.write(opening.request() + hello)
        response = None
        while response is None:
            response = opening.feed(await self.reader.read(1 << 16))
        self.connection = Connection(Role.CLIENT, extensions=response.extensions)
        self.heard = self.connection.receive(opening.trailing)
        return self

    def say(self, text: str) -> None:
        self.connection.send(text)
        self.writer.writelines(self.connection.data_to_send())

    async def hear(self, count: int) -> list[Any]:
        while len(self.heard) < count:
            self.heard += self.connection.receive(await self.reader.read(1 << 16))
        heard, self.heard = self.heard[:count], self.heard[count:]
        return heard


@pytest.mark.skipif(not EXAMPLE.exists(), reason="needs a checkout")
@pytest.mark.parametrize("slow", ["drop", "disconnect", "wait"])
def test_example(slow: str) -> None:
    example = runpy.run_path(str(EXAMPLE))

    async def main() -> None:
        room = example["Room"](slow)
        server = await asyncio.start_server(room.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        clients = [Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(3)]
        for client in clients[:2]:
            await client.enter()
        await clients[2].enter(early="I am here")
        assert [await client.hear(1) for client in clients] == [["I am here"]] * 3
        clients[0].say(TEXT)
        assert [await client.hear(1) for client in clients] == [[TEXT]] * 3
        clients[0].connection.close()
        clients[0].writer.writelines(clients[0].connection.data_to_send())
        assert type((await clients[0].hear(1))[0]) is Close
        while len(room.peers) > 2:
            await asyncio.sleep(0.01)
        ticking = asyncio.ensure_future(room.tell_the_time())
        assert len((await clients[1].hear(1))[0]) == len("12:00:00")
        ticking.cancel()
        for client in clients:
            client.writer.close()
        while room.peers:
            await asyncio.sleep(0.01)
        server.close()
        await server.wait_closed()

    run(main())

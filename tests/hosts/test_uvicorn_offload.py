"""Large messages compressed in a thread: order, the ends of a connection, what must not wait."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from uvicorn.protocols.utils import ClientDisconnected

from wsfast import Close, MessageDecoder, Ping, Pong, PreparedMessage, Role
from wsfast.deflate import PerMessageDeflate
from wsfast.uvicorn import WebSocketProtocol

OFFER = b"sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n"
LARGE = '{"event": "tick"}' * 100


class Offloading(WebSocketProtocol):
    offload = 1000


class Gate(ThreadPoolExecutor):
    """An executor that starts nothing while it is shut, and knows what it ran."""

    def __init__(self) -> None:
        super().__init__(2)
        self.open = threading.Event()
        self.ran = 0

    def submit(self, function: Any, /, *args: Any, **options: Any) -> Any:
        def behind_the_gate() -> Any:
            assert self.open.wait(10)
            self.ran += 1
            return function(*args, **options)

        return super().submit(behind_the_gate)


class Lab:
    """A connection with takeover, whose application does nothing; the test has its ``send``."""

    def __init__(self, fake: Any, cls: Any = Offloading, headers: bytes = OFFER) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            self.target = scope["extensions"]["wsfast"]["connection"]
            self.say = send
            while (await receive())["type"] != "websocket.disconnect":
                pass

        self.gate = Gate()
        asyncio.get_running_loop().set_default_executor(self.gate)
        self.fake = fake(app, cls, headers)
        self.wire = self.fake.wire

    async def opened(self, open_gate: bool = False) -> Lab:
        await self.fake.opened()
        agreed = [("server_max_window_bits", "12"), ("client_max_window_bits", "12")]
        client = PerMessageDeflate().confirm(agreed)
        assert client is not None
        self.fake.decoder = MessageDecoder(Role.CLIENT, inflate=client.inflater())
        if open_gate:
            self.gate.open.set()
        return self

    async def send(self, data: Any, **more: Any) -> None:
        key = "text" if isinstance(data, str) else "bytes"
        await self.say({"type": "websocket.send", key: data, **more})

    def start(self, coroutine: Any) -> asyncio.Task[Any]:
        return asyncio.ensure_future(coroutine)

    async def finish(self, *tasks: asyncio.Task[Any]) -> list[Any]:
        """Open the gate; what the client gets by the time that ``tasks`` are done."""
        self.gate.open.set()
        await asyncio.wait(tasks)
        return self.fake.items()


def test_what_is_large_is_compressed_by_a_thread(run, fake):
    async def main():
        lab = await Lab(fake).opened(open_gate=True)
        sent = [LARGE, "small", LARGE, LARGE.encode(), "ő" * 1000, b"x" * 1000, LARGE[:999]]
        for message in sent:
            await lab.send(message)
        wire = b"".join(lab.wire.writes)
        assert lab.fake.items() == sent
        assert len(wire) < 1000 and lab.gate.ran == 5

    run(main())


@pytest.mark.parametrize("headers", [OFFER, b""])
@pytest.mark.parametrize("cls", [Offloading, WebSocketProtocol])
def test_what_no_thread_does(run, fake, cls, headers):
    """Unless it is asked for and agreed on; what is not compressed; what may change meanwhile."""

    async def main():
        lab = await Lab(fake, cls, headers).opened()
        plain = headers == b"" or cls is WebSocketProtocol
        sent = [LARGE] if plain else []
        for message in sent:
            await lab.send(message)
        await lab.send(LARGE, **{"wsfast.compress": False})
        await lab.send(bytearray(LARGE, "ascii"))
        await lab.say({"type": "websocket.send", "wsfast.prepared": PreparedMessage(LARGE)})
        await lab.say({"type": "websocket.send", "text": None, "bytes": None})
        assert lab.fake.items() == [*sent, LARGE, LARGE.encode(), LARGE]
        assert lab.gate.ran == 0
        lab.gate.open.set()

    run(main())


def test_other_messages_wait_for_it(run, fake, settle):
    async def main():
        lab = await Lab(fake).opened()
        tasks = []
        for message in (LARGE, "small", LARGE.upper(), b"more"):
            tasks.append(lab.start(lab.send(message)))
            await settle()
        tasks.append(lab.start(lab.say({"type": "websocket.close", "code": 1001})))
        await settle()
        assert not lab.wire.writes
        items = await lab.finish(*tasks)
        assert items == [LARGE, "small", LARGE.upper(), b"more", Close(1001, "")]
        assert not any(task.exception() for task in tasks)
        lab.fake.read(raw=lab.fake.encoder.close(1001))

    run(main())


def test_who_sends_in_a_loop_does_not_keep_others_out(run, fake, settle):
    """It wakes before them each time."""

    async def main():
        lab = await Lab(fake).opened(open_gate=True)

        async def push() -> None:
            while True:
                await lab.send(LARGE)

        pushing = lab.start(push())
        await settle()
        await asyncio.wait_for(lab.send("small"), 2)
        await asyncio.wait_for(lab.say({"type": "websocket.close"}), 2)
        await asyncio.wait([pushing])
        assert isinstance(pushing.exception(), RuntimeError)
        got = lab.fake.items()
        assert got[-1] == Close(1000, "") and got.count("small") == 1
        lab.fake.read(raw=lab.fake.encoder.close())

    run(main())


def test_a_sender_may_change_what_it_gave_up(run, fake, settle):
    """The dict, which is its own again."""

    async def main():
        lab = await Lab(fake).opened()
        message = {"type": "websocket.send", "text": LARGE}
        sending = lab.start(lab.say(message))
        await settle()
        sending.cancel()
        message["text"] = "other"
        assert await lab.finish(lab.start(lab.say(message))) == [LARGE, "other"]

    run(main())


def test_control_frames_and_broadcasts_do_not_wait(run, fake, settle):
    """§5.4: control frames may go between; a prepared message needs no window of ours."""

    async def main():
        lab = await Lab(fake).opened()
        await lab.send("before")
        sending = lab.start(lab.send(LARGE))
        await settle()
        lab.fake.read(raw=lab.fake.encoder.ping(b"there?"))
        lab.fake.protocol._ping(b"here?")
        lab.target.send_prepared(PreparedMessage(LARGE.upper()))
        await lab.target.drain()
        assert not sending.done()
        assert lab.fake.items() == ["before", Pong(b"there?"), Ping(b"here?"), LARGE.upper()]
        assert await lab.finish(sending) == [LARGE]

    run(main())


def test_a_send_that_is_cancelled_is_sent(run, fake, settle):
    """The compressor has seen it: without it the peer could not inflate the next."""

    async def main():
        lab = await Lab(fake).opened()
        sending = lab.start(lab.send(LARGE))
        await settle()
        sending.cancel()
        await settle()
        assert sending.cancelled()
        assert await lab.finish(lab.start(lab.send(LARGE))) == [LARGE, LARGE]

    run(main())


def test_who_waits_may_be_cancelled(run, fake, settle):
    async def main():
        lab = await Lab(fake).opened()
        sending, waiting = lab.start(lab.send(LARGE)), lab.start(lab.send("never"))
        await settle()
        waiting.cancel()
        assert await lab.finish(sending, waiting) == [LARGE]
        assert waiting.cancelled() and not sending.cancelled()

    run(main())


def test_what_cannot_be_encoded_is_the_senders_error(run, fake, settle):
    async def main():
        lab = await Lab(fake).opened()
        cancelled, sending = (lab.start(lab.send("\ud800" * 1000)) for _ in range(2))
        await settle()
        cancelled.cancel()
        assert await lab.finish(sending) == []
        assert isinstance(sending.exception(), UnicodeEncodeError)
        await lab.send(LARGE)
        assert lab.fake.items() == [LARGE]

    run(main())


@pytest.mark.parametrize("how", ["peer", "disconnect", "shutdown", "lost"])
def test_the_connection_ends_meanwhile(run, fake, settle, how):
    """Nothing follows a Close frame; the sender is told as any other would be."""

    async def main():
        lab = await Lab(fake).opened()
        sending = lab.start(lab.send(LARGE))
        waiting = lab.start(lab.send("small"))
        await settle()
        if how == "peer":
            lab.fake.read(raw=lab.fake.encoder.close(1000))
        elif how == "disconnect":
            lab.target.disconnect(1000)
        elif how == "shutdown":
            lab.fake.protocol.shutdown()
        else:
            await lab.fake.lost()
        code = 1012 if how == "shutdown" else 1000
        assert lab.fake.items() == ([] if how == "lost" else [Close(code, "")])
        assert await lab.finish(sending, waiting) == [] == lab.wire.late
        for task in (sending, waiting):
            assert isinstance(task.exception(), ClientDisconnected)

    run(main())


def test_the_transport_closes_meanwhile(run, fake, settle):
    """The application has returned: what its other tasks still send goes nowhere."""

    async def main():
        lab = await Lab(fake).opened()
        sending = lab.start(lab.send(LARGE))
        await settle()
        lab.wire.close()
        assert await lab.finish(sending) == [] == lab.wire.late
        assert sending.exception() is None

    run(main())


def test_a_full_transport_is_waited_for(run, fake, settle):
    async def main():
        lab = await Lab(fake).opened()
        first, second = lab.start(lab.send(LARGE)), lab.start(lab.send("second"))
        await settle()
        lab.fake.protocol.pause_writing()  # by Pongs, or a broadcast
        lab.fake.protocol.resume_writing()
        await settle()
        assert not second.done()  # the thread is not done yet
        lab.fake.protocol.pause_writing()
        third = lab.start(lab.send("third"))
        assert await lab.finish(first) == [LARGE]
        await settle()
        assert not second.done() and not third.done() and not lab.wire.writes
        lab.fake.protocol.resume_writing()
        assert await lab.finish(second, third) == ["second", "third"]
        assert await lab.finish(lab.start(lab.send(LARGE))) == [LARGE]
        assert lab.gate.ran == 2  # who resumes writing has not forgotten that size matters

    run(main())


@pytest.mark.parametrize("patience", [0, 0.05])
def test_a_close_waits_for_it_but_not_for_a_peer_that_does_not_read(run, fake, settle, patience):
    class Brief(Offloading):
        limits = Offloading.limits.replace(close_timeout=patience)

    async def main():
        for full in (False, True):
            lab = await Lab(fake, Brief).opened()
            sending = lab.start(lab.send(LARGE))
            await settle()
            if full:
                lab.fake.protocol.pause_writing()
            closing = lab.start(lab.say({"type": "websocket.close"}))
            looks = lab.wire.looks
            await asyncio.sleep(0.1)
            assert lab.wire.looks - looks < 20  # it waits, and does not spin
            assert closing.done() is full and bool(lab.wire.writes) is full
            items = await lab.finish(sending, closing)
            assert items == [Close(1000, "")] if full else [LARGE, Close(1000, "")]
            assert isinstance(sending.exception(), RuntimeError) is full

    run(main())


def test_an_executor_that_is_gone_is_the_senders_error(run, fake):
    async def main():
        lab = await Lab(fake).opened()
        lab.gate.shutdown()
        with pytest.raises(RuntimeError, match="shutdown"):
            await lab.send(LARGE)
        await lab.send("small")
        assert lab.fake.items() == ["small"]

    run(main())


@pytest.mark.parametrize("seed", range(5))
def test_many_tasks_at_once(run, fake, seed):
    """Each one's messages arrive in its order, whatever is cancelled, broadcast, full meanwhile."""
    r = Random(seed)

    async def main():
        lab = await Lab(fake).opened(open_gate=True)
        sent: list[list[str]] = [[] for _ in range(5)]

        async def talk(name: int, mine: list[str]) -> None:
            for number in range(40):
                text = f"{name} {number} " + LARGE[: r.choice([0, 900, 1000, 1700])]
                sending = lab.start(lab.send(text))
                if r.random() < 0.1:
                    await asyncio.sleep(0)
                    sending.cancel()
                await asyncio.wait([sending])
                if not sending.cancelled():
                    sending.result()
                    mine.append(text)
                if r.random() < 0.2:
                    lab.target.send_prepared(PreparedMessage("all " + LARGE))
                if r.random() < 0.1:
                    lab.fake.protocol.pause_writing()
                    asyncio.get_running_loop().call_later(0.001, lab.fake.protocol.resume_writing)

        await asyncio.gather(*(talk(name, mine) for name, mine in enumerate(sent)))
        got = lab.fake.items()
        for name, mine in enumerate(sent):
            theirs = [text for text in got if text.startswith(f"{name} ")]
            numbers = [int(text.split()[1]) for text in theirs]
            assert numbers == sorted(set(numbers))
            assert [text for text in theirs if text in mine] == mine

    run(main())


def test_through_sockets(run, serve, echo):
    """With the executor as it is; more messages than threads, from both ends at once."""
    sent = [f"{number} {LARGE}" if number % 3 else str(number) for number in range(60)]

    async def main():
        async with serve(echo, Offloading) as server:
            client = await server.connect(OFFER)
            agreed = PerMessageDeflate().confirm([("server_max_window_bits", "12")])
            assert agreed is not None
            client.decoder = MessageDecoder(Role.CLIENT, inflate=agreed.inflater())
            client.writer.write(b"".join(map(client.encoder.text, sent)))
            got = []
            while len(got) < len(sent):
                got += client.decoder.feed(await client.reader.read(1 << 16))
            assert got == sent

    run(main())


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (True, TypeError, "offload must be an int or None, not bool"),
        ("1", TypeError, "offload must be an int or None, not str"),
        (0, ValueError, "offload must be at least 1, not 0"),
    ],
)
def test_only_a_number_of_bytes_will_do(value, error, says):
    with pytest.raises(error, match=says):
        type("Bad", (WebSocketProtocol,), {"offload": value})

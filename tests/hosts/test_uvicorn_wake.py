"""How a waiting application is woken: order, re-entrancy, cancellation, exceptions, context."""

from __future__ import annotations

import asyncio
import contextvars
import sys

import pytest

from wsfast import Close, Limits
from wsfast.uvicorn import WebSocketProtocol

WAYS = {name: type(name, (WebSocketProtocol,), {"wake": name}) for name in ("direct", "future")}


@pytest.fixture(params=WAYS)
def cls(request):
    """The class with each way of waking."""
    return WAYS[request.param]


def accepting(main):
    """An application that accepts and then awaits ``main(receive, send)``."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await main(receive, send)

    return app


def from_loop(callback, *args):
    """Run ``callback`` as a transport's would be: by the loop, in no task. Await the result."""
    done = asyncio.get_running_loop().create_future()

    def call():
        try:
            done.set_result(callback(*args))
        except BaseException as exc:
            done.set_exception(exc)

    asyncio.get_running_loop().call_soon(call)
    return done


async def text(receive):
    return (await receive()).get("text")


# Order


@pytest.mark.parametrize("way", WAYS)
def test_direct_runs_inside_data_received(run, fake, echo, way):
    async def main():
        connection = fake(echo, WAYS[way])
        await connection.opened()

        def read():
            connection.read("a")
            return len(connection.wire.writes)

        assert await from_loop(read) == (1 if way == "direct" else 0)
        await asyncio.sleep(0)
        assert connection.written() == [["a"]]

    run(main())


def test_default_is_direct():
    assert WebSocketProtocol.wake == "direct"


def test_messages_stay_in_order(run, fake, settle, cls):
    got = []

    async def collect(receive, send):
        while True:
            got.append(await text(receive))
            if len(got) % 3 == 0:
                await asyncio.sleep(0)

    async def main():
        connection = fake(accepting(collect), cls)
        await connection.opened()
        for start in range(0, 60, 4):
            connection.read_soon(*map(str, range(start, start + 4)))
            if start % 8:
                await asyncio.sleep(0)
        await asyncio.sleep(0.02)

    run(main())
    assert got == [*map(str, range(60))]


# Re-entrancy


def test_read_from_inside_another_task(run, fake, settle, echo, cls):
    """asyncio runs one task at a time: the application waits for its turn."""

    async def main():
        connection = fake(echo, cls)
        await connection.opened()
        for number in range(3):
            connection.read(f"{number}a")
            connection.read(f"{number}b")
            assert connection.wire.writes == []
            await settle()
            assert connection.items() == [f"{number}a", f"{number}b"]

    run(main())


def test_read_from_inside_the_application(run, fake, settle, cls):
    async def main():
        got = []

        async def feed_myself(receive, send):
            connection.read("a")
            got.append(await text(receive))
            connection.read_soon("b")
            got.append(await text(receive))
            connection.read("c", "d")
            got.extend([await text(receive), await text(receive)])

        connection = fake(accepting(feed_myself), cls)
        await connection.opened()
        connection.read_soon()
        await settle()
        assert got == ["a", "b", "c", "d"]
        assert connection.task.result() is None

    run(main())


def test_two_connections_that_talk_to_each_other(run, fake, settle, cls):
    """Each one's write is the other's read, from inside its data_received."""
    rounds = 20

    async def main():
        async def play(receive, send):
            for _ in range(rounds):
                await send({"type": "websocket.send", "text": await text(receive)})

        one = await fake(accepting(play), cls).opened()
        two = await fake(accepting(play), cls).opened()
        counts = [0, 0]

        def link(source, target, index):
            def write(data):
                counts[index] += 1
                (item,) = source.decoder.feed(data)
                target.read(item)

            source.protocol._write = write

        link(one, two, 0)
        link(two, one, 1)
        one.read_soon("ball")
        while not (one.task.done() and two.task.done()):
            await asyncio.sleep(0)
        assert counts == [rounds, rounds]
        assert one.task.exception() is two.task.exception() is None

    run(main())


def test_closing_leaves_reading_on_however_much_is_queued(run, fake, settle, cls):
    """The peer's Close frame comes behind what the application has left in the queue."""

    async def close_at_once(receive, send):
        await receive()
        await send({"type": "websocket.close"})

    async def main():
        connection = await fake(accepting(close_at_once), cls, ws_max_queue=2).opened()
        connection.read_soon(*"abcd")
        await settle()
        assert connection.items() == [Close(1000, "")]
        assert not connection.wire.paused
        connection.read_soon(raw=connection.encoder.close(1000))
        await settle()
        assert connection.wire.closed

    run(main())


# Cancellation


def test_cancelled_while_waiting(run, fake, cls):
    caught = []

    async def wait(receive, send):
        waiting = asyncio.create_task(receive())
        await asyncio.sleep(0)
        assert waiting.cancel("enough") and waiting.cancelling() == 1
        with pytest.raises(asyncio.CancelledError) as info:
            await waiting
        caught.append(info.value.args)
        caught.append(await text(receive))

    async def main():
        connection = fake(accepting(wait), cls)
        await connection.opened()
        connection.read_soon("next")
        await connection.task

    run(main())
    assert caught == [("enough",), "next"]


@pytest.mark.parametrize("first", ["message", "cancel"])
def test_a_message_and_a_cancellation_at_once(run, fake, cls, first):
    """Neither is lost: a cancelled receive() has taken nothing."""

    async def main():
        got = []

        async def race(receive, send):
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            if first == "message":
                connection.read("kept")
                waiting.cancel()
            else:
                waiting.cancel()
                connection.read("kept")
            results = await asyncio.gather(waiting, return_exceptions=True)
            if isinstance(results[0], asyncio.CancelledError):
                results = [await receive()]
            got.append(results[0]["text"])

        connection = fake(accepting(race), cls)
        await connection.opened()
        await connection.task
        assert got == ["kept"]

    run(main())


def test_cancelled_before_it_waits(run, fake, cls):
    async def cancel_myself(receive, send):
        asyncio.current_task().cancel()
        with pytest.raises(asyncio.CancelledError):
            await receive()
        asyncio.current_task().uncancel()
        assert await text(receive) == "a"

    async def main():
        connection = fake(accepting(cancel_myself), cls)
        await connection.opened()
        connection.read_soon("a")
        await connection.task
        assert connection.task.exception() is None

    run(main())


def test_time_outs(run, fake, cls):
    got = []

    async def impatient(receive, send):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.002):
                    await receive()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receive(), 0.002)
        got.append(await asyncio.wait_for(receive(), 5))
        async with asyncio.timeout(5):
            got.append(await receive())

    async def main():
        connection = fake(accepting(impatient), cls)
        await connection.opened()
        await asyncio.sleep(0.05)
        connection.read_soon("a")
        await asyncio.sleep(0.01)
        connection.read_soon("b")
        await connection.task
        assert connection.task.exception() is None

    run(main())
    assert [event["text"] for event in got] == ["a", "b"]


def test_anyio(run, fake, cls):
    anyio = pytest.importorskip("anyio")
    got = []

    async def with_scopes(receive, send):
        with anyio.move_on_after(0.002) as scope:
            await receive()
        assert scope.cancelled_caught

        async def read_one():
            got.append(await text(receive))

        async with anyio.create_task_group() as group:
            group.start_soon(read_one)
            await anyio.sleep(0.02)
            group.start_soon(read_one)
            await anyio.sleep(0.002)
            group.cancel_scope.cancel()
        got.append(await text(receive))

    async def main():
        connection = fake(accepting(with_scopes), cls)
        await connection.opened()
        await asyncio.sleep(0.01)
        connection.read_soon("a")
        await asyncio.sleep(0.05)
        connection.read_soon("b")
        await connection.task
        assert connection.task.exception() is None

    run(main())
    assert got == ["a", "b"]


def test_cancelled_application(run, fake, settle, cls):
    """As at the end of a graceful shutdown; uvicorn's classes log it like any exception."""

    async def main():
        connection = fake(accepting(lambda receive, send: receive()), cls)
        await connection.opened()
        connection.task.cancel(msg="Task cancelled, timeout graceful shutdown exceeded")
        await settle()
        assert connection.wire.closed and connection.task.done()

    run(main())


def test_a_message_whose_reader_was_cancelled_counts(run, fake, settle, cls):
    few = type("Few", (cls,), {"limits": Limits(queue_bytes=1000)})

    async def main():
        async def give_up(receive, send):
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            waiting.cancel()
            connection.read("a" * 1000)
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert connection.wire.paused
            assert await text(receive) == "a" * 1000
            assert not connection.wire.paused

        connection = fake(accepting(give_up), few)
        await connection.opened()
        await connection.task
        assert connection.task.exception() is None

    run(main())


# More than one waiting task


def test_waiting_tasks_are_served_in_order(run, fake, cls):
    async def main():
        got = []

        async def read_one(name, receive):
            got.append((name, await text(receive)))

        async def several(receive, send):
            tasks = [asyncio.create_task(read_one(name, receive)) for name in "ABCD"]
            await asyncio.sleep(0)
            connection.read_soon("1")
            await asyncio.sleep(0.005)
            tasks[2].cancel()
            connection.read_soon("2", "3")
            await asyncio.wait(tasks)
            assert tasks[2].cancelled()

        connection = fake(accepting(several), cls)
        await connection.opened()
        await connection.task
        assert connection.task.exception() is None
        assert sorted(got) == [("A", "1"), ("B", "2"), ("D", "3")]

    run(main())


def test_one_read_serves_all_waiting_tasks(run, fake, cls):
    async def main():
        async def several(receive, send):
            tasks = [asyncio.create_task(text(receive)) for _ in range(4)]
            await asyncio.sleep(0)
            connection.read_soon(*"1234")
            async with asyncio.timeout(1):
                assert await asyncio.gather(*tasks) == [*"1234"]

        connection = fake(accepting(several), cls)
        await connection.opened()
        await connection.task

    run(main())


def test_the_first_of_two_waiting_tasks_is_cancelled(run, fake, cls):
    async def main():
        got = []

        async def swap(receive, send):
            first = asyncio.create_task(receive())
            await asyncio.sleep(0)
            second = asyncio.create_task(receive())
            await asyncio.sleep(0)
            first.cancel()
            third = asyncio.create_task(receive())
            connection.read_soon("a", "b")
            got.extend([(await second)["text"], (await third)["text"]])
            assert first.cancelled()

        connection = fake(accepting(swap), cls)
        await connection.opened()
        await connection.task
        assert connection.task.exception() is None
        assert sorted(got) == ["a", "b"]

    run(main())


def test_one_that_is_cancelled_when_it_is_woken_leaves_the_next_its_place(run, fake, cls):
    async def main():
        async def stubborn(receive):
            with pytest.raises(asyncio.CancelledError):
                await receive()
            return await text(receive)

        async def two(receive, send):
            other = asyncio.create_task(stubborn(receive))
            await asyncio.sleep(0)
            connection.read("1")
            other.cancel()
            assert await text(receive) == "1"
            asyncio.get_running_loop().call_later(0.005, connection.read, "2", "3")
            async with asyncio.timeout(1):
                assert sorted([await text(receive), await other]) == ["2", "3"]

        connection = fake(accepting(two), cls)
        await connection.opened()
        await connection.task

    run(main())


def test_receive_is_a_coroutine(run, fake, cls):
    """``asyncio.wait`` over receive() and something else, a common way to push and listen."""

    async def main():
        got = []

        async def listen(receive, send):
            queue = asyncio.Queue()
            listening = asyncio.create_task(receive())
            queue.put_nowait("pushed")
            while len(got) < 2:
                if got:  # not before, or both may be done at once, in no order
                    asyncio.get_running_loop().call_later(0.005, connection.read, "typed")
                pushing = asyncio.create_task(queue.get())
                done, _ = await asyncio.wait(
                    [listening, pushing], return_when=asyncio.FIRST_COMPLETED
                )
                got.extend(task.result() for task in done)
                pushing.cancel()

        connection = fake(accepting(listen), cls)
        await connection.opened()
        await connection.task
        assert got == ["pushed", {"type": "websocket.receive", "text": "typed"}]

    run(main())


# Exceptions


@pytest.mark.parametrize("exception", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_exception_stays_in_the_application(run, fake, caplog, may_fail, cls, exception):
    """uvicorn's classes log any exception of the application; none reaches the transport."""
    may_fail.append(exception)

    async def fail(receive, send):
        await receive()
        raise exception("boom")

    async def main():
        connection = fake(accepting(fail), cls)
        await connection.opened()
        await from_loop(connection.read, "go")
        await asyncio.wait([connection.task], timeout=1)
        assert connection.wire.closed and connection.task.exception() is None
        assert "Exception in ASGI application" in caplog.text
        await connection.lost()

    run(main())


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_an_exit_of_another_task_passes(cls, fake, exception):
    """asyncio lets these two out of a task's step and out of the loop, however it was woken."""

    async def read_and_exit(receive):
        await receive()
        raise exception("out")

    async def start(receive, send):
        tasks.append(asyncio.create_task(read_and_exit(receive)))
        await asyncio.sleep(10)

    async def main():
        connection = fake(accepting(start), cls)
        await connection.opened()
        connection.read_soon("go")
        await asyncio.sleep(1)

    tasks = []
    loop = asyncio.SelectorEventLoop()
    with pytest.raises(exception, match="out"):
        loop.run_until_complete(main())
    assert tasks[0].done() and isinstance(tasks[0].exception(), exception)
    leftover = asyncio.all_tasks(loop)
    for task in leftover:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*leftover, return_exceptions=True))
    loop.close()


# The task's surroundings


def test_context(run, fake, cls):
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    async def look(receive, send):
        variable.set("application")
        for _ in range(2):
            await receive()
            seen.append((variable.get(), asyncio.current_task() is connection.task))

    async def main():
        nonlocal connection
        connection = fake(accepting(look), cls)
        await connection.opened()
        for _ in range(2):
            assert await from_loop(lambda: (connection.read("a"), variable.get())[1]) == "outside"
            await asyncio.sleep(0)
        await connection.task

    connection = None
    run(main())
    assert seen == [("application", True)] * 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks(fake, settle, echo, cls):
    """On asyncio's own loop: uvloop 0.23 passes an argument that Python 3.13.0 does not know."""

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        connection = await from_loop(fake, echo, cls)
        await settle()
        assert connection.wire.writes.pop(0).startswith(b"HTTP/1.1 101 ")
        connection.read_soon("a")
        connection.read_soon("b", "c")
        await settle()
        assert connection.items() == ["a", "b", "c"]
        connection.read_soon(raw=connection.encoder.close())
        await settle()
        assert connection.written() == [[Close(1000, "")]]

    asyncio.run(main())


def test_debug_mode(fake, settle, echo, cls):
    async def main():
        connection = fake(echo, cls)
        await connection.opened()
        connection.read_soon("a")
        await settle()
        assert connection.written() == [["a"]]
        assert "Waiter" in repr(connection.task) or cls.wake == "future"
        connection.read_soon(raw=connection.encoder.close())
        await settle()

    asyncio.run(main(), debug=True)


def test_tls(run, cls, echo, serve, encrypted):
    """The TLS layers of asyncio and uvloop call data_received from other places."""
    context, options = encrypted

    async def main():
        async with serve(echo, cls, **options) as server:
            client = await server.connect(tls=context)
            for count in (1, 2, 50, 1):
                sent = [f"{number}" * 1000 for number in range(count)]
                client.writer.write(b"".join(map(client.encoder.text, sent)))
                got = []
                while len(got) < count:
                    got += client.decoder.feed(await client.reader.read(1 << 16))
                assert got == sent
            client.writer.write(client.encoder.close())
            assert await client.items() == [Close(1000, "")]

    run(main())


def test_real_traffic(run, serve, echo, cls):
    async def main():
        async with serve(echo, cls) as server:
            client = await server.connect()
            sent = [f"{number} " * (number % 7) for number in range(500)]
            got = []

            async def read():
                while len(got) < len(sent):
                    got.extend(client.decoder.feed(await client.reader.read(1000)))

            reading = asyncio.create_task(read())
            for message in sent:
                client.writer.write(client.encoder.text(message))
                if len(message) == 4:
                    await client.writer.drain()
                    await asyncio.sleep(0)
            await reading
            assert got == sent

    run(main())

"""Echo servers in a thread for the conformance suite to find fault with; one fault each.

``Faults`` holds what is wrong; without any it is a bare ``Connection``, and nothing is.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wsfast import Connection, HandshakeError, Limits, LocalProtocolError, Policy, Role, handshake
from wsfast.cli.conformance.opening import parse_url
from wsfast.cli.conformance.prober import Prober
from wsfast.deflate import PerMessageDeflate
from wsfast.frames import Ping, Text

LIMIT = 1 << 20
LIMITS = Limits(max_message=LIMIT)
READ = 64 << 10


@dataclass(frozen=True)
class Faults:
    policy: Policy | None = None
    limits: Limits = LIMITS
    answer: Callable[[bytes], bytes] = lambda answer: answer
    output: Callable[[bytes], bytes] = lambda frame: frame  # of each item of data_to_send()
    message: Callable[[object], object] = lambda message: message
    deflate: type[PerMessageDeflate] = PerMessageDeflate
    lenient_opening: bool = False
    breaks_on_refusal: bool = False
    ignores_pings: bool = False
    stays: bool = False  # TCP stays open


class Server:
    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
            if self.faults.stays:
                await asyncio.sleep(3)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _converse(self, reader, writer) -> None:
        faults = self.faults
        opening = handshake.ServerHandshake(faults.limits)
        try:
            while (request := opening.feed(data := await reader.read(READ))) is None:
                if not data:
                    return
            offer = self._offer(request)
        except HandshakeError as exc:
            status = 500 if faults.breaks_on_refusal else exc.status
            writer.write(bytes(handshake.reject(status, exc.headers)))
            return
        response = handshake.accept(offer, extensions=[faults.deflate()])
        writer.write(faults.answer(bytes(response)))
        connection = Connection(
            Role.SERVER,
            extensions=response.extensions,
            limits=faults.limits,
            policy=faults.policy,
            text="bytes" if faults.policy and faults.policy.utf8 == "off" else "str",
        )
        events = connection.receive(opening.trailing)
        while True:
            self._react(connection, events)
            writer.writelines([faults.output(item) for item in connection.data_to_send()])
            await writer.drain()
            if connection.should_close_transport:
                return
            data = await reader.read(READ)
            events = connection.receive(data) if data else connection.receive_eof()

    def _offer(self, request):
        """Lenient: whatever is missing is put there first."""
        if not self.faults.lenient_opening:
            return handshake.check_upgrade(request.method, request.http_version, request.headers)
        right = {
            b"host": b"localhost",
            b"upgrade": b"websocket",
            b"connection": b"Upgrade",
            b"sec-websocket-version": b"13",
            b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
        }
        kept = [field for field in request.headers if field[0] not in right]
        return handshake.check_upgrade("GET", "1.1", [*kept, *right.items()])

    def _react(self, connection, events) -> None:
        for event in events:
            if isinstance(event, (str, bytes, Text)):
                message = self.faults.message(event)
                if message is not None:
                    self._send(connection, message)
            elif isinstance(event, Ping) and self.faults.ignores_pings:
                connection.data_to_send()

    def _send(self, connection, message) -> None:
        try:
            connection.send(message)
        except LocalProtocolError:  # a text that is none: back it goes, as anything
            connection.send(message.payload)


@contextlib.contextmanager
def running(faults: Faults = Faults()) -> Iterator[Server]:
    """The server, on a loop in a thread of its own."""
    server = Server(faults)
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(server.serve, "127.0.0.1", 0))
    server.port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(listening), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def probe(server: Server, cases, timeout: float = 10.0):
    """Results by name."""
    prober = Prober(parse_url(f"ws://127.0.0.1:{server.port}/"), timeout=timeout, limit=LIMIT)
    return {result.case.name: result for result in prober.run(cases, lambda fraction: None)}


def failed(results) -> set[str]:
    return {name for name, result in results.items() if result.outcome == "fail"}

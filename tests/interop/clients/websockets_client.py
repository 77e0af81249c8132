"""websockets: its asyncio client, on an event loop of its own.

Not the threading one: over TLS on CPython 3.11 it hangs about once in 300 handshakes, whatever
the server, since it reads and writes one OpenSSL connection from two threads.
"""

from __future__ import annotations

import asyncio

from clients.base import TIMEOUT, End, Message, tls_context
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


class Websockets:
    def __init__(self, ca_file: str) -> None:
        self._ca_file = ca_file
        self._runner = asyncio.Runner()

    def _run(self, coroutine):
        async def limited():
            return await asyncio.wait_for(coroutine, TIMEOUT)

        return self._runner.run(limited())

    def open(self, url: str, subprotocols: list[str]) -> None:
        self._run(self._open(url, subprotocols))
        protocol = self._connection.protocol
        self.extensions = ", ".join(extension.name for extension in protocol.extensions)
        self.subprotocol = protocol.subprotocol

    async def _open(self, url: str, subprotocols: list[str]) -> None:
        self._connection = await connect(
            url,
            ssl=tls_context(url, self._ca_file),
            subprotocols=subprotocols or None,
            max_size=None,
            close_timeout=TIMEOUT,
        )

    def send(self, message: Message) -> None:
        self._run(self._connection.send(message))

    def send_fragments(self, messages: list[Message]) -> None:
        self._run(self._connection.send(iter(messages)))

    def receive(self) -> Message:
        return self._run(self._connection.recv())

    def ping(self, payload: bytes) -> bytes:
        self._run(self._ping(payload))
        return payload  # the future is done only by a Pong with the payload of the Ping

    async def _ping(self, payload: bytes) -> None:
        await (await self._connection.ping(payload))

    def close(self, code: int, reason: str) -> None:
        self._run(self._connection.close(code, reason))

    def wait_closed(self) -> End:
        try:
            message = self._run(self._connection.recv())
        except ConnectionClosed:
            return End(self._connection.close_code, self._connection.close_reason)
        raise AssertionError(f"the connection should have ended, but {message!r} came")

    def stop(self) -> None:
        self._run(self._connection.close())
        self._runner.close()

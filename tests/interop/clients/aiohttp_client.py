"""aiohttp: its client session, on an event loop of its own."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import WSMsgType
from clients.base import TIMEOUT, End, Message, tls_context


class Aiohttp:
    def __init__(self, ca_file: str) -> None:
        self._ca_file = ca_file
        self._runner = asyncio.Runner()
        self._session = self._run(self._make_session())

    @staticmethod
    async def _make_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    def _run(self, coroutine):
        async def limited():
            return await asyncio.wait_for(coroutine, TIMEOUT)

        return self._runner.run(limited())

    def open(self, url: str, subprotocols: list[str]) -> None:
        # autoping=False: Pongs are handed to us, Pings we answer ourselves.
        connecting = self._session.ws_connect(
            url,
            protocols=subprotocols,
            compress=15,
            ssl=tls_context(url, self._ca_file) or True,
            autoping=False,
            max_msg_size=0,
        )
        self._socket = self._run(connecting)
        response = self._socket._response  # private, but the only way to the header
        self.extensions = response.headers.get("Sec-WebSocket-Extensions", "")
        self.subprotocol = self._socket.protocol

    def send(self, message: Message) -> None:
        send = self._socket.send_str if isinstance(message, str) else self._socket.send_bytes
        self._run(send(message))

    async def _next(self) -> aiohttp.WSMessage:
        while (message := await self._socket.receive()).type is WSMsgType.PING:
            await self._socket.pong(message.data)
        return message

    def receive(self) -> Message:
        message = self._run(self._next())
        assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
        return message.data

    def ping(self, payload: bytes) -> bytes:
        self._run(self._socket.ping(payload))
        message = self._run(self._next())
        assert message.type is WSMsgType.PONG, message
        return bytes(message.data)

    def close(self, code: int, reason: str) -> None:
        self._run(self._socket.close(code=code, message=reason.encode()))
        self._end = End(self._socket.close_code, reason)  # it keeps no reason of its own close

    def wait_closed(self) -> End:
        if self._socket.closed:
            return self._end
        message = self._run(self._next())
        assert message.type is WSMsgType.CLOSE, message
        return End(message.data, message.extra)

    def stop(self) -> None:
        self._run(self._socket.close())
        self._run(self._session.close())
        self._runner.close()

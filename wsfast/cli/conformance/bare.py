"""An echo on a bare ``wsfast.Connection`` and asyncio, for ``--peers``; hosts are in ``hosts``."""

from __future__ import annotations

import asyncio

from wsfast import Connection, HandshakeError, Limits, Role, handshake
from wsfast.deflate import PerMessageDeflate

from .peers import LIMIT

LIMITS = Limits(max_message=LIMIT)
READ = 64 << 10


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await _converse(reader, writer)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    opening = handshake.ServerHandshake(LIMITS)
    try:
        while (request := opening.feed(data := await reader.read(READ))) is None:
            if not data:
                return
        offer = handshake.check_upgrade(request.method, request.http_version, request.headers)
    except HandshakeError as exc:
        writer.write(bytes(handshake.reject(exc.status, exc.headers)))
        return
    response = handshake.accept(offer, extensions=[PerMessageDeflate()])
    writer.write(bytes(response))
    connection = Connection(Role.SERVER, extensions=response.extensions, limits=LIMITS)
    events = connection.receive(opening.trailing)
    while True:
        for event in events:
            if isinstance(event, (str, bytes)):
                connection.send(event)
        writer.write(b"".join(connection.data_to_send()))
        await writer.drain()
        if connection.should_close_transport:
            return
        data = await reader.read(READ)
        events = connection.receive(data) if data else connection.receive_eof()

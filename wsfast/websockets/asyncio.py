"""``ServerConnection`` and ``ClientConnection`` for ``create_connection=`` of
``websockets.asyncio``."""

from __future__ import annotations

from typing import Any, ClassVar

from websockets.asyncio import client, server

from wsfast.integrations import _websockets_asyncio as driver

from ._protocols import FastConnection


class _Fast(FastConnection):
    """``cork`` set to True in a subclass: what is sent while received messages wait leaves in one
    write, when the last of them was taken, at 64 KiB, or at the end of the loop's iteration. What
    waits so is lost to ``transport.close()``; the connection's own ``close()`` sends it."""

    cork: ClassVar[bool] = False

    data_received = driver.data_received
    recv = driver.recv
    __aiter__ = driver.__aiter__
    send = driver.send
    send_data = driver.send_data

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.cork:
            driver.CORKING.add(cls)


class ServerConnection(_Fast, server.ServerConnection):
    """``websockets.asyncio.server.ServerConnection``, faster."""


class ClientConnection(_Fast, client.ClientConnection):
    """``websockets.asyncio.client.ClientConnection``, faster."""

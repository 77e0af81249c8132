"""``ServerConnection`` and ``ClientConnection`` for ``create_connection=`` of
``websockets.trio``."""

from __future__ import annotations

from websockets.trio import client, server

from ._protocols import FastConnection


class ServerConnection(FastConnection, server.ServerConnection):
    """``websockets.trio.server.ServerConnection``, faster."""


class ClientConnection(FastConnection, client.ClientConnection):
    """``websockets.trio.client.ClientConnection``, faster."""

"""``ServerConnection`` and ``ClientConnection`` for ``create_connection=`` of
``websockets.sync``."""

from __future__ import annotations

from websockets.sync import client, server

from ._protocols import FastConnection


class ServerConnection(FastConnection, server.ServerConnection):
    """``websockets.sync.server.ServerConnection``, faster."""


class ClientConnection(FastConnection, client.ClientConnection):
    """``websockets.sync.client.ClientConnection``, faster."""

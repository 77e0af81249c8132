"""websockets, ``broadcast()``: no frame object, no list of writes for each connection.

A function cannot be replaced in place: whoever imported it by name before has the original.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from websockets.asyncio import connection
from websockets.asyncio.connection import Connection

from ._seams import Seam
from ._websockets_asyncio import written

_broadcast: Any = connection.broadcast
# Anything else is for the original to refuse, before a single connection is written to.
_OPTIONS = {"raise_exceptions", "text"} & set(inspect.signature(_broadcast).parameters)


def broadcast(
    connections: Iterable[Connection], message: Any, *arguments: Any, **options: Any
) -> None:
    """``websockets.asyncio.server.broadcast``; what it says holds here too."""
    if not arguments and options.keys() <= _OPTIONS and type(message) in (str, bytes, bytearray):
        text = options.get("text")
        as_text = text is not False if type(message) is str else text is True
        try:
            payload = message.encode() if type(message) is str else message
        except UnicodeEncodeError:
            pass  # the original raises it too
        else:
            connections = [
                one
                for one in connections
                if not (isinstance(one, Connection) and written(one, payload, as_text))
            ]
    _broadcast(connections, message, *arguments, **options)


broadcast.__module__ = _broadcast.__module__
broadcast.__signature__ = inspect.signature(_broadcast)  # type: ignore[attr-defined]

SEAMS = (
    Seam("websockets.asyncio.connection:broadcast", broadcast),
    Seam("websockets.asyncio.server:broadcast", broadcast),
)


def selftest() -> None:
    """It refuses what the original refuses."""
    for call in (broadcast, _broadcast):
        try:
            call([], 1)
        except TypeError:
            continue
        raise AssertionError("broadcast() takes a number for a message")

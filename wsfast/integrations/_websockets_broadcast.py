"""websockets, ``broadcast()``: no frame object, no list of writes for each connection, and one
compression for all whose compressors begin anew with each message, with the same parameters.

A function cannot be replaced in place: whoever imported it by name before has the original.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from websockets.asyncio import connection
from websockets.asyncio.connection import Connection
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from ._seams import Seam
from ._websockets_asyncio import written

_broadcast: Any = connection.broadcast
_encode = PerMessageDeflate.encode
Made = list[tuple[int, dict[Any, Any], bytes]]  # window bits, settings, compressed
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
            made: Made = []
            connections = [
                one
                for one in connections
                if not (isinstance(one, Connection) and sent(one, payload, as_text, made))
            ]
    _broadcast(connections, message, *arguments, **options)


def sent(one: Any, payload: bytes | bytearray, as_text: bool, made: Made) -> bool:
    """Whether it was; else that is left to the library."""
    extensions = one.protocol.extensions
    if not extensions:
        return written(one, payload, as_text)
    try:
        compressed = shared(extensions, payload, made)
    except Exception:
        return False  # the library will meet it too
    return compressed is not None and written(one, compressed, as_text, 0x40)


def shared(extensions: Any, payload: bytes | bytearray, made: Made) -> bytes | None:
    """What they make of it, where that is the same for all with the same parameters.

    The library compresses, in a context of its own: this one's may be within a message.
    """
    extension = extensions[0]
    if (
        len(extensions) > 1
        or extension.encode.__func__ is not _encode
        or not extension.local_no_context_takeover
    ):
        return None
    bits, settings = extension.local_max_window_bits, extension.compress_settings
    for known_bits, known_settings, compressed in made:
        if known_bits == bits and known_settings == settings:
            return compressed
    fresh = PerMessageDeflate(True, True, 15, bits, settings)
    compressed = bytes(fresh.encode(Frame(Opcode.BINARY, payload)).data)
    made.append((bits, dict(settings), compressed))  # they may change meanwhile
    return compressed


_DEFLATE = "websockets.extensions.permessage_deflate:PerMessageDeflate."
SEAMS = (
    Seam("websockets.asyncio.connection:broadcast", broadcast, reads=(
        f"{_DEFLATE}__init__", f"{_DEFLATE}encode")),
    Seam("websockets.asyncio.server:broadcast", broadcast),
)  # fmt: skip


def selftest() -> None:
    """It refuses what the original refuses."""
    for call in (broadcast, _broadcast):
        try:
            call([], 1)
        except TypeError:
            continue
        raise AssertionError("broadcast() takes a number for a message")

"""One message for many connections: framed once, compressed once per set of parameters."""

from __future__ import annotations

from sys import intern

from .codec import FrameEncoder
from .deflate import DeflateParameters
from .errors import LocalProtocolError
from .frames import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .connection import Connection

_SERVER = Role.SERVER  # looked up once: members of an enum are not cheap


def kind_of(connection: Connection) -> str | None:
    """The same object for all connections that get the same frame, for ``frame_of``.

    It is to be kept beside the connection: with a system call between any two connections of a
    broadcast, each object looked at on the way to a frame is fetched from memory.
    """
    if connection.role is not _SERVER:
        return ""  # of which there is never a frame
    for agreed in connection.extensions:
        if isinstance(agreed, DeflateParameters):
            return agreed.alone and intern(agreed.alone)
    return None


class PreparedMessage:
    """A text (``str``) or binary message, ready for a server to send to any number of peers.

    A frame compressed on its own fits every connection whose server side starts each message with
    an empty window (``server_no_context_takeover``). To the others it goes uncompressed: a frame
    that their compressor has not made would put the two windows out of step (RFC 7692 §7.1.1.1).
    ``compress`` is that of ``FrameEncoder.text``. A mutable buffer is copied here. Threads may
    share one: what one of them compresses, a broadcast finds ready.
    """

    __slots__ = ("_compress", "_data", "_frames", "_is_text")

    def __init__(self, data: str | Buffer, *, compress: bool | None = None) -> None:
        self._is_text = isinstance(data, str)
        self._data = data.encode() if isinstance(data, str) else bytes(memoryview(data))
        self._compress = compress
        # By DeflateParameters.alone; None: uncompressed.
        self._frames: dict[str | None, bytes] = {None: self._frame(None)}

    def frame_for(self, connection: Connection | None) -> bytes:
        """The frame to send on ``connection``, or with ``None`` the uncompressed one.

        The same object for all connections with equal parameters. ``LocalProtocolError``
        (``mask_required``) for a client's connection, whose every frame needs a key of its own.
        """
        if connection is None:
            return self._frames[None]
        if connection.role is not _SERVER:
            raise LocalProtocolError("mask_required")
        for agreed in connection.extensions:
            if isinstance(agreed, DeflateParameters):
                frame = self._frames.get(agreed.alone)
                return self._compressed(agreed) if frame is None else frame
        return self._frames[None]

    def frame_of(self, kind: str | None, connection: Connection) -> bytes:
        """``frame_for(connection)``, of whose ``kind`` one may have been made already."""
        frame = self._frames.get(kind)
        return self.frame_for(connection) if frame is None else frame

    def _compressed(self, parameters: DeflateParameters) -> bytes:
        wanted = self._compress
        if wanted is None:
            wanted = len(self._data) >= parameters.threshold
        frame = self._frame(parameters) if wanted else self._frames[None]
        return self._frames.setdefault(parameters.alone, frame)  # a thread may have been quicker

    def _frame(self, parameters: DeflateParameters | None) -> bytes:
        deflate = None if parameters is None else parameters.deflater()
        encoder = FrameEncoder(Role.SERVER, deflate=deflate)
        send = encoder.text if self._is_text else encoder.binary
        return send(self._data, compress=deflate is not None)

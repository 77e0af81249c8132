"""The errors of wsfast: one table of names, close codes and texts, and their exceptions.

The table mirrors the ``WSF_ERRORS`` macro of ``include/wsf.h``; a test holds the two equal.
Leaf module: it imports nothing.
"""

# name -> (close code of RFC 6455 §7.4.1, text). The order is the order of the numbers in wsf.h.
ERRORS = {
    "invalid_opcode": (1002, "invalid opcode"),
    "reserved_bits": (1002, "reserved bits must be 0"),
    "control_fragmented": (1002, "control frame is fragmented"),
    "control_too_long": (1002, "control frame is longer than 125 bytes"),
    "mask_required": (1002, "frame from a client is not masked"),
    "mask_forbidden": (1002, "frame from a server is masked"),
    "length_not_minimal": (1002, "payload length is not minimally encoded"),
    "length_msb": (1002, "most significant bit of the payload length is set"),
    "frame_too_big": (1009, "frame exceeds the limit"),
    "message_too_big": (1009, "message exceeds the limit"),
    "too_many_fragments": (1009, "message has too many fragments"),
    "unexpected_continuation": (1002, "continuation frame without a message"),
    "expected_continuation": (1002, "data frame inside a fragmented message"),
    "close_length": (1002, "close payload is one byte long"),
    "close_code": (1002, "close code must not be sent"),
    "close_reason_utf8": (1007, "close reason is not valid UTF-8"),
    "invalid_utf8": (1007, "text is not valid UTF-8"),
    "deflate_error": (1002, "compressed message cannot be inflated"),
    "too_slow": (1008, "peer is too slow"),
    "unexpected_eof": (1006, "connection ended inside a frame or message"),
}

# Mistakes of the caller that no peer can make. Close code 1011: should one escape into a
# server, the other side is told of an internal error, not blamed.
LOCAL_ERRORS = {
    "closing": (1011, "the connection is closing or closed"),
}


class CodecError(Exception):
    """A fault with a name.

    ``name`` is a key of the table above, ``close_code`` the RFC 6455 §7.4 code that answers it, and
    ``offset`` the position in the byte stream, counted from its first byte, of the byte at fault
    (of an ill-formed UTF-8 sequence: its first byte; inside a compressed message: the first byte
    of the frame).
    """

    def __init__(self, name: str, offset: int = 0) -> None:
        super().__init__(name, offset)
        self.name = name
        self.offset = offset
        entry = ERRORS.get(name) or LOCAL_ERRORS[name]
        self.close_code, self._text = entry

    def __str__(self) -> str:
        return self._text


class RemoteProtocolError(CodecError):
    """The peer broke the protocol or a limit. Decoders return it as the last item."""


class LocalProtocolError(CodecError):
    """The caller asked for something the protocol forbids. Always raised; nothing was sent."""


class HandshakeError(CodecError):
    """An opening handshake that must not succeed.

    ``status`` and ``headers`` are the HTTP answer a server should send (on the client side: what
    the server answered); ``close_code`` is 1006, since no close frame can be sent yet.
    """

    def __init__(self, status: int, headers: list[tuple[str, str]], name: str) -> None:
        Exception.__init__(self, status, headers, name)
        self.status = status
        self.headers = headers
        self.name = name
        self.close_code = 1006
        self.offset = 0

    def __str__(self) -> str:
        return f"{self.name} (HTTP {self.status})"

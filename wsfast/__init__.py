"""wsfast: a WebSocket codec in C, its twin in Python, and the hosts it makes faster.

Importing this module loads the codec and nothing else; ``wsfast.connection``,
``wsfast.handshake``, ``wsfast.deflate`` and ``wsfast.uvicorn`` load when they are asked for.
"""

from ._version import __version__
from .codec import (
    FrameDecoder,
    FrameEncoder,
    MessageDecoder,
    Utf8Decoder,
    Utf8Validator,
    backend,
    build_header,
    build_info,
    mask,
    mask_inplace,
    parse_header,
    scan,
    utf8_valid,
)
from .errors import CodecError, HandshakeError, LocalProtocolError, RemoteProtocolError
from .frames import (
    STRICT_CLIENT,
    STRICT_SERVER,
    Close,
    CloseCode,
    Frame,
    Header,
    Limits,
    Opcode,
    Ping,
    Policy,
    Pong,
    Role,
    Text,
)

__all__ = [
    "STRICT_CLIENT",
    "STRICT_SERVER",
    "Close",
    "CloseCode",
    "CodecError",
    "Connection",
    "Frame",
    "FrameDecoder",
    "FrameEncoder",
    "HandshakeError",
    "Header",
    "Limits",
    "LocalProtocolError",
    "MessageDecoder",
    "Opcode",
    "Ping",
    "Policy",
    "Pong",
    "PreparedMessage",
    "RemoteProtocolError",
    "Role",
    "Text",
    "Utf8Decoder",
    "Utf8Validator",
    "__version__",
    "backend",
    "build_header",
    "build_info",
    "handshake",
    "mask",
    "mask_inplace",
    "parse_header",
    "scan",
    "utf8_valid",
]

# Loaded on first use: they are not needed to decode a frame, and the import budget is 8 ms.
_LATE = {"Connection": "connection", "PreparedMessage": "prepared", "handshake": "handshake"}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_LATE[name]}")
    value = module if name == _LATE[name] else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

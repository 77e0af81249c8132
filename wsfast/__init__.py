"""wsfast: a WebSocket codec in C, its twin in Python, and the hosts it makes faster.

Importing this module loads the codec and nothing else; ``wsfast.connection``,
``wsfast.handshake``, ``wsfast.deflate``, ``wsfast.uvicorn`` and what ``install`` needs load when
they are asked for.
"""

try:
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
except ImportError as exc:
    import os
    import sys

    name = os.path.basename([*sys.argv, ""][0])
    if name in ("wsfast", "wsfast.exe") or (name == "-m" and "wsfast" in sys.orig_argv):
        raise SystemExit(f"wsfast: {exc}") from None  # who typed a command reads one sentence
    raise

from .errors import CodecError, HandshakeError, LocalProtocolError, RemoteProtocolError
from .frames import (
    STRICT_CLIENT,
    STRICT_SERVER,
    Close,
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

__version__ = "0.1.0"

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
    "HostRefused",
    "HostStatus",
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
    "StreamPeer",
    "Text",
    "Utf8Decoder",
    "Utf8Validator",
    "__version__",
    "backend",
    "broadcast",
    "build_header",
    "build_info",
    "handshake",
    "install",
    "is_active",
    "mask",
    "mask_inplace",
    "parse_header",
    "scan",
    "set_zlib_backend",
    "status",
    "uninstall",
    "utf8_valid",
]

# Loaded on first use: they are not needed to decode a frame, and the import budget is 8 ms.
_LATE = {
    "CloseCode": "close_codes",
    "Connection": "connection",
    "HostRefused": "integrations",
    "HostStatus": "integrations",
    "PreparedMessage": "prepared",
    "StreamPeer": "broadcasting",
    "broadcast": "broadcasting",
    "handshake": "handshake",
    "install": "integrations",
    "is_active": "integrations",
    "set_zlib_backend": "deflate",
    "status": "integrations",
    "uninstall": "integrations",
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import handshake
    from .broadcasting import StreamPeer, broadcast
    from .close_codes import CloseCode
    from .connection import Connection
    from .deflate import set_zlib_backend
    from .integrations import HostRefused, HostStatus, install, is_active, status, uninstall
    from .prepared import PreparedMessage


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

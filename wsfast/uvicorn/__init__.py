"""uvicorn's WebSocket protocol on the wsfast codec: ``--ws wsfast.uvicorn:WebSocketProtocol``.

Or ``uvicorn.run(app, ws=WebSocketProtocol)``; subclass it to change ``text``, ``cork``, ``wake``,
``limits``, ``deflate`` or ``offload``. Imports uvicorn, and neither websockets nor wsproto.
"""

import logging

from wsfast import codec

from ._protocol import WebSocketProtocol

__all__ = ["WebSocketProtocol"]

if codec.backend() == "python" and not codec.environment():  # nobody asked for it
    logging.getLogger("wsfast").warning(
        "wsfast.uvicorn runs in pure Python, slower than uvicorn's own class for large messages: "
        "the C extension is not there; `wsfast status` says why"
    )

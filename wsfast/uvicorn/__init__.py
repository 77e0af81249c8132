"""uvicorn's WebSocket protocol on the wsfast codec: ``--ws wsfast.uvicorn:WebSocketProtocol``.

Or ``uvicorn.run(app, ws=WebSocketProtocol)``; subclass it to change ``text``, ``cork``, ``wake``,
``limits`` or ``deflate``. Imports uvicorn, and neither websockets nor wsproto.
"""

from ._protocol import WebSocketProtocol

__all__ = ["WebSocketProtocol"]

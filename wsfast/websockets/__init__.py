"""websockets' own connections on wsfast's codec, by the hook the library offers, without a patch::

    from websockets.asyncio.server import serve
    from wsfast.websockets.asyncio import ServerConnection

    async with serve(handler, "", 8001, create_connection=ServerConnection): ...

``wsfast.websockets.asyncio``, ``.sync`` and ``.trio`` have a ``ServerConnection`` and a
``ClientConnection`` each; subclasses of the library's, they behave as those do.
"""

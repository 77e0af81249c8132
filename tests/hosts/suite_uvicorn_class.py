"""Put beside uvicorn's tests/protocols/test_websocket.py as its conftest: one class for them all.

Without WSFAST_BACKEND it is uvicorn's default, with it ours; and a line like those of wsfast's own
goes into WSFAST_REPORT: how many connections the class served.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from uvicorn.importer import import_from_string

DEFAULT = "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol"
OURS = "wsfast.uvicorn:WebSocketProtocol"
BACKEND = os.environ.get("WSFAST_BACKEND")
CLASS = import_from_string(OURS if BACKEND else DEFAULT)


@pytest.fixture(scope="session")
def connections() -> Iterator[list[None]]:
    served: list[None] = []
    yield served
    if BACKEND:
        import wsfast

        host = {
            "name": "wsfast.uvicorn",
            "hits": len(served),
            "state": "active",
            "seams": [],
            "reason": "",
        }
        with open(os.environ["WSFAST_REPORT"], "a", encoding="utf-8") as file:
            file.write(json.dumps({"backend": wsfast.backend(), "hosts": [host]}) + "\n")


@pytest.fixture
def ws_protocol_cls(monkeypatch: pytest.MonkeyPatch, connections: list[None]) -> Any:
    connection_made = CLASS.connection_made

    def counted(self: Any, transport: Any) -> None:
        connections.append(None)
        connection_made(self, transport)

    monkeypatch.setattr(CLASS, "connection_made", counted)
    return CLASS

"""The ASGI application behind the servers that real clients and Autobahn talk to.

WebSocket ``/``: accepts the first subprotocol offered and echoes every message; with ``?id=X`` it
keeps how the connection ended. WebSocket ``/close?code=N&reason=R``: answers the first message by
closing. WebSocket ``/seen``: tells what is known of the client here, and the frames that went
through wsfast by host. HTTP ``/ended?id=X`` waits for that connection to end and tells its code and
reason; every other GET serves a file of ``tests/interop/clients`` (the page a browser opens).
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qs

PAGES = Path(__file__).resolve().parents[1] / "interop" / "clients"
FILES = {
    "/": (PAGES / "page.html", b"text/html; charset=utf-8"),
    "/client.mjs": (PAGES / "client.mjs", b"text/javascript; charset=utf-8"),
}
ENDED_TIMEOUT = 10.0  # seconds

_ended: dict[str, asyncio.Future[dict]] = {}


def _query(scope) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}


def _end_of(connection_id: str) -> asyncio.Future[dict]:
    return _ended.setdefault(connection_id, asyncio.get_running_loop().create_future())


async def app(scope, receive, send) -> None:
    if scope["type"] == "websocket":
        await HANDLERS.get(scope["path"], _echo)(scope, receive, send)
    elif scope["type"] == "http":
        await _serve(scope, send)


async def _accept(scope, receive, send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})


async def _echo(scope, receive, send) -> None:
    await _accept(scope, receive, send)
    while (event := await receive())["type"] == "websocket.receive":
        key = "text" if event.get("text") is not None else "bytes"
        await send({"type": "websocket.send", key: event[key]})
    connection_id = _query(scope).get("id")
    if connection_id:
        end = {"code": event["code"], "reason": event.get("reason")}
        _end_of(connection_id).set_result(end)


async def _close(scope, receive, send) -> None:
    await _accept(scope, receive, send)
    query = _query(scope)
    if (await receive())["type"] == "websocket.receive":
        code, reason = int(query["code"]), query.get("reason", "")
        await send({"type": "websocket.close", "code": code, "reason": reason})


async def _tell(scope, receive, send) -> None:
    import wsfast  # not before it is asked for: other servers here run without it

    await _accept(scope, receive, send)
    seen = {
        "client": scope["client"][0],
        "scheme": scope["scheme"],
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        "hits": {host.name: host.hits for host in wsfast.status()},
    }
    await send({"type": "websocket.send", "text": json.dumps(seen)})
    assert (await receive())["type"] == "websocket.disconnect"


HANDLERS = {"/close": _close, "/seen": _tell}


async def _serve(scope, send) -> None:
    status, kind, body = 200, b"application/json", b""
    if scope["path"] == "/ended":
        end = await asyncio.wait_for(_end_of(_query(scope)["id"]), ENDED_TIMEOUT)
        body = json.dumps(end).encode()
    elif scope["path"] in FILES:
        path, kind = FILES[scope["path"]]
        body = path.read_bytes()
    else:
        status = 404
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""The class uvicorn instantiates: the life of one connection, from handshake to disconnect."""

from __future__ import annotations

import asyncio
import logging
from enum import Enum

from uvicorn.logging import TRACE_LOG_LEVEL
from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_path_with_query_string,
    get_remote_addr,
)

from wsfast.deflate import PerMessageDeflate
from wsfast.errors import HandshakeError, RemoteProtocolError
from wsfast.frames import Close, Limits

from ._input import Input, end_event
from ._keepalive import Keepalive
from ._opening import Denial, Opening, refusal, rejection
from ._options import check, limits_under, patience_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar, Literal

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from wsfast._handshake_values import Negotiated

logger = logging.getLogger("uvicorn.error")
made = 0  # connections of this process, for wsfast.status()


class State(Enum):
    """How far the conversation is; it decides what the application may send."""

    OPENING = "not accepted yet"
    DENYING = "an HTTP response is being sent instead"
    DENIED = "refused, or denied with a complete HTTP response"
    OPEN = "open"
    CLOSING = "our Close frame is sent, the peer's is awaited"
    ENDED = "ended by the peer, a fault or the server"
    LINGERING = "ended by a fault or the server, and the peer may still be sending"
    LOST = "the transport is gone"


_NEVER_OPEN = (State.OPENING, State.DENYING, State.DENIED)
_OVER = (State.ENDED, State.LINGERING)
_SEEN_TO = (State.CLOSING, State.LINGERING, State.LOST)  # the transport ends without further ado


class WebSocketProtocol(Input):
    """One WebSocket connection of a uvicorn server.

    Class attributes, to be changed in a subclass:

    text    "str", or "bytes": text reaches the application as validated UTF-8 ``bytes``
    cork    "auto": while received messages wait, what the application sends is collected and
            leaves in one write; "burst": so are the sends of one turn of the loop after the
            first; "off": every send is written at once
    wake    "direct": the waiting application runs from inside ``data_received``;
            "future": in the next turn of the loop
    limits  uvicorn's ``ws_max_size`` takes the place of ``max_message``, ``ws_max_queue`` that of
            ``queue_messages``. ``open_timeout`` is not enforced here: uvicorn's HTTP protocol
            reads the request, and has no deadline for it.

    deflate what is asked of permessage-deflate, unless uvicorn's ``ws_per_message_deflate`` is off
    offload from so many characters or bytes a message is compressed in the loop's default
            executor, one at a time: other sends wait for it, control frames do not; None: never.
            64 KiB or more make sense: to go to a thread and back costs 0.1 ms.

    In a scope ``extensions["wsfast"]`` is ``{"version": 1, "connection": …}``: this object, whose
    ``send_prepared``, ``bytes_queued``, ``drain`` and ``disconnect`` make it a target of
    ``wsfast.broadcast``.
    """

    text: ClassVar[Literal["str", "bytes"]] = "str"
    cork: ClassVar[Literal["auto", "burst", "off"]] = "auto"
    wake: ClassVar[Literal["direct", "future"]] = "direct"
    limits: ClassVar[Limits] = Limits()
    deflate: ClassVar[PerMessageDeflate] = PerMessageDeflate(  # what uvicorn asks
        server_max_window_bits=12, client_max_window_bits=12, mem_level=5
    )
    offload: ClassVar[int | None] = None

    __slots__ = (
        "__weakref__",
        "_app_state",
        "_client",
        "_config",
        "_denial",
        "_early",
        "_opening",
        "_server_state",
        "_state",
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check(cls)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        global made
        made += 1
        if not config.loaded:
            config.load()
        limits = limits_under(self.limits, config.ws_max_size, config.ws_max_queue)
        super().__init__(_loop or asyncio.get_event_loop(), limits, self.cork, self.wake)
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._state = State.OPENING
        self._opening: Opening | None = None
        self._denial: Denial | None = None
        self._early = bytearray()
        self._feed = self._read_request

    # Called by uvicorn and the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """uvicorn's HTTP protocol hands its connection over."""
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        self.transport = transport  # type: ignore[assignment]
        self._write = self.transport.write
        self._client = get_remote_addr(self.transport)
        self._trace("WebSocket connection made")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, whatever it waits for."""
        code = 1006 if self._state in _NEVER_OPEN else 1005
        self._end_as(State.LOST)
        self._opening = None  # its scope holds this object
        self._put({"type": "websocket.disconnect", "code": code})
        self._server_state.connections.discard(self)
        self._trace("WebSocket connection lost")
        self._outbox.clear()
        self._pongs.clear()
        self._cancel_close_timer()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self.resume_writing()  # asyncio will not call it, and send() may be waiting

    def eof_received(self) -> None:
        """The peer ends its direction: the transport closes, once our output has left, or never."""
        self._abort_in_time()

    def shutdown(self) -> None:
        """The server shuts down, and waits until its connections are gone: it must not be long."""
        if self._state is State.OPEN:
            self._put({"type": "websocket.disconnect", "code": 1012})
        if self._state in (State.OPEN, State.CLOSING):
            self._finish(1012, linger=True)
        else:
            self._send_500()
            self._hang_up()
        if not self.transport.is_closing():
            self._cancel_close_timer()
            self.close_timer = self._loop.call_later(patience_of(self._config), self._hang_up)
            self._resume_reading()  # else the peer's end would never be seen

    def _trace(self, text: str) -> None:
        if logger.level <= TRACE_LOG_LEVEL:
            prefix = f"{self._client[0]}:{self._client[1]} - " if self._client else ""
            logger.log(TRACE_LOG_LEVEL, "%s" + text, prefix)

    # The opening

    def _read_request(self, data: bytes) -> list[Any]:
        """Judge the handshake; if it is good, start the application."""
        try:
            self._opening = opening = Opening(data, self._limits, self.transport)
        except HandshakeError as exc:
            logger.info("connection rejected (%d %s)", exc.status, exc.name)
            self._end_as(State.DENIED)
            self._write(refusal(exc))
            self._hang_up()
            return []
        self._feed = self._hold_early
        state = self._app_state.copy()
        opening.set_scope(self._config, self.transport, self._client, state, self)
        self._queue.append({"type": "websocket.connect"})
        task = self._loop.create_task(self._run(opening.scope))
        tasks = self._server_state.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return []

    def _hold_early(self, data: bytes) -> list[Any]:
        """Frames before our answer, against §4.1, are kept; who leaves instead must be seen to."""
        self._early += data
        if self._reading and len(self._early) >= self._limits.max_head:
            self._reading = False
            self.transport.pause_reading()
        return []

    async def _run(self, scope: Any) -> None:
        """The life of the application."""
        try:
            result = await self._config.loaded_app(scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            logger.exception("Exception in ASGI application\n")
            self._send_500()
        else:
            if self._state is State.OPENING or self._state is State.DENYING:
                logger.error("ASGI callable returned without completing handshake.")
                self._send_500()
            elif result is not None:
                logger.error("ASGI callable should return None, but returned '%s'.", result)
        if self._outbox:
            self._flush()
        if self._state not in _SEEN_TO:
            self._hang_up()

    def _send_500(self) -> None:
        if self._state is State.OPENING and not self.transport.is_closing():
            self._write(rejection(500, body=b"Internal Server Error"))

    def _log_answer(self, answer: str) -> None:
        assert self._opening is not None
        scope = self._opening.scope
        logger.info(
            f'%s - "WebSocket %s" {answer}',
            get_client_addr(scope),
            get_path_with_query_string(scope),
        )

    # What the application sends

    def _converse(self, message: Mapping[str, Any]) -> None:
        kind = message["type"]
        state = self._state
        if state is State.OPENING:
            self._answer(kind, message)
        elif state is State.DENYING:
            self._deny(message)
        elif state is State.LOST or (state in _OVER and kind == "websocket.send"):
            raise ClientDisconnected()
        elif state is State.OPEN or state in _OVER:
            if kind != "websocket.close":
                raise RuntimeError(
                    "Expected ASGI message 'websocket.send' or 'websocket.close', "
                    f"but got '{kind}'."
                )
            if state is not State.LINGERING and not self.transport.is_closing():
                self._close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise RuntimeError(
                f"Unexpected ASGI message '{kind}', after sending 'websocket.close'."
            )

    def _answer(self, kind: str, message: Mapping[str, Any]) -> None:
        """Answer the handshake."""
        if kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._log_answer("403")
            self._write(rejection(403))
            self._denied()
        elif kind == "websocket.http.response.start":
            self._denial = Denial(message)
            head = self._denial.start()
            self._log_answer(str(message["status"]))
            self._state = State.DENYING
            if head:
                self._write(head)
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' "
                f"or 'websocket.http.response.start' but got '{kind}'."
            )

    def _accept(self, message: Mapping[str, Any]) -> None:
        config = self._config
        assert self._opening is not None
        response = self._opening.accept(
            message,
            self._server_state.default_headers,
            [self.deflate] if config.ws_per_message_deflate else [],
        )
        if self.transport.is_closing():
            return
        self._log_answer("[accepted]")
        self._write(bytes(response))
        self._state = State.OPEN
        self._begin(response.extensions)
        self._opening = None
        if config.ws_ping_interval:
            self._keepalive = Keepalive(
                self._loop,
                config.ws_ping_interval,
                config.ws_ping_timeout,
                self._ping,
                self._keepalive_expired,
            )
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self._resume_reading()
            self.data_received(early)

    def _begin(self, agreed: tuple[Negotiated, ...]) -> None:
        inflater = deflater = None
        for extension in agreed:
            inflater = extension.inflater(self._limits.max_ratio)
            deflater = extension.deflater()
        self.extensions = agreed
        self._begin_input(self.text, inflater)
        self._begin_output(deflater, self.offload)

    def _deny(self, message: Mapping[str, Any]) -> None:
        assert self._denial is not None
        data = self._denial.body(message)
        if data:
            self._write(data)
        if self._denial.finished:
            self._denied()

    def _denied(self) -> None:
        self._put({"type": "websocket.disconnect", "code": 1006})
        self._end_as(State.DENIED)
        self._hang_up()

    # The closing

    def _close(self, code: int, reason: str) -> None:
        """Start the closing handshake; messages that still come are not delivered."""
        frame = self._encoder.close(code, reason)
        self._state = State.CLOSING
        self._end_but_for_close()
        self._put({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._outbox.append(frame)
        self._flush()
        if not self._reading:  # else the peer's Close frame would never be seen
            self._resume_reading()
        deadline = self._deadline()
        if deadline is not None:
            self.close_timer = self._loop.call_at(deadline, self._hang_up)

    def disconnect(self, code: int = 1000, reason: str = "") -> None:
        """Close without waiting for the peer, whoever of the application's tasks asks."""
        if self._open:
            self._put({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._finish(code, reason)

    def _ended_by(self, last: Close | RemoteProtocolError) -> None:
        if self._state is State.CLOSING:  # the closing handshake is complete, or beyond hope
            self._hang_up()
        elif self._open and not self.transport.is_closing():
            if isinstance(last, Close):
                self._put(end_event(last))
                self._finish(last.code, last.reason)
            else:
                self._fault(last.close_code, str(last))

    def _fault(self, code: int, reason: str) -> None:
        """End because of the peer, which may still be sending."""
        self._put({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._finish(code, reason, linger=True)

    def _finish(self, code: int, reason: str = "", linger: bool = False) -> None:
        """Close without waiting for the peer."""
        if self._state is State.OPEN:  # else our Close frame is sent
            self._outbox.append(self._encoder.close(code, reason))
            self._flush()
        self._end_as(State.ENDED)
        if linger and self._half_close():
            self._state = State.LINGERING
        else:
            self._hang_up()

    def _end_as(self, state: State) -> None:
        self._state = state
        self._end()

    # Deadlines

    def _message_expired(self) -> None:
        """The peer is too slow."""
        self._fault(1008, "message timeout")

    def _ping(self, payload: bytes) -> None:
        self._write(self._encoder.ping(payload))

    def _keepalive_expired(self) -> None:
        """The peer is dead, or does not answer."""
        self._trace("WebSocket keepalive ping timeout")
        self._finish(1011, "keepalive ping timeout")

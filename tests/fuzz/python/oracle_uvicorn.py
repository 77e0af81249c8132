"""The uvicorn class on a transport without a network, beside the decoder alone.

However the stream comes, and whenever the application takes what it holds: it receives what the
decoder makes of the stream, its answers and ours leave in order, and reading stops in time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from fuzz_input import Input, chunks, load, same

from wsfast import Close, Limits, MessageDecoder, Ping, Pong, RemoteProtocolError, Role, Text
from wsfast.deflate import PerMessageDeflate

OFFERED = b"sec-websocket-extensions: permessage-deflate; server_max_window_bits=12\r\n"
TURNS = 400  # of the loop, after which nothing more happens by itself


@cache
def _lab() -> tuple[ModuleType, asyncio.AbstractEventLoop, type]:
    from wsfast.uvicorn import WebSocketProtocol

    return load("conftest", "hosts"), asyncio.new_event_loop(), WebSocketProtocol


def uvicorn_class(data: bytes) -> None:
    """Receives, answers and ends as the decoder and the RFC have it."""
    lab, loop, base = _lab()
    given = Input(data)
    names = {
        "text": given.pick(("str", "bytes")),
        "cork": given.pick(("auto", "burst", "off")),
        "wake": given.pick(("direct", "future")),
        "limits": Limits(
            max_frame=given.pick((None, 125, 300)),
            max_fragments=given.pick((65537, 1, 3)),
            queue_bytes=given.pick((1 << 20, 1, 64, 1000)),
        ),
    }
    options = {
        "ws_max_size": given.pick((1 << 20, 0, 5, 125, 4000)),
        "ws_max_queue": given.pick((32, 1, 2, 5)),
        "ws_per_message_deflate": bool(given.byte() & 1),
        "ws_ping_interval": None,
        "interface": "asgi3",
    }
    pace = [given.byte() % 4 for _ in range(4)]  # turns that the application lets pass
    way = given.byte()
    pieces = chunks(given.rest(), way)
    play = Play(lab, type("Chosen", (base,), names), options, pace)
    loop.run_until_complete(play.run(pieces))
    play.judge(pieces)


class Play:
    """One connection from the handshake to the end of the transport."""

    def __init__(self, lab: ModuleType, cls: Any, options: dict[str, Any], pace: list[int]) -> None:
        self.lab, self.cls, self.options, self.pace = lab, cls, options, pace
        self.received: list[Any] = []
        self.wrote = b""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Sends back what it receives, each message after some turns of the loop."""
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            for _ in range(self.pace[len(self.received) % len(self.pace)]):
                await asyncio.sleep(0)
            event = await receive()
            self.received.append(event)
            if event["type"] == "websocket.disconnect":
                return
            with contextlib.suppress(OSError):  # the peer ended it meanwhile; there may be more
                await send({**event, "type": "websocket.send"})

    async def run(self, pieces: list[bytes]) -> None:
        fake = self.lab.Fake(self.app, self.cls, OFFERED, self.options)
        await fake.opened()
        try:
            await self.feed(fake, pieces)
        finally:
            await fake.lost()
        assert fake.task.done(), "the application still waits"

    async def feed(self, fake: Any, pieces: list[bytes]) -> None:
        wire = fake.wire
        for piece in pieces:
            await self.turns(lambda: not wire.paused)
            if wire.over:
                break
            fake.protocol.data_received(piece)
            await self.turns(lambda: self.holds_back(fake), 3)
            assert self.holds_back(fake), "reads on with a full queue"
        await self.turns(lambda: False)
        self.wrote = b"".join(wire.writes)
        self.late = wire.late
        self.limits = fake.protocol._limits

    def holds_back(self, fake: Any) -> bool:
        """The queue has room, or reading stopped: at once, or an end waits for answers."""
        wire, held = fake.wire, len(fake.protocol._queue)
        return held < self.options["ws_max_queue"] or wire.paused or wire.over

    async def turns(self, done: Callable[[], bool], most: int = TURNS) -> None:
        for _ in range(most):
            if done():
                return
            await asyncio.sleep(0)

    # What must have come of it

    def agreed(self) -> Any:
        if not self.options["ws_per_message_deflate"]:
            return None
        return self.cls.deflate.negotiate([("server_max_window_bits", "12")])

    def judge(self, pieces: list[bytes]) -> None:
        """In the same pieces: damaged DEFLATE, or the text before it, may be seen first."""
        agreed = self.agreed()
        inflater = agreed.inflater() if agreed else None
        decoder = MessageDecoder(
            Role.SERVER, limits=self.limits, text=self.cls.text, inflate=inflater
        )
        events = [event for piece in pieces for event in decoder.feed(piece)]
        messages = [each for each in events if isinstance(each, (str, bytes, Text))]
        last = events[-1] if events else None
        end = {"type": "websocket.disconnect", "code": 1005}
        if isinstance(last, Close):
            end |= {"code": last.code, "reason": last.reason}
        elif isinstance(last, RemoteProtocolError):
            end |= {"code": last.close_code, "reason": str(last)}
        same(self.received, [*map(_event, messages), end], "received")
        self.judge_answers(agreed, messages, events, last)

    def judge_answers(self, agreed: Any, messages: list[Any], events: list[Any], last: Any) -> None:
        same(self.late, [], "written behind the end")
        client = None
        if agreed:
            client = PerMessageDeflate(client_max_window_bits=None).confirm(
                [("server_max_window_bits", "12")]
            )
        decoder = MessageDecoder(
            Role.CLIENT,
            limits=Limits(max_message=None),
            text=self.cls.text,
            inflate=client.inflater() if client else None,
        )
        answers = decoder.feed(self.wrote)
        echoes = [each for each in answers if isinstance(each, (str, bytes, Text))]
        same(echoes, messages[: len(echoes)], "sent back")
        pings = [each.payload for each in events if isinstance(each, Ping)]
        same([each.payload for each in answers if isinstance(each, Pong)], pings, "Pongs")
        code = last.code if isinstance(last, Close) else getattr(last, "close_code", None)
        if code is None:
            same(len(echoes), len(messages), "answers")
        else:
            same(answers[-1:] and getattr(answers[-1], "code", None), code, "our Close frame")
        rest = len(answers) - len(echoes) - len(pings) - (code is not None)
        same(rest, 0, f"more than was asked for: {answers}")


def _event(message: Any) -> dict[str, Any]:
    if isinstance(message, Text):
        return {"type": "websocket.receive", "text": message.payload}
    key = "text" if isinstance(message, str) else "bytes"
    return {"type": "websocket.receive", key: message}

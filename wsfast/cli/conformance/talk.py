"""One connection to who is tested, as a script sees it. Sockets are in ``link`` alone."""

from __future__ import annotations

import zlib

from . import opening
from .case import CLIENT, SERVER, Failed, Silence, Wish
from .wire import (
    CLOSE,
    NAMES,
    PING,
    PONG,
    TAIL,
    Agreement,
    Fault,
    Frame,
    Message,
    Reader,
    close_code,
    close_payload,
    encode,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .opening import Head, Url

    class Link(Protocol):
        """A stream of bytes. ``receive`` gives b"" at its end, ``TimeoutError`` in its time."""

        def send(self, data: bytes) -> None: ...
        def receive(self, within: float) -> bytes: ...
        def finish(self) -> None: ...
        def pause(self, seconds: float) -> None: ...


PAUSE = 0.001  # seconds between the pieces of what goes out in pieces, so that they arrive so
PAUSES = 200  # at most
GOODBYE = 0.5  # seconds for the closing handshake behind a case, which is none of its business


class Talk:
    """Frames to and from the ``tested`` side, which is a server or a client."""

    def __init__(
        self, link: Link, tested: str, *, url: Url | None = None, timeout: float, limit: int
    ) -> None:
        self.link = link
        self.tested = tested
        self.timeout = timeout
        self.limit = limit  # of a message, in bytes, as far as is known
        self.agreement: Agreement | None = None
        self.head: Head | None = None  # of the client under test: its request
        self.reader = Reader(masked=tested == CLIENT)
        self._url = url
        self._sent_pings: set[bytes] = set()
        self.sent_close = False
        self._frames = 0
        self._deflate: zlib._Compress | None = None
        self._rest = b""

    # The opening handshake

    @property
    def url(self) -> Url:
        assert self._url is not None
        return self._url

    def read_head(self) -> Head | None:
        """The next message head; None: the stream ended instead."""
        while opening.END not in self._rest:
            if len(self._rest) > opening.MAX_HEAD:
                raise Failed("its head does not end")
            data = self._receive(self.timeout)
            if not data:
                return None
            self._rest += data
        head, _, rest = self._rest.partition(opening.END)
        self._rest = b""
        self.reader.feed(rest)
        return opening.parse_head(head)

    def open(self, wish: Wish | None = None) -> None:
        """The opening handshake as it should be."""
        if self.tested == SERVER:
            self._ask(wish)
        else:
            self._answer(wish)

    def _ask(self, wish: Wish | None) -> None:
        changes: dict[str, Any] = {}
        if wish:
            changes["sec_websocket_extensions"] = opening.offer_of(wish)
        self.send(opening.request(self.url, **changes))
        head = self.read_head()
        if head is None or head.status != 101:
            raise Failed(f"no opening handshake: {'no answer' if head is None else head.start}")
        if wish:
            self.agree(opening.agreement(head, wish))

    def _answer(self, wish: Wish | None) -> None:
        assert self.head is not None
        key = opening.check_request(self.head)
        changes: dict[str, Any] = {}
        if wish:
            changes["sec_websocket_extensions"], agreed = opening.granted(self.head, wish)
            self.agree(agreed)
        self.send(opening.answer(key, **changes))

    def agree(self, agreement: Agreement) -> None:
        self.agreement = agreement
        self.reader.agree(agreement)

    # Frames

    def send(self, *items: Frame | bytes, by: int = 0) -> None:
        """In one piece, or in pieces of ``by`` bytes."""
        data = b"".join([self._encoded(item) for item in items])
        if not by:
            self.link.send(data)
            return
        for number, start in enumerate(range(0, len(data), by)):
            self.link.send(data[start : start + by])
            if number < PAUSES:
                self.link.pause(PAUSE)

    def _encoded(self, item: Frame | bytes) -> bytes:
        if isinstance(item, bytes):
            return item
        self._frames += 1
        if item.opcode == PING:
            self._sent_pings.add(item.payload)
        if item.opcode == CLOSE:
            self.sent_close = True
        # Any key will do against who does not know the next one: nobody here needs protection.
        key = (self._frames * 0x9E3779B1 & 0xFFFFFFFF).to_bytes(4, "big")
        return encode(item, self.tested == SERVER, key)

    def next(self, within: float | None = None) -> Message | Frame | None:
        """What comes next, but for Pings and Pongs that are only keepalive; None: the end."""
        while True:
            item = self.reader.next()
            if item is None:
                data = self._receive(self.timeout if within is None else within)
                if not data:
                    return None
                self.reader.feed(data)
            elif isinstance(item, Frame) and item.opcode == PING:
                self.send(Frame(PONG, item.payload))
            elif not _is_pong(item) or item.payload in self._sent_pings:
                return item

    def _receive(self, within: float) -> bytes:
        try:
            return self.link.receive(within)
        except TimeoutError:
            raise Silence(f"nothing came within {within:g} s") from None

    def end_as_server(self) -> None:
        """It is the server that ends TCP, §7.1.1: where a client is tested, that is us."""
        if self.tested == CLIENT:
            self.link.finish()

    def goodbye(self) -> None:
        """Leave in order, as far as the other side lets us."""
        try:
            if not self.sent_close:
                self.send(Frame(CLOSE, close_payload(1000)))
            self.end_as_server()
            while (item := self.next(GOODBYE)) is not None:
                if isinstance(item, Frame) and item.opcode == CLOSE:
                    return
        except (Failed, Fault, OSError):
            pass  # the case is over

    # Compression

    def compress(self, data: bytes) -> bytes:
        """The payload of a whole message, in the context agreed on, RFC 7692 §7.2.1."""
        assert self.agreement is not None
        bits = self.agreement.ours_bits
        if self._deflate is None or not self.agreement.ours_takeover:
            # zlib cannot do 8 bits: stored blocks then, which look back at nothing.
            level = 0 if bits == 8 else 6
            self._deflate = zlib.compressobj(level, zlib.DEFLATED, -max(bits, 9))
        out = self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return out.removesuffix(TAIL)


def _is_pong(item: Message | Frame) -> bool:
    return isinstance(item, Frame) and item.opcode == PONG


def told(item: Message | Frame | None) -> str:
    """An item of ``next()`` in words."""
    if item is None:
        return "TCP ended without a Close frame"
    if isinstance(item, Frame) and item.opcode == CLOSE:
        code = close_code(item.payload)
        return "an empty Close" if code is None else f"Close {code}"
    name = NAMES[item.opcode]
    return f"a {name} of {len(item.payload)} bytes ({item.payload[:16].hex(' ')})"

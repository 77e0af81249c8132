"""The load generator in Python, where ``_load`` is not built: same ``run``, several times slower.

What it costs itself is not part of the server's CPU time, but it leaves the server waiting, so its
messages per second are its own, not the server's.
"""

from __future__ import annotations

import selectors
import socket
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# From 128 KiB on malloc takes pages and gives them back: two faults for each recv(), on the
# server's core too, to which a compressed message of 200 bytes then cost 23 us, not 17.
READ_SIZE = 64 << 10
HEAD_MAX = 16 << 10
NO_BOUND = 1 << 63


class Lane:
    """One connection: what it sends, and whether the right things come back."""

    sock: socket.socket

    def __init__(self) -> None:
        self.outstanding = 0  # messages started, reply not complete

    def open(self, host: str, port: int, deadline: float) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(left(deadline))
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.greet(deadline)
        self.sock.setblocking(False)

    def close(self) -> None:
        if hasattr(self, "sock"):
            self.sock.close()

    def flush(self) -> None:
        while data := self.unsent():
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                return
            self.gone(sent)

    def receive(self) -> tuple[int, int]:
        """(replies completed, of them wrong), of what has arrived."""
        try:
            data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return 0, 0
        if not data:
            raise ConnectionResetError
        complete, wrong, begun = self.take(data)
        if begun > self.outstanding:
            raise ConnectionError("the server sent more than was asked for")
        self.outstanding -= complete
        return complete, wrong

    def greet(self, deadline: float) -> None:
        """The opening handshake, on a socket that waits."""
        raise NotImplementedError

    def start(self, count: int) -> None:
        """Allow so many more messages to leave."""
        raise NotImplementedError

    def unsent(self) -> bytes | bytearray | memoryview:
        """What may leave now."""
        raise NotImplementedError

    def gone(self, size: int) -> None:
        """So many bytes of ``unsent`` have left."""
        raise NotImplementedError

    def take(self, data: bytes) -> tuple[int, int, int]:
        """Compare what arrived with what was expected: (replies completed, of them wrong, the
        fewest messages that must have left for it)."""
        raise NotImplementedError


class _BytesLane(Lane):
    """Sends and expects the same bytes over and over."""

    def __init__(
        self, item: tuple[bytes, bytes, int], in_flight: int, request: bytes | None, accept: bytes
    ) -> None:
        super().__init__()
        out, self.expect, count = item
        if count < 1 or min(len(out), len(self.expect)) < count:
            raise ValueError("a lane holds `count` messages of equal length")
        if len(out) % count or len(self.expect) % count:
            raise ValueError("a lane holds `count` messages of equal length")
        self.request, self.accept = request, accept
        self.request_size = len(out) // count
        self.reply_size = len(self.expect) // count
        turns = -(-self.request_size * in_flight // len(out)) + 1
        self.out = memoryview(out * turns)
        self.out_size = len(out)
        self.out_pos = self.out_due = self.expect_pos = 0
        self.reply_bad = False

    def greet(self, deadline: float) -> None:
        if self.request is not None:
            self.sock.sendall(self.request)
            _read_response(self.sock, self.accept, deadline)

    def start(self, count: int) -> None:
        self.out_due += count * self.request_size

    def unsent(self) -> memoryview:
        return self.out[self.out_pos : self.out_pos + self.out_due]

    def gone(self, size: int) -> None:
        self.out_pos = (self.out_pos + size) % self.out_size
        self.out_due -= size

    def take(self, data: bytes) -> tuple[int, int, int]:
        complete = wrong = pos = 0
        while pos < len(data):
            due = self.reply_size - self.expect_pos % self.reply_size
            piece = data[pos : pos + due]
            if piece != self.expect[self.expect_pos : self.expect_pos + len(piece)]:
                self.reply_bad = True
            self.expect_pos = (self.expect_pos + len(piece)) % len(self.expect)
            if len(piece) == due:
                complete += 1
                wrong += self.reply_bad
                self.reply_bad = False
            pos += len(piece)
        partial = self.expect_pos % self.reply_size != 0
        waiting = -(-self.out_due // self.request_size)  # what has not left whole has no reply
        return complete, wrong, complete + max(partial, waiting)


class Load:
    """Lanes, and how many messages are in flight on each."""

    def __init__(self, lanes: Sequence[Lane], in_flight: int, timeout: float) -> None:
        self.lanes = lanes
        self.in_flight = in_flight
        self.timeout = timeout
        self.done = self.mismatches = self.quota = self.outstanding = 0

    def run(
        self,
        host: str,
        port: int,
        *,
        warmup: int = 0,
        seconds: float = 0.0,
        messages: int = 0,
        mark: Callable[[], object] | None = None,
    ) -> tuple[int, float, int]:
        """What the module's ``run`` does and returns."""
        try:
            deadline = monotonic() + self.timeout
            for lane in self.lanes:
                lane.open(host, port, deadline)
            if warmup:
                self._phase(warmup, 0)
            if mark is not None:
                mark()
            start = monotonic()
            self._phase(messages or NO_BOUND, seconds)
            took = monotonic() - start
            if mark is not None:
                mark()
        finally:
            for lane in self.lanes:
                lane.close()
        return self.done, took, self.mismatches

    def _phase(self, quota: int, seconds: float) -> None:
        """Send until ``seconds`` have passed or the quota is used, then wait for what is out."""
        self.quota, self.done, self.outstanding = quota, 0, 0
        stop_at = monotonic() + seconds if seconds else float("inf")
        try:
            with selectors.DefaultSelector() as selector:
                self._drive(selector, stop_at)
        except (BrokenPipeError, ConnectionResetError):
            raise ConnectionResetError(
                f"the server closed the connection after {self.done} messages"
            ) from None

    def _drive(self, selector: selectors.BaseSelector, stop_at: float) -> None:
        for lane in self.lanes:
            self._start(lane, self.in_flight)
            selector.register(lane.sock, _events(lane), lane)
        progress, before = monotonic(), 0
        while self.outstanding:
            ready = selector.select(0.05)
            now = monotonic()
            if now >= stop_at:
                self.quota = 0
            for key, events in ready:
                self._serve(key.data, events)
                if key.events != _events(key.data):
                    selector.modify(key.fileobj, _events(key.data), key.data)
            if self.done != before:  # bytes alone are not progress: a server may trickle
                progress, before = now, self.done
            elif now - progress > self.timeout:
                ms = int(self.timeout * 1000)
                raise TimeoutError(f"no reply for {ms} ms after {self.done} messages")

    def _start(self, lane: Lane, count: int) -> None:
        count = min(count, self.quota)
        self.quota -= count
        self.outstanding += count
        lane.outstanding += count
        lane.start(count)
        lane.flush()

    def _serve(self, lane: Lane, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            lane.flush()
        if not events & selectors.EVENT_READ:
            return
        complete, wrong = lane.receive()
        self.outstanding -= complete
        self.done += complete
        self.mismatches += wrong
        self._start(lane, complete)


def left(deadline: float) -> float:
    """Seconds; TimeoutError where there are none."""
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


def _events(lane: Lane) -> int:
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if lane.unsent() else 0)


def _read_response(sock: socket.socket, accept: bytes, deadline: float) -> None:
    """RFC 6455 §4.1: the answer must be a 101 and carry our key's Sec-WebSocket-Accept."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD_MAX:
        sock.settimeout(left(deadline))
        data = sock.recv(HEAD_MAX - len(head))
        if not data and not head:
            raise ConnectionResetError("the server closed the connection after 0 messages")
        if not data:
            break
        head += data
    # Nothing may follow the head: the server speaks only when spoken to.
    if not (head.startswith(b"HTTP/1.1 101 ") and head.endswith(b"\r\n\r\n") and accept in head):
        line = head.splitlines()[0][:255].decode("latin-1")
        raise ConnectionError(f"the server refused the handshake: {line!r}")


def run(
    host: str,
    port: int,
    lanes: Sequence[tuple[bytes, bytes, int]],
    *,
    request: bytes | None = None,
    accept: bytes = b"",
    in_flight: int = 1,
    warmup: int = 0,
    seconds: float = 0.0,
    messages: int = 0,
    timeout: float = 5.0,
    mark: Callable[[], object] | None = None,
) -> tuple[int, float, int]:
    """Load the server at a numeric host with one connection per lane.

    A lane is (requests, replies, count): count messages of equal length, sent round and round,
    and what must come back for each. request is the HTTP upgrade (None: plain TCP), accept a
    piece the 101 answer must hold. in_flight messages are kept unanswered on each connection.
    After warmup messages, mark() is called; then it runs for seconds or until messages are done
    (0: no bound; at least one must be given), waits for the replies still out, and calls mark()
    again. timeout, in seconds, bounds the handshakes and the wait for the next reply.

    Returns (messages, seconds, mismatches); the last includes the warm-up's.
    Raises TimeoutError, ConnectionError or another OSError when the server cannot be loaded.
    """
    if warmup < 0 or messages < 0 or not 0 <= seconds < 1e6 or not (messages or seconds):
        raise ValueError("seconds or messages must be given, none negative")
    if not lanes or in_flight < 1 or timeout <= 0:
        raise ValueError("lanes, in_flight or timeout is out of range")
    made = [_BytesLane(item, in_flight, request, accept) for item in lanes]
    load = Load(made, in_flight, timeout)
    return load.run(host, port, warmup=warmup, seconds=seconds, messages=messages, mark=mark)

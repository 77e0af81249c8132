"""websockets' Protocol driven step by step, as it is and with the driver of wsfast in place.

A *play* is a list of steps for one Protocol; ``perform`` returns all that a caller, an extension or
a log handler can see after each. ``Stage.compare`` performs it without the driver and with it.
Knows websockets 15.0.1 to 17 by what they have, not by their number. Independent of wsfast, but
for ``Installed``.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from itertools import zip_longest
from typing import Any

from hypothesis import settings
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame
from websockets.protocol import Protocol, Side, State

from wsfast import integrations

SERVER, CLIENT = Side.SERVER, Side.CLIENT
KEY = b"\x37\xfa\x21\x3d"
# max_size=(message, fragment) came with 16.0, and the attributes' names with it.
PAIRS = hasattr(Protocol(SERVER), "max_message_size")
MAX_SIZE = "max_message_size" if PAIRS else "max_size"
CURRENT_SIZE = "current_size" if PAIRS else "cur_size"

Step = tuple[Any, ...]


# ---- what can be seen ---------------------------------------------------------------------------


def shown(value: Any) -> Any:
    """``value`` as something that compares by all that can be seen of it, types included."""
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is type:
        return value
    if kind is bytes or kind is bytearray or kind is memoryview:
        return kind.__name__, bytes(value)
    if kind is list or kind is tuple:
        return [kind.__name__, *map(shown, value)]
    if isinstance(value, BaseException):
        return raised(value)
    if kind is Frame or kind is Close:
        return kind.__name__, {name: shown(item) for name, item in vars(value).items()}
    return kind.__name__, repr(value)


def raised(exc: BaseException | None, depth: int = 3) -> Any:
    """Type, text, attributes, and what it was raised from."""
    if exc is None or depth == 0:
        return None
    extra = {name: shown(item) for name, item in vars(exc).items() if not name.startswith("__")}
    return type(exc).__name__, str(exc), extra, raised(exc.__cause__, depth - 1)


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return "returned", shown(call(*args, **kwargs))
    except Exception as exc:
        return "raised", raised(exc)


def unmasked(data: bytes) -> Any:
    """One masked frame with its payload in clear and without its key, which is random."""
    if len(data) < 2 or not data[1] & 0x80:
        return data
    at = {126: 4, 127: 10}.get(data[1] & 0x7F, 2)
    key, payload = data[at : at + 4], data[at + 4 :]
    long = (key * (len(payload) // 4 + 1))[: len(payload)]
    clear = int.from_bytes(payload, "big") ^ int.from_bytes(long, "big")
    return data[:at], "key", clear.to_bytes(len(payload), "big")


class Log(logging.Handler):
    """Keeps what is logged until it is taken; a frame as it was at that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        exc = record.exc_info[1] if record.exc_info else None
        args = shown(record.args)
        # The text of a frame is made by str(frame), which fails for some in 15 and 16.0.
        text = outcome(record.getMessage)
        self.records.append((record.levelname, record.msg, args, text, raised(exc)))

    def take(self) -> list[Any]:
        records, self.records = self.records, []
        return records


# ---- one protocol -------------------------------------------------------------------------------


class Setting:
    """How to make the Protocol of a play.

    ``extensions`` are factories, so that each Protocol has its own; ``make`` takes the place of
    ``cls(side, …)`` where there is a handshake.
    """

    def __init__(
        self,
        side: Side = SERVER,
        max_size: Any = 1 << 20,
        extensions: Sequence[Callable[[], Any]] = (),
        debug: bool = False,
        cls: type[Protocol] = Protocol,
        state: State = State.OPEN,
        make: Callable[..., Protocol] | None = None,
    ) -> None:
        self.make = make or (lambda **options: cls(side, **options))
        self.options = {"max_size": max_size, "state": state}
        self.extensions = extensions
        self.level = logging.DEBUG if debug else logging.INFO

    def protocol(self) -> tuple[Protocol, Log]:
        log = Log()
        logger = logging.Logger("websockets.lab", self.level)
        logger.addHandler(log)
        made = self.make(**self.options, logger=logger)
        if self.extensions:
            made.extensions = [extension() for extension in self.extensions]
        return made, log


class Actor:
    """A Protocol in a play. Steps:

    ``("feed", data)`` · ``("eof",)`` · ``("call", method, *args)`` · ``("step",)`` the parser ·
    ``("first",)`` the parser that failed · ``("drain",)`` events and bytes to send ·
    ``("set", attribute, value)`` · ``("do", function)`` of the protocol
    """

    def __init__(self, setting: Setting, exact: bool) -> None:
        self.protocol, self.log = setting.protocol()
        self.first = self.protocol.parser
        self.exact = exact
        self.before: list[Any] = []

    def take(self, step: Step) -> Any:
        kind, *args = step
        if kind == "feed":
            return outcome(self.feed, *args)
        if kind == "drain":
            return self.drain()
        if kind == "set":
            return outcome(setattr, self.protocol, *args)
        calls = {
            "eof": lambda: self.protocol.receive_eof(),
            "call": lambda name, *rest, **kw: getattr(self.protocol, name)(*rest, **kw),
            "step": lambda: next(self.protocol.parser),
            "first": self.step_first,
            "do": lambda function: function(self.protocol),
        }
        return outcome(calls[kind], *args)

    def step_first(self) -> Any:
        """Only where it came to an end: one that fail() interrupted is nobody's any more."""
        return next(self.first) if self.protocol.parser_exc else None

    def feed(self, data: Any) -> Any:
        """A bytearray is the caller's again as soon as receive_data() returns."""
        if type(data) is not bytearray:
            return self.protocol.receive_data(data)
        mine = bytearray(data)
        try:
            return self.protocol.receive_data(mine)
        finally:
            mine[:] = b"\xaa" * len(mine)
            mine += b"?"  # refused while anybody looks into it

    def drain(self) -> Any:
        return shown(self.protocol.events_received()), self.wire(self.protocol.data_to_send())

    def wire(self, writes: list[bytes]) -> Any:
        if self.exact or self.protocol.side is SERVER:
            return shown(writes)
        return [(type(item).__name__, unmasked(item)) for item in writes]

    def seen(self) -> Any:
        """What changed since it was last looked at, with all there is to see; else None."""
        protocol, records = self.protocol, self.log.take()
        now = [getattr(protocol, name) for name in SEEN]
        now += [list(protocol.events), list(protocol.writes)]
        now += [deflate_state(extension) for extension in protocol.extensions]
        if now == self.before and not records:
            return None
        self.before = now
        found = {name: shown(value) for name, value in zip(SEEN, now)}
        found["events"] = shown(protocol.events)
        found["writes"] = self.wire(protocol.writes)
        found["extensions"] = now[len(SEEN) + 2 :]
        found["log"] = records
        for name in ("close_code", "close_reason", "close_exc", "close_expected"):
            found[name] = outcome(asked, protocol, name)
        return found


SEEN = (
    *("state", "close_rcvd", "close_sent", "close_rcvd_then_sent", "parser_exc", "handshake_exc"),
    *("eof_sent", "expect_continuation_frame", CURRENT_SIZE),
)


def asked(protocol: Protocol, name: str) -> Any:
    value = getattr(protocol, name)
    return value() if callable(value) else value


def deflate_state(extension: Any) -> Any:
    names = ("decode_cont_data", "calls")
    return type(extension).__name__, {
        n: getattr(extension, n) for n in names if hasattr(extension, n)
    }


def perform(setting: Setting, play: Iterable[Step], exact: bool = False) -> list[Any]:
    """All that is seen, step by step."""
    actor = Actor(setting, exact)
    return [(step, actor.take(step), actor.seen()) for step in play]


# ---- without and with the driver ----------------------------------------------------------------


class Stage:
    """``turn(True)`` puts the driver in place, ``turn(False)`` takes it away."""

    def __init__(self, turn: Callable[[bool], None]) -> None:
        self.turn = turn

    @contextmanager
    def driver(self) -> Iterator[None]:
        self.turn(True)
        try:
            yield
        finally:
            self.turn(False)

    def compare(self, run: Callable[[], Any]) -> Any:
        """``run()`` without the driver, then with it; both must return the same."""
        self.turn(False)
        original = run()
        with self.driver():
            patched = run()
        assert patched == original, difference(original, patched)
        return original

    def same(self, setting: Setting, play: Iterable[Step], exact: bool = False) -> list[Any]:
        steps = list(play)
        return self.compare(lambda: perform(setting, steps, exact))


class Installed(Stage):
    """The driver as ``wsfast.install()`` places it.

    That looks at the host's sources each time, which takes some ten milliseconds; so it is called
    once, and what it placed is remembered. ``install`` and ``uninstall`` do it again.
    """

    DRIVER = "wsfast.integrations._websockets_asyncio"

    def __init__(self, cork: bool = False) -> None:
        super().__init__(self.swap)
        self.cork = cork
        original: dict[str, Any] = {}
        self.install()
        self.seams = self.status().seams
        patched = {seam: vars(owner)[name] for seam, owner, name in map(place, self.seams)}
        self.uninstall()
        original = {seam: vars(owner)[name] for seam, owner, name in map(place, self.seams)}
        assert all(patched[seam] is not original[seam] for seam in self.seams)
        self.methods = original, patched

    def swap(self, on: bool) -> None:
        if on and self.DRIVER in sys.modules:  # what install() does too
            sys.modules[self.DRIVER].configure(policy="host", cork=self.cork)
        for seam, owner, name in map(place, self.seams):
            setattr(owner, name, self.methods[on][seam])

    def install(self) -> None:
        integrations.install("websockets", on_refusal="raise", cork=self.cork)

    def uninstall(self) -> None:
        integrations.uninstall("websockets")

    @staticmethod
    def status() -> Any:
        return next(host for host in integrations.status() if host.name == "websockets")


@cache
def place(seam: str) -> tuple[str, Any, str]:
    """``module:Class.method``, the class, and the method's name."""
    module, _, path = seam.partition(":")
    owner: Any = sys.modules[module]
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return seam, owner, name


def difference(original: Any, patched: Any, path: str = "") -> str:
    """The first place where they differ, for the reader of a failure."""
    if type(original) is type(patched):
        pairs: Iterable[tuple[Any, Any, Any]] = ()
        if isinstance(original, dict) and original.keys() == patched.keys():
            pairs = ((key, original[key], patched[key]) for key in original)
        elif isinstance(original, (list, tuple)):
            pairs = ((i, a, b) for i, (a, b) in enumerate(zip_longest(original, patched)))
        for key, a, b in pairs:
            if a != b:
                here = f"{path}[{key!r}]"
                if path.count("[") < 2 and isinstance(a, tuple):
                    here += f" after {a[0]!r:.200}"
                return difference(a, b, here)
    return f"{path}\noriginal: {original!r}\npatched:  {patched!r}"


# ---- ways to cut what is fed --------------------------------------------------------------------


def bytewise(play: Iterable[Step]) -> list[Step]:
    """Every feed in single bytes."""
    return [
        (kind, *rest) if kind != "feed" else ("feed", rest[0][i : i + 1])
        for kind, *rest in play
        for i in range(len(rest[0]) if kind == "feed" else 1)
    ]


def ways(play: Sequence[Step], near: int = 40) -> Iterator[list[Step]]:
    """As it is, byte by byte, and each feed cut in two everywhere (long ones near their ends).

    How near is scaled by the profile of hypothesis, as is what hypothesis does.
    """
    near = max(2, near * min(100, settings.default.max_examples) // 100)
    yield list(play)
    sizes = [len(step[1]) if step[0] == "feed" else 0 for step in play]
    if sum(sizes) <= 600:
        yield bytewise(play)
    for at, size in enumerate(sizes):
        for cut in range(1, size):
            if cut < near or size - cut < near:
                data = play[at][1]
                yield [*play[:at], ("feed", data[:cut]), ("feed", data[cut:]), *play[at + 1 :]]


# ---- extensions ---------------------------------------------------------------------------------


def deflate(
    remote_takeover: bool = True,
    local_takeover: bool = True,
    remote_bits: int = 15,
    local_bits: int = 15,
    cls: type[PerMessageDeflate] = PerMessageDeflate,
    **settings: Any,
) -> Callable[[], PerMessageDeflate]:
    return lambda: cls(not remote_takeover, not local_takeover, remote_bits, local_bits, settings)


class Reverse:
    """A user's extension: RSV2 marks payloads sent backwards. Not a subclass of anything."""

    name = "x-reverse"

    def __init__(self) -> None:
        self.calls = 0

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        self.calls += 1
        if not frame.rsv2:
            return frame
        return Frame(
            frame.opcode, bytes(frame.data)[::-1], frame.fin, frame.rsv1, False, frame.rsv3
        )

    def encode(self, frame: Frame) -> Frame:
        data = bytes(frame.data)[::-1]
        return Frame(frame.opcode, data, frame.fin, frame.rsv1, True, frame.rsv3)


class Double(Reverse):
    """Ignores max_size; yields twice the payload, in a new frame or in the same."""

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        self.calls += 1
        if frame.rsv3:
            frame.data = frame.data * 2
            frame.rsv3 = False
            return frame
        return Frame(frame.opcode, frame.data * 2, frame.fin, frame.rsv1, frame.rsv2)

    def encode(self, frame: Frame) -> Frame:
        return frame


class Failing(Reverse):
    """Raises for payloads that begin with ``!``."""

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if frame.data[:1] == b"!":
            raise RuntimeError("BOOM")
        return frame

    def encode(self, frame: Frame) -> Frame:
        if bytes(frame.data[:1]) == b"!":
            raise RuntimeError("BOOM")
        return frame


class CountingDeflate(PerMessageDeflate):
    """What a user's subclass does is done."""

    calls = 0

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        self.calls += 1
        return super().decode(frame, max_size=max_size)

    def encode(self, frame: Frame) -> Frame:
        self.calls += 1
        return super().encode(frame)


# ---- subclasses of Protocol ---------------------------------------------------------------------


class Receiving(Protocol):
    """Sees every frame before the library does."""

    def recv_frame(self, frame: Frame) -> None:
        self.logger.info("received %s %r", frame.opcode.name, bytes(frame.data))
        super().recv_frame(frame)


class Refusing(Protocol):
    """Fails the connection from within the parser."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.data == b"refuse":
            self.fail(1008, "refused")
            return
        if frame.data == b"raise":
            raise RuntimeError("BOOM")
        super().recv_frame(frame)


class Answering(Protocol):
    """Sends from within the parser, and takes the events away."""

    def recv_frame(self, frame: Frame) -> None:
        super().recv_frame(frame)
        if frame.data == b"answer":
            self.send_text(b"%d" % len(self.events_received()))


class Sending(Protocol):
    """Sees every frame that is sent."""

    def send_frame(self, frame: Frame) -> None:
        self.logger.info("sending %s %r", frame.opcode.name, bytes(frame.data))
        super().send_frame(frame)


class Parsing(Protocol):
    """Wraps the parser, as ServerProtocol and ClientProtocol do."""

    def parse(self) -> Any:
        self.logger.info("parsing")
        yield from super().parse()


class Looping(Protocol):
    """Sees each step of the parser."""

    def parse(self) -> Any:
        for _ in super().parse():
            self.logger.info("parsed")
            yield


class Feeding(Protocol):
    """Sees the bytes before the library does."""

    def receive_data(self, data: bytes | bytearray) -> None:
        self.logger.info("fed %d", len(data))
        super().receive_data(data)


SUBCLASSES = (Receiving, Refusing, Answering, Sending, Parsing, Looping, Feeding)


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether this version of websockets has the parameter."""
    return name in inspect.signature(function).parameters


assert [field.name for field in fields(Frame)] == ["opcode", "data", "fin", "rsv1", "rsv2", "rsv3"]
assert [field.name for field in fields(Close)] == ["code", "reason"]

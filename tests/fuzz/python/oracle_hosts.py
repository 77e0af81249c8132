"""wsproto as a second opinion on every stream, and the drivers against the hosts' own code.

Each host may be missing; its oracles then are not in ``oracles.ORACLES``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from fuzz_input import Input, chunks, implementations, load, role_from, same

# ---- wsproto, written by others from the same RFC -----------------------------------------------


def wsproto_strict(data: bytes) -> None:
    """Judges every stream as our strict policies do, but for what test_strict_wsproto.py names."""
    judge = load("test_strict_wsproto")
    given = Input(data)
    role, way = role_from(given), given.byte()
    pieces = chunks(given.rest(), way)
    for _, module in implementations():
        _judged(judge, module, role, pieces)


def _judged(judge: ModuleType, module: ModuleType, role: Any, pieces: list[bytes]) -> None:
    items, code, name = judge.judged_by_us(module, role, pieces)
    theirs, refusal = judge.judged_by_wsproto(role, pieces)
    if name == "close_reason_utf8" and refusal == 1002:  # a bad reason behind 1014
        code = refusal
    last = items[-1] if items else None
    if isinstance(last, judge.Close) and last.code == judge.REGISTERED_LATER:
        same((theirs, refusal), (items[:-1], 1002))
        return
    if code is not None and refusal is None:
        theirs, refusal = judge.judged_by_wsproto(role, [*pieces, judge.MORE])
    same((items, code), (theirs, refusal), module.backend())


# ---- a play from bytes --------------------------------------------------------------------------


def _interleaved(given: Input, others: Sequence[Any]) -> list[Any]:
    """Chunks fed, with other steps between them: how many of those comes first."""
    places = [(given.byte(), given.pick(others)) for _ in range(given.byte() % 5)]
    way = given.byte()
    play: list[Any] = [("feed", piece) for piece in chunks(given.rest(), way)]
    for place, step in places:
        play.insert(place % (len(play) + 1), step)
    return play


# ---- websockets ---------------------------------------------------------------------------------


@cache
def _websockets() -> tuple[Any, Any]:
    lab = load("websockets_lab", "hosts")
    return lab, lab.Installed()


@cache
def _calls() -> list[Any]:
    payloads = [b"", b"x", b"\xff", b"a" * 125, b"b" * 126, bytes(range(256)) * 12]
    names = ("send_text", "send_binary", "send_continuation")
    sends = [("call", n, p, fin) for n in names for p in payloads for fin in (True, False)]
    pings = [("call", n, p) for n in ("send_ping", "send_pong") for p in payloads]
    closes = [("call", "send_close", code) for code in (None, 1000, 1005, 4000)]
    fails = [("call", "fail", code) for code in (1000, 1002, 1006, 1011, 7)]
    return [*sends, *pings, *closes, *fails, ("eof",), ("step",), ("drain",), ("feed", b"")]


@cache
def _extensions() -> list[Any]:
    lab, _ = _websockets()
    deflates = [
        lab.deflate(remote, local, remote_bits, local_bits, cls=cls)
        for remote, local, remote_bits, local_bits in
        ((True, True, 15, 15), (False, False, 15, 15), (True, False, 9, 12), (False, True, 12, 9))
        for cls in (lab.PerMessageDeflate, lab.CountingDeflate)
    ]  # fmt: skip
    own = [[lab.Reverse], [lab.Double], [lab.Failing], [deflates[0], lab.Reverse]]
    return [[], *([made] for made in deflates), *own, [lab.Reverse, deflates[0]]]


def websockets_driver(data: bytes) -> None:
    """websockets' Protocol with the driver in place: all that can be seen is as without it.

    Also with the driver coming and going between any two steps.
    """
    lab, stage = _websockets()
    given = Input(data)
    sizes = (1 << 20, None, 0, 1, 5, 64, 125, 126, 300)
    side = given.pick((lab.SERVER, lab.CLIENT))
    size: Any = given.pick(sizes)
    if lab.PAIRS and given.byte() & 1:
        size = size, given.pick(sizes)
    setting = lab.Setting(
        side,
        max_size=size,
        extensions=given.pick(_extensions()),
        debug=given.byte() % 16 == 15,
        cls=given.pick([lab.Protocol] * 9 + list(lab.SUBCLASSES)),
        state=given.pick([lab.State.OPEN] * 9 + [lab.State.CLOSING, lab.State.CONNECTING]),
    )
    turns = given.byte()
    play = _interleaved(given, _calls())
    original = stage.same(setting, play)
    if turns:
        _turned(lab, stage, setting, play, turns, original)


def _turned(
    lab: ModuleType, stage: Any, setting: Any, play: list[Any], turns: int, original: list[Any]
) -> None:
    stage.turn(bool(turns & 1))
    try:
        actor, found = lab.Actor(setting, False), []
        for number, step in enumerate(play):
            stage.turn(bool(turns >> number % 8 & 1))
            found.append((step, actor.take(step), actor.seen()))
    finally:
        stage.turn(False)
    if found != original:
        raise AssertionError(lab.difference(original, found))


# ---- wsproto's driver ---------------------------------------------------------------------------


@cache
def _wsproto() -> tuple[Any, Any, list[Any]]:
    lab = load("test_wsproto_driver", "hosts")
    event = lab.events
    sent = [
        cls(message, message_finished=finished)
        for cls in (event.Message, event.TextMessage, event.BytesMessage)
        for message in lab.MESSAGES
        for finished in (True, False, 1)
    ]
    sent += [event.Ping(b"p"), event.Pong(), event.Ping(b"x" * 126), event.Event()]
    sent += [event.CloseConnection(1000, "bye"), event.CloseConnection(1005)]
    steps = [("send", each) for each in sent]
    taken = [("all",), ("next", 1), ("next", 2), ("next", 3), ("drop",), ("feed", None)]
    turned = [("switch", True), ("switch", False)]
    return lab, lab.Stage(), [*steps, *(taken + turned) * 12]


def wsproto_driver(data: bytes) -> None:
    """wsproto's Connection with the driver in place, and with it coming and going."""
    lab, stage, others = _wsproto()
    given = Input(data)
    kind, name = given.pick((lab.SERVER, lab.CLIENT)), given.pick(list(lab.EXTENSIONS))
    eager = given.byte() & 1
    play = _interleaved(given, others)
    if eager:  # as servers do: events are taken after each read
        play = [step for each in play for step in (each, ("all",))]
    play += [("next", 2), ("all",), ("all",)]

    def run(turn: Callable[[bool], None] | None = None) -> Any:
        extensions = lab.EXTENSIONS[name]()
        found = lab.perform(lab.Connection(kind, extensions), play, turn)
        return found, [lab.shown(getattr(each, "calls", [])) for each in extensions]

    original = stage.compare(run)
    try:
        found = run(stage.turn)
    finally:
        stage.turn(False)
    same(found, original, "turned on and off")

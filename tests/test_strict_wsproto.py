"""wsproto, written by others from the same RFC, judges every stream as our strict policies do.

Known differences, all of them:

* wsproto refuses close code 1014, which the IANA registry has since added (RFC 6455 §11.7);
* it judges a header once both first bytes are there, its length before its RSV bits, the order of
  fragments once payload has come, and half a surrogate a byte later. What it has not refused yet
  it must refuse as soon as more bytes follow.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfast.frames import Close, Limits, Ping, Pong, Role

wsproto = pytest.importorskip("wsproto.frame_protocol")
Code = wsproto.Opcode

REGISTERED_LATER = 1014
UNLIMITED = Limits(max_message=None, max_fragments=None)
MORE = b"\0" * 1024  # ends any header, and any payload the streams declare in good faith


def judged_by_wsproto(role: Role, chunks: list[bytes]) -> tuple[list[Any], int | None]:
    """Messages and control frames in our own values, and the close code of a refusal."""
    protocol = wsproto.FrameProtocol(client=role is Role.CLIENT, extensions=[])
    items: list[Any] = []
    pieces: list[Any] = []
    try:
        for chunk in chunks:
            protocol.receive_bytes(chunk)
            for frame in protocol.received_frames():
                take(frame, pieces, items)
    except wsproto.ParseFailed as exc:
        return items, int(exc.code)
    return items, None


def take(frame: Any, pieces: list[Any], items: list[Any]) -> None:
    if frame.opcode is Code.PING:
        items.append(Ping(bytes(frame.payload)))
    elif frame.opcode is Code.PONG:
        items.append(Pong(bytes(frame.payload)))
    elif frame.opcode is Code.CLOSE:
        items.append(Close(*frame.payload))
    else:
        pieces.append(frame.payload)
        if frame.frame_finished and frame.message_finished:
            text = isinstance(pieces[0], str)
            items.append("".join(pieces) if text else b"".join(pieces))
            pieces.clear()


def judged_by_us(
    module: ModuleType, role: Role, chunks: list[bytes]
) -> tuple[list[Any], int | None, str]:
    decoder = module.MessageDecoder(role, limits=UNLIMITED)
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    if decoder.failed is None:
        return items, None, ""
    return items[:-1], decoder.failed.close_code, decoder.failed.name


@given(data=st.data(), role=st.sampled_from(list(Role)))
def test_same_judgement(backend: ModuleType, streams: ModuleType, data: Any, role: Role) -> None:
    masked = data.draw(st.sampled_from([role is Role.SERVER] * 5 + [None]))
    chunks = data.draw(streams.chunked(data.draw(streams.mutated(masked))))
    items, code, name = judged_by_us(backend, role, chunks)
    theirs, refusal = judged_by_wsproto(role, chunks)
    if name == "close_reason_utf8" and refusal == 1002:  # a bad reason behind 1014
        code = refusal
    if items and isinstance(items[-1], Close) and items[-1].code == REGISTERED_LATER:
        assert (theirs, refusal) == (items[:-1], 1002)
        return
    if code is not None and refusal is None:
        theirs, refusal = judged_by_wsproto(role, [*chunks, MORE])
    assert (items, code) == (theirs, refusal)


@given(data=st.data(), role=st.sampled_from(list(Role)))
def test_wsproto_understands_us(
    backend: ModuleType, streams: ModuleType, data: Any, role: Role
) -> None:
    """What our encoder sends, fragments and all."""
    encoder = backend.FrameEncoder(role)
    wire, expected = b"", []
    for _ in range(data.draw(st.integers(1, 4))):
        pieces = data.draw(st.lists(st.text(max_size=9), min_size=1) | st.just(["x" * 70_000]))
        wire += encoder.text(pieces[0], fin=len(pieces) == 1)
        for i, piece in enumerate(pieces[1:], 2):
            wire += encoder.continuation(piece, fin=i == len(pieces))
        payload = data.draw(streams.binaries())
        wire += encoder.binary(payload) + encoder.ping(payload[:125]) + encoder.pong(payload[:9])
        expected += ["".join(pieces), payload, Ping(payload[:125]), Pong(payload[:9])]
    wire += encoder.close(4999, "ünd")
    peer = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    chunks = data.draw(streams.chunked(wire)) if len(wire) < 2000 else [wire]
    assert judged_by_wsproto(peer, chunks) == ([*expected, Close(4999, "ünd")], None)

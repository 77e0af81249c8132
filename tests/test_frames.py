"""Values: equality, hash, repr, match, pickle; immutable and final."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import wsfast
from wsfast.frames import (
    STRICT_CLIENT,
    STRICT_SERVER,
    Close,
    Frame,
    Header,
    Limits,
    Opcode,
    Ping,
    Policy,
    Pong,
    Role,
    Text,
)

FRAME = Frame(Opcode.TEXT, True, 4, b"a")
HEADER = Header(Opcode.PING, True, 0, True, 5, b"keys", 6)
VALUES = [
    FRAME,
    Frame(Opcode.BINARY, False, 0, b"", complete=False),
    HEADER,
    Ping(b"a"),
    Pong(b"a"),
    Text(b"a"),
    Close(1000, "why"),
    Close(1005, ""),
    Policy(),
    Policy(mask="any", minimal_length=False, rsv=7),
    Limits(),
    Limits(max_message=None, max_ratio=2.5),
]


def arguments(value: Any) -> list[Any]:
    return [getattr(value, name) for name in value.__match_args__]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_equality_and_hash(value: Any) -> None:
    twin = type(value)(*arguments(value))
    assert twin is not value
    assert twin == value
    assert hash(twin) == hash(value)
    assert [other for other in VALUES if other == value] == [value]
    assert value != tuple(arguments(value))
    assert len({value, twin}) == 1


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_copies(value: Any) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert copy.copy(value) == copy.deepcopy(value) == value


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_immutable(value: Any) -> None:
    name = value.__match_args__[0]
    sentence = f"{type(value).__name__} is immutable"
    with pytest.raises(AttributeError, match=sentence):
        setattr(value, name, 5)
    with pytest.raises(AttributeError, match=sentence):
        delattr(value, name)
    with pytest.raises(AttributeError, match=sentence):
        value.more = 5
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("cls", sorted({type(value) for value in VALUES}, key=str))
def test_final(cls: type) -> None:
    with pytest.raises(TypeError, match=f"{cls.__name__} is final"):
        type("Sub", (cls,), {})


def test_repr_is_short_and_can_be_read_back() -> None:
    assert repr(Ping(b"a")) == "Ping(payload=b'a')"
    assert repr(Close(1000, "é")) == "Close(code=1000, reason='é')"
    for value in (Ping(b"a"), Close(1000, "é"), Policy(rsv=4), Limits(max_frame=5)):
        assert eval(repr(value), dict(vars(wsfast))) == value
    assert repr(Text(b"a" * 100_000)).startswith("Text(payload=<100000 bytes b'aaa")
    assert all(len(repr(Frame(Opcode.TEXT, True, 0, bytes(n)))) < 250 for n in range(0, 2000, 97))


def test_match() -> None:
    match FRAME:
        case Frame(Opcode.TEXT, True, rsv, payload):
            assert (rsv, payload) == (4, b"a")
    match Close(4000, "bye"):
        case Close(code, reason):
            assert (code, reason) == (4000, "bye")
    match HEADER:
        case Header(opcode, fin, rsv, masked, length, key, size):
            assert (opcode, fin, rsv, masked, length, key, size) == (
                9,
                True,
                0,
                True,
                5,
                b"keys",
                6,
            )


def test_frames_are_complete_by_default() -> None:
    assert FRAME.complete
    assert Frame(Opcode.TEXT, True, 4, b"a", False) != FRAME


def test_enums() -> None:
    assert [int(opcode) for opcode in Opcode] == [0, 1, 2, 8, 9, 10]
    assert Opcode.TEXT == 1
    assert {role.name for role in Role} == {"SERVER", "CLIENT"}
    assert wsfast.CloseCode.NORMAL_CLOSURE == 1000
    assert 1004 not in list(wsfast.CloseCode)


def test_opcodes_are_the_cached_members() -> None:
    [item], _, _ = wsfast.scan(b"\x81\x00", policy=STRICT_CLIENT)
    assert item.opcode is Opcode.TEXT
    assert type(item.fin) is bool


# ---- Policy and Limits --------------------------------------------------------------------------


def test_strict_policies() -> None:
    assert STRICT_SERVER == Policy() == Policy(mask="require")
    assert Policy(mask="forbid") == STRICT_CLIENT
    for strict in (STRICT_SERVER, STRICT_CLIENT):
        assert (strict.minimal_length, strict.msb, strict.rsv) == (True, "reject", 0)
        assert (strict.check, strict.utf8, strict.close_codes) == ("header", "fail_fast", "rfc")


@pytest.mark.parametrize("name", ["mask", "msb", "check", "utf8", "close_codes"])
def test_policy_words(name: str) -> None:
    for value in ("", "none", None, 1, b"any"):
        with pytest.raises(ValueError, match=f"^{name} must be one of '"):
            Policy(**{name: value})


def test_policy_rsv() -> None:
    for rsv in (-1, 8, 1 << 70):
        with pytest.raises(ValueError, match=r"rsv must be 0\.\.7"):
            Policy(rsv=rsv)
    with pytest.raises(TypeError):
        Policy(rsv="4")


def test_replace() -> None:
    loose = STRICT_SERVER.replace(mask="any", rsv=4)
    assert loose == Policy(mask="any", rsv=4)
    assert Policy() == STRICT_SERVER
    assert Limits().replace(max_message=None) == Limits(max_message=None)
    with pytest.raises(TypeError):
        STRICT_SERVER.replace(bogus=1)
    with pytest.raises(ValueError, match="mask must be one of"):
        STRICT_SERVER.replace(mask="maybe")


def test_limits_defaults() -> None:
    """The table of docs/api.md (S22: safe where nobody asks)."""
    assert dict(zip(Limits.__match_args__, arguments(Limits()))) == {
        "max_message": 1 << 20,
        "max_frame": None,
        "max_fragments": 65537,
        "max_pending_pongs": 16,
        "max_ratio": None,
        "max_head": 64 << 10,
        "max_headers": 128,
        "open_timeout": 10.0,
        "close_timeout": 10.0,
        "message_timeout": None,
        "queue_messages": 32,
        "queue_bytes": 1 << 20,
    }


@pytest.mark.parametrize("name", Limits.__match_args__)
def test_limits_refuse(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be at least [01], not -1"):
        Limits(**{name: -1})
    for value in ("1", True, [1]):
        with pytest.raises(TypeError, match=f"^{name} must be a number"):
            Limits(**{name: value})
    if name.endswith("timeout") or name == "max_ratio":
        with pytest.raises(ValueError, match="not nan"):
            Limits(**{name: float("nan")})
    else:
        with pytest.raises(TypeError):
            Limits(**{name: 1.5})


def test_final_among_other_bases():
    with pytest.raises(TypeError, match="Frame is final"):
        type("Sub", (_Mixin, Frame), {})


class _Mixin:
    __slots__ = ()


@pytest.mark.parametrize("name", ["max_message", "max_frame", "max_fragments", "queue_bytes"])
def test_no_limit_beyond_any_length(name):
    assert getattr(Limits(**{name: 2**63 - 1}), name) == 2**63 - 1
    with pytest.raises(ValueError, match="less than"):
        Limits(**{name: 2**63})

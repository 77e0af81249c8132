"""One table of errors, in C and in Python."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

import wsfast
from wsfast.errors import (
    ERRORS,
    LOCAL_ERRORS,
    CodecError,
    HandshakeError,
    LocalProtocolError,
    RemoteProtocolError,
)

HEADER = Path(wsfast.__file__).parent / "include" / "wsf.h"


def test_table_is_that_of_the_header() -> None:
    entry = re.compile(r'^ +X\((\w+), (\d+), "([^"]*)"\)', re.M)
    table = {name: (int(code), text) for name, code, text in entry.findall(HEADER.read_text())}
    assert table == ERRORS
    assert list(table) == list(ERRORS)  # the order is the order of the numbers


def test_table_is_that_of_the_binary() -> None:
    binding = pytest.importorskip("wsfast._kernels_c", exc_type=ImportError)
    assert list(binding._errors().items()) == list(ERRORS.items())


def test_table_is_that_of_the_contract() -> None:
    """docs/api.md, "Errors"."""
    codes = {
        1002: "invalid_opcode reserved_bits mask_required mask_forbidden length_not_minimal "
        "length_msb control_fragmented control_too_long unexpected_continuation "
        "expected_continuation close_length close_code deflate_error",
        1007: "invalid_utf8 close_reason_utf8",
        1009: "frame_too_big message_too_big too_many_fragments",
        1008: "too_slow",
        1006: "unexpected_eof",
    }
    expected = {name: code for code, names in codes.items() for name in names.split()}
    assert {name: code for name, (code, _) in ERRORS.items()} == expected


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("cls", [RemoteProtocolError, LocalProtocolError])
def test_errors(cls: type[CodecError], name: str) -> None:
    error = cls(name, 7)
    code, text = ERRORS[name]
    assert (error.name, error.close_code, error.offset, str(error)) == (name, code, 7, text)
    assert cls(name).offset == 0
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is cls
    assert (twin.name, twin.close_code, twin.offset, str(twin)) == (name, code, 7, text)


def test_local_errors() -> None:
    for name, (code, text) in LOCAL_ERRORS.items():
        error = LocalProtocolError(name)
        assert (error.close_code, str(error)) == (code, text) == (1011, text)
    assert not ERRORS.keys() & LOCAL_ERRORS.keys()


def test_unknown_names() -> None:
    with pytest.raises(KeyError):
        RemoteProtocolError("no_such_error")


def test_handshake_error() -> None:
    error = HandshakeError(426, [("Sec-WebSocket-Version", "13")], "bad_version")
    assert (error.name, error.status, error.close_code, error.offset) == (
        "bad_version",
        426,
        1006,
        0,
    )
    assert "426" in str(error)
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.name, twin.status, twin.headers) == (error.name, 426, error.headers)


def test_family() -> None:
    for cls in (RemoteProtocolError, LocalProtocolError, HandshakeError):
        assert issubclass(cls, CodecError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)

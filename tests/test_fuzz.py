"""What fuzzing found once stays found: the committed corpus through every Python oracle.

Without a fuzzer, for all oracles whose host is installed; ``make fuzz`` looks for more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fuzz_input import backends, implementation
from oracles import CORPUS, ORACLES, replay

HOSTS = ("wsproto", "websockets", "uvicorn")  # whose oracles come and go with them


@pytest.fixture(autouse=True)
def preferred_kernels() -> Iterator[None]:
    """The oracles choose kernels; other tests expect the best."""
    yield
    implementation(backends()[-1])


@pytest.mark.parametrize("name", ORACLES)
def test_corpus(name: str) -> None:
    assert replay(name)


def test_every_corpus_has_an_oracle() -> None:
    for folder in CORPUS.iterdir():
        assert folder.name in ORACLES or folder.name.startswith(HOSTS)


# ---- that the oracles notice something ----------------------------------------------------------


def nothing(*args: Any, **kwargs: Any) -> list[Any]:
    return []


def fails(*args: Any, **kwargs: Any) -> None:
    raise IndexError("ours")


TWIN = "wsfast._codec_py"
BROKEN: dict[str, tuple[str, Any]] = {
    "messages": (f"{TWIN}.MessageDecoder.feed", nothing),
    "frames": (f"{TWIN}.FrameDecoder.feed", nothing),
    "scan": (f"{TWIN}.parse_header", nothing),
    "kernels": (f"{TWIN}.utf8_valid", lambda data: True),
    "encoder": (f"{TWIN}.FrameEncoder.ping", lambda self, data: b""),
    "pair": ("wsfast.connection.Connection._answer", lambda self, payload: None),
    "peer": ("wsfast.connection.Connection._closed_by", fails),
    "inflate": ("wsfast._deflate_py._TAIL", b""),
    "roundtrip": ("wsfast._deflate_py._TAIL", b"\0"),
    "handshake_server": ("wsfast._http._field", fails),
    "handshake_connect": ("wsfast.handshake._origin", fails),
    "handshake_client": ("wsfast._http._field", fails),
    "handshake_url": ("wsfast._handshake_client._ascii_target", lambda target: target + " "),
    "wsproto_strict": (f"{TWIN}.MessageDecoder.feed", nothing),
    "uvicorn_class": ("wsfast.uvicorn._input.Input._enqueue", fails),
}


@pytest.mark.parametrize("name", BROKEN)
def test_differences_are_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch, c_backends: list[str]
) -> None:
    where, wrong = BROKEN[name]
    if name not in ORACLES or (where.startswith(TWIN) and not c_backends):
        pytest.skip("nobody here to disagree")
    monkeypatch.setattr(where, wrong)
    with pytest.raises(AssertionError):
        replay(name)

"""The oracles by name: functions of bytes that raise where two opinions differ.

python oracles.py [NAME…]     the committed corpus through these, or all, without a fuzzer
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import oracle_codec
import oracle_connection
import oracle_handshake
import oracle_hosts
import oracle_uvicorn

ORACLES: dict[str, Callable[[bytes], None]] = {
    "messages": oracle_codec.messages,
    "frames": oracle_codec.frames,
    "scan": oracle_codec.scan,
    "kernels": oracle_codec.kernels,
    "encoder": oracle_codec.encoder,
    "pair": oracle_connection.pair,
    "peer": oracle_connection.peer,
    "inflate": oracle_connection.inflate,
    "roundtrip": oracle_connection.roundtrip,
    "handshake_server": oracle_handshake.server,
    "handshake_connect": oracle_handshake.connect,
    "handshake_client": oracle_handshake.client,
    "handshake_url": oracle_handshake.url,
}
if importlib.util.find_spec("wsproto"):
    ORACLES["wsproto_strict"] = oracle_hosts.wsproto_strict
    ORACLES["wsproto_driver"] = oracle_hosts.wsproto_driver
if importlib.util.find_spec("websockets"):
    ORACLES["websockets_driver"] = oracle_hosts.websockets_driver
if importlib.util.find_spec("uvicorn"):
    ORACLES["uvicorn_class"] = oracle_uvicorn.uvicorn_class

CORPUS = Path(__file__).parents[1] / "corpus/python"


def replay(name: str) -> int:
    """How many inputs there are; AssertionError for one that somebody disagrees about."""
    inputs = sorted((CORPUS / name).iterdir())
    for file in inputs:
        try:
            ORACLES[name](file.read_bytes())
        except Exception as exc:
            raise AssertionError(f"{name}: {file.name}") from exc
    return len(inputs)


if __name__ == "__main__":
    for name in sys.argv[1:] or ORACLES:
        print(f"{name}: {replay(name)} inputs")

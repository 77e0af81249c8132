"""The oracles by name: functions of bytes that raise where two opinions differ."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import oracle_codec
import oracle_connection
import oracle_handshake
import oracle_hosts

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

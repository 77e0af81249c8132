"""First inputs for every target, from tests/vectors and tests/streams.py, into reports/fuzz.

    python tests/fuzz/seeds.py && python tests/fuzz/run.py --merge

Each target begins an input with its settings (see the oracle); here those are strict and without
limits, and the streams whole. The fuzzer finds the rest.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
import zlib
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import streams  # noqa: E402

OUT = HERE.parents[1] / "reports/fuzz/corpus"
LONGEST = 400
SERVER, CLIENT = 0, 1
STRICT = b"\x80\0\0"  # of fuzz_input.policy_from
ROOMY = b"\1\0\1"  # of fuzz_input.limits_from

# The settings before a stream of frames, by the role that receives it.
HEADS = {
    "c/decoder": lambda role: bytes([role]) + b"\0" + b"\1\0\1" + b"\0\7",
    "c/header": lambda role: bytes([role, 0]),
    "python/messages": lambda role: bytes([role]) + STRICT + ROOMY + b"\0\0\7",
    "python/frames": lambda role: bytes([role]) + STRICT + ROOMY + b"\0\7",
    "python/scan": lambda role: b"\2\0\0" + b"\0\0\0\0\0",
    "python/peer": lambda role: bytes([role]) + STRICT + ROOMY + b"\0\7" + bytes(6),
    "python/wsproto_strict": lambda role: bytes([role, 7]),
    "python/wsproto_driver": lambda role: bytes([role, 0, 1]) + b"\0\7",
    "python/websockets_driver": lambda role: bytes([role]) + b"\0\0\0\0\0\0\0" + b"\0\7",
    "python/uvicorn_class": lambda role: bytes(9) + bytes(4) + b"\7",
}
# The same with permessage-deflate.
DEFLATED = {
    "c/decoder": lambda role: bytes([role]) + b"\0" + b"\1\0\1" + b"\1\7",
    "python/messages": lambda role: bytes([role]) + STRICT + ROOMY + b"\0\1\7",
    "python/peer": lambda role: (
        bytes([role]) + STRICT + ROOMY + b"\0\7" + bytes(5) + b"\1" + bytes(14)
    ),
    "python/wsproto_driver": lambda role: bytes([role, 2, 1]) + b"\0\7",
    "python/websockets_driver": lambda role: bytes([role]) + b"\0\0\1\0\0\0\0" + b"\0\7",
    "python/uvicorn_class": lambda role: bytes(8) + b"\1" + b"\0\1\2\3" + b"\7",
}
TEXTS = ["", "Hello", "κόσμε €  😀", "é" * 40, "a" * 70 + "é", "x" * 130]
REQUEST = (
    b"GET /chat?a=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n"
    b"Origin: http://example.com\r\nSec-WebSocket-Extensions: permessage-deflate; "
    b'client_max_window_bits; server_max_window_bits="10"\r\n\r\n\x81'
)
RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n\r\n\x81"
)
CONNECT = (
    b":method=CONNECT\n:protocol=websocket\n:scheme=https\n:path=/chat\n:authority=a.example\n"
    b"sec-websocket-version=13\norigin=http://example.com\nsec-websocket-protocol=chat"
)
UPGRADE = (
    b"Host=a.example:80\nUpgrade=websocket\nConnection=Upgrade\nSec-WebSocket-Version=13\n"
    b"Sec-WebSocket-Key=dGhlIHNhbXBsZSBub25jZQ==\nOrigin=http://example.com\n"
    b"Sec-WebSocket-Extensions=permessage-deflate; client_max_window_bits"
)


def keep(target: str, data: bytes) -> None:
    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def from_vectors() -> None:
    for file in sorted((HERE.parent / "vectors").glob("*.toml")):
        for case in tomllib.loads(file.read_text("utf-8"))["case"]:
            count, filler = case.get("fill", (0, ""))
            wire = bytes.fromhex(case["wire"]) + bytes.fromhex(filler) * min(count, LONGEST)
            role = CLIENT if case["role"] == "client" else SERVER
            heads = DEFLATED if case.get("inflate") else HEADS
            for target, head in heads.items():
                keep(target, head(role) + wire[:LONGEST])


def from_streams() -> None:
    @settings(max_examples=60, derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data(), st.sampled_from([SERVER, CLIENT]))
    def example(data: st.DataObject, role: int) -> None:
        wire = data.draw(streams.mutated(role == SERVER))[:LONGEST]
        for target, head in HEADS.items():
            keep(target, head(role) + wire)

    example()


def by_hand() -> None:
    for text in TEXTS:
        body = text.encode()
        keep("c/mask", bytes([0, 3]) + bytes(7) + b"\2" + streams.KEY + body)
        keep("c/utf8", b"\7\0" + body)
        keep("c/close", b"\0\x03\xe8" + body[:123])
        keep("python/kernels", streams.KEY + b"\1\0\7" + body)
        keep("python/inflate", b"\0\0\7\0\0" + zlib.compress(body, wbits=-15))
        keep("python/roundtrip", b"\0\0\0\0\2" + (b"\x28\0" + body[:40]) * 3)
        calls = [bytes([kind, 0, 3, 232, 3]) + body[:40] for kind in range(7)]
        keep("python/encoder", b"\0" + b"".join(calls))
        kinds = [(step, kind) for step in (2, 3) for kind in range(4)]
        said = b"".join(bytes([*each, len(body)]) + body for each in kinds)
        keep("python/pair", b"\1" + bytes(14) + b"\0\0\1" + said + b"\0\1")
        keep("python/pair", b"\0\0\0\1" + said + b"\0\1" + b"\2\7\0\3bye")
    for length in (125, 126, 127, 32767, 32768, 65535, 65536, (1 << 63) - 1, 1 << 63):
        for width in (8, 2 if length < 1 << 16 else 8, 0 if length < 126 else 8):
            wire = streams.frame(2, length=length, width=width)
            keep("c/header", b"\1\0" + wire)
            keep("c/decoder", b"\1\0\0\0\0\0\1" + wire)
    for code in (999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 1016, 2999, 3000, 4999, 5000):
        keep("c/close", b"\0" + code.to_bytes(2, "big"))
    for broken in streams._BROKEN:
        keep("c/utf8", b"\1\0" + broken)
        keep("python/kernels", streams.KEY + b"\1\0\1" + b"a" * 30 + broken + b"a" * 60)
    for data in (REQUEST, REQUEST.replace(b"\r\n", b"\n"), REQUEST[:99]):
        keep("python/handshake_server", b"\0\0\7" + data)
    refusal, interim = b"HTTP/1.1 404 No\r\nA: b\r\n\r\nbody", b"HTTP/1.1 100 \r\n\r\n"
    for data in (RESPONSE, interim + RESPONSE, refusal):
        keep("python/handshake_client", b"\0\0\7\1\0\1" + data)
    for data in (CONNECT, UPGRADE):
        keep("python/handshake_connect", data)
    for data in ("u:p@a.example:81/x?y=z", "[::1]:8000/é", "bücher.example"):
        keep("python/handshake_url", b"\1\4chat\1\6Cookie\3c=d\0" + data.encode())


if __name__ == "__main__":
    from_vectors()
    from_streams()
    by_hand()
    for folder in sorted(OUT.glob("*/*")):
        print(f"{folder.relative_to(OUT)}: {len(list(folder.iterdir()))}")

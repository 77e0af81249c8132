"""S8 to S16: what RFC 6455 and RFC 7692 forbid, and many accept."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import pytest

from wsfast import Close, LocalProtocolError, Ping, Pong, Role, handshake
from wsfast.deflate import PerMessageDeflate

KEY = b"\x37\xfa\x21\x3d"
SERVER, CLIENT = Role.SERVER, Role.CLIENT
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")  # "Hello", RFC 7692 §7.2.3.1
FINAL = bytes.fromhex("f3 48 cd c9 c9 07 00 00")  # the same with BFINAL=1, §7.2.3.4


# ---- S8 to S10: headers --------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "width"), [(0, 2), (125, 2), (0, 8), (126, 8), (65535, 8)])
@pytest.mark.parametrize("opcode", [0, 1, 2])
def test_s08_length_not_minimal(
    frame: Any, refusal: Any, opcode: int, length: int, width: int
) -> None:
    """§5.2: "the minimal number of bytes MUST be used"."""
    before = frame(1, b"a", fin=False, key=KEY) if opcode == 0 else b""
    wire = before + frame(opcode, bytes(length), key=KEY, width=width)
    assert refusal(wire, pieces=False) == "length_not_minimal"
    assert refusal(wire[: len(before) + 2 + width]) == "length_not_minimal"  # at once


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [1, 2, 9])
def test_s09_reserved_bits(frame: Any, refusal: Any, opcode: int, rsv: int) -> None:
    """None was negotiated (aiohttp CVE-2026-59881 inflated all the same)."""
    assert refusal(frame(opcode, HELLO, rsv=rsv, key=KEY)) == "reserved_bits"


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9, 10])
def test_s09_reserved_bits_with_compression(
    frame: Any, refusal: Any, opcode: int, rsv: int
) -> None:
    """RSV1 belongs to the first frame of a message, RFC 7692 §6: no control frame, no other."""
    if opcode in (1, 2) and rsv == 4:
        return
    before = frame(1, HELLO[:3], fin=False, rsv=4, key=KEY) if opcode == 0 else b""
    wire = before + frame(opcode, HELLO[3:], rsv=rsv, key=KEY)
    assert refusal(wire, compressed=True) == "reserved_bits"


@pytest.mark.parametrize("cut", range(1, len(HELLO)))
def test_s10_control_frames_within_a_compressed_message(
    frame: Any, connection: Any, cut: int
) -> None:
    """They are not part of it, and change nothing about it; Autobahn does not ask."""
    ours = connection(compressed=True)
    wire = frame(1, HELLO[:cut], fin=False, rsv=4, key=KEY)
    wire += frame(9, b"ping", key=KEY) + frame(10, key=KEY) + frame(0, fin=False, key=KEY)
    wire += frame(9, key=KEY) + frame(0, HELLO[cut:], key=KEY)
    between = [Ping(b"ping"), Pong(b""), Ping(b"")]
    assert ours.receive(wire) == [*between, "Hello"]
    assert ours.receive(frame(1, b"plain", key=KEY)) == ["plain"]
    again = [event for byte in wire for event in ours.receive(bytes([byte]))]
    assert again == [*between, "Hello"]


def test_s10_control_frames_within_a_character(frame: Any, connection: Any) -> None:
    ours = connection()
    wire = frame(1, b"\xf0\x9f", fin=False, key=KEY) + frame(9, b"\xff", key=KEY)
    assert ours.receive(wire + frame(0, b"\x98\x80", key=KEY)) == [Ping(b"\xff"), "\U0001f600"]


def test_s10_close_within_a_compressed_message(frame: Any, connection: Any) -> None:
    ours = connection(compressed=True)
    wire = frame(2, HELLO[:3], fin=False, rsv=4, key=KEY) + frame(8, b"\x03\xe8bye", key=KEY)
    assert ours.receive(wire + b"\xff" * 100) == [Close(1000, "bye")]


# ---- S11, S12: permessage-deflate ----------------------------------------------------------------


def test_s11_messages_after_a_final_block(frame: Any, connection: Any) -> None:
    """zlib is at its end there, the connection is not: tornado, autobahn and others say ""."""
    ours = connection(compressed=True)
    wire = [frame(1, FINAL, rsv=4, key=KEY), frame(1, HELLO, rsv=4, key=KEY)]
    for data in [*wire, *wire, wire[0] + wire[1]]:
        events = ours.receive(data)
        assert events and set(events) == {"Hello"}
    # Across it the window is kept: "Hello" again by reference (§7.2.3.2).
    shared = bytes.fromhex("f2 00 11 00 00")
    assert ours.receive(frame(1, shared, rsv=4, key=KEY)) == ["Hello"]


def test_s11_more_blocks_after_a_final_one(frame: Any, connection: Any, refusal: Any) -> None:
    """§7.2.3.5 in one message: to be inflated to its end, and only a wrong rest is an error."""
    both = FINAL[:-1] + HELLO
    assert connection(compressed=True).receive(frame(1, both, rsv=4, key=KEY)) == ["HelloHello"]
    wrong = frame(1, FINAL[:-1] + b"\xff\xff", rsv=4, key=KEY)
    assert refusal(wrong, compressed=True) == "deflate_error"


@pytest.mark.parametrize(
    "wire",
    [
        "01 09 00 f6 ff 48 65 6c 6c 6f",  # stored, 4 bytes short
        "01 06 00 f9 ff 48 65 6c 6c 6f",  # 1 byte short
        "f3 48 cd c9 c9 07",  # without the last bits of its last code
    ],
)
def test_s11_a_final_block_that_is_cut_off(frame: Any, refusal: Any, wire: str) -> None:
    """It was ended by what §7.2.2 appends, and four bytes delivered that nobody sent."""
    cut_off = frame(2, bytes.fromhex(wire), rsv=4, key=KEY)
    assert refusal(cut_off, compressed=True) == "deflate_error"


def test_s11_flood_of_final_blocks(frame: Any, refusal: Any) -> None:
    """Each costs a new context of zlib, and takes two bytes."""
    wire = frame(2, b"\x03\x00" * 1025, rsv=4, key=KEY)
    assert refusal(wire, compressed=True) == "deflate_error"


BAD_PARAMETERS = [
    "server_max_window_bits=8",  # legal, but not possible with zlib
    "server_max_window_bits=16",
    "server_max_window_bits=7",
    "server_max_window_bits=09",
    "server_max_window_bits",
    "client_max_window_bits=16",
    "client_max_window_bits=x",
    'client_max_window_bits="16"',
    "client_max_window_bits; client_max_window_bits",
    "server_no_context_takeover; server_no_context_takeover",
    "server_no_context_takeover=1",
    "foo=1",
    "foo",
]


def headers(**changes: str | None) -> list[tuple[str, str]]:
    fields = {
        "Host": "example.com",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    return [(name, value) for name, value in fields.items() if value is not None]


@pytest.mark.parametrize("parameters", BAD_PARAMETERS)
def test_s12_bad_parameters_are_declined(parameters: str) -> None:
    """RFC 7692 §7: "MUST decline", which leaves the connection uncompressed (CVE-2026-2229)."""
    offers = f"permessage-deflate; {parameters}"
    for value, agreed in ((offers, 0), (f"{offers}, permessage-deflate", 1)):
        offer = handshake.check_upgrade("GET", "1.1", headers(Sec_WebSocket_Extensions=value))
        response = handshake.accept(offer, extensions=[PerMessageDeflate()])
        assert (response.status, len(response.extensions)) == (101, agreed)


@pytest.mark.parametrize("parameters", [*BAD_PARAMETERS[1:], "client_max_window_bits"])
def test_s12_bad_answers_are_refused(parameters: str) -> None:
    """RFC 7692 §7.1: a client fails the connection."""
    client = handshake.ClientHandshake(
        "ws://a/", extensions=[PerMessageDeflate()], nonce=b"the sample nonce"
    )
    answer = (
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        f"Sec-WebSocket-Extensions: permessage-deflate; {parameters}\r\n\r\n"
    )
    with pytest.raises(handshake.HandshakeError) as caught:
        client.feed(answer.encode())
    assert caught.value.name == "bad_extensions"


# ---- S13 to S15: payloads ------------------------------------------------------------------------

BROKEN = [
    b"\x80",  # a continuation alone
    b"\xc0\xaf",  # overlong in every length
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80",  # surrogates
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",  # beyond U+10FFFF
    b"\xf5\x80\x80\x80",
    b"\xff",
    b"\xe2\x28\xa1",  # broken off
]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("before", [b"", "é".encode(), b"a" * 63, "€".encode() * 40])
def test_s13_utf8(frame: Any, refusal: Any, connection: Any, before: bytes, broken: bytes) -> None:
    """Refused at the byte that decides, §8.1, wherever reads and frames are cut."""
    text = before + broken + b"after"
    wire = frame(1, text, key=KEY)
    assert refusal(wire) == "invalid_utf8"
    for cut in range(len(text)):
        parts = frame(1, text[:cut], fin=False, key=KEY) + frame(0, text[cut:], key=KEY)
        assert refusal(parts, pieces=False) == "invalid_utf8"
    ours = connection()
    head = len(wire) - len(text)
    events = ours.receive(wire[: head + len(before) + len(broken)])
    assert events[-1].offset == head + len(before)  # the rest need not come


@pytest.mark.parametrize("text", ["é", "€", "\U0001f600"])
def test_s13_a_message_may_not_end_within_a_character(
    frame: Any, refusal: Any, connection: Any, text: str
) -> None:
    data = text.encode()
    for cut in range(1, len(data)):
        assert refusal(frame(1, data[:cut], key=KEY)) == "invalid_utf8"
        halves = frame(1, data[:cut], fin=False, key=KEY) + frame(0, data[cut:], key=KEY)
        assert connection().receive(halves) == [text]


ALLOWED = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
FORBIDDEN = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", ALLOWED)
def test_s14_close_codes(frame: Any, connection: Any, farewell: Any, code: int) -> None:
    ours = connection()
    payload = code.to_bytes(2, "big") + "adiós".encode()
    assert ours.receive(frame(8, payload, key=KEY) + b"\xff" * 9) == [Close(code, "adiós")]
    assert farewell(ours) == [Close(code, "adiós")]
    assert ours.receive(b"\xff" * 9) == []  # §5.5.1: what follows is not read


@pytest.mark.parametrize("code", FORBIDDEN)
def test_s14_close_codes_that_never_travel(
    frame: Any, connection: Any, refusal: Any, code: int
) -> None:
    """§7.4.1; tornado and picows send them back."""
    assert refusal(frame(8, code.to_bytes(2, "big"), key=KEY)) == "close_code"
    if code != 1005:
        with pytest.raises(LocalProtocolError):
            connection().close(code)


def test_s14_close_payloads(frame: Any, refusal: Any, connection: Any) -> None:
    assert refusal(frame(8, b"\x03", key=KEY)) == "close_length"
    assert refusal(frame(8, b"\x03\xe8\xff", key=KEY)) == "close_reason_utf8"
    assert refusal(frame(8, b"\x03\xe8" + "é".encode()[:1], key=KEY)) == "close_reason_utf8"
    assert refusal(frame(8, b"\x03\xe8" + b"x" * 124, key=KEY)) == "control_too_long"
    with pytest.raises(LocalProtocolError):
        connection().close(1000, "x" * 124)


@pytest.mark.parametrize("opcode", [1, 2, 8, 9, 10])
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"x" * 60, bytes(200), bytes(70_000)])
def test_s15_mask_direction(frame: Any, refusal: Any, opcode: int, payload: bytes) -> None:
    """§5.1; without it a page could write what it likes onto the wire (§10.3)."""
    if opcode >= 8 and len(payload) > 125:
        return
    options = {"pieces": len(payload) < 300}
    assert refusal(frame(opcode, payload), **options) == "mask_required"
    masked = frame(opcode, payload, key=KEY)
    assert refusal(masked, role=CLIENT, **options) == "mask_forbidden"


# ---- S16: masking keys ---------------------------------------------------------------------------


def keys(backend: ModuleType, count: int) -> list[bytes]:
    encoder = backend.FrameEncoder(CLIENT)
    return [encoder.binary(b"")[2:] for _ in range(count)]


def test_s16_keys_are_used_once(backend: ModuleType) -> None:
    """Across several refills of the pool, and several encoders."""
    drawn = keys(backend, 5000) + keys(backend, 5000)
    # Of 10,000 random keys, two are the same in one run of eighty; three pairs in one of 3 million.
    assert len(set(drawn)) >= len(drawn) - 2


def test_s16_keys_have_no_weak_bits(backend: ModuleType) -> None:
    """Each bit is set in half of them: C's rand() has 31 (picows), a clock fewer."""
    drawn = [int.from_bytes(key, "big") for key in keys(backend, 4000)]
    for bit in range(32):
        share = sum(key >> bit & 1 for key in drawn)
        assert 1700 < share < 2300, bit  # nine standard deviations


SHOW = """
import os
from wsfast.codec import FrameEncoder
from wsfast.frames import Role

encoder = FrameEncoder(Role.CLIENT)
encoder.binary(b"")
reader, writer = os.pipe()
child = os.fork()
keys = b"".join([encoder.binary(b"")[2:] for _ in range(200)])
if child == 0:
    os.write(writer, keys)
    os._exit(0)
os.waitpid(child, 0)
print(keys.hex(), os.read(reader, 800).hex())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_s16_keys_of_processes(backend: ModuleType, run_python: Any) -> None:
    """No two processes draw the same: neither those forked from one, nor those started apart."""
    drawn: list[str] = []
    for _ in range(2):
        done = run_python("-c", SHOW, WSFAST_BACKEND=backend.backend())
        assert done.returncode == 0, done.stderr
        for line in done.stdout.split():
            drawn += [line[i : i + 8] for i in range(0, len(line), 8)]
    assert len(drawn) == 800 and len(set(drawn)) >= 799

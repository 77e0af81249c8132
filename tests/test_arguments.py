"""What the caller may pass, and what happens when it is something else."""

from __future__ import annotations

import array
import copy
import ctypes
import mmap
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import wsfast
from wsfast.errors import LocalProtocolError
from wsfast.frames import STRICT_SERVER, Limits, Policy, Role

KEY = b"\x37\xfa\x21\x3d"
NO_BUFFERS = ["text", 5, None, 1.5, [1, 2], object()]


class Bytes(bytes):
    """A subclass that lies about itself wherever Python lets it."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, key: Any) -> Any:
        return 0


class Str(str):
    def encode(self, *args: Any) -> bytes:
        return b"lies"


def takers(module: ModuleType) -> dict[str, Callable[[Any], object]]:
    """Everything that takes a buffer to read."""
    frames, messages = module.FrameDecoder(Role.CLIENT), module.MessageDecoder(Role.CLIENT)
    encoder = module.FrameEncoder(Role.SERVER)
    return {
        "mask": lambda data: module.mask(data, KEY),
        "mask key": lambda data: module.mask(b"data", data),
        "utf8_valid": module.utf8_valid,
        "parse_header": module.parse_header,
        "build_header key": lambda data: module.build_header(1, 0, key=data),
        "scan": lambda data: module.scan(data, policy=STRICT_SERVER),
        "Utf8Validator": lambda data: module.Utf8Validator().feed(data),
        "Utf8Decoder": lambda data: module.Utf8Decoder().feed(data),
        "FrameDecoder": frames.feed,
        "MessageDecoder": messages.feed,
        "binary": encoder.binary,
        "ping": encoder.ping,
        "pong": encoder.pong,
    }


TAKERS = list(takers(wsfast))


@pytest.mark.parametrize("name", TAKERS)
def test_no_buffer(backend: ModuleType, name: str) -> None:
    take = takers(backend)[name]
    for value in NO_BUFFERS:
        if name == "build_header key" and value is None:
            continue
        with pytest.raises(TypeError, match="a bytes-like object is required, not '"):
            take(value)


@pytest.mark.parametrize("name", TAKERS)
def test_unsuitable_buffers(backend: ModuleType, name: str) -> None:
    """S20: lengths are bytes, never items, and what lies between strides is not ours."""
    take = takers(backend)[name]
    for value in (
        array.array("i", [1]),
        array.array("H", [1, 2]),
        memoryview(b"abcdefgh")[::2],
        memoryview(b"abcd")[::-1],
        memoryview(bytes(8)).cast("I"),
        (ctypes.c_uint32 * 1)(),
    ):
        with pytest.raises(BufferError, match="C-contiguous with items of one byte"):
            take(value)
    released = memoryview(b"abcd")
    released.release()
    with pytest.raises(ValueError, match="released"):
        take(released)


@pytest.mark.parametrize("name", TAKERS)
def test_suitable_buffers(backend: ModuleType, outcome: Any, name: str) -> None:
    """Every flat buffer of bytes counts as the ``bytes`` it holds."""
    raw = b"\x01\x02ab"
    expected = outcome(takers(backend)[name], raw)
    with mmap.mmap(-1, 4) as area:
        area[:] = raw
        for value in (
            Bytes(raw),
            bytearray(raw),
            memoryview(raw),
            memoryview(b"__" + raw + b"__")[2:-2],
            memoryview(raw).cast("b"),
            memoryview(raw).cast("c"),
            memoryview(raw).cast("B", (2, 2)),
            array.array("B", raw),
            array.array("b", raw),
            (ctypes.c_ubyte * 4)(*raw),
            (ctypes.c_char * 4)(*raw),
            area,
        ):
            assert outcome(takers(backend)[name], value) == expected, value
            del value  # a view of the map would keep it from closing


def test_empty_buffers(backend: ModuleType) -> None:
    views = memoryview(b""), memoryview(b"ab")[2:], memoryview(b"")[::2]
    for empty in (b"", bytearray(), array.array("b"), *views):
        assert backend.mask(empty, KEY) == b""
        assert backend.utf8_valid(empty)
        assert backend.parse_header(empty) is None
        assert backend.scan(empty, policy=STRICT_SERVER) == ([], 0, None)
        assert backend.MessageDecoder(Role.SERVER).feed(empty) == []
        assert backend.FrameEncoder(Role.SERVER).binary(empty) == b"\x82\x00"


# ---- masking ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3, 5, 8])
def test_keys_have_four_bytes(backend: ModuleType, size: int) -> None:
    calls = [
        lambda: backend.mask(b"data", bytes(size)),
        lambda: backend.mask_inplace(bytearray(4), bytes(size)),
        lambda: backend.build_header(1, 0, key=bytes(size)),
        lambda: backend.FrameEncoder(Role.CLIENT, keys=lambda: bytes(size)).text("a"),
        lambda: backend.FrameEncoder(Role.CLIENT, keys=lambda: bytes(size)).ping(),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"^masking key must be 4 bytes$"):
            call()


def test_a_server_asks_for_no_key(backend: ModuleType) -> None:
    def keys() -> bytes:
        raise AssertionError("asked for a key")

    assert backend.FrameEncoder(Role.SERVER, keys=keys).text("a") == b"\x81\x01a"


def test_offsets(backend: ModuleType) -> None:
    for offset in (-1, -(1 << 70)):
        with pytest.raises(ValueError, match="offset must be at least 0"):
            backend.mask(b"data", KEY, offset)
    for offset in ("1", 1.0, None):
        with pytest.raises(TypeError):
            backend.mask(b"data", KEY, offset)
    assert backend.mask(b"data", KEY, offset=True) == backend.mask(b"data", KEY, 1)


def test_inplace_needs_a_writable_buffer(backend: ModuleType) -> None:
    readonly = memoryview(bytearray(b"data")).toreadonly()
    for value in (b"data", readonly, memoryview(b"data")):
        with pytest.raises(BufferError, match="buffer must be writable"):
            backend.mask_inplace(value, KEY)
    for value in NO_BUFFERS:
        with pytest.raises(TypeError):
            backend.mask_inplace(value, KEY)
    with pytest.raises(BufferError, match="C-contiguous"):
        backend.mask_inplace(memoryview(bytearray(8))[::2], KEY)
    with pytest.raises(BufferError, match="C-contiguous"):
        backend.mask_inplace(array.array("I", [1]), KEY)


@pytest.mark.parametrize("form", ["b", "c", "B"])
def test_inplace_buffers(backend: ModuleType, form: str) -> None:
    for place in (bytearray(b"data"), array.array("B", b"data"), (ctypes.c_ubyte * 4)(*b"data")):
        view = memoryview(place)
        if view.format == "B":
            view = view.cast(form)
        assert backend.mask_inplace(view, KEY) is None
        assert bytes(place) == backend.mask(b"data", KEY)
    table = memoryview(bytearray(b"12345678")).cast("B", (2, 4))
    backend.mask_inplace(table, KEY)
    assert table.tobytes() == backend.mask(b"12345678", KEY)


def test_a_failed_call_leaves_no_view_behind(backend: ModuleType) -> None:
    place = bytearray(b"data")
    with pytest.raises(ValueError, match="key"):
        backend.mask_inplace(place, b"")
    with pytest.raises(ValueError, match="offset"):
        backend.mask_inplace(place, KEY, -1)
    with pytest.raises(ValueError, match="pos"):
        backend.parse_header(place, 5)
    with pytest.raises(TypeError):
        backend.scan(place, policy=None)
    place.clear()  # BufferError if a view were left


# ---- numbers ------------------------------------------------------------------------------------


def test_positions(backend: ModuleType) -> None:
    for pos in (-1, 3, 1 << 64, -(1 << 64)):
        for call in (
            lambda pos=pos: backend.parse_header(b"ab", pos),
            lambda pos=pos: backend.scan(b"ab", pos, policy=STRICT_SERVER),
        ):
            with pytest.raises(ValueError, match="pos must lie in the buffer"):
                call()
    assert backend.parse_header(b"ab", 2) is None
    with pytest.raises(TypeError):
        backend.parse_header(b"ab", 1.0)


def test_scan_bounds(backend: ModuleType) -> None:
    for name in ("max_frame", "max_frames"):
        with pytest.raises(ValueError, match=f"{name} must be at least 0"):
            backend.scan(b"", policy=STRICT_SERVER, **{name: -1})
        with pytest.raises(TypeError):
            backend.scan(b"", policy=STRICT_SERVER, **{name: "1"})
        huge = {name: 1 << 70}
        assert backend.scan(b"", policy=STRICT_SERVER, **huge) == ([], 0, None)


def test_build_header_numbers(backend: ModuleType) -> None:
    with pytest.raises(LocalProtocolError):
        backend.build_header(3, 0)
    for length in (-1, 1 << 63, 1 << 64, 1 << 70):
        with pytest.raises(ValueError, match=r"length must be 0\.\.2\*\*63-1"):
            backend.build_header(1, length)
    for rsv in (-1, 8, 1 << 70):
        with pytest.raises(ValueError, match=r"rsv must be 0\.\.7"):
            backend.build_header(1, 0, rsv=rsv)
    for args in (("1", 0), (1, "0"), (1.0, 0), (None, 0)):
        with pytest.raises(TypeError):
            backend.build_header(*args)


def test_receive_buffer_sizes(backend: ModuleType) -> None:
    decoder = backend.MessageDecoder(Role.SERVER)
    with pytest.raises(ValueError, match="more bytes than get_buffer"):
        decoder.buffer_updated(0)
    for hint, size in ((-1, 1 << 16), (0, 1 << 16), (1 << 17, 1 << 17), (1 << 70, 1 << 18)):
        view = decoder.get_buffer(hint)
        assert (len(view), view.readonly, view.format) == (size, False, "B")
    for nbytes in (-1, (1 << 18) + 1, 1 << 70):
        with pytest.raises(ValueError, match="more bytes than get_buffer"):
            decoder.buffer_updated(nbytes)
    for call in (decoder.get_buffer, decoder.buffer_updated):
        with pytest.raises(TypeError):
            call("1")
    assert decoder.buffer_updated(0) == []


def test_feed_some_needs_a_number(backend: ModuleType, frame: Any) -> None:
    decoder = backend.MessageDecoder(Role.SERVER)
    for most in (0, -1, -1 << 70):
        with pytest.raises(ValueError, match="most must be at least 1"):
            decoder.feed_some(b"", most)
    for data, most in ((b"", "1"), (b"", None), ("", 1), (None, 1)):
        with pytest.raises(TypeError):
            decoder.feed_some(data, most)
    wire = frame(1, b"a", key=KEY)
    for most in (1, 1 << 63, 1 << 64, 1 << 70):
        assert decoder.feed_some(memoryview(wire), most) == (["a"], len(wire))


# ---- constructors -------------------------------------------------------------------------------


def test_constructors(backend: ModuleType) -> None:
    for cls in (backend.FrameDecoder, backend.MessageDecoder, backend.FrameEncoder):
        for role in ("server", None, 0, Role):
            with pytest.raises(TypeError, match="role must be a Role, not "):
                cls(role)
        with pytest.raises(TypeError):
            cls()
        with pytest.raises(TypeError):
            cls(Role.SERVER, bogus=1)
        with pytest.raises(TypeError):
            cls(Role.SERVER, None)
    for cls in (backend.FrameDecoder, backend.MessageDecoder):
        with pytest.raises(TypeError, match="policy must be a Policy, not str"):
            cls(Role.SERVER, policy="strict")
        with pytest.raises(TypeError, match="limits must be a Limits, not int"):
            cls(Role.SERVER, limits=5)
    with pytest.raises(ValueError, match="text must be 'str' or 'bytes', not 'utf-8'"):
        backend.MessageDecoder(Role.SERVER, text="utf-8")
    with pytest.raises(ValueError, match='utf8="off" needs text="bytes"'):
        backend.MessageDecoder(Role.SERVER, policy=Policy(utf8="off"))
    for call in (backend.parse_header, backend.scan):
        with pytest.raises(TypeError, match="policy must be a Policy, not NoneType"):
            call(b"", policy=None)


@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder"])
def test_init_again_starts_afresh(backend: ModuleType, frame: Any, name: str) -> None:
    decoder = getattr(backend, name)(Role.CLIENT)
    decoder.feed(frame(1, b"abc", fin=False) + b"\x89\x05he")
    decoder.__init__(Role.CLIENT, limits=Limits(max_message=3))
    assert (decoder.buffered, decoder.unfinished, decoder._moved) == (0, False, 0)
    fresh = getattr(backend, name)(Role.CLIENT)
    wire = frame(1, b"xyz")
    assert decoder.feed(wire) == fresh.feed(wire)
    decoder.feed(b"\xff")
    decoder.__init__(Role.CLIENT)
    assert decoder.failed is None
    assert decoder.feed(wire) == fresh.feed(wire)


def test_init_again_is_not_disturbed_by_what_it_lets_go(backend: ModuleType, frame: Any) -> None:
    """On the last error anything may hang, and call the decoder when it goes."""

    class Hung:
        def __del__(self) -> None:
            decoder.feed(frame(1, b"abc", fin=False))

    decoder = backend.MessageDecoder(Role.CLIENT)
    decoder.feed(b"\xff")
    decoder.failed.hung = Hung()
    decoder.__init__(Role.CLIENT)
    assert (decoder.buffered, decoder.unfinished) == (0, False)
    wire = frame(2, b"\xff", fin=False) + frame(0, b"\xfe")
    assert decoder.feed(wire) == [b"\xff\xfe"]


def test_init_again_is_not_disturbed_by_what_it_asks(backend: ModuleType, frame: Any) -> None:
    class Sly:
        def __eq__(self, other: object) -> bool:
            if not decoder.unfinished:
                decoder.feed(frame(1, "é".encode(), fin=False))
            return other == "bytes"

    decoder = backend.MessageDecoder(Role.CLIENT)
    decoder.__init__(Role.CLIENT, text=Sly())
    assert (decoder.buffered, decoder.unfinished) == (0, False)


@pytest.mark.parametrize("name", ["FrameDecoder", "MessageDecoder", "FrameEncoder"])
def test_without_init_nothing_breaks(backend: ModuleType, frame: Any, name: str) -> None:
    """What it says is not promised, only that it does not crash."""
    cls = getattr(backend, name)
    for method in ("feed", "text", "buffer_updated"):
        blank = cls.__new__(cls)
        for argument in (frame(1, b"a", key=KEY), b"\xff" * 20, 0):
            try:
                getattr(blank, method)(argument)
            except Exception:
                continue


def test_what_lends_a_text_has_none_to_begin_with(c_backends: list[str]) -> None:
    if not c_backends:
        pytest.skip("the C extension is not built")
    from wsfast import _encoder_c

    with pytest.raises(BufferError, match="nothing is lent"):
        memoryview(_encoder_c._Lent())


# ---- str and bytes, and their subclasses --------------------------------------------------------


def test_text_is_str_or_utf8(backend: ModuleType) -> None:
    encoder = backend.FrameEncoder(Role.SERVER)
    assert encoder.text(Str("é")) == encoder.text("é") == encoder.text("é".encode())
    assert encoder.text(Bytes("é".encode())) == encoder.text(bytearray("é".encode()))
    for value in (5, None, ["a"]):
        with pytest.raises(TypeError, match="a bytes-like object is required, not '"):
            encoder.text(value)
    with pytest.raises(UnicodeEncodeError):
        encoder.text("\ud800")
    with pytest.raises(LocalProtocolError) as caught:
        encoder.text(b"\xff")
    assert caught.value.name == "invalid_utf8"
    assert encoder.text("a" * 200) == b"\x81\x7e\x00\xc8" + b"a" * 200


def test_binary_is_no_str(backend: ModuleType) -> None:
    encoder = backend.FrameEncoder(Role.SERVER)
    for call in (encoder.binary, encoder.ping, encoder.pong):
        with pytest.raises(TypeError, match="a bytes-like object is required, not 'str'"):
            call("text")
    encoder.binary(b"", fin=False)
    with pytest.raises(TypeError, match="not 'str'"):
        encoder.continuation("text")
    for value in ("a", bytearray(b"a"), Bytes(b"a"), None):
        with pytest.raises(TypeError, match=r"parts\(\) needs bytes, not "):
            encoder.parts(value)


def test_close_arguments(backend: ModuleType) -> None:
    encoder = backend.FrameEncoder(Role.SERVER)
    assert encoder.close(1000, Str("a")) == encoder.close(1000, "a")
    with pytest.raises(TypeError, match="reason must be a str, not bytes"):
        encoder.close(1000, b"bye")
    for code in ("1000", None, 1000.0):
        with pytest.raises(TypeError):
            encoder.close(code)
    for code in (0, -1, 999, 1005 + (1 << 16), 1 << 64):
        with pytest.raises(LocalProtocolError) as caught:
            encoder.close(code, "a")
        assert caught.value.name == "close_code"
    assert len(encoder.close(1000, "é" * 61 + "a")) == 127
    with pytest.raises(LocalProtocolError) as caught:
        encoder.close(1000, "é" * 62)
    assert caught.value.name == "control_too_long"


# ---- what cannot be copied ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["FrameDecoder", "MessageDecoder", "FrameEncoder", "Utf8Decoder", "Utf8Validator"]
)
def test_not_picklable(backend: ModuleType, name: str) -> None:
    half = getattr(backend, name)(*[Role.SERVER] * (not name.startswith("Utf8")))
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=f"^{name} cannot be pickled: it holds half a "):
            refused(half)


# ---- what compresses, of the caller's own -------------------------------------------------------


@pytest.mark.parametrize("made", [bytearray(b"a"), Bytes(b"a"), memoryview(b"a"), "a", 5, None])
def test_what_inflates_returns_bytes(backend: ModuleType, frame: Any, made: Any) -> None:
    class Inflate:
        def inflate(self, data: bytes, fin: bool, limit: int | None) -> Any:
            return made

    decoder = backend.MessageDecoder(Role.CLIENT, inflate=Inflate())
    kind = type(made).__name__
    with pytest.raises(TypeError, match=rf"^inflate\(\) must return bytes, not {kind}$"):
        decoder.feed(frame(2, b"a", rsv=4))


def test_what_deflates_returns_a_buffer(backend: ModuleType) -> None:
    class Deflate:
        threshold = 0

        def __init__(self, made: Any) -> None:
            self.made = made

        def deflate(self, data: bytes, fin: bool) -> Any:
            return self.made

        def reset(self) -> None:
            pass

    def encoded(made: Any) -> bytes:
        wire: bytes = backend.FrameEncoder(Role.SERVER, deflate=Deflate(made)).binary(b"data")
        return wire

    for made in (b"ab", bytearray(b"ab"), memoryview(b"ab").cast("B", (1, 2))):
        assert encoded(made) == b"\xc2\x02ab"
    for made in ("ab", 5, None):
        with pytest.raises(TypeError, match="a bytes-like object is required, not '"):
            encoded(made)
    with pytest.raises(BufferError, match="C-contiguous"):
        encoded(array.array("H", [1]))

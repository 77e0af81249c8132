"""Run by test_guard_pages.py, once per implementation: a fault kills this process only.

Every buffer lies against a page that must not be touched, at its end and at its start.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import itertools
import mmap
import sys
from collections.abc import Iterator
from types import ModuleType

from wsfast.frames import STRICT_SERVER, Role

PAGE = mmap.PAGESIZE
KEY = b"\x37\xfa\x21\x3d"
LENGTHS = [*range(301), 1000, 4000]


def guarded_page() -> tuple[mmap.mmap, memoryview]:
    """A page of memory between two that cannot be read or written."""
    area = mmap.mmap(-1, 3 * PAGE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    for place in (first, first + 2 * PAGE):
        if libc.mprotect(ctypes.c_void_p(place), PAGE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    return area, memoryview(area)[PAGE : 2 * PAGE]


def places(page: memoryview, length: int) -> Iterator[memoryview]:
    """``length`` bytes that end, and that start, at a guard."""
    yield page[PAGE - length :]
    yield page[:length]


def filled(page: memoryview, data: bytes) -> Iterator[memoryview]:
    for place in places(page, len(data)):
        place[:] = data
        yield place


def kernels(module: ModuleType, page: memoryview) -> None:
    for length, phase in itertools.product(LENGTHS, range(4)):
        for view in places(page, length):
            module.mask(view, KEY, phase)
            module.mask_inplace(view, KEY, phase)
    texts = ["a", "é", "€", "\U0001f600"]
    for length, text in itertools.product(LENGTHS, texts):
        data = (text * length).encode()[:length]
        for view in filled(page, data):
            module.utf8_valid(view)
            for cls in (module.Utf8Validator, module.Utf8Decoder):
                cls().feed(view)


def frames(module: ModuleType, page: memoryview) -> None:
    """Whole frames, and every cut of their headers."""
    encoder = module.FrameEncoder(Role.CLIENT, keys=lambda: KEY)
    messages = [encoder.text("é" * (n // 2)) for n in LENGTHS if n < 2000]
    messages += [encoder.binary(b"\xff" * n) for n in LENGTHS if n < 2000]
    messages += [encoder.close(1000, "é" * n) for n in range(60)]
    messages += [encoder.ping(b"p" * n) for n in range(126)]
    for message in messages:
        cuts = {*range(16), len(message) // 2, len(message) - 1, len(message)}
        for cut in sorted(cuts):
            for view in filled(page, message[:cut]):
                module.parse_header(view)
                module.scan(view, policy=STRICT_SERVER)
                scanner = module.Scanner(STRICT_SERVER)
                scanner.frame(view, 0, None)
                scanner.messages(view, 0, None)
                for cls in (module.FrameDecoder, module.MessageDecoder):
                    decoder = cls(Role.SERVER)
                    decoder.feed(view)
                    assert decoder.failed is None


def encoders(module: ModuleType, page: memoryview) -> None:
    for role, length in itertools.product(Role, LENGTHS):
        encoder = module.FrameEncoder(role)
        for view in filled(page, b"a" * length):
            encoder.binary(view)
            encoder.text(view)
            module.Builder(masked=role is Role.CLIENT).build(0x82, view)
            if length <= 125:
                encoder.ping(view)
    for view in filled(page, KEY):
        module.mask(b"x" * 9, view)
        module.build_header(2, 5, key=view)


def main() -> None:
    faulthandler.enable()
    name = sys.argv[1]
    module = importlib.import_module("wsfast._codec_py" if name == "python" else "wsfast._codec_c")
    if name != "python":
        module._select(name.removeprefix("c-"))
    area, page = guarded_page()
    if sys.argv[2:] == ["--touch"]:  # proves that a guard is one
        page.release()
        print(memoryview(area)[PAGE - 1])
    for check in (kernels, frames, encoders):
        check(module, page)
    print("untouched")


if __name__ == "__main__":
    main()

"""What is measured: operations, sizes, the bytes each contender is given, what it must deliver."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

KEY = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7
BULK = 64 << 10  # bytes of a bulk read: what asyncio's transports take at once, within a factor 4
JSON_LIKE = '{"id": 12345, "name": "benchmark", "tags": ["a", "b"]} '
CJK = "網路通訊協定測試文字"


def masked_frame(payload: bytes) -> bytes:
    """A masked text frame, built without any contender."""
    n = len(payload)
    if n < 126:
        head = bytes([0x81, 0x80 | n])
    elif n < 1 << 16:
        head = b"\x81\xfe" + n.to_bytes(2, "big")
    else:
        head = b"\x81\xff" + n.to_bytes(8, "big")
    return head + KEY + masked(payload)


def masked(payload: bytes) -> bytes:
    """``payload`` XOR ``KEY``, the slow and obvious way (as one big number)."""
    n = len(payload)
    stream = (KEY * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(n, "big")


@dataclass(frozen=True)
class Case:
    """One cell: an operation on ``size`` bytes of ``script`` (``ascii`` or ``cjk``) text.

    All contenders are given the same objects: where a buffer happens to lie, in the cache and
    against the one it is copied to, is worth more than some of the differences measured.
    """

    op: str
    size: int
    script: str = "ascii"

    @property
    def name(self) -> str:
        return f"{self.op}:{self.size}" + ("" if self.script == "ascii" else f":{self.script}")

    @cached_property
    def text(self) -> str:
        sample = JSON_LIKE if self.script == "ascii" else CJK
        width = len(sample.encode()) // len(sample)
        return (sample * (self.size // len(sample) + 1))[: self.size // width]

    @cached_property
    def payload(self) -> bytes:
        return self.text.encode()

    @cached_property
    def buffer(self) -> bytearray:
        """For work in place."""
        return bytearray(self.payload)

    @cached_property
    def frame(self) -> bytes:
        return masked_frame(self.payload)

    @property
    def frames(self) -> int:
        """Frames per read: one, or as many as a bulk read holds, 512 at most."""
        return min(512, BULK // len(self.frame)) if self.op == "bulk" else 1

    @cached_property
    def chunk(self) -> bytes:
        return self.frame * self.frames

    @cached_property
    def wanted(self) -> object:
        """What ``Contender.once`` must return."""
        if self.op in ("decode", "bulk", "woken"):
            return [self.text] * self.frames
        if self.op in ("encode", "encode-masked"):
            return (0x81, self.op == "encode-masked", self.payload)
        if self.op in ("mask", "mask-inplace"):
            return masked(self.payload)
        return True if self.op == "utf8" else self.text


TITLES = {
    "call": "The Python call itself, ns: part of every figure below",
    "decode": "Decode a masked text frame, one per read, ns",
    "woken": "The same and wake a task that waits for it (a turn of the asyncio loop), ns",
    "bulk": "Decode masked text frames, many per read, ns per frame",
    "encode": "Encode a text message, server, ns",
    "encode-masked": "Encode a text message with a fresh masking key, client, ns",
    "mask": "Mask into new bytes, ns",
    "mask-inplace": "Mask in place, ns",
    "utf8": "Is it UTF-8? ns",
    "text": "UTF-8 to str, ns",
    "deflate": "Send and receive a JSON text with permessage-deflate, ns",
    "deflate-send": "Send a JSON text with permessage-deflate, ns",
}

SIZES = {
    "call": (0,),
    "decode": (32, 125, 1 << 10, 64 << 10),
    "woken": (32,),
    "bulk": (8, 32, 1 << 10),
    "encode": (32, 125, 1 << 10, 64 << 10),
    "encode-masked": (125, 1 << 10),
    "mask": (8, 125, 1 << 10, 64 << 10, 1 << 20),
    "mask-inplace": (8, 125, 1 << 10, 64 << 10, 1 << 20),
    "utf8": (125, 1 << 10, 64 << 10),
    "text": (125, 1 << 10, 64 << 10),
}

CASES = [Case(op, size) for op, sizes in SIZES.items() for size in sizes]
CASES += [Case(op, size, "cjk") for op in ("utf8", "text") for size in (1 << 10, 64 << 10)]


def chosen(names: list[str] | None) -> list[Case]:
    """The cases called ``op``, ``op:size`` or ``op:size:script``; all of them for None."""
    if not names:
        return CASES
    known = {case.op for case in CASES} | {case.name for case in CASES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no such case: {', '.join(unknown)}")
    return [case for case in CASES if case.op in names or case.name in names]

"""Our rows of bench_deflate.py on each back end, and the back ends alone."""

from __future__ import annotations

from functools import partial
from itertools import repeat

from deflate_cases import DeflateCase
from offers import Work, offers

from wsfast import FrameEncoder, MessageDecoder, Role, _zlib
from wsfast.deflate import PerMessageDeflate

BITS, MEM_LEVEL = 12, 5  # what websockets and uvicorn ask for by default


def ours(name: str, case: DeflateCase) -> Work:
    config = PerMessageDeflate(server_max_window_bits=BITS, mem_level=MEM_LEVEL, backend=name)
    agreed = config.negotiate([("server_max_window_bits", str(BITS))])
    client = config.confirm([("server_max_window_bits", str(BITS))])
    assert agreed is not None and client is not None
    send = FrameEncoder(Role.SERVER, deflate=agreed.deflater()).text
    receive = MessageDecoder(Role.CLIENT, inflate=client.inflater()).feed
    messages = case.messages

    def run(n: int) -> None:
        for _ in repeat(None, n):
            for message in messages:
                receive(send(message))

    def sending(n: int) -> None:
        for _ in repeat(None, n):
            for message in messages:
                send(message)

    def once() -> object:
        frames = [send(message) for message in messages]
        case.note(f"wsfast, {name}", frames)
        return [message for frame in frames for message in receive(frame)]

    return sending if case.op == "deflate-send" else run, once


def alone(name: str, case: DeflateCase) -> Work:
    """The back end's modules and nothing else: neither frames nor text, no limit, no BFINAL."""
    backend = _zlib.load(name)
    compressor = backend.deflates.compressobj(backend.levels[-1], 8, -BITS, MEM_LEVEL)
    compress, flush = compressor.compress, compressor.flush
    decompress = backend.inflates.decompressobj(-BITS).decompress
    messages = [message.encode() for message in case.messages]

    def run(n: int) -> None:
        for _ in repeat(None, n):
            for message in messages:
                decompress(compress(message) + flush(2))

    def sending(n: int) -> None:
        for _ in repeat(None, n):
            for message in messages:
                compress(message) + flush(2)

    def once() -> object:
        return [decompress(compress(message) + flush(2)).decode() for message in messages]

    return sending if case.op == "deflate-send" else run, once


def register() -> None:
    ops = ("deflate", "deflate-send")
    for name in _zlib.BACKENDS:
        offers(f"wsfast, {name}", *ops, delivers="str; limits, BFINAL, every check")(
            partial(ours, name)
        )
        offers(f"{name} alone", *ops, delivers="bytes, no frames")(partial(alone, name))


register()

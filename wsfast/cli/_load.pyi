from collections.abc import Callable, Sequence

def run(
    host: str,
    port: int,
    lanes: Sequence[tuple[bytes, bytes, int]],
    *,
    request: bytes | None = None,
    accept: bytes = b"",
    in_flight: int = 1,
    warmup: int = 0,
    seconds: float = 0.0,
    messages: int = 0,
    timeout: float = 5.0,
    mark: Callable[[], object] | None = None,
) -> tuple[int, float, int]: ...

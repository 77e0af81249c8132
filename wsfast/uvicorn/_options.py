"""What a subclass of the protocol may set, and what uvicorn's own options make of it."""

from __future__ import annotations

import logging
from functools import lru_cache
from sys import maxsize

from wsfast.deflate import PerMessageDeflate
from wsfast.frames import Limits, _one_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from uvicorn.config import Config

    from ._protocol import WebSocketProtocol

logger = logging.getLogger("uvicorn.error")
_OVERRIDDEN = {"max_message": "ws_max_size", "queue_messages": "ws_max_queue"}
_CHOICES = {
    "text": ("str", "bytes"),
    "cork": ("auto", "burst", "off"),
    "wake": ("direct", "future"),
}

PARTING = 1.0  # seconds: a round trip, even a slow one; `docker stop` kills ten seconds later


def check(cls: type[WebSocketProtocol]) -> None:
    """``TypeError`` or ``ValueError`` for a class attribute that will not do."""
    for name, allowed in _CHOICES.items():
        _one_of(name, getattr(cls, name), allowed)
    if not isinstance(cls.limits, Limits):
        raise TypeError(f"limits must be a Limits, not {type(cls.limits).__name__}")
    if not isinstance(cls.deflate, PerMessageDeflate):
        raise TypeError(f"deflate must be a PerMessageDeflate, not {type(cls.deflate).__name__}")
    if cls.offload is not None:
        if not isinstance(cls.offload, int) or isinstance(cls.offload, bool):
            raise TypeError(f"offload must be an int or None, not {type(cls.offload).__name__}")
        if cls.offload < 1:
            raise ValueError(f"offload must be at least 1, not {cls.offload}")
    for name, option in _OVERRIDDEN.items():
        if getattr(cls.limits, name) != getattr(Limits(), name):
            logger.warning("%s of limits has no effect: set uvicorn's %s", name, option)


@lru_cache(maxsize=64)
def limits_under(limits: Limits, max_size: int | None, max_queue: int | None) -> Limits:
    """The limits of a class under uvicorn's options (0 messages: any number); one for all."""
    return limits.replace(max_message=max_size, queue_messages=max_queue or maxsize)


def patience_of(config: Config) -> float:
    """Seconds that a server which stops waits for a peer to end its side.

    Well within the time that it has for all: uvicorn reports what it has to cancel then.
    """
    graceful = config.timeout_graceful_shutdown
    return PARTING if graceful is None else min(PARTING, graceful / 2)

"""The cases, one module per group; each has a list ``CASES``."""

from __future__ import annotations

from . import (
    client,
    close,
    control,
    deflate,
    deflate_rules,
    fragments,
    framing,
    handshake,
    limits,
    negotiation,
    reserved,
    utf8,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..case import Case

CASES: tuple[Case, ...] = tuple(
    case
    for group in (
        handshake,
        client,
        framing,
        control,
        reserved,
        fragments,
        utf8,
        close,
        negotiation,
        deflate,
        deflate_rules,
        limits,
    )
    for case in group.CASES
)


def choose(side: str, words: Sequence[str] = ()) -> list[Case]:
    """The cases for a ``"server"`` or a ``"client"`` whose title has one of ``words``."""
    return [
        case
        for case in CASES
        if side in case.sides and (not words or any(word in case.title for word in words))
    ]

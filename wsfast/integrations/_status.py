"""What is told of a host: ``HostStatus``, and ``HostRefused`` for those who will not do without."""

from __future__ import annotations

from ..frames import _Value, _writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    State = Literal["active", "pending", "refused", "absent", "off"]


class HostStatus(_Value):
    """One host, as it is in this process.

    name            as in ``install(name)``
    version         of the installed distribution, ``None`` where it is not installed
    state           ``"active"``: frames go through wsfast
                    ``"pending"``: they will once the host is imported, or a connection comes to
                    the class that ``supported_hook`` names
                    ``"refused"``: wanted, but the host is left as it is; see ``reason``
                    ``"absent"``: not installed
                    ``"off"``: not wanted, or not allowed; see ``reason``
    seams           what is replaced now, as ``("module:Class.method", …)``
    supported_hook  the way to wsfast that the host's authors support, or ``""``
    hits            frames of this process that went through ``seams`` so far
    reason          a sentence, empty where there is nothing to add
    """

    __slots__ = __match_args__ = (
        "name",
        "version",
        "state",
        "seams",
        "supported_hook",
        "hits",
        "reason",
    )

    name: str
    version: str | None
    state: State
    seams: tuple[str, ...]
    supported_hook: str
    hits: int
    reason: str

    def __init__(
        self,
        name: str,
        version: str | None,
        state: State,
        seams: tuple[str, ...],
        supported_hook: str,
        hits: int,
        reason: str,
    ) -> None:
        values = (name, version, state, seams, supported_hook, hits, reason)
        for write, value in zip(_writers, values):
            write(self, value)


_writers = [_writer(getattr(HostStatus, name)) for name in HostStatus.__match_args__]


class HostRefused(RuntimeError):
    """``install(on_refusal="raise")`` left a host, or a part of it, as it is; see ``.statuses``."""

    statuses: tuple[HostStatus, ...]

    def __init__(self, statuses: tuple[HostStatus, ...]) -> None:
        super().__init__(statuses)
        self.statuses = statuses

    def __str__(self) -> str:
        whys = "; ".join([f"{one.name}: {one.reason}" for one in self.statuses])
        return f"{whys} (`wsfast status` says what to do)"

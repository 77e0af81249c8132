"""The hosts that ``wsfast.install()`` knows: what they are called, which versions, what to do.

Names and texts only: nothing here imports a host, or the driver that is made for it.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Group:
    """Seams that stand or fall together: ``driver`` is applied once ``trigger`` is imported.

    A group is applied only where the groups before it were: those of a host stand on each other.
    """

    __slots__ = ("driver", "trigger")

    def __init__(self, trigger: str, driver: str) -> None:
        self.trigger = trigger  # the host's module whose import makes the host worth patching
        self.driver = driver  # our module, imported after it; see _seams.py for what is in it


class Host:
    """One library. ``low`` is the first version that fits and ``high`` the first that does not.

    ``supported_hook`` is the way its own authors offer, which needs no patch; empty where there is
    none. A host without groups has nothing but that. ``counter`` is our module for it, whose
    ``made`` says how many connections came that way.
    """

    __slots__ = ("counter", "distribution", "groups", "high", "low", "name", "supported_hook")

    def __init__(
        self,
        name: str,
        low: str,
        high: str | None,
        supported_hook: str,
        *groups: Group,
        distribution: str = "",
        counter: str = "",
    ) -> None:
        self.name = name
        self.counter = counter
        self.distribution = distribution or name
        self.low = low
        self.high = high
        self.supported_hook = supported_hook
        self.groups = groups

    @property
    def versions(self) -> str:
        """The range as pip writes it: ``">=1.2,<1.4"``."""
        return f">={self.low}" + (f",<{self.high}" if self.high else "")

    def fits(self, version: str) -> bool:
        """Whether ``version`` is in the range; ``ValueError`` where it is not a version.

        A pre-release comes before its release, so one of ``high`` would be let in: it is not.
        """
        release, final = _parsed(version)
        low, _ = _parsed(self.low)
        if release < low or (release == low and not final):
            return False
        return self.high is None or release < _parsed(self.high)[0]


_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview|dev)(?![a-z]))?")


def _parsed(version: str) -> tuple[tuple[int, ...], bool]:
    """The numbers of a release without zeros at the end, and whether it is final."""
    match = _VERSION.match(version.strip().lower())
    if match is None or "!" in version:
        raise ValueError(f"{version!r} is not a version that can be compared")
    numbers = [int(part) for part in match[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers), match[2] is None


_WEBSOCKETS = "create_connection=wsfast.websockets.asyncio.ServerConnection (or ClientConnection)"
_UVICORN = "uvicorn --ws wsfast.uvicorn:WebSocketProtocol"
_HERE = "wsfast.integrations"

HOSTS: Mapping[str, Host] = {
    host.name: host
    for host in (
        Host(
            "websockets",
            "15.0.1",
            "18",
            _WEBSOCKETS,
            Group("websockets.protocol", f"{_HERE}._websockets"),
            Group("websockets.asyncio.connection", f"{_HERE}._websockets_asyncio"),
            Group("websockets.asyncio.server", f"{_HERE}._websockets_broadcast"),
            counter="wsfast.websockets._protocols",
        ),
        Host("wsproto", "1.2", "1.4", "", Group("wsproto", f"{_HERE}._wsproto")),
        Host(
            "simple-websocket",
            "1.0",
            "1.2",
            "",
            Group("simple_websocket", f"{_HERE}._simple_websocket"),
        ),
        Host("uvicorn", "0.36", None, _UVICORN, counter="wsfast.uvicorn._protocol"),
    )
}

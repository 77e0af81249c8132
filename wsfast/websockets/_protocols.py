"""websockets' Sans-I/O protocols on wsfast's codec, and how a connection class gets them.

``FastServerProtocol`` and ``FastClientProtocol`` can be used wherever the library's own are: they
differ from them in speed only. Nothing of the library is patched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from websockets.client import ClientProtocol
from websockets.protocol import Protocol
from websockets.server import ServerProtocol
from websockets.version import version

from wsfast.integrations import _websockets as driver
from wsfast.integrations._hosts import HOSTS

if TYPE_CHECKING:
    from websockets.frames import Frame


class FastProtocol(Protocol):
    """Stands between ``ServerProtocol`` or ``ClientProtocol`` and ``Protocol``."""

    parse = driver.parse
    receive_data = driver.receive_data

    def send_frame(self, frame: Frame) -> None:
        if self.debug:
            self.logger.debug("> %s", frame)
        masked = self.side is driver.CLIENT
        self.writes.append(driver.serialize(frame, mask=masked, extensions=self.extensions))


class FastServerProtocol(ServerProtocol, FastProtocol):
    """``websockets.server.ServerProtocol``, faster."""


class FastClientProtocol(ClientProtocol, FastProtocol):
    """``websockets.client.ClientProtocol``, faster."""


if not HOSTS["websockets"].fits(version):
    wanted = HOSTS["websockets"].versions
    raise ImportError(
        f"wsfast.websockets is made for websockets {wanted}, this is {version}. What to do: use "
        "one of those, look for a newer wsfast, or leave create_connection= out"
    )
driver.selftest(FastProtocol)

made = 0  # connections of this process, for wsfast.status()
FAST = {ServerProtocol: FastServerProtocol, ClientProtocol: FastClientProtocol}


class FastConnection:
    """Mixed into a connection class: its protocol becomes the fast one before it is used.

    The library makes the protocol itself and has no argument for its class; a subclass of the
    user's own is left as it is.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        global made
        made += 1
        for argument in (*args, *options.values()):
            if type(argument) in FAST:
                argument.__class__ = FAST[type(argument)]
                # Else the interpreter looks each attribute up the slow way for ever, 50 ns each.
                argument.__dict__ = dict(vars(argument))
        super().__init__(*args, **options)

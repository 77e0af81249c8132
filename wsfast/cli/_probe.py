"""What ``wsfast.install()`` makes of a host, tried in a process of its own: ``-m … HOST``.

Prints one line of JSON: the fields of its ``HostStatus`` and ``said``, what was logged; or
``error``, why the host cannot be imported.
"""

from __future__ import annotations

import json
import logging
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Listener(logging.Handler):
    """Keeps the texts."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def look(name: str) -> dict[str, Any]:
    """Import the host, install, and tell. Not ``wsfast.install()``, which arms WSFAST_REPORT."""
    from wsfast.integrations import _SWITCH
    from wsfast.integrations._hosts import HOSTS

    try:
        for group in HOSTS[name].groups:
            import_module(group.trigger)
    except Exception as exc:
        return {"error": f"{type(exc).__name__}: {exc}"}
    listener = _Listener()
    logging.getLogger("wsfast").addHandler(listener)
    (found,) = _SWITCH.install((name,), "host", "warn", False)
    fields = {field: getattr(found, field) for field in found.__match_args__}
    return {**fields, "said": listener.texts}


if __name__ == "__main__":
    print("\n" + json.dumps(look(sys.argv[1])), flush=True)

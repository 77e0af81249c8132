"""Plays the published example of a client against Autobahn as a server; see testees.py.

    python tests/autobahn/client_testee.py ws://127.0.0.1:9001

What Autobahn passes is what people copy. Prints one line of JSON first: wsfast's ``backend``.
"""

from __future__ import annotations

import contextlib
import json
import runpy
import sys
from pathlib import Path

import wsfast

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "echo_client.py"
AGENT = "wsfast"


def main(url: str) -> None:
    print(json.dumps({"backend": wsfast.backend()}), flush=True)
    converse = runpy.run_path(str(EXAMPLE))["converse"]
    told: list[str] = []
    converse(f"{url}/getCaseCount", told.append)
    for number in range(1, int(told[0]) + 1):
        converse(f"{url}/runCase?case={number}&agent={AGENT}", lambda message: message)
    # Autobahn writes its report, and ends before it has closed the connection or even opened it.
    with contextlib.suppress(OSError):
        converse(f"{url}/updateReports?agent={AGENT}&shutdownOnComplete=true", told.append)


if __name__ == "__main__":
    main(sys.argv[1])

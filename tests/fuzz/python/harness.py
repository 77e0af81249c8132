"""One oracle under atheris, libFuzzer for Python: ``python harness.py ORACLE [OPTIONS]``.

Coverage counts in wsfast's Python code, and in the hosts' where a driver is compared with it.
"""

import shlex
import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]


def main() -> None:
    name = sys.argv.pop(1)
    # With -merge=1 libFuzzer has a shell start its first argument again, without quoting it.
    sys.argv[0] = shlex.join([sys.executable, __file__, name])
    with atheris.instrument_imports(include=["wsfast", "websockets", "wsproto"]):
        from oracles import ORACLES

        ORACLES[name](b"")  # imports the rest
    atheris.Setup(sys.argv, ORACLES[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()

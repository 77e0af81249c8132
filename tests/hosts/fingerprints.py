"""Writes wsfast/integrations/_fingerprints.py: the sources of hosts that ``install()`` accepts.

    python tests/hosts/fingerprints.py               every version below; writes the file anew
    python tests/hosts/fingerprints.py --installed   adds those of the versions installed here
    python tests/hosts/fingerprints.py --check       compares; writes nothing

A version belongs into the file once the driver's tests, and the host's own with wsfast in it, pass
with that version: running this script is saying so. Other versions than the installed ones are
downloaded into a temporary folder. Exit status: 0 done or the same, 1 they differ or a driver does
not load, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module, metadata
from pathlib import Path
from types import FunctionType

from wsfast.integrations import _fingerprints, _seams
from wsfast.integrations._hosts import HOSTS
from wsfast.integrations._source import digest

VERSIONS = {
    "websockets": [
        *("15.0.1", "16.0", "16.1", "16.1.1"),
        *("17.0", "17.0.1", "17.1", "17.2", "17.3", "17.4"),
    ],
    "wsproto": ["1.2.0", "1.3.0", "1.3.1", "1.3.2"],
    "simple-websocket": ["1.0.0", "1.1.0"],
}
HEAD = '''\
"""Written by tests/hosts/fingerprints.py: the sources of hosts that the drivers were tested with.

Target → digest of its source (see ``_source.py``) → the versions that have it.
"""

KNOWN: dict[str, dict[str, str]] = {
'''
Known = dict[str, dict[str, list[str]]]


def targets(name: str) -> dict[str, str | None]:
    """Every function of the host that its drivers replace or read, and its digest.

    What one of them reads of another host, the driver of that one must read too.
    """
    found: dict[str, str | None] = {}
    for group in HOSTS[name].groups:
        package = import_module(group.trigger).__name__.partition(".")[0]
        for seam in import_module(group.driver).SEAMS:
            for target in (seam.target, *seam.reads):
                if target.partition(":")[0].partition(".")[0] != package:
                    continue
                thing = _seams.code_of(_seams.Place(target).raw)
                if isinstance(thing, (FunctionType, type)):
                    found[target] = digest(thing)
    return found


def ask(name: str, version: str) -> dict[str, str | None]:
    """``targets`` with this version, in another interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(_fingerprints.__file__).parents[2])]
        if metadata.version(HOSTS[name].distribution) != version:
            wanted = f"{HOSTS[name].distribution}=={version}"
            pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, "--no-deps", "--target", folder, wanted], check=True)
            paths.insert(0, folder)
        done = subprocess.run(
            [sys.executable, "-P", __file__, "--print", name],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


def collect(wanted: dict[str, list[str]]) -> Known:
    """The digests with these versions of the hosts."""
    known: Known = {}
    for name, versions in wanted.items():
        for version in versions:
            found = ask(name, version)
            print(f"{name} {version}: {len(found)} functions", file=sys.stderr)
            for target, value in found.items():
                if value is None:
                    raise SystemExit(f"{name} {version}: no source of {target}")
                known.setdefault(target, {}).setdefault(value, []).append(version)
    return known


def written(known: Known) -> str:
    """The file."""
    lines = [HEAD]
    for target in sorted(known):
        lines.append(f'    "{target}": {{\n')
        for value, versions in known[target].items():
            lines.append(f'        "{value}": "{spanned(versions)}",\n')
        lines.append("    },\n")
    return "".join([*lines, "}\n"])


def spanned(versions: list[str]) -> str:
    """``15.0.1 16.0-17.4``: runs of VERSIONS in short."""
    for every in VERSIONS.values():
        if versions[0] in every:
            first = every.index(versions[0])
            run = every[first : first + len(versions)]
            if run == versions and len(versions) > 1:
                return f"{versions[0]}-{versions[-1]}"
    return " ".join(versions)


def merged(known: Known) -> Known:
    """``known`` added to what the file has."""
    both: Known = {
        target: {value: text.split() for value, text in digests.items()}
        for target, digests in _fingerprints.KNOWN.items()
    }
    for target, digests in known.items():
        for value, versions in digests.items():
            both.setdefault(target, {}).setdefault(value, versions)
    return both


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--installed", action="store_true", help="add the versions installed here")
    choice.add_argument("--check", action="store_true", help="compare with the file")
    choice.add_argument("--print", choices=list(VERSIONS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.print:
        print(json.dumps(targets(args.print)))
        return 0
    file = Path(_fingerprints.__file__)
    if args.installed:
        here = {name: [metadata.version(HOSTS[name].distribution)] for name in VERSIONS}
        text = written(merged(collect(here)))
    else:
        text = written(collect(VERSIONS))
    if args.check:
        same = text == file.read_text("utf-8")
        print("the same" if same else f"{file} is not what the sources say")
        return 0 if same else 1
    file.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Where the hosts' own tests come from: an sdist, a Debian source package, or a git tag."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

DEBIAN = "http://deb.debian.org/debian"


def fetch(tests: Any, requirement: str, folder: Path, python: Path) -> Path:
    """The root of the sources that hold the tests, unpacked in ``folder``, which must be empty.

    ``tests`` is what suites.toml says, ``requirement`` the host as ``name==version``.
    """
    folder.mkdir(parents=True)
    if tests == "sdist":
        return unpack(sdist(requirement, folder, python))
    if "debian" in tests:
        return unpack(debian(folder, **tests))
    return clone(folder, **tests)


def sdist(requirement: str, folder: Path, python: Path) -> Path:
    """What the package index has as the source of this version."""
    name = requirement.partition("==")[0]
    command = [python, "-m", "pip", "download", "-qq", "--no-deps", "--no-binary", name]
    subprocess.run([*command, "-d", folder, requirement], check=True)
    (archive,) = folder.glob("*.tar.gz")
    return archive


def debian(folder: Path, debian: str, release: str, sha256: str) -> Path:
    """The upstream archive of a Debian source package.

    apt gets a configuration of its own, so that the machine's sources stay as they are and nobody
    has to be root. It need not know Debian's keys either: the archive must have this SHA-256.
    """
    for name in ("lists/partial", "archives/partial"):
        (folder / "apt" / name).mkdir(parents=True)
    sources = folder / "apt/sources.list"
    sources.write_text(f"deb-src [trusted=yes] {DEBIAN} {release} main\n")
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": folder / "apt/lists",
        "Dir::Cache": folder / "apt",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    subprocess.run([*apt, "update"], check=True, cwd=folder)
    subprocess.run(
        [*apt, "source", "--tar-only", "--download-only", debian], check=True, cwd=folder
    )
    (archive,) = folder.glob("*.orig.tar.*")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"{archive.name} has the SHA-256 {found}, not {sha256}")
    return archive


def clone(folder: Path, git: str, tag: str) -> Path:
    """A tag of a repository; git's own ``url.….insteadOf`` puts a copy at hand in its place."""
    root = folder / "clone"
    command = ["git", "-c", "advice.detachedHead=false", "clone", "-q", "--depth", "1"]
    subprocess.run([*command, "--branch", tag, git, str(root)], check=True)
    return root


def unpack(archive: Path) -> Path:
    """What is in the one folder of the archive. By tar: Python's own asks for 3.11.4 to be safe."""
    root = archive.parent / "unpacked"
    root.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", root, "--strip-components=1"], check=True)
    return root


def copy(root: Path, names: list[str], folder: Path) -> None:
    """A fresh ``folder`` with these of the files and folders of ``root``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy2(source, folder / name)

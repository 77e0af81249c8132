"""What is compressed: JSON messages of three kinds, each message different from the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from cases import Case

from wsfast.cli.bench.events import WORDS, cut, live

WINDOW = 4 << 10  # bytes; the messages of a case are sent in turn, and fill it many times over


def book(r: Random, i: int) -> dict[str, object]:
    """An order book: little but digits."""
    middle = r.uniform(60000, 61000)

    def side(sign: int) -> list[list[str]]:
        return [
            [f"{middle + sign * j * r.random():.2f}", f"{r.uniform(0, 2):.5f}"] for j in range(8)
        ]

    return {"channel": "book", "symbol": "BTC-USD", "bids": side(-1), "asks": side(1), "seq": i}


def hook(r: Random, i: int) -> dict[str, object]:
    """A webhook of a forge: nested, with addresses and hashes."""
    user = r.choice(["octo", "mona", "hubot", "lena"]) + str(r.randrange(3000))
    repo, api = f"{user}/{r.choice(WORDS)}-{r.choice(WORDS)}", "https://api.example.com"
    return {
        "id": str(26000000000 + i * 1771), "public": True,
        "type": r.choice(["PushEvent", "WatchEvent", "IssuesEvent", "CreateEvent"]),
        "actor": {"id": r.randrange(10**8), "login": user, "url": f"{api}/users/{user}"},
        "repo": {"id": r.randrange(10**9), "name": repo, "url": f"{api}/repos/{repo}"},
        "payload": {"ref": "refs/heads/main", "head": f"{r.getrandbits(160):040x}",
                    "before": f"{r.getrandbits(160):040x}"},
    }  # fmt: skip


KINDS: dict[str, Callable[[Random, int], dict[str, object]]] = {
    "live": live,
    "book": book,
    "hook": hook,
}


@dataclass(frozen=True)
class DeflateCase(Case):
    """Lines of JSON of one kind (``script``), cut to messages of ``size`` characters."""

    script: str = "live"

    @cached_property
    def messages(self) -> list[str]:
        return cut(KINDS[self.script], Random(7692), self.size, self.frames)

    @property
    def frames(self) -> int:
        """Messages: 64, or fewer where a batch would be too long to fall between slow phases."""
        return max(12, min(64, 16 * WINDOW // self.size))

    @property
    def wanted(self) -> object:
        return self.messages

    @cached_property
    def wire(self) -> dict[str, float]:
        """By contender, what ``note`` was told: bytes a message takes on the wire."""
        return {}

    def note(self, name: str, frames: list[bytes]) -> None:
        self.wire[name] = sum(map(len, frames)) / len(frames)


SIZES = (64, 200, 1 << 10, 16 << 10)
CASES = [DeflateCase("deflate", size, kind) for kind in KINDS for size in SIZES]
CASES += [DeflateCase("deflate-send", size) for size in SIZES]

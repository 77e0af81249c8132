"""What is compressed: JSON messages of three kinds, each message different from the last."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from cases import Case

WINDOW = 4 << 10  # bytes; the messages of a case are sent in turn, and fill it many times over
SENTENCES = (
    "the of and to in is you that it for on are with as his they at be this have from or one had",
    "by word but not what all were we when your can said there use an each which she do how",
    "their if will up other about out many then them these so some her would make like him",
)
WORDS = " ".join(SENTENCES).split()


def live(r: Random, i: int) -> dict[str, object]:
    """An application's events: trades, chat, positions."""
    now = 1763900000000 + i * 137 + r.randrange(100)
    kind = r.randrange(3)
    if kind == 0:
        return {
            "type": "trade", "id": f"{r.getrandbits(48):012x}", "time": now,
            "symbol": r.choice(["BTC-USD", "ETH-USD", "SOL-USD", "ADA-EUR"]),
            "price": round(r.uniform(10, 70000), 2), "size": round(r.uniform(0, 3), 5),
        }  # fmt: skip
    if kind == 1:
        text = " ".join(r.choices(WORDS, k=r.randrange(4, 14)))
        room, name = r.choice(["lobby", "python"]), r.choice(["anna", "bela", "carla", "dmitri"])
        return {"type": "message", "room": room, "from": name, "text": text, "time": now}
    return {
        "type": "position", "vehicle": r.randrange(900), "time": now,
        "lat": round(r.uniform(47, 48), 6), "lon": round(r.uniform(18, 20), 6),
        "speed": r.randrange(130), "heading": r.randrange(360),
    }  # fmt: skip


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
        r, made, i = Random(7692), [], 0
        for _ in range(self.frames):
            text = ""
            while len(text) < self.size:
                i += 1
                text += json.dumps(KINDS[self.script](r, i), separators=(",", ":")) + "\n"
            made.append(text[: self.size])
        return made

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

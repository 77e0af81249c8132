"""JSON as applications send it, each message different from the last: what is compressed."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

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


def cut(
    make: Callable[[Random, int], dict[str, object]], r: Random, size: int, count: int
) -> list[str]:
    """``count`` messages of exactly ``size`` characters, each of whole lines but for its end."""
    made, i = [], 0
    for _ in range(count):
        text = ""
        while len(text) < size:
            i += 1
            text += json.dumps(make(r, i), separators=(",", ":")) + "\n"
        made.append(text[:size])
    return made

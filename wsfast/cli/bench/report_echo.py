"""``wsfast bench echo``: a row per load, a column per server."""

from __future__ import annotations

from statistics import median
from typing import Any

from .contenders import CONTENDERS
from .report import BLUE, GREY, ORANGE, calls, cpu, number, ratio, size_of
from .result import unique

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .report import Block, Json

    Load = tuple[str, str, int, int]  # loop, app, size, in flight

HOW = """\
Server CPU per text message, median of the rounds; ratio: median of the rounds' ratios, with its
95 % interval (order statistics); above 1 wsfast is cheaper. No TLS, HTTP by h11; every reply
compared. System calls: a separate pass under strace. Compressed: permessage-deflate as browsers and
uvicorn agree on it unless told otherwise, by a client in Python; in all others it is off.
In real applications the gain is smaller: their own code and their database cost the same with any
WebSocket layer. The starlette rows come closest."""

LABELS = {
    "starlette": "starlette, JSON",
    "raw": "raw ASGI echo",
    "deflate": "raw, compressed JSON",
}


def load_of(entry: Json) -> Load:
    return entry["loop"], entry["app"], entry["size"], entry["in_flight"]


def _load_name(load: Load) -> str:
    _, app, size, in_flight = load
    return f"{LABELS[app]}, {size_of(size)}, ×{in_flight}"


class _Rows:
    """The document, looked up by load."""

    def __init__(self, document: Json) -> None:
        self.servers = [server["id"] for server in document["servers"]]
        self.cells = {(load_of(cell), cell["server"]): cell for cell in document["cells"]}
        self.loads = list(dict.fromkeys([load for load, _ in self.cells]))
        self.ratios = {
            load_of(entry): entry
            for entry in document["ratios"]
            if entry["to"] == CONTENDERS[entry["of"]].plain
        }

    def each(self, load: Load, show: Callable[[Json], str]) -> str:
        """One value per WebSocket server, or the raw echo's where it is alone."""
        names = [name for name in self.servers if name != "raw-tcp"] or self.servers
        found = [self.cells[load, name] for name in names if (load, name) in self.cells]
        shown = [show(cell) for cell in found]
        return " → ".join(shown) if any(text != "–" for text in shown) else "–"

    def most(self, load: Load) -> float:
        """µs of the server that takes most: loads differ by a hundred times."""
        return max([cpu(self.cells[load, n]) for n in self.servers if (load, n) in self.cells])

    def row(self, load: Load) -> list[str]:
        return [
            _load_name(load),
            load[0],
            *[
                number(cpu(self.cells[load, name])) if (load, name) in self.cells else "–"
                for name in self.servers
            ],
            ratio(self.ratios.get(load)),
            self.each(load, _rate),
            self.each(load, calls),
        ]


def _rate(cell: Json) -> str:
    return f"{median(cell['msgs_per_s']) / 1000:.1f}k"


def blocks(document: Json) -> list[Block]:
    """One table, the realistic rows first."""
    rows = _Rows(document)
    servers = [f"{name} µs" for name in rows.servers]
    head = ["load", "loop", *servers, "ratio [95 %]", "messages/s", "system calls"]
    return [[head, *[rows.row(load) for load in rows.loads]]]


def draw(pyplot: Any, document: Json) -> Any:
    """Bars of server CPU per message, relative within a load, and the ratio; a panel per loop."""
    rows = _Rows(document)
    loops = unique([load[0] for load in rows.loads])
    names = unique([_load_name(load) for load in rows.loads])
    size = 11, 0.2 * len(names) * (len(rows.servers) + 1) + 1.5
    figure, panels = pyplot.subplots(
        1, len(loops), figsize=size, squeeze=False, sharex=True, sharey=True
    )
    for panel, loop in zip(panels[0], loops, strict=True):
        _panel(panel, rows, [load for load in rows.loads if load[0] == loop])
        panel.set_title(loop)
    panels[0][0].set_yticks(range(len(names)), names)
    panels[0][0].set_ylim(len(names) - 0.5, -0.5)  # the first load on top, as in the table
    figure.legend(handles=panels[0][0].containers, loc="upper right", ncols=3, fontsize=8)
    figure.suptitle("Server CPU per echoed message: shorter is better")
    return figure


def _panel(panel: Any, rows: _Rows, loads: list[Load]) -> None:
    width = 0.8 / len(rows.servers)
    for place, name in enumerate(rows.servers):
        ys = [y for y, load in enumerate(loads) if (load, name) in rows.cells]
        lengths = [cpu(rows.cells[loads[y], name]) / rows.most(loads[y]) for y in ys]
        offset = (place + 0.5) * width - 0.4
        bars = panel.barh([y + offset for y in ys], lengths, width, label=name, color=_colour(name))
        panel.bar_label(bars, [_said(rows, loads[y], name) for y in ys], padding=2, fontsize=8)
    panel.set_xlabel("beside the costliest of the load; figures: µs")
    panel.margins(x=0.25)  # for the text beside the longest bar
    panel.spines[["top", "right"]].set_visible(False)


def _colour(name: str) -> str:
    if CONTENDERS[name].way:
        return BLUE
    return ORANGE if CONTENDERS[name].needs else GREY  # the floor has no host


def _said(rows: _Rows, load: Load, name: str) -> str:
    """Beside a bar: its length, and of wsfast how many times less that is than without."""
    text, found = number(cpu(rows.cells[load, name])), rows.ratios.get(load)
    if found is None or found["of"] != name:
        return text
    return (
        f"{text} · {found['median']:.2f} × less" if found["low"] > 1 else f"{text} · {ratio(found)}"
    )

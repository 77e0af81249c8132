"""``wsfast bench hosts``: a row per server and loop, a table per number of messages in flight."""

from __future__ import annotations

from statistics import median
from typing import Any

from .contenders import CONTENDERS
from .report import BLUE, GREY, RED, calls, cpu, number, ratio, size_of
from .result import unique

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .report import Block, Json

    Row = tuple[str, str]  # server, loop
    Pair = tuple[str, str, str]  # of, to, loop

HOW = """\
µs of server CPU per text message, echoed, median of the rounds. In the rows with a "+": how many
times less that is than the same host alone (websockets+wsfast to websockets), median of the
rounds' ratios with its 95 % interval (order statistics); below 1 wsfast is a loss. "to": the same
against another server. No compression, no TLS, every reply compared byte for byte. Memory: what a
fresh server grows by (Pss), per connection, after one message on each.
In real applications the gain is smaller: their own code and their database cost the same with any
WebSocket layer."""


class _Table:
    """The document, looked up by row."""

    def __init__(self, document: Json) -> None:
        self.cells = {(*_row(c), c["size"], c["in_flight"]): c for c in document["cells"]}
        self.ratios = {(*_pair(r), r["size"], r["in_flight"]): r for r in document["ratios"]}
        known = {(c["server"], c["loop"]) for c in document["cells"]}
        loops = unique([c["loop"] for c in document["cells"]])
        names = [server["id"] for server in document["servers"]]
        self.rows = [(name, loop) for name in names for loop in loops if (name, loop) in known]
        pairs = dict.fromkeys([_pair(r) for r in document["ratios"]])
        self.beside = [pair for pair in pairs if pair[1] != CONTENDERS[pair[0]].plain]
        self.sizes = sorted({c["size"] for c in document["cells"]})
        self.depths = sorted({c["in_flight"] for c in document["cells"]})

    def own_ratio(self, row: Row, size: int, depth: int) -> Json | None:
        """Against the same host alone."""
        name, loop = row
        return self.ratios.get((name, CONTENDERS[name].plain, loop, size, depth))

    def line(self, row: Row, depth: int) -> list[str]:
        cells = []
        for size in self.sizes:
            text = number(cpu(self.cells[*row, size, depth]))
            own = self.own_ratio(row, size, depth)
            cells.append(f"{text} · {ratio(own)}" if own else text)
        return [*row, *cells, calls(self.cells[*row, self.sizes[0], depth])]

    def line_beside(self, pair: Pair, depth: int) -> list[str]:
        of, to, loop = pair
        found = [ratio(self.ratios.get((*pair, size, depth))) for size in self.sizes]
        return [f"{of} to {to}", loop, *found, ""]


def _row(cell: Json) -> Row:
    return cell["server"], cell["loop"]


def _pair(entry: Json) -> Pair:
    return entry["of"], entry["to"], entry["loop"]


def blocks(document: Json) -> list[Block]:
    """One in flight, many, and memory."""
    table = _Table(document)
    sizes = [size_of(size) for size in table.sizes]
    result = []
    for depth in table.depths:
        head = [f"×{depth}, µs", "loop", *sizes, f"system calls, {sizes[0]}"]
        lines = [table.line(row, depth) for row in table.rows]
        result.append([head, *lines, *[table.line_beside(pair, depth) for pair in table.beside]])
    if document["memory"]:
        result.append(_memory(document["memory"]))
    return result


def _memory(entries: list[Json]) -> Block:
    head = ["idle connections", "loop", "number", "KiB each", "min–max"]
    lines = []
    for entry in entries:
        sizes = entry["kib_per_connection"]
        span = f"{min(sizes):.1f}–{max(sizes):.1f}"
        shown = [str(entry["connections"]), f"{median(sizes):.1f}", span]
        lines.append([entry["server"], entry["loop"], *shown])
    return [head, *lines]


def draw(pyplot: Any, document: Json) -> Any:
    """How many times less CPU than the host alone, with the intervals; a panel per load."""
    table = _Table(document)
    rows = [row for row in table.rows if CONTENDERS[row[0]].way]
    height = max(3.0, 0.25 * len(rows) * len(table.depths) + 2.0)
    figure, panels = pyplot.subplots(
        len(table.depths),
        len(table.sizes),
        figsize=(12, height),
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for depth, line in zip(table.depths, panels, strict=True):
        for size, panel in zip(table.sizes, line, strict=True):
            _panel(panel, table, rows, size, depth)
    panels[-1][0].set_xscale("log", base=2)
    panels[-1][0].xaxis.set_major_formatter("{x:g}")
    figure.suptitle(
        "How many times less server CPU per message than the host alone, 95 % interval; "
        "left of the line: slower"
    )
    return figure


def _panel(panel: Any, table: _Table, rows: list[Row], size: int, depth: int) -> None:
    found = [(y, table.own_ratio(row, size, depth)) for y, row in enumerate(rows)]
    for y, entry in found:
        if entry is not None:
            _point(panel, y, entry)
    panel.axvline(1.0, color="black", linewidth=1)
    panel.grid(axis="x", linewidth=0.3)
    panel.margins(x=0.12)  # for the figures beside the longest intervals
    panel.set_yticks(range(len(rows)), [f"{name} {loop}" for name, loop in rows], fontsize=8)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_title(f"{size_of(size)}, ×{depth}", fontsize=9)


def _point(panel: Any, y: int, entry: Json) -> None:
    """A median with its interval; a loss and a tie differ in shape and word as in colour."""
    middle, low, high = entry["median"], entry["low"], entry["high"]
    shape, colour, word = "o", BLUE, ""
    if low <= 1:
        shape, colour, word = ("s", RED, " slower") if high < 1 else ("D", GREY, " same")
    spread = [[middle - low], [high - middle]]
    panel.errorbar(middle, y, xerr=spread, fmt=shape, color=colour, markersize=4)
    panel.annotate(
        f"{middle:.2f}{word}",
        (high, y),
        (4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
    )

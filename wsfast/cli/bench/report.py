"""The outcome for people: a table and a chart, both drawn from the JSON document alone."""

from __future__ import annotations

from statistics import median
from typing import Any

from .._text import printable
from .plan import PAIRS
from .result import unique

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Json = dict[str, Any]
    Load = tuple[str, str, int, int]  # loop, app, size, in flight

HOW = """\
Server CPU per text message, median of the rounds; ratio: median of the rounds' ratios, with its
95 % interval (order statistics); above 1 wsfast is cheaper. No compression, no TLS, HTTP by h11;
every reply compared byte for byte. System calls: a separate pass under strace.
In real applications the gain is smaller: their own code and their database cost the same with any
WebSocket layer. The starlette rows come closest."""


def load_of(entry: Json) -> Load:
    return entry["loop"], entry["app"], entry["size"], entry["in_flight"]


def _size(size: int) -> str:
    return f"{size // 1024} KiB" if size >= 1024 else f"{size} B"


def _load_name(load: Load) -> str:
    _, app, size, in_flight = load
    label = "starlette, JSON" if app == "starlette" else "raw ASGI echo"
    return f"{label}, {_size(size)}, ×{in_flight}"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _rate(value: float) -> str:
    return f"{value / 1000:.1f}k"


def _ratio(entry: Json | None) -> str:
    if entry is None:
        return "–"
    text = f"{entry['median']:.2f} [{entry['low']:.2f}–{entry['high']:.2f}]"
    if entry["high"] < 1:
        return text + " slower"
    return text + (" same" if entry["low"] <= 1 else "")


class _Rows:
    """The document, looked up by load."""

    def __init__(self, document: Json) -> None:
        self.servers = [server["id"] for server in document["servers"]]
        self.cells = {(load_of(cell), cell["server"]): cell for cell in document["cells"]}
        self.loads = list(dict.fromkeys([load for load, _ in self.cells]))
        self.ratios = {
            load_of(entry): entry
            for entry in document["ratios"]
            if (entry["of"], entry["to"]) == PAIRS[0]
        }

    def each(self, load: Load, show: Callable[[Json], str | None]) -> str:
        """One value per WebSocket server, or the raw echo's where it is alone."""
        names = [name for name in self.servers if name != "raw-tcp"] or self.servers
        found = [self.cells[load, name] for name in names if (load, name) in self.cells]
        shown = [show(cell) or "–" for cell in found]
        return " → ".join(shown)

    def row(self, load: Load) -> list[str]:
        cpu = [
            _number(median(self.cells[load, name]["cpu_us"])) if (load, name) in self.cells else "–"
            for name in self.servers
        ]
        return [
            _load_name(load),
            load[0],
            *cpu,
            _ratio(self.ratios.get(load)),
            self.each(load, lambda cell: _rate(median(cell["msgs_per_s"]))),
            self.each(load, lambda cell: _calls(cell)),
        ]


def _calls(cell: Json) -> str | None:
    value = cell["syscalls_per_msg"]
    return None if value is None else f"{value:.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text.ljust(width) if place < 2 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def table(document: Json) -> str:
    """The table, the realistic rows first, and under it how the figures came about."""
    rows = _Rows(document)
    servers = [f"{name} µs" for name in rows.servers]
    head = ["load", "loop", *servers, "ratio [95 %]", "messages/s", "system calls"]
    lines = [*_aligned([head, *[rows.row(load) for load in rows.loads]]), "", HOW]
    return "\n".join([*lines, _where(document), *_warnings(document)])


def _where(document: Json) -> str:
    machine, settings = document["machine"], document["settings"]
    versions = [
        f"{server['id'].partition('+')[0]} {server['version']}"
        for server in document["servers"]
        if "version" in server
    ]
    parts = [
        f"{document['started'][:10]}, wsfast {document['wsfast']} ({document['backend']})",
        f"Python {machine['python']}",
        *unique(versions),
        f"{machine['cpu']}, {machine['cores']} cores",
        f"{settings['connections']} connections, {settings['rounds']} rounds",
        f"{document['seconds']:.0f} s, generator {document['generator']}",
    ]
    return printable(" · ".join(parts))


def _warnings(document: Json) -> list[str]:
    settings, lines = document["settings"], []
    if settings["slow_turns"]:
        lines.append(
            f"The machine changed speed: {settings['slow_turns']} of {settings['turns']} turns ran"
            f" slow and were dropped or repeated, {settings['slow_turns_used']} had to be used."
        )
    if not settings["pinned"]:
        lines.append("Not pinned to one core: figures at one in flight include waking a core.")
    if document["generator"] != "c":
        lines.append("The C load generator is not built: messages/s are those of a slow client.")
    return lines


def plot(document: Json, path: str) -> None:
    """Bars of server CPU per message, one panel per loop. Needs matplotlib."""
    import matplotlib  # type: ignore[import-not-found, unused-ignore]

    matplotlib.use("Agg")  # no display is needed
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

    rows = _Rows(document)
    loops = unique([load[0] for load in rows.loads])
    figure, panels = pyplot.subplots(len(loops), 1, figsize=(11, 4.2 * len(loops)), squeeze=False)
    for panel, loop in zip(panels[:, 0], loops, strict=True):
        _panel(panel, rows, [load for load in rows.loads if load[0] == loop])
        panel.set_title(loop)
    figure.suptitle(f"Server CPU per message, {_where(document)}", fontsize=7)
    figure.tight_layout()
    figure.savefig(path, format="png", dpi=120)
    pyplot.close(figure)


def _panel(panel: Any, rows: _Rows, loads: list[Load]) -> None:
    width = 0.8 / len(rows.servers)
    for place, name in enumerate(rows.servers):
        xs = [x for x, load in enumerate(loads) if (load, name) in rows.cells]
        heights = [median(rows.cells[loads[x], name]["cpu_us"]) for x in xs]
        bars = panel.bar([x + place * width for x in xs], heights, width, label=name)
        panel.bar_label(bars, [_number(height) for height in heights], fontsize=7)
    panel.set_xticks([x + 0.4 - width / 2 for x in range(len(loads))])
    panel.set_xticklabels([_load_name(load) for load in loads], fontsize=7)
    panel.set_yscale("log")  # 0.5 to 100 µs in one chart
    panel.set_ylabel("µs per message")
    panel.legend(fontsize=7, ncols=len(rows.servers), loc="lower right", bbox_to_anchor=(1, 1))

"""The outcome for people: tables and a chart, all drawn from the JSON document alone.

What both kinds share; ``report_echo`` and ``report_hosts`` know what their tables look like. Each
has ``HOW``, ``blocks(document)``: tables as rows of cells, the first row the head, and
``draw(pyplot, document)``, which returns the figure.
"""

from __future__ import annotations

from importlib import import_module
from statistics import median
from textwrap import wrap
from typing import Any

from .._text import printable
from .contenders import CONTENDERS
from .result import unique

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = dict[str, Any]
    Block = list[list[str]]


# ---- cells -----------------------------------------------------------------------------------


def size_of(size: int) -> str:
    return f"{size // 1024} KiB" if size >= 1024 else f"{size} B"


def number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def cpu(cell: Json) -> float:
    """µs per message."""
    middle: float = median(cell["cpu_us"])
    return middle


def ratio(entry: Json | None) -> str:
    if entry is None:
        return "–"
    text = f"{entry['median']:.2f} [{entry['low']:.2f}–{entry['high']:.2f}]"
    if entry["high"] < 1:
        return text + " slower"
    return text + (" same" if entry["low"] <= 1 else "")


def calls(cell: Json) -> str:
    value = cell["syscalls_per_msg"]
    return "–" if value is None else f"{value:.2f}"


# ---- tables ----------------------------------------------------------------------------------


def _of_kind(document: Json) -> Any:
    return import_module(f".report_{document['kind']}", __package__)


def _aligned(block: Block) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*block, strict=True)]
    for row in block:
        cells = [
            text.ljust(width) if place < 2 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def table(document: Json) -> str:
    """The tables, and under them how the figures came about."""
    kind = _of_kind(document)
    lines = [line for block in kind.blocks(document) for line in [*_aligned(block), ""]]
    return "\n".join([*lines, kind.HOW, _where(document), *_warnings(document)])


def markdown(document: Json) -> str:
    """The tables for a page that explains them itself, and where they were measured."""
    lines = []
    for head, *rows in _of_kind(document).blocks(document):
        rule = ["---", "---", *["--:"] * (len(head) - 2)]
        lines += ["| " + " | ".join(row) + " |" for row in (head, rule, *rows)] + [""]
    return "\n".join([*lines, " ".join([_where(document) + ".", *_warnings(document)])])


def _where(document: Json) -> str:
    machine, settings = document["machine"], document["settings"]
    versions = [
        f"{CONTENDERS[server['id']].needs[0].replace('_', '-')} {server['version']}"
        for server in document["servers"]
        if "version" in server
    ]
    codecs = [server["codec"] for server in document["servers"] if "codec" in server]
    parts = [
        f"{document['started'][:10]}, wsfast {document['wsfast']} ({document['backend']})",
        f"Python {machine['python']}",
        *unique([*versions, *codecs]),
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
    if all(cell["syscalls_per_msg"] is None for cell in document["cells"]):
        lines.append("System calls were not counted: strace is missing, or may not attach here.")
    if document["generator"] != "c":
        lines.append("The C load generator is not built: messages/s are those of a slow client.")
    return lines


# ---- charts ----------------------------------------------------------------------------------

# Okabe and Ito's, which everybody can tell apart: the floor or a tie, a host, wsfast, a loss.
GREY, ORANGE, BLUE, RED = "#999999", "#E69F00", "#0072B2", "#D55E00"


def plot(document: Json, path: str) -> None:
    """Write the chart of this kind as PNG. Needs matplotlib."""
    import matplotlib  # type: ignore[import-not-found, unused-ignore]

    matplotlib.use("Agg")  # no display is needed
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

    figure = _of_kind(document).draw(pyplot, document)
    where = wrap(_where(document), 15 * int(figure.get_figwidth()))  # so many fit into an inch
    figure.text(0.01, 0.01, "\n".join(where), fontsize=7, va="bottom")
    figure.tight_layout(rect=(0, 0.15 * len(where) / figure.get_figheight(), 1, 1))
    figure.savefig(path, format="png", dpi=120)
    pyplot.close(figure)

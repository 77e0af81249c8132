"""Results as Markdown tables, which read as well on a terminal."""

from __future__ import annotations

from typing import Any

from cases import TITLES
from rounds import kept, summary


def number(ns: float) -> str:
    return f"{ns:.1f}" if ns < 100 else f"{ns:,.0f}"


def times(ratio: tuple[float, float, float] | None) -> str:
    return "" if ratio is None else "{:.2f} [{:.2f}..{:.2f}]".format(*ratio)


def reached(ratio: tuple[float, float, float] | None, bar: float) -> bool | None:
    """Whether the median is up to the bar; None, which is no failure, where it was not measured."""
    return None if ratio is None else ratio[0] >= bar


def verdict(passed: bool | None, words: str) -> str:
    """A line of the acceptance."""
    return f"* {'----' if passed is None else 'PASS' if passed else 'FAIL'}  {words}"


def grid(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        middle = [cell.rjust(w) for cell, w in zip(cells[1:-1], widths[1:-1])]
        ends = cells[0].ljust(widths[0]), cells[-1].ljust(widths[-1])
        return "| " + " | ".join([ends[0], *middle, ends[1]]) + " |"

    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:-1]), "-" * widths[-1]]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def heading(machine: dict[str, object], version: str, backend: str) -> str:
    where = ", ".join(f"{key} {value}" for key, value in machine.items())
    return f"# wsfast {version} ({backend}) and its rivals\n\n{where}"


def table(cell: Any) -> str:
    """One cell: median [min..max], and how many times cheaper ours is."""
    case, rows = cell.case, []
    for contender, found in zip(cell.contenders, cell.times):
        name, delivers = contender.offer.name, contender.offer.delivers
        if not kept(found):
            rows.append([name, "no quick batch", "", "", "", delivers])
            continue
        mid, low, high = summary(found)
        rows.append([name, number(mid), f"{number(low)}..{number(high)}", times(cell.cheaper(name)),
                     f"{len(kept(found))}/{len(found)}", delivers])  # fmt: skip
    size = f" · {case.size:,} B" if case.size else ""
    script = "" if case.script == "ascii" else " of CJK"
    title = f"\n## {TITLES[case.op]}{size}{script} (`{case.name}`)\n\n"
    head = ["", "median", "min..max", "ours is x cheaper", "batches", "delivers"]
    return title + grid(head, rows)


def ending(results: Any, versions: dict[str, str | None]) -> str:
    """Rivals, what is missing, losses, and the bars."""
    lines = ["\n## Rivals\n"]
    lines += [f"* {name} {version}" for name, version in sorted(versions.items())]
    lines += [f"* MISSING: {name} ({why})" for name, why in sorted(results.missing.items())]
    lines.append("\n## Losses\n")
    lost = [f"* {cell.case.name}: {name} is cheaper; ours is x {times(ratio)}"
            for cell, name, ratio in results.losses()]  # fmt: skip
    lines += lost or ["* none: nothing but the floors is surely cheaper in any cell measured"]
    lines.append("\n## Acceptance\n")
    for bar, got in results.verdicts():
        measured = "not measured" if got is None else f"x {times(got)}"
        words = f"{bar.words}: {measured}, wanted x {bar.at_least:.2f}"
        lines.append(verdict(reached(got, bar.at_least), words))
    return "\n".join(lines)

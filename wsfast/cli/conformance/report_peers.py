"""The outcome of ``--peers``: counts for a terminal, case by peer for a page."""

from __future__ import annotations

from typing import Any

from .case import FAIL, OUTCOMES, PASS, SKIP, TOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    Json = dict[str, Any]

SIGNS = {PASS: "✔", FAIL: "✘", TOLD: "·", SKIP: "–"}


def _must(peer: Json) -> int:
    return sum([case["outcome"] == FAIL and case["level"] == "MUST" for case in peer["cases"]])


def _rows(found: Json) -> list[list[str]]:
    head = ["peer", "versions", "cases", *OUTCOMES, "MUST failed"]
    rows = [head]
    for peer in found["peers"]:
        versions = ", ".join([f"{name} {version}" for name, version in peer["versions"].items()])
        tally = [str(peer["counts"][name]) for name in ("cases", *OUTCOMES)]
        rows.append([peer["id"], versions or f"wsfast {found['wsfast']}", *tally, str(_must(peer))])
    return rows


def table(found: Json) -> str:
    """Counts per peer."""
    rows = _rows(found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([cell.ljust(w) for cell, w in zip(row, widths)]).rstrip() for row in rows]
    return "\n".join([*lines, *[f"{name}: {why}" for name, why in found["missing"].items()]])


def markdown(found: Json) -> str:
    """Counts per peer, then each case that not all passed, by peer."""
    head, *rows = _rows(found)
    lines = [_row(head), _row(["---", "---", *["--:"] * (len(head) - 2)]), *map(_row, rows), ""]
    made = f"{found['finished'][:10]}, wsfast {found['wsfast']} ({found['backend']})"
    legend = ", ".join([f"{sign} {outcome}" for outcome, sign in SIGNS.items()])
    lines += [f"{made}. {legend}.", ""]
    for name, why in found["missing"].items():
        lines += [f"Left out: {name}, {why}.", ""]
    peers = found["peers"]
    names = [peer["id"] for peer in peers]
    lines += [_row(["case", "section", "level", *names]), _row(["---"] * 3 + [":-:"] * len(names))]
    agreed = 0
    for number, case in enumerate(peers[0]["cases"] if peers else []):
        outcomes = [peer["cases"][number]["outcome"] for peer in peers]
        if set(outcomes) == {PASS}:
            agreed += 1
            continue
        signs = [SIGNS[outcome] for outcome in outcomes]
        lines.append(_row([case["name"], case["section"], case["level"], *signs]))
    return "\n".join([*lines, "", f"{agreed} more cases were passed by every one of them."])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"

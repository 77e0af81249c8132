"""Reading a command line, and saying what was probably meant where it is mistyped."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def meant(word: str, known: Iterable[str]) -> str:
    """The end of a message about ``word``: which of the ``known`` is near it; empty for none.

    One letter in four may be wrong, and one in a short word: a share of equal letters, as difflib
    counts them, makes ``start`` mean ``status`` before it makes ``rnu`` mean ``run``.
    """
    word = word.lower()
    slips, near = min((distance(word, one), one) for one in known)
    return f"; did you mean {near!r}?" if slips <= max(1, len(word) // 4) and word[2:] else ""


def distance(word: str, other: str) -> int:
    """How many letters are missing, too many, wrong, or swapped with the next."""
    before, row = [0], list(range(len(other) + 1))
    for i in range(len(word)):
        above, row = row, [i + 1]
        for j in range(len(other)):
            least = min(above[j + 1] + 1, row[j] + 1, above[j] + (word[i] != other[j]))
            if i and j and word[i - 1 : i + 1] == other[j] + other[j - 1]:
                least = min(least, before[j - 1] + 1)
            row.append(least)
        before = above
    return row[-1]


class Parser(argparse.ArgumentParser):
    """Every command's; argparse itself suggests from Python 3.14 on, and never options."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = ", ".join(action.choices)
            text = f"invalid choice: {value!r} is none of {known}{meant(value, action.choices)}"
            raise argparse.ArgumentError(action, text)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Knows all: a command's own parser says what is wrong, and shows the command's usage."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            near = meant(rest[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized argument {rest[0]!r}{near}")
        return found, rest

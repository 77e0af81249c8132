"""Reading a command line, and saying what was probably meant where it is mistyped."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def meant(word: str, known: Iterable[str]) -> str:
    """The end of a message about ``word``: which of the ``known`` is near it; empty for none."""
    from difflib import get_close_matches

    # 0.73 is what "start" has in common with "status", 0.75 "hots" with "host".
    near = get_close_matches(word.lower(), known, 1, cutoff=0.75)
    return f"; did you mean {near[0]!r}?" if near else ""


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

"""Printing without trusting what is printed."""

from __future__ import annotations


def printable(text: object) -> str:
    """``text`` with every control, formatting and line-breaking character written as an escape.

    What a server, a file or the environment says may hold terminal sequences; a newline in it
    could fake a line of ours.
    """
    return "".join([c if c.isprintable() else ascii(c)[1:-1] for c in str(text)])

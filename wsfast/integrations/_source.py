"""The digest of a function's source: the same on every Python, another when the code changes."""

from __future__ import annotations

import hashlib
import linecache
import re
import tokenize
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DROPPED = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
# Python 3.12 cuts f-strings in pieces, 3.14 template strings too; before they are one STRING.
_OPENS = {getattr(tokenize, f"{kind}STRING_START", -1) for kind in "FT"}
_CLOSES = {getattr(tokenize, f"{kind}STRING_END", -1) for kind in "FT"}
_DEFINES = ("def", "class")


def digest(thing: FunctionType | type) -> str | None:
    """32 hexadecimal digits, or None where there is no source (frozen, or only bytecode).

    Comments, docstrings, blank lines and spacing do not count; decorators do.
    """
    lines = _lines(thing)
    if not lines:
        return None
    try:
        text = " ".join(_significant(lines))
    except (SyntaxError, tokenize.TokenError):
        return "unreadable"  # not what runs: the file was changed beneath a live process
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _lines(thing: FunctionType | type) -> list[str]:
    """The source from the first line of ``thing`` to the end of its file."""
    import sys

    if isinstance(thing, FunctionType):
        code = thing.__code__
        linecache.checkcache(code.co_filename)
        lines = linecache.getlines(code.co_filename, thing.__globals__)
        return lines[code.co_firstlineno - 1 :]
    module = sys.modules.get(thing.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return []
    linecache.checkcache(file)
    lines = linecache.getlines(file, vars(module))
    begin = re.compile(rf"\s*class\s+{thing.__name__}\b")
    for number, line in enumerate(lines):
        if begin.match(line):
            while number and lines[number - 1].lstrip().startswith("@"):
                number -= 1
            return lines[number:]
    return []


def _significant(lines: list[str]) -> list[str]:
    """The tokens of the first definition in ``lines`` that mean something."""
    found: list[str] = []
    statement: list[tuple[int, str]] = []
    depth, base, defined, headed = 0, 0, False, False
    for kind, text in _tokens(lines):
        if kind == tokenize.INDENT:
            if not found and not statement:
                base = 1  # a method: its first line is indented
            else:
                found.append("{")
            depth += 1
        elif kind == tokenize.DEDENT:
            depth -= 1
            found.append("}")
            if headed and depth <= base:
                break
        elif headed and depth == base:
            break  # def f(): on one line
        elif kind != tokenize.NEWLINE:
            statement.append((kind, text))
            defined = defined or (depth == base and text in _DEFINES)
        else:
            if any(kind != tokenize.STRING for kind, _ in statement):  # else a docstring
                found += [text for _, text in statement] + [";"]
            statement = []
            headed = defined
    return found


def _tokens(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Kind and text of each token; an f-string is one, of kind OP since it is no docstring."""
    inside = 0
    start = (0, 0)
    for token in tokenize.generate_tokens(iter([*lines, ""]).__next__):
        if token.type in _OPENS:
            if not inside:
                start = token.start
            inside += 1
        elif token.type in _CLOSES:
            inside -= 1
            if not inside:
                yield tokenize.OP, _between(lines, start, token.end)
        elif not inside and token.type not in _DROPPED:
            formatted = token.type == tokenize.STRING and _is_formatted(token.string)
            yield tokenize.OP if formatted else token.type, token.string


def _is_formatted(literal: str) -> bool:
    """Whether it is an f-string, by the letters before its quotes."""
    return "f" in literal[: literal.find(literal[-1])].lower()


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from one position to another, rows counted from 1."""
    piece = lines[start[0] - 1 : end[0]]
    piece[-1] = piece[-1][: end[1]]
    piece[0] = piece[0][start[1] :]
    return "".join(piece)

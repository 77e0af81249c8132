"""What a case is, and what comes of it."""

from __future__ import annotations

import time
from typing import NamedTuple

from .wire import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .talk import Talk

MUST = "MUST"  # the RFC says so, or leaves no other reading
SHOULD = "SHOULD"  # the RFC recommends it, or good sense does where the RFC is silent
INFO = "INFO"  # there is no right or wrong; what was seen is told
PASS, FAIL, TOLD, SKIP = "pass", "fail", "info", "skip"
OUTCOMES = (PASS, FAIL, TOLD, SKIP)
SERVER, CLIENT = "server", "client"
BOTH = (SERVER, CLIENT)


class Failed(Exception):
    """What was seen is not what was expected."""


class Silence(Failed):
    """Nothing came in the time there was."""


class Skipped(Exception):
    """What the case is about was not agreed on; the text says what."""


class Script(NamedTuple):
    """What happens on the connection. ``play`` returns what was seen, where all was well."""

    expected: str
    play: Callable[[Talk], str]


class Wish(NamedTuple):
    """What a case wants of permessage-deflate; ``theirs`` is the side that is tested."""

    ours_bits: int | None = None
    theirs_bits: int | None = None
    ours_fresh: bool = False  # no context takeover
    theirs_fresh: bool = False


class Case(NamedTuple):
    """One question to a server or a client. The names are stable."""

    name: str
    section: str
    level: str
    says: str
    script: Script
    sides: tuple[str, ...] = BOTH  # which may be asked
    wish: Wish | None = None  # None: no extension
    opens: bool = False  # the script does the opening handshake itself
    alone: bool = False  # much work for who is tested: nothing else goes on meanwhile
    limit: bool = False  # depends on the limit of a message, which must be known

    @property
    def title(self) -> str:
        return f"{self.name} · {self.section}"


class Result(NamedTuple):
    case: Case
    outcome: str
    seen: str
    seconds: float = 0.0


def judge(case: Case, play: Callable[[], str], limit_known: bool = True) -> Result:
    """The result of playing the case."""
    started = time.monotonic()
    try:
        outcome, seen = PASS, play()
    except Skipped as exc:
        outcome, seen = SKIP, str(exc)
    except (Failed, Fault) as exc:
        outcome, seen = FAIL, str(exc)
    except OSError as exc:
        outcome, seen = FAIL, f"the connection broke: {exc}"
    told = case.level == INFO or (case.limit and not limit_known)
    if told and outcome != SKIP:
        outcome = TOLD
    return Result(case, outcome, seen, time.monotonic() - started)

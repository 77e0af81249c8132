"""Plays the cases against a server: we are the client."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from .case import MUST, PASS, SERVER, Case, Failed, Result, judge
from .link import SocketLink, connect
from .scripts import answers, text
from .talk import Talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .opening import Url

AT_ONCE = 8  # cases
DEFAULT_LIMIT = 1 << 20  # bytes; what most libraries have
ECHO = Case("echo", "RFC 6455 §5.6", MUST, "a text comes back", answers(text("echo")))


class Unreachable(Exception):
    """There is no WebSocket server at the URL."""


class Prober:
    """How to reach the server, and what is known of it."""

    def __init__(
        self, url: Url, *, timeout: float, limit: int | None = None, insecure: bool = False
    ) -> None:
        self.url = url
        self.timeout = timeout
        self.limit = limit
        self.insecure = insecure

    def check(self) -> None:
        """``Unreachable`` where not even the opening handshake works."""
        try:
            with connect(self.url, self.timeout, self.insecure) as link:
                talk = self._talk(link)
                talk.open()
                talk.goodbye()
        except (Failed, OSError) as exc:
            raise Unreachable(str(exc) or type(exc).__name__) from None

    def echoes(self) -> bool:
        return self.play(ECHO).outcome == PASS

    def play(self, case: Case) -> Result:
        """One case on a connection of its own."""
        return judge(case, lambda: self._on_connection(case), self.limit is not None)

    def run(self, cases: Sequence[Case], update: Callable[[float], None]) -> list[Result]:
        """All of them, most at the same time; in the order of ``cases``."""
        done: dict[str, Result] = {}
        lock = threading.Lock()

        def played(case: Case) -> None:
            result = self.play(case)
            with lock:
                done[case.name] = result
                update(len(done) / len(cases))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(played, [case for case in cases if not case.alone]))
        for case in cases:
            if case.alone:
                played(case)
        return [done[case.name] for case in cases]

    def _on_connection(self, case: Case) -> str:
        with connect(self.url, self.timeout, self.insecure) as link:
            talk = self._talk(link)
            if not case.opens:
                talk.open(case.wish)
            seen = case.script.play(talk)
            talk.goodbye()
            return seen

    def _talk(self, link: SocketLink) -> Talk:
        return Talk(
            link,
            SERVER,
            url=self.url,
            timeout=self.timeout,
            limit=self.limit or DEFAULT_LIMIT,
        )

"""Plays the cases against a client: we are the server, and it connects once per case.

The paths are those of Autobahn's fuzzing server, so that a client written for that one works:
``/getCaseCount`` says the number of cases as a text, ``/runCase?case=N`` plays one, counted from 1,
``/updateReports`` ends the run. Any other path plays the next case that was not played yet, and
without CMD the run ends when all were.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

from .case import CLIENT, FAIL, Failed, Result, judge
from .link import SocketLink
from .prober import DEFAULT_LIMIT
from .scripts import text
from .talk import Talk
from .wire import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .case import Case

AT_ONCE = 2  # clients that are started; each is a process
STOP_TIMEOUT = 5.0  # seconds


class NoClient(Exception):
    """The command did not connect; what it wrote last."""


class Receiver:
    """Listens on 127.0.0.1 and plays ``cases`` with who connects."""

    def __init__(self, cases: Sequence[Case], *, port: int = 0, timeout: float) -> None:
        self.results: dict[str, Result] = {}
        self.finished = threading.Event()
        self._came = threading.Event()  # somebody connected
        self._cases = list(cases)
        self._left = list(cases)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._update: Callable[[float], None] = lambda fraction: None
        self._serving: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.close()

    def wait(self, update: Callable[[float], None]) -> list[Result]:
        """Until somebody asked for the end, or played everything."""
        self._update = update
        while not self.finished.wait(0.2):
            pass  # in steps, so that Ctrl-C is heard
        return self._collected("no connection for it")

    def run(self, command: Sequence[str], update: Callable[[float], None]) -> list[Result]:
        """Run ``command`` once for each case; ``NoClient``: the first did not even connect."""
        self._update = update
        said: dict[str, str] = {}

        def one(number: int) -> None:
            url = f"{self.url}/runCase?case={number}"
            said[self._cases[number - 1].name] = self._client(command, url)

        one(1)
        if not self._came.wait(self._timeout):
            raise NoClient(said[self._cases[0].name])
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, range(2, len(self._cases) + 1)))
        self._settle()
        return self._collected("the client did not connect", said)

    def _client(self, command: Sequence[str], url: str) -> str:
        """Run it to its end; what it wrote last, where it failed."""
        words = [word.replace("{url}", url) for word in command]
        patience = 4 * self._timeout + STOP_TIMEOUT
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=patience,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it did not end within {patience:g} s"
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        return lines[-1][:200] if lines else f"exit status {done.returncode}"

    def _settle(self) -> None:
        """Wait for the verdicts: a client may end before its case does, or is accepted."""
        with socket.create_connection(("127.0.0.1", self.port)) as last:  # behind all of them
            last.shutdown(socket.SHUT_WR)
            last.recv(1)
        for thread in self._serving:
            thread.join()

    def _collected(self, why: str, said: dict[str, str] | None = None) -> list[Result]:
        said = said or {}
        return [
            self.results.get(case.name)
            or Result(case, FAIL, f"{why} ({said[case.name]})" if case.name in said else why)
            for case in self._cases
        ]

    # Connections

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._came.set()
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            link = SocketLink(sock, self._timeout)
            talk = Talk(link, CLIENT, timeout=self._timeout, limit=DEFAULT_LIMIT)
            with contextlib.suppress(Failed, Fault, OSError):
                talk.head = talk.read_head()
            if talk.head is None:
                return
            target = urlsplit([*talk.head.start.split(" "), "/"][1])
            if target.path == "/getCaseCount":
                self._count(talk)
            elif target.path == "/updateReports":
                self._count(talk)
                self.finished.set()
            elif (case := self._chosen(parse_qs(target.query).get("case"))) is not None:
                self._play(case, talk)

    def _count(self, talk: Talk) -> None:
        with contextlib.suppress(Failed, Fault, OSError):
            talk.open()
            talk.send(text(str(len(self._cases))))
            talk.goodbye()

    def _chosen(self, number: list[str] | None) -> Case | None:
        with self._lock:
            if number is None:
                return self._left.pop(0) if self._left else None
            wanted = int(number[0]) if number[0].isdigit() else 0
            return self._cases[wanted - 1] if 0 < wanted <= len(self._cases) else None

    def _play(self, case: Case, talk: Talk) -> None:
        def play() -> str:
            if not case.opens:
                talk.open(case.wish)
            seen = case.script.play(talk)
            talk.goodbye()
            return seen

        result = judge(case, play)
        with self._lock:
            self.results[case.name] = result
            self._update(len(self.results) / len(self._cases))
            if len(self.results) == len(self._cases):
                self.finished.set()

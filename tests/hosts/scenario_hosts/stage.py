"""Where a host performs: one process, one mode, all scenarios.

    python stage.py HOST plain|active|cork

Prints a line of JSON for each thing that the test must know: ``{"port": …}`` once a server
listens; ``{"opened": NAME}`` when an application begins; ``{"scenario": NAME, "seen": […]}`` when
an application has ended; ``{"report": …}`` at the end, which is the end of standard input. From
there a client reads ``{"scenario": NAME, "port": …}``.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from registry import HOSTS  # noqa: E402
from scenario_wire import shown  # noqa: E402
from scenarios import SCENARIOS, Action  # noqa: E402

Play = Generator[Any, Any, None]
Note = Callable[[str], None]

# ---- an application -----------------------------------------------------------------------------


class Failure(Exception):
    """What an application raises, for its host to see to."""


class Ended(Exception):
    """A line's ``receive`` or ``next`` says that no more comes, where the host has no exception."""


def raised(exc: BaseException | None) -> str:
    """Type, text and close code of an exception, and of what it was raised from."""
    if exc is None:
        return ""
    code = "".join(
        f" {name}={value!r}"
        for name in ("code", "reason", "start", "end")
        if isinstance(value := getattr(exc, name, None), (int, str))
    )
    if isinstance(exc, BaseExceptionGroup):
        code += " of " + "; ".join(raised(one) for one in exc.exceptions)
    cause = f" from {raised(exc.__cause__)}" if exc.__cause__ is not None else ""
    return f"{type(exc).__name__}: {exc}{code}{cause}"


def receive_all(line: Any, note: Note) -> Play:
    while True:
        note(f"received {shown((yield line.receive()))}")


def echo(line: Any, note: Note) -> Play:
    while True:
        message = yield line.receive()
        note(f"received {shown(message)}")
        yield line.send(line.content(message))


def iterate(line: Any, note: Note) -> Play:
    iterator = line.iterate()
    while True:
        note(f"next {shown((yield line.next(iterator)))}")


def stream(line: Any, note: Note, *options: Any) -> Play:
    iterator = line.stream(*options)
    while True:
        note(f"fragment {shown((yield line.next(iterator)))}")


LOOPS = {
    "receive all": receive_all,
    "echo": echo,
    "iterate": iterate,
    "stream": stream,
    "stream as": stream,
}
NEEDS = {"receive all": "receive", "echo": "receive", "stream as": "stream"}
TOLD = {"receive", "receive as", "receive cancelled", "together"}  # whose result is worth a note


def perform(script: tuple[Action, ...], line: Any, note: Note) -> Play:
    """Do what the script says: yields what may have to be awaited, notes what came of it."""
    for verb, *args in script:
        if verb == "fail":
            raise Failure("on purpose")
        need = NEEDS.get(verb, verb.replace(" ", "_"))
        method = getattr(line, need, None)
        if method is None:
            note(f"{verb}: this host cannot")
            continue
        try:
            if verb in LOOPS:
                yield from LOOPS[verb](line, note, *args)
            else:
                result = yield method(*args)
                if verb in TOLD:
                    note(f"{verb}: {shown(result)}")
        except Exception as exc:
            note(f"{verb}: {raised(exc)}")


# ---- the process --------------------------------------------------------------------------------


class Stage:
    """What a host's adapter talks to."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # whatever else prints is not ours
        self.lock = threading.Lock()
        self.logged: Counter[str] = Counter()
        self.ended = ""  # the scenario told of last

    def tell(self, **facts: Any) -> None:
        with self.lock:
            print(json.dumps(facts), file=self.out, flush=True)

    def listening(self, port: int) -> None:
        """A server is there: tell, and end with standard input."""
        self.tell(port=port)
        threading.Thread(target=self._until_told, daemon=True).start()

    def _until_told(self) -> None:
        sys.stdin.read()
        self.finish()

    def command(self) -> tuple[str, int]:
        """The next scenario for a client and its port; ends the process where there is none."""
        text = sys.stdin.readline()
        if not text:
            self.finish()
        told = json.loads(text)
        return told["scenario"], told["port"]

    async def visits(self, in_thread: Callable[..., Any], visit: Callable[..., Any]) -> None:
        """``await visit(scenario, port)`` for all that the test asks for."""
        while True:
            name, port = await in_thread(self.command)
            try:
                await visit(name, port)
            except Exception as exc:
                self._failed(name, exc)

    def visits_blocking(self, visit: Callable[..., Any]) -> None:
        while True:
            name, port = self.command()
            threading.Thread(target=self._visit, args=(visit, name, port), daemon=True).start()

    def _visit(self, visit: Callable[[str, int], None], name: str, port: int) -> None:
        try:
            visit(name, port)
        except Exception as exc:
            self._failed(name, exc)

    def _failed(self, name: str, exc: Exception) -> None:
        """A client could not connect, or could not leave in peace."""
        if self.ended == name:
            self.logged[f"{name}: {raised(exc)}"] += 1
        else:
            self.tell(scenario=name, seen=[f"not connected: {raised(exc)}"])

    async def play(self, path: str, line: Any) -> None:
        """The application for a connection of an asynchronous host."""
        seen: list[str] = []
        steps = self._start(path, line, seen)
        resume: Callable[[Any], Any] = steps.send
        value: Any = None
        try:
            while True:
                awaitable: Awaitable[Any] = resume(value)
                try:
                    resume, value = steps.send, await awaitable
                except Exception as exc:
                    resume, value = steps.throw, exc
        except StopIteration:
            pass
        finally:
            self._end(path, line, seen)

    def play_blocking(self, path: str, line: Any) -> None:
        """The same where nothing is awaited."""
        seen: list[str] = []
        steps = self._start(path, line, seen)
        value = None
        try:
            while True:
                value = steps.send(value)
        except StopIteration:
            pass
        finally:
            self._end(path, line, seen)

    def _start(self, path: str, line: Any, seen: list[str]) -> Play:
        name = path.strip("/")
        self.tell(opened=name)
        return perform(tuple(SCENARIOS[name].app), line, seen.append)

    def _end(self, path: str, line: Any, seen: list[str]) -> None:
        self.ended = path.strip("/")
        seen.append(f"at the end {shown(line.state())}")
        self.tell(scenario=self.ended, seen=seen)

    def finish(self) -> None:
        report: dict[str, Any] = {"imported": "wsfast" in sys.modules, "logged": self.logged}
        if self.mode != "plain":
            import wsfast

            report["backend"] = wsfast.backend()
            report["hits"] = {one.name: one.hits for one in wsfast.status()}
            report["states"] = {one.name: one.state for one in wsfast.status()}
        self.tell(report=report)
        os._exit(0)


class Log(logging.Handler):
    """Counts what a host complains about."""

    def __init__(self, counter: Counter[str]) -> None:
        super().__init__(logging.WARNING)
        self.counter = counter

    def emit(self, record: logging.LogRecord) -> None:
        exc = record.exc_info[1] if record.exc_info else None
        text = re.sub("0x[0-9a-f]+", "", str(record.msg)).partition("\n")[0]
        self.counter[f"{record.name} {record.levelname} {text} {raised(exc)}"] += 1


def main(name: str, mode: str) -> None:
    stage = Stage(mode)
    if mode != "plain":
        import wsfast

        wsfast.install(on_refusal="raise", cork=mode == "cork")
    logging.getLogger().addHandler(Log(stage.logged))
    host = HOSTS[name]
    getattr(importlib.import_module(host.module), host.function)(stage, *host.options)


if __name__ == "__main__":
    main(*sys.argv[1:])

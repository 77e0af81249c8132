"""How far it is: rich's bar where rich is installed, else a line now and then. On stderr."""

from __future__ import annotations

import contextlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEP = 0.1  # of the whole, between two plain lines


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[[float], None]]:
    """Yields ``update(fraction)``."""
    try:
        import rich.progress
    except ModuleNotFoundError:
        rich_bar = False
    else:
        rich_bar = sys.stderr.isatty()
    if not rich_bar:
        yield _Lines(title).update
        return
    from rich.console import Console

    with rich.progress.Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


class _Lines:
    def __init__(self, title: str) -> None:
        self.title = title
        self.next = 0.0

    def update(self, fraction: float) -> None:
        if fraction >= self.next:
            print(f"{self.title}: {fraction:4.0%}", file=sys.stderr, flush=True)
            self.next = fraction + STEP

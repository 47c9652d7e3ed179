"""Progress of what takes longer than a second, for whoever sits at the terminal."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SILENT_SECONDS: Final = 1.0
"""Progress is shown for what takes longer."""

Show = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done, and of how much."""


@contextmanager
def progress_bar() -> Generator[Show]:
    """Give what shows how far it is, on standard error, where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    task = bar.add_task("", total=None)
    started = time.monotonic()

    def show(doing: str, done: int, of: int) -> None:
        if time.monotonic() - started > SILENT_SECONDS:
            bar.start()
            bar.update(task, description=doing, completed=done, total=of)

    try:
        yield show
    finally:
        bar.stop()

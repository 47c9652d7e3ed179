"""The event loop of our processes: uvloop's, where it exists; it halves what waking up costs."""

import sys
from collections.abc import Coroutine
from typing import TypeVar

if sys.platform == "win32":
    from asyncio import run as run_loop
else:
    from uvloop import run as run_loop

Result = TypeVar("Result")

SWITCH_SECONDS = 0.0005
"""How long a thread that has something for a busy loop waits at most until it is let in; the interpreter's default is
ten times as long, and a request or a synced file would lie there for all of it."""


def run(main: Coroutine[None, None, Result]) -> Result:
    """Run a coroutine on a new loop until it returns, and return its result."""
    sys.setswitchinterval(SWITCH_SECONDS)
    return run_loop(main)

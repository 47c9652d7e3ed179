"""What our processes set in the interpreter: the event loop, uvloop's where it exists, threads and the collector.

That loop halves what waking up costs.
"""

import gc
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

_YOUNG_OBJECTS = 50_000
"""New containers before the collector looks for cycles among them; the interpreter's default is 700."""


def run(main: Coroutine[None, None, Result]) -> Result:
    """Run a coroutine on a new loop until it returns, and return its result."""
    sys.setswitchinterval(SWITCH_SECONDS)
    return run_loop(main)


def calm_collector() -> None:
    """Make the collector of reference cycles look rarely, and never at what is there already.

    A batch of entries is tens of thousands of objects that are all freed by counting; looking through them again and
    again took a fifth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)

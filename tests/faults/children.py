"""Processes that tests kill: forked from one that has imported what they run, which takes milliseconds each."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Coroutine
from multiprocessing.process import BaseProcess

import structlog

from tests.faults.hurry import hurry

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.faults.lives", "tests.registry.killing"])

Work = Callable[[], Coroutine[None, None, object]]


class Child:
    """A process that does some work; it can be killed at any moment."""

    def __init__(self, work: Work) -> None:
        """Take work that can be pickled."""
        self._process: BaseProcess = context.Process(target=_run, args=(work,), daemon=True)
        self._process.start()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid or 0, signal.SIGKILL)

    async def ended(self) -> bool:
        """Wait for its end; return whether it was killed. Raises RuntimeError where it failed by itself."""
        await asyncio.to_thread(self._process.join)
        if self._process.exitcode not in {0, -signal.SIGKILL, -signal.SIGSYS}:
            raise RuntimeError(f"the process ended with status {self._process.exitcode}")
        return self._process.exitcode != 0


def _run(work: Work) -> None:
    hurry()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # its lines are nobody's
    asyncio.run(work())

"""The fault table: every step of an operation × what becomes of it, the whole checked after each.

In the manner of Sunlight's `TestSequenceErrors`, but nobody lists the points: the steps are counted on the wire while
the operation runs, and one after the other is struck until it has no more. A step that is added is struck too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from tests.faults.children import Child, Work
from tests.faults.steps import Fault, Step, Steps

SECONDS = 60
"""How long one case may take; the limit only says when to give up."""


@dataclass(frozen=True)
class Case:
    """Something for an operation to do, by a service that begins and lives through proxies.

    A service that never ends is stopped once `done` says so.
    """

    work: Work
    done: Callable[[], Awaitable[bool]] | None = None


class Operation(Protocol):
    """An operation under fault, on servers that go through all its cases one after the other."""

    steps: Steps

    async def prepare(self) -> Case:
        """Give the operation something new to do."""
        ...

    async def check(self) -> None:
        """Require what must hold at any moment, whatever was killed just now."""
        ...

    async def verify(self, result: object) -> None:
        """Require that the last case is done, once and whole; `result` is what the work returned, if it ended."""
        ...


async def strike_each_step(operation: Operation, fault: Fault, only: tuple[str, ...] = ("",)) -> list[Step]:
    """Learn the steps of an operation, then let a fault strike one after the other, each in a case of its own.

    Any step can be lost. A crash strikes those that write; those of which nothing stays cannot be persisted. Of steps
    of one name the first and the last are struck. Returns those that were, `only` of names that begin so.
    """
    steps = operation.steps
    steps.begin()
    await _struck(operation, fault, await operation.prepare(), None)
    known = {step: said for step, said in steps.taken.items() if step.name.startswith(only)}
    last = {step.name: step for step in known}
    struck: list[Step] = []
    for step, said in known.items():
        between = step.number > 1 and step != last[step.name]
        if between or not (fault is Fault.LOST or said.keeps or (fault is Fault.CRASH and said.writes)):
            continue
        case = await operation.prepare()
        steps.begin((step, fault))
        if await _struck(operation, fault, case, step):
            struck.append(step)
    return struck


async def _struck(operation: Operation, fault: Fault, case: Case, step: Step | None) -> bool:
    """Carry out one case to its end and verify it; return whether the step came and was struck."""
    try:
        async with asyncio.timeout(SECONDS):
            result: object = None
            killed = step is not None and fault is Fault.CRASH and await _killed(operation.steps, case)
            if killed:
                await operation.check()
            if killed or step is None or fault is not Fault.CRASH:
                result = await _live(case)
            await operation.verify(result)
    except BaseException as error:
        error.add_note(f"{type(operation).__name__}: {step} {fault.value}")
        raise
    return operation.steps.struck


async def _live(case: Case) -> object:
    """Run the work in this process until it is done."""
    work = asyncio.create_task(case.work())
    if case.done is None:
        return await work
    try:
        while not await case.done():
            if work.done():
                await work
                raise AssertionError("a service that never ends has ended")
            await asyncio.sleep(0.03)
    finally:
        work.cancel()
        await asyncio.wait({work})
    return None


async def _killed(steps: Steps, case: Case) -> bool:
    """Run the work in a process of its own; return whether it was killed at the step that is to be struck."""
    child = Child(case.work)
    struck = asyncio.Event()

    def kill() -> None:
        struck.set()
        child.kill()

    steps.on_crash(kill)
    ended = asyncio.create_task(child.ended())
    if case.done is not None:
        while not ended.done() and not await case.done():
            await asyncio.sleep(0.03)
        child.kill()
    await ended
    return struck.is_set()

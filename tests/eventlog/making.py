"""Short ways to say what tests append."""

import asyncio
import uuid
from collections.abc import Callable, Sequence

from tomoni.eventlog import Append, NewEntry, Sequencer, Statement


def command(
    subject: str,
    version: int = 1,
    data: bytes = b"entry",
    *,
    command_id: uuid.UUID | None = None,
    reads: dict[str, int] | None = None,
    companions: Sequence[Statement] = (),
    count: int = 1,
) -> Append:
    """Make a command that appends `count` entries to a stream, the first of them at a version."""
    entries = tuple(NewEntry(data, subject, version + step) for step in range(count))
    expected = {subject: version - 1, **(reads or {})}
    return Append(command_id or uuid.uuid4(), entries, expected, tuple(companions))


def beside(command_id: uuid.UUID, text: str = "kept") -> Statement:
    """Make a companion that stores one row."""
    return Statement("INSERT INTO beside (id, text) VALUES ($1, $2)", (command_id, text))


async def grow(sequencer: Sequencer, count: int, start: int = 0) -> None:
    """Append entries that differ from each other, up to 1,000 a command."""
    for first in range(start, start + count, 1000):
        entries = tuple(NewEntry(b"entry %d" % n, f"s/{n}", 1) for n in range(first, min(first + 1000, start + count)))
        await sequencer.append(Append(uuid.uuid4(), entries, {entry.subject: 0 for entry in entries}))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another task is about to do."""
    while not condition():  # the tests' time limit ends a wait in vain
        await asyncio.sleep(0.01)

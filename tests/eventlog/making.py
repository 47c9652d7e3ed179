"""Short ways to say what tests append."""

import uuid
from collections.abc import Sequence

from tomoni.eventlog import Append, NewEntry, Statement


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

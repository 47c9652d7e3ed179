"""What is appended: the entries of one command, what it expects of the streams, and what is written beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

MAX_DATA = 60_000
"""Bytes of one entry."""

MAX_COMMAND_ENTRIES = 1_000
"""Entries of one command."""

MAX_SUBJECT = 120
"""Characters of the name of a stream."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to append: its exact bytes, its stream, and its version in that stream, counted from 1."""

    data: bytes
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A companion: SQL with `$1`-style parameters, run in the transaction that appends the entries, or not at all.

    The companions of one command run in their order. Those of commands that are appended together may interleave, so a
    companion touches rows of its own command only, or commutes with the others.
    """

    sql: str
    args: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Append:
    """The entries of one command, appended together or not at all.

    `expected` has the version of every stream the decision was made from, read or written (0: no such stream). Raises
    ValueError where the entries do not continue their streams from there, or break a limit.
    """

    command_id: UUID
    entries: tuple[NewEntry, ...]
    expected: Mapping[str, int]
    companions: tuple[Statement, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < len(self.entries) <= MAX_COMMAND_ENTRIES:
            raise ValueError(f"a command appends 1 to {MAX_COMMAND_ENTRIES} entries")
        versions = dict(self.expected)
        for entry in self.entries:
            if not 0 < len(entry.data) <= MAX_DATA:
                raise ValueError(f"an entry has 1 to {MAX_DATA} bytes")
            if not 0 < len(entry.subject) <= MAX_SUBJECT or "\x00" in entry.subject:
                raise ValueError(f"a subject has 1 to {MAX_SUBJECT} characters")
            if versions.get(entry.subject, -1) + 1 != entry.version:
                raise ValueError(
                    "an entry's version is one more than its stream's version before it, which is expected"
                )
            versions[entry.subject] = entry.version


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a command's entries stand: `size` entries from position `first` on.

    `already`: the command's id was stored before, and nothing was written now. After a lost connection it may have
    been stored by this very call; what its companions wrote then stands beside it just the same.
    """

    first: int
    size: int
    already: bool

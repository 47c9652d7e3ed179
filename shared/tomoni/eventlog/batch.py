"""One call of `log.append` for many commands: its arrays, made before anything is locked, and its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from tomoni.eventlog.commands import Append, Appended, Statement
from tomoni.eventlog.errors import VersionConflict
from tomoni.tlog.merkle import leaf_hashes

APPEND = "SELECT * FROM log.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A command with its leaf hashes, computed while it waits."""

    command: Append
    leaf_hashes: tuple[bytes, ...]

    @classmethod
    def of(cls, command: Append) -> "Prepared":
        """Prepare a command."""
        return cls(command, tuple(leaf_hashes(entry.data for entry in command.entries)))


@dataclass(slots=True)
class BatchArguments:
    """The arguments of `log.append`, in its order. Commands are counted from 1."""

    command_ids: list[UUID] = field(default_factory=list[UUID])
    check_only: list[bool] = field(default_factory=list[bool])
    expected_commands: list[int] = field(default_factory=list[int])
    expected_subjects: list[str] = field(default_factory=list[str])
    expected_versions: list[int] = field(default_factory=list[int])
    entry_commands: list[int] = field(default_factory=list[int])
    entry_indexes: list[int] = field(default_factory=list[int])
    entry_subjects: list[str] = field(default_factory=list[str])
    entry_versions: list[int] = field(default_factory=list[int])
    entry_leaf_hashes: list[bytes] = field(default_factory=list[bytes])
    entry_data: list[bytes] = field(default_factory=list[bytes])

    @classmethod
    def of(cls, batch: Sequence[Prepared]) -> "BatchArguments":
        """Lay out the commands of a batch.

        A command whose streams an earlier one of the batch writes is only checked: it is judged after that one.
        """
        made = cls()
        written: set[str] = set()
        for number, prepared in enumerate(batch, 1):
            command = prepared.command
            overlaps = not written.isdisjoint(command.expected)
            made.command_ids.append(command.command_id)
            made.check_only.append(overlaps)
            for subject, version in command.expected.items():
                made.expected_commands.append(number)
                made.expected_subjects.append(subject)
                made.expected_versions.append(version)
            if not overlaps:
                written.update(entry.subject for entry in command.entries)
                made._add_entries(number, prepared)
        return made

    def _add_entries(self, number: int, prepared: Prepared) -> None:
        for index, entry in enumerate(prepared.command.entries):
            self.entry_commands.append(number)
            self.entry_indexes.append(index)
            self.entry_subjects.append(entry.subject)
            self.entry_versions.append(entry.version)
            self.entry_data.append(entry.data)
        self.entry_leaf_hashes.extend(prepared.leaf_hashes)

    def as_tuple(self) -> tuple[object, ...]:
        """Return the arguments in their order."""
        return (
            self.command_ids,
            self.check_only,
            self.expected_commands,
            self.expected_subjects,
            self.expected_versions,
            self.entry_commands,
            self.entry_indexes,
            self.entry_subjects,
            self.entry_versions,
            self.entry_leaf_hashes,
            self.entry_data,
        )


class Again:
    """A command was not judged for good: it is to be sent once more."""


Outcome = Appended | VersionConflict | Again


def read_outcomes(rows: Sequence[asyncpg.Record], batch: Sequence[Prepared]) -> list[Outcome]:
    """Return what became of each command of a batch, from the rows of `log.append`."""
    outcomes: list[Outcome | None] = [None] * len(batch)
    for row in rows[1:]:
        number = int(row["command"]) - 1
        match row["outcome"]:
            case "already":
                outcomes[number] = Appended(row["first_position"], row["size"], already=True)
            case "conflict":
                subject, actual = str(row["subject"]), int(row["actual_version"])
                outcomes[number] = VersionConflict(subject, batch[number].command.expected[subject], actual)
            case _:
                outcomes[number] = Again()
    position = int(rows[0]["first_position"])
    finished: list[Outcome] = []
    for outcome, prepared in zip(outcomes, batch, strict=True):
        if outcome is None:
            size = len(prepared.command.entries)
            finished.append(Appended(position, size, already=False))
            position += size
        else:
            finished.append(outcome)
    return finished


def undone(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return which outcomes stand although the call was rolled back, none of its commands being only checked.

    What was stored before it stays stored, and a version that had passed stays passed. What it appended is gone.
    """
    return [Again() if isinstance(outcome, Appended) and not outcome.already else outcome for outcome in outcomes]


def companion_groups(batch: Sequence[Prepared]) -> list[tuple[str, list[tuple[object, ...]]]]:
    """Return the companions of a batch as few groups of the same SQL, each command's own in their order."""
    groups: list[tuple[str, list[tuple[object, ...]]]] = []
    waiting: list[tuple[Statement, ...]] = [prepared.command.companions for prepared in batch]
    step = 0
    while any(len(companions) > step for companions in waiting):
        same: dict[str, list[tuple[object, ...]]] = {}
        for companions in waiting:
            if len(companions) > step:
                same.setdefault(companions[step].sql, []).append(companions[step].args)
        groups.extend(same.items())
        step += 1
    return groups

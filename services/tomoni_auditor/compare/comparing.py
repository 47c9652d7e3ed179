"""Comparing a federation's read model of a log with a replay of one's own, up to the same position.

Digests first: rows are asked for only of a part whose digest differs, so that an equal state of a million documents
costs one small answer.
"""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Final, Literal

import msgspec

from tomoni.history.rows import TABLES, Line, Parts, Table, key_of, part_of
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.compare.live import Live, MovedError, ReadModel
from tomoni_auditor.replay.replaying import Progress, Replayed, replayed
from tomoni_auditor.replay.state import State
from tomoni_auditor.verify.sources import SourceError

_ATTEMPTS: Final = 5


class Comparison(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome for one log; `position` is how many entries both states are of.

    `not-comparable`: the federation is ahead of the folder, or has nothing of this log; `found` says which.
    """

    code: str
    outcome: Literal["equal", "different", "not-comparable"]
    position: int
    where: str | None = None
    """The first difference: a table, or what else differs."""
    key: str | None = None
    """The row's."""
    columns: tuple[str, ...] = ()
    """Those of the row that differ."""
    expected: str | None = None
    """By the replay."""
    found: str | None = None
    """At the federation."""


def compare(folder: Path, code: str, live: Live, on_progress: Progress | None = None) -> Comparison:
    """Return how a federation's state of a log compares with a replay of the folder's.

    Raises SourceError where the federation gives no answer or never stands still, and as replaying does.
    """
    for _ in range(_ATTEMPTS):
        model = live.read_model(code)
        if model is None:
            return Comparison(code=code, outcome="not-comparable", position=0, found="the federation has no such log")
        log = LogFolder(folder / code)
        held = log.head().size
        wanted = model.position + model.halted  # the entry at which it stopped shows whether it was right to
        if wanted > held:
            text = f"the federation has read {wanted} entries, the folder holds {held}: fetch again"
            return Comparison(code=code, outcome="not-comparable", position=held, found=text)
        with replayed(log, code, wanted, on_progress) as own:
            try:
                return _compare(own, model, live)
            except MovedError:
                continue
    raise SourceError("the federation's state of this log changed each time it was read; try again")


def _compare(own: Replayed, model: ReadModel, live: Live) -> Comparison:
    for where, expected, found in (
        ("halted", _truth(own.fault is not None), _truth(model.halted)),
        ("position", str(own.position), str(model.position)),
        ("unknown", _truth(own.unknown), _truth(model.unknown)),
        ("missing_unknown", _truth(own.missing_unknown), _truth(model.missing_unknown)),
    ):
        if expected != found:
            return Comparison(
                code=own.code,
                outcome="different",
                position=own.position,
                where=where,
                expected=expected,
                found=found,
            )
    for table in TABLES.values():
        digests = _digests(own.state, table)
        if table.name not in model.tables:
            raise SourceError(f"the federation does not tell of {table.name}: is it of another version?")
        theirs = model.tables[table.name].parts
        for part in sorted(digests.keys() | theirs.keys()):
            if digests.get(part) != theirs.get(part):
                return _first_difference(own, table, part, live.rows(model, table.name, part))
    return Comparison(code=own.code, outcome="equal", position=own.position)


def _digests(state: State, table: Table) -> dict[str, str]:
    parts = Parts(table)
    for row in state.rows(table):
        parts.add(row)
    return parts.digests()


def _first_difference(own: Replayed, table: Table, part: str, live: Iterable[Line]) -> Comparison:
    ours = (row for row in own.state.rows(table) if part_of(key_of(table, row)) == part)
    for key, expected, found in _side_by_side(table, ours, live):
        if expected != found:
            both = zip(table.names, expected or (), found or (), strict=False)
            return Comparison(
                code=own.code,
                outcome="different",
                position=own.position,
                where=table.name,
                key=key.replace("\t", " "),
                columns=tuple(name for name, one, other in both if one != other),
                expected=_shown(table, expected),
                found=_shown(table, found),
            )
    raise SourceError(
        f"the federation's digest of {table.name} is not that of the rows it gives, which are as replayed"
    )


def _side_by_side(
    table: Table, ours: Iterator[Line], theirs: Iterable[Line]
) -> Iterator[tuple[str, Line | None, Line | None]]:
    """Yield the rows of both sides by key, up to the first key that only one side has."""
    for one, other in zip_longest(ours, theirs):
        keys = [key_of(table, row) for row in (one, other) if row is not None]
        key = min(keys, key=str.encode)
        yield (
            key,
            one if one is not None and key_of(table, one) == key else None,
            other if other is not None and key_of(table, other) == key else None,
        )


def _shown(table: Table, row: Line | None) -> str:
    if row is None:
        return "no such row"
    return ", ".join(f"{name} {'–' if value is None else value}" for name, value in zip(table.names, row, strict=True))


def _truth(value: bool) -> str:  # as it is written in a line
    return "true" if value else "false"

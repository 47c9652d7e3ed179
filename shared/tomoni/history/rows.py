"""The rows that a history is folded to, as text: how two who have folded it compare their state by hashes.

A row is a line: its columns in order, tabs between them, NULL as a backslash and N. The rows of a table are divided
into at most 256 parts by the hash of their keys, so that one difference does not cost the transfer of all.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, Protocol

import msgspec

Kind = Literal["text", "day", "bytes", "texts"]
"""How a column is written: as it is; `2026-11-23`; in hex; as a JSON array without spaces."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the read model, without the log its rows are of; the first `key` columns name a row."""

    name: str
    key: int
    columns: tuple[tuple[str, Kind], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(name for name, _ in self.columns)


TABLES: Final[dict[str, Table]] = {
    table.name: table
    for table in (
        Table(
            "certificate",
            1,
            (
                ("certificate", "text"),
                ("version", "text"),
                ("kind", "text"),
                ("document", "bytes"),
                ("certified_on", "day"),
                ("conditional_until", "day"),
                ("confirmed_on", "day"),
                ("effect", "text"),
                ("effective_on", "day"),
                ("unknown", "text"),
                ("first_position", "text"),
                ("last_position", "text"),
            ),
        ),
        Table("document", 1, (("document", "bytes"), ("certificate", "text"))),
        Table(
            "arrangement",
            1,
            (
                ("arrangement", "text"),
                ("pattern", "text"),
                ("codes", "texts"),
                ("prefecture", "text"),
                ("network", "text"),
                ("kinds", "texts"),
                ("services", "texts"),
                ("effective_from", "day"),
                ("effective_until", "day"),
                ("conditions", "texts"),
                ("precedence", "text"),
                ("keeps_recognised", "text"),
                ("position", "text"),
                ("withdrawn_on", "day"),
                ("withdrawn_position", "text"),
            ),
        ),
        Table(
            "membership",
            1,
            (("position", "text"), ("network", "text"), ("member", "text"), ("effective_on", "day")),
        ),
        Table("stream", 1, (("subject", "text"), ("version", "text"), ("unknown", "text"))),
        Table("position", 2, (("subject", "text"), ("position", "text"), ("unknown", "text"))),
    )
}
"""All that a jurisdiction's log is folded to."""

Line = tuple[str | None, ...]


def text_of(value: object) -> str | None:
    """Return a column's value as it is written in a line; None for NULL."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list() | tuple():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)


def line_of(columns: Iterable[str | None]) -> str:
    """Return the line of a row."""
    return "\t".join("\\N" if column is None else column for column in columns)


def key_of(table: Table, columns: Sequence[str | None]) -> str:
    """Return what names a row within its table; rows are in the order of its bytes."""
    return line_of(columns[: table.key])


def part_of(key: str) -> str:
    """Return the part that a row belongs to, two hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()[:2]


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Parts:
    """The digests of a table's parts, made from its rows in the order of their keys."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._parts: defaultdict[str, _Hash] = defaultdict(hashlib.sha256)
        self.rows = 0

    def add(self, columns: Sequence[str | None]) -> None:
        """Take the next row."""
        part = part_of(key_of(self._table, columns))
        self._parts[part].update(hashlib.sha256(line_of(columns).encode()).digest())
        self.rows += 1

    def digests(self) -> dict[str, str]:
        """Return part → SHA-256 over the SHA-256 of each of its lines; parts without rows are left out."""
        return {part: digest.hexdigest() for part, digest in sorted(self._parts.items())}

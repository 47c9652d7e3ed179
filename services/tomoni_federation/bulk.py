"""Writing many rows at once: one statement over arrays for a few, COPY for many.

A handful of rows costs one round trip as arrays and three by COPY; for thousands the driver's checks of every element
of an array cost more than PostgreSQL's work, and COPY has none of them. Statements of which none looks at what another
writes go to the server as one.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tomoni.database import Connection

COPY_FROM: Final = 200
"""Rows from which COPY is faster."""

_ARRAY: Final = re.compile(r"\$(\d+)(::\w+\[\])")

Row = tuple[object, ...]


class Into(NamedTuple):
    """Where rows are inserted: `schema.table`, its columns and their types, as lists with commas of our own making."""

    table: str
    names: str
    types: str

    def in_schema(self, schema: str) -> "Into":
        """Return the same for the table of that name in another schema."""
        return self._replace(table=f"{schema}.{self.table.partition('.')[2]}")

    def statement(self) -> str:
        """Return the insert of columns given as arrays, `$1`, `$2` …."""
        arrays = ", ".join(f"${number}::{of.strip()}[]" for number, of in enumerate(self.types.split(","), 1))
        return f"INSERT INTO {self.table} ({self.names}) SELECT * FROM unnest({arrays})"  # noqa: S608


async def execute_many(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    """Execute a statement over the columns of rows as arrays, `$1`, `$2` …; do nothing without rows."""
    if rows:
        await connection.execute(statement, *columns(rows))


async def write_together(connection: Connection, writes: Iterable[tuple[Into | str, Sequence[Row]]]) -> None:
    """Insert rows, or execute statements over the columns of rows, in one round trip where they are few.

    The statements see the tables as they were before all of them. A statement begins with no WITH of its own, has no
    parameters but arrays that it unnests, and joins no big table: its plan is made once and kept, for which the arrays
    stand in a SELECT, out of the planner's sight. Planning took longer than the rest.
    """
    parts: list[str] = []
    values: list[list[object]] = []
    for target, rows in writes:
        if not rows:
            continue
        if isinstance(target, Into) and len(rows) >= COPY_FROM:
            await _copy(connection, target, rows)
            continue
        statement = target.statement() if isinstance(target, Into) else target
        parts.append(_ARRAY.sub(lambda found: f"(SELECT ${int(found[1]) + len(values)}{found[2]})", statement))
        values.extend(columns(rows))
    if len(parts) == 1:
        await connection.execute(parts[0], *values)
    elif parts:
        named = ", ".join(f"part{number} AS ({part})" for number, part in enumerate(parts))
        await connection.execute(f"WITH {named} SELECT", *values)


async def _copy(connection: Connection, into: Into, rows: Sequence[Row]) -> None:
    schema, _, name = into.table.partition(".")
    await connection.copy_records_to_table(
        name, schema_name=schema, columns=into.names.replace(" ", "").split(","), records=rows
    )


def columns(rows: Sequence[Row]) -> list[list[object]]:
    """Return rows turned into columns."""
    return [list(column) for column in zip(*rows, strict=True)]

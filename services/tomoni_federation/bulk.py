"""Writing many rows at once: one statement over arrays for a few, COPY for many.

A handful of rows costs one round trip as arrays and three by COPY; for thousands the driver's checks of every element
of an array cost more than PostgreSQL's work, and COPY has none of them.
"""

from collections.abc import Sequence
from typing import Final

from tomoni.database import Connection

COPY_FROM: Final = 200
"""Rows from which COPY is faster."""

Row = tuple[object, ...]


async def execute_many(connection: Connection, statement: str, rows: Sequence[Row]) -> None:
    """Execute a statement over the columns of rows as arrays, `$1`, `$2` …; do nothing without rows."""
    if rows:
        await connection.execute(statement, *columns(rows))


async def insert_many(connection: Connection, table: str, names: str, types: str, rows: Sequence[Row]) -> None:
    """Insert rows into `schema.table`; `names` and `types` of its columns are lists with commas, of our own making."""
    if len(rows) >= COPY_FROM:
        schema, _, name = table.partition(".")
        await connection.copy_records_to_table(
            name, schema_name=schema, columns=names.replace(" ", "").split(","), records=rows
        )
        return
    arrays = ", ".join(f"${number}::{of.strip()}[]" for number, of in enumerate(types.split(","), 1))
    await execute_many(connection, f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays})", rows)  # noqa: S608


def columns(rows: Sequence[Row]) -> list[list[object]]:
    """Return rows turned into columns."""
    return [list(column) for column in zip(*rows, strict=True)]

"""Hashes of a mirrored log at any size, from the leaf hashes in the mirror; for the rare cases that need them."""

from collections.abc import Sequence

from tomoni.database import Connection
from tomoni.tlog.merkle import CompactRange, HashAt, parent_hashes


async def leaves(connection: Connection, log: str, size: int) -> list[bytes]:
    """Return the leaf hashes of the first entries of a log; raise LookupError where the mirror has fewer."""
    rows = await connection.fetch(
        "SELECT leaf FROM mirror.entry WHERE log = $1 AND position < $2 ORDER BY position", log, size
    )
    if len(rows) != size:
        raise LookupError("the mirror lacks entries that were proven")
    return [row["leaf"] for row in rows]


async def range_at(connection: Connection, log: str, size: int) -> CompactRange:
    """Return the compact range of a log at a proven size; raise LookupError where the mirror has less."""
    grown = CompactRange()
    grown.extend(await leaves(connection, log, size))
    return grown


def hashes(of_leaves: Sequence[bytes]) -> HashAt:
    """Return the function that gives the hash of any complete subtree over leaf hashes."""
    levels = [list(of_leaves)]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append(parent_hashes(row[: len(row) & ~1]))
    return lambda level, index: levels[level][index]

"""One hash over the rows of the read model: equal for equal histories, whatever the interleaving they came in."""

import hashlib
from typing import Final

from tomoni.database import Connection

TABLES: Final = {
    "certificate": "log, certificate",
    "document": "log, document",
    "arrangement": "log, arrangement",
    "membership": "log, position",
    "stream": "log, subject",
    "position": "log, subject, position",
}
"""Each table and its key; cursors are left out, since freshness depends on when things came."""


async def digest(connection: Connection) -> str:
    """Return the SHA-256 over all rows in the order of their keys; must run in a transaction."""
    whole = hashlib.sha256()
    for table, key in TABLES.items():
        whole.update(table.encode())
        query = f"SELECT t::text FROM projection.{table} t ORDER BY {key}"  # noqa: S608  # no text but ours
        async for row in connection.cursor(query, prefetch=5_000):
            whole.update(row[0].encode() + b"\n")
    return whole.hexdigest()

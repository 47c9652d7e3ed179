"""Filling a version of the read model from the mirror, by the same fold and the same statements as projecting.

Every portion is one transaction of rows and cursors, so a rebuild that was killed goes on where it was. A version is
filled as far as the serving one is, so that the two can be compared; past an entry that only the serving one stops at.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import asyncpg

from tomoni.database import Connection
from tomoni.eventlog.connections import BROKEN
from tomoni.history.faults import HandlerError
from tomoni_federation.projections.project import Behind, fold_behind, share, write_changes
from tomoni_federation.projections.sql import PROJECTION, VERSION

WORKERS: Final = 2
"""Each has a connection and logs of its own: while the server works for one, this process works for the other."""

_BEHIND: Final = """
SELECT n.log, n.position, t.target, n.missing_unknown, c.position AS served, c.halted IS NOT NULL AS stopped
FROM {version}.cursor n
JOIN projection.cursor c ON c.projection = n.projection AND c.version = n.version AND c.log = n.log
JOIN mirror.log l ON l.log = n.log
CROSS JOIN LATERAL (
    SELECT CASE WHEN c.halted IS NOT NULL AND l.state <> 'quarantined' THEN l.proven_size ELSE c.position END AS target
) AS t
WHERE n.projection = $1 AND n.version = $2 AND n.halted IS NULL AND n.position < t.target
  AND ($3::text[] IS NULL OR n.log = ANY ($3::text[]))
ORDER BY n.log
"""

_RETRY: Final = (
    "UPDATE {version}.cursor SET halted = NULL WHERE projection = $1 AND version = $2 AND halted IS NOT NULL"
)

_EXTENT: Final = (
    "SELECT count(*), coalesce(sum(position), 0)::bigint FROM {version}.cursor WHERE projection = $1 AND version = $2"
)

_FAST: Final = "SET LOCAL synchronous_commit = off; SET LOCAL enable_seqscan = off"
"""A portion that a crash loses is made again. The planner knows nothing yet of tables that are being filled."""

OnProgress = Callable[[int, int], None]
"""Takes the number of entries that are done, and of all."""


class RebuildFaultError(Exception):
    """An entry on which a version cannot be made; it is named, and nothing is passed over."""

    def __init__(self, log: str, position: int, reason: str) -> None:
        super().__init__(f"{log}, position {position}: {reason}")
        self.log = log
        self.position = position
        self.reason = reason


class Extent(NamedTuple):
    """How much a version holds."""

    logs: int
    entries: int


async def retry_halted(connection: Connection, version: str) -> None:
    """Give logs that stood still another try."""
    await connection.execute(_RETRY.format(version=version), PROJECTION, VERSION)


async def extent(connection: Connection, version: str) -> Extent:
    """Return how much a version holds."""
    row = await connection.fetchrow(_EXTENT.format(version=version), PROJECTION, VERSION)
    return Extent(*row) if row is not None else Extent(0, 0)


async def fill(
    connections: Sequence[Connection], version: str, federation: str, budget: int, on_progress: OnProgress
) -> int:
    """Fill a version as far as the serving one is now; return how many entries that were.

    Raises RebuildFaultError, and what the database raises where it is lost.
    """
    behind = await connections[0].fetch(_BEHIND.format(version=version), PROJECTION, VERSION, None)
    done = (await extent(connections[0], version)).entries
    total = done + sum(row["target"] - row["position"] for row in behind)
    groups = _grouped([(row["log"], row["target"] - row["position"]) for row in behind], budget)
    filled = 0

    async def work(connection: Connection) -> None:
        nonlocal filled
        while groups:
            logs = groups.pop()
            while (count := await _portion(connection, version, federation, logs, budget)) > 0:
                filled += count
                on_progress(done + filled, total)

    on_progress(done, total)
    try:
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(work(connection))
    except* RebuildFaultError as faults:
        raise faults.exceptions[0] from None
    except* BROKEN as lost:
        raise lost.exceptions[0] from None
    return filled


async def _portion(connection: Connection, version: str, federation: str, logs: Sequence[str], budget: int) -> int:
    """Fold a portion in a transaction of its own; the switch, which is durable, comes after it in the server's log."""

    async def attempt(*, new_too: bool) -> int:
        async with connection.transaction():
            await connection.execute(_FAST)
            return await advance(connection, version, federation, logs, budget, new_too=new_too)

    try:
        return await attempt(new_too=False)
    except asyncpg.UniqueViolationError:  # a log issues what it has issued: reading every row beforehand tells which
        return await attempt(new_too=True)


async def advance(
    connection: Connection,
    version: str,
    federation: str,
    logs: Sequence[str] | None,
    budget: int,
    *,
    new_too: bool = False,
) -> int:
    """Fold entries of some logs, or of all, up to a budget; return how many. Must run in a transaction.

    Raises RebuildFaultError for an entry that the serving version did not stop at.
    """
    rows = await connection.fetch(_BEHIND.format(version=version) + "FOR UPDATE OF n", PROJECTION, VERSION, logs)
    if not rows:
        return 0
    behind = share([Behind(*row[:4]) for row in rows], budget)
    try:
        count, changes = await fold_behind(connection, federation, behind, new_too=new_too, version=version)
    except HandlerError as error:
        cause = type(error.__cause__).__name__
        raise RebuildFaultError(error.log, error.position, f"a handler failed ({cause})") from error
    stopped = {row["log"]: row["served"] for row in rows if row["stopped"]}
    for change in changes:
        if change.fault is not None and change.fault.position != stopped.get(change.log):
            raise RebuildFaultError(change.log, change.fault.position, change.fault.reason)
    await write_changes(connection, changes, version)
    return max(count, 1)


def _grouped(needs: Sequence[tuple[str, int]], budget: int) -> list[list[str]]:
    """Return logs in groups that are worth a transaction together, the longest history last."""
    groups: list[list[str]] = []
    room = 0
    for code, need in sorted(needs, key=lambda each: each[1]):
        if not groups or need > room:
            groups.append([])
            room = budget
        groups[-1].append(code)
        room -= need
    return groups

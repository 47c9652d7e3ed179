"""Reading the log: by position, by stream, and following it as it grows.

A reader sees a dense prefix: an entry becomes visible only after all before it, because the head's lock is held until
the commit. So following by position never misses and never reorders an entry.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from tomoni.database import Pool
from tomoni.eventlog.connections import AWAY
from tomoni.eventlog.errors import CorruptLog
from tomoni.eventlog.wakeup import ENTRIES, Wakeup

READ = "SELECT position, data FROM log.entry WHERE position >= $1 ORDER BY position LIMIT $2"
STREAM = "SELECT position, data FROM log.entry WHERE subject = $1 ORDER BY version"
VERSION = "SELECT version FROM log.entry WHERE subject = $1 ORDER BY version DESC LIMIT 1"
COMMAND = "SELECT EXISTS (SELECT 1 FROM log.entry WHERE command_id = $1)"
STREAMS = "SELECT subject FROM log.entry WHERE subject >= $1 AND subject < $2 AND version = 1 ORDER BY subject"

BATCH = 1_000
"""Entries read at once."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry at its position: the exact bytes."""

    position: int
    data: bytes


def dense(rows: list[asyncpg.Record], start: int) -> list[Entry]:
    """Return rows as entries; raise CorruptLog where they do not follow on each other from a position."""
    entries = [Entry(row["position"], row["data"]) for row in rows]
    for position, entry in enumerate(entries, start):
        if entry.position != position:
            raise CorruptLog(f"there is no entry at position {position}")
    return entries


class EventReader:
    """Reads the log of a database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def head(self) -> int:
        """Return how many entries are committed."""
        return await self._pool.fetchval("SELECT size FROM log.head")

    async def read(self, start: int, limit: int = BATCH) -> list[Entry]:
        """Return up to `limit` entries from a position on; raise CorruptLog where one is missing among them."""
        return dense(await self._pool.fetch(READ, start, limit), start)

    async def stream(self, subject: str) -> list[Entry]:
        """Return the entries of a stream in order, none where there is no such stream."""
        return [Entry(row["position"], row["data"]) for row in await self._pool.fetch(STREAM, subject)]

    async def version(self, subject: str) -> int:
        """Return the version a stream is at, 0 where there is no such stream."""
        return await self._pool.fetchval(VERSION, subject) or 0

    async def holds(self, command_id: UUID) -> bool:
        """Tell whether the entries of a command are stored."""
        return await self._pool.fetchval(COMMAND, command_id)

    async def streams(self, prefix: str) -> list[str]:
        """Return the names of the streams that begin with a prefix, sorted by bytes."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return [row["subject"] for row in await self._pool.fetch(STREAMS, prefix, end)]

    async def follow(self, start: int, limit: int = BATCH) -> AsyncIterator[list[Entry]]:
        """Yield the entries from a position on, in batches, for ever; a lost database is waited for."""
        async with Wakeup(self._pool, ENTRIES) as wakeup:
            while True:
                await wakeup.listen()
                try:
                    entries = await self.read(start, limit)
                except AWAY as error:
                    log.warning("follow_interrupted", error=type(error).__name__, position=start)
                    entries = []
                if entries:
                    start += len(entries)
                    yield entries
                else:
                    await wakeup.wait()

"""The signed checkpoints of a log, every one of them, and its latest heartbeat."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from tomoni.database import Pool
from tomoni.eventlog.connections import AWAY
from tomoni.eventlog.wakeup import CHECKPOINTS, Wakeup

FROM = "SELECT size, note FROM log.checkpoint WHERE size >= $1 ORDER BY size LIMIT $2"
LATEST = "SELECT size, note FROM log.checkpoint ORDER BY size DESC LIMIT 1"
STORE_HEARTBEAT = """
    INSERT INTO log.heartbeat (size, time, note) VALUES ($1, $2, $3)
    ON CONFLICT (one) DO UPDATE SET size = excluded.size, time = excluded.time, note = excluded.note
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint as it was signed: the size it covers and the exact bytes of its note."""

    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A checkpoint of the committed head, cosigned by the heartbeat key at a POSIX time in seconds."""

    size: int
    time: int
    note: bytes


class CheckpointStore:
    """Reads the signed checkpoints of a database's log."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def latest(self) -> SignedCheckpoint | None:
        """Return the newest checkpoint, None before the first."""
        row = await self._pool.fetchrow(LATEST)
        return None if row is None else SignedCheckpoint(row["size"], row["note"])

    async def at(self, size: int) -> SignedCheckpoint | None:
        """Return the checkpoint of exactly a size, None where none was signed."""
        found = await self.read_from(size, 1)
        return found[0] if found and found[0].size == size else None

    async def read_from(self, size: int, limit: int = 1_000) -> list[SignedCheckpoint]:
        """Return up to `limit` checkpoints of a size or a larger one, the smallest first."""
        return [SignedCheckpoint(row["size"], row["note"]) for row in await self._pool.fetch(FROM, size, limit)]

    async def heartbeat(self) -> Heartbeat | None:
        """Return the latest heartbeat, None before the first."""
        row = await self._pool.fetchrow("SELECT size, time, note FROM log.heartbeat")
        return None if row is None else Heartbeat(row["size"], row["time"], row["note"])

    async def follow(self, size: int) -> AsyncIterator[list[SignedCheckpoint]]:
        """Yield the checkpoints of a size or a larger one, in batches, for ever; a lost database is waited for."""
        async with Wakeup(self._pool, CHECKPOINTS) as wakeup:
            while True:
                await wakeup.listen()
                try:
                    checkpoints = await self.read_from(size)
                except AWAY as error:
                    log.warning("follow_interrupted", error=type(error).__name__, size=size)
                    checkpoints = []
                if checkpoints:
                    size = checkpoints[-1].size + 1
                    yield checkpoints
                else:
                    await wakeup.wait()

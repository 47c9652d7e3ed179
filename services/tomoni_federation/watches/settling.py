"""Settling: what no entry says is told all the same. A day comes and a term lapses; an issuer falls silent, or stops.

Every second the issuers that are watched are looked at: where what the answers depend on is another than the view under
which its documents were settled, each of them is compared with what was last told. A kill in between is made good by
the next look, and two processes that settle at once tell once.
"""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import structlog
from prometheus_client import Gauge

from tomoni import times
from tomoni.database import Pool
from tomoni.eventlog.connections import BROKEN
from tomoni.history.status import IssuerView
from tomoni.times import day_in_japan
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.watches import sql
from tomoni_federation.watches.telling import Watched, tell, view_of

log = structlog.get_logger()

PAGE: Final = 1_000
"""Documents in one transaction: the projector may wait for it."""
SECONDS: Final = 1.0

FAILING: Final = Gauge("tomoni_federation_watches_failing", "1 while watches cannot be settled")


class Settler:
    """Tells the watches what no entry says, and forgets old changes."""

    def __init__(
        self, pool: Pool, retention: timedelta, *, page: int = PAGE, clock: Callable[[], datetime] = times.now
    ) -> None:
        self._pool = pool
        self._retention = retention
        self._page = page
        self._clock = clock
        self._forgot_on: date | None = None

    async def run(self) -> None:
        """Settle again and again, until cancelled."""
        while True:
            try:
                await self.settle()
                if self._forgot_on != (today := day_in_japan(self._clock())):
                    await self.forget()
                    self._forgot_on = today
            except (*BROKEN, asyncpg.PostgresError) as error:
                FAILING.set(1)
                log.warning("loop_interrupted", module="watches", error=type(error).__name__)
            else:
                FAILING.set(0)
            await asyncio.sleep(SECONDS)

    async def settle(self) -> None:
        """Settle every watched issuer about whose documents something else may hold than was told."""
        now = self._clock()
        for row in await self._pool.fetch(sql.ISSUERS, PROJECTION, VERSION):
            code, settled_as, settled, *view = row
            wanted = view_of(IssuerView(**dict(zip(("state", *_FLAGS), view, strict=True))), now)
            if not settled or settled_as != wanted:
                await self._settle(code, wanted)

    async def _settle(self, code: str, view: str) -> None:
        await self._pool.execute(sql.SETTLING, code, view)
        after = (b"", UUID(int=0))
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(sql.PAGE_OF_ISSUER, code, *after, self._page)
                await tell(connection, [Watched(watch, reference, code) for _, watch, reference in rows], self._clock())
            if len(rows) < self._page:
                break
            after = rows[-1][:2]
        await self._pool.execute(sql.SETTLED, code, view)

    async def forget(self) -> None:
        """Forget changes older than the retention, but never the newest of a document."""
        before = self._clock() - self._retention
        for (watch,) in await self._pool.fetch("SELECT id FROM watch.watch"):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(sql.LOCK_WATCHES, [watch])
                await connection.execute(sql.FORGET, watch, before)


_FLAGS: Final = ("fresh_as_of", "halted", "unknown", "missing_unknown", "taken_back_at")

"""Publishing: each month of each prefecture is counted once, when it is over, and never again.

A certificate is counted in the month it was certified in. What came too late for that is counted in the next month
that is published with its issuer, and so is everything from before an issuer was first counted. Nothing is computed
from certificates when somebody asks, so that asking on two days, or before and after an event, tells nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

import asyncpg
import structlog

from tomoni import times
from tomoni.database import Connection, Pool
from tomoni.eventlog.connections import BROKEN
from tomoni.settings import SettingsError
from tomoni.times import day_in_japan, midnight_in_japan
from tomoni_federation.bulk import execute_many
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.statistics import sql
from tomoni_federation.statistics.decision import ShownYear, Year, shown_month, shown_prefecture, shown_year

log = structlog.get_logger()

GRACE: Final = timedelta(days=7)
"""How long after its last day a month is published: towns may be offline for days, and record late."""
EVERY_SECONDS: Final = 3_600.0

Cell = tuple[str, date, str, str, str, str, int]
"""Prefecture, last day, span, area, kind, measure, at least."""


class Publisher:
    """Publishes what is due."""

    def __init__(self, pool: Pool, threshold: int, *, clock: Callable[[], datetime] = times.now) -> None:
        self._pool = pool
        self._threshold = threshold
        self._clock = clock

    async def check(self) -> None:
        """Raise SettingsError where something was published with another threshold."""
        await self._check(self._pool)

    async def _check(self, connection: Connection | Pool) -> None:
        kept = await connection.fetchval(sql.THRESHOLD)
        if kept not in (None, self._threshold):
            raise SettingsError(
                f"statistics.threshold is {self._threshold}, but {kept} is what was published with: two thresholds "
                "would show what neither does; set it back"
            )

    async def run(self) -> None:
        """Publish what is due, every hour; outlive a database that is away."""
        while True:
            try:
                await self.publish()
            except (*BROKEN, asyncpg.PostgresError) as error:
                log.warning("statistics_not_published", error=type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)

    async def publish(self) -> None:
        """Publish every month that is over and was not published, of each prefecture with anybody admitted.

        A prefecture begins with the month that was over last. Raises what the database raises, and SettingsError where
        another process has published with another threshold since this one began; what another is publishing is left
        to it.
        """
        newest = last_day_of_month_before(day_in_japan(self._clock() - GRACE))
        for prefecture, last in await self._pool.fetch(sql.PREFECTURES):
            month = newest if last is None else end_of_next_month(last)
            while month <= newest:
                try:
                    async with (
                        self._pool.acquire() as connection,
                        connection.transaction(isolation="repeatable_read"),
                    ):
                        await self._publish(connection, prefecture, month)
                except (asyncpg.UniqueViolationError, asyncpg.SerializationError):
                    return
                month = end_of_next_month(month)

    async def _publish(self, connection: Connection, prefecture: str, month: date) -> None:
        await connection.execute(sql.KEEP_THRESHOLD, self._threshold)
        await self._check(connection)
        await connection.execute(sql.INSERT_PUBLICATION, prefecture, month)
        over = midnight_in_japan(month + timedelta(days=1))
        await connection.execute(sql.INSERT_PARTS, PROJECTION, VERSION, prefecture, month, over)
        await connection.execute(sql.COUNT, prefecture, month)
        cells = [
            (prefecture, month, "month", row["log"], row["kind"], measure, shown)
            for row in await connection.fetch(sql.MONTH, prefecture, month)
            for measure, shown in zip(
                ("certified", "conditional"),
                shown_month(row["certified"], row["conditional"], self._threshold),
                strict=True,
            )
        ]
        await _store(connection, cells)
        if month.month == 12:
            await _store(connection, await self._year(connection, prefecture, month))

    async def _year(self, connection: Connection, prefecture: str, month: date) -> list[Cell]:
        await connection.execute(sql.COUNT_ENDED, prefecture, month, month.year)
        rows = await connection.fetch(sql.YEAR, prefecture, month.replace(month=1, day=1), month)
        years: dict[str, ShownYear] = {
            row["log"]: shown_year(
                Year(
                    months=row["months"],
                    shown=row["shown"],
                    certified=row["certified"],
                    ended=row["ended"],
                    held=row["held"],
                    before=row["before"],
                ),
                self._threshold,
            )
            for row in rows
        }
        whole = shown_prefecture(years, [row["certified"] for row in rows], self._threshold)
        cells: list[Cell] = [(prefecture, month, "year", prefecture, "", "certified", whole)]
        for code, year in years.items():
            cells.append((prefecture, month, "year", code, "", "certified", year.certified))
            cells.append((prefecture, month, "year", code, "", "ended", year.ended))
        return cells


async def _store(connection: Connection, cells: list[Cell]) -> None:
    """Store what is shown: a cell that shows nothing is not stored, as if there were none."""
    await execute_many(connection, sql.INSERT_CELLS, [cell for cell in cells if cell[-1] > 0])


def last_day_of_month_before(day: date) -> date:
    """Return the last day of the month before a day's."""
    return day.replace(day=1) - timedelta(days=1)


def end_of_next_month(last_day: date) -> date:
    """Return the last day of the month that follows a month's last day."""
    return last_day_of_month_before(last_day + timedelta(days=32))

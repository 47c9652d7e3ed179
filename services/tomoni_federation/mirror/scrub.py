"""Scrubbing: every proven entry is looked at again once a round, set aside where it is wrong, and mended.

A stretch of a log is computed anew from its bytes, between checkpoints that its own key has signed. What does not fit
is moved out of the history, where it is a gap like any other (nothing is answered from it, and nothing passed over),
and asked for again: the town's relay is given an older receipt, and publishes from there. What comes is put back if the
stretch then has the root that was signed.

Where the round stands and what waits to be mended is in the database; only what has come again, and is not complete
yet, is in the process. A kill costs being sent it again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from tomoni.database import Connection, Pool
from tomoni.history.keys import verifiers_of
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import Kind
from tomoni_federation.mirror import scrub_sql as sql
from tomoni_federation.mirror.stretch import Row, Stored, Stretch, Wrong, trusted_range
from tomoni_federation.projections.sql import GAP, PROJECTION, VERSION

TURN_SECONDS: Final = 5.0
"""How soon what projecting has stumbled over is looked at, and what a backup has brought back is found."""

DAMAGES: Final = Counter("tomoni_federation_damages_total", "Times the mirror was found other than proven; an alarm")
MENDED: Final = Counter("tomoni_federation_mended_total", "Damages of the mirror that were mended")
ROUND: Final = Gauge("tomoni_federation_scrubbed_timestamp_seconds", "When the last round through the mirror was over")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Damage:
    """Positions of a log that were set aside, and how many of them the mirror holds again."""

    log: str
    first: int
    beyond: int
    held: int


class Scrubber:
    """Looks at everything that is proven, again and again, and mends it."""

    def __init__(self, pool: Pool, federation: str, round_seconds: float = 86_400.0) -> None:
        self._pool = pool
        self._federation = federation
        self._round_seconds = round_seconds
        self._pause = 0.0
        self._open: dict[str, list[Damage]] = {}
        self._wanted: dict[str, set[int]] = {}
        self._come: dict[str, dict[int, bytes]] = {}

    async def start(self) -> None:
        """Read what was found before and is not mended yet."""
        await self._reload()

    async def pause(self) -> None:
        """Wait until the next turn."""
        await asyncio.sleep(min(TURN_SECONDS, self._pause))

    async def turn(self) -> None:
        """Look at what projecting has stumbled over, and at the next stretch when it is due.

        Somebody may have put rows back from a backup, or taken a history back: that mends as well.
        """
        for code, position in await self._pool.fetch(sql.STUMBLED, PROJECTION, VERSION, GAP):
            async with self._pool.acquire() as connection, connection.transaction():
                await self._look(connection, code, position)
        stretches, since = (await self._pool.fetch(sql.PACE, sql.STRETCH))[0]
        self._pause = self._round_seconds / stretches
        if since >= self._pause:
            await self.step()
        await self._reload()
        await self._mend_complete(list(self._open))

    async def step(self) -> None:
        """Look at the stretch that comes next in the round, and keep where the round stands, in one transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            place = await connection.fetchrow(sql.PLACE)
            if place is None:
                return  # another process is at it
            found = await connection.fetchrow(sql.NEXT, place["log"], place["size"])
            if found is None:
                ROUND.set(await connection.fetchval(sql.COMPLETE))
                return
            code, start = found["log"], found["start"]
            await connection.execute(sql.MOVE, code, await self._look(connection, code, start))

    async def _look(self, connection: Connection, code: str, start: int) -> int:
        """Examine what follows a position and set aside what is wrong; return the size reached."""
        row = await connection.fetchrow(sql.LOCK_LOG, code)
        if row is None or start >= row["proven_size"]:
            return start
        stretch, end = await self._examine(connection, code, row["keys"], start, start + sql.STRETCH, {})
        for size in stretch.checkpoints:
            DAMAGES.inc()
            log.error("mirror_checkpoint_damaged", code=code, position=size)
        known = [range(*damage) for damage in await connection.fetch(sql.OPEN_OF, code)]
        for wrong in stretch.wrong:
            if not any(wrong.first < one.stop and one.start < wrong.beyond for one in known):
                await _set_aside(connection, code, wrong)
        if stretch.base.size == row["proven_size"] and stretch.base.to_bytes() != row["compact"]:
            await connection.execute(sql.MEND_RANGE, code, stretch.base.to_bytes())
            DAMAGES.inc()
            MENDED.inc()
            log.error("mirror_range_mended", code=code, position=stretch.base.size)
        return max(end, start + 1)

    async def _examine(
        self,
        connection: Connection,
        code: str,
        keys: Sequence[str],
        start: int,
        end: int,
        come: Mapping[int, bytes],
    ) -> tuple[Stretch, int]:
        """Examine a log from the checkpoint at or before a position, with what came for positions that it lacks.

        Returns the stretch, and where it ends if all of its checkpoints can be believed.
        """
        verifiers = verifiers_of(keys)
        rows: dict[int, Row] = {}
        stretch = Stretch(f"{self._federation}/{code}", verifiers, rows, CompactRange())
        for row in await connection.fetch(sql.BASES, code, start):
            before = Stored(*row.values())
            signed = stretch.opened(before)
            trusted = None if signed is None else trusted_range(before, signed)
            if trusted is not None:
                stretch.base = trusted
                break
        found = await connection.fetch(sql.UP_TO, code, stretch.base.size, end)
        checkpoints = [Stored(*row.values()) for row in found]
        if not checkpoints:
            stretch.checkpoints.append(end)  # the rows of checkpoints are gone
            return stretch, end
        for at, *row in await connection.fetch(sql.ROWS, code, stretch.base.size, checkpoints[-1].size):
            rows[at] = Row(*row)
        for at in come.keys() - rows.keys():
            rows[at] = Row(come[at], leaf_hash(come[at]))
        for checkpoint in checkpoints:
            stretch.take(checkpoint)
            await asyncio.sleep(0)  # a signature takes a tenth of a millisecond, and others wait for answers
        return stretch, checkpoints[-1].size

    async def _reload(self) -> None:
        await self._pool.execute(sql.TAKEN_BACK)
        found: dict[str, list[Damage]] = {}
        for row in await self._pool.fetch(sql.OPEN):
            found.setdefault(row["log"], []).append(Damage(*row))
        self._open = found
        self._wanted = {
            code: {at for one in damages for at in range(one.first, one.beyond)} for code, damages in found.items()
        }
        self._come = {code: come for code, come in self._come.items() if code in found}

    async def older_receipts(self) -> dict[str, bytes | None]:
        """Return for each log that is to be mended the receipt before its damage, None where there is none."""
        return {row["log"]: row["receipt"] for row in await self._pool.fetch(sql.OLDER_RECEIPTS)}

    async def overhear(self, messages: Sequence[RawMessage]) -> bool:
        """Take what comes again for positions that were set aside; return whether something was mended by it."""
        if not self._open:
            return False
        touched: set[str] = set()
        for message in messages:
            position = message.position
            if message.kind is Kind.ENTRY and position is not None and position in self._wanted.get(message.code, ()):
                self._come.setdefault(message.code, {})[position] = message.data  # the last bytes win (0041)
                touched.add(message.code)
        return await self._mend_complete(sorted(touched))

    async def _mend_complete(self, codes: Sequence[str]) -> bool:
        """Mend what is complete by now, of some logs; return whether something was mended."""
        attempts: list[bool] = []
        for code in codes:
            come = self._come.get(code, {})
            for damage in self._open.get(code, ()):
                have = sum(at in come for at in range(damage.first, damage.beyond))
                if damage.held + have >= damage.beyond - damage.first:
                    attempts.append(await self._mend(damage, come))
        if attempts:
            await self._reload()
        return any(attempts)

    async def _mend(self, damage: Damage, come: dict[int, bytes]) -> bool:
        """Put back what came, if the stretch then is what was signed, in one transaction.

        Otherwise forget what came, which may be junk, and set aside all that it was to be proven with.
        """
        code, first, beyond = damage.log, damage.first, damage.beyond
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(sql.LOCK_LOG, code)
            if row is None or beyond > row["proven_size"]:
                return False  # the history was taken back; the next turn sees how far
            end = max(beyond, first + sql.STRETCH)
            stretch, _ = await self._examine(connection, code, row["keys"], first, end, come)
            wrong = next((one for one in stretch.wrong if one.first < beyond and first < one.beyond), None)
            if wrong is not None or stretch.base.size < beyond:
                await self._not_mended(connection, damage, wrong, come)
                return False
            new = [(code, at, come[at], leaf_hash(come[at])) for at in range(first, beyond) if at in come]
            await connection.executemany(sql.PUT_BACK, new)
            await connection.execute(sql.MENDED, code, first, beyond)
            if await connection.fetchval(sql.WAS_FORGED, code, first, beyond):
                await connection.execute(sql.FORGET, code, first)
        MENDED.inc()
        log.warning("mirror_mended", code=code, position=first, count=beyond - first)
        return True

    async def _not_mended(
        self, connection: Connection, damage: Damage, wrong: Wrong | None, come: dict[int, bytes]
    ) -> None:
        others = [one for one in self._open[damage.log] if one != damage]
        if wrong is not None and any(wrong.first < one.beyond and one.first < wrong.beyond for one in others):
            return  # another part of the same stretch has still to come
        log.error("mirror_not_mended", code=damage.log, position=damage.first)
        for at in range(damage.first, damage.beyond):
            come.pop(at, None)
        if wrong is not None and (wrong.first, wrong.beyond) != (damage.first, damage.beyond):
            await _set_aside(connection, damage.log, wrong._replace(forged=False))


async def _set_aside(connection: Connection, code: str, wrong: Wrong) -> None:
    """Make a gap of what is wrong. If it may have been projected before it was found, forget what was projected."""
    for first in range(wrong.first, wrong.beyond, sql.STRETCH):
        await connection.execute(sql.SET_ASIDE, code, first, min(first + sql.STRETCH, wrong.beyond))
    if wrong.forged:
        await connection.execute(sql.FORGET, code, wrong.first)
    DAMAGES.inc()
    log.error("mirror_damaged", code=code, position=wrong.first, count=wrong.beyond - wrong.first)

"""Projecting: proven entries of many logs to rows, rows and cursors in one transaction.

Whatever is behind is taken at once, fairly shared between logs. A log with a fault stops alone: an entry that does
not fit halts it until the software knows better (retried at each start), an illegal one is evidence and quarantines
it, and one that is missing from the mirror halts it until it is there again. Each is loud, and the issuer's answers
are unknown from the same commit on.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
import msgspec
import structlog
from prometheus_client import Counter

from tomoni import times
from tomoni.database import Connection, Pool
from tomoni.events.jurisdiction import KeyRotated
from tomoni.history.certificates import CertificateRow, as_row
from tomoni.history.fold import Changes, Decoded, Fault, Prior, Stream, decode, fold, needs
from tomoni_federation.bulk import columns, execute_many, write_together
from tomoni_federation.mirror.evidence import accuse_entry
from tomoni_federation.mirror.tree import GAPS, MirrorGapError
from tomoni_federation.projections import sql
from tomoni_federation.watches.telling import tell_projected

log = structlog.get_logger()

BUDGET = 10_000
"""Entries taken in one transaction."""

STOPS = Counter("tomoni_federation_stops_total", "Times a log was stopped by one of its own entries; each is an alarm")


class Behind(NamedTuple):
    """Entries of a log that are to be folded, from `low` to before `high`, and what its cursor says of before."""

    log: str
    low: int
    high: int
    missing_unknown: bool


class _Found(NamedTuple):
    """What the mirror has of what is wanted: entries without a hole in them, and the first one missing, by log."""

    entries: dict[str, list[Decoded]]
    missing: dict[str, int]


class Projector:
    """Keeps the read model up with the mirror."""

    def __init__(
        self, pool: Pool, federation: str, *, budget: int = BUDGET, clock: Callable[[], datetime] = times.now
    ) -> None:
        self._pool = pool
        self._federation = federation
        self._budget = budget
        self._clock = clock
        self._behind = asyncio.Event()
        self._behind.set()
        self._in_doubt = True
        """Whether a step may have been committed that did not report, or there was none yet."""

    def notify(self) -> None:
        """Say that there may be more in the mirror."""
        self._behind.set()

    async def start(self) -> None:
        """Make the cursors that are missing; the next step gives logs that are halted another try by this version."""
        await self._pool.execute(sql.ENSURE_CURSORS, sql.PROJECTION, sql.VERSION)
        self._in_doubt = True

    async def wait(self, seconds: float) -> None:
        """Wait until somebody notified, or for some seconds: another process may have written."""
        try:
            async with asyncio.timeout(seconds):
                await self._behind.wait()
        except TimeoutError:
            pass
        self._behind.clear()

    async def catch_up(self) -> int:
        """Project until nothing is behind; return how many entries that were."""
        total = 0
        while (count := await self.step()) > 0:
            total += count
        return total

    async def step(self) -> int:
        """Project what is behind, up to the budget, in one transaction; return how many entries that were.

        The first step, and one after a step that did not end, takes up the logs that are halted, too: one may have been
        halted and not accused. It halts them anew in the same transaction, so that nobody sees them otherwise.
        """
        retry, self._in_doubt = self._in_doubt, True
        try:
            count, changes = await self._advance(retry=retry, new_too=False)
        except asyncpg.UniqueViolationError:
            # A log issues what it has issued already. Reading every row beforehand tells which one, and stops it alone.
            count, changes = await self._advance(retry=retry, new_too=True)
        _report(changes)
        await self._accuse(changes)
        self._in_doubt = False
        return count

    async def _advance(self, *, retry: bool, new_too: bool) -> tuple[int, list[Changes]]:
        async with self._pool.acquire() as connection, connection.transaction():
            if retry:
                await connection.execute(sql.ENSURE_CURSORS, sql.PROJECTION, sql.VERSION)
                await connection.execute(sql.RETRY_HALTED, sql.PROJECTION, sql.VERSION)
            rows = await connection.fetch(sql.BEHIND, sql.PROJECTION, sql.VERSION, sql.GAP)
            if not rows:
                return 0, []
            behind = share([Behind(*row) for row in rows], self._budget)
            count, changes = await fold_behind(connection, self._federation, behind, new_too=new_too)
            await write_changes(connection, changes)
            await tell_projected(connection, changes, self._clock())
        return count, changes

    async def _accuse(self, changes: Iterable[Changes]) -> None:
        """Store evidence against logs with an illegal entry, halted already.

        One that is halted no more was taken back to a size before that entry. One whose proof cannot be made, because
        the mirror lacks what it consists of, stays halted, and is accused once that is there again and it is retried.
        A transaction of its own, because intake locks a log before its cursor, and here the cursor was first. Whatever
        comes in between, the next step that retries comes here again.
        """
        for change in changes:
            if change.fault is None or not change.fault.illegal:
                continue
            async with self._pool.acquire() as connection, connection.transaction():
                if await connection.fetchval(sql.IS_HALTED, sql.PROJECTION, sql.VERSION, change.log):
                    try:
                        await accuse_entry(connection, change.log, change.fault.position)
                    except MirrorGapError as gap:
                        GAPS.inc()
                        log.error("mirror_gap", code=change.log, position=gap.position)


def _report(changes: Iterable[Changes]) -> None:
    for change in changes:
        if change.fault is not None:
            (GAPS if change.fault.reason == sql.GAP else STOPS).inc()
            log.error("log_stopped", code=change.log, position=change.fault.position, error=change.fault.reason)


def share(behind: Sequence[Behind], budget: int) -> list[Behind]:
    """Return what of it is within the budget: no log waits because another has a long history to catch up."""
    shares: list[Behind] = []
    left = budget
    by_need = sorted(behind, key=lambda one: one.high - one.low)
    for number, one in enumerate(by_need):
        part = min(one.high - one.low, max(1, left // (len(by_need) - number)))
        shares.append(one._replace(high=one.low + part))
        left = max(0, left - part)
    return shares


async def fold_behind(
    connection: Connection, federation: str, behind: Sequence[Behind], *, new_too: bool, version: str = sql.SERVING
) -> tuple[int, list[Changes]]:
    """Read entries from the mirror and what they touch from a version of the read model; return what they change.

    Returns how many entries were read, and the changes up to a fault. A log that the mirror has a gap in stops before
    it. With `new_too` what is issued is looked up, too.
    """
    entries, missing = await _read(connection, behind)
    missing_unknown = {one.log for one in behind if one.missing_unknown}
    priors = await _priors(connection, entries, missing_unknown, new_too=new_too, version=version)
    changes = [fold(code, f"{federation}/{code}", of_log, priors[code]) for code, of_log in entries.items()]
    changes += [Changes(code, position) for code, position in missing.items() if code not in entries]
    for change in changes:
        if change.log in missing and change.fault is None:
            change.fault = Fault(change.position, illegal=False, reason=sql.GAP)
    return sum(len(of_log) for of_log in entries.values()), changes


async def _read(connection: Connection, behind: Sequence[Behind]) -> _Found:
    wanted = [(one.log, one.low, one.high) for one in behind]
    rows = await connection.fetch(sql.ENTRIES, *columns(wanted))
    by_log: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for code, position, data in rows:
        by_log[code].append((position, data))
    missing: dict[str, int] = {}
    for code, low, high in wanted:
        entries = by_log[code]
        if len(entries) != high - low:
            missing[code] = next(
                (at for at, entry in enumerate(entries, low) if entry[0] != at),
                low + len(entries),
            )
            del entries[missing[code] - low :]
    if missing:  # a log may have been taken back while its cursor was waited for: then nothing is missing
        confirmed = await connection.fetch(sql.STILL_PROVEN, *columns(list(missing.items())))
        missing = {code: missing[code] for (code,) in confirmed}
    return _Found({code: decode(entries) for code, entries in by_log.items() if entries}, missing)


async def _priors(
    connection: Connection, entries: dict[str, list[Decoded]], missing_unknown: set[str], *, new_too: bool, version: str
) -> dict[str, Prior]:
    priors = {code: Prior(missing_unknown=code in missing_unknown) for code in entries}
    certificates: list[tuple[str, str]] = []
    documents: list[tuple[str, bytes]] = []
    streams: list[tuple[str, str]] = []
    for code, of_log in entries.items():
        touched = needs(of_log, new_too=new_too, missing_unknown=code in missing_unknown)
        certificates.extend((code, identity) for identity in touched[0])
        documents.extend((code, document) for document in touched[1])
        streams.extend((code, subject) for subject in touched[2])
    if certificates:
        for row in await connection.fetch(sql.of(sql.CERTIFICATES, version), *columns(certificates)):
            certificate = CertificateRow(*row.values())
            priors[certificate.log].certificates[certificate.certificate] = certificate
    rotated = [code for code, of_log in entries.items() if any(isinstance(e.event, KeyRotated) for e in of_log)]
    for code, keys in await connection.fetch(sql.KEYS, rotated) if rotated else ():
        priors[code].keys = {(from_size, key) for from_size, key in msgspec.json.decode(keys)}
    if documents:
        for code, document in await connection.fetch(sql.of(sql.DOCUMENTS, version), *columns(documents)):
            priors[code].documents.add(document)
    if streams:
        for code, subject, number, unknown in await connection.fetch(sql.of(sql.STREAMS, version), *columns(streams)):
            priors[code].streams[subject] = Stream(number, unknown)
    return priors


async def write_changes(connection: Connection, changes: Sequence[Changes], version: str = sql.SERVING) -> None:
    """Write changes and move the cursors of their logs, in a version of the read model; must run in a transaction."""
    new = [as_row(row) for change in changes for row in change.new_certificates.values()]
    changed = [as_row(row) for change in changes for row in change.changed_certificates.values()]
    documents = [(c.log, document, identity) for c in changes for document, identity in c.documents.items()]
    streams = [(c.log, subject, s.version, s.unknown) for c in changes for subject, s in c.streams.items()]
    arrangements = [row for change in changes for row in change.arrangements]
    if arrangements:  # arrays within arrays of different lengths cannot be unnested; there are few of them
        await connection.executemany(sql.of(sql.INSERT_ARRANGEMENT, version), arrangements)
    withdrawals = [row for change in changes for row in change.withdrawals]
    await execute_many(connection, sql.of(sql.WITHDRAW_ARRANGEMENTS, version), withdrawals)
    cursors = [
        (
            sql.PROJECTION,
            sql.VERSION,
            c.log,
            c.position,
            c.fault.reason if c.fault else None,
            c.unknown,
            c.missing_unknown,
        )
        for c in sorted(changes, key=lambda change: change.log)
    ]
    await execute_many(connection, sql.of(sql.UPDATE_CERTIFICATES, version), changed)
    await write_together(
        connection,
        (
            (sql.NEW_CERTIFICATES.in_schema(version), new),
            (sql.NEW_DOCUMENTS.in_schema(version), documents),
            (sql.NEW_POSITIONS.in_schema(version), [row for change in changes for row in change.positions]),
            (sql.of(sql.UPSERT_STREAMS, version), streams),
            (sql.of(sql.INSERT_MEMBERSHIPS, version), [row for change in changes for row in change.memberships]),
            (sql.of(sql.MOVE_CURSORS, version), cursors),
        ),
    )

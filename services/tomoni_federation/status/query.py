"""Reading documents with their freshness: one statement, hence one snapshot, for any number of requests at once."""

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg

from tomoni.database import Connection, Pool
from tomoni.history.status import Certificate, Document, IssuerView
from tomoni_federation.mirror.tree import SUBJECT, WHOLE
from tomoni_federation.projections.sql import PROJECTION, VERSION

WAITING: Final = f"""CASE WHEN c.position < l.proven_size AND c.halted IS NULL AND l.state <> 'quarantined' THEN
        CASE WHEN l.proven_size - c.position > 1000 THEN ARRAY[''] ELSE (
            SELECT CASE WHEN count(*) = l.proven_size - c.position THEN array_agg(DISTINCT {SUBJECT}) ELSE ARRAY[''] END
            FROM mirror.entry WHERE log = l.log AND position >= c.position AND position < l.proven_size AND {WHOLE}
        ) END
    END"""  # noqa: S608  # our own text
"""What the entries of a log `l` are about that are proven and that its cursor `c` has not come to; NULL where none are.

The empty text, every subject, where they are more than a portion of a relay, or one of them is missing or changed.
"""

LOOKUP: Final = """
SELECT 0 AS n, o.log, l.state, c.fresh_as_of, c.halted IS NOT NULL AS halted, c.unknown, c.missing_unknown,
    NULL AS kind, NULL::date AS certified_on, NULL::date AS conditional_until, NULL::date AS confirmed_on,
    NULL AS effect, NULL::date AS effective_on, NULL::boolean AS certificate_unknown,
    NULL::bigint AS first_position, NULL::bigint AS last_position, NULL::boolean AS current, l.taken_back_at,
    NULL::uuid AS certificate, {waiting} AS waiting
FROM (SELECT DISTINCT log FROM unnest((SELECT $3::text[])) AS log) AS o
LEFT JOIN LATERAL (SELECT log, state, proven_size, taken_back_at FROM mirror.log WHERE log = o.log LIMIT 1) AS l ON true
LEFT JOIN LATERAL (
    SELECT position, fresh_as_of, halted, unknown, missing_unknown FROM projection.cursor
    WHERE projection = $1 AND version = $2 AND log = o.log LIMIT 1
) AS c ON true
UNION ALL
SELECT w.n, w.log, NULL, NULL, NULL, NULL, NULL, k.kind, k.certified_on, k.conditional_until, k.confirmed_on,
    k.effect, k.effective_on, k.unknown, k.first_position, k.last_position, k.document = w.document, (
        SELECT since FROM mirror.affected WHERE log = w.log AND certificate = d.certificate LIMIT 1
    ), k.certificate, NULL
FROM unnest((SELECT $3::text[]), (SELECT $4::bytea[])) WITH ORDINALITY AS w (log, document, n)
CROSS JOIN LATERAL (
    SELECT certificate FROM projection.document WHERE log = w.log AND document = w.document LIMIT 1
) AS d
CROSS JOIN LATERAL (
    SELECT * FROM projection.certificate WHERE log = w.log AND certificate = d.certificate LIMIT 1
) AS k
""".replace("{waiting}", WAITING)
"""The issuers, each once (`n` is 0), and the documents that were found, by their place from 1.

Joined to one another they would be compared pair by pair: the plan that is kept expects ten of each. The arrays stand
in a SELECT so that the planner cannot count them: a plan for one document looks cheaper than the kept one, and the
server would make it anew at every execution, which takes longer than executing it.
"""

Key = tuple[str, bytes]
"""Issuer's code and document hash."""
Found = tuple[Document | None, IssuerView]


async def look_up(connection: Connection | Pool, keys: Sequence[Key]) -> list[Found]:
    """Return for each key what the read model has, all from one snapshot."""
    rows = await connection.fetch(LOOKUP, PROJECTION, VERSION, [key[0] for key in keys], [key[1] for key in keys])
    views = {row["log"]: issuer_of(row) for row in rows if row["n"] == 0}
    found: list[Found] = [(None, views[log]) for log, _ in keys]
    for row in rows:
        if (place := row["n"]) > 0:
            found[place - 1] = (_document(row, views[row["log"]]), views[row["log"]])
    return found


def issuer_of(row: asyncpg.Record) -> IssuerView:
    """Return an issuer of a row with what `IssuerView` has, `waiting` as `WAITING` gives it."""
    return IssuerView(
        state=row["state"],
        fresh_as_of=row["fresh_as_of"],
        halted=bool(row["halted"]),
        unknown=bool(row["unknown"]),
        missing_unknown=bool(row["missing_unknown"]),
        taken_back_at=row["taken_back_at"],
        waiting=frozenset(row["waiting"] or ()),
    )


def _document(row: asyncpg.Record, issuer: IssuerView) -> Document:
    certificate = Certificate(
        kind=row["kind"],
        certified_on=row["certified_on"],
        conditional_until=row["conditional_until"],
        confirmed_on=row["confirmed_on"],
        effect=row["effect"],
        effective_on=row["effective_on"],
        unknown=row["certificate_unknown"],
        first_position=row["first_position"],
        last_position=row["last_position"],
        taken_back_at=row["taken_back_at"],
    )
    waits = bool(issuer.waiting) and issuer.waits(f"certificate/{row['certificate']}")
    return Document(certificate=certificate, current=row["current"], waits=waits)


class Gatherer:
    """Asks the database for whatever waits, at once: requests that come together share one statement.

    Nobody waits for company: the first request goes at once, and those that come meanwhile go together as soon as one
    of the few lanes is free.
    """

    def __init__(self, pool: Pool, *, lanes: int = 2, most: int = 1_000) -> None:
        self._pool = pool
        self._lanes = lanes
        self._most = most
        self._waiting: list[tuple[Key, asyncio.Future[Found]]] = []
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: Key) -> Found:
        """Return what the read model has of one document; raise what the database raises."""
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._running < self._lanes:
            self._running += 1
            lane = asyncio.create_task(self._run())
            self._tasks.add(lane)
            lane.add_done_callback(self._tasks.discard)
        return await future

    async def _run(self) -> None:
        """Answer until nothing waits. A question that comes once nothing waits must find this lane gone."""
        try:
            await self._answer_all()
        finally:
            self._running -= 1  # a callback of the task would be too late by a turn of the loop

    async def _answer_all(self) -> None:
        """Answer over one connection: the pool's cleaning of it costs as much as a query."""
        while taken := self._take():
            try:
                async with self._pool.acquire() as connection:
                    while taken:
                        found = await look_up(connection, [key for key, _ in taken])
                        for (_, future), one in zip(taken, found, strict=True):
                            if not future.done():
                                future.set_result(one)
                        taken = self._take()
            except Exception as error:  # every waiting request must learn it
                for _, future in taken:
                    if not future.done():
                        future.set_exception(error)

    def _take(self) -> list[tuple[Key, asyncio.Future[Found]]]:
        taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        return taken

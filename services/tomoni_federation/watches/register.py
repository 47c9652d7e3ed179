"""The register of watches: whose they are, which documents they name, and the pages of their changes."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from tomoni.auth import Principal
from tomoni.database import Connection, Pool
from tomoni.problems import Kind as ProblemKind
from tomoni.problems import Problem, register
from tomoni_federation.bulk import columns
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.status.query import Key
from tomoni_federation.watches import sql
from tomoni_federation.watches.telling import News, Watched, tell, write

MOST_WATCHES: Final = 20
"""Watches of one owner."""
MOST_DOCUMENTS: Final = 50_000
"""Documents of one watch."""

Refusal = Literal[
    "handle-malformed",
    "jurisdiction-not-found",
    "out-of-reach",
    "reference-in-use",
    "reference-is-the-handle",
    "watch-full",
]
"""Why a document is not watched."""

register(
    {
        "changes-forgotten": ProblemKind(410, "The changes since are not kept"),
        "watches-full": ProblemKind(409, "There is no room for another watch"),
    }
)


class Owner(NamedTuple):
    """Whose a watch is: a token's subject, and the prefecture it is bound to; None: every issuer is in its reach."""

    subject: str
    prefecture: str | None

    def reaches(self, issuer: str) -> bool:
        """Tell whether documents of an issuer may be watched."""
        return self.prefecture is None or issuer[:2] == self.prefecture


def owner_of(principal: Principal) -> Owner:
    """Return as whom somebody owns watches; raise Problem for an aggregator of no prefecture."""
    if "verifier" in principal.scopes:
        return Owner(principal.subject, None)
    if principal.prefecture is None:
        raise Problem("forbidden", "An aggregator asks about its own prefecture only, and this token names none.")
    return Owner(principal.subject, principal.prefecture)


class Watch(NamedTuple):
    """A watch as its owner sees it."""

    id: uuid.UUID
    name: str
    created_at: datetime


class Change(NamedTuple):
    """What became of a document, by its watch's own number; `status` is None once it is not watched any more.

    Of the kind `issuer` it names no document, and `status` is how the issuer stands.
    """

    number: int
    kind: str
    reference: str | None
    issuer: str
    status: str | None
    reason: str | None
    fresh_as_of: datetime | None


class Page(NamedTuple):
    """Changes in order, and up to which number some had been forgotten when they were read."""

    changes: list[Change]
    forgotten: int


class Item(NamedTuple):
    """A document to watch by a reference: its key, or why it is refused."""

    reference: str
    key: Key | Refusal


class Register:
    """Keeps watches, each for its owner alone: to everybody else there is none."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime], *, most_documents: int = MOST_DOCUMENTS) -> None:
        self._pool = pool
        self._clock = clock
        self._most_documents = most_documents

    async def create(self, owner: Owner, name: str) -> Watch:
        """Make a watch, or return the owner's one of that name; raise Problem `watches-full`."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", owner.subject)
            owned = await self._of(connection, owner)
            if (known := next((watch for watch in owned if watch.name == name), None)) is not None:
                return known
            if len(owned) >= MOST_WATCHES:
                raise Problem("watches-full", f"A token's subject has {MOST_WATCHES} watches at most. Delete one.")
            watch = Watch(uuid.uuid4(), name, self._clock())
            await connection.execute(_CREATE, watch.id, *owner, watch.name, watch.created_at)
            return watch

    async def owned(self, owner: Owner) -> list[Watch]:
        """Return an owner's watches by name."""
        async with self._pool.acquire() as connection:
            return await self._of(connection, owner)

    async def delete(self, owner: Owner, watch: uuid.UUID) -> None:
        """Delete a watch with everything it holds; raise Problem `not-found`."""
        if await self._pool.fetchval(_DELETE, watch, *owner) is None:
            raise not_found()

    async def require(self, owner: Owner, watch: uuid.UUID) -> None:
        """Raise Problem `not-found` where a watch is not the owner's."""
        if await self._pool.fetchval(_IS_MINE, watch, *owner) is None:
            raise not_found()

    async def add(self, owner: Owner, watch: uuid.UUID, items: Sequence[Item]) -> list[Refusal | None]:
        """Watch documents; return for each why not, or None. What is watched already stays as it is.

        Raises Problem `not-found`. The cursors are locked first: a change of one of the documents is either in what
        is told here, or the projector sees the document watched.
        """
        keys = [item.key for item in items if not isinstance(item.key, str)]
        logs = sorted({log for log, _ in keys})
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_HOLD_CURSORS, PROJECTION, VERSION, logs)
            await self._lock(connection, owner, watch)
            results, new = await self._choose(connection, watch, items)
            if new:
                await connection.execute(_ADD_ISSUERS, logs)
                references = [reference for reference, _ in new]
                documents = [document for _, (_, document) in new]
                await connection.execute(_ADD, watch, references, [log for _, (log, _) in new], documents)
                await tell(connection, [Watched(watch, reference, log) for reference, (log, _) in new], self._clock())
        return results

    async def remove(self, owner: Owner, watch: uuid.UUID, references: Sequence[str]) -> None:
        """Watch documents no more, those that are watched; raise Problem `not-found`."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._lock(connection, owner, watch)
            gone = await connection.fetch(_REMOVE, watch, references)
            rows = [News(watch, "removed", row["reference"], row["log"], None, None, None) for row in gone]
            await write(connection, rows, self._clock())

    async def changes(
        self, owner: Owner, watch: uuid.UUID, after: int, limit: int, forgotten: int | None = None
    ) -> Page:
        """Return the changes after a number, in order; raise Problem `not-found`, or `changes-forgotten`.

        After 0 it is the newest change of every document and issuer, and the older ones that are kept. Who began there,
        and is still among numbers before the last that was forgotten, says with `forgotten` which one that was then: as
        long as it is the same nothing was missed.
        """
        rows = await self._pool.fetch(sql.CHANGES, watch, *owner, after, limit)
        if not rows:
            raise not_found()
        last, gone = rows[0]["last"], rows[0]["forgotten"]
        if after > last or (0 < after < gone and forgotten != gone):
            raise Problem("changes-forgotten", "Not all changes since are kept. Forget what you know; begin after 0.")
        return Page([Change(*row[2:]) for row in rows if row["number"] is not None], gone)

    @staticmethod
    async def _of(connection: Connection, owner: Owner) -> list[Watch]:
        return [Watch(*row) for row in await connection.fetch(_OWNED, *owner)]

    @staticmethod
    async def _lock(connection: Connection, owner: Owner, watch: uuid.UUID) -> None:
        if await connection.fetchval(_LOCK, watch, *owner) is None:
            raise not_found()

    async def _choose(
        self, connection: Connection, watch: uuid.UUID, items: Sequence[Item]
    ) -> tuple[list[Refusal | None], list[tuple[str, Key]]]:
        """Return for each item why it is refused, and those that are new."""
        asked = [(item.reference, *item.key) for item in items if not isinstance(item.key, str)]
        if not asked:
            return [item.key for item in items if isinstance(item.key, str)], []
        rows = await connection.fetch(_KNOWN, watch, *columns(asked))
        by_reference: dict[str, Key] = {row["reference"]: (row["log"], row["document"]) for row in rows}
        keys = set(by_reference.values())
        room = self._most_documents - await connection.fetchval(_HOW_MANY, watch)
        results: list[Refusal | None] = []
        new: list[tuple[str, Key]] = []
        for item in items:
            if isinstance(item.key, str):
                results.append(item.key)
            elif by_reference.get(item.reference) == item.key:
                results.append(None)
            elif item.reference in by_reference or item.key in keys:
                results.append("reference-in-use")
            elif len(new) >= room:
                results.append("watch-full")
            else:
                by_reference[item.reference] = item.key
                keys.add(item.key)
                new.append((item.reference, item.key))
                results.append(None)
        return results, new


def not_found() -> Problem:
    """Return the problem of a watch that is not there, or is somebody else's: nobody learns which."""
    return Problem("not-found", "You have no such watch. List yours, or make one.")


_MINE: Final = "id = $1 AND owner = $2 AND prefecture IS NOT DISTINCT FROM $3"
_IS_MINE: Final = f"SELECT true FROM watch.watch WHERE {_MINE}"  # noqa: S608
_LOCK: Final = f"SELECT true FROM watch.watch WHERE {_MINE} FOR UPDATE"  # noqa: S608
_DELETE: Final = f"DELETE FROM watch.watch WHERE {_MINE} RETURNING true"  # noqa: S608
_CREATE: Final = "INSERT INTO watch.watch (id, owner, prefecture, name, created_at) VALUES ($1, $2, $3, $4, $5)"
_OWNED: Final = """
SELECT id, name, created_at FROM watch.watch WHERE owner = $1 AND prefecture IS NOT DISTINCT FROM $2 ORDER BY name
"""
_HOLD_CURSORS: Final = """
SELECT log FROM projection.cursor WHERE projection = $1 AND version = $2 AND log = ANY($3::text[])
ORDER BY log FOR SHARE
"""
_KNOWN: Final = """
SELECT reference, log, document FROM watch.document WHERE watch = $1 AND reference = ANY($2::text[])
UNION
SELECT d.reference, d.log, d.document FROM unnest($3::text[], $4::bytea[]) AS w (log, document)
CROSS JOIN LATERAL (
    SELECT * FROM watch.document k WHERE k.log = w.log AND k.document = w.document AND k.watch = $1 LIMIT 1
) AS d
"""
_HOW_MANY: Final = "SELECT count(*) FROM watch.document WHERE watch = $1"
_ADD_ISSUERS: Final = """
INSERT INTO watch.issuer (log) SELECT log FROM unnest($1::text[]) AS n (log) ORDER BY log ON CONFLICT DO NOTHING
"""
_ADD: Final = """
INSERT INTO watch.document (watch, reference, log, document)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[])
"""
_REMOVE: Final = """
DELETE FROM watch.document WHERE watch = $1 AND reference = ANY($2::text[]) RETURNING reference, log
"""

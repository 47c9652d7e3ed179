"""Telling: what an answer would say of a watched document, compared with what was last told, and the difference kept.

The same comparison serves whoever may have changed something: the projector in its own transaction, a registration, and
the settler for what no entry says (a day that came, an issuer closed or opened). What it compares with stands in the
database, so it loses nothing, tells nothing twice, and also finds its way after a history was taken back. With the
documents it compares how their issuers stand: what is new of an issuer comes before what is new of its documents.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from asyncpg import Record
from msgspec.structs import replace

from tomoni.database import Connection
from tomoni.history.fold import Changes
from tomoni.history.status import Document, IssuerView, Reason, Status, decide
from tomoni.times import day_in_japan
from tomoni_federation.bulk import columns, execute_many
from tomoni_federation.status.query import Found, look_up
from tomoni_federation.status.standing import Standing, standing
from tomoni_federation.watches import sql

_ANY_AGE: Final = timedelta.max
"""That an issuer is not heard of is said once, of the issuer, and is no change of each of its documents."""


class Watched(NamedTuple):
    """A watched document: its watch, its reference there, its issuer."""

    watch: UUID
    reference: str
    log: str


class News(NamedTuple):
    """What is to be told of a document, or of an issuer, which has no reference and whose `status` is its standing."""

    watch: UUID
    kind: str
    reference: str | None
    log: str
    status: Status | Standing | None
    reason: Reason | None
    fresh_as_of: datetime | None


def view_of(issuer: IssuerView, now: datetime) -> str:
    """Return everything that is told of an issuer and its documents depends on, beside its certificates, as a text.

    Within a day nothing lapses, so neither how fresh it is within a day nor the time of day counts.
    """
    fresh = None if issuer.fresh_as_of is None else day_in_japan(issuer.fresh_as_of)
    return f"{standing(issuer, now)} {issuer.missing_unknown} {issuer.is_taken_back} {fresh} {day_in_japan(now)}"


async def tell_projected(connection: Connection, changes: Sequence[Changes], now: datetime) -> None:
    """Tell the watches what the entries just projected have changed; part of the projecting transaction."""
    watched = {row["log"] for row in await connection.fetch(sql.WATCHED, [change.log for change in changes])}
    if not watched:
        return
    certificates = [
        (change.log, certificate)
        for change in changes
        if change.log in watched
        for certificate in change.changed_certificates
    ]
    documents = [(change.log, document) for change in changes if change.log in watched for document in change.documents]
    rows = await connection.fetch(sql.AFFECTED, *_two(certificates), *_two(documents))
    await tell(connection, [Watched(*row) for row in rows], now)


async def tell(connection: Connection, documents: Sequence[Watched], now: datetime) -> None:
    """Tell what has become of some watched documents since it was last told; must run in a transaction."""
    if not documents:
        return
    await connection.execute(sql.LOCK_WATCHES, sorted({one.watch for one in documents}))
    logs = sorted({one.log for one in documents})
    settled = {row["log"]: row["view"] for row in await connection.fetch(sql.LOCK_ISSUERS, logs)}
    named = columns([(one.watch, one.reference) for one in documents])
    await execute_many(connection, sql.POINT, [tuple(row) for row in await connection.fetch(sql.WHOSE, *named)])
    rows = await connection.fetch(sql.TOLD, *named)
    found = [_as_read(*one) for one in await look_up(connection, [(row["log"], row["document"]) for row in rows])]
    issuers = {row["log"]: issuer for row, (_, issuer) in zip(rows, found, strict=True)}
    await write(connection, [*_of_issuers(rows, issuers, now), *_of_documents(rows, found, now)], now)
    strange = sorted(log for log, issuer in issuers.items() if view_of(issuer, now) != settled.get(log))
    if strange:  # should the view that the others were settled under come back, all must be looked at again
        await connection.execute(sql.UNSETTLE, strange)


def _as_read(document: Document | None, issuer: IssuerView) -> Found:
    """Return what is told of: what waits to be projected is told of by the transaction that projects it."""
    if not issuer.waiting:
        return document, issuer
    return document and replace(document, waits=False), replace(issuer, waiting=frozenset())


def _of_issuers(rows: Sequence[Record], issuers: Mapping[str, IssuerView], now: datetime) -> list[News]:
    """Return what is new of the issuers themselves, for each watch with one of the documents."""
    told = {(row["watch"], row["log"]): row["standing"] for row in rows}
    return [
        News(watch, "issuer", None, log, stands, None, issuers[log].fresh_as_of)
        for (watch, log), before in told.items()
        if (stands := standing(issuers[log], now)) != before
    ]


def _of_documents(rows: Sequence[Record], found: Sequence[Found], now: datetime) -> list[News]:
    """Return what is new of the documents, by issuer and in the order of their logs."""
    today = day_in_japan(now)
    told: list[tuple[str, int, News]] = []
    for row, (document, issuer) in zip(rows, found, strict=True):
        answer = decide(document, issuer, max_age=_ANY_AGE, now=now, on=today)
        if answer.status != row["told"]:
            kind = "snapshot" if row["told"] is None else "status"
            named = (row["watch"], kind, row["reference"], row["log"])
            news = News(*named, answer.status, answer.reason, issuer.fresh_as_of)
            told.append((row["log"], -1 if document is None else document.certificate.last_position, news))
    return [news for *_, news in sorted(told, key=lambda each: each[:2])]


async def write(connection: Connection, changes: Sequence[News], now: datetime) -> None:
    """Keep changes, numbered in their order; their watches are locked."""
    if changes:
        await connection.execute(sql.TELL, *columns(changes), now)
        await connection.execute(sql.NOTIFY)


def _two(rows: Iterable[tuple[str, object]]) -> list[list[object]]:
    """Return two columns, of no rows too."""
    kept = list(rows)
    return [[log for log, _ in kept], [value for _, value in kept]]

"""Telling: what an answer would say of a watched document, compared with what was last told, and the difference kept.

The same comparison serves whoever may have changed something: the projector in its own transaction, a registration, and
the settler for what no entry says (a day that came, an issuer closed or opened). What it compares with stands in the
database, so it loses nothing, tells nothing twice, and also finds its way after a history was taken back.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from tomoni.database import Connection
from tomoni.times import day_in_japan
from tomoni_federation.bulk import columns
from tomoni_federation.projections.fold import Changes
from tomoni_federation.status.decision import IssuerView, decide
from tomoni_federation.status.query import look_up
from tomoni_federation.watches import sql

_ANY_AGE: Final = timedelta.max
"""That an issuer is not heard of is said by `fresh_as_of`, and is no change of each of its documents."""


class Watched(NamedTuple):
    """A watched document: its watch, its reference there, its issuer."""

    watch: UUID
    reference: str
    log: str


def view_of(issuer: IssuerView, today: date) -> str:
    """Return everything that answers about an issuer's documents depend on, beside its certificates, as a text.

    Within a day nothing lapses, so neither how fresh it is within a day nor the time of day counts.
    """
    fresh = None if issuer.fresh_as_of is None else day_in_japan(issuer.fresh_as_of)
    return (
        f"{issuer.state is not None} {issuer.state == 'quarantined'} {issuer.halted} {issuer.unknown} "
        f"{issuer.missing_unknown} {fresh} {today}"
    )


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
    await connection.execute(sql.POINT, *named)
    rows = await connection.fetch(sql.TOLD, *named)
    found = await look_up(connection, [(row["log"], row["document"]) for row in rows])
    today = day_in_japan(now)
    told: list[tuple[str, int, tuple[object, ...]]] = []
    for row, (document, issuer) in zip(rows, found, strict=True):
        answer = decide(document, issuer, max_age=_ANY_AGE, now=now, on=today)
        if answer.status != row["told"]:
            kind = "snapshot" if row["told"] is None else "status"
            change = (
                row["watch"],
                kind,
                row["reference"],
                row["log"],
                answer.status,
                answer.reason,
                issuer.fresh_as_of,
            )
            told.append((row["log"], -1 if document is None else document.certificate.last_position, change))
    await write(connection, [change for *_, change in sorted(told, key=lambda each: each[:2])], now)
    views = {row["log"]: view_of(issuer, today) for row, (_, issuer) in zip(rows, found, strict=True)}
    strange = sorted(log for log, view in views.items() if view != settled.get(log))
    if strange:  # should the view that the others were settled under come back, all must be looked at again
        await connection.execute(sql.UNSETTLE, strange)


async def write(connection: Connection, changes: Sequence[tuple[object, ...]], now: datetime) -> None:
    """Keep changes, numbered in their order; their watches are locked."""
    if changes:
        await connection.execute(sql.TELL, *columns(changes), now)
        await connection.execute(sql.NOTIFY)


def _two(rows: Iterable[tuple[str, object]]) -> list[list[object]]:
    """Return two columns, of no rows too."""
    kept = list(rows)
    return [[log for log, _ in kept], [value for _, value in kept]]

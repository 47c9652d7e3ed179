"""What a decision needs as it was known at a time: the proven entries of then, folded as they were projected then.

Known of a log at a time is what the federation had given a receipt for. Of its own log it is what was decided by then.
Nothing that came later is looked at, but for where a subject stands in a log (docs/decisions/0062), and it was as fresh
as the heartbeats that had come by then made it (docs/decisions/0075).
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final, cast

import asyncpg

from tomoni import times
from tomoni.database import Connection, Pool
from tomoni.eventlog.reader import STREAM
from tomoni.events import decode_event
from tomoni.events import federation as f
from tomoni.history.admissions import Admission, evolve
from tomoni.history.known import Known, Past, Told, known_then
from tomoni.history.status import IssuerView
from tomoni_federation.mirror.tree import WHOLE
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.status.query import Key

_EXTENT: Final = """
SELECT coalesce(k.size, 0) AS size, greatest((
        SELECT max(h.as_of) FROM mirror.heartbeat h
        WHERE h.log = w.log AND h.proven AND h.size <= k.size AND h.heard_at <= $4), (
        SELECT f.as_of FROM mirror.first_heartbeat f
        WHERE f.log = w.log AND f.size <= k.size AND f.heard_at <= $4 ORDER BY f.size DESC LIMIT 1)) AS fresh_as_of,
    coalesce(c.position < k.size, false) AS halted,
    EXISTS (SELECT 1 FROM mirror.disowned d WHERE d.log = w.log AND d.disowned_at > $4) AS taken_back,
    (SELECT max(v.found_at) FROM mirror.evidence v WHERE v.log = w.log AND v.found_at <= $4) AS accused_at
FROM (SELECT $3::text COLLATE "C" AS log) AS w
LEFT JOIN LATERAL (
    SELECT size FROM mirror.checkpoint
    WHERE log = w.log AND receipt IS NOT NULL AND proven_at <= $4 ORDER BY size DESC LIMIT 1
) AS k ON true
LEFT JOIN projection.cursor c ON c.projection = $1 AND c.version = $2 AND c.log = w.log
"""
"""How far a log was known at a time, and how fresh that was, as far as it can still be told.

A log that is not projected so far, halted or on its way, counts as halted: where its subjects stand is not known yet,
and what is missing could be an end.
"""

_POSITIONS: Final = """
SELECT position FROM projection.position
WHERE log = $1 AND subject = ANY($2::text[]) AND position < $3
UNION
SELECT position FROM projection.position WHERE log = $1 AND unknown AND position < $3
"""

_POSITIONS_OF_DECLARATIONS: Final = """
SELECT position FROM projection.position
WHERE log = $1 AND (subject >= 'arrangement/' AND subject < 'arrangement0'
    OR subject >= 'network/' AND subject < 'network0' OR unknown) AND position < $2
"""

_ENTRIES: Final = f"""
SELECT position, data FROM mirror.entry
WHERE log = $1 AND position = ANY($2::bigint[]) AND {WHOLE} ORDER BY position
"""  # noqa: S608  # our own text

_CERTIFICATE: Final = """
SELECT c.certificate::text, c.first_position
FROM projection.document d JOIN projection.certificate c ON c.log = d.log AND c.certificate = d.certificate
WHERE d.log = $1 AND d.document = $2
"""


async def read_as_known(pool: Pool, key: Key, receiver: str, at: datetime) -> Known:
    """Read what `read` would have found at a time, from one snapshot."""
    issuer, document_hash = key
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        declaring = await _extent(connection, receiver, at)
        rows = await connection.fetch(_POSITIONS_OF_DECLARATIONS, receiver, declaring.size)
        await _replay(connection, receiver, declaring, {row["position"] for row in rows})
        names = declaring.networks_named()

        issuing = await _extent(connection, issuer, at)
        found = await connection.fetchrow(_CERTIFICATE, issuer, document_hash)
        subjects = [f"network/{name}" for name in names]
        first: set[int] = set()
        if found is not None:
            subjects.append(f"certificate/{found['certificate']}")
            first = {found["first_position"]} if found["first_position"] < issuing.size else first
        rows = await connection.fetch(_POSITIONS, issuer, subjects, issuing.size)
        await _replay(connection, issuer, issuing, first | {row["position"] for row in rows})
        told = await _told(connection, names, at)
    return known_then(key, receiver, issuing, declaring, told)


async def _extent(connection: Connection, log: str, at: datetime) -> Past:
    row = await connection.fetchrow(_EXTENT, PROJECTION, VERSION, log, at)
    row = cast("asyncpg.Record", row)
    view = IssuerView(
        state=await _state(connection, log, at, row["accused_at"]),
        fresh_as_of=row["fresh_as_of"],
        halted=row["halted"] or row["taken_back"],  # what was taken back since cannot be read as it was
    )
    return Past(view, row["size"])


async def _state(connection: Connection, log: str, at: datetime, accused_at: datetime | None) -> str | None:
    """Return whether a jurisdiction was admitted, by the federation's own log, or accused just before it says so."""
    admission, opened_at = Admission(code=log), None
    for _, event, time in await _decided(connection, f"jurisdiction/{log}", at):
        admission = evolve(admission, event)
        opened_at = time if isinstance(event, f.JurisdictionAdmitted | f.JurisdictionReadmitted) else opened_at
    accused = accused_at is not None and opened_at is not None and accused_at > opened_at
    return "quarantined" if accused else admission.state


async def _decided(connection: Connection, subject: str, at: datetime) -> list[tuple[int, Any, datetime]]:
    """Return position, event and time of what the federation had decided about a subject."""
    decided: list[tuple[int, Any, datetime]] = []
    for position, data in await connection.fetch(STREAM, subject):
        event = decode_event(data)
        if hasattr(event, "time") and (time := times.parse_time(cast("Any", event).time)) <= at:
            decided.append((position, event, time))
    return decided


async def _replay(connection: Connection, log: str, past: Past, positions: Collection[int]) -> None:
    """Fold the entries at these positions, whole streams of the log, as projecting folded them."""
    entries = await _entries(connection, log, positions)
    past.replay(log, entries, complete=len(entries) == len(positions))  # else the mirror lacks what was proven


async def _entries(connection: Connection, log: str, positions: Iterable[int]) -> list[tuple[int, bytes]]:
    rows = await connection.fetch(_ENTRIES, log, sorted(positions))
    return [(row["position"], row["data"]) for row in rows]


async def _told(connection: Connection, names: Iterable[str], at: datetime) -> Told:
    """Return what the federation had said about networks: charters, amendments and members accepted."""
    told = Told()
    for name in names:
        decided = await _decided(connection, f"network/{name}", at)
        told.hear(name, ((position, event) for position, event, _ in decided))
    return told

"""What a decision needs, read in one snapshot: the document, the receiver's declarations and the shared networks."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, NamedTuple, TypeVar

import asyncpg

from tomoni.database import Connection, Pool
from tomoni.history.arrangements import Arrangement
from tomoni.history.known import Known, Told
from tomoni.history.networks import Acceptance, Change, Charter
from tomoni.history.status import IssuerView
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.status.query import WAITING, Key, issuer_of, look_up

_RECEIVERS: Final = """
SELECT l.log, l.state, c.fresh_as_of, c.halted IS NOT NULL AS halted, c.unknown, c.missing_unknown, l.taken_back_at,
    {waiting} AS waiting
FROM mirror.log l JOIN projection.cursor c ON c.projection = $1 AND c.version = $2 AND c.log = l.log
WHERE l.log = ANY ($3::text[])
""".replace("{waiting}", WAITING)

K = TypeVar("K")
V = TypeVar("V")

_EACH: Final = """
SELECT a.*, coalesce(s.unknown, false) AS unknown
FROM projection.arrangement a
LEFT JOIN LATERAL (
    SELECT unknown FROM projection.stream
    WHERE log = a.log AND subject = 'arrangement/' || a.arrangement::text LIMIT 1
) AS s ON true
"""

ARRANGEMENTS: Final = _EACH + "WHERE a.log = $1 ORDER BY a.arrangement"

_NAMING: Final = (
    _EACH
    + """
WHERE a.log = ANY ($1::text[])
  AND (a.network IS NOT NULL OR a.codes && $2::text[] OR a.prefecture = ANY ($3::text[]) OR s.unknown)
ORDER BY a.arrangement
"""
)
"""Arrangements of receivers that may be about one of the issuers."""

_UNREADABLE: Final = """
SELECT DISTINCT s.log FROM projection.stream s WHERE s.log = ANY ($1::text[]) AND s.unknown AND (
    s.subject LIKE 'network/%' OR s.subject LIKE 'arrangement/%' AND NOT EXISTS (
        SELECT 1 FROM projection.arrangement a
        WHERE a.log = s.log AND 'arrangement/' || a.arrangement::text = s.subject))
"""

_CHARTERS: Final = """
SELECT c.network, c.effective_on, e.position, c.pattern, c.kinds, c.services, c.conditions
FROM projection.charter c JOIN log.entry e ON e.subject = 'network/' || c.network AND e.version = c.version
WHERE c.network = ANY($1::text[])
"""

_CHANGES: Final = """
SELECT network, log, effective_on, position, member FROM projection.membership
WHERE log = ANY($2::text[]) AND network = ANY($1::text[])
"""

_ACCEPTANCES: Final = """
SELECT a.network, a.member, a.effective_on, a.effective_until, e.position
FROM projection.acceptance a JOIN log.entry e ON e.subject = 'network/' || a.network AND e.version = a.version
WHERE a.network = ANY($1::text[]) AND a.member = ANY($2::text[])
"""

_UNCLEAR: Final = """
SELECT log, substr(subject, 9) AS network FROM projection.stream
WHERE log = ANY ($1::text[]) AND unknown AND subject LIKE 'network/%'
"""
"""Networks about which an issuer has said something that cannot be read: it may have left them, or joined."""


class Wanted(NamedTuple):
    """What a question is about: the document, the receiver, the day."""

    key: Key
    receiver: str
    on: date


async def read(pool: Pool, wanted: Sequence[Wanted]) -> list[Known]:
    """Read all that the questions need from one snapshot, in as many statements for a thousand of them as for one."""
    receivers = sorted({one.receiver for one in wanted})
    issuers = sorted({one.key[0] for one in wanted})
    prefectures = sorted({issuer[:2] for issuer in issuers})
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await look_up(connection, [one.key for one in wanted])
        views = await connection.fetch(_RECEIVERS, PROJECTION, VERSION, receivers)
        naming = await connection.fetch(_NAMING, receivers, issuers, prefectures)
        unreadable = {row["log"] for row in await connection.fetch(_UNREADABLE, receivers)}
        told = await _told(connection, sorted({row["network"] for row in naming if row["network"]}), issuers, receivers)
    view_of = {row["log"]: issuer_of(row) for row in views}
    unreadable |= {log for log, view in view_of.items() if view.waits_for("arrangement") or view.waits_for("network")}
    for one, (_, view) in zip(wanted, found, strict=True):
        if view.waiting:
            told.unclear.update((one.key[0], name) for name in told.charters if view.waits(f"network/{name}"))
    arrangements = _grouped((row["log"], to_arrangement(row)) for row in naming)
    return [
        Known(
            document=document,
            issuer=issuer,
            receiver=view_of.get(one.receiver, IssuerView(state=None)),
            arrangements=tuple(arrangements[one.receiver]),
            unreadable=one.receiver in unreadable,
            networks=told.networks(_names(arrangements[one.receiver]), one.key[0], one.receiver),
        )
        for one, (document, issuer) in zip(wanted, found, strict=True)
    ]


def _names(arrangements: Iterable[Arrangement]) -> list[str]:
    return sorted({one.network for one in arrangements if one.network is not None})


async def _told(connection: Connection, names: Sequence[str], issuers: Sequence[str], receivers: Sequence[str]) -> Told:
    told = Told()
    if not names:
        return told
    members = [*issuers, *receivers]
    for network, *terms in await connection.fetch(_CHARTERS, names):
        told.charters[network].append(_to_charter(*terms))
    for network, log, *change in await connection.fetch(_CHANGES, names, members):
        told.changes[network, log].append(Change(*change))
    for network, member, *acceptance in await connection.fetch(_ACCEPTANCES, names, members):
        told.acceptances[network, member].append(Acceptance(*acceptance))
    told.unclear.update((row["log"], row["network"]) for row in await connection.fetch(_UNCLEAR, issuers))
    return told


def _to_charter(  # the columns of a row
    effective_on: date,
    position: int,
    pattern: str,
    kinds: Iterable[str],
    services: Iterable[str],
    conditions: Iterable[str],
) -> Charter:
    """Return a charter of a row."""
    return Charter(effective_on, position, pattern, frozenset(kinds), frozenset(services), tuple(conditions))


def _grouped(pairs: Iterable[tuple[K, V]]) -> defaultdict[K, list[V]]:
    groups: defaultdict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups


def to_arrangement(row: asyncpg.Record) -> Arrangement:
    """Return an arrangement of a row of `ARRANGEMENTS`."""
    return Arrangement(
        id=str(row["arrangement"]),
        position=row["position"],
        pattern=row["pattern"],
        codes=frozenset(row["codes"]),
        prefecture=row["prefecture"],
        network=row["network"],
        kinds=frozenset(row["kinds"]),
        services=frozenset(row["services"]),
        effective_from=row["effective_from"],
        effective_until=row["effective_until"],
        withdrawn_on=row["withdrawn_on"],
        withdrawn_position=row["withdrawn_position"],
        conditions=tuple(row["conditions"]),
        precedence=row["precedence"],
        keeps_recognised=row["keeps_recognised"],
        unknown=row["unknown"],
    )

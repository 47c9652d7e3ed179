"""What a decision needs, read in one snapshot: the document, the receiver's declarations and the shared networks."""

from datetime import date
from typing import Final, NamedTuple

import asyncpg

from tomoni.database import Pool
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.recognition.decision import Arrangement
from tomoni_federation.status.decision import Document, IssuerView
from tomoni_federation.status.query import Key, look_up

_RECEIVER: Final = """
SELECT l.state, c.fresh_as_of, c.halted IS NOT NULL AS halted, c.unknown
FROM mirror.log l JOIN projection.cursor c ON c.projection = $1 AND c.version = $2 AND c.log = l.log
WHERE l.log = $3
"""

ARRANGEMENTS: Final = """
SELECT a.*, coalesce(s.unknown, false) AS unknown
FROM projection.arrangement a
LEFT JOIN projection.stream s ON s.log = a.log AND s.subject = 'arrangement/' || a.arrangement::text
WHERE a.log = $1 ORDER BY a.arrangement
"""

_UNREADABLE: Final = """
SELECT EXISTS (
    SELECT 1 FROM projection.stream s WHERE s.log = $1 AND s.unknown AND (
        s.subject LIKE 'network/%' OR s.subject LIKE 'arrangement/%' AND NOT EXISTS (
            SELECT 1 FROM projection.arrangement a
            WHERE a.log = s.log AND 'arrangement/' || a.arrangement::text = s.subject)))
"""

_SHARED_NETWORKS: Final = """
WITH member AS (
    SELECT DISTINCT ON (m.log, m.network) m.log, m.network, m.member
    FROM projection.membership m WHERE m.log IN ($1, $2) AND m.effective_on <= $3
    ORDER BY m.log, m.network, m.effective_on DESC, m.position DESC
)
SELECT m.network FROM member m
WHERE m.member AND EXISTS (
    SELECT 1 FROM projection.acceptance a WHERE a.network = m.network AND a.member = m.log
      AND a.effective_on <= $3 AND (a.effective_until IS NULL OR $3 <= a.effective_until))
GROUP BY m.network HAVING count(*) = 2
"""
"""Networks that both are in on a day, by their own word and by the federation's."""


_UNCLEAR_NETWORKS: Final = """
SELECT substr(subject, 9) FROM projection.stream WHERE log = $1 AND unknown AND subject LIKE 'network/%'
"""
"""Networks about which the issuer has said something that cannot be read: it may have left them, or joined."""


class Known(NamedTuple):
    """Everything a decision is made from."""

    document: Document | None
    issuer: IssuerView
    receiver: IssuerView
    arrangements: tuple[Arrangement, ...]
    unreadable: bool
    shared_networks: frozenset[str]
    unclear_networks: frozenset[str]


async def read(pool: Pool, key: Key, receiver: str, on: date) -> Known:
    """Read all of it from one snapshot."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        ((document, issuer),) = await look_up(connection, [key])
        row = await connection.fetchrow(_RECEIVER, PROJECTION, VERSION, receiver)
        arrangements = await connection.fetch(ARRANGEMENTS, receiver)
        unreadable: bool = await connection.fetchval(_UNREADABLE, receiver)
        networks = await connection.fetch(_SHARED_NETWORKS, key[0], receiver, on)
        unclear = await connection.fetch(_UNCLEAR_NETWORKS, key[0])
    return Known(
        document=document,
        issuer=issuer,
        receiver=IssuerView(state=None) if row is None else IssuerView(**dict(row)),
        arrangements=tuple(to_arrangement(each) for each in arrangements),
        unreadable=unreadable,
        shared_networks=frozenset(each["network"] for each in networks),
        unclear_networks=frozenset(each[0] for each in unclear),
    )


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

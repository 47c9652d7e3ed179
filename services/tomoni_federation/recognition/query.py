"""What a decision needs, read in one snapshot: the document, the receiver's declarations and the shared networks."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, NamedTuple

import asyncpg

from tomoni.database import Connection, Pool
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.recognition.arrangements import Arrangement
from tomoni_federation.recognition.networks import Acceptance, Change, Charter, Network, Standing
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
    networks: Mapping[str, Network]


async def read(pool: Pool, key: Key, receiver: str) -> Known:
    """Read all of it from one snapshot."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        ((document, issuer),) = await look_up(connection, [key])
        row = await connection.fetchrow(_RECEIVER, PROJECTION, VERSION, receiver)
        arrangements = [to_arrangement(each) for each in await connection.fetch(ARRANGEMENTS, receiver)]
        unreadable: bool = await connection.fetchval(_UNREADABLE, receiver)
        networks = await _networks(connection, key[0], receiver, arrangements)
    return Known(
        document=document,
        issuer=issuer,
        receiver=IssuerView(state=None) if row is None else IssuerView(**dict(row)),
        arrangements=tuple(arrangements),
        unreadable=unreadable,
        networks=networks,
    )


async def _networks(
    connection: Connection, issuer: str, receiver: str, arrangements: Iterable[Arrangement]
) -> dict[str, Network]:
    names = sorted({one.network for one in arrangements if one.network is not None})
    if not names:
        return {}
    told = Told()
    for network, *terms in await connection.fetch(_CHARTERS, names):
        told.charters[network].append(to_charter(*terms))
    for network, log, *change in await connection.fetch(_CHANGES, names, [issuer, receiver]):
        told.changes[network, log].append(Change(*change))
    for network, member, *acceptance in await connection.fetch(_ACCEPTANCES, names, [issuer, receiver]):
        told.acceptances[network, member].append(Acceptance(*acceptance))
    told.unclear.update(row[0] for row in await connection.fetch(_UNCLEAR, issuer))
    return told.networks(names, issuer, receiver)


class Told:
    """What was said about networks, collected."""

    def __init__(self) -> None:
        self.charters: defaultdict[str, list[Charter]] = defaultdict(list)
        self.changes: defaultdict[tuple[str, str], list[Change]] = defaultdict(list)
        self.acceptances: defaultdict[tuple[str, str], list[Acceptance]] = defaultdict(list)
        self.unclear: set[str] = set()

    def networks(self, names: Iterable[str], issuer: str, receiver: str) -> dict[str, Network]:
        """Return each network as an answer about an issuer and a receiver needs it."""
        return {
            name: Network(
                charters=tuple(self.charters[name]),
                issuer=self._standing(name, issuer),
                receiver=self._standing(name, receiver),
                unclear=name in self.unclear,
            )
            for name in names
        }

    def _standing(self, name: str, log: str) -> Standing:
        return Standing(changes=tuple(self.changes[name, log]), acceptances=tuple(self.acceptances[name, log]))


def to_charter(  # the columns of a row
    effective_on: date,
    position: int,
    pattern: str,
    kinds: Iterable[str],
    services: Iterable[str],
    conditions: Iterable[str],
) -> Charter:
    """Return a charter of what a row, or an event, says."""
    return Charter(effective_on, position, pattern, frozenset(kinds), frozenset(services), tuple(conditions))


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

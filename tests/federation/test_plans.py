"""No hot read goes through a big table from end to end, or compares all with all, however many keys it is asked for.

The database has every jurisdiction's log and so many rows that the planner has a choice: a scan would often look
cheaper to it, and be a hundred times slower once the tables are as big as a country's.
"""

import uuid
from datetime import UTC, date, datetime

import asyncpg
import pytest

from tests.databases import copied
from tests.plans import compared_pairwise, plan_nodes, read_whole
from tomoni.eventlog.reader import STREAM
from tomoni_federation.auditing import sql as auditing
from tomoni_federation.intake import sql as intake
from tomoni_federation.mirror import tree
from tomoni_federation.projections import sql as projection
from tomoni_federation.recognition import history, query
from tomoni_federation.statistics import sql as statistics
from tomoni_federation.status.query import LOOKUP
from tomoni_federation.watches import register
from tomoni_federation.watches import sql as watches

FILL = """
SET session_replication_role = replica;  -- what is made here refers to nothing that is not there
SET synchronous_commit = off;
CREATE FUNCTION pg_temp.code(n bigint) RETURNS text IMMUTABLE LANGUAGE sql RETURN lpad((n % 1788)::text, 6, '0');
CREATE FUNCTION pg_temp.id(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql RETURN lpad(n::text, 32, '0')::uuid;
CREATE FUNCTION pg_temp.hash(n bigint) RETURNS bytea IMMUTABLE LANGUAGE sql RETURN sha256(n::text::bytea);

INSERT INTO mirror.log (log, state, heartbeat_key, proven_size)
    SELECT pg_temp.code(n), 'open', 'key', 30 FROM generate_series(0, 1787) n;
INSERT INTO projection.cursor (projection, version, log, position, fresh_as_of)
    SELECT 'registry', 1, pg_temp.code(n), 30, now() FROM generate_series(0, 1787) n;
INSERT INTO mirror.entry SELECT pg_temp.code(n), n / 1788, repeat('e', 300)::bytea, pg_temp.hash(n)
    FROM generate_series(0, 19999) n;
INSERT INTO mirror.checkpoint
    SELECT pg_temp.code(n), 1 + n / 1788, pg_temp.hash(n), 'note', 'receipt', now(), pg_temp.hash(n)
    FROM generate_series(0, 19999) n;
INSERT INTO mirror.heartbeat SELECT pg_temp.code(n), 1 + n / 1788, now(), 'note', true
    FROM generate_series(0, 19999) n;
INSERT INTO mirror.provisional SELECT pg_temp.code(n), n / 1788, repeat('e', 300)::bytea
    FROM generate_series(0, 19999) n;

INSERT INTO projection.certificate
    SELECT pg_temp.code(n), pg_temp.id(n), 1, 'partnership', pg_temp.hash(n), '2026-04-01', NULL, NULL, NULL, NULL,
        false, n / 1788, n / 1788
    FROM generate_series(0, 19999) n;
INSERT INTO projection.document SELECT log, document, certificate FROM projection.certificate;
INSERT INTO projection.stream
    SELECT log, 'arrangement/' || certificate, 1, false FROM projection.certificate;
INSERT INTO projection.position SELECT log, 'certificate/' || certificate, last_position, false
    FROM projection.certificate;
INSERT INTO projection.arrangement (log, arrangement, pattern, codes, prefecture, network, kinds, services,
    effective_from, conditions, precedence, keeps_recognised, position)
    SELECT pg_temp.code(n), pg_temp.id(n), 'E', '{}', lpad((n % 47 + 1)::text, 2, '0'), NULL, '{partnership}', '{}',
        '2026-04-01', '{}', 0, false, n / 1788
    FROM generate_series(0, 19999) n;
INSERT INTO projection.membership SELECT pg_temp.code(n), n / 1788, 'net-' || n % 20, true, '2026-04-01'
    FROM generate_series(0, 19999) n;
INSERT INTO projection.acceptance SELECT 'net-' || n % 20, pg_temp.code(n), '2026-04-01', NULL, n + 1
    FROM generate_series(0, 1787) n;
INSERT INTO projection.charter SELECT 'net-' || n, 1, '2026-04-01', 'E', '{}', '{}', '{}' FROM generate_series(0, 19) n;
INSERT INTO log.entry
    SELECT n, pg_temp.id(n), 0, 1 + n / 2500, 'network/net-' || n % 2500, pg_temp.hash(n), repeat('e', 300)::bytea
    FROM generate_series(0, 19999) n;

INSERT INTO watch.watch SELECT pg_temp.id(n), 'desk-' || n, NULL, 'housing', now(), 50, 0
    FROM generate_series(0, 999) n;
INSERT INTO watch.document
    SELECT pg_temp.id(n % 1000), 'case-' || n, log, document, certificate, 'valid', n / 1000 + 1
    FROM (SELECT row_number() OVER () AS n, * FROM projection.certificate) AS c;
INSERT INTO watch.change SELECT watch, 1 + n / 1000, 'status', reference, log, 'valid', NULL, now(), now()
    FROM (SELECT row_number() OVER () AS n, * FROM watch.document ORDER BY watch) AS d
    ON CONFLICT DO NOTHING;
INSERT INTO watch.standing SELECT DISTINCT watch, log, 'silent', 1 FROM watch.document;
INSERT INTO watch.issuer SELECT pg_temp.code(n), 'view', true FROM generate_series(0, 1787) n;
INSERT INTO statistics.cell
    SELECT lpad((n % 47 + 1)::text, 2, '0'), '2025-01-31'::date + (n / 47)::int, 'month', '131130', 'partnership',
        'certified', 10
    FROM generate_series(0, 19999) n;
VACUUM ANALYZE;
"""

BIG = {
    "log.entry",
    "mirror.checkpoint",
    "mirror.entry",
    "mirror.heartbeat",
    "mirror.provisional",
    "projection.arrangement",
    "projection.certificate",
    "projection.document",
    "projection.membership",
    "projection.position",
    "projection.stream",
    "statistics.cell",
    "watch.change",
    "watch.document",
    "watch.standing",
}
"""Tables that grow with what happens. The others have a row for each jurisdiction, network or watch."""

LOGS = [f"{number:06d}" for number in range(1_000)]
IDS = [uuid.UUID(f"{number:032d}") for number in range(1_000)]
HASHES = [bytes([number % 256]) * 32 for number in range(1_000)]
LOWS, HIGHS = [3] * 1_000, [9] * 1_000
CASES = [f"case-{number}" for number in range(1_000)]
SUBJECTS = [f"arrangement/{identity}" for identity in IDS]
NETWORKS = ["net-1", "net-2"]
PREFECTURES = ["13", "14"]
DAY, NOW = date(2026, 4, 1), datetime(2026, 11, 28, tzinfo=UTC)
READ_MODEL = (projection.PROJECTION, projection.VERSION)
OWNER = ("desk-1", None)

_TOLD = (IDS[1], "status", "case-1", LOGS[0], "valid", None, NOW)

HOT = {
    "status of one": (LOOKUP, *READ_MODEL, LOGS[:1], HASHES[:1]),
    "status of a thousand": (LOOKUP, *READ_MODEL, LOGS, HASHES),
    "status of a thousand of one issuer": (LOOKUP, *READ_MODEL, LOGS[:1] * 1_000, HASHES),
    "recognition: arrangements": (query._NAMING, LOGS[:1], LOGS[:1], PREFECTURES[:1]),
    "recognition of a thousand: arrangements": (query._NAMING, LOGS[:5], LOGS, PREFECTURES),
    "recognition: what cannot be read": (query._UNREADABLE, LOGS[:1]),
    "recognition: charters": (query._CHARTERS, NETWORKS),
    "recognition: memberships": (query._CHANGES, NETWORKS, LOGS[:2]),
    "recognition: acceptances": (query._ACCEPTANCES, NETWORKS, LOGS[:2]),
    "recognition: what is unclear": (query._UNCLEAR, LOGS[:1]),
    "arrangements of a receiver": (query.ARRANGEMENTS, LOGS[0]),
    "as known then: how far": (history._EXTENT, *READ_MODEL, LOGS[0], NOW),
    "as known then: positions": (history._POSITIONS, LOGS[0], SUBJECTS[:3], 20),
    "as known then: declarations": (history._POSITIONS_OF_DECLARATIONS, LOGS[0], 20),
    "as known then: entries": (history._ENTRIES, LOGS[0], [1, 2, 3]),
    "as known then: certificate": (history._CERTIFICATE, LOGS[0], HASHES[0]),
    "as known then: what was decided": (STREAM, "network/net-1"),
    "intake: provisional": (intake.PROVISIONAL, LOGS[:100]),
    "intake: heartbeats": (intake.AWAITED_HEARTBEATS, LOGS[:100]),
    "intake: freshness": (intake.FRESHEN, *READ_MODEL, LOGS[:100]),
    "intake: root": (intake.ROOT_AT, LOGS[0], 5),
    "intake: longer and proven": (intake.LONGER_PROVEN_AT, LOGS[0], 5),
    "intake: receipts of all": (intake.LATEST_RECEIPTS, None),
    "intake: nearest range": (tree._NEAREST, LOGS[0], 9),
    "intake: leaves": (tree._LEAVES, LOGS[0], 3, 9),
    "projector: what is behind": (projection.BEHIND, *READ_MODEL, projection.GAP),
    "projector: entries": (projection.ENTRIES, LOGS, LOWS, HIGHS),
    "projector: certificates": (projection.CERTIFICATES, LOGS, IDS),
    "projector: documents": (projection.DOCUMENTS, LOGS, HASHES),
    "projector: streams": (projection.STREAMS, LOGS, SUBJECTS),
    "projector: cursors": (
        projection.MOVE_CURSORS,
        [projection.PROJECTION] * 1_000,
        [projection.VERSION] * 1_000,
        LOGS,
        HIGHS,
        [None] * 1_000,
        [False] * 1_000,
        [False] * 1_000,
    ),
    "projector: certificates that change": (
        projection.UPDATE_CERTIFICATES,
        LOGS[:20],
        IDS[:20],
        *[[one] * 20 for one in (2, "partnership", HASHES[0], DAY, None, None, "ended", DAY, False, 1, 9)],
    ),
    "projector: watched issuers": (watches.WATCHED, LOGS),
    "projector: watched documents": (watches.AFFECTED, LOGS, IDS, LOGS, HASHES),
    "watch: whose documents": (watches.WHOSE, IDS, CASES),
    "watch: those that are new": (watches.POINT, IDS[:20], CASES[:20], IDS[:20]),
    "watch: what is told": (watches.TELL, *[[one] * 20 for one in _TOLD], NOW),
    "watch: what was told": (watches.TOLD, IDS, CASES),
    "watch: who is behind": (watches.NEWEST, IDS),
    "watch: a page of the feed": (watches.CHANGES, IDS[1], *OWNER, 10, 200),
    "watch: a page of an issuer": (watches.PAGE_OF_ISSUER, LOGS[0], HASHES[0], IDS[0], 1_000),
    "watch: what is known of a registration": (register._KNOWN, IDS[1], CASES, LOGS, HASHES),
    "watch: how many": (register._HOW_MANY, IDS[1]),
    "watch: no more": (register._REMOVE, IDS[1], CASES),
    "statistics: cells": (statistics.CELLS, "13", DAY),
    **{f"auditing: digests of {table}": (query, LOGS[0]) for table, query in auditing.DIGESTS.items()},
    **{f"auditing: rows of {table}": (query, LOGS[0], "00", "", 1_000) for table, query in auditing.ROWS.items()},
}
"""What → the statement and what it is asked with. Of updates it is a few rows: where thousands of rows are joined to a
table ten times as long, reading it is right, and an update's own table cannot be looked up one by one."""


@pytest.fixture(scope="module")
def country(postgres, template):
    """Give the connection string of a database with the rows of a country, made once."""
    with copied(postgres, template) as database:
        postgres.run_sql(FILL, database.name)
        yield database.owner_dsn


@pytest.mark.parametrize("name", HOT)
async def test_a_hot_read_goes_by_an_index_and_compares_nothing_pairwise(country, name):
    connection = await asyncpg.connect(country)
    try:
        nodes = await plan_nodes(connection, *HOT[name])
    finally:
        await connection.close()
    assert not read_whole(nodes) & BIG
    assert not compared_pairwise(nodes)

"""The statements of the read model: every write is one statement over arrays, whatever the number of rows.

Reads of rows that are about to change go through LATERAL … LIMIT 1: the planner cannot turn them into a scan of a
table of a million rows because ten thousand keys are asked for. Their arrays stand in a SELECT, out of the planner's
sight: it then makes their plan once, and not for each number of keys anew, which took longer than executing it.
"""

from typing import Final

from tomoni_federation.bulk import Into
from tomoni_federation.mirror.tree import WHOLE

PROJECTION: Final = "registry"
VERSION: Final = 1
SERVING: Final = "projection"
"""The schema of the version that answers are read from; the statements name it."""
GAP: Final = "the mirror lacks this entry, which was proven"
"""Why a log is halted whose next entry was removed or lost. It is never passed over: it could be an end."""


def of(statement: str, version: str) -> str:
    """Return a statement of the read model for the version in another schema."""
    return statement.replace(f"{SERVING}.", f"{version}.")


ENSURE_CURSORS: Final = """
INSERT INTO projection.cursor (projection, version, log)
SELECT $1, $2, l.log FROM mirror.log l ON CONFLICT DO NOTHING
"""

RETRY_HALTED: Final = """
UPDATE projection.cursor SET halted = NULL WHERE projection = $1 AND version = $2 AND log IN (
    SELECT log FROM projection.cursor WHERE projection = $1 AND version = $2 AND halted IS NOT NULL
    ORDER BY log FOR UPDATE)
"""

IS_HALTED: Final = """
SELECT halted IS NOT NULL FROM projection.cursor WHERE projection = $1 AND version = $2 AND log = $3
"""

BEHIND: Final = f"""
SELECT c.log, c.position AS low, l.proven_size AS high, c.missing_unknown
FROM projection.cursor c JOIN mirror.log l USING (log)
WHERE c.projection = $1 AND c.version = $2 AND c.position < l.proven_size AND l.state <> 'quarantined'
  AND (c.halted IS NULL OR c.halted = $3 AND (
    SELECT {WHOLE} FROM mirror.entry e WHERE e.log = c.log AND e.position = c.position))
ORDER BY c.log
FOR UPDATE OF c
"""  # noqa: S608  # our own text
"""A log that was halted for a gap goes on by itself once the entry is there again, with the bytes that were proven."""

STILL_PROVEN: Final = """
SELECT l.log FROM unnest($1::text[], $2::bigint[]) AS w (log, position)
JOIN mirror.log l ON l.log = w.log AND w.position < l.proven_size
"""

ENTRIES: Final = f"""
SELECT w.log, e.position, e.data
FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::bigint[])) AS w (log, low, high)
CROSS JOIN LATERAL (
    SELECT position, data FROM mirror.entry
    WHERE log = w.log AND position >= w.low AND position < w.high AND {WHOLE} ORDER BY position
) AS e
"""  # noqa: S608  # our own text

CERTIFICATES: Final = """
SELECT c.* FROM unnest((SELECT $1::text[]), (SELECT $2::uuid[])) AS w (log, certificate)
CROSS JOIN LATERAL (
    SELECT log, certificate::text, version, kind, document, certified_on, conditional_until, confirmed_on, effect,
        effective_on, unknown, first_position, last_position
    FROM projection.certificate k WHERE k.log = w.log AND k.certificate = w.certificate LIMIT 1
) AS c
"""

DOCUMENTS: Final = """
SELECT w.log, w.document FROM unnest((SELECT $1::text[]), (SELECT $2::bytea[])) AS w (log, document)
CROSS JOIN LATERAL (
    SELECT 1 FROM projection.document k WHERE k.log = w.log AND k.document = w.document LIMIT 1
) AS d
"""

STREAMS: Final = """
SELECT s.* FROM unnest((SELECT $1::text[]), (SELECT $2::text[])) AS w (log, subject)
CROSS JOIN LATERAL (
    SELECT log, subject, version, unknown FROM projection.stream k
    WHERE k.log = w.log AND k.subject = w.subject LIMIT 1
) AS s
"""

NEW_CERTIFICATES: Final = Into(
    "projection.certificate",
    "log, certificate, version, kind, document, certified_on, conditional_until, confirmed_on, effect, effective_on, "
    "unknown, first_position, last_position",
    "text, uuid, integer, text, bytea, date, date, date, text, date, boolean, bigint, bigint",
)

NEW_DOCUMENTS: Final = Into("projection.document", "log, document, certificate", "text, bytea, uuid")

NEW_POSITIONS: Final = Into("projection.position", "log, subject, position, unknown", "text, text, bigint, boolean")

UPDATE_CERTIFICATES: Final = """
UPDATE projection.certificate c SET version = n.version, document = n.document, certified_on = n.certified_on,
    conditional_until = n.conditional_until, confirmed_on = n.confirmed_on, effect = n.effect,
    effective_on = n.effective_on, unknown = n.unknown, last_position = n.last_position
FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::text[], $5::bytea[], $6::date[], $7::date[], $8::date[],
    $9::text[], $10::date[], $11::boolean[], $12::bigint[], $13::bigint[])
    AS n (log, certificate, version, kind, document, certified_on, conditional_until, confirmed_on, effect,
        effective_on, unknown, first_position, last_position)
WHERE c.log = n.log AND c.certificate = n.certificate
"""

UPSERT_STREAMS: Final = """
INSERT INTO projection.stream (log, subject, version, unknown)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::boolean[])
ON CONFLICT (log, subject) DO UPDATE SET version = excluded.version, unknown = excluded.unknown
"""

INSERT_ARRANGEMENT: Final = """
INSERT INTO projection.arrangement (log, arrangement, pattern, codes, prefecture, network, kinds, services,
    effective_from, effective_until, conditions, precedence, keeps_recognised, position)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""

WITHDRAW_ARRANGEMENTS: Final = """
UPDATE projection.arrangement a SET withdrawn_on = n.withdrawn_on, withdrawn_position = n.position
FROM unnest($1::text[], $2::uuid[], $3::date[], $4::bigint[]) AS n (log, arrangement, withdrawn_on, position)
WHERE a.log = n.log AND a.arrangement = n.arrangement
"""

KEYS: Final = """
SELECT log, jsonb_agg(jsonb_build_array(from_size, log_key))::text FROM mirror.key
WHERE log = ANY($1::text[]) GROUP BY log
"""
"""Intake has taken each key that an entry announces and that was not used before."""

INSERT_MEMBERSHIPS: Final = """
INSERT INTO projection.membership (log, position, network, member, effective_on)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[], $5::date[])
"""

MOVE_CURSORS: Final = """
UPDATE projection.cursor c SET position = n.position, halted = n.halted, unknown = c.unknown OR n.unknown,
    missing_unknown = c.missing_unknown OR n.missing_unknown,
    fresh_as_of = greatest(c.fresh_as_of, (
        SELECT max(h.as_of) FROM mirror.heartbeat h WHERE h.log = c.log AND h.proven AND h.size <= n.position),
        CASE WHEN c.fresh_as_of IS NULL AND n.position = (SELECT proven_size FROM mirror.log WHERE log = c.log) THEN (
            SELECT as_of FROM mirror.first_heartbeat
            WHERE log = c.log AND size <= n.position ORDER BY size DESC LIMIT 1) END)
FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::text[], $6::boolean[], $7::boolean[])
    AS n (projection, version, log, position, halted, unknown, missing_unknown)
WHERE c.projection = n.projection AND c.version = n.version AND c.log = n.log
"""
"""A history that was taken back is as fresh as it was when it had that size: later heartbeats went with the rest."""

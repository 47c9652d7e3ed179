"""The statements of intake: one for all logs of a batch, over arrays."""

from typing import Final

from tomoni_federation.bulk import Into

LOCK_LOGS: Final = "SELECT * FROM mirror.lock_logs($1::text[])"

PROVISIONAL: Final = "SELECT log, position, data FROM mirror.provisional WHERE log = ANY($1::text[])"
AWAITED: Final = "SELECT log, size, note FROM mirror.awaited_checkpoint WHERE log = ANY($1::text[])"
AWAITED_HEARTBEATS: Final = """
SELECT log, size, as_of, note FROM mirror.heartbeat
WHERE log = ANY($1::text[]) AND NOT proven ORDER BY log, size, as_of
"""

ENTRIES: Final = Into("mirror.entry", "log, position, data, leaf", "text, bigint, bytea, bytea")

CHECKPOINTS: Final = Into(
    "mirror.checkpoint",
    "log, size, root, note, compact, receipt, proven_at",
    "text, bigint, bytea, bytea, bytea, bytea, timestamptz",
)

GROW_LOGS: Final = """
UPDATE mirror.log l SET proven_size = n.size, compact = n.compact
FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS n (log, size, compact) WHERE l.log = n.log
"""

KEYS: Final = Into("mirror.key", "log, from_size, log_key", "text, bigint, text")

FORGET_AWAITED: Final = (
    "DELETE FROM mirror.awaited_checkpoint WHERE log = ANY($1::text[])",
    "DELETE FROM mirror.heartbeat WHERE log = ANY($1::text[]) AND NOT proven",
)

FORGET_PROVISIONAL: Final = """
DELETE FROM mirror.provisional p USING unnest($1::text[], $2::bigint[]) AS gone (log, position)
WHERE p.log = gone.log AND p.position = gone.position
"""

INSERT_PROVISIONAL: Final = """
INSERT INTO mirror.provisional (log, position, data) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
"""

INSERT_AWAITED: Final = """
INSERT INTO mirror.awaited_checkpoint (log, size, note) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
"""

INSERT_HEARTBEATS: Final = """
INSERT INTO mirror.heartbeat (log, size, as_of, note, proven, heard_at)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::bytea[], $5::boolean[], $6::timestamptz[])
ON CONFLICT (log, size, as_of) DO UPDATE SET proven = true, heard_at = excluded.heard_at
WHERE excluded.proven AND NOT mirror.heartbeat.proven
"""
"""It is heard when it is proven: before, it makes nothing fresh."""

INSERT_FIRST_HEARTBEATS: Final = """
INSERT INTO mirror.first_heartbeat (log, size, as_of, heard_at)
SELECT log, size, min(as_of), heard_at FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[])
    AS n (log, size, as_of, heard_at)
GROUP BY log, size, heard_at ON CONFLICT DO NOTHING
"""

LOCK_CURSORS: Final = """
SELECT log FROM projection.cursor WHERE projection = $1 AND version = $2 AND log = ANY($3::text[])
ORDER BY log FOR UPDATE
"""

FRESHEN: Final = """
UPDATE projection.cursor c SET fresh_as_of = greatest(c.fresh_as_of, (
    SELECT max(h.as_of) FROM mirror.heartbeat h WHERE h.log = c.log AND h.proven AND h.size <= c.position))
WHERE c.projection = $1 AND c.version = $2 AND c.log = ANY($3::text[])
"""
"""A heartbeat counts for answers once what it covers is projected; projecting runs the same when it arrives there."""

FORGET_HEARTBEATS: Final = """
DELETE FROM mirror.heartbeat h USING projection.cursor c
WHERE c.projection = $1 AND c.version = $2 AND h.log = ANY($3::text[]) AND c.log = h.log
  AND h.proven AND h.size <= c.position AND h.as_of < c.fresh_as_of
"""

LONGER_PROVEN_AT: Final = """
SELECT proven_at FROM mirror.checkpoint WHERE log = $1 AND size > $2 AND receipt IS NOT NULL ORDER BY size LIMIT 1
"""
"""Without a receipt a checkpoint may have come long after its size was proven."""

ROOT_AT: Final = "SELECT root FROM mirror.checkpoint WHERE log = $1 AND size = $2"

CHECKPOINT_AT: Final = "SELECT root, note FROM mirror.checkpoint WHERE log = $1 AND size = $2"

LATEST_RECEIPTS: Final = """
SELECT l.log, k.size, k.receipt FROM mirror.log l CROSS JOIN LATERAL (
    SELECT size, receipt FROM mirror.checkpoint
    WHERE log = l.log AND receipt IS NOT NULL ORDER BY size DESC LIMIT 1
) AS k WHERE $1::text[] IS NULL OR l.log = ANY($1)
"""
"""Of some logs, or of all (NULL)."""

"""The statements of scrubbing."""

from typing import Final

STRETCH: Final = 2_000
"""Entries looked at in one step; checkpoints are never further apart (`intake.assembly.MAX_AHEAD`)."""

PLACE: Final = "SELECT log, size FROM mirror.scrubbing FOR UPDATE SKIP LOCKED"
PACE: Final = """
SELECT (SELECT coalesce(sum(proven_size / $1 + 1), 1)::bigint FROM mirror.log WHERE proven_size > 0),
    extract(epoch FROM clock_timestamp() - looked_at)::float8
FROM mirror.scrubbing
"""
"""How many steps a round has, and the seconds since the last one."""

NEXT: Final = """
SELECT log, CASE WHEN log = $1 THEN $2::bigint ELSE 0 END AS start FROM mirror.log
WHERE proven_size > 0 AND (log > $1 OR log = $1 AND proven_size > $2) ORDER BY log LIMIT 1
"""
MOVE: Final = "UPDATE mirror.scrubbing SET log = $1, size = $2, looked_at = clock_timestamp()"
COMPLETE: Final = """
UPDATE mirror.scrubbing SET log = '', size = 0, looked_at = clock_timestamp()
RETURNING extract(epoch FROM looked_at)::float8
"""

STUMBLED: Final = """
SELECT c.log, c.position FROM projection.cursor c
WHERE c.projection = $1 AND c.version = $2 AND c.halted = $3 AND NOT EXISTS (
    SELECT 1 FROM mirror.damage d
    WHERE d.log = c.log AND d.mended_at IS NULL AND c.position >= d.first AND c.position < d.beyond)
"""

LOCK_LOG: Final = """
SELECT l.proven_size, l.compact, ARRAY(SELECT log_key FROM mirror.key k WHERE k.log = l.log) AS keys
FROM mirror.log l WHERE l.log = $1 FOR UPDATE OF l
"""
MEND_RANGE: Final = "UPDATE mirror.log SET compact = $2 WHERE log = $1"

BASES: Final = """
SELECT size, root, note, compact FROM mirror.checkpoint
WHERE log = $1 AND size <= $2 AND compact IS NOT NULL ORDER BY size DESC LIMIT 8
"""
"""The last one, and some before it: its own row may be wrong."""

UP_TO: Final = """
SELECT size, root, note, compact FROM mirror.checkpoint
WHERE log = $1 AND size > $2 AND size <= greatest($3::bigint, (
    SELECT min(size) FROM mirror.checkpoint WHERE log = $1 AND size > $2 AND size <= $3::bigint + 20000))
ORDER BY size
"""
ROWS: Final = """
SELECT position, data, leaf FROM mirror.entry WHERE log = $1 AND position >= $2 AND position < $3 ORDER BY position
"""

SET_ASIDE: Final = "SELECT mirror.set_aside($1, $2, $3)"
FORGET: Final = "SELECT projection.forget_beyond($1, $2)"

TAKEN_BACK: Final = """
UPDATE mirror.damage d SET mended_at = now() FROM mirror.log l
WHERE l.log = d.log AND d.mended_at IS NULL AND d.first >= l.proven_size
"""
OPEN: Final = """
SELECT d.log, d.first, e.beyond, (
    SELECT count(*) FROM mirror.entry WHERE log = d.log AND position >= d.first AND position < e.beyond) AS held
FROM mirror.damage d JOIN mirror.log l ON l.log = d.log
CROSS JOIN LATERAL (SELECT least(d.beyond, l.proven_size) AS beyond) AS e
WHERE d.mended_at IS NULL ORDER BY d.log, d.first
"""
OPEN_OF: Final = "SELECT first, beyond FROM mirror.damage WHERE log = $1 AND mended_at IS NULL"
OLDER_RECEIPTS: Final = """
SELECT d.log, (
    SELECT receipt FROM mirror.checkpoint k
    WHERE k.log = d.log AND k.size <= d.first AND k.receipt IS NOT NULL ORDER BY k.size DESC LIMIT 1) AS receipt
FROM (SELECT log, min(first) AS first FROM mirror.damage WHERE mended_at IS NULL GROUP BY log) AS d
"""

PUT_BACK: Final = """
INSERT INTO mirror.entry (log, position, data, leaf) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
"""Somebody may have put the same rows back from a backup meanwhile."""

MENDED: Final = """
UPDATE mirror.damage SET mended_at = now() WHERE log = $1 AND first >= $2 AND first < $3 AND mended_at IS NULL
"""
"""By where it begins: it may have ended beyond a size that its log was taken back to since."""
WAS_FORGED: Final = """
SELECT EXISTS (
    SELECT 1 FROM mirror.damaged d JOIN mirror.entry e USING (log, position)
    WHERE d.log = $1 AND d.position >= $2 AND d.position < $3
      AND d.leaf = sha256('\\x00'::bytea || d.data) AND d.data <> e.data)
"""
"""Whether other bytes stood there that looked as if they were proven: they may have been projected."""

"""The statements of watches.

Locks are taken in one order by everybody: cursors by log, then watches by id, then issuers by log. Whoever waited for a
lock reads in a statement of its own afterwards, which sees what the other has committed.
"""

from typing import Final

CHANNEL: Final = "tomoni_watch"
"""Tells followers that there may be something new."""

WATCHED: Final = "SELECT log FROM watch.issuer WHERE log = ANY($1::text[])"

AFFECTED: Final = """
SELECT d.watch, d.reference, w.log FROM unnest($1::text[], $2::uuid[]) AS w (log, certificate)
CROSS JOIN LATERAL (
    SELECT watch, reference FROM watch.document k WHERE k.log = w.log AND k.certificate = w.certificate OFFSET 0
) AS d
UNION
SELECT d.watch, d.reference, w.log FROM unnest($3::text[], $4::bytea[]) AS w (log, document)
CROSS JOIN LATERAL (
    SELECT watch, reference FROM watch.document k WHERE k.log = w.log AND k.document = w.document OFFSET 0
) AS d
"""
"""OFFSET 0 keeps the planner from scanning every watched document because ten thousand keys are asked for."""

LOCK_WATCHES: Final = "SELECT id FROM watch.watch WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE"

WHOSE: Final = """
SELECT w.watch, w.reference, p.certificate FROM unnest($1::uuid[], $2::text[]) AS w (watch, reference)
CROSS JOIN LATERAL (
    SELECT log, document, certificate FROM watch.document k
    WHERE k.watch = w.watch AND k.reference = w.reference LIMIT 1
) AS d
CROSS JOIN LATERAL (
    SELECT certificate FROM projection.document k WHERE k.log = d.log AND k.document = d.document LIMIT 1
) AS p
WHERE p.certificate IS DISTINCT FROM d.certificate
"""

POINT: Final = """
UPDATE watch.document d SET certificate = n.certificate
FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS n (watch, reference, certificate)
WHERE d.watch = n.watch AND d.reference = n.reference
"""
"""Remember whose documents they are: what is revoked is a certificate. Few of them are new, mostly none."""

TOLD: Final = """
SELECT d.watch, d.reference, d.log, d.document, d.told, coalesce(s.told, 'live') AS standing
FROM unnest($1::uuid[], $2::text[]) AS w (watch, reference)
CROSS JOIN LATERAL (
    SELECT * FROM watch.document k WHERE k.watch = w.watch AND k.reference = w.reference LIMIT 1
) AS d
LEFT JOIN LATERAL (SELECT told FROM watch.standing k WHERE k.watch = d.watch AND k.log = d.log LIMIT 1) AS s ON true
"""

TELL: Final = """
WITH numbered AS (
    SELECT n.*, w.last + row_number() OVER (PARTITION BY n.watch ORDER BY n.place) AS number
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
        WITH ORDINALITY AS n (watch, kind, reference, log, status, reason, fresh_as_of, place)
    JOIN watch.watch w ON w.id = n.watch
), counted AS (
    UPDATE watch.watch w SET last = n.last
    FROM (SELECT watch, max(number) AS last FROM numbered GROUP BY watch) AS n WHERE w.id = n.watch
), told AS (
    UPDATE watch.document d SET told = n.status, last = n.number
    FROM numbered n WHERE d.watch = n.watch AND d.reference = n.reference
), stood AS (
    INSERT INTO watch.standing (watch, log, told, last)
    SELECT watch, log, status, number FROM numbered WHERE kind = 'issuer'
    ON CONFLICT (watch, log) DO UPDATE SET told = excluded.told, last = excluded.last
)
INSERT INTO watch.change (watch, number, kind, reference, log, status, reason, fresh_as_of, at)
SELECT watch, number, kind, reference, log, status, reason, fresh_as_of, $8 FROM numbered
"""
"""Number changes in the order of the arrays, for each watch from where it is; the watches are locked."""

NOTIFY: Final = f"NOTIFY {CHANNEL}"

LOCK_ISSUERS: Final = "SELECT log, view FROM watch.issuer WHERE log = ANY($1::text[]) ORDER BY log FOR UPDATE"

UNSETTLE: Final = "UPDATE watch.issuer SET view = NULL, settled = false WHERE log = ANY($1::text[])"

ISSUERS: Final = """
SELECT i.log, i.view AS settled_as, i.settled, l.state, c.fresh_as_of, c.halted IS NOT NULL AS halted,
    coalesce(c.unknown, false) AS unknown, coalesce(c.missing_unknown, false) AS missing_unknown, l.taken_back_at
FROM watch.issuer i
LEFT JOIN mirror.log l ON l.log = i.log
LEFT JOIN projection.cursor c ON c.projection = $1 AND c.version = $2 AND c.log = i.log
ORDER BY i.log
"""

SETTLING: Final = "UPDATE watch.issuer SET view = $2, settled = false WHERE log = $1"
SETTLED: Final = "UPDATE watch.issuer SET settled = true WHERE log = $1 AND view = $2"

PAGE_OF_ISSUER: Final = """
SELECT document, watch, reference FROM watch.document
WHERE log = $1 AND (document, watch) > ($2, $3) ORDER BY document, watch LIMIT $4
"""

FORGET: Final = """
WITH gone AS (
    DELETE FROM watch.change c USING watch.watch w
    WHERE w.id = $1 AND c.watch = w.id AND c.number < w.last AND c.at < $2 AND NOT EXISTS (
        SELECT 1 FROM watch.document d WHERE d.watch = c.watch AND d.reference = c.reference AND d.last = c.number
        UNION ALL
        SELECT 1 FROM watch.standing s WHERE s.watch = c.watch AND s.log = c.log AND s.last = c.number)
    RETURNING c.number
)
UPDATE watch.watch w SET forgotten = greatest(w.forgotten, (SELECT max(number) FROM gone)) WHERE w.id = $1
"""
"""`greatest` passes over NULL. The newest change of a document or an issuer stays however old it is: together they are
the watch's state. So does the newest of all: who has read to the end is then past everything that was forgotten.
"""

CHANGES: Final = """
SELECT w.last, w.forgotten, c.number, c.kind, c.reference, c.log, c.status, c.reason, c.fresh_as_of
FROM watch.watch w
LEFT JOIN LATERAL (
    SELECT * FROM watch.change k WHERE k.watch = w.id AND k.number > $4 ORDER BY k.number LIMIT $5
) AS c ON true
WHERE w.id = $1 AND w.owner = $2 AND w.prefecture IS NOT DISTINCT FROM $3
ORDER BY c.number
"""
"""One snapshot: a page never ends before a number that is kept."""

NEWEST: Final = "SELECT id, last FROM watch.watch WHERE id = ANY($1::uuid[])"

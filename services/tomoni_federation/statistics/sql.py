"""The statements of the statistics: counting is set-based over the read model, reading touches what was published."""

from typing import Final

THRESHOLD: Final = "SELECT threshold FROM statistics.rule"

KEEP_THRESHOLD: Final = "INSERT INTO statistics.rule (threshold) VALUES ($1) ON CONFLICT DO NOTHING"

PREFECTURES: Final = """
SELECT p.prefecture, (SELECT max(month) FROM statistics.publication k WHERE k.prefecture = p.prefecture) AS last
FROM (SELECT DISTINCT left(log, 2) AS prefecture FROM mirror.log) AS p ORDER BY p.prefecture
"""

INSERT_PUBLICATION: Final = "INSERT INTO statistics.publication (prefecture, month) VALUES ($1, $2)"

INSERT_PARTS: Final = """
INSERT INTO statistics.part (prefecture, month, log, fresh_as_of, counted)
SELECT $3, $4, l.log, c.fresh_as_of, coalesce(
    l.state <> 'quarantined' AND c.halted IS NULL AND NOT c.unknown AND NOT c.missing_unknown AND c.fresh_as_of >= $5,
    false)
FROM mirror.log l
LEFT JOIN projection.cursor c ON c.projection = $1 AND c.version = $2 AND c.log = l.log
WHERE left(l.log, 2) = $3
"""
"""Complete enough is a log that was heard of after the month was over, and of which everything could be read."""

COUNT: Final = """
INSERT INTO statistics.counted (log, certificate, month, kind, conditional)
SELECT c.log, c.certificate, p.month, c.kind,
    coalesce(c.conditional_until >= p.month AND (c.confirmed_on IS NULL OR c.confirmed_on > p.month), false)
        AND (c.effective_on IS NULL OR c.effective_on > p.month)
FROM statistics.part p
JOIN projection.certificate c USING (log)
WHERE p.prefecture = $1 AND p.month = $2 AND p.counted
  AND c.certified_on <= p.month AND NOT c.unknown AND c.effect IS DISTINCT FROM 'void'
  AND NOT EXISTS (SELECT 1 FROM statistics.counted k WHERE k.log = c.log AND k.certificate = c.certificate)
"""
"""Void never existed, unless it was counted before that was known: then it ends (COUNT_ENDED)."""

MONTH: Final = """
SELECT k.log, k.kind, count(*) AS certified, count(*) FILTER (WHERE k.conditional) AS conditional
FROM statistics.part p
JOIN statistics.counted k ON k.log = p.log AND k.month = p.month
WHERE p.prefecture = $1 AND p.month = $2 AND p.counted
GROUP BY k.log, k.kind
"""

COUNT_ENDED: Final = """
UPDATE statistics.counted k SET ended_year = $3
FROM statistics.part p, projection.certificate c
WHERE p.prefecture = $1 AND p.month = $2 AND p.counted AND k.log = p.log AND k.ended_year IS NULL
  AND c.log = k.log AND c.certificate = k.certificate AND NOT c.unknown
  AND (c.effect = 'void' OR c.effective_on <= p.month OR c.confirmed_on IS NULL AND c.conditional_until < p.month)
"""
"""The year's last day is the first on which it does not count: ended. A mover's term ran out: ended as well."""

YEAR: Final = """
SELECT w.log, w.months, coalesce(k.certified, 0) AS certified, coalesce(k.ended, 0) AS ended,
    coalesce(s.shown, 0)::integer AS shown, coalesce(s.held, 0)::integer AS held,
    coalesce(s.before, 0)::integer AS before
FROM (
    SELECT log, count(*) AS months FROM statistics.part
    WHERE prefecture = $1 AND month BETWEEN $2 AND $3 AND counted GROUP BY log
) AS w
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE month BETWEEN $2 AND $3) AS certified,
        count(*) FILTER (WHERE ended_year = extract(year FROM $3::date)) AS ended
    FROM statistics.counted WHERE log = w.log
) AS k ON true
LEFT JOIN LATERAL (
    SELECT sum(at_least) FILTER (WHERE span = 'month' AND measure = 'certified' AND closes_on >= $2) AS shown,
        sum(at_least) FILTER (WHERE span = 'month' AND measure = 'conditional' AND closes_on = $3) AS held,
        sum(CASE measure WHEN 'ended' THEN -at_least ELSE at_least END)
            FILTER (WHERE span = 'year' AND closes_on < $2) AS before
    FROM statistics.cell WHERE prefecture = $1 AND closes_on <= $3 AND area = w.log
) AS s ON true
ORDER BY w.log
"""

INSERT_CELLS: Final = """
INSERT INTO statistics.cell (prefecture, closes_on, span, area, kind, measure, at_least)
SELECT * FROM unnest($1::text[], $2::date[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[])
"""

CELLS: Final = """
SELECT closes_on, span, area, kind, measure, at_least FROM statistics.cell
WHERE prefecture = $1 AND closes_on <= $2
ORDER BY closes_on, span, area, kind, measure
"""

PARTS: Final = """
SELECT p.log, p.counted, p.fresh_as_of, p.month,
    (SELECT min(o.month) FROM statistics.part o WHERE o.prefecture = p.prefecture AND o.log = p.log AND o.counted
        AND o.month <= p.month) AS counted_from
FROM statistics.part p
WHERE p.prefecture = $1 AND p.month = (
    SELECT max(month) FROM statistics.publication WHERE prefecture = $1 AND month <= $2)
ORDER BY p.log
"""
"""Who was admitted at the last publication that a day knows."""

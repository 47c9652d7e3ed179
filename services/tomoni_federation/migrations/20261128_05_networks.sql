-- The charters of networks, and where the federation's own log accepts each member.
-- depends: 20261128_04_lock_logs log-0001-entries

-- migrate: apply

-- The common terms of a network from a day on, charter and amendments; `version` is that of the network's stream in the
-- federation's own log, which names the entry.
CREATE TABLE projection.charter (
    network text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    effective_on date NOT NULL,
    pattern text NOT NULL,
    kinds text[] NOT NULL,
    services text[] NOT NULL,
    conditions text[] NOT NULL,
    PRIMARY KEY (network, version)
);

INSERT INTO projection.charter (network, version, effective_on, pattern, kinds, services, conditions)
SELECT substr(e.subject, 9), e.version, (t.data->>'effective_on')::date, t.data->>'pattern',
    ARRAY(SELECT jsonb_array_elements_text(t.data->'kinds')),
    ARRAY(SELECT jsonb_array_elements_text(t.data->'services')),
    ARRAY(SELECT jsonb_array_elements_text(t.data->'conditions'))
FROM log.entry e
CROSS JOIN LATERAL (SELECT convert_from(e.data, 'UTF8')::jsonb AS event) AS d
CROSS JOIN LATERAL (SELECT d.event->'data' AS data) AS t
WHERE e.subject LIKE 'network/%'
  AND d.event->>'type' IN ('jp.tomoni.network.chartered.v1', 'jp.tomoni.network.amended.v1');

ALTER TABLE projection.acceptance ADD COLUMN version integer;

UPDATE projection.acceptance a SET version = (
    SELECT max(e.version) FROM log.entry e
    CROSS JOIN LATERAL (SELECT convert_from(e.data, 'UTF8')::jsonb AS event) AS d
    WHERE e.subject = 'network/' || a.network AND d.event->>'type' = 'jp.tomoni.network.member-accepted.v1'
      AND d.event->'data'->>'member' = a.member AND (d.event->'data'->>'effective_on')::date = a.effective_on);

ALTER TABLE projection.acceptance ALTER COLUMN version SET NOT NULL;

-- migrate: rollback
ALTER TABLE projection.acceptance DROP COLUMN version;
DROP TABLE projection.charter;

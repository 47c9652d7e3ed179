-- Evidence in the form that `tomoni audit verify-evidence` reads, and of logs that shrink.
-- depends: 20261123_01_mirror

-- migrate: apply

-- The position of an illegal entry and its leaf hash, by which the entry is known whatever was written over it since.
-- Evidence of before stays as it was written, in a form of its own.
ALTER TABLE mirror.evidence ADD COLUMN position bigint, ADD COLUMN leaf bytea;
UPDATE mirror.evidence SET position = (convert_from(document, 'UTF8')::jsonb->>'position')::bigint,
    leaf = sha256('\x00'::bytea || decode(convert_from(document, 'UTF8')::jsonb->>'entry', 'base64'))
WHERE kind = 'entry';
ALTER TABLE mirror.evidence DROP CONSTRAINT evidence_kind_check;
UPDATE mirror.evidence SET kind = CASE kind WHEN 'checkpoints' THEN 'fork' ELSE 'illegal-entry' END;
ALTER TABLE mirror.evidence ADD CONSTRAINT evidence_kind_check
    CHECK (kind IN ('fork', 'shrinking', 'illegal-entry', 'repeated', 'missing'));

-- Logs whose heartbeats speak of fewer entries than one before: that one with its size, since when, and when the last
-- such was heard.
CREATE TABLE mirror.shrunk (
    log text COLLATE "C" PRIMARY KEY REFERENCES mirror.log,
    size bigint NOT NULL,
    before bytea NOT NULL,
    since timestamptz NOT NULL,
    heard_at timestamptz NOT NULL
);

-- migrate: rollback
DROP TABLE mirror.shrunk;
DELETE FROM mirror.evidence WHERE kind = 'shrinking';
ALTER TABLE mirror.evidence DROP CONSTRAINT evidence_kind_check;
UPDATE mirror.evidence SET kind = CASE kind WHEN 'fork' THEN 'checkpoints' ELSE 'entry' END;
ALTER TABLE mirror.evidence ADD CONSTRAINT evidence_kind_check CHECK (kind IN ('checkpoints', 'entry'));
ALTER TABLE mirror.evidence DROP COLUMN leaf, DROP COLUMN position;

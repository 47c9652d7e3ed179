-- Keep what was sighted on each subject apart: a receipt only the federation can publish, junk whoever has our seed
-- depends: 20261123_01_relay-receipts

-- migrate: apply

-- One row for each stream of the hub. In one row, junk on our own subject would wipe out what a receipt has told.
ALTER TABLE relay.sighting DROP COLUMN one;
ALTER TABLE relay.sighting ADD COLUMN stream text COLLATE "C" NOT NULL DEFAULT 'EVENTS'
    PRIMARY KEY CHECK (stream IN ('EVENTS', 'RECEIPTS'));
ALTER TABLE relay.sighting ALTER COLUMN stream DROP DEFAULT;

-- migrate: rollback

DELETE FROM relay.sighting WHERE stream <> 'EVENTS';
ALTER TABLE relay.sighting DROP COLUMN stream;
ALTER TABLE relay.sighting ADD COLUMN one boolean PRIMARY KEY DEFAULT true CHECK (one);

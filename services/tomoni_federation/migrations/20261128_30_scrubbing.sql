-- What was found wrong in the mirror long after it was proven, set aside and mended.
-- depends: 20261128_10_watches_of_what_was_taken_back

-- migrate: apply

-- Where the round stands that looks at every entry again: this log is as signed up to this size.
CREATE TABLE mirror.scrubbing (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    log text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    looked_at timestamptz NOT NULL
);
INSERT INTO mirror.scrubbing (log, size, looked_at) VALUES ('', 0, now());

-- Rows that were changed or gone: positions from `first` up to, and without, `beyond`.
CREATE TABLE mirror.damage (
    log text COLLATE "C" NOT NULL REFERENCES mirror.log,
    first bigint NOT NULL,
    beyond bigint NOT NULL,
    found_at timestamptz NOT NULL,
    mended_at timestamptz,
    CHECK (first < beyond),
    PRIMARY KEY (log, first, found_at)
);
CREATE INDEX damage_open ON mirror.damage (log) WHERE mended_at IS NULL;

-- What stood in them, kept for whoever finds out how it came there.
CREATE TABLE mirror.damaged (
    log text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    data bytea NOT NULL,
    leaf bytea NOT NULL,
    set_aside_at timestamptz NOT NULL
);
CREATE INDEX damaged_position ON mirror.damaged (log, position);

-- Move rows out of the history that are not what was signed, so that they are a gap: nothing is answered from them.
-- Runs as the owner: the running role cannot delete entries. It can put back what the log's key has signed by INSERT.
CREATE FUNCTION mirror.set_aside(of_log text, from_position bigint, before_position bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF before_position - from_position > 2000
        OR before_position > (SELECT proven_size FROM mirror.log WHERE log = of_log FOR UPDATE) THEN
        RAISE EXCEPTION 'a log is set aside within what is proven, and in small parts';
    END IF;
    INSERT INTO mirror.damage (log, first, beyond, found_at) VALUES (of_log, from_position, before_position, now());
    PERFORM set_config('tomoni.disowning', 'yes', true);
    INSERT INTO mirror.damaged (log, position, data, leaf, set_aside_at)
        SELECT log, position, data, leaf, now() FROM mirror.entry
        WHERE log = of_log AND position >= from_position AND position < before_position;
    DELETE FROM mirror.entry WHERE log = of_log AND position >= from_position AND position < before_position;
    PERFORM set_config('tomoni.disowning', 'no', true);
END $$;
REVOKE ALL ON FUNCTION mirror.set_aside(text, bigint, bigint) FROM PUBLIC;

-- migrate: rollback
DROP FUNCTION mirror.set_aside;
DROP TABLE mirror.damaged, mirror.damage, mirror.scrubbing;

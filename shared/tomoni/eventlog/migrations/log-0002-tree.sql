-- Keep the tree of the log: its tiles, its signed checkpoints and the latest heartbeat
-- depends: log-0001-entries

-- migrate: apply

-- How many entries the tiles cover. Its lock lets one process at a time integrate or sign.
CREATE TABLE log.tree (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL CHECK (size >= 0)
);

INSERT INTO log.tree (size) VALUES (0);

-- C2SP tlog-tiles: up to 256 hashes of subtrees of 256^level entries. Only the last tile of a level is partial.
CREATE TABLE log.tile (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    index bigint NOT NULL CHECK (index >= 0),
    hashes bytea NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
    PRIMARY KEY (level, index)
);

-- Hashes do not compress: do not try on every growth.
ALTER TABLE log.tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Every checkpoint that was ever signed, with the hashes of the tree's complete subtrees at that size, largest first.
CREATE TABLE log.checkpoint (
    size bigint PRIMARY KEY CHECK (size >= 0),
    note bytea NOT NULL,
    nodes bytea NOT NULL CHECK (length(nodes) = 32 * bit_count(size::bit(64))),
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE log.heartbeat (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL,
    time bigint NOT NULL,
    note bytea NOT NULL
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

CREATE TRIGGER kept BEFORE DELETE OR TRUNCATE ON log.tile
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

CREATE TRIGGER one_row BEFORE INSERT OR DELETE OR TRUNCATE ON log.tree
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

CREATE FUNCTION log.only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.level, NEW.index) IS DISTINCT FROM (OLD.level, OLD.index)
        OR length(NEW.hashes) <= length(OLD.hashes)
        OR substring(NEW.hashes FOR length(OLD.hashes)) <> OLD.hashes
    THEN
        RAISE EXCEPTION 'a tile only ever grows at its end' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER only_grows BEFORE UPDATE ON log.tile FOR EACH ROW EXECUTE FUNCTION log.only_grow();

ALTER TABLE log.checkpoint ENABLE ALWAYS TRIGGER append_only;

ALTER TABLE log.tile ENABLE ALWAYS TRIGGER kept;

ALTER TABLE log.tile ENABLE ALWAYS TRIGGER only_grows;

ALTER TABLE log.tree ENABLE ALWAYS TRIGGER one_row;

-- Called by the owner after migrating: what a role may do. A log is read by a reader (a relay); a writer also appends,
-- integrates and signs. Nobody but the owner may touch the entries and the head; a writer does by log.append only.
CREATE FUNCTION log.grant_reader(role name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA log TO %I', role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA log TO %I', role);
END
$$;

CREATE FUNCTION log.grant_writer(role name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM log.grant_reader(role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION log.append TO %I', role);
    EXECUTE format('GRANT UPDATE (size) ON log.tree TO %I', role);
    EXECUTE format('GRANT INSERT, UPDATE (hashes) ON log.tile TO %I', role);
    EXECUTE format('GRANT INSERT ON log.checkpoint TO %I', role);
    EXECUTE format('GRANT INSERT, UPDATE ON log.heartbeat TO %I', role);
END
$$;

REVOKE ALL ON FUNCTION log.grant_reader, log.grant_writer FROM PUBLIC;

-- migrate: rollback

DROP FUNCTION log.grant_writer, log.grant_reader;

DROP TABLE log.heartbeat, log.checkpoint, log.tile, log.tree;

DROP FUNCTION log.only_grow;

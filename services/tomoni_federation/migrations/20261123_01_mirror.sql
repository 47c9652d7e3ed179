-- The mirror: what every jurisdiction's log is proven to hold, and what has arrived and is not proven yet.
-- depends:

-- migrate: apply
CREATE SCHEMA mirror;

-- One row for each admitted log: how far it is proven. `compact` is the compact range of the proven size, the roots
-- of its complete subtrees. `state` follows the federation's own log; a contradiction closes it at once.
CREATE TABLE mirror.log (
    log text COLLATE "C" PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('open', 'suspended', 'quarantined')),
    heartbeat_key text NOT NULL,
    proven_size bigint NOT NULL DEFAULT 0 CHECK (proven_size >= 0),
    compact bytea NOT NULL DEFAULT ''
);

-- The log's keys: each signs checkpoints of sizes from `from_size` on, until the next. A retired key was replaced
-- by a readmission: its holder may be a thief, so what it signs accuses nobody.
CREATE TABLE mirror.key (
    log text COLLATE "C" NOT NULL REFERENCES mirror.log,
    from_size bigint NOT NULL,
    log_key text NOT NULL,
    retired boolean NOT NULL DEFAULT false,
    PRIMARY KEY (log, from_size, log_key)
);

-- Proven entries and nothing else: a row is here only if a signed checkpoint covers it. The running role may insert
-- and select; only mirror.disown() moves rows out, when a stolen key's suffix is disowned. `leaf` is the leaf hash as
-- it was proven: a row whose bytes are changed afterwards no longer has it, which names the row.
CREATE TABLE mirror.entry (
    log text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    data bytea NOT NULL,
    leaf bytea NOT NULL,
    PRIMARY KEY (log, position)
);

-- Checkpoints that were proven, with the receipt the federation gave for them.
CREATE TABLE mirror.checkpoint (
    log text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    note bytea NOT NULL,
    receipt bytea,
    proven_at timestamptz NOT NULL,
    PRIMARY KEY (log, size)
);

-- Bytes as they came, provisional until a checkpoint covers them: the last that came for a position. They may be junk.
CREATE TABLE mirror.provisional (
    log text COLLATE "C" NOT NULL REFERENCES mirror.log,
    position bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (log, position)
);

-- Checkpoints rightly signed whose entries have not all come.
CREATE TABLE mirror.awaited_checkpoint (
    log text COLLATE "C" NOT NULL REFERENCES mirror.log,
    size bigint NOT NULL,
    note bytea NOT NULL,
    PRIMARY KEY (log, size)
);

-- Heartbeats rightly signed; `as_of` is the earlier of the node's time and the time of arrival. They count once
-- their size and root are proven.
CREATE TABLE mirror.heartbeat (
    log text COLLATE "C" NOT NULL REFERENCES mirror.log,
    size bigint NOT NULL,
    as_of timestamptz NOT NULL,
    note bytea NOT NULL,
    proven boolean NOT NULL,
    PRIMARY KEY (log, size, as_of)
);

-- When each stream of the hub was made: another time means another stream, which counts from one again.
CREATE TABLE mirror.courier (
    stream text PRIMARY KEY,
    created text NOT NULL
);

-- Written to see whether writing works.
CREATE TABLE mirror.pulse (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    at timestamptz NOT NULL
);

-- Signed contradictions, as anybody can check them. `hash` names one in the federation's own log.
CREATE TABLE mirror.evidence (
    hash text PRIMARY KEY,
    log text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('checkpoints', 'entry')),
    document bytea NOT NULL,
    proven_size bigint NOT NULL,
    found_at timestamptz NOT NULL,
    recorded boolean NOT NULL DEFAULT false
);

-- What was proven under a key that was found stolen, moved out of the history and kept.
CREATE TABLE mirror.disowned (
    log text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    data bytea NOT NULL,
    disowned_at timestamptz NOT NULL
);

-- The running role has no right to change entries; this stops the owner's slips as well.
CREATE FUNCTION mirror.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('tomoni.disowning', true) = 'yes' AND TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the mirror is append-only: % is refused', TG_OP;
END $$;

CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON mirror.entry
    FOR EACH STATEMENT EXECUTE FUNCTION mirror.refuse_change();
ALTER TABLE mirror.entry ENABLE ALWAYS TRIGGER entries_stay;

-- Move what a log held from a size on out of its history. Runs as the owner: the running role cannot delete entries.
CREATE FUNCTION mirror.disown(of_log text, from_size bigint, size_compact bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF from_size > (SELECT proven_size FROM mirror.log WHERE log = of_log) THEN
        RAISE EXCEPTION 'a log cannot go on from a size that is not proven';
    END IF;
    PERFORM set_config('tomoni.disowning', 'yes', true);
    INSERT INTO mirror.disowned (log, position, data, disowned_at)
        SELECT log, position, data, now() FROM mirror.entry WHERE log = of_log AND position >= from_size;
    DELETE FROM mirror.entry WHERE log = of_log AND position >= from_size;
    PERFORM set_config('tomoni.disowning', 'no', true);
    DELETE FROM mirror.checkpoint WHERE log = of_log AND size > from_size;
    DELETE FROM mirror.provisional WHERE log = of_log;
    DELETE FROM mirror.awaited_checkpoint WHERE log = of_log;
    DELETE FROM mirror.heartbeat WHERE log = of_log AND (size > from_size OR NOT proven);
    DELETE FROM mirror.key WHERE log = of_log AND mirror.key.from_size > disown.from_size;
    UPDATE mirror.log SET proven_size = from_size, compact = size_compact WHERE log = of_log;
END $$;
REVOKE ALL ON FUNCTION mirror.disown(text, bigint, bytea) FROM PUBLIC;

-- migrate: rollback
DROP SCHEMA mirror CASCADE;

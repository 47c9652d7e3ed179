-- What left a history that was taken back is in doubt until its issuer is heard of; words of retired keys are kept.
-- depends: 20261128_11_first_heartbeats 20261128_20_versions

-- migrate: apply

-- When proven entries left the history last.
ALTER TABLE mirror.log ADD COLUMN taken_back_at timestamptz;

-- The certificates that such entries were about: an end may have been among them.
CREATE TABLE mirror.affected (
    log text COLLATE "C" NOT NULL,
    certificate uuid NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (log, certificate)
);

-- Checkpoints that a key has signed which speaks for the log no more, and that are not in its history. Its holder may be
-- a thief, so they accuse nobody.
CREATE TABLE mirror.retired_word (
    hash text PRIMARY KEY,
    log text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    log_key text NOT NULL,
    note bytea NOT NULL,
    found_at timestamptz NOT NULL
);
CREATE INDEX retired_word_log ON mirror.retired_word (log);

-- As before, and: the first heartbeats of sizes that are taken back go with them, or others would be taken for them.
CREATE OR REPLACE FUNCTION mirror.disown(of_log text, from_size bigint, size_compact bytea) RETURNS void
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
    DELETE FROM mirror.first_heartbeat WHERE log = of_log AND size > from_size;
    DELETE FROM mirror.key WHERE log = of_log AND mirror.key.from_size > disown.from_size;
    UPDATE mirror.log SET proven_size = from_size, compact = size_compact WHERE log = of_log;
END $$;

-- migrate: rollback
CREATE OR REPLACE FUNCTION mirror.disown(of_log text, from_size bigint, size_compact bytea) RETURNS void
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
DROP TABLE mirror.retired_word;
DROP TABLE mirror.affected;
ALTER TABLE mirror.log DROP COLUMN taken_back_at;

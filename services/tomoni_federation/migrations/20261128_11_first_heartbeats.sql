-- When heartbeats were heard, and the first of each size, so that it can be told how fresh a log was at a time.
-- depends: 20261128_04_lock_logs

-- migrate: apply

-- Of those that came before nobody knows when: they count from now on.
ALTER TABLE mirror.heartbeat ADD COLUMN heard_at timestamptz NOT NULL DEFAULT now();

-- Heartbeats go when a later one counts. The first that counted for a size stays, one for each proven size at most.
CREATE TABLE mirror.first_heartbeat (
    log text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    as_of timestamptz NOT NULL,
    heard_at timestamptz NOT NULL,
    PRIMARY KEY (log, size)
);

-- migrate: rollback
DROP TABLE mirror.first_heartbeat;
ALTER TABLE mirror.heartbeat DROP COLUMN heard_at;

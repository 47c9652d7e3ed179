-- The read model: rows made from proven entries, and how far each log is in them.
-- depends: 20261123_01_mirror

-- migrate: apply
CREATE SCHEMA projection;

-- One row for each log and version of the read model. It moves in the transaction that writes the log's rows, so
-- that rows and cursor always agree; freshness stands beside it, so that one snapshot has both.
CREATE TABLE projection.cursor (
    projection text NOT NULL,
    version integer NOT NULL,
    log text COLLATE "C" NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    fresh_as_of timestamptz,
    halted text,
    unknown boolean NOT NULL DEFAULT false,
    missing_unknown boolean NOT NULL DEFAULT false,
    PRIMARY KEY (projection, version, log)
);

CREATE TABLE projection.certificate (
    log text COLLATE "C" NOT NULL,
    certificate uuid NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    document bytea NOT NULL,
    certified_on date NOT NULL,
    conditional_until date,
    confirmed_on date,
    effect text,
    effective_on date,
    unknown boolean NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    PRIMARY KEY (log, certificate)
);

-- Every document ever issued, by the hash of code and handle.
CREATE TABLE projection.document (
    log text COLLATE "C" NOT NULL,
    document bytea NOT NULL,
    certificate uuid NOT NULL,
    PRIMARY KEY (log, document)
);

CREATE TABLE projection.arrangement (
    log text COLLATE "C" NOT NULL,
    arrangement uuid NOT NULL,
    pattern text NOT NULL,
    codes text[] NOT NULL,
    prefecture text,
    network text,
    kinds text[] NOT NULL,
    services text[] NOT NULL,
    effective_from date NOT NULL,
    effective_until date,
    withdrawn_on date,
    conditions text[] NOT NULL,
    precedence integer NOT NULL,
    keeps_recognised boolean NOT NULL,
    position bigint NOT NULL,
    withdrawn_position bigint,
    PRIMARY KEY (log, arrangement)
);

-- A jurisdiction's own word about a network, change by change: a member or none from a day on.
CREATE TABLE projection.membership (
    log text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    network text COLLATE "C" NOT NULL,
    member boolean NOT NULL,
    effective_on date NOT NULL,
    PRIMARY KEY (log, position)
);

-- The federation's word about a member, from its own log: without it joining is a town's own word alone.
CREATE TABLE projection.acceptance (
    network text COLLATE "C" NOT NULL,
    member text COLLATE "C" NOT NULL,
    effective_on date NOT NULL,
    effective_until date,
    PRIMARY KEY (network, member, effective_on)
);

-- The version of every stream that is not a certificate, and whether an event of an unknown type is about it.
CREATE TABLE projection.stream (
    log text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    unknown boolean NOT NULL,
    PRIMARY KEY (log, subject)
);

-- Forget what was made of a log if that goes beyond a size; it is projected anew from what the mirror still holds.
CREATE FUNCTION projection.forget_beyond(of_log text, size bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM 1 FROM projection.cursor c WHERE c.log = of_log FOR UPDATE;
    IF EXISTS (SELECT 1 FROM projection.cursor c WHERE c.log = of_log AND c.position > size) THEN
        DELETE FROM projection.certificate c WHERE c.log = of_log;
        DELETE FROM projection.document d WHERE d.log = of_log;
        DELETE FROM projection.arrangement a WHERE a.log = of_log;
        DELETE FROM projection.membership m WHERE m.log = of_log;
        DELETE FROM projection.stream s WHERE s.log = of_log;
        UPDATE projection.cursor c SET position = 0, fresh_as_of = NULL, unknown = false, missing_unknown = false
            WHERE c.log = of_log;
    END IF;
    UPDATE projection.cursor c SET halted = NULL WHERE c.log = of_log;
END $$;

-- migrate: rollback
DROP SCHEMA projection CASCADE;

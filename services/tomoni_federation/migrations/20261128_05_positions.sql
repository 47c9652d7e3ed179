-- Where each subject stands in a log, so that a question about the past reads the entries it needs and no whole log.
-- depends: 20261128_05_networks

-- migrate: apply

-- The entries about certificates (but for their issue, which the certificate's row names), arrangements and networks,
-- and every one of an unknown type; '' where it has no subject. Written by the transaction that projects them.
CREATE TABLE projection.position (
    log text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    unknown boolean NOT NULL,
    PRIMARY KEY (log, subject, position)
);

CREATE INDEX position_unknown ON projection.position (log, position) WHERE unknown;

CREATE OR REPLACE FUNCTION projection.forget_beyond(of_log text, size bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM 1 FROM projection.cursor c WHERE c.log = of_log FOR UPDATE;
    IF EXISTS (SELECT 1 FROM projection.cursor c WHERE c.log = of_log AND c.position > size) THEN
        DELETE FROM projection.certificate c WHERE c.log = of_log;
        DELETE FROM projection.document d WHERE d.log = of_log;
        DELETE FROM projection.arrangement a WHERE a.log = of_log;
        DELETE FROM projection.membership m WHERE m.log = of_log;
        DELETE FROM projection.stream s WHERE s.log = of_log;
        DELETE FROM projection.position p WHERE p.log = of_log;
        UPDATE projection.cursor c SET position = 0, fresh_as_of = NULL, unknown = false, missing_unknown = false
            WHERE c.log = of_log;
    END IF;
    UPDATE projection.cursor c SET halted = NULL WHERE c.log = of_log;
END $$;

-- What was projected before has no positions: it is projected anew.
SELECT projection.forget_beyond(c.log, 0) FROM projection.cursor c;

-- migrate: rollback
CREATE OR REPLACE FUNCTION projection.forget_beyond(of_log text, size bigint) RETURNS void
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
DROP TABLE projection.position;

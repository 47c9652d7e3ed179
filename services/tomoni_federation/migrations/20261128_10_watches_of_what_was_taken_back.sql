-- A history that is taken back is another one at once for those who watch it, however fast the rest is projected again.
-- depends: 20261128_05_positions 20261128_06_watches

-- migrate: apply

-- The settler may not look in between: the mark under which all was told goes with the rows that were told of.
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
        UPDATE watch.issuer i SET view = NULL, settled = false WHERE i.log = of_log;
    END IF;
    UPDATE projection.cursor c SET halted = NULL WHERE c.log = of_log;
END $$;

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
        DELETE FROM projection.position p WHERE p.log = of_log;
        UPDATE projection.cursor c SET position = 0, fresh_as_of = NULL, unknown = false, missing_unknown = false
            WHERE c.log = of_log;
    END IF;
    UPDATE projection.cursor c SET halted = NULL WHERE c.log = of_log;
END $$;

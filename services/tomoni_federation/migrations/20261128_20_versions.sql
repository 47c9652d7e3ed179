-- A history that is taken back is forgotten in the versions of the read model that do not serve, too.
-- depends: 20261128_05_positions

-- migrate: apply

-- The version being made and the one kept for a rollback exist only at times (`tomoni federation rebuild`). What is
-- taken out of the mirror goes out of them in the same transaction, or it would come back when one of them serves.
CREATE FUNCTION projection.forget_in_other_versions() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    version text;
    made text;
    beyond boolean;
BEGIN
    FOREACH version IN ARRAY ARRAY['projection_next', 'projection_before'] LOOP
        CONTINUE WHEN to_regclass(version || '.cursor') IS NULL;
        EXECUTE format('SELECT position > $2 FROM %I.cursor WHERE log = $1 FOR UPDATE', version)
            INTO beyond USING NEW.log, NEW.proven_size;
        CONTINUE WHEN beyond IS NOT TRUE;
        FOREACH made IN ARRAY ARRAY['certificate', 'document', 'arrangement', 'membership', 'stream', 'position'] LOOP
            EXECUTE format('DELETE FROM %I.%I WHERE log = $1', version, made) USING NEW.log;
        END LOOP;
        EXECUTE format('UPDATE %I.cursor SET position = 0, fresh_as_of = NULL, halted = NULL, unknown = false,
            missing_unknown = false WHERE log = $1', version) USING NEW.log;
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER other_versions_forget AFTER UPDATE OF proven_size ON mirror.log
    FOR EACH ROW WHEN (NEW.proven_size < OLD.proven_size) EXECUTE FUNCTION projection.forget_in_other_versions();

-- migrate: rollback
DROP TRIGGER other_versions_forget ON mirror.log;
DROP FUNCTION projection.forget_in_other_versions;

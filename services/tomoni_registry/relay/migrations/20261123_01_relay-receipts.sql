-- Keep the federation's receipts: what it has proven and kept, and when
-- depends:

-- migrate: apply

CREATE SCHEMA relay;

-- The node's own checkpoint of a size with the federation's timestamped cosignature: evidence, so nothing is deleted.
CREATE TABLE relay.receipt (
    size bigint PRIMARY KEY CHECK (size > 0),
    time bigint NOT NULL CHECK (time > 0),
    note bytea NOT NULL CHECK (length(note) BETWEEN 1 AND 4096),
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION relay.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: receipts are evidence', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON relay.receipt
    FOR EACH STATEMENT EXECUTE FUNCTION relay.refuse_change();

ALTER TABLE relay.receipt ENABLE ALWAYS TRIGGER append_only;

-- The newest checkpoint found on our own subject that is not in our log. Junk, or proof that the log was restored from
-- an old backup: the node judges it by its signature before it signs.
CREATE TABLE relay.sighting (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    note bytea NOT NULL CHECK (length(note) BETWEEN 1 AND 4096),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Called by the owner after migrating: what the relay's role may do here. The log it reads by log.grant_reader.
CREATE FUNCTION relay.grant_runner(role name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA relay TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT ON relay.receipt TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON relay.sighting TO %I', role);
END
$$;

REVOKE ALL ON FUNCTION relay.grant_runner FROM PUBLIC;

-- migrate: rollback

DROP SCHEMA relay CASCADE;

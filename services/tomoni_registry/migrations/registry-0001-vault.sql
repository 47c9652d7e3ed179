-- The vault and the answers of commands
-- depends:

-- migrate: apply

CREATE SCHEMA vault;

-- One key a stream. To destroy a row is to destroy what its records say.
CREATE TABLE vault.data_key (
    subject    text PRIMARY KEY,
    generation integer NOT NULL,
    wrapped    bytea NOT NULL
);

-- Personal data, handles, reasons and the access record. No plaintext, no time and no author beside the ciphertext.
CREATE TABLE vault.record (
    id      uuid PRIMARY KEY,
    subject text NOT NULL REFERENCES vault.data_key ON DELETE CASCADE,
    field   text NOT NULL,
    sealed  bytea NOT NULL
);
CREATE INDEX record_subject ON vault.record (subject);

-- What a command was answered, for a day: the same Idempotency-Key gets the same answer.
CREATE TABLE vault.answer (
    command_id  uuid PRIMARY KEY,
    fingerprint bytea NOT NULL,
    generation  integer NOT NULL,
    wrapped     bytea NOT NULL,
    sealed      bytea NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX answer_expiry ON vault.answer (expires_at);

CREATE SCHEMA registry;

-- A row that the health check writes, to know that writing works.
CREATE TABLE registry.pulse (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    at       timestamptz NOT NULL
);

-- Called by the owner after migrating: what the node's running role may do. Records are written and read, never
-- changed; keys are destroyed, never changed.
CREATE FUNCTION registry.grant_node(role name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA vault, registry TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON vault.data_key, vault.answer TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT ON vault.record TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON registry.pulse TO %I', role);
END
$$;

REVOKE ALL ON FUNCTION registry.grant_node FROM PUBLIC;

-- migrate: rollback

DROP SCHEMA registry CASCADE;
DROP SCHEMA vault CASCADE;

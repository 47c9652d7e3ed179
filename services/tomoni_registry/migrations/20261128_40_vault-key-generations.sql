-- Let key-encryption keys end: what a generation wraps is known, and a fingerprint is sealed like its answer
-- depends: registry-0001-vault

-- migrate: apply

-- The generations that may wrap a key. To delete one is to say that nothing is wrapped under it and nothing ever will
-- be, also by a process that has slept since it read the key; the database refuses where that is not so.
CREATE TABLE vault.key_generation (
    generation integer PRIMARY KEY CHECK (generation >= 1)
);
INSERT INTO vault.key_generation SELECT generation FROM vault.data_key UNION SELECT generation FROM vault.answer;
ALTER TABLE vault.data_key ADD FOREIGN KEY (generation) REFERENCES vault.key_generation;
ALTER TABLE vault.answer ADD FOREIGN KEY (generation) REFERENCES vault.key_generation;

-- A MAC over a request is over names and birth dates, which can be guessed by who has an old backup and the node's MAC
-- key. It is sealed with its answer now; answers of before, kept for a day, are let go.
DELETE FROM vault.answer;
ALTER TABLE vault.answer DROP COLUMN fingerprint;

-- As before, and: a data key may be wrapped anew, generations come and go.
CREATE OR REPLACE FUNCTION registry.grant_node(role name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA vault, registry TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON vault.data_key, vault.answer, vault.key_generation TO %I', role);
    EXECUTE format('GRANT UPDATE (generation, wrapped) ON vault.data_key TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT ON vault.record TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON registry.pulse TO %I', role);
END
$$;

-- migrate: rollback

ALTER TABLE vault.data_key DROP CONSTRAINT data_key_generation_fkey;
ALTER TABLE vault.answer DROP CONSTRAINT answer_generation_fkey;
DROP TABLE vault.key_generation;
DELETE FROM vault.answer;
ALTER TABLE vault.answer ADD COLUMN fingerprint bytea NOT NULL;

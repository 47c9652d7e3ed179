-- Keep the checkpoints that a lost or stolen key has signed for sizes from which the log goes on with another key
-- depends: registry-0001-vault

-- migrate: apply

-- Only the owner writes here (`tomoni registry replace-keys`). One size may have been signed by several such keys.
CREATE TABLE registry.replaced_checkpoint (
    size        bigint NOT NULL,
    note        bytea NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- migrate: rollback

DROP TABLE registry.replaced_checkpoint;

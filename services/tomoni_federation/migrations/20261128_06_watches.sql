-- Watches: the documents that somebody's services rely on, what was last told of each, and the changes since.
-- depends: 20261128_04_lock_logs

-- migrate: apply
CREATE SCHEMA watch;

-- One row for each watch, of one token's subject and one reach: a prefecture, or NULL for a verifier's. Whoever gives
-- a number to a change holds this row's lock until the commit, so that no number appears after a later one.
CREATE TABLE watch.watch (
    id uuid PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    prefecture text,
    name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    last bigint NOT NULL DEFAULT 0,
    forgotten bigint NOT NULL DEFAULT 0,
    UNIQUE NULLS NOT DISTINCT (owner, prefecture, name)
);

-- `reference` is the owner's own name of the document, and the only one that goes out. `told` is the status of the
-- change with the number `last`. `certificate` is NULL until the document is found in the read model.
CREATE TABLE watch.document (
    watch uuid NOT NULL REFERENCES watch.watch ON DELETE CASCADE,
    reference text COLLATE "C" NOT NULL,
    log text COLLATE "C" NOT NULL,
    document bytea NOT NULL,
    certificate uuid,
    told text,
    last bigint,
    PRIMARY KEY (watch, reference),
    UNIQUE (log, document, watch)
);
CREATE INDEX document_by_certificate ON watch.document (log, certificate) WHERE certificate IS NOT NULL;

-- The feed: what became of a document, in the watch's own numbers, dense from 1.
CREATE TABLE watch.change (
    watch uuid NOT NULL REFERENCES watch.watch ON DELETE CASCADE,
    number bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('snapshot', 'status', 'removed')),
    reference text COLLATE "C" NOT NULL,
    log text COLLATE "C" NOT NULL,
    status text,
    reason text,
    fresh_as_of timestamptz,
    at timestamptz NOT NULL,
    PRIMARY KEY (watch, number)
);

-- Every issuer that was ever watched, and the view of it under which all its watched documents are being settled, or
-- were. NULL: something was told under another one, so that all must be looked at again. Who tells locks the row first.
CREATE TABLE watch.issuer (
    log text COLLATE "C" PRIMARY KEY,
    view text,
    settled boolean NOT NULL DEFAULT false
);

-- migrate: rollback
DROP SCHEMA watch CASCADE;

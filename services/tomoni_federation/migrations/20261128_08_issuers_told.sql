-- Watches also tell how an issuer of their documents stands, which is no change of any one document.
-- depends: 20261128_07_statistics

-- migrate: apply
-- What a watch was last told of an issuer, by the change with the number `last`. No row: nothing yet, which says `live`.
-- It outlives the issuer's documents in the watch: whoever watches one again is told what is new since.
CREATE TABLE watch.standing (
    watch uuid NOT NULL REFERENCES watch.watch ON DELETE CASCADE,
    log text COLLATE "C" NOT NULL,
    told text NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (watch, log)
);

-- A change of an issuer names no document, and its `status` is how the issuer stands.
ALTER TABLE watch.change
    ALTER COLUMN reference DROP NOT NULL,
    DROP CONSTRAINT change_kind_check,
    ADD CONSTRAINT change_kind_check CHECK (kind IN ('snapshot', 'status', 'removed', 'issuer')),
    ADD CONSTRAINT change_reference_check CHECK ((reference IS NULL) = (kind = 'issuer'));

-- migrate: rollback
DELETE FROM watch.change WHERE kind = 'issuer';
ALTER TABLE watch.change
    DROP CONSTRAINT change_reference_check,
    DROP CONSTRAINT change_kind_check,
    ADD CONSTRAINT change_kind_check CHECK (kind IN ('snapshot', 'status', 'removed')),
    ALTER COLUMN reference SET NOT NULL;
DROP TABLE watch.standing;

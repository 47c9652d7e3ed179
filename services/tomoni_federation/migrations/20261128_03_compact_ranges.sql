-- Each proven checkpoint with the compact range of its size, so that a tree at any size is grown from the nearest one.
-- depends: 20261123_01_mirror

-- migrate: apply
ALTER TABLE mirror.checkpoint ADD COLUMN compact bytea;

-- migrate: rollback
ALTER TABLE mirror.checkpoint DROP COLUMN compact;

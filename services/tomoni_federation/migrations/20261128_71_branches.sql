-- The branch that counts of a log that was readmitted, until it is proven.
-- depends: 20261128_04_lock_logs 20261128_70_evidence

-- migrate: apply

-- What the history must be at a size that it has not reached yet: nothing else is proven over it.
ALTER TABLE mirror.log ADD COLUMN branch_size bigint, ADD COLUMN branch_root bytea;

DROP FUNCTION mirror.lock_logs;
CREATE FUNCTION mirror.lock_logs(codes text[]) RETURNS TABLE (
    log text, heartbeat_key text, proven_size bigint, compact bytea, branch_size bigint, branch_root bytea,
    keys text, remembered boolean
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM l.log FROM mirror.log l WHERE l.log = ANY (codes) AND l.state = 'open' ORDER BY l.log FOR UPDATE;
    RETURN QUERY
    SELECT l.log, l.heartbeat_key, l.proven_size, l.compact, l.branch_size, l.branch_root,
        (SELECT jsonb_agg(jsonb_build_array(k.from_size, k.log_key, k.retired) ORDER BY k.from_size)::text
         FROM mirror.key k WHERE k.log = l.log),
        EXISTS (SELECT FROM mirror.provisional p WHERE p.log = l.log)
            OR EXISTS (SELECT FROM mirror.awaited_checkpoint a WHERE a.log = l.log)
            OR EXISTS (SELECT FROM mirror.heartbeat h WHERE h.log = l.log AND NOT h.proven)
    FROM mirror.log l WHERE l.log = ANY (codes) AND l.state = 'open';
END
$$;

-- migrate: rollback
DROP FUNCTION mirror.lock_logs;
CREATE FUNCTION mirror.lock_logs(codes text[]) RETURNS TABLE (
    log text, heartbeat_key text, proven_size bigint, compact bytea, keys text, remembered boolean
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM l.log FROM mirror.log l WHERE l.log = ANY (codes) AND l.state = 'open' ORDER BY l.log FOR UPDATE;
    RETURN QUERY
    SELECT l.log, l.heartbeat_key, l.proven_size, l.compact,
        (SELECT jsonb_agg(jsonb_build_array(k.from_size, k.log_key, k.retired) ORDER BY k.from_size)::text
         FROM mirror.key k WHERE k.log = l.log),
        EXISTS (SELECT FROM mirror.provisional p WHERE p.log = l.log)
            OR EXISTS (SELECT FROM mirror.awaited_checkpoint a WHERE a.log = l.log)
            OR EXISTS (SELECT FROM mirror.heartbeat h WHERE h.log = l.log AND NOT h.proven)
    FROM mirror.log l WHERE l.log = ANY (codes) AND l.state = 'open';
END
$$;
ALTER TABLE mirror.log DROP COLUMN branch_root, DROP COLUMN branch_size;

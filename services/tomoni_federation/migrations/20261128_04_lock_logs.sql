-- Lock the rows of logs and read what intake needs of them, in one call.
-- depends: 20261128_03_compact_ranges

-- migrate: apply

-- Two statements: one that waited for a lock would still see the other tables as they were before it waited.
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

-- migrate: rollback
DROP FUNCTION mirror.lock_logs;

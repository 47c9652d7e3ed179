-- Keep the entries of one log, append-only, at dense positions
-- depends:

-- migrate: apply

CREATE SCHEMA log;

-- The bytes are the truth; subject and version are derived from them and name the stream.
CREATE TABLE log.entry (
    position bigint PRIMARY KEY CHECK (position >= 0),
    command_id uuid NOT NULL,
    command_index smallint NOT NULL CHECK (command_index >= 0),
    version integer NOT NULL CHECK (version >= 1),
    subject text COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 120),
    leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32),
    data bytea NOT NULL CHECK (length(data) BETWEEN 1 AND 60000),
    CONSTRAINT entry_stream UNIQUE (subject, version),
    CONSTRAINT entry_command UNIQUE (command_id, command_index)
);

-- One row. Its lock is what makes positions dense and commits ordered: a sequence would be assigned before the commit,
-- and a reader that tails the table would then pass over entries that commit late.
CREATE TABLE log.head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL CHECK (size >= 0)
);

INSERT INTO log.head (size) VALUES (0);

CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: it is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.entry
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

CREATE TRIGGER one_row BEFORE INSERT OR DELETE OR TRUNCATE ON log.head
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

-- ALWAYS: also where a session plays replica (session_replication_role).
ALTER TABLE log.entry ENABLE ALWAYS TRIGGER append_only;

ALTER TABLE log.head ENABLE ALWAYS TRIGGER one_row;

-- Append the entries of several commands in one statement of the caller's, and tell what became of each command.
--
-- The first row has command 0: its first_position is where the appended entries begin, its size how many there are.
-- Every command that has no row of its own was appended, in order. The others have one:
--   already   the command id is stored, from first_position on, size entries; nothing was appended again
--   conflict  a stream is not at the version expected; actual_version is where it is
--   again     a command of check_only whose streams have not passed the versions expected; it is to be sent again
-- Commands of check_only are never appended: their streams are written by an earlier command of the same call, so they
-- are judged after it.
--
-- The running role may not write the tables; it may call this. The lock on the head is taken by a statement of its own,
-- because a statement sees what was committed before it began, and not before it got its locks: one statement for all
-- would judge versions by what was there before it waited.
--
-- The settings of the planner, and LIMIT in the look-ups: plans are cached while the table is still empty, where reading
-- all of it looks best. A join that may not be pulled up into one stays a look-up in an index.
CREATE FUNCTION log.append(
    command_ids uuid[],
    check_only boolean[],
    expected_commands integer[],
    expected_subjects text[],
    expected_versions integer[],
    entry_commands integer[],
    entry_indexes smallint[],
    entry_subjects text[],
    entry_versions integer[],
    entry_leaf_hashes bytea[],
    entry_data bytea[]
) RETURNS TABLE (
    command integer,
    outcome text,
    first_position bigint,
    size integer,
    subject text,
    actual_version integer
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    head bigint;
    added integer;
    stored integer[];
    checked integer[];
    conflicting integer[];
    conflict_subjects text[];
    conflict_versions integer[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'log.append needs READ COMMITTED: any other level judges versions by an old snapshot';
    END IF;
    SELECT h.size INTO STRICT head FROM log.head h FOR UPDATE;

    SELECT coalesce(array_agg(c.n), '{}') INTO stored
    FROM unnest(command_ids) WITH ORDINALITY AS c (id, n)
    CROSS JOIN LATERAL (
        SELECT FROM log.entry e WHERE e.command_id = c.id AND e.command_index = 0 LIMIT 1
    ) AS found;

    SELECT coalesce(array_agg(c.n), '{}') INTO checked
    FROM unnest(check_only) WITH ORDINALITY AS c (wanted, n) WHERE c.wanted;

    SELECT coalesce(array_agg(x.command), '{}'), array_agg(x.subject), array_agg(coalesce(latest.version, 0))
    INTO conflicting, conflict_subjects, conflict_versions
    FROM unnest(expected_commands, expected_subjects, expected_versions) AS x (command, subject, version)
    LEFT JOIN LATERAL (
        SELECT e.version FROM log.entry e WHERE e.subject = x.subject ORDER BY e.version DESC LIMIT 1
    ) AS latest ON true
    WHERE coalesce(latest.version, 0) <> x.version AND x.command <> ALL (stored || checked);

    INSERT INTO log.entry (position, command_id, command_index, version, subject, leaf_hash, data)
    SELECT head + row_number() OVER (ORDER BY e.n) - 1,
        command_ids[e.command], e.index, e.version, e.subject, e.leaf_hash, e.data
    FROM unnest(entry_commands, entry_indexes, entry_subjects, entry_versions, entry_leaf_hashes, entry_data)
        WITH ORDINALITY AS e (command, index, subject, version, leaf_hash, data, n)
    WHERE e.command <> ALL (stored || checked || conflicting);
    GET DIAGNOSTICS added = ROW_COUNT;

    IF added > 0 THEN
        UPDATE log.head AS h SET size = head + added;
        PERFORM pg_notify('tomoni_log', (head + added)::text);
    END IF;
    RETURN QUERY SELECT 0, 'appended', head, added, NULL::text, NULL::integer;
    IF stored || checked || conflicting = '{}' THEN
        RETURN;
    END IF;

    RETURN QUERY
    SELECT n, 'already', min(e.position), count(*)::integer, NULL::text, NULL::integer
    FROM unnest(stored) AS n JOIN log.entry e ON e.command_id = command_ids[n]
    GROUP BY n;

    RETURN QUERY
    SELECT DISTINCT ON (x.command) x.command, 'conflict', NULL::bigint, NULL::integer, x.subject, x.version
    FROM unnest(conflicting, conflict_subjects, conflict_versions) AS x (command, subject, version);

    RETURN QUERY
    SELECT DISTINCT ON (x.command) x.command,
        CASE WHEN latest.version > x.version THEN 'conflict' ELSE 'again' END,
        NULL::bigint, NULL::integer, x.subject, coalesce(latest.version, 0)
    FROM unnest(expected_commands, expected_subjects, expected_versions) AS x (command, subject, version)
    LEFT JOIN LATERAL (
        SELECT e.version FROM log.entry e WHERE e.subject = x.subject ORDER BY e.version DESC LIMIT 1
    ) AS latest ON true
    WHERE x.command = ANY (checked) AND x.command <> ALL (stored)
    ORDER BY x.command, latest.version > x.version DESC NULLS LAST;
END
$$;

REVOKE ALL ON FUNCTION log.append FROM PUBLIC;

-- migrate: rollback

DROP SCHEMA log CASCADE;

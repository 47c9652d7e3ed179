"""Append-only is enforced by the database: for the running role, and for the owner by mistake."""

import asyncpg
import pytest

from tests.eventlog.making import command
from tomoni.database import Pool
from tomoni.eventlog import EventReader, Sequencer
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres

CHANGES = [
    "UPDATE log.entry SET data = 'x'",
    "UPDATE log.entry SET data = 'x' WHERE position = 99",
    "DELETE FROM log.entry",
    "DELETE FROM log.entry WHERE position = 99",
    "TRUNCATE log.entry",
    "TRUNCATE log.entry, log.head CASCADE",
    "WITH gone AS (DELETE FROM log.entry RETURNING 1) SELECT count(*) FROM gone",
    "MERGE INTO log.entry e USING (VALUES (0)) AS v (p) ON e.position = v.p WHEN MATCHED THEN DELETE",
    "INSERT INTO log.entry SELECT * FROM log.entry ON CONFLICT (position) DO UPDATE SET data = 'x'",
    "SELECT * FROM log.entry FOR UPDATE; UPDATE log.entry SET version = 7",
    "DELETE FROM log.head",
    "TRUNCATE log.head",
    "INSERT INTO log.head (one, size) VALUES (true, 9)",
    "UPDATE log.checkpoint SET note = 'x'",
    "DELETE FROM log.checkpoint",
    "TRUNCATE log.checkpoint",
    "DELETE FROM log.tile",
    "TRUNCATE log.tile",
    "DELETE FROM log.tree",
    "TRUNCATE log.tree",
]

ONLY_FOR_THE_OWNER = [
    "INSERT INTO log.entry SELECT 7, command_id, 1::smallint, 2, 's/7', leaf_hash, data FROM log.entry",
    "UPDATE log.head SET size = 0",
    "ALTER TABLE log.entry DISABLE TRIGGER append_only",
    "DROP TABLE log.entry",
    "DROP SCHEMA log CASCADE",
    "CREATE TABLE log.more (n int)",
    "CREATE OR REPLACE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "SET session_replication_role = replica",
    "SELECT log.grant_writer(current_user)",
]


async def as_role(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def test_the_running_role_cannot_change_history(
    log_database: EmbeddedDatabase, sequencer: Sequencer, reader: EventReader
) -> None:
    await sequencer.append(command("s/1", data=b"kept"))
    for change in (*CHANGES, *ONLY_FOR_THE_OWNER):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(log_database.runner_dsn, change)
    assert [(entry.position, entry.data) for entry in await reader.read(0)] == [(0, b"kept")]


async def test_the_owner_cannot_change_history_by_mistake(
    log_database: EmbeddedDatabase, sequencer: Sequencer, reader: EventReader
) -> None:
    await sequencer.append(command("s/1", data=b"kept"))
    for change in CHANGES:
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="append-only"):
            await as_role(log_database.owner_dsn, change)
    assert [(entry.position, entry.data) for entry in await reader.read(0)] == [(0, b"kept")]


async def test_a_session_that_plays_replica_is_refused_too(
    postgres: EmbeddedPostgres, log_database: EmbeddedDatabase, sequencer: Sequencer, reader: EventReader
) -> None:
    await sequencer.append(command("s/1", data=b"kept"))
    for change in ("UPDATE log.entry SET data = 'x'", "DELETE FROM log.entry", "TRUNCATE log.entry"):
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await as_role(postgres.dsn(log_database.name), f"SET session_replication_role = replica; {change}")
    assert [entry.data for entry in await reader.read(0)] == [b"kept"]


async def test_a_tile_only_ever_grows_at_its_end(pool: Pool) -> None:
    await pool.execute("INSERT INTO log.tile (level, index, hashes) VALUES (0, 0, $1)", b"a" * 64)
    for hashes in (b"a" * 32, b"a" * 64, b"b" * 96, b"a" * 65):
        with pytest.raises((asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.CheckViolationError)):
            await pool.execute("UPDATE log.tile SET hashes = $1", hashes)
    await pool.execute("UPDATE log.tile SET hashes = $1", b"a" * 64 + b"b" * 32)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("UPDATE log.tile SET index = 1")


async def test_a_reader_reads_and_does_nothing_else(
    postgres: EmbeddedPostgres, log_database: EmbeddedDatabase, sequencer: Sequencer
) -> None:
    await sequencer.append(command("s/1", data=b"kept"))
    await as_role(log_database.owner_dsn, f"SELECT log.grant_reader('{log_database.owner}')")
    relay = f"{log_database.name}_relay"
    postgres.run_sql(f"CREATE ROLE {relay} LOGIN; GRANT CONNECT ON DATABASE {log_database.name} TO {relay}")
    try:
        await as_role(log_database.owner_dsn, f"SELECT log.grant_reader('{relay}')")
        own = postgres.dsn(log_database.name)
        for read in ("entry", "head", "tree", "tile", "checkpoint", "heartbeat"):
            await as_role(own, f"SET ROLE {relay}; SELECT * FROM log.{read}")
        for write in (
            "SELECT log.append('{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')",
            "INSERT INTO log.checkpoint VALUES (0, 'x', '')",
            "UPDATE log.tree SET size = 1",
            "INSERT INTO log.tile VALUES (0, 0, decode(repeat('00', 32), 'hex'))",
            "INSERT INTO log.heartbeat VALUES (true, 0, 0, 'x')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_role(own, f"SET ROLE {relay}; {write}")
    finally:
        postgres.run_sql(f"DROP OWNED BY {relay}; DROP ROLE {relay}", log_database.name)

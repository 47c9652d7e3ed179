"""PostgreSQL: pools with safe defaults, and migrations."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pogo_core.util import migrate as pogo
from pogo_core.util import sql as pogo_sql

from tomoni.addresses import require_private_database
from tomoni.settings import SettingsError

if TYPE_CHECKING:  # the driver's classes are generic in its stubs only
    Pool = asyncpg.Pool[asyncpg.Record]
    PoolConnection = PoolConnectionProxy[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnection
else:
    Pool, PoolConnection, Connection = asyncpg.Pool, PoolConnectionProxy, asyncpg.Connection

_quiet = logging.getLogger("tomoni.migrations")
_quiet.setLevel(logging.ERROR)  # pogo warns of every migration it applies

_MIGRATION_LOCK = 0x746F6D6F6E69  # "tomoni": one migration at a time in a database, whoever starts it


async def create_pool(dsn: str, *, min_size: int = 1, max_size: int = 10) -> Pool:
    """Return a pool of connections that give up on a lock or an idle transaction instead of waiting for ever.

    A connection is given back as it is, without the driver's round trip that resets it: nothing of ours outlives a
    transaction (settings are SET LOCAL), and who listens keeps a connection and parts with it (`Wakeup`). But a session
    that began while its database was set to read only stays so: such connections are not used again, so that a pool can
    write as soon as its database can.
    """

    async def reset(connection: Connection) -> None:
        if getattr(connection.get_settings(), "default_transaction_read_only", "off") == "on":
            await pool.expire_connections()

    pool: Pool = asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        command_timeout=60,
        server_settings={
            "application_name": "tomoni",
            "idle_in_transaction_session_timeout": "60s",
            "lock_timeout": "30s",
            "timezone": "UTC",
        },
        reset=reset,
    )
    return await pool


def unusable(error: BaseException, check: str = "`database`") -> SettingsError:
    """Return how it is told that a database cannot be used, and what to check; the password is not repeated."""
    return SettingsError(f"the database cannot be used: {type(error).__name__}; check {check}")


@asynccontextmanager
async def connected(dsn: str, check: str = "`database`") -> AsyncGenerator[Connection]:
    """Give one connection, for a command; raise SettingsError, which says what to check, where there is none."""
    try:
        connection: Connection = await asyncpg.connect(dsn)
    except (OSError, ValueError, asyncpg.PostgresError) as error:
        raise unusable(error, check) from error
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def snapshot(dsn: str) -> AsyncGenerator[Connection]:
    """Give a connection that reads everything as of one moment and writes nothing; raise as `connected` does."""
    async with connected(dsn) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield connection


async def migrate(dsn: str, service: str, folders: Sequence[Path]) -> None:
    """Bring a database to the newest schema as its owner; safe when several processes start at once.

    Each folder holds pogo migrations in plain SQL, applied folder by folder; `service` names the set. Raises
    pogo_core.error.BadMigrationError where one fails, which leaves nothing of it behind, and SettingsError where others
    could read along.
    """
    require_private_database(dsn)
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        await pogo_sql.ensure_pogo_sync(connection)
        applied = await pogo_sql.get_applied_migrations(connection, schema_name=service)
        for folder in folders:
            if not applied.issuperset(file.stem for file in folder.iterdir()):  # pogo parses them all, twice
                await pogo.apply(connection, folder, schema_name=service, logger=_quiet)
    finally:
        await connection.close()

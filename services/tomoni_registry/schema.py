"""The node's database: made and brought up to date by its owner, used by roles that may do what they need only."""

import secrets
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from tomoni import eventlog
from tomoni.database import migrate
from tomoni.settings import SettingsError
from tomoni_registry import relay

MIGRATIONS = Path(__file__).parent / "migrations"

_RECEIPTS = "GRANT USAGE ON SCHEMA relay TO {0}; GRANT SELECT ON relay.receipt TO {0}"
"""A starting node compares its database with the last receipt."""


async def create_database(owner_dsn: str) -> None:
    """Create the database of a connection string where there is none yet; raise SettingsError where that fails."""
    try:
        await (await asyncpg.connect(owner_dsn)).close()
    except asyncpg.InvalidCatalogNameError:
        name = urlsplit(owner_dsn).path.lstrip("/")
        connection = await asyncpg.connect(owner_dsn, database="postgres")
        try:
            await connection.execute(f"CREATE DATABASE {_quoted(name)} TEMPLATE template0 ENCODING 'UTF8'")
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as error:
        raise SettingsError(f"the database cannot be reached: {type(error).__name__}; check --database") from error


async def bring_up_to_date(owner_dsn: str) -> None:
    """Migrate the schemas of log, vault and relay, as their owner."""
    await migrate(owner_dsn, "registry", [eventlog.MIGRATIONS, MIGRATIONS, relay.MIGRATIONS])


async def grant(owner_dsn: str, node: str, relay_role: str) -> None:
    """Give the two running roles what they need: the node writes log and vault, the relay reads the log."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT log.grant_writer($1), registry.grant_node($1)", node)
            await connection.execute(_RECEIPTS.format(await connection.fetchval("SELECT quote_ident($1)", node)))
            await connection.execute("SELECT log.grant_reader($1), relay.grant_runner($1)", relay_role)
    finally:
        await connection.close()


async def require_empty(owner_dsn: str) -> None:
    """Raise SettingsError where the database holds a log already: its keys are another folder's."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        if await connection.fetchval("SELECT size FROM log.head"):
            raise SettingsError(
                "the database holds a log already: start the node with its own settings, or take another"
            )
    finally:
        await connection.close()


async def create_role(owner_dsn: str, suffix: str) -> str:
    """Make a role that may log in, with a new password, and return its connection string.

    Raises SettingsError where the owner may not make roles: a database administrator then makes both.
    """
    connection = await asyncpg.connect(owner_dsn)
    try:
        role, password = f"{await connection.fetchval('SELECT current_database()')}_{suffix}", secrets.token_urlsafe(24)
        known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
        verb = "ALTER" if known else "CREATE"
        await connection.execute(f"{verb} ROLE {_quoted(role)} LOGIN PASSWORD '{password}'")
        await connection.execute(
            f"GRANT CONNECT ON DATABASE {_quoted(await connection.fetchval('SELECT current_database()'))} "
            f"TO {_quoted(role)}"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise SettingsError(
            "the owner may not make roles: make two that may log in, and name them by --node-database, --relay-database"
        ) from error
    finally:
        await connection.close()
    return with_user(owner_dsn, role, password)


def with_user(dsn: str, user: str, password: str) -> str:
    """Return a connection string for the same place with another user."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{place}"))


def user_of(dsn: str) -> str:
    """Return the user of a connection string; raise SettingsError where it names none."""
    user = urlsplit(dsn).username
    if not user:
        raise SettingsError("a connection string names no user: write postgresql://user:password@host/database")
    return user


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

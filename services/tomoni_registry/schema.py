"""The node's database: made and brought up to date by its owner, used by roles that may do what they need only."""

from pathlib import Path

import asyncpg

from tomoni import eventlog
from tomoni.database import migrate
from tomoni.settings import SettingsError
from tomoni_registry import relay

MIGRATIONS = Path(__file__).parent / "migrations"

_SEEN_OUTSIDE = "GRANT USAGE ON SCHEMA relay TO {0}; GRANT SELECT ON relay.receipt, relay.sighting TO {0}"
"""A node compares its database with the last receipt and with what the relay has sighted."""


async def bring_up_to_date(owner_dsn: str) -> None:
    """Migrate the schemas of log, vault and relay, as their owner."""
    await migrate(owner_dsn, "registry", [eventlog.MIGRATIONS, MIGRATIONS, relay.MIGRATIONS])


async def grant(owner_dsn: str, node: str, relay_role: str) -> None:
    """Give the two running roles what they need: the node writes log and vault, the relay reads the log."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT log.grant_writer($1), registry.grant_node($1)", node)
            await connection.execute(_SEEN_OUTSIDE.format(await connection.fetchval("SELECT quote_ident($1)", node)))
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

"""A migrated log in a fresh database, and pools of its running role."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tomoni.database import Pool, create_pool, migrate
from tomoni.eventlog import MIGRATIONS, EventReader, Sequencer
from tomoni_cli.embedded.postgres import EmbeddedDatabase


async def make_log(database: EmbeddedDatabase) -> None:
    """Migrate a database and grant its running role what a writer needs."""
    await migrate(database.owner_dsn, "eventlog", [MIGRATIONS])
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.fetchval("SELECT log.grant_writer($1)", database.runner)
    await connection.execute("CREATE TABLE beside (id uuid PRIMARY KEY, text text NOT NULL)")
    await connection.execute(f'GRANT SELECT, INSERT ON beside TO "{database.runner}"')
    await connection.close()


@pytest.fixture
async def log_database(database: EmbeddedDatabase) -> EmbeddedDatabase:
    await make_log(database)
    return database


@pytest.fixture
async def pool(log_database: EmbeddedDatabase) -> AsyncIterator[Pool]:
    made = await create_pool(log_database.runner_dsn)
    yield made
    await asyncio.wait_for(made.close(), 10)


@pytest.fixture
async def sequencer(pool: Pool) -> AsyncIterator[Sequencer]:
    async with Sequencer(pool) as running:
        yield running


@pytest.fixture
def reader(pool: Pool) -> EventReader:
    return EventReader(pool)

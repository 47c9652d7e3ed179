"""A migrated log in a fresh database, and pools of its running role."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.databases import copied, created
from tomoni.database import Pool, create_pool, migrate
from tomoni.eventlog import MIGRATIONS, EventReader, Sequencer
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres


async def make_log(database: EmbeddedDatabase) -> None:
    """Migrate a database and grant its running role what a writer needs."""
    await migrate(database.owner_dsn, "eventlog", [MIGRATIONS])
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.fetchval("SELECT log.grant_writer($1)", database.runner)
    await connection.execute("CREATE TABLE beside (id uuid PRIMARY KEY, text text NOT NULL)")
    await connection.execute(f'GRANT SELECT, INSERT ON beside TO "{database.runner}"')
    await connection.close()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    with created(postgres) as database:
        asyncio.run(make_log(database))
        yield database


@pytest.fixture
def log_database(postgres: EmbeddedPostgres, template: EmbeddedDatabase) -> Iterator[EmbeddedDatabase]:
    with copied(postgres, template) as database:
        yield database


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

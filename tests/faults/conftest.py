"""Servers behind proxies that count and strike steps, and times short enough for hundreds of cases."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.databases import copied, created
from tests.eventlog.conftest import make_log
from tests.faults.hurry import QUICKLY
from tests.faults.steps import StepProxy, Steps
from tests.faults.wires import NatsWire, PostgresWire
from tests.federation.conftest import Federation, federating
from tests.registry import conftest as registry
from tests.transport.hubs import Hub, running_hub
from tomoni.database import Pool, create_pool
from tomoni.eventlog import Sequencer
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres
from tomoni_federation.schema import prepare


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for path, value in QUICKLY.items():
        monkeypatch.setattr(path, value)


@pytest.fixture
def steps() -> Steps:
    return Steps()


class Postgres:
    """A server behind the proxy."""

    def __init__(self, server: EmbeddedPostgres, proxy: StepProxy) -> None:
        self._server, self._proxy = server, proxy

    def dsn(self, direct: str) -> str:
        """Return a connection string of the server as one that goes through the proxy."""
        parts = urlsplit(direct)
        through = self._server.tcp_dsn(parts.path[1:], parts.username or "", port=self._proxy.port)
        return f"{through}?sslmode=disable"


@pytest.fixture
async def struck(postgres: EmbeddedPostgres, steps: Steps) -> AsyncIterator[Postgres]:
    async with StepProxy(postgres.port, PostgresWire, steps) as proxy:
        yield Postgres(postgres, proxy)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running_hub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
async def struck_hub(hub: Hub, steps: Steps) -> AsyncIterator[str]:
    """The hub's address through the proxy."""
    async with StepProxy(hub.port, NatsWire, steps) as proxy:
        yield f"nats://127.0.0.1:{proxy.port}"


@pytest.fixture(scope="session")
def log_template(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    with created(postgres) as database:
        asyncio.run(make_log(database))
        yield database


@pytest.fixture
def log_database(postgres: EmbeddedPostgres, log_template: EmbeddedDatabase) -> Iterator[EmbeddedDatabase]:
    with copied(postgres, log_template) as database:
        yield database


@pytest.fixture
async def log_pool(log_database: EmbeddedDatabase) -> AsyncIterator[Pool]:
    pool = await create_pool(log_database.runner_dsn)
    yield pool
    await pool.close()


@pytest.fixture
async def sequencer(log_pool: Pool) -> AsyncIterator[Sequencer]:
    async with Sequencer(log_pool) as running:
        yield running


@pytest.fixture(scope="session")
def node_template(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    with registry.migrated(postgres) as database:
        yield database


@pytest.fixture
async def town(
    postgres: EmbeddedPostgres, node_template: EmbeddedDatabase, tmp_path: Path
) -> AsyncIterator[registry.Node]:
    """A town's node whose scheme is open, stopped."""
    with registry.copied(postgres, node_template) as databases:
        async with registry.started(databases, tmp_path / "node") as node:
            await node.open_scheme()
            await node.stop()
            yield node


@pytest.fixture(scope="session")
def federation_template(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    with created(postgres) as database:
        asyncio.run(prepare(database.owner_dsn, database.runner))
        yield database


@pytest.fixture
def federation_database(
    postgres: EmbeddedPostgres, federation_template: EmbeddedDatabase
) -> Iterator[EmbeddedDatabase]:
    with copied(postgres, federation_template) as database:
        yield database


@pytest.fixture
async def federation(federation_database: EmbeddedDatabase) -> AsyncIterator[Federation]:
    async with federating(federation_database) as made:
        yield made


@pytest.fixture
async def owner(federation_database: EmbeddedDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(federation_database.owner_dsn)
    yield connection
    await connection.close()

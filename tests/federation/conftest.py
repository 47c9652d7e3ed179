"""A federation's database, and towns admitted to it directly; admission itself has tests of its own."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from tests.databases import copied, created
from tests.federation.desk import AUDIENCE, Desk
from tests.federation.towns import FEDERATION, NOW, Town
from tomoni.auth import TokenIssuer, TokenVerifier
from tomoni.database import Pool, create_pool
from tomoni.eventlog import Sequencer
from tomoni.statements import StatementSigner, generate_key
from tomoni.tlog.cosignature import Cosigner, generate_cosigner
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres
from tomoni_federation.admissions.office import Office
from tomoni_federation.app import create_app
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.interface import Answering
from tomoni_federation.limits import LookupLimit
from tomoni_federation.projections.project import Projector
from tomoni_federation.schema import prepare
from tomoni_federation.status.query import Gatherer
from tomoni_federation.watches.feed import open_watching


@dataclass
class Federation:
    pool: Pool
    owner_dsn: str
    runner_dsn: str
    receiver: Receiver
    projector: Projector
    cosigner: Cosigner
    now: datetime = NOW
    """What its clock says when it proves and projects, and when the secretariat decides."""

    async def admit(self, *towns: Town) -> None:
        for town in towns:
            await self.pool.execute(
                "INSERT INTO mirror.log (log, state, heartbeat_key) VALUES ($1, 'open', $2)",
                town.code,
                town.heartbeat_key.vkey,
            )
            await self.pool.execute(
                "INSERT INTO mirror.key (log, from_size, log_key) VALUES ($1, 0, $2)", town.code, town.log_key.vkey
            )
        await self.projector.start()

    async def take(self, *messages, heartbeats=()):
        received = await self.receiver.events(list(messages)) if messages else None
        if heartbeats:
            received = await self.receiver.heartbeats(list(heartbeats))
        await self.projector.catch_up()
        return received

    async def mirrored(self, town: Town) -> list[bytes]:
        rows = await self.pool.fetch("SELECT data FROM mirror.entry WHERE log = $1 ORDER BY position", town.code)
        return [row["data"] for row in rows]

    async def state(self, town: Town) -> str:
        return await self.pool.fetchval("SELECT state FROM mirror.log WHERE log = $1", town.code)

    async def cursor(self, town: Town):
        return await self.pool.fetchrow("SELECT * FROM projection.cursor WHERE log = $1", town.code)

    async def as_owner(self, sql: str, *args) -> None:
        connection = await asyncpg.connect(self.owner_dsn)
        try:
            await connection.execute(sql, *args)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    """A federation's database as `tomoni federation init` makes it, to copy."""
    with created(postgres) as database:
        asyncio.run(prepare(database.owner_dsn, database.runner))
        yield database


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: EmbeddedDatabase) -> Iterator[EmbeddedDatabase]:
    with copied(postgres, template) as database:
        yield database


@asynccontextmanager
async def federating(database: EmbeddedDatabase) -> AsyncGenerator[Federation]:
    """Give a federation over its database."""
    pool = await create_pool(database.runner_dsn)
    cosigner = generate_cosigner(f"{FEDERATION}/receipts")
    receiver = Receiver(pool, FEDERATION, cosigner, clock=lambda: made.now)
    projector = Projector(pool, FEDERATION, clock=lambda: made.now)
    made = Federation(pool, database.owner_dsn, database.runner_dsn, receiver, projector, cosigner)
    yield made
    await pool.close()


@pytest.fixture
async def federation(database):
    async with federating(database) as made:
        yield made


@pytest.fixture
async def desk(federation, tmp_path: Path):
    key = tmp_path / "tokens.jwk"
    TokenIssuer.create(key)
    issuer = TokenIssuer(key, "https://issuer.example")
    answering = Answering(
        pool=federation.pool,
        gatherer=Gatherer(federation.pool),
        limit=LookupLimit(60, clock=lambda: 0.0),
        purposes={"emergency": timedelta(days=7), "counter": timedelta(hours=24), "tour": timedelta(seconds=3)},
        clock=lambda: made.now,
        statements=StatementSigner(FEDERATION, [generate_key()]),
    )
    async with Sequencer(federation.pool) as sequencer:
        office = Office(federation.pool, sequencer, FEDERATION, clock=lambda: federation.now)
        verifier = TokenVerifier(issuer.jwks(), issuer.issuer, AUDIENCE)
        watching = open_watching(federation.pool, lambda: made.now)
        make_app = partial(create_app, answering, office, verifier, FEDERATION, watching)
        made = Desk(federation, issuer, office, watching, make_app)
        async with made.client:
            yield made


@pytest.fixture
async def shibuya(desk):
    town = Town("131130")
    await desk.federation.admit(town)
    return town


@pytest.fixture
async def setagaya(desk):
    town = Town("131121")
    await desk.federation.admit(town)
    return town

"""A town's node on a real PostgreSQL, made as `tomoni registry init` makes it."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio

from tests import databases
from tomoni.admission import AdmissionRequest
from tomoni.auth import TokenIssuer
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres
from tomoni_registry import schema
from tomoni_registry.app import open_registry
from tomoni_registry.certificates.examples import ISSUE
from tomoni_registry.initialise import Databases, NewNode, initialise
from tomoni_registry.settings import Files, load_settings

CODE = "131130"
FEDERATION = "tomoni.example"
NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@dataclass
class Node:
    """A node under test: its application over HTTP, and its database as the owner sees it."""

    files: Files
    owner_dsn: str
    now: list[datetime] = field(default_factory=lambda: [NOON])
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        self.settings = load_settings(self.files.settings)
        self.app = await self._stack.enter_async_context(open_registry(self.settings, lambda: self.now[0]))
        transport = httpx.ASGITransport(app=self.app)
        self.client = await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://node")
        )

    async def stop(self) -> None:
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

    async def restart_with_rules(self, *edits: tuple[str, str]) -> None:
        """Start again with the file of rules edited, as a town does."""
        await self.stop()
        text = self.files.rules.read_text()
        for before, after in edits:
            assert before in text
            text = text.replace(before, after)
        self.files.rules.write_text(text)
        await self.start()

    def token(self, *scopes: str, subject: str = "clerk-1", jurisdiction: str = CODE) -> str:
        issuer = TokenIssuer(self.files.token_key, self.settings.tokens.issuer)
        return issuer.issue(subject, scopes, self.settings.tokens.audience, jurisdiction=jurisdiction)

    def headers(self, *scopes: str, key: str | None = None, **of_token: str) -> dict[str, str]:
        token = self.token(*(scopes or ("clerk",)), **of_token)
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": key or str(uuid.uuid4())}

    async def post(
        self, path: str, body: object, *scopes: str, key: str | None = None, **of_token: str
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = self.headers(*scopes, key=key, **of_token) | {"Content-Type": "application/json"}
        return await self.client.post(path, content=content, headers=headers)

    async def get(self, path: str, *scopes: str, **of_token: str) -> httpx.Response:
        return await self.client.get(path, headers=self.headers(*scopes, **of_token))

    def admission(self) -> AdmissionRequest:
        return msgspec.json.decode(self.files.admission.read_bytes(), type=AdmissionRequest)

    async def pause(self) -> None:
        """Let the node's own tasks go on before looking again."""
        await asyncio.sleep(0.02)

    async def open_scheme(self, opens_on: str = "2015-11-05") -> None:
        answer = await self.post("/v1/scheme/open", {"opens_on": opens_on}, "supervisor")
        assert answer.status_code == 200, answer.text

    async def issue(self, **changes: object) -> dict[str, Any]:
        answer = await self.post("/v1/certificates", issue_body(**changes))
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.owner_dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def entries(self) -> list[bytes]:
        return [row["data"] for row in await self.sql("SELECT data FROM log.entry ORDER BY position")]


def issue_body(**changes: object) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(ISSUE)) | changes


@contextmanager
def migrated(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    """Give a migrated database to copy, with two running roles made by an administrator."""
    database = postgres.create_database(f"registry{uuid.uuid4().hex[:12]}")
    relay = f"{database.name}_relay"
    postgres.run_sql(f"CREATE ROLE \"{relay}\" LOGIN PASSWORD '{postgres._password(relay)}'")
    asyncio.run(schema.bring_up_to_date(database.owner_dsn))
    asyncio.run(schema.grant(database.owner_dsn, database.runner, relay))
    yield database
    postgres.run_sql(f'DROP DATABASE "{database.name}" WITH (FORCE)')
    postgres.run_sql(f'DROP ROLE "{database.owner}", "{database.runner}", "{relay}"')


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    with migrated(postgres) as database:
        yield database


@contextmanager
def copied(postgres: EmbeddedPostgres, template: EmbeddedDatabase) -> Iterator[Databases]:
    with databases.copied(postgres, template) as copy:
        yield Databases(
            owner=copy.owner_dsn, node=copy.runner_dsn, relay=postgres.dsn(copy.name, f"{template.name}_relay")
        )


@asynccontextmanager
async def started(databases: Databases, folder: Path) -> AsyncGenerator[Node, None]:
    made = await initialise(NewNode(code=CODE, federation=FEDERATION, folder=folder, preset="shibuya"), databases)
    node = Node(made, databases.owner)
    await node.start()
    yield node
    await node.stop()


@pytest.fixture
def administered(postgres: EmbeddedPostgres, template: EmbeddedDatabase) -> Iterator[Databases]:
    with copied(postgres, template) as made:
        yield made


@pytest.fixture
async def node(administered: Databases, tmp_path: Path) -> AsyncIterator[Node]:
    async with started(administered, tmp_path / "node") as node:
        yield node


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_node(
    postgres: EmbeddedPostgres, template: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Node]:
    """A node for tests after which it is as it was before."""
    with copied(postgres, template) as made:
        async with started(made, tmp_path_factory.mktemp("shared") / "node") as node:
            yield node

"""Fixtures that every part shares: one PostgreSQL cluster a test process, a fresh database a test."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Run one real PostgreSQL, fsync on, for this test process. Tests that stop or kill a server start their own."""
    folder = Path(tempfile.mkdtemp(prefix="tomoni-pg-"))
    server = EmbeddedPostgres(folder, port=0)
    try:
        server.start()
        yield server
    finally:
        server.stop(immediate=True)
        shutil.rmtree(folder)


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    """Give a fresh, empty database: `owner_dsn` migrates, `runner_dsn` is the running role, granted nothing yet."""
    name = f"t{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)

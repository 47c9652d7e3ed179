"""Fixtures that every part shares: one PostgreSQL cluster a test process, a fresh database a test."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import settings

from tests.databases import created
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres

# The tests start several hundred processes. Where PYTHONDONTWRITEBYTECODE is set, as in many container images, each
# would compile every module again: three seconds instead of one. So bytecode goes to a place of our own.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    bytecode = str(Path(__file__).parent.parent / ".pytest_cache" / "bytecode")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = bytecode
    sys.dont_write_bytecode = False

# Where a change is judged, the same examples every time; elsewhere new ones, which find what nobody thought of.
settings.register_profile("judged", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("judged" if os.environ.get("CI") else "searching")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on the loop that our processes run on (`tomoni.loop`)."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Run one real PostgreSQL for this test process. Tests that stop or kill one start their own, fsync on."""
    folder = Path(tempfile.mkdtemp(prefix="tomoni-pg-"))
    server = EmbeddedPostgres(folder, port=0, durable=False)
    try:
        server.start()
        yield server
    finally:
        server.stop(immediate=True)
        shutil.rmtree(folder)


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[EmbeddedDatabase]:
    """Give a fresh, empty database: `owner_dsn` migrates, `runner_dsn` is the running role, granted nothing yet."""
    with created(postgres) as database:
        yield database

"""Fixtures that every part shares: one PostgreSQL cluster a test process, a fresh database a test."""

import asyncio
import faulthandler
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import uvloop
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import settings

from tests.databases import created
from tomoni.loop import calm_collector
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


TEARDOWN_SECONDS = 120

_MEASURED = """
    eventlog/ events/ evidence/ jurisdictions/ relay/ shared/ tlog/ transport/
    registry/test_arrangement registry/test_bad_input registry/test_bundles registry/test_certificate
    registry/test_eligibility registry/test_key_rotation registry/test_life registry/test_other registry/test_recover
    registry/test_rotated registry/test_terms
    federation/test_admission federation/test_answers federation/test_branches federation/test_bundles.py
    federation/test_client federation/test_key_ federation/test_own_keys federation/test_projections
    federation/test_quarantine.py federation/test_recognition federation/test_statements federation/test_statistics
    federation/test_status federation/test_taken_back federation/test_truth federation/test_watch
"""
MEASURED = tuple(f"tests/{name}" for name in _MEASURED.split())
"""The tests of `shared/` and of what decides: their coverage is measured (`.ci/run`)."""

MOST_OF_DATABASES = 4 * 2**30
"""Bytes that the databases of all test processes may take at once."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on the loop that our processes run on (`tomoni.loop`)."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """Let the collector of cycles look rarely, as in our processes, and never through all that was collected."""
    calm_collector()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure coverage only by the tests of what it is asked of: traced, a test takes up to twice its time."""
    measuring = item.config.pluginmanager.getplugin("_cov")
    controller = None if measuring is None else measuring.cov_controller
    if controller is None or item.nodeid.startswith(MEASURED):
        return (yield)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """End the worker, which names the test, where a teardown hangs: after a failure nothing else limits it."""
    faulthandler.dump_traceback_later(TEARDOWN_SECONDS, exit=True, file=item.config.stash[fault_handler_stderr_fd_key])
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _place_for_many_databases() -> Path | None:
    """Return the memory's file system where it has room, None for the usual place.

    A database is some four hundred files. Where so many were deleted just now, ext4 looks long for names to give to new
    ones: making and dropping a database a test was a quarter of the suite's time.
    """
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > MOST_OF_DATABASES else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Run one real PostgreSQL for this test process. Tests that stop or kill one start their own, fsync on."""
    folder = Path(tempfile.mkdtemp(prefix="tomoni-pg-", dir=_place_for_many_databases()))
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

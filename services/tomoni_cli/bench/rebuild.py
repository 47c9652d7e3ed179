"""Row `rebuild`: the read model made anew from the mirror and switched, against COPY of the same rows."""

import importlib.util
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tomoni.database import Pool, create_pool
from tomoni.loop import calm_collector
from tomoni.tlog.merkle import leaf_hashes
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import FEDERATION, issued_entries
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_federation.projections.project import Projector
from tomoni_federation.rebuild.run import rebuild
from tomoni_federation.schema import prepare

TOWNS: Final = 100
PORTION: Final = 10_000
"""Rows that the limit copies in one transaction."""
ROUNDS: Final = 3
COMPARED: Final = 10_000
"""Events of the comparison at most: it takes one after the other, at a pace of its own."""

TABLES: Final = ("certificate", "document")


@dataclass(frozen=True)
class Copied:
    """A portion of a table's rows, in a file as COPY gives and takes them."""

    table: str
    path: Path


async def run(folder: Path, entries: int) -> list[Row]:
    """Rebuild so many entries of a hundred towns, each round beside the last; the limit copies into empty tables."""
    with EmbeddedPostgres(folder / "postgres") as server:
        database = server.create_database("bench")
        await prepare(database.owner_dsn, database.runner)
        async with _pool(database.owner_dsn) as pool:
            await _mirror(pool, entries)
            await _project(pool)
            portions = await _dump(pool, folder)
            calm_collector()  # as the command does

            async def ours() -> float:
                started = time.perf_counter()
                done = await rebuild(database.owner_dsn, FEDERATION)
                seconds = time.perf_counter() - started
                if not done.switched or done.extent.entries != entries:
                    raise RuntimeError("the rebuild is not whole")
                return entries / seconds

            async def limit() -> float:
                await pool.execute("DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare")
                for table in TABLES:
                    await pool.execute(f"CREATE TABLE bare.{table} (LIKE projection.{table} INCLUDING ALL)")
                return entries / await _copy(pool, portions)

            row = await compare("rebuild from the mirror", ours, limit, reach=0.35, unit="entries/s", rounds=ROUNDS)
        if importlib.util.find_spec("eventsourcing") is None:
            print("without the group `bench` there is no comparison with eventsourcing", file=sys.stderr)  # noqa: T201
            return [row]
        from tomoni_cli.bench import comparison  # noqa: PLC0415  # only where its packages are installed

        theirs = comparison.projected(server, min(entries, COMPARED))
    name = "the same by eventsourcing"
    return [row, Row(name=name, value=theirs, limit=row.limit, ratio=theirs / row.limit, reach=None, unit=row.unit)]


@asynccontextmanager
async def _pool(dsn: str) -> AsyncGenerator[Pool]:
    pool = await create_pool(dsn)
    try:
        yield pool
    finally:
        await pool.close()


async def _mirror(pool: Pool, entries: int) -> None:
    """Write proven entries as intake does, town by town."""
    count = min(TOWNS, entries)
    async with pool.acquire() as connection:
        for number in range(count):
            code = f"{number + 1:06d}"
            share = entries // count + (number < entries % count)
            data = issued_entries(share, code)
            rows = [
                (code, at, entry, leaf) for at, (entry, leaf) in enumerate(zip(data, leaf_hashes(data), strict=True))
            ]
            await connection.copy_records_to_table("entry", schema_name="mirror", records=rows)
            await connection.execute(
                "INSERT INTO mirror.log (log, state, heartbeat_key, proven_size) VALUES ($1, 'open', '', $2)",
                code,
                share,
            )
        await connection.execute("VACUUM ANALYZE", timeout=None)


async def _project(pool: Pool) -> None:
    """Make the version that serves, as the service does."""
    projector = Projector(pool, FEDERATION)
    await projector.start()
    await projector.catch_up()


async def _dump(pool: Pool, folder: Path) -> list[Copied]:
    """Write the rows that resulted to files, in the order of the logs, a transaction's worth each."""
    portions: list[Copied] = []
    logs = await pool.fetch("SELECT log, position FROM projection.cursor ORDER BY log")
    queries = {
        "certificate": "SELECT * FROM projection.certificate WHERE log = $1 AND first_position BETWEEN $2 AND $3 "
        "ORDER BY first_position",
        "document": "SELECT d.* FROM projection.document d JOIN projection.certificate c USING (log, certificate) "
        "WHERE log = $1 AND first_position BETWEEN $2 AND $3 ORDER BY first_position",
    }
    for log, size in logs:
        for start in range(0, size, PORTION):
            for table in TABLES:
                path = folder / f"{table}-{log}-{start}"
                await pool.copy_from_query(
                    queries[table], log, start, start + PORTION - 1, output=path, format="binary"
                )
                portions.append(Copied(table, path))
    return portions


async def _copy(pool: Pool, portions: list[Copied]) -> float:
    """Copy the rows into tables with the same indexes; return the seconds."""
    async with pool.acquire() as connection:
        started = time.perf_counter()
        for number in range(0, len(portions), len(TABLES)):
            async with connection.transaction():
                for portion in portions[number : number + len(TABLES)]:
                    await connection.copy_to_table(
                        portion.table, schema_name="bare", source=portion.path, format="binary"
                    )
        return time.perf_counter() - started

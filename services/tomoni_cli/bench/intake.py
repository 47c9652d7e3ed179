"""Row `intake`: receive, prove and project messages of many logs, against COPY of the same rows."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tomoni.database import Pool, create_pool
from tomoni.key_names import receipt_key_name
from tomoni.loop import calm_collector
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.note import Signer, generate_signer
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import Kind
from tomoni_cli.bench import visible
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import FEDERATION, SampleLog, issued_entries
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.intake.work import BATCH
from tomoni_federation.projections.project import Projector
from tomoni_federation.schema import prepare

TOWNS: Final = 100
PORTION: Final = 100
"""Entries between two checkpoints of a town: what its relay publishes at once."""
ROUNDS: Final = 3

TABLES: Final = {
    "mirror.entry": "SELECT log, position, t.* FROM mirror.entry t",
    "mirror.checkpoint": "SELECT log, size - 1, t.* FROM mirror.checkpoint t",
    "projection.certificate": "SELECT log, first_position, t.* FROM projection.certificate t",
    "projection.document": """SELECT log, c.first_position, t.* FROM projection.document t
        JOIN projection.certificate c USING (log, certificate)""",
}
"""Table → its rows, each after the log and the position of the entry it was made with."""

RowsByTable = dict[str, list[tuple[object, ...]]]


@dataclass(frozen=True)
class Town:
    """A log of the benchmark."""

    code: str
    signer: Signer
    entries: list[bytes]


async def run(folder: Path, entries: int) -> list[Row]:
    """Take so many entries of a hundred towns in, each round into a fresh database; so does the limit."""
    towns = _make_towns(entries)
    total = sum(len(town.entries) for town in towns)
    batches = list(_batches(towns))
    calm_collector()  # as every service does at its start
    rows: list[RowsByTable] = []
    names = (f"bench_{number}" for number in itertools.count())
    with EmbeddedPostgres(folder / "postgres") as server:

        async def ours() -> float:
            async with _fresh_database(server, next(names)) as pool:
                await _admit(pool, towns)
                seconds = await _take_in(pool, batches, total)
                if not rows:
                    rows.extend(await _rows_of(pool, batches))
                return total / seconds

        async def limit() -> float:
            async with _fresh_database(server, next(names)) as pool:
                return total / await _copy(pool, rows)

        name = "intake: receive, prove, project"
        taken_in = await compare(name, ours, limit, reach=0.35, unit="entries/s", rounds=ROUNDS)
    return [taken_in, *await visible.run(folder / "visible", entries)]


@asynccontextmanager
async def _fresh_database(server: EmbeddedPostgres, name: str) -> AsyncGenerator[Pool]:
    dsn = server.create_database(name).owner_dsn
    await prepare(dsn, None)
    pool = await create_pool(dsn)
    try:
        yield pool
    finally:
        await pool.close()
        server.drop_database(name)


def _make_towns(entries: int) -> list[Town]:
    count = min(TOWNS, entries)
    towns: list[Town] = []
    for number in range(count):
        code = f"{number + 1:06d}"
        share = entries // count + (number < entries % count)
        towns.append(Town(code, generate_signer(f"{FEDERATION}/{code}"), issued_entries(share, code)))
    return towns


def _batches(towns: Sequence[Town]) -> Iterator[list[RawMessage]]:
    """Yield messages as the hub hands them out: the towns' portions in turn, cut wherever a batch is full."""
    portions = [_portions(town) for town in towns]
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*portions, fillvalue=()))
    messages = itertools.chain.from_iterable(in_turn)
    while batch := list(itertools.islice(messages, BATCH)):
        yield batch


def _portions(town: Town) -> Iterator[list[RawMessage]]:
    log = SampleLog(town.code, town.signer)
    for start in range(0, len(town.entries), PORTION):
        yield log.portion(town.entries[start : start + PORTION])


async def _admit(pool: Pool, towns: Sequence[Town]) -> None:
    """Write the towns as admissions do."""
    heartbeat_key = generate_cosigner("bench.example/heartbeat").verifier.vkey
    codes = [town.code for town in towns]
    await pool.execute(
        "INSERT INTO mirror.log (log, state, heartbeat_key) SELECT log, 'open', $2 FROM unnest($1::text[]) AS log",
        codes,
        heartbeat_key,
    )
    await pool.execute(
        """INSERT INTO mirror.key (log, from_size, log_key)
        SELECT log, 0, log_key FROM unnest($1::text[], $2::text[]) AS t (log, log_key)""",
        codes,
        [town.signer.vkey for town in towns],
    )


async def _take_in(pool: Pool, batches: Sequence[Sequence[RawMessage]], total: int) -> float:
    """Receive and project side by side, as the service does; return the seconds until everything is projected."""
    receiver = Receiver(pool, FEDERATION, generate_cosigner(receipt_key_name(FEDERATION)))
    projector = Projector(pool, FEDERATION)
    await projector.start()

    async def project() -> None:
        projected = 0
        while projected < total:
            await projector.wait(1)
            projected += await projector.catch_up()

    started = time.perf_counter()
    projecting = asyncio.create_task(project())
    for batch in batches:
        received = await receiver.events(batch)
        if received.proven:
            projector.notify()
    await projecting
    return time.perf_counter() - started


async def _rows_of(pool: Pool, batches: Sequence[Sequence[RawMessage]]) -> list[RowsByTable]:
    """Return what was written, by the batch that brought it."""
    batch_of = {
        (message.code, message.position): number
        for number, batch in enumerate(batches)
        for message in batch
        if message.kind is Kind.ENTRY
    }
    rows: list[RowsByTable] = [{table: [] for table in TABLES} for _ in batches]
    for table, query in TABLES.items():
        for row in await pool.fetch(query):
            code, position, *columns = row.values()
            rows[batch_of[code, position]][table].append(tuple(columns))
    return rows


async def _copy(pool: Pool, rows: Sequence[RowsByTable]) -> float:
    """Copy the rows of each batch in one transaction; return the seconds."""
    async with pool.acquire() as connection:
        started = time.perf_counter()
        for batch in rows:
            async with connection.transaction():
                for name, records in batch.items():
                    schema, _, table = name.partition(".")
                    await connection.copy_records_to_table(table, schema_name=schema, records=records)
        return time.perf_counter() - started

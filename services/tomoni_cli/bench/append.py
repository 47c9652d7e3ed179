"""Row `append`: durable appends through the sequencer, against pgbench's single-row inserts of the same size."""

import asyncio
import re
import subprocess
import time
import uuid
from pathlib import Path

from tomoni.database import create_pool, migrate
from tomoni.eventlog import MIGRATIONS, Append, NewEntry, Sequencer
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import certificate_subject, issued_entry
from tomoni_cli.embedded.postgres import SUPERUSER, EmbeddedPostgres

CALLERS = 64
PGBENCH_CLIENTS = 16
ROUNDS = 3
CODE = "131130"


async def run(folder: Path, entries: int) -> list[Row]:
    """Append so many certificates being issued, 64 callers at a time, fsync on, in a few rounds."""
    with EmbeddedPostgres(folder / "postgres") as server:
        database = server.create_database("bench")
        await migrate(database.owner_dsn, "log", [MIGRATIONS])
        share = entries // ROUNDS
        commands = iter([_command(number) for number in range(share * ROUNDS)])
        size = len(issued_entry(CODE, 0))
        server.run_sql(
            "CREATE TABLE one_by_one (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data bytea)", "bench"
        )
        pool = await create_pool(database.owner_dsn)
        try:
            async with Sequencer(pool) as sequencer:

                async def ours() -> float:
                    return await _append([next(commands) for _ in range(share)], sequencer)

                async def limit() -> float:
                    return await asyncio.to_thread(_pgbench, server, folder, size, share)

                return [await compare("append, durable", ours, limit, reach=1.0, unit="events/s", rounds=ROUNDS)]
        finally:
            await pool.close()


def _command(number: int) -> Append:
    subject = certificate_subject(CODE, number)
    entry = NewEntry(data=issued_entry(CODE, number), subject=subject, version=1)
    return Append(command_id=uuid.uuid4(), entries=(entry,), expected={subject: 0})


async def _append(commands: list[Append], sequencer: Sequencer) -> float:
    waiting = iter(commands)

    async def caller() -> None:
        for command in waiting:
            await sequencer.append(command)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(commands) / (time.perf_counter() - started)


def _pgbench(server: EmbeddedPostgres, folder: Path, size: int, transactions: int) -> float:
    script = folder / "insert.sql"
    script.write_text(f"INSERT INTO one_by_one (data) VALUES (convert_to(repeat('x', {size}), 'UTF8'));\n")  # noqa: S608
    each = max(transactions // PGBENCH_CLIENTS // 4, 100)
    command = [server.program("pgbench"), "-n", "-M", "prepared", "-c", PGBENCH_CLIENTS, "-j", 2, "-t", each]
    done = subprocess.run(  # noqa: S603  # our own command
        [str(part) for part in (*command, "-f", script, server.dsn("bench", SUPERUSER))],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError("pgbench printed no rate")
    return float(found[1])

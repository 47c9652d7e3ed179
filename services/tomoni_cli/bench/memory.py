"""Row `memory`: what the federation's service holds resident, the whole of it: answers, intake, its log and its loops.

It is the service as an operator runs it, beside a hub, with every jurisdiction's log. It answers and takes entries in
first, so that what it needs at work is counted.
"""

import asyncio
import re
from pathlib import Path
from typing import Final

import asyncpg

from tomoni.auth import TokenIssuer
from tomoni.processes import free_port
from tomoni.secret_files import write_secret
from tomoni.transport import Committed, Connection, Outgoing, events_subject, publish_batch
from tomoni.transport.subjects import KIND_HEADER, MAX_BATCH_ENTRIES, POSITION_HEADER
from tomoni_cli.bench import batch, documents, load, status
from tomoni_cli.bench.documents import BUSY_TOWN, CODES, Known
from tomoni_cli.bench.rows import Row
from tomoni_cli.bench.samples import FEDERATION, SampleLog, issued_entries
from tomoni_cli.bench.server import NO_LIMIT
from tomoni_cli.demo.processes import Process
from tomoni_cli.embedded.nats import EmbeddedNats
from tomoni_cli.embedded.postgres import EmbeddedDatabase
from tomoni_federation.batches import MOST
from tomoni_federation.initialise import NewFederation, initialise
from tomoni_federation.settings import FederationSettings, load_settings

MOST_MEGABYTES: Final = 400
"""Of one process, by the design's §11."""
ENTRIES: Final = 20_000
"""New entries that it takes in."""
LOST_SECONDS: Final = 120


async def run(folder: Path, entries: int) -> list[Row]:
    """Load so many documents, let the service answer and project, and read the most it ever held."""
    async with (
        documents.loaded(folder.parent / documents.FOLDER, entries) as found,
        EmbeddedNats(folder / "hub", [BUSY_TOWN]) as hub,
    ):
        settings = await _make(folder, found.database, hub)
        url = f"http://127.0.0.1:{settings.http.port}"
        limits = {"TOMONI_LIMITS__LOOKUPS_PER_MINUTE": str(NO_LIMIT)}
        command = ["federation", "serve", "--config", str(folder / "federation" / "federation.toml")]
        service = Process("federation", command, url, folder / "federation.log", limits)
        service.start()
        try:
            await asyncio.to_thread(service.wait_ready)
            await _ask(settings, found.known)
            await _take_in(found.database, hub, min(ENTRIES, entries))
            await _ask(settings, found.known)
            held = most_megabytes(service.pid or 0)
        finally:
            await asyncio.to_thread(service.stop)
    name = f"memory of the federation, {len(CODES):,} logs, {entries:,} documents"
    return [
        Row(name=name, value=held, limit=MOST_MEGABYTES, ratio=MOST_MEGABYTES / held, reach=1.0, unit="MB"),
    ]


async def _make(folder: Path, database: EmbeddedDatabase, hub: EmbeddedNats) -> FederationSettings:
    seed = folder / "federation.nk"
    write_secret(seed, hub.federation_endpoint().seed.encode())
    made = await initialise(
        NewFederation(
            name=FEDERATION,
            folder=folder / "federation",
            owner_database=database.owner_dsn,
            database=database.runner_dsn,
            http_port=free_port(),
            hub=hub.url,
            hub_seed=seed,
        )
    )
    return load_settings(made.files.settings)


async def _ask(settings: FederationSettings, known: tuple[Known, ...]) -> None:
    """Ask for single documents over many connections at once, then for a thousand at once, both ways."""
    token = TokenIssuer(settings.files.token_key, settings.tokens.issuer).issue(
        "bench", ["verifier"], settings.tokens.audience
    )
    port, valid = settings.http.port, b'"status":"valid"'
    await load.send_all(port, status.questions(known[: status.REQUESTS], token), status.CONNECTIONS, valid)
    for question, expected in (batch.statuses(known[:MOST], token), batch.recognitions(known[:MOST], token)):
        await load.send_all(port, [question] * batch.BATCHES, 1, expected)


async def _take_in(database: EmbeddedDatabase, hub: EmbeddedNats, entries: int) -> None:
    """Publish a log at the hub as a relay does, and wait until it is projected."""
    log = SampleLog(BUSY_TOWN)
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        await documents.admit(connection, log)
        new, sequence = issued_entries(entries, BUSY_TOWN), 0
        async with Connection(hub.node_endpoint(BUSY_TOWN)) as node:
            await node.wait_connected(10)
            for start in range(0, entries, MAX_BATCH_ENTRIES):
                messages = [
                    Outgoing(one.data, {KIND_HEADER: str(one.kind), POSITION_HEADER: str(one.position)})
                    for one in log.portion(new[start : start + MAX_BATCH_ENTRIES])
                ]
                outcome = await publish_batch(node, events_subject(BUSY_TOWN), messages, sequence)
                if not isinstance(outcome, Committed):
                    raise RuntimeError("the hub did not take the entries")
                sequence = outcome.sequence
        async with asyncio.timeout(LOST_SECONDS):
            while entries > await connection.fetchval(_PROJECTED, BUSY_TOWN):  # noqa: ASYNC110  # the database is asked
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


_PROJECTED: Final = "SELECT position FROM projection.cursor WHERE log = $1"


def most_megabytes(pid: int) -> float:
    """Return the most memory that a process ever held resident; Linux keeps the figure."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("this system does not say what a process held")
    return int(found[1]) * 1024 / 1_000_000

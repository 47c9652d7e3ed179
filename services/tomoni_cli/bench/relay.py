"""Row `relay`: the publisher of a node's relay, against bare nats-py sending the same bytes in atomic batches."""

import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from nats.aio.client import Client

from tomoni import eventlog
from tomoni.database import Pool, create_pool, migrate
from tomoni.eventlog import Append, CheckpointPublisher, EventReader, FixedKeys, LastWord, NewEntry, Sequencer
from tomoni.eventlog.publisher import MAX_STEP
from tomoni.key_names import heartbeat_key_name
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.note import generate_signer
from tomoni.transport import Connection, Kind, Outgoing, events_subject
from tomoni.transport.publish import BATCH_COMMIT, BATCH_ID, BATCH_SEQUENCE, EXPECTED
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import certificate_subject, issued_entry
from tomoni_cli.embedded.nats import EmbeddedNats
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_registry import relay
from tomoni_registry.relay.publisher import Publisher
from tomoni_registry.relay.receipts import NOTHING_YET
from tomoni_registry.relay.source import Source, message

CODE = "131130"
ORIGIN = f"bench.example/{CODE}"
ROUNDS = 3
TOWNS = [f"{number:06d}" for number in range(1, 2 * ROUNDS + 1)]
"""Whose subjects are published to: a fresh one for each measurement."""


async def run(folder: Path, entries: int) -> list[Row]:
    """Append so many entries to a real log, signed every 999, then publish it from start to end in a few rounds."""
    with EmbeddedPostgres(folder / "postgres") as server:
        database = server.create_database("bench")
        for service, migrations in (("log", eventlog.MIGRATIONS), ("relay", relay.MIGRATIONS)):
            await migrate(database.owner_dsn, service, [migrations])
        pool = await create_pool(database.owner_dsn, max_size=4)
        try:
            await _make_log(pool, folder, entries)
            batches = await _batches(pool)
            towns = iter(TOWNS)
            async with EmbeddedNats(folder / "nats", TOWNS) as hub:

                async def ours() -> float:
                    return await _relay(pool, hub, next(towns), entries)

                async def limit() -> float:
                    return await _bare(hub, next(towns), batches, entries)

                name = "relay publish, sync always"
                return [await compare(name, ours, limit, reach=0.7, unit="entries/s", rounds=ROUNDS)]
        finally:
            await pool.close()


async def _make_log(pool: Pool, folder: Path, entries: int) -> None:
    async with Sequencer(pool) as sequencer:
        for start in range(0, entries, MAX_STEP):
            numbers = range(start, min(start + MAX_STEP, entries))
            subjects = {number: certificate_subject(CODE, number) for number in numbers}
            new = tuple(NewEntry(issued_entry(CODE, number), subjects[number], 1) for number in numbers)
            await sequencer.append(Append(uuid.uuid4(), new, dict.fromkeys(subjects.values(), 0)))
    keys, heartbeat = FixedKeys(generate_signer(ORIGIN)), generate_cosigner(heartbeat_key_name(ORIGIN))
    publisher = CheckpointPublisher(pool, ORIGIN, keys, heartbeat, LastWord(folder / "last-checkpoint"))
    await publisher.check()
    await publisher.publish()


async def _batches(pool: Pool) -> list[list[Outgoing]]:
    """Return the messages a relay sends, in memory: the limit does not pay for reading them."""
    reader = EventReader(pool)
    batches: list[list[Outgoing]] = []
    start = 0
    for row in await pool.fetch("SELECT size, note FROM log.checkpoint WHERE size > 0 ORDER BY size"):
        found = await reader.read(start, row["size"] - start)
        batch = [message(Kind.ENTRY, entry.position, entry.data) for entry in found]
        batches.append([*batch, message(Kind.CHECKPOINT, row["size"], row["note"])])
        start = row["size"]
    return batches


async def _relay(pool: Pool, hub: EmbeddedNats, code: str, entries: int) -> float:
    async with Connection(hub.node_endpoint(code)) as connection:
        await connection.wait_connected(10)
        publisher = Publisher(Source(pool, ORIGIN), connection, code, lambda: NOTHING_YET)
        started = time.perf_counter()
        while await publisher.advance():
            pass
        seconds = time.perf_counter() - started
    if publisher.progress is None or publisher.progress.position != entries:
        raise RuntimeError("the relay did not publish the whole log")
    return entries / seconds


async def _bare(hub: EmbeddedNats, code: str, batches: Sequence[Sequence[Outgoing]], entries: int) -> float:
    endpoint = hub.node_endpoint(code)
    client = Client()
    await client.connect(hub.url, nkeys_seed_str=endpoint.seed, inbox_prefix=endpoint.inbox)
    try:
        started = time.perf_counter()
        sequence = 0
        for number, batch in enumerate(batches):
            sequence = await _bare_batch(client, events_subject(code), batch, sequence, str(number))
        return entries / (time.perf_counter() - started)
    finally:
        await client.close()


class _Ack(msgspec.Struct):
    seq: int


async def _bare_batch(client: Client, subject: str, batch: Sequence[Outgoing], expected: int, name: str) -> int:
    *parts, last = _with_headers(batch, expected, name)
    for data, headers in parts:
        await client.publish(subject, data, headers=headers)
    data, headers = last
    answer = await client.request(subject, data, timeout=10, headers={**headers, BATCH_COMMIT: "1"})
    return msgspec.json.decode(answer.data, type=_Ack).seq


def _with_headers(batch: Sequence[Outgoing], expected: int, name: str) -> Iterator[tuple[bytes, dict[str, str]]]:
    for number, one in enumerate(batch, 1):
        headers = {**one.headers, BATCH_ID: name, BATCH_SEQUENCE: str(number)}
        yield one.data, headers if number > 1 else {**headers, EXPECTED: str(expected)}

"""A node's log in a real database, a relay over it, and the least federation that proves what arrives."""

import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from tests.transport.hubs import SHIBUYA, Hub
from tomoni import eventlog
from tomoni.database import create_pool, migrate
from tomoni.eventlog import Append, NewEntry, Sequencer
from tomoni.service import HttpSettings
from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import cosign, generate_cosigner
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import generate_signer
from tomoni.transport import (
    Connection,
    Kind,
    Outgoing,
    PullConsumer,
    RawMessage,
    TransportError,
    publish_one,
    receipts_subject,
)
from tomoni.transport.subjects import EVENTS, INTAKE
from tomoni_cli.embedded.postgres import EmbeddedDatabase
from tomoni_registry import relay as relay_package
from tomoni_registry.relay.process import Relay
from tomoni_registry.relay.settings import HubConnection, RelaySettings, hub_endpoint

FEDERATION = "tomoni.example"
ORIGIN = f"{FEDERATION}/{SHIBUYA}"
RECEIPTS = generate_cosigner(f"{FEDERATION}/receipts")


class Node:
    """Appends entries by the real sequencer and signs checkpoints as the publisher stores them."""

    def __init__(self, database: EmbeddedDatabase) -> None:
        self.database = database
        self.signer = generate_signer(ORIGIN)
        self.tree = CompactRange()
        self.entries: list[bytes] = []
        self.version = 0

    async def open(self) -> None:
        for service, folder in (("log", eventlog.MIGRATIONS), ("relay", relay_package.MIGRATIONS)):
            await migrate(self.database.owner_dsn, service, [folder])
        self.owner = await create_pool(self.database.owner_dsn, max_size=3)
        for function in ("log.grant_reader", "relay.grant_runner"):
            await self.owner.execute(f"SELECT {function}($1)", self.database.runner)

    async def append(self, count: int, size: int = 40, *, sign_each: bool = True) -> None:
        """Append entries, and sign a checkpoint over all, and after every 500."""
        async with Sequencer(self.owner) as sequencer:
            while count:
                part = min(count, 500)
                data = [f"entry {len(self.entries) + n}".encode().ljust(size, b".") for n in range(part)]
                entries = tuple(NewEntry(one, "scheme", self.version + n) for n, one in enumerate(data, 1))
                await sequencer.append(Append(uuid.uuid4(), entries, {"scheme": self.version}))
                self.version += part
                self.entries += data
                self.tree.extend(leaf_hash(one) for one in data)
                count -= part
                if sign_each or not count:
                    await self.sign()

    async def sign(self, *more_signers) -> None:
        note = sign_checkpoint(Checkpoint(ORIGIN, self.tree.size, self.tree.root()), [self.signer, *more_signers])
        await self.owner.execute(
            "INSERT INTO log.checkpoint (size, note, nodes) VALUES ($1, $2, $3)",
            self.tree.size,
            note,
            self.tree.to_bytes(),
        )
        await self.owner.execute("SELECT pg_notify('tomoni_checkpoint', '')")

    async def beat(self, note: bytes, ahead: int = 0) -> None:
        """Store a heartbeat as a node does whose clock is some seconds ahead."""
        at = int(time.time()) + ahead
        await self.owner.execute("DELETE FROM log.heartbeat")
        await self.owner.execute("INSERT INTO log.heartbeat (size, time, note) VALUES (1, $1, $2)", at, note)

    async def receipts(self) -> list[asyncpg.Record]:
        return await self.owner.fetch("SELECT size, time, note FROM relay.receipt ORDER BY size")

    async def has_receipt(self, size: int) -> bool:
        return bool(await self.owner.fetchval("SELECT count(*) FROM relay.receipt WHERE size = $1", size))

    def settings(self, hub: Hub, url: str | None = None, lag_seconds: float = 300.0) -> RelaySettings:
        seed_file = hub.folder / "node.nk"
        seed_file.write_text(hub.seeds[SHIBUYA])
        seed_file.chmod(0o600)
        return RelaySettings(
            federation=FEDERATION,
            code=SHIBUYA,
            database=self.database.runner_dsn,
            hub=HubConnection(servers=(url or hub.url,), seed_file=seed_file),
            receipt_key=RECEIPTS.verifier.vkey,
            lag_seconds=lag_seconds,
            http=HttpSettings(port=0),
        )


@asynccontextmanager
async def opened(database: EmbeddedDatabase) -> AsyncIterator[Node]:
    node = Node(database)
    await node.open()
    try:
        yield node
    finally:
        await node.owner.close()


@asynccontextmanager
async def relaying(settings: RelaySettings) -> AsyncIterator[Relay]:
    """Run a relay inside this process."""
    pool = await create_pool(settings.database, max_size=4)
    async with Connection(hub_endpoint(settings)) as connection:
        relay = Relay(settings, pool, connection)
        running = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    await pool.close()


class RelayProcess:
    """A relay as a process of its own, to be killed."""

    SCRIPT = (
        "import asyncio, sys; from pathlib import Path; from tomoni import logging, settings;"
        "from tomoni_registry.relay.process import run_relay; from tomoni_registry.relay.settings import RelaySettings;"
        "logging.configure('relay'); asyncio.run(run_relay(settings.load(RelaySettings, Path(sys.argv[1]))))"
    )

    def __init__(self, settings: RelaySettings, folder: Path, port: int) -> None:
        self._file = folder / "relay.toml"
        self._file.write_text(
            f"federation = '{settings.federation}'\ncode = '{settings.code}'\ndatabase = '{settings.database}'\n"
            f"receipt_key = '{settings.receipt_key}'\nlag_seconds = {settings.lag_seconds}\n"
            f"[hub]\nservers = ['{settings.hub.servers[0]}']\nseed_file = '{settings.hub.seed_file}'\n"
            f"[http]\nport = {port}\n"
        )
        self.log = folder / "relay.log"

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", self.SCRIPT, str(self._file)), stderr=log
            )

    async def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()


class Mirror:
    """What a federation does with the messages of one town: keep by position, prove at a checkpoint, give a receipt."""

    def __init__(self, node: Node) -> None:
        self.verifier = node.signer.verifier
        self.proven: list[bytes] = []
        self.tree = CompactRange()
        self.provisional: list[bytes] = []
        self.deliveries: list[RawMessage] = []
        self.time = 1_800_000_000
        self.silent = False
        self.cosigner = RECEIPTS
        self.headers: dict[str, str] = {}
        """What its receipts tell of its keys."""

    async def run(self, hub: Hub) -> None:
        created = None
        async with (
            Connection(hub.federation_endpoint()) as connection,
            PullConsumer(connection, EVENTS, INTAKE).open() as consumer,
        ):
            while True:
                try:
                    await connection.wait_connected(30)
                    created = await consumer.align(created)
                    async with contextlib.aclosing(consumer.batches()) as batches:
                        async for messages in batches:
                            for message in messages:
                                await self.receive(connection, message)
                            await consumer.acknowledge(messages[-1])
                except TransportError:
                    await asyncio.sleep(0.05)

    def forget(self, size: int) -> None:
        """Lose what was proven after a size."""
        del self.proven[size:]
        self.provisional, self.tree = [], CompactRange()
        self.tree.extend(leaf_hash(one) for one in self.proven)

    async def receive(self, connection: Connection, message: RawMessage) -> None:
        self.deliveries.append(message)
        position = message.position
        if message.kind is Kind.ENTRY and position == len(self.proven) + len(self.provisional):
            self.provisional.append(message.data)
        elif message.kind is Kind.ENTRY and position is not None and position >= len(self.proven):
            self.provisional[position - len(self.proven) :] = [message.data][: len(self.provisional) + 1]
        elif message.kind is Kind.CHECKPOINT:
            await self.prove(connection, message.data)

    async def prove(self, connection: Connection, note: bytes) -> None:
        try:
            checkpoint = open_checkpoint(note, ORIGIN, [self.verifier])
        except NoteError:
            return
        if checkpoint.size <= len(self.proven):
            return
        tree = self.tree.copy()
        tree.extend(leaf_hash(one) for one in self.provisional[: checkpoint.size - len(self.proven)])
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            self.provisional = []
            return
        self.proven += self.provisional[: checkpoint.size - len(self.proven)]
        self.tree, self.provisional = tree, []
        if not self.silent:
            self.time += 1
            receipt = Outgoing(cosign(note, self.cosigner, self.time), dict(self.headers))
            await publish_one(connection, receipts_subject(SHIBUYA), receipt, None)


@asynccontextmanager
async def mirroring(hub: Hub, node: Node) -> AsyncIterator[Mirror]:
    mirror = Mirror(node)
    running = asyncio.create_task(mirror.run(hub))
    try:
        yield mirror
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def sizes(messages: list[bytes]) -> list[int]:
    """Return the sizes of those messages that are checkpoints of the node."""
    found = []
    for message in messages:
        with contextlib.suppress(NoteError, UnicodeDecodeError):
            found.append(parse_checkpoint(message.decode().rpartition("\n\n")[0] + "\n").size)
    return found

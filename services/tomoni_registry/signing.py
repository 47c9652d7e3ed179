"""Signing the log: the start check, checkpoints after entries, heartbeats, and the proof that all of it works."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import asyncpg
import structlog

from tomoni import times
from tomoni.database import Pool
from tomoni.eventlog import CheckpointPublisher, CheckpointStore, EventLogError, EventReader, LastWord, Proofs
from tomoni.eventlog.connections import BROKEN
from tomoni.eventlog.key_files import LogKeyFiles
from tomoni.secret_files import SecretFileError, read_secret
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.cosignature import Cosigner
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import leaf_hash, verify_inclusion
from tomoni_registry.settings import RegistrySettings

log = structlog.get_logger()


class Signing:
    """Everything about a node's signatures."""

    def __init__(self, settings: RegistrySettings, pool: Pool, clock: Callable[[], datetime] = times.now) -> None:
        """Open the keys; raise SecretFileError where one is missing or none."""
        self.keys = LogKeyFiles(settings.files.keys, EventReader(pool))
        self._settings = settings
        self._pool = pool
        self._proofs = Proofs(pool)
        self._store = CheckpointStore(pool)
        self._reader = EventReader(pool)
        self._publisher = CheckpointPublisher(
            pool,
            settings.origin,
            self.keys,
            _heartbeat_key(settings),
            LastWord(settings.files.last_word),
            clock=lambda: clock().timestamp(),
        )

    async def start(self) -> None:
        """Compare the database with the last word, the last receipt and the hub, and sign what is there.

        Raises SigningRefused where an old backup was restored or history was changed: going on would contradict what
        others hold in their hands.
        """
        await self._check_and_beat()

    async def run(self) -> None:
        """Sign checkpoints as entries come, for ever."""
        await self._publisher.run()

    async def beat(self) -> None:
        """Sign a heartbeat at a fixed pace, for ever, also when nothing happens: silence would look like a fault.

        Each time the database is compared anew with what came back from outside: the relay may reach the hub only
        after the node has started, and a whole machine that was restored knows of nothing before.
        """
        while True:
            await asyncio.sleep(self._settings.log.heartbeat_seconds)
            try:
                await self._check_and_beat()
            except (*BROKEN, asyncpg.PostgresError, EventLogError) as error:
                log.error("heartbeat_failed", error=type(error).__name__)

    async def check(self, evidence: Sequence[bytes] = ()) -> None:
        """Compare the database with the last word, with what came back by the relay, and with further notes.

        Raises SigningRefused or CorruptLog like `start`, and signs nothing.
        """
        await self._publisher.check([*await self._seen_outside(), *evidence])

    async def _check_and_beat(self) -> None:
        await self.check()
        await self._publisher.heartbeat()

    async def require_proof(self) -> None:
        """Prove the last signed entry, from its bytes to the signature over it; raise where that fails."""
        if self._publisher.failure is not None:
            raise self._publisher.failure
        signed = await self._store.latest()
        if signed is None or signed.size == 0:
            return
        checkpoint = open_checkpoint(signed.note, self._settings.origin, await self.keys.verifiers(signed.size))
        position = signed.size - 1
        [entry] = await self._reader.read(position, 1)
        path = await self._proofs.inclusion(position, signed.size)
        verify_inclusion(leaf_hash(entry.data), position, signed.size, path, checkpoint.root)

    async def _seen_outside(self) -> Sequence[bytes]:
        """Return the checkpoints that came back from outside, by way of the relay: anybody may have written them."""
        rows = await self._pool.fetch(
            "(SELECT note FROM relay.receipt ORDER BY size DESC LIMIT 1) UNION ALL SELECT note FROM relay.sighting"
        )
        return [row["note"] for row in rows]


def _heartbeat_key(settings: RegistrySettings) -> Cosigner:
    path = settings.files.heartbeat_key
    try:
        return Cosigner.parse(read_secret(path).decode("ascii").strip())
    except (NoteError, UnicodeDecodeError) as error:
        raise SecretFileError(f"{path} holds no heartbeat key (C2SP tlog-cosignature)") from error

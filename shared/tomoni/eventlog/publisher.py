"""Publishing: signing checkpoints of the integrated tree, never two that contradict each other.

One step, for every checkpoint and after every crash: read the newest stored checkpoint with the entries after it, and
the last word (the file outside of PostgreSQL); see that the database holds what was signed; grow the stored compact
range by the bytes of the entries, and the tiles by their leaf hashes; compare the two roots; sign; bring the note to
the last word's disk; store it with the tiles, and only then let anybody see it. A crash before the file leaves nothing
signed. A crash after it leaves a last word that the database lacks, which the next step completes.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import asyncpg
import structlog

from tomoni.database import Pool
from tomoni.eventlog import checkpoints, signing
from tomoni.eventlog.checkpoints import Heartbeat, SignedCheckpoint
from tomoni.eventlog.connections import BROKEN
from tomoni.eventlog.errors import (
    BehindLastWord,
    CorruptLog,
    EventLogError,
    ForkedLog,
    InvalidCheckpoint,
    LastWordMissing,
    NotChecked,
    Overtaken,
)
from tomoni.eventlog.lastword import LastWord
from tomoni.eventlog.signing import LogState, read_state
from tomoni.eventlog.tree import TileKey, grow, integrate, read_leaves, root_at, root_in
from tomoni.eventlog.wakeup import CHECKPOINTS, ENTRIES, Wakeup
from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint, read_checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import Cosigner, cosign
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange
from tomoni.tlog.note import Signer, Verifier

MAX_STEP = 999
"""Entries between two checkpoints at most, so that a broker's batch of 1,000 messages can end with one."""

log = structlog.get_logger()


class LogKeys(Protocol):
    """The keys that speak for a log, as its own entries have them: they are valid by size of the tree."""

    async def signers(self, after: int, size: int) -> Sequence[Signer]:
        """Return who signs the checkpoint of a size, the next one after that of another size.

        After a rotation at a position with `after` ≤ position < `size`, these are the old key and the new one.
        """
        ...

    async def verifiers(self, size: int) -> Sequence[Verifier]:
        """Return the keys whose signature makes a checkpoint of a size this log's word.

        A key that was rotated away is none of them from the first size on that holds the rotation: whoever stole it
        could stop the log with it.
        """
        ...


class FixedKeys:
    """The keys of a log that never rotates them."""

    def __init__(self, *signers: Signer) -> None:
        self._signers = signers

    async def signers(self, after: int, size: int) -> Sequence[Signer]:  # noqa: ARG002
        """Return the same signers for every size."""
        return self._signers

    async def verifiers(self, size: int) -> Sequence[Verifier]:  # noqa: ARG002
        """Return their public halves."""
        return [signer.verifier for signer in self._signers]


class CheckpointPublisher:
    """Signs the checkpoints and heartbeats of a database's log.

    `check` comes first. Several processes may publish one log: the entries are the same for all of them, so whoever is
    slower finds the checkpoint stored, or another, and takes its step again.
    """

    def __init__(
        self,
        pool: Pool,
        origin: str,
        keys: LogKeys,
        cosigner: Cosigner,
        last_word: LastWord,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._origin = origin
        self._keys = keys
        self._cosigner = cosigner
        self._last_word = last_word
        self._clock = clock
        self._checked = False
        self._turn = asyncio.Lock()
        self._known: tuple[bytes, Checkpoint] | None = None
        """The note that was signed or opened last; the last word is the same one, turn after turn."""
        self.failure: Exception | None = None
        """Why `run` cannot publish at present, None when it can."""

    async def check(self, evidence: Sequence[bytes] = ()) -> None:
        """Compare the database with the last word and with checkpoints known elsewhere; without it nothing is signed.

        `evidence` are notes that came back from outside: receipts, the hub's last message. Those that no key of this
        log has signed which is valid for their size prove nothing and are passed over. Raises SigningRefused (one of
        its kinds) or CorruptLog; then nothing is signed until a later check passes.
        """
        try:
            await self._compare(evidence)
        except EventLogError:
            self._checked = False
            raise
        self._checked = True

    async def _compare(self, evidence: Sequence[bytes]) -> None:
        await integrate(self._pool)
        state = await read_state(self._pool, MAX_STEP)
        await self._agree(state)
        for note in evidence:
            try:
                known = await self._open(note)
            except InvalidCheckpoint:
                log.warning("evidence_not_ours", size=len(note))
                continue
            if known.size > state.size:
                raise BehindLastWord(state.size, known.size)
            _require_same(known, await root_at(self._pool, known.size))

    async def publish(self) -> SignedCheckpoint:
        """Sign checkpoints up to the committed head, and return the newest one.

        Raises SigningRefused or CorruptLog where that could contradict what was signed before.
        """
        if not self._checked:
            raise NotChecked("the database was not yet compared with what is known to be signed")
        target: int | None = None
        async with self._turn:
            while True:
                try:
                    signed, head = await self._step()
                except Overtaken:
                    continue
                target = head if target is None else target
                if signed is not None and signed.size >= target:
                    return signed

    async def heartbeat(self) -> Heartbeat:
        """Publish the committed head, cosign it, and store that as the latest heartbeat.

        Its time is from before the head was read: what was committed while it was signed it does not speak of.
        """
        now = int(self._clock())
        signed = await self.publish()
        beat = Heartbeat(signed.size, now, cosign(signed.note, self._cosigner, now))
        async with self._pool.acquire() as connection:
            await connection.execute(checkpoints.STORE_HEARTBEAT, beat.size, beat.time, beat.note)
            await connection.execute("SELECT pg_notify($1, $2)", CHECKPOINTS, str(beat.size))
        return beat

    async def run(self) -> None:
        """Publish whenever entries were appended, for ever; what goes wrong stands in `failure` until it is over."""
        async with Wakeup(self._pool, ENTRIES) as wakeup:
            while True:
                await wakeup.listen()
                try:
                    await self.publish()
                except (*BROKEN, asyncpg.PostgresError, EventLogError) as error:
                    if type(error) is not type(self.failure):
                        log.error("publish_failed", error=type(error).__name__)
                    self.failure = error
                else:
                    self.failure = None
                await wakeup.wait()

    async def _step(self) -> tuple[SignedCheckpoint | None, int]:
        """Complete the last word in the database, or sign one checkpoint towards the head; return the newest, the head.

        None where another was faster, or tiles had to be made first: then look again.
        """
        state = await read_state(self._pool, MAX_STEP)
        word = await self._agree(state)
        if word is not None and word.size > state.size:  # signed, and lost with the tiles that belong to it
            await integrate(self._pool)
            return None, state.head
        completing = word is not None and word.size > state.tree.size
        end = word.size if word is not None and completing else min(state.tree.size + MAX_STEP, state.head)
        if state.signed is not None and end == state.signed.size:
            return state.signed, state.head
        tree, grown = await self._grow(state, end)
        if word is not None and completing:
            note = word.note
            # Signed and not stored: who wrote it was killed, or the disk failed, perhaps before it was on the disk.
            await asyncio.to_thread(self._last_word.swap, note, note)
        else:
            signers = await self._keys.signers(state.tree.size, end)
            note = sign_checkpoint(Checkpoint(self._origin, end, tree.root()), signers)
            await asyncio.to_thread(self._last_word.swap, None if word is None else word.note, note)
            self._known = note, Checkpoint(self._origin, end, tree.root())
        stored = await signing.store(self._pool, note, tree, grown, state.size)
        return (SignedCheckpoint(end, note) if stored else None), state.head

    async def _agree(self, state: LogState) -> SignedCheckpoint | None:
        """Return the last word, when the database agrees with it and is not behind it."""
        note = self._last_word.read()
        if note is None:
            if state.signed is not None:
                raise LastWordMissing("checkpoints are stored, but the file with the last one is gone")
            return None
        word = await self._open(note)
        if word.size > state.head:
            raise BehindLastWord(state.head, word.size)
        if word.size == state.size:  # as it is from turn to turn, and then the edge at hand tells the root
            _require_same(word, root_in(state.tiles, state.size))
        elif word.size < state.size:
            _require_same(word, await root_at(self._pool, word.size))
        if state.signed is not None:
            newest = await self._open(state.signed.note)
            if newest.size != state.tree.size or newest.root != state.tree.root():
                raise CorruptLog(f"the stored checkpoint of size {state.tree.size} is not the one that was signed")
            if word.size < newest.size:  # signed by another process, with a last word of its own
                await asyncio.to_thread(self._last_word.swap, note, state.signed.note)
                return state.signed
        return SignedCheckpoint(word.size, note)

    async def _grow(self, state: LogState, end: int) -> tuple[CompactRange, dict[TileKey, bytes]]:
        """Return the stored compact range grown by the bytes of entries, and the tiles that grow, of the same root."""
        start = state.tree.size
        leaves = state.leaves(end) if end <= start + MAX_STEP else await read_leaves(self._pool, start, end)
        tree = state.tree.copy()
        tree.extend(leaves)
        grown: dict[TileKey, bytes] = {}
        if end > state.size:
            grown = grow(state.tiles, state.size, leaves[state.size - start :])
        root = root_in({**state.tiles, **grown}, end) if end >= state.size else await root_at(self._pool, end)
        if root != tree.root():
            raise CorruptLog(f"the tiles of size {end} do not have the root of its entries")
        return tree, grown

    async def _open(self, note: bytes) -> Checkpoint:
        """Return the checkpoint of a note, signed by a key that is valid for the size it speaks of."""
        if self._known is not None and note == self._known[0]:
            return self._known[1]
        try:
            size = read_checkpoint(note).size
            checkpoint = open_checkpoint(note, self._origin, await self._keys.verifiers(size))
        except NoteError as error:
            raise InvalidCheckpoint("a checkpoint is not signed by a key that this log has for its size") from error
        self._known = note, checkpoint
        return checkpoint


def _require_same(known: Checkpoint, root: bytes) -> None:
    if known.root != root:
        raise ForkedLog(known.size)

"""Faults while signing: at every point, loud or unreported, no two notes of one size and none that contradicts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.eventlog.making import grow
from tests.eventlog.test_publisher import COSIGNER, ORIGIN, SIGNER
from tests.faults.proxy import Fault, FaultProxy
from tomoni.database import Pool, create_pool
from tomoni.eventlog import CheckpointPublisher, CheckpointStore, EventReader, FixedKeys, LastWord, Sequencer
from tomoni.eventlog.connections import BROKEN
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres


async def verify(pool: Pool, word: LastWord, released: dict[int, bytes]) -> None:
    """Verify every stored checkpoint, that what was released is stored, and that the last word is the newest."""
    tree = CompactRange()
    entries = await EventReader(pool).read(0, 100_000)
    stored = await CheckpointStore(pool).read_from(0)
    for signed in stored:
        tree.extend(leaf_hash(entry.data) for entry in entries[tree.size : signed.size])
        checkpoint = open_checkpoint(signed.note, ORIGIN, [SIGNER.verifier])
        assert (checkpoint.size, checkpoint.root) == (signed.size, tree.root())
    assert released.items() <= {signed.size: signed.note for signed in stored}.items()
    assert word.read() == stored[-1].note


@pytest.fixture
async def proxy(postgres: EmbeddedPostgres) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(postgres.port) as running:
        yield running


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNREPORTED])
async def test_a_connection_lost_at_any_point_of_signing_leaves_one_history(
    postgres: EmbeddedPostgres,
    log_database: EmbeddedDatabase,
    proxy: FaultProxy,
    pool: Pool,
    sequencer: Sequencer,
    tmp_path: Path,
    fault: Fault,
) -> None:
    dsn = postgres.tcp_dsn(log_database.name, log_database.runner, port=proxy.port)
    weak_pool = await create_pool(dsn, min_size=1, max_size=2)
    word = LastWord(tmp_path / "last-word")
    publisher = CheckpointPublisher(weak_pool, ORIGIN, FixedKeys(SIGNER), COSIGNER, word)
    await publisher.check()
    released: dict[int, bytes] = {}
    failures = 0
    for point in range(60):
        await grow(sequencer, 3, 3 * point)
        proxy.arm(fault, after=point)
        try:
            signed = await publisher.publish()
            released[signed.size] = signed.note
        except BROKEN:
            failures += 1
        proxy.arm(fault, after=10**9)
        if point % 2:  # as after a restart of the process
            publisher = CheckpointPublisher(pool, ORIGIN, FixedKeys(SIGNER), COSIGNER, word)
            await publisher.check()
            signed = await publisher.publish()
            assert signed.size == 3 * point + 3
            released[signed.size] = signed.note
            await verify(pool, word, released)
            publisher = CheckpointPublisher(weak_pool, ORIGIN, FixedKeys(SIGNER), COSIGNER, word)
            await weak_pool.expire_connections()
            try:
                await publisher.check()
            except BROKEN:
                await publisher.check()
    assert failures > 5  # a step is few statements, so few points can fail
    assert proxy.hits >= failures
    weak_pool.terminate()


class FailingWord(LastWord):
    """A disk that fails: before the note is on it, or after it, without saying so."""

    fails: str | None = None

    def swap(self, expected: bytes | None, note: bytes) -> None:
        if self.fails == "lost":
            raise OSError("no space left on device")
        super().swap(expected, note)
        if self.fails == "unreported":
            raise OSError("input/output error")


@pytest.mark.parametrize("fails", ["lost", "unreported"])
async def test_nothing_is_released_before_the_last_word_is_known_to_be_on_the_disk(
    pool: Pool, sequencer: Sequencer, tmp_path: Path, fails: str
) -> None:
    word = FailingWord(tmp_path / "last-word")
    publisher = CheckpointPublisher(pool, ORIGIN, FixedKeys(SIGNER), COSIGNER, word)
    await publisher.check()
    await grow(sequencer, 3)
    released = {3: (await publisher.publish()).note}
    word.fails = fails
    await grow(sequencer, 2, 3)
    with pytest.raises(OSError, match=r"device|error"):
        await publisher.publish()
    assert (await CheckpointStore(pool).latest()).size == 3
    said = word.read()
    word.fails = None
    await grow(sequencer, 2, 5)
    released[7] = (await publisher.publish()).note
    await verify(pool, word, released)
    at_5 = await CheckpointStore(pool).at(5)
    assert (at_5.note == said) if fails == "unreported" else (at_5 is None)


async def test_a_checkpoint_is_visible_to_others_only_after_its_last_word(
    postgres: EmbeddedPostgres, log_database: EmbeddedDatabase, pool: Pool, sequencer: Sequencer, tmp_path: Path
) -> None:
    visible: list[str] = []

    class WatchedWord(LastWord):
        def swap(self, expected: bytes | None, note: bytes) -> None:
            visible.append(postgres.run_sql("SELECT max(size) FROM log.checkpoint", log_database.name))
            super().swap(expected, note)

    publisher = CheckpointPublisher(pool, ORIGIN, FixedKeys(SIGNER), COSIGNER, WatchedWord(tmp_path / "last-word"))
    await publisher.check()
    await grow(sequencer, 2_500)
    await publisher.publish()
    assert visible == ["", "999", "1998"]

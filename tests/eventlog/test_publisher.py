"""Publishing: checkpoints of the committed head, never one that contradicts another."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from tests.eventlog.making import command, grow, until
from tomoni.database import Pool, create_pool
from tomoni.eventlog import (
    CheckpointPublisher,
    CheckpointStore,
    EventReader,
    FixedKeys,
    LastWord,
    Proofs,
    Sequencer,
)
from tomoni.eventlog.errors import (
    BehindLastWord,
    CorruptLog,
    ForkedLog,
    InvalidCheckpoint,
    LastWordMissing,
    NotChecked,
    SigningRefused,
)
from tomoni.eventlog.lastword import PLACE_BYTES
from tomoni.eventlog.tree import integrate
from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import generate_cosigner, open_cosigned
from tomoni.tlog.merkle import EMPTY_ROOT, CompactRange, leaf_hash, verify_consistency, verify_inclusion
from tomoni.tlog.note import Signer, generate_signer, open_note
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres

ORIGIN = "tomoni.example/131130"
SIGNER = generate_signer(ORIGIN)
COSIGNER = generate_cosigner(f"{ORIGIN}/heartbeat")


def make_publisher(pool: Pool, folder: Path, keys: FixedKeys | None = None) -> CheckpointPublisher:
    return CheckpointPublisher(
        pool, ORIGIN, keys or FixedKeys(SIGNER), COSIGNER, LastWord(folder / "last-word"), clock=lambda: 1_800_000_000.9
    )


@pytest.fixture
async def publisher(pool: Pool, tmp_path: Path) -> CheckpointPublisher:
    made = make_publisher(pool, tmp_path)
    await made.check()
    return made


def root_of(datas: list[bytes]) -> bytes:
    tree = CompactRange()
    tree.extend(map(leaf_hash, datas))
    return tree.root()


async def test_an_empty_log_has_a_signed_checkpoint(publisher: CheckpointPublisher, tmp_path: Path) -> None:
    signed = await publisher.publish()
    checkpoint = open_checkpoint(signed.note, ORIGIN, [SIGNER.verifier])
    assert (checkpoint.size, checkpoint.root) == (0, EMPTY_ROOT)
    assert LastWord(tmp_path / "last-word").read() == signed.note
    assert await publisher.publish() == signed


async def test_every_size_has_the_root_of_its_entries(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool, reader: EventReader
) -> None:
    size = 0
    for count in (1, 1, 3, 250, 1, 1, 500, 4000, 2):
        await grow(sequencer, count, size)
        size += count
        checkpoint = open_checkpoint((await publisher.publish()).note, ORIGIN, [SIGNER.verifier])
        datas = [entry.data for entry in await reader.read(0, size)]
        assert (checkpoint.size, checkpoint.root) == (size, root_of(datas))
    sizes = [one.size for one in await CheckpointStore(pool).read_from(0)]
    assert sizes[-1] == size
    assert all(after - before <= 999 for before, after in itertools.pairwise(sizes))


async def test_waiting_entries_get_a_checkpoint_every_999_of_them(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool
) -> None:
    await grow(sequencer, 2500)
    await publisher.publish()
    store = CheckpointStore(pool)
    assert [one.size for one in await store.read_from(0)] == [999, 1998, 2500]
    assert [one.size for one in await store.read_from(1000, 1)] == [1998]
    assert (await store.at(1998)).size == 1998
    assert await store.at(2000) is None
    assert await store.at(3000) is None


async def test_proofs_from_stored_tiles_verify(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool, reader: EventReader
) -> None:
    await grow(sequencer, 1500)
    await publisher.publish()
    datas = [entry.data for entry in await reader.read(0, 1500)]
    proofs = Proofs(pool)
    for size in (1, 2, 255, 256, 257, 512, 1499, 1500):
        root = root_of(datas[:size])
        assert await proofs.root(size) == root
        for position in {0, size // 2, size - 1}:
            path = await proofs.inclusion(position, size)
            verify_inclusion(leaf_hash(datas[position]), position, size, path, root)
        verify_consistency(size, 1500, await proofs.consistency(size, 1500), root, root_of(datas))
    with pytest.raises(CorruptLog):
        await proofs.root(1501)


async def test_a_heartbeat_is_of_the_committed_head_and_of_its_time(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool
) -> None:
    assert await CheckpointStore(pool).heartbeat() is None
    await grow(sequencer, 5)
    beat = await publisher.heartbeat()
    assert open_checkpoint(beat.note, ORIGIN, [SIGNER.verifier]).size == beat.size == 5
    assert open_cosigned(beat.note, COSIGNER.verifier) == beat.time == 1_800_000_000
    assert await CheckpointStore(pool).heartbeat() == beat
    again = await publisher.heartbeat()
    assert again == beat


async def test_a_heartbeat_is_of_an_instant_whose_entries_it_all_covers(
    sequencer: Sequencer, pool: Pool, tmp_path: Path
) -> None:
    clock = [1_800_000_000.9]

    class SlowKeys(FixedKeys):
        """Keys that take their time: meanwhile an entry is committed."""

        async def signers(self, after: int, size: int) -> Sequence[Signer]:
            clock[0] += 10
            await sequencer.append(command(f"late/{size}"))
            clock[0] += 10
            return await super().signers(after, size)

    publisher = CheckpointPublisher(
        pool, ORIGIN, SlowKeys(SIGNER), COSIGNER, LastWord(tmp_path / "last-word"), clock=lambda: clock[0]
    )
    await publisher.check()
    await grow(sequencer, 5)
    beat = await publisher.heartbeat()
    assert (beat.size, beat.time) == (5, 1_800_000_000)


async def test_those_who_sign_at_once_do_not_take_each_other_for_a_restored_backup(
    publisher: CheckpointPublisher, sequencer: Sequencer
) -> None:
    async def sign() -> None:
        for _ in range(40):
            await publisher.check()
            await publisher.heartbeat()

    async def write() -> None:
        for number in range(400):
            await sequencer.append(command(f"s/{number}"))

    await asyncio.gather(write(), sign(), sign(), sign())
    assert (await publisher.publish()).size == 400


async def test_nothing_is_signed_before_the_check(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(NotChecked):
        await make_publisher(pool, tmp_path).publish()
    assert not (tmp_path / "last-word").exists()


async def test_two_keys_sign_the_checkpoint_after_a_rotation(pool: Pool, tmp_path: Path, sequencer: Sequencer) -> None:
    new = Signer.generate(ORIGIN)

    class Rotated(FixedKeys):
        async def signers(self, after: int, size: int) -> list[Signer]:
            return [SIGNER] if size <= 3 else [SIGNER, new] if after <= 3 else [new]

    publisher = make_publisher(pool, tmp_path, Rotated(SIGNER, new))
    await publisher.check()
    for size, expected in ((3, [SIGNER]), (5, [SIGNER, new]), (6, [new])):
        await grow(sequencer, size - await EventReader(pool).head(), await EventReader(pool).head())
        note = (await publisher.publish()).note
        opened = open_note(note, [SIGNER.verifier, new.verifier])
        assert opened.verified == tuple((signer.name, signer.key_id) for signer in expected)
    await make_publisher(pool, tmp_path, Rotated(SIGNER, new)).check()


async def test_a_crash_between_the_file_and_the_database_is_completed_with_the_same_note(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool, tmp_path: Path, reader: EventReader
) -> None:
    await grow(sequencer, 3)
    first = await publisher.publish()
    await grow(sequencer, 4, 3)
    datas = [entry.data for entry in await reader.read(0)]
    lost = sign_checkpoint(Checkpoint(ORIGIN, 5, root_of(datas[:5])), [SIGNER])
    LastWord(tmp_path / "last-word").swap(first.note, lost)
    recovered = make_publisher(pool, tmp_path)
    await recovered.check()
    assert (await recovered.publish()).size == 7
    assert (await CheckpointStore(pool).at(5)).note == lost


async def test_a_restored_backup_refuses_to_sign_until_its_tail_is_back(
    postgres: EmbeddedPostgres, log_database: EmbeddedDatabase, tmp_path: Path
) -> None:
    pool = await create_pool(log_database.runner_dsn)
    async with Sequencer(pool) as sequencer:
        publisher = make_publisher(pool, tmp_path)
        await publisher.check()
        await grow(sequencer, 10)
        await publisher.publish()
    await pool.close()
    backup = postgres.create_database(f"{log_database.name}b", template=log_database.name)
    pool = await create_pool(log_database.runner_dsn)
    async with Sequencer(pool) as sequencer:
        await grow(sequencer, 5, 10)
        signed = await publisher_of(pool, tmp_path)
    await pool.close()

    restored = await create_pool(postgres.dsn(backup.name))
    again = make_publisher(restored, tmp_path)
    with pytest.raises(BehindLastWord) as caught:
        await again.check()
    assert (caught.value.size, caught.value.signed) == (10, 15)
    with pytest.raises(NotChecked):
        await again.publish()
    async with Sequencer(restored) as sequencer:
        await grow(sequencer, 5, 10)
        await again.check()
        assert await again.publish() == signed
    await restored.close()
    postgres.drop_database(backup.name)


async def publisher_of(pool: Pool, folder: Path) -> object:
    publisher = make_publisher(pool, folder)
    await publisher.check()
    return await publisher.publish()


async def test_a_restored_backup_that_went_on_differently_never_signs(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool, tmp_path: Path
) -> None:
    await grow(sequencer, 3)
    before = await publisher.publish()
    elsewhere = sign_checkpoint(
        Checkpoint(ORIGIN, 4, root_of([b"entry 0", b"entry 1", b"entry 2", b"other"])), [SIGNER]
    )
    LastWord(tmp_path / "last-word").swap(before.note, elsewhere)
    await grow(sequencer, 2, 3)
    again = make_publisher(pool, tmp_path)
    with pytest.raises(ForkedLog):
        await again.check()
    with pytest.raises(ForkedLog):
        await publisher.publish()  # one that was running all the time
    assert [one.size for one in await CheckpointStore(pool).read_from(0)] == [3]
    assert LastWord(tmp_path / "last-word").read() == elsewhere


async def test_a_lost_last_word_stops_signing(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool, tmp_path: Path
) -> None:
    await grow(sequencer, 3)
    await publisher.publish()
    (tmp_path / "last-word").unlink()
    await grow(sequencer, 1, 3)
    with pytest.raises(LastWordMissing):
        await publisher.publish()
    with pytest.raises(LastWordMissing):
        await make_publisher(pool, tmp_path).check()
    assert not (tmp_path / "last-word").exists()


async def test_a_last_word_of_another_log_or_key_is_refused(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool, tmp_path: Path
) -> None:
    for note in (
        sign_checkpoint(Checkpoint("tomoni.example/999999", 0, EMPTY_ROOT), [SIGNER]),
        sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), [generate_signer(ORIGIN)]),
        b"half a no",
    ):
        (tmp_path / "last-word").unlink(missing_ok=True)
        LastWord(tmp_path / "last-word").swap(None, note)
        with pytest.raises(InvalidCheckpoint):
            await make_publisher(pool, tmp_path).check()


async def test_evidence_from_outside_counts_only_when_this_log_signed_it(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool, reader: EventReader
) -> None:
    await grow(sequencer, 6)
    datas = [entry.data for entry in await reader.read(0)]
    ours = sign_checkpoint(Checkpoint(ORIGIN, 4, root_of(datas[:4])), [SIGNER])
    larger = sign_checkpoint(Checkpoint(ORIGIN, 9, EMPTY_ROOT), [SIGNER])
    other = sign_checkpoint(Checkpoint(ORIGIN, 4, EMPTY_ROOT), [SIGNER])
    junk = sign_checkpoint(Checkpoint(ORIGIN, 9, EMPTY_ROOT), [generate_signer(ORIGIN)])
    await publisher.check([ours, junk, b"junk"])
    with pytest.raises(BehindLastWord):
        await publisher.check([ours, larger])
    with pytest.raises(NotChecked):
        await publisher.publish()
    with pytest.raises(ForkedLog):
        await publisher.check([other])
    await publisher.check([ours])
    assert (await publisher.publish()).size == 6


async def test_two_processes_with_last_words_of_their_own_agree(
    publisher: CheckpointPublisher, sequencer: Sequencer, pool: Pool, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    await grow(sequencer, 2)
    await publisher.publish()
    (tmp_path / "other" / "last-word").write_bytes((tmp_path / "last-word").read_bytes())
    other = make_publisher(pool, tmp_path / "other")
    await other.check()
    for size in range(3, 30):
        await grow(sequencer, 1, size - 1)
        signed = await asyncio.gather(publisher.publish(), other.publish(), publisher.publish(), other.publish())
        assert {one.size for one in signed} == {size}
        assert len({one.note for one in signed}) == 1
    assert [one.size for one in await CheckpointStore(pool).read_from(0)] == list(range(2, 30))


def test_the_room_for_every_later_word_is_taken_with_the_first(tmp_path: Path) -> None:
    word = LastWord(tmp_path / "last-word")
    word.swap(None, b"first")
    taken = word.path.stat().st_blocks
    assert taken * 512 >= 2 * 4096
    word.swap(b"first", b"second")
    assert word.path.stat().st_blocks == taken


def test_the_last_word_is_swapped_only_for_the_one_expected(tmp_path: Path) -> None:
    word = LastWord(tmp_path / "last-word")
    assert word.read() is None
    word.swap(None, b"one")
    with pytest.raises(SigningRefused):
        word.swap(None, b"two")
    word.swap(b"one", b"two")
    assert word.read() == b"two"


@pytest.mark.parametrize("torn", [0, 1, 20, 90, 200, 580])
def test_a_word_that_a_power_cut_has_torn_leaves_the_one_before(tmp_path: Path, torn: int) -> None:
    word = LastWord(tmp_path / "last-word")
    notes: list[bytes | None] = [None, *(letter * 500 for letter in (b"a", b"b", b"c", b"d"))]
    content = bytes(2 * PLACE_BYTES)
    for number, (before, note) in enumerate(itertools.pairwise(notes), 1):
        assert note is not None
        word.swap(before, note)
        whole, start = word.path.read_bytes(), number % 2 * PLACE_BYTES
        word.path.write_bytes(content[:start] + whole[start : start + torn] + content[start + torn :])
        assert word.read() == before
        word.swap(before, note)  # what a process does that comes back
        content = word.path.read_bytes()
        assert content == whole
        assert word.read() == note


def test_a_note_that_is_no_checkpoint_of_ours_cannot_hide_in_the_rest_of_a_place(tmp_path: Path) -> None:
    word = LastWord(tmp_path / "last-word")
    word.swap(None, b"one")
    content = word.path.read_bytes()
    word.path.write_bytes(content.replace(b"one\0", b"one2"))
    assert word.read() is None
    with pytest.raises(ValueError, match="too long"):
        word.swap(None, bytes(PLACE_BYTES))


async def owner(database: EmbeddedDatabase, sql: str) -> None:
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute(sql)
    await connection.close()


UNGUARDED = "ALTER TABLE log.{0} DISABLE TRIGGER USER; {1}; ALTER TABLE log.{0} ENABLE ALWAYS TRIGGER {2}"


@pytest.mark.parametrize(
    ("table", "change", "trigger"),
    [
        ("entry", "UPDATE log.entry SET data = 'changed' WHERE position = 4", "append_only"),
        ("entry", "DELETE FROM log.entry WHERE position = 4", "append_only"),
        ("entry", "DELETE FROM log.entry WHERE position = 4; UPDATE log.head SET size = 5", "append_only"),
    ],
)
async def test_entries_changed_behind_the_logs_back_are_not_signed(
    publisher: CheckpointPublisher,
    sequencer: Sequencer,
    log_database: EmbeddedDatabase,
    pool: Pool,
    table: str,
    change: str,
    trigger: str,
) -> None:
    await grow(sequencer, 3)
    await publisher.publish()
    await grow(sequencer, 3, 3)
    await owner(log_database, UNGUARDED.format(table, change, trigger))
    with pytest.raises(CorruptLog):
        await publisher.publish()
    assert [one.size for one in await CheckpointStore(pool).read_from(0)] == [3]


@pytest.mark.parametrize(
    ("table", "change", "trigger"),
    [
        ("tile", "UPDATE log.tile SET hashes = overlay(hashes PLACING '\\x00'::bytea FROM 1)", "only_grows"),
        ("tile", "UPDATE log.tile SET hashes = substring(hashes FOR 32)", "only_grows"),
        ("tile", "DELETE FROM log.tile", "kept"),
        ("checkpoint", "UPDATE log.checkpoint SET nodes = overlay(nodes PLACING '\\x00'::bytea FROM 1)", "append_only"),
    ],
)
async def test_a_tree_changed_behind_the_logs_back_is_not_signed(
    publisher: CheckpointPublisher,
    sequencer: Sequencer,
    log_database: EmbeddedDatabase,
    pool: Pool,
    table: str,
    change: str,
    trigger: str,
) -> None:
    await grow(sequencer, 3)
    await publisher.publish()
    await owner(log_database, UNGUARDED.format(table, change, trigger))
    await grow(sequencer, 3, 3)
    with pytest.raises((CorruptLog, ForkedLog)):
        await publisher.publish()
    assert [one.size for one in await CheckpointStore(pool).read_from(0)] == [3]


async def test_tiles_changed_before_they_are_signed_for_are_not_signed(
    publisher: CheckpointPublisher, sequencer: Sequencer, log_database: EmbeddedDatabase, pool: Pool
) -> None:
    await grow(sequencer, 3)
    await publisher.publish()
    await grow(sequencer, 3, 3)
    await integrate(pool)
    change = "UPDATE log.tile SET hashes = overlay(hashes PLACING '\\x00'::bytea FROM 32 * 5)"
    await owner(log_database, UNGUARDED.format("tile", change, "only_grows"))
    with pytest.raises(CorruptLog, match="root of its entries"):
        await publisher.publish()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("UPDATE log.checkpoint SET nodes = overlay(nodes PLACING '\\x00'::bytea FROM 1)", CorruptLog),
        ("UPDATE log.checkpoint SET note = overlay(note PLACING 'X'::bytea FROM 1)", InvalidCheckpoint),
        ("UPDATE log.checkpoint SET note = 'junk'", InvalidCheckpoint),
    ],
)
async def test_a_stored_checkpoint_that_was_changed_is_not_given_out(
    publisher: CheckpointPublisher,
    sequencer: Sequencer,
    log_database: EmbeddedDatabase,
    change: str,
    error: type[Exception],
) -> None:
    await grow(sequencer, 3)
    await publisher.publish()
    await owner(log_database, UNGUARDED.format("checkpoint", change, "append_only"))
    with pytest.raises(error):
        await publisher.publish()


async def test_a_head_behind_the_tiles_is_not_signed(
    publisher: CheckpointPublisher, sequencer: Sequencer, log_database: EmbeddedDatabase, pool: Pool
) -> None:
    await grow(sequencer, 3)
    await integrate(pool)
    await owner(log_database, "UPDATE log.head SET size = 2")
    with pytest.raises(CorruptLog):
        await publisher.publish()


@pytest.fixture
async def running(publisher: CheckpointPublisher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(publisher.run())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_running_publisher_signs_what_is_appended_and_followers_hear_of_it(
    publisher: CheckpointPublisher, running: asyncio.Task[None], sequencer: Sequencer, pool: Pool
) -> None:
    following = CheckpointStore(pool).follow(1)
    await grow(sequencer, 3)
    assert [one.size for one in await anext(following)] == [3]
    await sequencer.append(command("more"))
    assert [one.size for one in await anext(following)] == [4]
    await following.aclose()
    assert publisher.failure is None


async def test_a_running_publisher_says_why_it_cannot_sign_and_goes_on_when_it_can(
    publisher: CheckpointPublisher, running: asyncio.Task[None], sequencer: Sequencer, pool: Pool, tmp_path: Path
) -> None:
    await grow(sequencer, 3)
    following = CheckpointStore(pool).follow(1)
    assert (await anext(following))[-1].size == 3
    (tmp_path / "last-word").rename(tmp_path / "away")
    await grow(sequencer, 1, 3)
    await until(lambda: publisher.failure is not None)
    assert isinstance(publisher.failure, LastWordMissing)
    (tmp_path / "away").rename(tmp_path / "last-word")
    assert (await anext(following))[-1].size == 4
    await until(lambda: publisher.failure is None)
    await following.aclose()

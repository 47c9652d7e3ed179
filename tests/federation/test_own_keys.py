"""The federation's own keys follow on each other in its own log: the one of the log, and the one for receipts."""

from contextlib import asynccontextmanager
from datetime import date

import msgspec
import pytest

from tests.databases import copied
from tests.federation.towns import FEDERATION, Town
from tests.transport.hubs import SHIBUYA, federation, node, running_hub
from tomoni import times
from tomoni.database import create_pool
from tomoni.eventlog import CheckpointPublisher, LastWord
from tomoni.events.federation import NetworkTermsData
from tomoni.receipt_keys import HEADER, ReceiptKeys, from_header, to_header
from tomoni.settings import SettingsError
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.cosignature import Cosigner, generate_cosigner
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier
from tomoni.transport import last_message, receipts_subject
from tomoni.transport.subjects import RECEIPTS
from tomoni_cli.recover import FolderTail
from tomoni_federation.hub.follower import Follower, LogError
from tomoni_federation.initialise import NewFederation, initialise
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.intake.work import Receipts
from tomoni_federation.own_keys.log_key import open_log_keys, rotate_log_key
from tomoni_federation.own_keys.receipt_key import open_cosigner, read_rotations, rotate_receipt_key
from tomoni_federation.restore import restore
from tomoni_federation.settings import load_settings

ORIGIN = f"{FEDERATION}/federation"
TERMS = NetworkTermsData(
    version=1,
    name="Tokyo",
    pattern="E",
    kinds=("partnership",),
    services=("public-housing",),
    effective_on=date(2026, 4, 1),
)


async def make(database, folder):
    """Make the keys and settings of a federation, as `tomoni federation init` does; its service does not run."""
    new = NewFederation(name=FEDERATION, folder=folder, owner_database=database.owner_dsn, database=database.runner_dsn)
    made = await initialise(new)
    return made, load_settings(made.files.settings)


@asynccontextmanager
async def create_pool_of(database):
    """Connect as the service does."""
    pool = await create_pool(database.runner_dsn)
    yield pool
    await pool.close()


async def publish(settings, pool):
    """Sign the federation's own log as the service does."""
    keys = await open_log_keys(settings, pool)
    heartbeat = generate_cosigner(f"{ORIGIN}/heartbeat")
    publisher = CheckpointPublisher(pool, ORIGIN, keys, heartbeat, LastWord(settings.files.last_word))
    await publisher.check()
    return (await publisher.publish()).note


async def test_the_key_of_its_log_is_rotated_and_hubs_follow_without_being_told(
    desk, database, postgres, template, tmp_path
):
    pool = desk.federation.pool
    made, settings = await make(database, tmp_path / "federation")

    async def fetch(path):
        answer = await desk.get(f"/log/{path}", "witness")
        assert answer.status_code == 200, answer.text
        return answer.content

    first = Verifier.parse(made.verifier_key)
    follower = Follower(ORIGIN, first, fetch, tmp_path / "hub" / "followed.json")
    await publish(settings, pool)
    second = Verifier.parse(await rotate_log_key(settings, pool))
    note = await publish(settings, pool)
    for key in (first, second):
        assert open_checkpoint(note, ORIGIN, [key]).size == 1
    await follower.advance()
    third = Verifier.parse(await rotate_log_key(settings, pool))
    await publish(settings, pool)
    await desk.office.charter("tokyo", TERMS)
    note = await publish(settings, pool)
    with pytest.raises(NoteError):
        open_checkpoint(note, ORIGIN, [first, second])
    assert open_checkpoint(note, ORIGIN, [third]).size == 3
    await follower.advance()
    late = Follower(ORIGIN, first, fetch, tmp_path / "late" / "followed.json")
    await late.advance()
    assert follower.followed == late.followed
    assert follower.followed.size == 3
    stranger = Follower(ORIGIN, Town("federation").log_key.verifier, fetch, tmp_path / "stranger" / "followed.json")
    with pytest.raises(LogError):
        await stranger.advance()
    with copied(postgres, template) as lost:
        again = msgspec.structs.replace(settings, database=lost.runner_dsn)
        restored = await restore(again, lost.owner_dsn, FolderTail(tmp_path / "hub" / "federation-log"))
    assert restored.size == 3


async def test_the_key_for_receipts_is_rotated_and_receipts_tell_of_it(database, tmp_path):
    made, settings = await make(database, tmp_path / "federation")
    first = Cosigner.parse(made.files.receipts_key.read_text().strip())
    running = await create_pool(database.runner_dsn)
    async with create_pool_of(database) as pool:
        with pytest.raises(SettingsError, match="stop it first"):
            await rotate_receipt_key(settings, pool)
    await running.close()
    for version in (1, 2):
        async with create_pool_of(database) as pool:
            key = await rotate_receipt_key(settings, pool)
            rotations = await read_rotations(pool)
        assert (len(rotations), open_cosigner(settings, rotations).vkey) == (version, key)
    assert [path.name for path in sorted(settings.files.keys.glob("receipts*"))] == ["receipts-3.key"]
    async with (
        create_pool_of(database) as pool,
        running_hub(tmp_path / "hub") as hub,
        federation(hub) as connection,
        node(hub) as town,
    ):
        receiver = Receiver(pool, FEDERATION, open_cosigner(settings, rotations))
        receipts = Receipts(pool, connection, receiver.nothing, to_header(rotations))
        await receipts.give_again([SHIBUYA])
        await receipts.send()
        found = await last_message(town, RECEIPTS, receipts_subject(SHIBUYA))
    keys = ReceiptKeys(FEDERATION, [first.verifier])
    keys.learn(from_header(found.headers[HEADER]))
    assert keys.open(found.data) <= times.now().timestamp()


async def test_a_rotation_for_receipts_that_was_killed_goes_on_with_the_key_that_was_made(database, tmp_path):
    _, settings = await make(database, tmp_path / "federation")
    left = generate_cosigner(f"{FEDERATION}/receipts")
    file = settings.files.keys / "receipts-2.key"
    file.write_text(left.to_text() + "\n")
    file.chmod(0o600)
    async with create_pool_of(database) as pool:
        assert await rotate_receipt_key(settings, pool) == left.vkey
        rotations = await read_rotations(pool)
    file.unlink()
    with pytest.raises(SettingsError, match=r"receipts-2\.key cannot be read"):
        open_cosigner(settings, rotations)

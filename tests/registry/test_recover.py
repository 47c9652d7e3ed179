"""A node that lost its tail gets it back from whoever holds it, believes nothing but its own key, and goes on."""

import uuid

import msgspec
import pytest

from tests.registry.backups import Backup
from tests.registry.conftest import issue_body
from tests.registry.test_rotated_keys import claim, key, rotate
from tests.registry.test_signing import until_signed
from tomoni.database import create_pool
from tomoni.eventlog import Append, LastWord, NewEntry, Sequencer
from tomoni.eventlog.errors import BehindLastWord, LastWordMissing
from tomoni.eventlog.recovery import RecoveryRefused
from tomoni.events import encode_event
from tomoni.events.jurisdiction import CertificateErased, Data
from tomoni.settings import SettingsError
from tomoni.tail import Checkpoint, TailPage
from tomoni.tlog.note import generate_signer
from tomoni_registry.recover import recover

PAGE = 3
REISSUE = {"reissued_on": "2026-11-23", "reason": "lost", "version": 1}


class Held:
    """What a mirror holds of a log, in small pages."""

    def __init__(self, entries, checkpoints, ahead=()):
        self.entries, self.checkpoints, self.ahead = entries, checkpoints, ahead

    async def page(self, start):
        end = min(start + PAGE, len(self.entries))
        within = tuple(one for one in self.checkpoints if start < one.size <= end)
        more = end < len(self.entries)
        after, ahead = (end, ()) if more else (None, self.ahead)
        return TailPage(entries=tuple(self.entries[start:end]), checkpoints=within, ahead=ahead, after=after)


async def held(node, size=None):
    rows = await node.sql("SELECT size, note FROM log.checkpoint WHERE size > 0 ORDER BY size")
    entries = (await node.entries())[:size]
    return Held(entries, [Checkpoint(**row) for row in rows if row["size"] <= len(entries)])


async def everything(node):
    entries = await node.sql("SELECT * FROM log.entry ORDER BY position")
    checkpoints = await node.sql("SELECT size, note, nodes FROM log.checkpoint WHERE size > 1 ORDER BY size")
    return entries, checkpoints


@pytest.fixture
async def scene(node, postgres):
    """A node with a backup of when it had two entries, to which eight were added since; it is stopped."""
    await node.open_scheme()
    node.old = await node.issue()
    await until_signed(node, 2)
    await node.stop()
    node.backup = Backup(postgres, node)
    await node.start()
    reissued = await node.post(f"/v1/certificates/{node.old['certificate']}/reissue", REISSUE)
    assert reissued.status_code == 200, reissued.text
    node.key = str(uuid.uuid4())
    node.new = (await node.post("/v1/certificates", issue_body(), key=node.key)).json()
    for _ in range(6):
        await node.issue()
    await until_signed(node, 10)
    yield node
    node.backup.drop()


async def lose(node):
    """Stop the node, put the old backup in its place, and return what a mirror has."""
    mirror, before = await held(node), await everything(node)
    await node.stop()
    node.backup.restore_database()
    with pytest.raises(BehindLastWord):
        await node.start()
    return mirror, before


async def test_a_restored_backup_gets_its_tail_back_byte_for_byte_signs_and_goes_on(scene):
    mirror, before = await lose(scene)
    back = await recover(scene.settings, mirror)
    assert (back.before, back.size, back.signed) == (2, 10, 10)
    assert await everything(scene) == before
    await scene.start()
    await scene.issue()
    await until_signed(scene, 11)
    assert (await scene.client.get("/health/ready")).json() == {"write": "ok", "proof": "ok"}


async def test_it_tells_the_certificates_that_came_back_without_what_the_vault_held(scene):
    mirror, _ = await lose(scene)
    back = await recover(scene.settings, mirror)
    assert len(back.without_application) == 7
    assert scene.new["certificate"] in back.without_application
    assert back.without_records == (scene.old["certificate"],)
    await scene.start()
    reissued = await scene.post(f"/v1/certificates/{scene.new['certificate']}/reissue", REISSUE)
    assert reissued.status_code == 200, reissued.text


async def test_what_came_back_comes_back_no_second_time(scene):
    mirror, before = await lose(scene)
    await recover(scene.settings, mirror)
    again = await recover(scene.settings, mirror)
    assert (again.before, again.size, again.without_application) == (10, 10, ())
    assert await everything(scene) == before


async def test_a_command_of_the_lost_time_that_is_sent_again_is_not_carried_out_twice(scene):
    reissue, body = f"/v1/certificates/{scene.old['certificate']}/reissue", REISSUE | {"version": 2}
    key = str(uuid.uuid4())
    assert (await scene.post(reissue, body, key=key)).status_code == 200
    await until_signed(scene, 11)
    mirror, before = await lose(scene)
    await recover(scene.settings, mirror)
    await scene.start()
    issued = await scene.post("/v1/certificates", issue_body(), key=scene.key)
    reissued = await scene.post(reissue, body, key=key)
    for answer in (issued, reissued):
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "command-already-done")
    assert (await everything(scene))[0] == before[0]


async def test_an_idempotency_key_cannot_be_told_from_the_log(scene):
    assert all(scene.key.encode() not in entry for entry in await scene.entries())


async def test_a_rotation_in_what_was_lost_comes_back_with_its_hand_over(node, postgres):
    await node.open_scheme()
    await until_signed(node, 1)
    await node.stop()
    node.backup = Backup(postgres, node)
    await node.start()
    await rotate(node)
    mirror, before = await lose(node)
    node.backup.drop()
    kept = node.files.log_key(2).rename(node.files.folder / "elsewhere")
    with pytest.raises(SettingsError, match="bring it back"):
        await recover(node.settings, mirror)
    kept.rename(node.files.log_key(2))
    assert (await recover(node.settings, mirror)).size == 3
    assert await everything(node) == before
    await node.start()
    await node.issue()
    await until_signed(node, 4)


async def test_a_cloned_machine_with_its_old_last_word_gets_its_tail_back(scene):
    mirror, before = await held(scene), await everything(scene)
    await scene.stop()
    scene.backup.restore_machine()
    back = await recover(scene.settings, mirror)
    assert (back.before, back.size, back.signed) == (2, 10, 10)
    assert await everything(scene) == before
    await scene.start()
    await scene.issue()
    await until_signed(scene, 11)


async def test_what_was_signed_and_is_not_proven_yet_keeps_it_from_signing_until_it_is(scene):
    whole, before = await lose(scene)
    size = whole.checkpoints[-2].size
    back = await recover(scene.settings, Held(whole.entries[:size], whole.checkpoints[:-1]))
    assert (back.size, back.signed) == (size, 10)
    with pytest.raises(BehindLastWord):
        await scene.start()
    assert (await recover(scene.settings, whole)).signed == 10
    assert await everything(scene) == before
    await scene.start()
    await scene.issue()
    await until_signed(scene, 11)


async def test_a_machine_that_burnt_with_its_last_word_goes_on_from_what_is_proven(scene):
    mirror, _ = await lose(scene)
    word = LastWord(scene.files.last_word).read()
    scene.files.last_word.unlink()
    with pytest.raises(LastWordMissing):
        await recover(scene.settings, mirror)
    mirror.ahead = (claim(12, generate_signer("tomoni.example/131130")), claim(11, key(scene, 1)), b"junk")
    behind = await recover(scene.settings, mirror, last_word_is_lost=True)
    assert (behind.size, behind.signed) == (10, 11)
    assert LastWord(scene.files.last_word).read() is None
    mirror.ahead = mirror.ahead[:1]
    await recover(scene.settings, mirror, last_word_is_lost=True)
    assert LastWord(scene.files.last_word).read() == word
    await scene.start()
    await scene.issue()
    await until_signed(scene, 11)


def changed(mirror):
    mirror.entries[6] = mirror.entries[6].replace(b'"kind":"partnership"', b'"kind":"familyship"')


def swapped(mirror):
    mirror.entries[4:6] = mirror.entries[5], mirror.entries[4]


def another_town(mirror):
    mirror.entries[4] = mirror.entries[4].replace(b"/131130", b"/131121")


def no_event(mirror):
    mirror.entries[4] = b"\x00"


def other_beginning(mirror):
    mirror.entries[1] = mirror.entries[1].replace(b'"kind":"partnership"', b'"kind":"familyship"')


def unsigned(mirror):
    stranger = generate_signer("tomoni.example/131130")
    mirror.checkpoints[-1] = msgspec.structs.replace(mirror.checkpoints[-1], note=claim(10, stranger))


@pytest.mark.parametrize("spoil", [changed, swapped, another_town, no_event, unsigned])
async def test_what_our_key_has_not_signed_is_refused_and_nothing_is_written(scene, spoil):
    mirror, _ = await lose(scene)
    before = await everything(scene)
    spoil(mirror)
    with pytest.raises(RecoveryRefused):
        await recover(scene.settings, mirror)
    assert await everything(scene) == before


async def test_a_database_that_went_on_differently_is_told_where(scene):
    mirror, _ = await held(scene), await scene.stop()
    scene.backup.restore_machine()
    await scene.start()
    await scene.issue()
    await scene.stop()
    with pytest.raises(RecoveryRefused, match=r"(position|size) 3|from position 2"):
        await recover(scene.settings, mirror)


async def test_a_running_node_is_not_recovered(scene):
    with pytest.raises(SettingsError, match="as the node does"):
        await recover(scene.settings, await held(scene))


async def test_an_erasure_in_what_was_lost_destroys_the_data_of_the_backup_again(scene):
    subject = f"certificate/{scene.old['certificate']}"
    event = CertificateErased(
        id=str(uuid.uuid4()),
        source="tomoni.example/131130",
        subject=subject,
        time="2026-11-23T03:00:00.000000Z",
        data=Data(version=3),
    )
    pool = await create_pool(scene.settings.database)
    async with Sequencer(pool) as sequencer:
        entry = NewEntry(encode_event(event), subject, 3)
        await sequencer.append(Append(uuid.uuid4(), (entry,), {subject: 2}))
    await pool.close()
    await until_signed(scene, 11)
    mirror, _ = await lose(scene)
    stored = "SELECT count(*) AS n FROM vault.data_key WHERE subject = $1"
    assert (await scene.sql(stored, subject))[0]["n"] == 1
    back = await recover(scene.settings, mirror)
    assert (await scene.sql(stored, subject))[0]["n"] == 0
    assert scene.old["certificate"] not in (*back.without_application, *back.without_records)

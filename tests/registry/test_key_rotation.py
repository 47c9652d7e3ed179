"""Key-encryption keys are replaced and destroyed while the node works, and no kill at any step loses a key."""

import asyncio
import itertools
import shutil
from datetime import date, timedelta

import asyncpg
import pytest

from tests.registry.conftest import issue_body
from tests.registry.killing import killed_destroying, killed_rotating
from tomoni.database import create_pool
from tomoni.secret_files import SecretFileError
from tomoni.settings import SettingsError
from tomoni_registry.vault import rotation
from tomoni_registry.vault.generations import require_keys
from tomoni_registry.vault.keyring import Keyring, list_keys
from tomoni_registry.vault.rotation import destroy_retired, rotate
from tomoni_registry.vault.sealing import SealError

TODAY = date(2026, 11, 23)
CERTIFICATES = 7


@pytest.fixture
async def opened(node):
    await node.open_scheme()
    return node


@pytest.fixture
async def pool(node):
    pool = await create_pool(node.settings.database)
    yield pool
    await pool.close()


def quiet(_done, _total):
    """Show no progress."""


async def issue_some(node, count=CERTIFICATES):
    return [(await node.issue())["certificate"] for _ in range(count)]


async def all_readable(node, certificates):
    for certificate in certificates:
        held = await node.get(f"/v1/certificates/{certificate}/vault", "supervisor")
        assert held.status_code == 200, held.text
        assert held.json()["application"]["partners"][0]["name"]


async def generations(node):
    rows = await node.sql("SELECT DISTINCT generation FROM vault.data_key ORDER BY generation")
    return [row["generation"] for row in rows]


def states(node):
    return {number: file.state for number, file in sorted(list_keys(node.files.keys).items())}


async def test_a_rotation_wraps_every_key_anew_while_the_node_works(opened, pool, monkeypatch):
    monkeypatch.setattr(rotation, "BATCH", 3)
    certificates = await issue_some(opened)
    stop = asyncio.Event()

    async def clerk():
        while not stop.is_set():
            certificates.append((await opened.issue())["certificate"])

    clerks = [asyncio.create_task(clerk()) for _ in range(3)]
    seen = []
    for number in (1, 2, 3):
        rotated = await rotate(pool, Keyring(opened.files.keys), TODAY, lambda *progress: seen.append(progress))
        assert (rotated.current, rotated.retired) == (number + 1, (number,))
        assert rotated.rewrapped >= CERTIFICATES
    stop.set()
    await asyncio.gather(*clerks)
    assert all(done <= total for done, total in seen)
    assert states(opened) == {1: "retired", 2: "retired", 3: "retired", 4: "key"}
    await all_readable(opened, certificates)
    later = TODAY + timedelta(days=31)
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    assert await destroy_retired(pool, Keyring(opened.files.keys), later, 30) == (1, 2, 3)
    assert await generations(opened) == [4]
    await all_readable(opened, certificates)


async def test_a_key_kept_for_backups_is_destroyed_only_after_its_days(opened, pool):
    keyring = Keyring(opened.files.keys)
    await issue_some(opened, 1)
    await rotate(pool, keyring, TODAY, quiet)
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    for days in (0, 1, 30):
        assert await destroy_retired(pool, keyring, TODAY + timedelta(days=days), 30) == ()
    assert states(opened) == {1: "retired", 2: "key"}
    assert await destroy_retired(pool, keyring, TODAY + timedelta(days=31), 30) == (1,)
    assert states(opened) == {1: "destroyed", 2: "key"}
    assert list_keys(opened.files.keys)[1].path.read_bytes() == b""


async def test_the_node_destroys_what_is_due_when_it_starts(opened, pool):
    certificates = await issue_some(opened, 2)
    await rotate(pool, Keyring(opened.files.keys), TODAY - timedelta(days=31), quiet)
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    await opened.stop()
    await opened.start()
    while states(opened)[1] != "destroyed" or list_keys(opened.files.keys)[1].path.stat().st_size:
        await opened.pause()
    await all_readable(opened, certificates)


async def test_a_key_that_still_wraps_an_answer_stays(opened, pool):
    """Answers last a day and are not wrapped anew; none may be lost before."""
    keyring, key = Keyring(opened.files.keys), "0e5bd4f4-3a4c-4a0f-8f43-8f1f5a6d9b10"
    first = await opened.post("/v1/certificates", issue_body(), key=key)
    await rotate(pool, keyring, TODAY, quiet)
    assert await destroy_retired(pool, keyring, TODAY + timedelta(days=99), 1) == ()
    assert (await opened.post("/v1/certificates", issue_body(), key=key)).content == first.content
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    assert await destroy_retired(pool, keyring, TODAY + timedelta(days=99), 1) == (1,)


async def test_what_was_wrapped_under_a_retired_key_meanwhile_is_saved_before_it_is_destroyed(opened, pool):
    """A command decided before the rotation may be stored after it."""
    keyring = Keyring(opened.files.keys)
    certificates = await issue_some(opened, 3)
    before = await opened.sql("SELECT generation, wrapped, subject FROM vault.data_key")
    await rotate(pool, keyring, TODAY, quiet)
    for row in before:
        await opened.sql("UPDATE vault.data_key SET generation = $1, wrapped = $2 WHERE subject = $3", *row.values())
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    assert await destroy_retired(pool, keyring, TODAY + timedelta(days=2), 1) == (1,)
    await all_readable(opened, certificates)


async def test_the_database_takes_nothing_wrapped_under_a_destroyed_key(opened, pool):
    """A process that slept through the days still has the key in its memory."""
    keyring = Keyring(opened.files.keys)
    await rotate(pool, keyring, TODAY, quiet)
    await opened.sql("UPDATE vault.answer SET expires_at = now()")
    assert await destroy_retired(pool, keyring, TODAY + timedelta(days=2), 1) == (1,)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await pool.execute("INSERT INTO vault.data_key (subject, generation, wrapped) VALUES ('late', 1, '')")


async def test_a_data_key_that_does_not_open_stops_the_rotation_and_nothing_is_retired(opened, pool):
    keyring = Keyring(opened.files.keys)
    certificates = await issue_some(opened, 2)
    spoilt = f"certificate/{min(certificates)}"
    [whole] = await opened.sql("SELECT wrapped FROM vault.data_key WHERE subject = $1", spoilt)
    await opened.sql("UPDATE vault.data_key SET wrapped = 'x' WHERE subject = $1", spoilt)
    with pytest.raises(SealError):
        await rotate(pool, keyring, TODAY, quiet)
    assert states(opened) == {1: "key", 2: "key"}
    await opened.sql("UPDATE vault.data_key SET wrapped = $2 WHERE subject = $1", spoilt, whole["wrapped"])
    assert (await rotate(pool, keyring, TODAY, quiet)).current == 2
    await all_readable(opened, certificates)


async def test_a_kill_at_any_step_of_a_rotation_loses_no_key(opened, pool):
    certificates = await issue_some(opened)
    killed = 0
    for steps in itertools.count():
        if not await asyncio.to_thread(killed_rotating, opened.settings.database, opened.files.keys, TODAY, steps):
            break
        killed += 1
        await all_readable(opened, certificates)  # by the node, which knows nothing of all this
        certificates[0] = (await opened.issue())["certificate"]
        await all_readable(opened, certificates[:1])
        if steps % 2:  # taken up again at once, or after the next kill
            rotated = await rotate(pool, Keyring(opened.files.keys), TODAY, quiet)
            assert await generations(opened) == [rotated.current]
            assert set(states(opened).values()) == {"retired", "key"}
    assert killed > 25
    await all_readable(opened, certificates)
    assert len(Keyring(opened.files.keys).generations("key")) == 1


async def test_a_kill_at_any_step_of_a_destruction_loses_no_key_in_use(opened, pool):
    certificates = await issue_some(opened)
    later, killed = TODAY + timedelta(days=2), 0
    for steps in itertools.count():
        rotated = await rotate(pool, Keyring(opened.files.keys), TODAY, quiet)
        await opened.sql("UPDATE vault.answer SET expires_at = now()")
        if not await asyncio.to_thread(killed_destroying, opened.settings.database, opened.files.keys, later, steps):
            break
        killed += 1
        await all_readable(opened, certificates)
        if steps % 2:
            await destroy_retired(pool, Keyring(opened.files.keys), later, 1)
            assert set(states(opened).values()) == {"destroyed", "key"}
            destroyed = [file for file in list_keys(opened.files.keys).values() if file.state == "destroyed"]
            assert [file.path.stat().st_size for file in destroyed] == [0] * (rotated.current - 1)
    assert killed >= 10
    await opened.stop()
    await opened.start()
    await all_readable(opened, certificates)


async def test_a_keys_folder_that_is_too_old_stops_node_and_rotation(opened, pool, tmp_path):
    """It would make another key of a generation that the database knows, and nothing would open any more."""
    await issue_some(opened, 1)
    shutil.copytree(opened.files.keys, tmp_path / "old")
    await rotate(pool, Keyring(opened.files.keys), TODAY, quiet)
    with pytest.raises(SecretFileError, match="put back the newest backup"):
        await rotate(pool, Keyring(tmp_path / "old"), TODAY, quiet)
    assert not (tmp_path / "old" / "vault-2.next").exists()
    await opened.stop()
    opened.files.keys.rename(tmp_path / "new")
    shutil.copytree(tmp_path / "old", opened.files.keys)
    with pytest.raises(SettingsError, match="put back the newest backup"):
        await opened.start()
    shutil.rmtree(opened.files.keys)
    (tmp_path / "new").rename(opened.files.keys)
    await opened.start()
    assert await require_keys(pool, Keyring(opened.files.keys)) == {1, 2}

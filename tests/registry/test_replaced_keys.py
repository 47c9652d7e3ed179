"""A log whose key was lost or stolen: new keys, the same history, and what the old key signs counts no more."""

import asyncio
import shutil
from datetime import date

import pytest

from tests.auditor.archives import write_files
from tests.registry.conftest import CODE, FEDERATION, Node, copied
from tests.registry.test_rotated_keys import claim, key, rotate, see
from tests.registry.test_signing import until_signed
from tomoni import nkey
from tomoni.admission import verify_admission, verify_transport_key
from tomoni.eventlog import LastWord
from tomoni.eventlog.errors import LastWordMissing
from tomoni.settings import SettingsError
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.cosignature import CosignatureVerifier, open_cosigned
from tomoni.tlog.note import Verifier
from tomoni_cli.registry import app
from tomoni_registry.initialise import NewNode, initialise
from tomoni_registry.keys.replacing import ReplacementRefused, replace_keys
from tomoni_registry.keys.transport import ask_for_transport_key, use_next_transport_key
from tomoni_registry.settings import load_settings

TODAY = date(2026, 11, 23)
ORIGIN = "tomoni.example/131130"


async def replace(node, from_size, **options):
    return await replace_keys(load_settings(node.files.settings), node.owner_dsn, from_size, TODAY, **options)


async def require_signed_by(node, vkey, size):
    note = await until_signed(node, size)
    assert open_checkpoint(note, ORIGIN, [Verifier.parse(vkey)]).size == size


@pytest.fixture
async def stopped(node):
    """A node of three entries, with a checkpoint of each size, which is stopped."""
    await until_signed(node, 0)
    await node.open_scheme()
    for size in (1, 2):
        await until_signed(node, size)
        await node.issue()
    await until_signed(node, 3)
    await node.stop()
    return node


@pytest.mark.parametrize("from_size", [0, 2, 3])
async def test_a_log_that_lost_its_key_goes_on_with_another_from_a_size_on(stopped, from_size):
    entries = await stopped.entries()
    for path in (stopped.files.log_key(1), stopped.files.heartbeat_key, stopped.files.transport_seed):
        path.unlink()
    with pytest.raises(SettingsError, match=r"ask for readmission"):
        await stopped.start()
    request = await replace(stopped, from_size)
    verify_admission("tomoni.example", request)
    assert stopped.admission() == request
    await stopped.start()
    await require_signed_by(stopped, request.log_key, 3)
    [row] = await stopped.sql("SELECT note FROM log.heartbeat")
    assert open_cosigned(row["note"], CosignatureVerifier.parse(request.heartbeat_key)) > 0
    await stopped.issue()
    await require_signed_by(stopped, request.log_key, 4)
    assert (await stopped.entries())[:3] == entries
    kept = await stopped.sql("SELECT size FROM registry.replaced_checkpoint ORDER BY size")
    assert [row["size"] for row in kept] == [size for size in range(4) if size >= from_size]
    assert (await stopped.client.get("/health/ready")).status_code == 200


async def test_a_replacement_that_was_killed_is_run_again(stopped):
    for _ in range(3):
        request = await replace(stopped, 2)
    await stopped.start()
    await require_signed_by(stopped, request.log_key, 3)


async def test_with_the_keys_of_the_vault_gone_what_it_holds_is_given_up_and_the_node_goes_on(stopped):
    shutil.rmtree(stopped.files.keys)
    await replace(stopped, 3)
    with pytest.raises(SettingsError, match="vault"):
        await stopped.start()
    await stopped.stop()
    request = await replace(stopped, 3, vault_keys_are_lost=True)
    await stopped.start()
    issued = await stopped.issue()
    await require_signed_by(stopped, request.log_key, 4)
    assert (await stopped.get(f"/v1/certificates/{issued['certificate']}", "clerk")).status_code == 200
    held = await stopped.sql("SELECT generation FROM vault.key_generation")
    assert [row["generation"] for row in held] == [2]


@pytest.mark.parametrize("size", [3, 4, 9])
async def test_what_a_stolen_key_signs_after_it_was_replaced_does_not_stop_the_node(stopped, size):
    stolen = key(stopped, 1)
    await replace(stopped, 2)
    await see(stopped, claim(size, stolen))
    await stopped.start()
    await stopped.issue()
    await until_signed(stopped, 4)


async def test_a_key_is_rotated_after_a_readmission_as_after_an_admission(stopped):
    await replace(stopped, 3)
    await stopped.start()
    answer = await stopped.post("/v1/keys/rotate", {"version": 0}, "supervisor")
    assert answer.status_code == 200
    await until_signed(stopped, 4)
    await stopped.issue()
    await require_signed_by(stopped, answer.json()["log_key"], 5)


async def test_a_rotation_after_the_size_to_go_on_from_stands_if_its_key_is_held(node):
    await node.open_scheme()
    await until_signed(node, 1)
    await rotate(node)
    await node.stop()
    held_back = node.files.log_key(2).rename(node.files.folder / "log-2.key")
    with pytest.raises(ReplacementRefused, match="position 1 names a next key"):
        await replace(node, 1)
    held_back.rename(node.files.log_key(2))
    request = await replace(node, 1)
    await node.start()
    await node.issue()
    await require_signed_by(node, key(node, 2).vkey, 4)
    [row] = await node.sql("SELECT note FROM log.checkpoint WHERE size > 1 ORDER BY size LIMIT 1")
    for vkey in (request.log_key, key(node, 2).vkey):
        open_checkpoint(row["note"], ORIGIN, [Verifier.parse(vkey)])


async def test_a_database_that_is_behind_what_was_signed_has_to_come_back_first(stopped):
    word = LastWord(stopped.files.last_word)
    word.swap(word.read(), claim(9, key(stopped, 1)))
    with pytest.raises(ReplacementRefused, match="9 entries were signed, as its last word says"):
        await replace(stopped, 3)
    stopped.files.last_word.unlink()
    with pytest.raises(ReplacementRefused, match="shall go on from 4"):
        await replace(stopped, 4)
    await stopped.sql("INSERT INTO relay.receipt (size, time, note) VALUES (9, 1, $1)", claim(9, key(stopped, 1)))
    with pytest.raises(ReplacementRefused, match="9 entries were signed, as a receipt says"):
        await replace(stopped, 3)
    assert await stopped.sql("SELECT * FROM registry.replaced_checkpoint") == []
    assert not list(stopped.files.keys.glob("log-2*"))


async def test_a_database_with_another_history_gets_no_new_key(stopped):
    word = LastWord(stopped.files.last_word)
    word.swap(word.read(), claim(2, key(stopped, 1)))
    with pytest.raises(ReplacementRefused, match="not the log that the federation knows"):
        await replace(stopped, 3)


async def test_no_key_is_replaced_while_the_node_runs(node):
    with pytest.raises(SettingsError, match="stop it first"):
        await replace(node, 0)


def typed(capsys, *words):
    """Type a command of the node's and get its status, and what it says."""
    try:
        app([str(word) for word in words])
    except SystemExit as ended:
        told = capsys.readouterr()
        return int(ended.code or 0), told.out + told.err
    raise AssertionError("a command ends")


async def test_a_machine_that_burnt_with_its_keys_is_made_anew_from_what_the_federation_holds(
    stopped, postgres, template, tmp_path, capsys, monkeypatch
):
    """As the runbook says it: what the federation holds is carried here in a folder."""
    word, old = LastWord(stopped.files.last_word).read(), key(stopped, 1).vkey
    write_files(tmp_path / "held", await stopped.entries())
    (tmp_path / "held" / "checkpoint").write_bytes(word)
    with copied(postgres, template) as databases:
        node = NewNode(code=CODE, federation=FEDERATION, folder=tmp_path / "new", preset="shibuya")
        new = Node(await initialise(node, databases), databases.owner)
        monkeypatch.setenv("TOMONI_OWNER_DATABASE", databases.owner)
        settings, source = ("--config", new.files.settings), ("--from", tmp_path / "held")
        status, told = await asyncio.to_thread(typed, capsys, "recover", *settings, *source)
        assert (status, "is not signed by our key" in told) == (1, True), told
        status, told = await asyncio.to_thread(typed, capsys, "recover", *settings, *source, "--lost-key", old)
        assert (status, "3 entries came back" in told, "make new keys with" in told) == (0, True, True), told
        with pytest.raises(LastWordMissing):
            await new.start()
        shutil.rmtree(new.files.keys)
        replace = ("replace-keys", *settings, "--from-size", 3)
        status, told = await asyncio.to_thread(typed, capsys, *replace, "--vault-keys-are-lost")
        assert (status, "goes on from size 3" in told) == (0, True), told
        await new.start()
        await require_signed_by(new, new.admission().log_key, 3)
        assert await new.entries() == await stopped.entries()
        await new.stop()


async def test_the_next_key_for_the_hub_is_asked_for_while_the_node_runs_and_used_when_it_was_accepted(node):
    settings = load_settings(node.files.settings)
    before = node.files.transport_seed.read_text().strip()
    requests = [await ask_for_transport_key(settings) for _ in range(2)]
    assert requests[0] == requests[1]
    verify_transport_key(FEDERATION, node.admission().log_key, requests[0])
    assert requests[0].replaces == nkey.public_nkey(before) == node.admission().transport_key
    assert node.files.transport_seed.read_text().strip() == before
    use_next_transport_key(settings)
    assert nkey.public_nkey(node.files.transport_seed.read_text().strip()) == requests[0].transport_key
    with pytest.raises(SettingsError, match="cannot be used"):
        use_next_transport_key(settings)

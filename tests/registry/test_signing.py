"""The node's own log: signed, provable, with a key that rotates, and silent when it is behind its last word."""

import asyncio

import pytest

from tomoni.database import create_pool
from tomoni.eventlog import CheckpointStore, LastWord, SigningRefused
from tomoni.eventlog.connections import BROKEN
from tomoni.eventlog.errors import BehindLastWord, LastWordMissing
from tomoni.eventlog.publisher import CheckpointPublisher
from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import CosignatureVerifier, open_cosigned
from tomoni.tlog.note import Signer, Verifier, open_note
from tomoni_registry.app import open_registry


async def until_signed(node, size):
    """Wait for the checkpoint of a size, as an auditor sees it."""
    for _ in range(200):
        answer = await node.get("/log/checkpoint", "auditor")
        if answer.status_code == 200 and int(answer.text.splitlines()[1]) == size:
            return answer.content
        await node.pause()
    raise AssertionError("the checkpoint was not signed")


async def test_what_happened_is_signed_by_the_key_of_the_admission(node):
    await node.open_scheme()
    await node.issue()
    note = await until_signed(node, 2)
    key = Signer.parse(node.files.log_key(1).read_text().strip()).verifier
    assert open_checkpoint(note, "tomoni.example/131130", [key]).size == 2
    tile = await node.get("/log/tile/entries/000.p/2", "witness")
    assert all(entry in tile.content for entry in await node.entries())


async def test_a_heartbeat_is_signed_at_the_start(node):
    pool = await create_pool(node.owner_dsn)
    beat = await CheckpointStore(pool).heartbeat()
    await pool.close()
    request = node.admission()
    heartbeat_key = CosignatureVerifier.parse(request.heartbeat_key)
    assert open_cosigned(beat.note, heartbeat_key) == beat.time


async def test_a_rotated_key_signs_together_with_the_old_one_once_and_then_alone(node):
    await node.open_scheme()
    old = Verifier.parse(node.admission().log_key)
    await until_signed(node, 1)
    rotated = await node.post("/v1/keys/rotate", {"version": 0}, "supervisor")
    assert rotated.status_code == 200
    assert rotated.json()["replaces"] == old.vkey
    new = Verifier.parse(rotated.json()["log_key"])
    assert new != old

    both = open_note(await until_signed(node, 2), [old, new])
    assert {key_id for _, key_id in both.verified} == {old.key_id, new.key_id}
    await node.issue()
    alone = open_note(await until_signed(node, 3), [old, new])
    assert {key_id for _, key_id in alone.verified} == {new.key_id}

    await node.stop()
    await node.start()
    assert (await node.client.get("/health/ready")).json() == {"write": "ok", "proof": "ok"}
    assert node.files.log_key(2).stat().st_mode & 0o777 == 0o600
    stale = await node.post("/v1/keys/rotate", {"version": 0}, "supervisor")
    assert stale.json()["type"].endswith("/stale-version")
    assert not node.files.log_key(3).exists()


async def test_ready_means_that_writing_and_proving_work(node):
    await node.open_scheme()
    await node.issue()
    await until_signed(node, 2)
    assert (await node.client.get("/health/ready")).json() == {"write": "ok", "proof": "ok"}
    await node.sql("ALTER TABLE registry.pulse RENAME TO gone")
    await node.sql("ALTER TABLE log.tile DISABLE TRIGGER ALL")
    await node.sql("UPDATE log.tile SET hashes = decode(repeat('00', 64), 'hex')")
    answer = await node.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"write": "failing", "proof": "failing"}


async def test_a_node_behind_its_last_word_does_not_start(node):
    await node.open_scheme()
    last_word = await until_signed(node, 1)
    await node.stop()
    await node.sql("ALTER TABLE log.entry DISABLE TRIGGER ALL")
    await node.sql("DELETE FROM log.entry")
    await node.sql("UPDATE log.head SET size = 0")
    await node.sql("UPDATE log.tree SET size = 0")
    for table in ("tile", "checkpoint"):
        await node.sql(f"ALTER TABLE log.{table} DISABLE TRIGGER ALL")
        await node.sql(f"DELETE FROM log.{table}")
    with pytest.raises(BehindLastWord):
        await node.start()
    assert LastWord(node.files.last_word).read() == last_word


async def test_a_node_whose_last_word_is_lost_does_not_start(node):
    await node.open_scheme()
    await until_signed(node, 1)
    await node.stop()
    node.files.last_word.unlink()
    with pytest.raises(LastWordMissing) as refused:
        async with open_registry(node.settings):
            pass
    assert isinstance(refused.value, SigningRefused)


def foreign_checkpoint(node, size):
    """Sign a checkpoint of a size that the node's log does not have, with the node's own key."""
    key = Signer.parse(node.files.log_key(1).read_text().strip())
    return sign_checkpoint(Checkpoint("tomoni.example/131130", size, bytes(32)), [key])


@pytest.mark.parametrize("size", [1, 7])
async def test_a_node_whose_own_word_was_seen_on_the_hub_and_is_not_in_its_log_does_not_start(node, size):
    await node.open_scheme()
    await node.issue()
    await until_signed(node, 2)
    await node.stop()
    note = foreign_checkpoint(node, size)
    await node.sql("INSERT INTO relay.sighting (stream, note) VALUES ('EVENTS', $1)", note)
    with pytest.raises(SigningRefused):
        await node.start()


async def test_a_running_node_stops_signing_when_its_own_word_is_seen_that_is_not_in_its_log(node, monkeypatch):
    await node.stop()
    monkeypatch.setenv("TOMONI_LOG__HEARTBEAT_SECONDS", "0.02")
    await node.start()
    await node.open_scheme()
    await until_signed(node, 1)
    await node.sql("INSERT INTO relay.sighting (stream, note) VALUES ('EVENTS', $1)", foreign_checkpoint(node, 7))
    while (await node.client.get("/health/ready")).json()["proof"] == "ok":  # the tests' time limit ends it
        await node.issue()
    last_word = node.files.last_word.read_bytes()
    await node.issue()
    await node.sql("DELETE FROM relay.sighting")
    assert node.files.last_word.read_bytes() == last_word
    await until_signed(node, len(await node.entries()))


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: error.__name__)
async def test_a_node_beats_on_whatever_its_driver_says_of_a_connection_that_broke(node, monkeypatch, error):
    """The driver has an error of its own for a connection that broke while it was given back."""
    await node.stop()
    monkeypatch.setenv("TOMONI_LOG__HEARTBEAT_SECONDS", "0.02")
    await node.start()
    beat, beaten = CheckpointPublisher.heartbeat, asyncio.Event()

    async def break_once(publisher):
        monkeypatch.setattr(CheckpointPublisher, "heartbeat", beat_again)
        raise error("as the driver does")

    async def beat_again(publisher):
        await beat(publisher)
        beaten.set()

    monkeypatch.setattr(CheckpointPublisher, "heartbeat", break_once)
    await asyncio.wait_for(beaten.wait(), 10)


async def test_junk_seen_on_the_hub_does_not_keep_a_node_from_starting(node):
    await node.open_scheme()
    await until_signed(node, 1)
    await node.stop()
    thief = Signer.generate("tomoni.example/131130")
    note = sign_checkpoint(Checkpoint("tomoni.example/131130", 9, bytes(32)), [thief])
    await node.sql("INSERT INTO relay.sighting (stream, note) VALUES ('EVENTS', $1)", note)
    await node.start()
    assert (await node.client.get("/health/ready")).status_code == 200

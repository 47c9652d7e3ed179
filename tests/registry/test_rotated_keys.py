"""Keys speak by size: a retired key stops nobody, and a backup from before a rotation is still found out."""

import pytest

from tests.registry.backups import Backup
from tests.registry.test_signing import until_signed
from tomoni.eventlog import LastWord
from tomoni.eventlog.errors import BehindLastWord, ForkedLog, InvalidCheckpoint
from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.note import Signer, open_note

ORIGIN = "tomoni.example/131130"


async def see(node, note):
    """Have the node find a note that came back from outside."""
    await node.sql("INSERT INTO relay.sighting (stream, note) VALUES ('EVENTS', $1)", note)


def key(node, number):
    return Signer.parse(node.files.log_key(number).read_text().strip())


def claim(size, *signers):
    """Sign a checkpoint of a size that is not in any node's log."""
    return sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), signers)


async def rotate(node):
    """Rotate the key of a log of size 1, and go on: 1 is signed by the old key, 2 by both, 3 by the new one."""
    answer = await node.post("/v1/keys/rotate", {"version": 0}, "supervisor")
    assert answer.status_code == 200
    await until_signed(node, 2)
    await node.issue()
    await until_signed(node, 3)


@pytest.fixture
async def rotated(node):
    """A stopped node whose key was rotated at size 2."""
    await node.open_scheme()
    await until_signed(node, 1)
    await rotate(node)
    await node.stop()
    return node


@pytest.fixture
async def backup(postgres, node):
    """A backup from before a rotation, of a node that was rotated since and is stopped."""
    await node.open_scheme()
    await until_signed(node, 1)
    await node.stop()
    backup = Backup(postgres, node)
    await node.start()
    await rotate(node)
    await node.stop()
    yield backup
    backup.drop()


@pytest.mark.parametrize("size", [2, 3, 9])
async def test_a_stolen_retired_key_does_not_stop_a_node_at_sizes_the_key_no_longer_speaks_for(rotated, size):
    await see(rotated, claim(size, key(rotated, 1)))
    await rotated.start()
    await rotated.issue()
    signed = open_note(await until_signed(rotated, 4), [key(rotated, 1).verifier, key(rotated, 2).verifier])
    assert [key_id for _, key_id in signed.verified] == [key(rotated, 2).verifier.key_id]


@pytest.mark.parametrize(
    ("size", "signers", "error"),
    [
        (1, [1], ForkedLog),
        (2, [1, 2], ForkedLog),
        (2, [2], ForkedLog),
        (3, [2], ForkedLog),
        (9, [2], BehindLastWord),
        (9, [1, 2], BehindLastWord),
    ],
)
async def test_a_key_at_a_size_it_speaks_for_stops_a_node_that_does_not_hold_it(rotated, size, signers, error):
    await see(rotated, claim(size, *(key(rotated, number) for number in signers)))
    with pytest.raises(error):
        await rotated.start()


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_a_nodes_own_checkpoints_before_at_and_after_a_rotation_are_no_contradiction(rotated, size):
    [row] = await rotated.sql("SELECT note FROM log.checkpoint WHERE size = $1", size)
    await see(rotated, row["note"])
    await rotated.start()
    assert (await rotated.client.get("/health/ready")).json() == {"write": "ok", "proof": "ok"}


async def test_a_database_from_before_a_rotation_is_behind_the_last_word_of_the_new_key(node, backup):
    last_word = node.files.last_word.read_bytes()
    backup.restore_database()
    with pytest.raises(BehindLastWord):
        await node.start()
    assert node.files.last_word.read_bytes() == last_word


async def test_a_last_word_of_a_key_that_is_not_known_at_all_stops_a_node(node, backup):
    last_word = node.files.last_word.read_bytes()
    backup.restore_database()
    node.files.log_key(2).unlink()
    with pytest.raises(InvalidCheckpoint):
        await node.start()
    assert node.files.last_word.read_bytes() == last_word


async def test_a_machine_from_before_a_rotation_is_stopped_by_the_new_keys_word_from_outside(node, backup):
    seen = LastWord(node.files.last_word).read()
    backup.restore_machine()
    await see(node, seen)
    with pytest.raises(BehindLastWord):
        await node.start()


async def test_a_machine_from_before_a_rotation_without_the_new_key_is_stopped_by_the_hand_over(node, backup):
    [row] = await node.sql("SELECT note FROM log.checkpoint WHERE size = 2")
    backup.restore_machine()
    node.files.log_key(2).unlink()
    await see(node, row["note"])
    with pytest.raises(BehindLastWord):
        await node.start()

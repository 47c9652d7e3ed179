"""A machine that was restored as a whole learns from the federation's receipt that its log went on without it."""

import pytest

from tests.registry.backups import Backup
from tests.registry.test_signing import until_signed
from tests.relay.nodes import FEDERATION, ORIGIN, RECEIPTS, relaying
from tests.transport.hubs import SHIBUYA, federation, running_hub, until
from tomoni.eventlog.errors import BehindLastWord
from tomoni.service import HttpSettings
from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import cosign
from tomoni.tlog.note import Signer, generate_signer
from tomoni.transport import Outgoing, publish_one, receipts_subject
from tomoni.transport.subjects import EVENTS
from tomoni.transport.subjects import RECEIPTS as RECEIPTS_STREAM
from tomoni_registry.relay.settings import HubConnection, RelaySettings
from tomoni_registry.relay.source import MAX_NOTE_BYTES


@pytest.fixture
async def hub(tmp_path):
    async with running_hub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def relay_settings(hub, administered):
    """The settings of a relay beside the node under test, in a role of its own."""
    seed_file = hub.folder / "node.nk"
    seed_file.write_text(hub.seeds[SHIBUYA])
    seed_file.chmod(0o600)
    return RelaySettings(
        federation=FEDERATION,
        code=SHIBUYA,
        database=administered.relay,
        hub=HubConnection(servers=(hub.url,), seed_file=seed_file),
        receipt_key=RECEIPTS.verifier.vkey,
        http=HttpSettings(port=0),
    )


@pytest.fixture
async def beating(node, monkeypatch):
    """A node that compares itself with what came from outside all the time."""
    await node.stop()
    monkeypatch.setenv("TOMONI_LOG__HEARTBEAT_SECONDS", "0.02")
    await node.start()
    await node.open_scheme()
    await until_signed(node, 1)
    return node


async def give_receipt(hub, note):
    """Publish a receipt for a checkpoint, as the federation does."""
    async with federation(hub) as receiver:
        receipt = cosign(note, RECEIPTS, 1_800_000_000)
        await publish_one(receiver, receipts_subject(SHIBUYA), Outgoing(receipt, {}), None)
    return receipt


async def sighted(node, stream):
    rows = await node.sql("SELECT note FROM relay.sighting WHERE stream = $1", stream)
    return [row["note"] for row in rows]


def ours(node, size):
    """Sign a checkpoint that is not in the node's log, with the node's own key."""
    key = Signer.parse(node.files.log_key(1).read_text().strip())
    return sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), [key])


async def test_a_machine_restored_with_its_last_word_stops_signing_at_the_receipt_for_what_it_lost(
    beating, postgres, hub, relay_settings
):
    node = beating
    await node.stop()
    backup = Backup(postgres, node)
    await node.start()
    for _ in range(4):
        await node.issue()
    receipt = await give_receipt(hub, await until_signed(node, 5))
    await node.stop()

    backup.restore_machine()
    backup.drop()
    await node.start()  # nothing here says that the log was longer

    async def silent() -> bool:
        return (await node.client.get("/health/ready")).json()["proof"] == "failing"

    async with relaying(relay_settings):
        await until(silent)
    assert await sighted(node, RECEIPTS_STREAM) == [receipt]
    last_word = node.files.last_word.read_bytes()
    await node.issue()
    assert await silent()
    assert node.files.last_word.read_bytes() == last_word
    await node.stop()
    with pytest.raises(BehindLastWord):
        await node.start()


async def test_a_receipt_that_the_log_has_not_signed_stops_nobody(beating, hub, relay_settings):
    stranger = sign_checkpoint(Checkpoint(ORIGIN, 9, bytes(32)), [generate_signer(ORIGIN)])
    spoilt = ours(beating, 9).replace(b"\n9\n", b"\n8\n")
    async with relaying(relay_settings) as relay:
        for note in (stranger, spoilt):
            receipt = await give_receipt(hub, note)
            await relay._fetch_receipt()
            assert await sighted(beating, RECEIPTS_STREAM) == [receipt]
            await beating.issue()
            await until_signed(beating, len(await beating.entries()))
        assert (await beating.client.get("/health/ready")).json() == {"write": "ok", "proof": "ok"}
    await beating.stop()
    await beating.start()


async def test_junk_on_the_towns_own_subject_does_not_wipe_out_what_a_receipt_has_told(node, hub, relay_settings):
    async with relaying(relay_settings) as relay:
        receipt = await give_receipt(hub, ours(node, 9))
        await relay._fetch_receipt()
        await relay._source.keep_sighting(EVENTS, b"junk")
        assert await sighted(node, RECEIPTS_STREAM) == [receipt]
        assert await sighted(node, EVENTS) == [b"junk"]
    await node.stop()
    with pytest.raises(BehindLastWord):
        await node.start()


async def test_a_receipt_that_is_too_long_to_be_of_our_log_is_not_kept(node, hub, relay_settings):
    many = [generate_signer(ORIGIN) for _ in range(40)]
    long = sign_checkpoint(Checkpoint(ORIGIN, 9, bytes(32)), many)
    assert len(long) > MAX_NOTE_BYTES
    async with relaying(relay_settings) as relay:
        await give_receipt(hub, long)
        await relay._fetch_receipt()
        assert await sighted(node, RECEIPTS_STREAM) == []

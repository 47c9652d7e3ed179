"""The relay over a real database and a real nats-server: everything arrives, in order, whatever is killed."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from tests.relay.nodes import FEDERATION, ORIGIN, RECEIPTS, RelayProcess, mirroring, relaying, sizes
from tests.transport.hubs import SETAGAYA, SHIBUYA, crowded_hub, eventually, federation, running_hub, until
from tests.transport.hubs import node as connected
from tests.transport.test_publish import stored
from tomoni.database import create_pool
from tomoni.processes import free_port
from tomoni.receipt_keys import sign_rotation, to_header
from tomoni.times import format_time
from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import cosign, generate_cosigner
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import generate_signer, read_note, sign_note
from tomoni.transport import (
    Connection,
    Outgoing,
    events_subject,
    heartbeats_subject,
    last_message,
    publish_one,
    receipts_subject,
)
from tomoni.transport.provision import StreamLimits
from tomoni.transport.subjects import HEARTBEATS, KIND_HEADER, POSITION_HEADER
from tomoni_federation.intake.receive import Receiver
from tomoni_registry.relay.beats import WrongClockError
from tomoni_registry.relay.source import Progress

SUBJECT = events_subject(SHIBUYA)


def entries_of(messages: list[bytes]) -> list[bytes]:
    return [message for message in messages if message.startswith(b"entry ")]


async def published(relay, town) -> None:
    await eventually(lambda: is_done(relay, town), 60)


def is_done(relay, town) -> bool:
    progress = relay.publisher.progress
    return progress is not None and (progress.position, progress.sealed) == (town.tree.size, True)


async def test_every_portion_ends_at_a_signed_checkpoint(hub, town):
    await town.append(2600)
    async with relaying(town.settings(hub)) as relay:
        await published(relay, town)
    messages = await stored(hub)
    assert entries_of(messages) == town.entries
    assert sizes(messages) == [500, 1000, 1500, 2000, 2600]
    assert messages[-1].startswith(b"tomoni.example/131130\n2600\n")


async def test_receipts_come_back_and_are_kept(hub, town):
    async with mirroring(hub, town) as mirror, relaying(town.settings(hub)):
        for count in (3, 1500, 1):
            await town.append(count)
            await eventually(lambda: len(mirror.proven) == len(town.entries), 60)
        assert mirror.proven == town.entries
        await until(lambda: town.has_receipt(1504))
        kept = await town.receipts()
    assert kept[-1]["time"] == mirror.time
    assert b"tomoni.example/receipts" in kept[-1]["note"]


async def test_the_next_key_for_receipts_is_learnt_from_the_receipts_themselves(hub, town, capsys):
    """Nobody edits the settings of a town, which name the first key."""
    second, third = (generate_cosigner(RECEIPTS.name) for _ in range(2))
    times = [format_time(datetime.fromtimestamp(1_800_000_000 + ahead, UTC)) for ahead in (1, 2)]
    rotations = [
        sign_rotation(FEDERATION, RECEIPTS, second, times[0]),
        sign_rotation(FEDERATION, second, third, times[1]),
    ]
    thief = generate_cosigner(RECEIPTS.name)
    forged = msgspec.structs.replace(rotations[0], receipt_key=thief.vkey)
    async with mirroring(hub, town) as mirror:
        async with relaying(town.settings(hub)):
            await town.append(1)
            await until(lambda: town.has_receipt(1))
            mirror.cosigner, mirror.headers = thief, to_header([forged])
            await town.append(1)
            await eventually(lambda: "receipt_key_not_believed" in capsys.readouterr().out)
            mirror.cosigner, mirror.headers = third, to_header(rotations)
            await town.append(1)
            await until(lambda: town.has_receipt(3))
        async with relaying(town.settings(hub)):  # and again after a restart
            await town.append(1)
            await until(lambda: town.has_receipt(4))
    assert [row["size"] for row in await town.receipts()] == [1, 3, 4]


async def test_a_restarted_relay_goes_on_where_the_hub_is_and_publishes_nothing_twice(hub, town):
    await town.append(700)
    async with relaying(town.settings(hub)) as relay:
        await published(relay, town)
    before = await stored(hub)
    await town.append(5)
    async with relaying(town.settings(hub)) as relay:
        await published(relay, town)
    assert (await stored(hub))[: len(before)] == before
    assert entries_of(await stored(hub)) == town.entries


async def test_killing_relay_and_server_leaves_every_entry_once_and_in_order(hub, town, tmp_path):
    relay = RelayProcess(town.settings(hub), tmp_path, free_port())
    async with mirroring(hub, town) as mirror:
        writing = asyncio.create_task(write(town, 60, 50))
        for step in range(4):
            await relay.start()
            await asyncio.sleep(1.5)
            if step % 2:
                await hub.kill()
                await hub.start()
                await asyncio.sleep(0.5)
            await relay.kill()
        await writing
        await relay.start()
        await eventually(lambda: len(mirror.proven) == len(town.entries), 90)
        await relay.kill()
        assert mirror.proven == town.entries
    assert entries_of(await stored(hub)) == town.entries


async def write(town, times: int, count: int) -> None:
    for _ in range(times):
        await town.append(count)
        await asyncio.sleep(0.05)


async def test_a_hub_that_is_away_for_a_while_gets_everything_afterwards(hub, town):
    async with relaying(town.settings(hub)) as relay:
        await town.append(20)
        await published(relay, town)
        await hub.kill()
        for _ in range(5):
            await town.append(300)
        await asyncio.sleep(1)
        await hub.start()
        await published(relay, town)
    assert entries_of(await stored(hub)) == town.entries


async def test_a_wiped_hub_is_refilled_from_the_last_receipt(hub, town):
    settings = town.settings(hub, lag_seconds=1.0)
    async with mirroring(hub, town) as mirror, relaying(settings):
        await town.append(500)
        await eventually(lambda: len(mirror.proven) == 500, 60)
        await until(lambda: town.has_receipt(500))
        mirror.silent = True
        await town.append(500)
        await eventually(lambda: len(mirror.proven) == 1000, 60)
        mirror.forget(500)  # the federation, too, lost what it gave no receipt for
        mirror.silent = False
        await hub.wipe()
        await eventually(lambda: len(mirror.proven) == 1000, 60)
        await town.append(10)
        await eventually(lambda: len(mirror.proven) == 1010, 60)
        assert mirror.proven == town.entries
    refilled = entries_of(await stored(hub))
    assert refilled[0] == town.entries[500]


async def test_junk_with_a_stolen_key_is_told_and_the_true_entries_still_arrive(hub, town, capsys):
    async with mirroring(hub, town) as mirror, relaying(town.settings(hub, lag_seconds=2.0)) as relay:
        await town.append(100)
        await eventually(lambda: len(mirror.proven) == 100, 60)
        async with connected(hub) as thief:
            for junk in (
                Outgoing(b"junk", {}),
                Outgoing(b"entry 100 forged", {KIND_HEADER: "entry", POSITION_HEADER: "100"}),
                Outgoing(b"forged", {KIND_HEADER: "checkpoint", POSITION_HEADER: "101"}),
            ):
                await publish_one(thief, SUBJECT, junk, None)
        await town.append(200)
        await eventually(lambda: len(mirror.proven) == 300, 60)
        await published(relay, town)
        assert mirror.proven == town.entries
    assert "last_message_is_not_ours" in "".join(capsys.readouterr())


async def test_true_entries_arrive_while_a_thief_keeps_publishing(hub, town):
    async with mirroring(hub, town) as mirror, relaying(town.settings(hub)), connected(hub) as thief:

        async def flood() -> None:
            while True:
                await publish_one(thief, SUBJECT, Outgoing(b"junk", {}), None)

        floods = [asyncio.create_task(flood()) for _ in range(8)]
        for count in (10, 1):
            await town.append(count)
            await eventually(lambda: len(mirror.proven) == len(town.entries), 60)
        for one in floods:
            one.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
    assert mirror.proven == town.entries


async def test_a_checkpoint_on_the_hub_that_our_log_lacks_is_kept_for_the_node(hub, town):
    async with connected(hub) as other:
        await publish_one(other, SUBJECT, Outgoing(b"a note", {KIND_HEADER: "checkpoint", POSITION_HEADER: "9"}), 0)
    await town.append(3)
    async with relaying(town.settings(hub)) as relay:
        await published(relay, town)
    assert await town.owner.fetchval("SELECT note FROM relay.sighting") == b"a note"
    assert entries_of(await stored(hub)) == town.entries


async def test_lost_receipts_make_it_publish_again_without_anybody_calling(hub, town):
    async with relaying(town.settings(hub, lag_seconds=0.5)) as relay:
        await town.append(30)
        await published(relay, town)

        async def twice() -> bool:
            return entries_of(await stored(hub)) == town.entries * 2

        await until(twice)


async def test_a_federation_that_was_restored_from_a_backup_gets_again_what_it_has_lost(hub, town):
    async with mirroring(hub, town) as mirror, relaying(town.settings(hub, lag_seconds=0.5)):
        await town.append(20)
        await until(lambda: town.has_receipt(20))
        receipt = (await town.receipts())[0]["note"]
        await town.append(10)
        await until(lambda: town.has_receipt(30))
        mirror.forget(20)
        async with federation(hub) as restored:  # it says where it is as soon as it is back
            await publish_one(restored, receipts_subject(SHIBUYA), Outgoing(receipt, {}), None)
        await eventually(lambda: mirror.proven == town.entries)
    assert [row["size"] for row in await town.receipts()] == [20, 30]


async def test_a_federation_that_lost_everything_says_so_and_gets_the_log_from_its_beginning(hub, town):
    async with mirroring(hub, town) as mirror, relaying(town.settings(hub, lag_seconds=0.5)):
        await town.append(30)
        await until(lambda: town.has_receipt(30))
        mirror.forget(0)
        pool = await create_pool(town.database.owner_dsn)
        async with federation(hub) as restored:
            nothing = Receiver(pool, FEDERATION, RECEIPTS).nothing(SHIBUYA)
            await publish_one(restored, receipts_subject(SHIBUYA), Outgoing(nothing, {}), None)
        await pool.close()
        await eventually(lambda: mirror.proven == town.entries)
    assert [row["size"] for row in await town.receipts()] == [30]


async def test_a_receipt_of_another_signer_or_log_is_not_kept(hub, town, capsys):
    stranger = generate_cosigner("tomoni.example/receipts")
    async with relaying(town.settings(hub)) as relay, federation(hub) as receiver:
        await town.append(3)
        await published(relay, town)
        note = await town.owner.fetchval("SELECT note FROM log.checkpoint WHERE size = 3")
        town_key, town.signer = town.signer, generate_signer("tomoni.example/131130")
        forged = note.replace(b"\n3\n", b"\n4\n")
        for receipt in (cosign(note, stranger, 5), note, b"junk", cosign(forged, RECEIPTS, 5)):
            await publish_one(receiver, receipts_subject(SHIBUYA), Outgoing(receipt, {}), None)
            await relay._fetch_receipt()
            assert await town.receipts() == []
        await publish_one(receiver, receipts_subject(SHIBUYA), Outgoing(cosign(note, RECEIPTS, 7), {}), None)
        await relay._fetch_receipt()
        assert [(row["size"], row["time"]) for row in await town.receipts()] == [(3, 7)]
        assert town_key is not town.signer
    output = "".join(capsys.readouterr())
    assert "receipt_not_believed" in output
    assert "receipt_of_another_log" in output


async def test_a_receipt_that_came_before_the_recovered_tail_is_kept_after_it(hub, town, capsys):
    """A relay may run while its node's database is an old backup whose tail is being brought back."""
    async with relaying(town.settings(hub)) as relay, federation(hub) as receiver:
        await town.append(2)
        await published(relay, town)
        tree = CompactRange()
        tree.extend(leaf_hash(entry) for entry in [*town.entries, b"entry 2".ljust(40, b".")])
        note = sign_checkpoint(Checkpoint(ORIGIN, 3, tree.root()), [town.signer])
        await publish_one(receiver, receipts_subject(SHIBUYA), Outgoing(cosign(note, RECEIPTS, 7), {}), None)
        for _ in range(3):
            await relay._fetch_receipt()
            assert await town.receipts() == []
        await town.append(1)
        await relay._fetch_receipt()
        assert [(row["size"], row["time"]) for row in await town.receipts()] == [(3, 7)]
    assert "".join(capsys.readouterr()).count("receipt_of_another_log") == 1


async def test_a_receipt_that_cannot_be_kept_does_not_stop_the_relay(hub, town):
    async with relaying(town.settings(hub)) as relay, federation(hub) as receiver:
        await town.append(3)
        await published(relay, town)
        note = await town.owner.fetchval("SELECT note FROM log.checkpoint WHERE size = 3")
        long = sign_note(read_note(note).text, [generate_signer("tomoni.example/131130") for _ in range(40)])
        for receipt in (cosign(note, RECEIPTS, 0), cosign(long, RECEIPTS, 5)):
            await publish_one(receiver, receipts_subject(SHIBUYA), Outgoing(receipt, {}), None)
            await relay._fetch_receipt()
            assert await town.receipts() == []


async def test_receipts_cannot_be_changed_or_deleted(town):
    await town.owner.execute("INSERT INTO relay.receipt (size, time, note) VALUES (1, 1, 'x')")
    for sql in ("UPDATE relay.receipt SET time = 2", "DELETE FROM relay.receipt", "TRUNCATE relay.receipt"):
        with pytest.raises(Exception, match="evidence"):
            await town.owner.execute(sql)


async def test_each_heartbeat_is_sent_once_and_again_after_a_reconnection(hub, town):
    async def one_is_there() -> bool:
        async with Connection(hub.federation_endpoint()) as receiver:
            await receiver.wait_connected(10)
            answer = await receiver.request("$JS.API.CONSUMER.RESET.HEARTBEATS.intake")
        return b'"num_pending":1,' in answer.data

    async with relaying(town.settings(hub)) as relay, connected(hub) as other:
        await beaten(relay, town, b"first beat")
        await until(one_is_there)
        outcome = await publish_one(other, heartbeats_subject(SHIBUYA), Outgoing(b"last seen", {}), None)
        await asyncio.sleep(2.5)
        after = await publish_one(other, heartbeats_subject(SHIBUYA), Outgoing(b"last seen", {}), None)
        assert after.sequence == outcome.sequence + 1
        await hub.wipe()
        await until(one_is_there)


async def beaten(relay, town, note, ahead=0):
    """Let a node that runs beat, and wait until the relay has sent it."""

    async def looked() -> bool:
        return relay.beats._looked

    async def sent() -> bool:
        return relay.beats._sent is not None and relay.beats._sent[0].note == note

    await until(looked)  # what was there before that may be of a node that has stopped
    await town.beat(note, ahead)
    await until(sent)


async def test_a_heartbeat_of_a_node_that_has_stopped_is_not_sent_by_a_relay_that_starts(hub, town):
    subject = heartbeats_subject(SHIBUYA)
    await town.beat(b"the last beat of a node that has stopped")
    async with relaying(town.settings(hub)) as relay, connected(hub) as other:
        await town.append(1)
        await published(relay, town)
        await asyncio.sleep(1)
        assert await last_message(other, HEARTBEATS, subject) is None
        await beaten(relay, town, b"it runs again")
        assert (await last_message(other, HEARTBEATS, subject)).data == b"it runs again"


@pytest.mark.parametrize("ahead", [86_400, -86_400])
async def test_a_relay_is_not_ready_while_its_nodes_clock_is_wrong_and_is_once_it_was_mended(hub, town, ahead):
    async def wrong() -> bool:
        return relay.beats._wrong

    async def right() -> bool:
        return not relay.beats._wrong

    async with relaying(town.settings(hub)) as relay:
        await beaten(relay, town, b"of tomorrow, or of yesterday", ahead)
        await until(wrong)
        with pytest.raises(WrongClockError):
            await relay.beats.require_right_clock()
        await beaten(relay, town, b"of now")
        await until(right)
        await relay.beats.require_right_clock()


async def test_a_full_hub_pushes_back_and_nothing_is_lost(town, tmp_path):
    limits = StreamLimits(events_bytes=300_000)
    async with running_hub(tmp_path / "full", limits) as hub, relaying(town.settings(hub)) as relay:
        await town.append(500, size=300)
        await published(relay, town)
        await town.append(2500, size=300)
        await asyncio.sleep(2)
        held = entries_of(await stored(hub))
        assert held == town.entries[: len(held)]
        assert len(held) < len(town.entries)
        hub.limits = StreamLimits()  # the operator makes room, and begins an empty store
        await hub.wipe()
        async with mirroring(hub, town) as mirror:
            await eventually(lambda: mirror.proven == town.entries, 60)


async def test_where_batches_are_refused_messages_go_one_by_one(town, tmp_path):
    async with crowded_hub(tmp_path / "hub") as hub:
        await town.append(300)
        async with relaying(town.settings(hub)) as relay, mirroring(hub, town) as mirror:
            await published(relay, town)
            await eventually(lambda: mirror.proven == town.entries, 60)
    assert relay.publisher.progress == Progress(300, sealed=True, sequence=301)


async def test_an_entry_of_ours_that_somebody_published_too_early_delays_and_loses_nothing(hub, town):
    """Who can read our log and has our transport key can make us believe that we are further than we are."""
    await town.append(400)
    async with connected(hub) as thief:
        early = Outgoing(town.entries[299], {KIND_HEADER: "entry", POSITION_HEADER: "299"})
        await publish_one(thief, SUBJECT, early, 0)
    async with relaying(town.settings(hub, lag_seconds=1.0)), mirroring(hub, town) as mirror:
        await eventually(lambda: mirror.proven == town.entries, 60)


async def test_a_stopped_server_under_load_delays_and_loses_nothing(hub, town):
    async with relaying(town.settings(hub)) as relay:
        writing = asyncio.create_task(write(town, 20, 100))
        for _ in range(2):
            await asyncio.sleep(0.4)
            with hub.paused():
                await asyncio.sleep(3)
        await writing
        await published(relay, town)
    assert entries_of(await stored(hub)) == town.entries


async def test_another_town_is_never_touched(hub, town):
    await town.append(10)
    async with relaying(town.settings(hub)) as relay:
        await published(relay, town)
        assert relay.publisher.progress == Progress(10, sealed=True, sequence=11)
    assert await stored(hub, SETAGAYA) == []

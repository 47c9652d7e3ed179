import asyncio
from datetime import timedelta
from io import BytesIO

import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.federation.towns import FEDERATION, NOW, Town
from tomoni.events import jurisdiction as j
from tomoni.evidence.judging import judge
from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import generate_cosigner, open_cosigned
from tomoni.tlog.merkle import CompactRange
from tomoni.tlog.note import generate_signer
from tomoni.tlog.succession import Key
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import Kind
from tomoni_federation.intake.assembly import MAX_AHEAD, MAX_KEPT_BYTES, prove, take_checkpoint, take_entry
from tomoni_federation.intake.logs import Log


@pytest.fixture
def town():
    town = Town("131130")
    for _ in range(5):
        town.issue()
    return town


async def test_entries_become_visible_when_a_checkpoint_proves_them(federation, town):
    await federation.admit(town)
    *entries, checkpoint = town.messages()
    assert (await federation.take(*entries)).proven == 0
    assert await federation.mirrored(town) == []
    received = await federation.take(checkpoint)
    assert received.proven == 5
    assert await federation.mirrored(town) == town.entries


async def test_the_receipt_is_the_federations_cosignature_over_the_proven_checkpoint(federation, town):
    await federation.admit(town)
    (receipt,) = (await federation.take(*town.messages(0, 2), *town.messages(2))).receipts
    assert (receipt.code, receipt.size) == (town.code, 5)
    assert open_checkpoint(receipt.note, town.origin, [town.log_key.verifier]).size == 5
    assert open_cosigned(receipt.note, federation.cosigner.verifier) == int(NOW.timestamp())


async def test_what_comes_again_changes_nothing(federation, town):
    await federation.admit(town)
    for _ in range(3):
        await federation.take(*town.messages(), *town.messages(2))
    assert await federation.mirrored(town) == town.entries
    assert await federation.state(town) == "open"


async def test_a_gap_waits_and_is_never_skipped(federation, town):
    await federation.admit(town)
    first, second, *rest = town.messages()
    await federation.take(first, *rest)
    assert await federation.mirrored(town) == []
    await federation.take(second)
    assert await federation.mirrored(town) == town.entries


async def test_logs_in_one_batch_do_not_mix(federation, town):
    other = Town("131121")
    other.issue()
    await federation.admit(town, other)
    await federation.take(*(m for pair in zip(town.messages(), other.messages() * 3, strict=True) for m in pair))
    assert await federation.mirrored(town) == town.entries
    assert await federation.mirrored(other) == other.entries


def junk(town: Town, thief=None):
    """What a holder of a stolen transport key could send; none of it is signed by the log's key."""
    thief = thief or generate_signer(town.origin)
    forged = Town(town.code, log_key=thief)
    for _ in range(4):
        forged.issue()
    heartbeat_thief = generate_cosigner(f"{town.origin}/heartbeat")
    return {
        "a forged event": town.entry_message(2, forged.entries[0]),
        "garbage": town.entry_message(2, b"\x00garbage"),
        "nothing": town.entry_message(2, b""),
        "too many bytes": town.entry_message(2, b"x" * 60_001),
        "a future position": town.entry_message(4, forged.entries[1]),
        "a position far ahead": RawMessage(town.code, Kind.ENTRY, 10**12, b"x", ""),
        "no headers": RawMessage(town.code, None, None, b"x", ""),
        "a kind without a position": RawMessage(town.code, Kind.ENTRY, None, b"x", ""),
        "a checkpoint by another key": forged.checkpoint_message(),
        "a checkpoint of another origin": town.checkpoint_message(
            note=sign_checkpoint(Checkpoint(f"{FEDERATION}/131121", 4, b"r" * 32), [town.log_key])
        ),
        "a torn checkpoint": town.checkpoint_message(note=town.note()[:-40]),
        "a checkpoint without a signature": town.checkpoint_message(note=town.checkpoint_at().to_text().encode()),
        "a checkpoint that is not text": town.checkpoint_message(note=b"\xff\xfe"),
        "an old entry again": town.entry_message(0),
        "an entry at another's position": town.entry_message(1, town.entries[3]),
        "a heartbeat by another key": town.heartbeat(cosigner=heartbeat_thief),
        "a heartbeat as a checkpoint": RawMessage(town.code, Kind.CHECKPOINT, 4, forged.heartbeat().data, ""),
    }


@pytest.mark.parametrize("name", sorted(junk(Town("131130", entries=[b"x"] * 5))))
@pytest.mark.parametrize("when", ["before", "between", "after"])
async def test_junk_from_a_stolen_transport_key_never_blocks_the_true_events(federation, town, name, when):
    await federation.admit(town)
    thing = junk(town)[name]
    true = town.messages()
    wire = {"before": [thing, *true], "between": [*true[:3], thing], "after": [*true, thing]}[when]
    for message in wire:
        await federation.take(message)
    if when == "between":  # the relay's next batch was refused, so it publishes anew from the last receipt
        await federation.take(*town.messages())
    assert await federation.mirrored(town) == town.entries
    assert await federation.state(town) == "open"


async def test_a_wrong_root_discards_the_unproven_suffix_alone(federation, town):
    await federation.admit(town)
    await federation.take(*town.messages(0, 3))
    forged = Town(town.code)
    forged.issue()
    await federation.take(town.entry_message(3, forged.entries[0]), town.entry_message(4), town.checkpoint_message())
    assert await federation.mirrored(town) == town.entries[:3]
    assert await federation.pool.fetchval("SELECT count(*) FROM mirror.provisional") == 0
    await federation.take(*town.messages(3))
    assert await federation.mirrored(town) == town.entries


async def test_junk_does_not_take_with_it_the_first_part_of_the_relays_batch_that_was_taken_alone(federation, town):
    await federation.admit(town)
    forged = Town(town.code)
    for _ in range(5):
        forged.issue()
    await federation.take(town.checkpoint_message())
    true = town.messages()
    await federation.take(*forged.messages()[3:5], *true[:3])
    await federation.take(*true[3:])
    assert await federation.mirrored(town) == town.entries


async def test_strangers_lines_on_a_checkpoint_do_not_reach_the_receipt(federation, town):
    await federation.admit(town)
    stranger = generate_signer(f"{FEDERATION}/receipts")
    note = town.note(signers=[town.log_key, stranger])
    *entries, _ = town.messages()
    (receipt,) = (await federation.take(*entries, town.checkpoint_message(note=note))).receipts
    assert stranger.name.encode() not in receipt.note.replace(federation.cosigner.name.encode(), b"", 1)


async def test_messages_of_a_town_that_is_not_admitted_are_dropped(federation, town):
    assert (await federation.take(*town.messages())).proven == 0
    assert await federation.pool.fetchval("SELECT count(*) FROM mirror.provisional") == 0


async def test_provisional_entries_are_bounded(federation, town):
    await federation.admit(town)
    await federation.take(*(RawMessage(town.code, Kind.ENTRY, n, b"x", "") for n in range(MAX_AHEAD + 50)))
    assert await federation.pool.fetchval("SELECT count(*) FROM mirror.provisional") == MAX_AHEAD


async def test_provisional_bytes_are_bounded_and_true_entries_get_through_nevertheless(federation, town):
    await federation.admit(town)
    await federation.take(*(RawMessage(town.code, Kind.ENTRY, n, b"x" * 60_000, "") for n in range(300)))
    kept = "SELECT sum(length(data)) FROM mirror.provisional"
    assert MAX_KEPT_BYTES - 60_000 < await federation.pool.fetchval(kept) <= MAX_KEPT_BYTES
    for message in town.messages():
        await federation.take(message)
    assert await federation.mirrored(town) == town.entries


async def test_what_is_provisional_is_written_once(federation, town):
    await federation.admit(town)
    first, *rest = town.messages()
    await federation.take(*rest[:3])
    versions = "SELECT xmin::text FROM mirror.provisional ORDER BY position LIMIT 3"
    before = await federation.pool.fetch(versions)
    await federation.take(rest[3], heartbeats=[town.heartbeat()])
    assert await federation.pool.fetch(versions) == before
    await federation.take(town.entry_message(1, b"other"))
    assert await federation.pool.fetch(versions) != before
    await federation.take(first, *rest)
    assert await federation.pool.fetch(versions) == []


async def test_a_rotated_key_speaks_from_its_announcement_on(federation, town):
    await federation.admit(town)
    old = town.rotate()
    *entries, _ = town.messages()
    only_new = town.checkpoint_message()
    only_old = town.checkpoint_message(signers=[old])
    both = town.checkpoint_message(signers=[old, town.log_key])
    await federation.take(*entries, only_new)
    await federation.take(only_old)
    assert await federation.mirrored(town) == []
    await federation.take(both)
    assert await federation.mirrored(town) == town.entries
    town.issue()
    await federation.take(town.entry_message(6), town.checkpoint_message(signers=[old]))
    assert len(await federation.mirrored(town)) == 6
    await federation.take(town.checkpoint_message())
    assert await federation.mirrored(town) == town.entries


async def test_a_next_key_is_believed_with_both_signatures_at_its_size_and_once(federation, town):
    """A thief of either key alone, at another size, or with the announcement of yesterday, gets nowhere."""
    await federation.admit(town)
    old = town.rotate()
    announcement = town.entries[-1]
    both = [old, town.log_key]
    await federation.take(*town.messages(0, 5)[:-1], town.checkpoint_message(5, signers=[town.log_key]))
    assert await federation.mirrored(town) == []
    await federation.take(town.checkpoint_message(5, signers=[old]), *town.messages(5)[:-1])
    await federation.take(town.checkpoint_message(signers=both))
    assert len(await federation.mirrored(town)) == 6
    town.append(announcement)
    await federation.take(town.entry_message(6), town.checkpoint_message(signers=[old]))
    assert len(await federation.mirrored(town)) == 6
    await federation.take(town.checkpoint_message(signers=both))
    assert await federation.state(town) == "quarantined"
    keys = await federation.pool.fetch("SELECT from_size FROM mirror.key WHERE log = $1 ORDER BY from_size", town.code)
    assert [row["from_size"] for row in keys] == [0, 6]


async def test_a_key_that_was_used_before_is_no_next_key(federation, town):
    """Its log stops, and is not accused: entries do not name the key of the admission, so nobody could be convinced."""
    await federation.admit(town)
    first = town.log_key
    for size in (6, 7):
        old = town.rotate()
        note = town.checkpoint_message(signers=[old, town.log_key])
        await federation.take(*town.messages(size - 1 if size > 6 else 0)[:-1], note)
    third = town.log_key
    town.append(town.event(j.KeyRotated, j.KeyRotatedData, "key", log_key=first.vkey))
    await federation.take(town.entry_message(7), town.checkpoint_message(signers=[third, first]))
    assert await federation.state(town) == "open"
    assert (await federation.cursor(town))["halted"] is not None


async def test_a_key_that_was_announced_before_is_no_next_key_and_convinces_anybody(federation, town):
    await federation.admit(town)
    for size in (6, 7):
        old = town.rotate()
        note = town.checkpoint_message(signers=[old, town.log_key])
        await federation.take(*town.messages(size - 1 if size > 6 else 0)[:-1], note)
    third = town.log_key
    town.append(town.event(j.KeyRotated, j.KeyRotatedData, "key", log_key=old.vkey))
    await federation.take(town.entry_message(7), town.checkpoint_message(signers=[third, old]))
    assert await federation.state(town) == "quarantined"


@pytest.mark.parametrize("size", [3, 6, 9])
async def test_a_fork_by_a_retired_key_raises_an_alarm_is_kept_and_changes_nothing(federation, town, size):
    await federation.admit(town)
    old = town.rotate()
    await federation.take(*town.messages()[:-1], town.checkpoint_message(signers=[old, town.log_key]))
    town.issue()
    await federation.take(*town.messages(6), heartbeats=[town.heartbeat()])
    fork = Town(town.code, log_key=old, heartbeat_key=town.heartbeat_key)
    for _ in range(size):
        fork.issue()
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            received = await federation.take(
                fork.checkpoint_message(), heartbeats=[fork.heartbeat(NOW + timedelta(minutes=1))]
            )
    alarms = [one for one in lines if one["event"] == "retired_key_signs"]
    assert [(one["code"], one["size"], one["log_level"]) for one in alarms] == [(town.code, size, "error")] * 2
    kept = await federation.pool.fetch("SELECT size, log_key, note FROM mirror.retired_word ORDER BY length(note)")
    assert [(row["size"], row["log_key"]) for row in kept] == [(size, old.vkey)] * 2
    assert kept[0]["note"] == fork.note()
    assert (received.contradicted, await federation.state(town)) == ((), "open")
    assert (await federation.cursor(town))["fresh_as_of"] == NOW
    assert await federation.pool.fetchval("SELECT count(*) FROM mirror.evidence") == 0


async def test_the_old_words_of_a_rotated_key_that_come_again_are_no_alarm(federation, town):
    await federation.admit(town)
    before = town.checkpoint_message()
    await federation.take(*town.messages())
    old = town.rotate()
    hand_over = town.checkpoint_message(signers=[old, town.log_key])
    await federation.take(*town.messages(5)[:-1], hand_over)
    await federation.take(before, hand_over)
    assert await federation.pool.fetchval("SELECT count(*) FROM mirror.retired_word") == 0


@pytest.mark.parametrize("ahead", [0, 2])
async def test_what_a_former_key_said_about_later_sizes_before_it_was_replaced_accuses_nobody(federation, town, ahead):
    """A thief of the old key, the reason for a new one, sent a fork ahead of the announcement."""
    await federation.admit(town)
    fork = Town(town.code, log_key=town.log_key, heartbeat_key=town.heartbeat_key, entries=list(town.entries))
    old = town.rotate()
    for _ in range(1 + ahead):
        fork.issue()
    await federation.take(fork.checkpoint_message(), heartbeats=[fork.heartbeat()])
    town.issue()
    both = town.checkpoint_message(signers=[old, town.log_key])
    await federation.take(*town.messages()[:-1], both)
    town.issue()
    await federation.take(*town.messages(7))
    assert await federation.mirrored(town) == town.entries
    assert await federation.state(town) == "open"
    assert await federation.pool.fetchval("SELECT log_key FROM mirror.retired_word") == old.vkey


async def test_a_thief_of_the_transport_key_cannot_announce_a_key_of_his_own(federation, town):
    await federation.admit(town)
    await federation.take(*town.messages())
    forged = Town(town.code, entries=list(town.entries))
    forged.rotate()
    await federation.take(*forged.messages(5))
    assert await federation.mirrored(town) == town.entries
    assert await federation.state(town) == "open"


def forked(town: Town, size: int) -> Town:
    fork = Town(town.code, log_key=town.log_key, heartbeat_key=town.heartbeat_key, entries=town.entries[: size - 1])
    fork.issue()
    return fork


@pytest.mark.parametrize("size", [1, 3, 5])
async def test_a_signed_checkpoint_that_contradicts_the_proven_history_quarantines(federation, town, size):
    await federation.admit(town)
    await federation.take(*town.messages())
    received = await federation.take(forked(town, size).checkpoint_message())
    assert received.contradicted == (town.code,)
    assert await federation.state(town) == "quarantined"
    evidence = await federation.pool.fetchrow("SELECT * FROM mirror.evidence")
    assert (evidence["log"], evidence["kind"], evidence["proven_size"]) == (town.code, "fork", 5)
    found = judge(BytesIO(evidence["document"]), [town.log_key.verifier])
    assert (found.sizes, found.evidence) == ((size, 5), evidence["hash"])


async def test_two_signed_checkpoints_of_one_size_quarantine_before_any_entry_came(federation, town):
    await federation.admit(town)
    await federation.take(town.checkpoint_message())
    assert (await federation.take(forked(town, 5).checkpoint_message())).contradicted == (town.code,)


async def test_a_signed_fork_ahead_does_not_block_and_is_found_once_the_history_passes_it(federation, town):
    await federation.admit(town)
    await federation.take(forked(town, 3).checkpoint_message(), *town.messages())
    assert await federation.mirrored(town) == town.entries
    assert await federation.state(town) == "quarantined"


async def test_a_contradicting_heartbeat_quarantines(federation, town):
    await federation.admit(town)
    await federation.take(*town.messages())
    received = await federation.take(heartbeats=[forked(town, 4).heartbeat()])
    assert received.contradicted == (town.code,)


async def test_two_signed_heartbeats_of_one_size_quarantine_before_any_entry_came_and_alone(federation, town):
    other = Town("131121")
    other.issue()
    await federation.admit(town, other)
    await federation.take(*other.messages())
    received = await federation.take(heartbeats=[town.heartbeat(), forked(town, 5).heartbeat(), other.heartbeat()])
    assert received.contradicted == (town.code,)
    assert (await federation.cursor(other))["fresh_as_of"] == NOW


async def test_a_heartbeat_and_a_checkpoint_of_one_size_contradict_each_other_before_any_entry_came(federation, town):
    await federation.admit(town)
    await federation.take(town.checkpoint_message())
    assert (await federation.take(heartbeats=[forked(town, 5).heartbeat()])).contradicted == (town.code,)


@pytest.mark.parametrize("seconds", [(0, 0), (5, 9)])
async def test_a_heartbeat_that_comes_twice_at_once_stops_nobodys(federation, town, seconds):
    """The second pair is of a clock that is ahead: both count as of now."""
    other = Town("131121")
    other.issue()
    await federation.admit(town, other)
    await federation.take(*town.messages(), *other.messages())
    twice = [town.heartbeat(NOW + timedelta(seconds=ahead)) for ahead in seconds]
    await federation.take(heartbeats=[*twice, other.heartbeat()])
    assert (await federation.cursor(town))["fresh_as_of"] == (await federation.cursor(other))["fresh_as_of"] == NOW


async def test_the_neighbours_of_a_quarantined_log_go_on(federation, town):
    other = Town("131121")
    other.issue()
    await federation.admit(town, other)
    await federation.take(*town.messages())
    await federation.take(forked(town, 4).checkpoint_message(), *other.messages())
    assert (await federation.state(town), await federation.state(other)) == ("quarantined", "open")
    assert await federation.mirrored(other) == other.entries


TRUE = Town("131130")
for _ in range(8):
    TRUE.issue()
FALSE = Town("131130")
for _ in range(8):
    FALSE.issue()
NOTES = {size: TRUE.note(size) for size in range(1, 9)}


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("true"), st.integers(0, 7)),
            st.tuples(st.just("false"), st.integers(0, 9)),
            st.tuples(st.just("checkpoint"), st.integers(1, 8)),
            st.tuples(st.just("forged"), st.integers(1, 8)),
        ),
        max_size=40,
    ),
    st.integers(0, 8),
)
def test_whatever_the_wire_brings_only_true_entries_are_proven_and_the_relays_next_batch_gets_through(wire, cut):
    log = Log(
        code=TRUE.code,
        origin=TRUE.origin,
        keys=[Key(0, TRUE.log_key.vkey)],
        heartbeat_key=TRUE.heartbeat_key.vkey,
        range=CompactRange(),
    )
    for kind, number in wire:
        match kind:
            case "true":
                take_entry(log, number, TRUE.entries[number])
            case "false":
                take_entry(log, number, FALSE.entries[number % 8])
            case "checkpoint":
                take_checkpoint(log, NOTES[number])
            case _:
                take_checkpoint(log, FALSE.note(number))
        assert log.entries == TRUE.entries[: log.range.size]
    for position in range(log.range.size, 8):
        if position == cut:  # intake took the first part of the relay's batch alone
            prove(log, discard=False)
        take_entry(log, position, TRUE.entries[position])
    take_checkpoint(log, NOTES[8])
    assert log.entries == TRUE.entries
    assert log.contradictions == []


async def test_heartbeats_and_events_that_meet_at_a_log_both_count(federation, town):
    """Whichever waits for the other's lock must see what the other wrote, or the heartbeat would wait for ever."""
    await federation.admit(town)
    sent = 0
    for _ in range(40):
        town.issue()
        await asyncio.gather(
            federation.receiver.events(town.messages(sent)), federation.receiver.heartbeats([town.heartbeat()])
        )
        sent = town.size
        await federation.projector.catch_up()
        await federation.receiver.heartbeats([town.heartbeat(NOW - timedelta(days=1), 1)])
        assert await federation.pool.fetchval("SELECT count(*) FROM mirror.heartbeat WHERE NOT proven") == 0
        assert (await federation.cursor(town))["fresh_as_of"] == NOW
        await federation.pool.execute("UPDATE projection.cursor SET fresh_as_of = NULL")
        await federation.pool.execute("DELETE FROM mirror.heartbeat")
    assert await federation.state(town) == "open"


async def test_a_heartbeat_of_a_shorter_history_than_was_proven_does_not_make_it_fresh(federation, town):
    """A cloned machine, or a restored backup, has the keys and not the last entries."""
    await federation.admit(town)
    await federation.take(*town.messages(0, 3))
    await federation.take(*town.messages(3))
    federation.receiver._clock = lambda: NOW + timedelta(hours=1)
    late = NOW + timedelta(minutes=30)
    await federation.take(town.checkpoint_message(4), heartbeats=[town.heartbeat(late, 3), town.heartbeat(late, 4)])
    assert (await federation.cursor(town))["fresh_as_of"] == NOW
    await federation.take(heartbeats=[town.heartbeat(late)])
    assert (await federation.cursor(town))["fresh_as_of"] == late


async def test_a_heartbeat_left_behind_by_its_proof_is_settled_by_the_next_message(federation, town):
    await federation.admit(town)
    await federation.take(*town.messages())
    note = town.heartbeat(size=3).data
    await federation.pool.execute(
        "INSERT INTO mirror.heartbeat (log, size, as_of, note, proven) VALUES ($1, 3, $2, $3, false)",
        town.code,
        NOW,
        note,
    )
    town.issue()
    await federation.take(*town.messages(5))
    assert (await federation.cursor(town))["fresh_as_of"] == NOW
    assert await federation.state(town) == "open"


async def without_leaves_before(federation, town, position):
    """Remove what must not be needed: whoever reads it misses it."""
    await federation.as_owner(
        f"SET tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE log = '{town.code}' AND position < {position}"
    )


async def with_a_long_history(federation, town):
    """Admit a town with a checkpoint at every thousandth entry."""
    town.append(*(b"entry %d" % number for number in range(town.size, 5_000)))
    await federation.admit(town)
    for start in range(0, 5_000, 1_000):
        await federation.receiver.events(town.messages(start, start + 1_000))


async def test_a_word_about_any_proven_size_reads_the_leaves_since_the_checkpoint_before_it_alone(federation, town):
    await with_a_long_history(federation, town)
    await without_leaves_before(federation, town, 3_000)
    words = [town.heartbeat(size=size) for size in (3_999, 3_001, 4_500, 4_000)]
    assert (await federation.receiver.heartbeats(words)).contradicted == ()
    fresh = await federation.pool.fetch("SELECT size FROM mirror.heartbeat WHERE proven ORDER BY size")
    assert [row["size"] for row in fresh] == [3_001, 3_999, 4_000, 4_500]


async def test_many_words_about_one_stretch_read_each_of_its_leaves_once(federation, town):
    await with_a_long_history(federation, town)
    await federation.receiver.heartbeats([town.heartbeat(size=4_900), town.heartbeat(size=4_800)])
    await without_leaves_before(federation, town, 4_900)
    assert (await federation.receiver.heartbeats([town.heartbeat(size=4_901)])).contradicted == ()
    stored = await federation.pool.fetch("SELECT size FROM mirror.checkpoint WHERE receipt IS NULL ORDER BY size")
    assert [row["size"] for row in stored] == [4_800, 4_900, 4_901]


async def test_a_contradiction_far_along_is_proven_from_the_leaves_around_it_and_is_proven_once(federation, town):
    await with_a_long_history(federation, town)
    await without_leaves_before(federation, town, 3_000)
    forks = [forked(town, size) for size in (3_700, 3_500, 3_600)]
    received = await federation.receiver.events([fork.checkpoint_message() for fork in forks])
    assert received.contradicted == (town.code,)
    (evidence,) = await federation.pool.fetch("SELECT document FROM mirror.evidence")
    assert judge(BytesIO(evidence["document"]), [town.log_key.verifier]).sizes == (3_500, 4_000)


async def test_a_word_that_cannot_be_compared_for_a_gap_in_the_mirror_holds_up_nobody(federation, town):
    other = Town("131121")
    other.issue()
    await federation.admit(town, other)
    await federation.take(*town.messages(), *other.messages())
    await without_leaves_before(federation, town, 2)
    words = [town.heartbeat(size=3), forked(town, 4).heartbeat(), other.heartbeat(), town.heartbeat()]
    with structlog.testing.capture_logs() as lines:
        received = await federation.take(heartbeats=words)
    assert [(one["event"], one["code"], one["position"]) for one in lines] == [("mirror_gap", town.code, 0)] * 2
    assert (received.contradicted, await federation.state(town)) == ((), "open")
    assert [(await federation.cursor(one))["fresh_as_of"] for one in (town, other)] == [NOW, NOW]


async def test_what_comes_again_is_told_of_since_its_relay_may_lack_the_receipt(federation, shibuya, setagaya):
    for town in (shibuya, setagaya):
        town.issue()
    first = await federation.take(*shibuya.messages(), *shibuya.messages())
    assert first.repeats == ()
    again = await federation.take(*shibuya.messages(), *setagaya.messages())
    assert again.repeats == (shibuya.code,)
    assert [receipt.code for receipt in again.receipts] == [setagaya.code]

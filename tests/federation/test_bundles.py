"""A bundle is taken in by the way of the wire: in any order with it, broken off anywhere, and never against it."""

import random
from datetime import timedelta

import msgspec
import pytest

from tests.bundles import carry
from tests.federation.changed_rows import CHANGED, spoil
from tests.federation.quarantines import convinced
from tests.federation.towns import FEDERATION, NOW, Town
from tomoni import nkey
from tomoni.admission import sign_admission
from tomoni.jurisdictions import all_jurisdictions
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.cosignature import open_cosigned
from tomoni_federation.bundles.taking import BundleRefusedError, Taker
from tomoni_federation.mirror.scrub import Scrubber

TABLES = {
    "mirror.entry": "log, position",
    "mirror.checkpoint": "log, size",
    "mirror.key": "log, from_size",
    "mirror.log": "log",
    "mirror.heartbeat": "log, size, as_of",
    "mirror.first_heartbeat": "log, size",
    "mirror.provisional": "log, position",
    "mirror.awaited_checkpoint": "log, size",
    "projection.cursor": "log",
    "projection.certificate": "log, certificate",
    "projection.document": "log, document",
}


async def everything(federation):
    return {
        table: [tuple(row) for row in await federation.pool.fetch(f"SELECT * FROM {table} ORDER BY {order}")]
        for table, order in TABLES.items()
    }


@pytest.fixture
def taker(desk):
    one = desk.federation
    return Taker(one.pool, FEDERATION, one.receiver, one.projector, desk.office)


def lively(code="131130", entries=9) -> Town:
    town = Town(code)
    for _ in range(entries):
        town.issue()
    return town


async def test_what_was_carried_is_proven_kept_given_a_receipt_and_answered(desk, taker, tmp_path):
    town = lively()
    _, handle = town.issue()
    ended, gone = town.issue()
    town.revoke(ended)
    await desk.federation.admit(town)
    file = carry(town, tmp_path / "b", heartbeat=town.heartbeat(NOW - timedelta(hours=2)).data)
    taken = await taker.take(file)
    assert (taken.code, taken.before, taken.proven, taken.size) == (town.code, 0, 12, 12)
    assert taken.fresh_as_of == NOW - timedelta(hours=2)
    assert await desk.federation.mirrored(town) == town.entries
    answers = [await desk.status(town, one) for one in (handle, gone)]
    assert [answer["status"] for answer in answers] == ["valid", "not-valid"]
    assert {answer["fresh_as_of"] for answer in answers} == {"2026-11-23T01:00:00Z"}
    receipt = await desk.federation.pool.fetchval("SELECT receipt FROM mirror.checkpoint WHERE size = 12")
    assert open_checkpoint(receipt, town.origin, [town.log_key.verifier]).size == 12
    assert open_cosigned(receipt, desk.federation.cosigner.verifier) == int(NOW.timestamp())


async def test_bundles_and_the_wire_in_any_order_lead_to_the_same(desk, taker, tmp_path):
    """Each town has another order; what lies beyond a gap is refused and carried later."""
    federation, dice = desk.federation, random.Random(1)
    for number in range(14):
        town = lively(f"1311{number:02}")
        await federation.admit(town)
        beat = town.heartbeat(NOW - timedelta(minutes=5)).data
        ways = [
            carry(town, tmp_path / f"{number}-{low}-{high}", low, high, heartbeat=beat if high == 9 else None)
            for low, high in ((0, 4), (0, 9), (3, 9), (4, 7), (7, 9))
        ]
        ways += [town.messages(0, 3), town.messages(3, 6), town.messages(6), [town.heartbeat(NOW - timedelta(days=1))]]
        dice.shuffle(ways)
        for way in ways:
            if isinstance(way, list) and way[0].kind is None:
                await federation.take(heartbeats=way)
            elif isinstance(way, list):
                await federation.take(*way)
            else:
                size = await federation.pool.fetchval("SELECT proven_size FROM mirror.log WHERE log = $1", town.code)
                if int(way.name.split("-")[1]) > size:
                    with pytest.raises(BundleRefusedError, match=f"--since {size}"):
                        await taker.take(way)
                else:
                    await taker.take(way)
            proven = await federation.mirrored(town)
            assert proven == town.entries[: len(proven)]
        assert proven == town.entries
        assert await federation.state(town) == "open"
        cursor = await federation.cursor(town)
        assert (cursor["position"], cursor["fresh_as_of"]) == (9, NOW - timedelta(minutes=5))
    assert await federation.pool.fetchval("SELECT count(*) FROM mirror.provisional") == 0


class BrokenOffError(Exception):
    """The import ends here."""


async def test_broken_off_after_any_portion_it_goes_on_and_what_came_changes_nothing_twice(desk, taker, tmp_path):
    federation, town = desk.federation, lively()
    await federation.admit(town)
    file = carry(town, tmp_path / "b", step=1, heartbeat=town.heartbeat().data)
    for stop in range(1, 10):

        def break_off(done, of, stop=stop):
            assert of == 9
            if done == stop:
                raise BrokenOffError

        with pytest.raises(BrokenOffError):
            await taker.take(file, break_off)
        assert await federation.mirrored(town) == town.entries[:stop]
        assert (await federation.cursor(town))["fresh_as_of"] is None
    await taker.take(file)
    before = await everything(federation)
    assert len(before["mirror.entry"]) == len(before["projection.certificate"]) == 9
    federation.now += timedelta(hours=1)
    again = await taker.take(file)
    assert (again.before, again.proven) == (9, 9)
    assert await everything(federation) == before


@pytest.mark.parametrize("proven", range(7))
async def test_a_key_that_was_rotated_within_a_bundle_is_followed_from_wherever_it_begins(
    desk, taker, tmp_path, proven
):
    town = lively(entries=3)
    await desk.federation.admit(town)
    old = town.rotate()
    town.issue()
    town.issue()
    signers = {4: [old, town.log_key], **{size: [old] for size in range(1, 4)}}
    notes = {size: town.note(size, signers=signers.get(size)) for size in range(1, 7)}
    for size in range(1, proven + 1):
        await desk.federation.take(town.entry_message(size - 1), town.checkpoint_message(size, note=notes[size]))
    start = min(proven, 3)
    file = carry(town, tmp_path / "b", start, step=1, notes=notes, signers=[old, town.log_key])
    assert (await taker.take(file)).proven == 6
    assert await desk.federation.mirrored(town) == town.entries


class Elsewhere(Town):
    """A town of another federation."""

    origin = "elsewhere.example/131130"


async def test_what_is_not_to_be_taken_is_refused_says_why_and_changes_nothing(desk, taker, shibuya, tmp_path):
    for _ in range(5):
        shibuya.issue()
    await desk.federation.take(*shibuya.messages(0, 3))
    suspended = lively("131121")
    await desk.federation.admit(suspended)
    await desk.federation.pool.execute("UPDATE mirror.log SET state = 'suspended' WHERE log = '131121'")
    elsewhere = Elsewhere("131130", entries=shibuya.entries)
    thief = Town(shibuya.code, entries=shibuya.entries)
    whole = carry(shibuya, tmp_path / "whole").read_bytes()
    (tmp_path / "flipped").write_bytes(whole.replace(b"2026-04-01", b"2026-04-02", 1))
    (tmp_path / "short").write_bytes(whole[:-200])
    (tmp_path / "other").write_bytes(b"\x7fELF")
    before = await everything(desk.federation)
    for file, text in (
        (carry(lively("131148"), tmp_path / "1"), "131148 is not admitted"),
        (carry(suspended, tmp_path / "2"), "131121 is suspended"),
        (carry(elsewhere, tmp_path / "3"), "elsewhere.example/131130, which is no town's of tomoni.example"),
        (carry(thief, tmp_path / "4"), "not signed by the key that tomoni.example/131130 has here"),
        (carry(shibuya, tmp_path / "5", signers=[thief.log_key]), "not signed by the key"),
        (carry(shibuya, tmp_path / "6", 4), "the entries 3 to 3 of 131130 are missing.*--since 3"),
        (tmp_path / "flipped", "no whole and unaltered bundle: byte [0-9]+ on, position 0 of the log"),
        (tmp_path / "short", "it was cut off"),
        (tmp_path / "other", "it is no bundle"),
    ):
        with pytest.raises(BundleRefusedError, match=text):
            await taker.take(file)
        assert await everything(desk.federation) == before


def forked(town: Town, size: int, more=4) -> Town:
    """Return the town as a cloned machine has it, which goes on by itself from a size."""
    fork = Town(town.code, log_key=town.log_key, heartbeat_key=town.heartbeat_key, entries=town.entries[:size])
    for _ in range(more):
        fork.issue()
    return fork


async def test_a_history_that_contradicts_what_is_proven_quarantines_as_on_the_wire(desk, taker, tmp_path):
    """With a checkpoint at a proven size among them, or none: then the entries of the bundle make the proof."""
    cases = [(start, step) for start in (0, 2, 5) for step in (1, 2, 20)]
    codes = [one.code for one in all_jurisdictions()]
    towns = [lively(code, entries=6) for code, _ in zip(codes, cases, strict=False)]
    other = lively("131130", entries=2)
    await admitted(desk, *towns, other)
    for town, (start, step) in zip(towns, cases, strict=True):
        fork = forked(town, 4 if start < 5 else 3)
        await desk.federation.take(*town.messages(0, 3))
        await desk.federation.take(*town.messages(3))
        file = carry(fork, tmp_path / town.code, start, step=step)
        with pytest.raises(BundleRefusedError, match=f"contradicts what is proven of {town.code}"):
            await taker.take(file)
        assert await desk.federation.state(town) == "quarantined"
        assert (await desk.office.admission(town.code)).state == "quarantined"
        assert await desk.federation.mirrored(town) == town.entries
        query = "SELECT document FROM mirror.evidence WHERE log = $1"
        document = await desk.federation.pool.fetchval(query, town.code)
        assert convinced(document, town).kind == "fork"
    await taker.take(carry(other, tmp_path / "other"))
    assert await desk.federation.mirrored(other) == other.entries


async def admitted(desk, *towns):
    """Admit towns as the secretariat does, so that the federation's own log knows of them."""
    for town in towns:
        request = sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, nkey.generate_seed())
        answer = await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
        assert answer.status_code == 201, answer.text


async def test_a_branch_that_somebody_elses_key_has_signed_accuses_nobody(desk, taker, tmp_path):
    """A bundle whose end the log's key has signed, around notes that it has not."""
    town = lively(entries=6)
    await desk.federation.admit(town)
    await desk.federation.take(*town.messages(0, 3))
    await desk.federation.take(*town.messages(3))
    fork = forked(town, 4)
    fork.log_key = Town(town.code, entries=fork.entries).log_key
    before = await everything(desk.federation)
    with pytest.raises(BundleRefusedError, match="6 of 8 entries of 131130 are proven"):
        await taker.take(carry(fork, tmp_path / "b", step=20, signers=[town.log_key]))
    assert await desk.federation.state(town) == "open"
    assert (await everything(desk.federation))["mirror.entry"] == before["mirror.entry"]


async def test_a_heartbeat_of_another_history_in_a_bundle_quarantines(desk, taker, shibuya, tmp_path):
    for _ in range(5):
        shibuya.issue()
    beat = forked(shibuya, 3, 1).heartbeat().data
    with pytest.raises(BundleRefusedError, match="contradicts what is proven"):
        await taker.take(carry(shibuya, tmp_path / "b", heartbeat=beat))
    assert await desk.federation.state(shibuya) == "quarantined"


async def test_an_entry_that_is_no_legal_event_quarantines_and_is_told(desk, taker, tmp_path):
    town = lively(entries=2)
    town.append(b"no event")
    await admitted(desk, town)
    with pytest.raises(BundleRefusedError, match="131130 is quarantined"):
        await taker.take(carry(town, tmp_path / "b"))
    rows = await desk.federation.pool.fetch("SELECT kind, recorded FROM mirror.evidence")
    assert [tuple(row) for row in rows] == [("illegal-entry", True)]


async def test_answers_are_as_fresh_as_the_heartbeat_in_the_bundle_and_never_fresher(desk, taker, shibuya, tmp_path):
    _, handle = shibuya.issue()

    async def answered(purpose):
        answer = await desk.status(shibuya, handle, purpose=purpose)
        return answer["status"], answer.get("reason"), answer["fresh_as_of"]

    await taker.take(carry(shibuya, tmp_path / "none"))
    assert await answered("emergency") == ("unknown", "never-proven", None)
    ahead = shibuya.heartbeat(NOW + timedelta(minutes=6)).data
    assert (await taker.take(carry(shibuya, tmp_path / "ahead", heartbeat=ahead))).fresh_as_of is None
    two_days = shibuya.heartbeat(NOW - timedelta(days=2)).data
    await taker.take(carry(shibuya, tmp_path / "old", heartbeat=two_days))
    told = "2026-11-21T03:00:00Z"
    assert await answered("counter") == ("unknown", "stale", told)
    assert await answered("emergency") == ("valid", None, told)
    older = shibuya.heartbeat(NOW - timedelta(days=5)).data
    taken = await taker.take(carry(shibuya, tmp_path / "older", heartbeat=older))
    assert taken.fresh_as_of == NOW - timedelta(days=2)
    assert await answered("emergency") == ("valid", None, told)


async def test_who_sends_what_a_bundle_has_brought_lacks_the_receipt_and_is_named(desk, taker, shibuya, tmp_path):
    for _ in range(4):
        shibuya.issue()
    assert (await desk.federation.receiver.events(shibuya.messages(0, 2))).repeats == ()
    await taker.take(carry(shibuya, tmp_path / "b", 2))
    assert (await desk.federation.receiver.events(shibuya.messages(2))).repeats == (shibuya.code,)
    assert (await desk.federation.receiver.heartbeats([shibuya.heartbeat()])).repeats == ()


async def test_a_bundle_mends_what_is_damaged_in_the_mirror_of_a_town_without_a_network(desk, taker, tmp_path):
    town = lively(entries=6)
    await desk.federation.admit(town)
    await desk.federation.take(*town.messages(0, 3))
    await desk.federation.take(*town.messages(3))
    scrubber = Scrubber(desk.federation.pool, FEDERATION, 0.0)
    await spoil(desk.federation, CHANGED)
    await scrubber.turn()
    assert await desk.federation.mirrored(town) != town.entries
    await taker.take(carry(town, tmp_path / "b"))
    assert await desk.federation.mirrored(town) == town.entries

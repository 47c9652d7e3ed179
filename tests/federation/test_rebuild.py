"""Rebuilding the read model beside the one that serves: equal, complete, atomic, and never with a hole."""

import asyncio
import sys
from datetime import date

import asyncpg
import pytest

from tests.federation.test_projections import digest_of
from tests.federation.towns import FEDERATION, NOW, Town, unknown_event
from tomoni.events import jurisdiction as j
from tomoni.history import fold
from tomoni.settings import SettingsError
from tomoni_federation.projections.project import Behind, fold_behind, write_changes
from tomoni_federation.rebuild import run
from tomoni_federation.rebuild.comparing import Difference
from tomoni_federation.rebuild.filling import RebuildFaultError


async def made(federation, *lives: int) -> list[Town]:
    """Give towns, each with so many certificates and something of everything else, taken in."""
    towns = []
    for number, life in enumerate(lives):
        town = Town(("131130", "131121", "131032", "141003")[number])
        for count in range(life):
            certificate, _ = town.issue()
            if count % 3 == 0:
                town.reissue(certificate)
                town.revoke(certificate)
        town.withdraw(town.declare("011002"))
        town.declare("011002")
        town.append(
            town.event(j.NetworkJoined, j.NetworkMembershipData, "network/shikoku", effective_on=date(2026, 4, 1))
        )
        towns.append(town)
    await federation.admit(*towns)
    for town in towns:
        await federation.take(*town.messages(), heartbeats=[town.heartbeat()])
    return towns


async def rebuilt(federation, **options) -> run.Rebuilt:
    return await run.rebuild(federation.owner_dsn, FEDERATION, **options)


async def oid(federation, table="projection.certificate") -> int:
    return await federation.pool.fetchval("SELECT to_regclass($1)::oid", table)


async def rewritten(federation, town: Town, position: int, data: bytes) -> None:
    """Change an entry of the mirror, as only the database's owner could."""
    await federation.as_owner("ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay")
    await federation.as_owner(
        "UPDATE mirror.entry SET data = $3 WHERE log = $1 AND position = $2", town.code, position, data
    )
    await federation.as_owner("ALTER TABLE mirror.entry ENABLE ALWAYS TRIGGER entries_stay")


@pytest.mark.parametrize("budget", [1, 7, 10_000])
async def test_a_rebuilt_version_is_equal_and_serves(federation, budget):
    town, *_ = await made(federation, 5, 2)
    before, served = await digest_of(federation), await oid(federation)
    cursors = await federation.pool.fetch("SELECT * FROM projection.cursor ORDER BY log")
    outcome = await rebuilt(federation, budget=budget)
    assert (outcome.switched, outcome.differences, outcome.extent.logs) == (True, [], 2)
    assert outcome.extent.entries == sum(row["position"] for row in cursors)
    assert await digest_of(federation) == before
    assert await federation.pool.fetch("SELECT * FROM projection.cursor ORDER BY log") == cursors
    assert await oid(federation) != served
    assert await oid(federation, "projection_before.certificate") == served
    assert await oid(federation, "projection_next.certificate") is None
    town.issue()
    await federation.take(*town.messages(town.size - 1), heartbeats=[town.heartbeat()])
    assert (await federation.cursor(town))["position"] == town.size
    assert await digest_of(federation) != before


async def test_tables_and_their_keys_keep_names_and_grants_over_many_rebuilds(federation):
    async def schema():
        return await federation.pool.fetch("""
            SELECT c.relname, c.relkind, c.relacl, c.relpersistence, pg_get_indexdef(c.oid), (
                SELECT array_agg(k.conname || pg_get_constraintdef(k.oid) ORDER BY k.conname) FROM pg_constraint k
                WHERE k.conrelid = c.oid)
            FROM pg_class c WHERE c.relnamespace = 'projection'::regnamespace ORDER BY c.relname""")

    await made(federation, 1)
    before = await schema()
    for _ in range(3):
        assert (await rebuilt(federation)).switched
    assert await schema() == before


async def test_statements_that_a_service_has_prepared_read_and_write_the_version_that_serves(federation):
    (town,) = await made(federation, 2)
    async with federation.pool.acquire() as connection:
        count = await connection.prepare("SELECT count(*) FROM projection.certificate")
        change = await connection.prepare("UPDATE projection.cursor SET halted = $1")
        for _ in range(6):
            assert await count.fetchval() == 2
            await change.fetch(None)
        await rebuilt(federation)
        await federation.as_owner("DELETE FROM projection_before.certificate")
        assert await count.fetchval() == 2
        await change.fetch("an entry")
    assert (await federation.cursor(town))["halted"] == "an entry"
    assert await federation.pool.fetchval("SELECT max(halted) FROM projection_before.cursor") is None


async def test_who_holds_the_tables_is_waited_for_and_nothing_is_half_switched(federation):
    await made(federation, 2)
    served = await oid(federation)
    async with federation.pool.acquire() as reading, reading.transaction():
        assert await reading.fetchval("SELECT count(*) FROM projection.document") == 3
        rebuilding = asyncio.create_task(rebuilt(federation))
        async with asyncio.timeout(60):
            while not await _waits_for_a_table(federation):
                await asyncio.sleep(0.02)
        assert await reading.fetchval("SELECT count(*) FROM projection.cursor") == 1
        assert await oid(federation) == served
    assert (await rebuilding).switched


async def _waits_for_a_table(federation) -> bool:
    connection = await asyncpg.connect(federation.owner_dsn)
    try:
        return await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'tomoni rebuild' "
            "AND wait_event = 'relation')"
        )
    finally:
        await connection.close()


async def test_what_a_projector_is_writing_when_the_switch_comes_is_in_the_version_that_serves(federation):
    (town,) = await made(federation, 2)
    start = town.size
    town.issue()
    await federation.receiver.events(town.messages(start))
    async with federation.pool.acquire() as writing, writing.transaction():
        behind = [Behind(town.code, start, town.size, missing_unknown=False)]
        _, changes = await fold_behind(writing, FEDERATION, behind, new_too=False)
        await write_changes(writing, changes)
        rebuilding = asyncio.create_task(rebuilt(federation))
        async with asyncio.timeout(60):
            while not await _waits_for_a_table(federation):
                await asyncio.sleep(0.02)
    assert (await rebuilding).switched
    assert (await federation.cursor(town))["position"] == town.size
    assert await federation.pool.fetchval("SELECT count(*) FROM projection.certificate") == 3


async def test_a_town_without_an_entry_stays_as_fresh_as_it_was(federation):
    town = Town("131130")
    await federation.admit(town)
    await federation.take(town.checkpoint_message(note=town.note(0)), heartbeats=[town.heartbeat(size=0)])
    fresh = (await federation.cursor(town))["fresh_as_of"]
    assert fresh is not None
    assert (await rebuilt(federation)).switched
    assert (await federation.cursor(town))["fresh_as_of"] == fresh


async def test_a_reader_who_began_before_the_switch_never_sees_a_fresher_answer_than_its_rows(federation):
    (town,) = await made(federation, 2)
    async with federation.pool.acquire() as reading, reading.transaction(isolation="repeatable_read"):
        await reading.fetchval("SELECT count(*) FROM mirror.log")
        assert (await rebuilt(federation)).switched
        assert await reading.fetch("SELECT * FROM projection.cursor") == []
        assert await reading.fetchval("SELECT count(*) FROM projection.certificate") == 0
    assert (await federation.cursor(town))["fresh_as_of"] is not None


async def test_entries_that_arrive_meanwhile_are_in_the_version_that_serves_afterwards(federation):
    (town,) = await made(federation, 60)
    arriving = asyncio.Event()

    async def arrive():
        await arriving.wait()
        for _ in range(20):
            start = town.size
            town.issue()
            await federation.take(*town.messages(start), heartbeats=[town.heartbeat()])

    arrivals = asyncio.create_task(arrive())
    outcome = await rebuilt(federation, budget=5, on_progress=lambda *_: arriving.set())
    await arrivals
    assert outcome.switched
    live = await digest_of(federation)
    assert (await federation.cursor(town))["position"] == town.size
    assert (await rebuilt(federation)).differences == []
    assert await digest_of(federation) == live


async def test_a_town_that_is_admitted_meanwhile_is_in_it(federation):
    await made(federation, 3)
    town, ready = Town("141003"), asyncio.Event()

    async def admit():
        await ready.wait()
        town.issue()
        await federation.admit(town)
        await federation.take(*town.messages())

    admitting = asyncio.create_task(admit())
    assert (await rebuilt(federation, budget=1, on_progress=lambda *_: ready.set())).switched
    await admitting
    assert (await federation.cursor(town))["position"] == 1


async def test_a_rebuild_that_is_killed_again_and_again_goes_on_where_it_was(federation):
    towns = await made(federation, 80, 80, 80)
    before, entries = await digest_of(federation), sum(town.size for town in towns)
    reached = 0
    for part in (0.2, 0.4, 0.6, 0.8):
        process = await _start(federation, budget=5)
        while reached < entries * part:
            assert process.returncode is None
            reached = await _reached(federation)
        process.kill()
        await process.wait()
    outcome = await rebuilt(federation)
    assert (outcome.switched, outcome.resumed, outcome.differences) == (True, True, [])
    assert await digest_of(federation) == before


_PROGRAM = """
import asyncio, sys
from tomoni_federation.rebuild.run import rebuild
asyncio.run(rebuild(sys.argv[1], sys.argv[2], budget=int(sys.argv[3])))
"""


async def _start(federation, budget: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, federation.owner_dsn, FEDERATION, str(budget)
    )


async def _reached(federation) -> int:
    await asyncio.sleep(0.01)
    try:
        return await federation.pool.fetchval("SELECT sum(position) FROM projection_next.cursor") or 0
    except asyncpg.UndefinedTableError:
        return 0


async def test_a_version_begun_by_another_software_or_for_other_tables_is_made_anew(federation):
    await made(federation, 2)
    await federation.as_owner("UPDATE projection.certificate SET kind = 'other'")
    assert not (await rebuilt(federation)).switched
    first = await oid(federation, "projection_next.certificate")
    assert (await rebuilt(federation)).resumed
    assert await oid(federation, "projection_next.certificate") == first
    await federation.as_owner("COMMENT ON SCHEMA projection_next IS 'another software'")
    assert not (await rebuilt(federation)).resumed
    second = await oid(federation, "projection_next.certificate")
    await federation.as_owner("ALTER TABLE projection.certificate ADD COLUMN later text")
    outcome = await rebuilt(federation, accept_difference=True)
    assert (outcome.switched, outcome.resumed) == (True, False)
    assert await oid(federation) not in {first, second}
    assert await federation.pool.fetchval("SELECT count(later) FROM projection.certificate") == 0


@pytest.mark.parametrize(
    ("change", "position", "subjects"),
    [
        ("UPDATE projection.certificate SET kind = 'other' WHERE log = '131130' AND first_position = 3", 3, 1),
        ("DELETE FROM projection.document WHERE log = '131130'", 0, 2),
        ("DELETE FROM projection.position WHERE log = '131130' AND position = 2", 2, 1),
        ("UPDATE projection.arrangement SET pattern = 'A' WHERE log = '131130'", 4, 2),
        ("DELETE FROM projection.membership WHERE log = '131130'", 7, 1),
        ("UPDATE projection.stream SET version = 9 WHERE log = '131130' AND subject LIKE 'network/%'", 7, 1),
        ("INSERT INTO projection.stream VALUES ('131130', 'scheme/', 1, false)", 0, 1),
        ("UPDATE projection.cursor SET unknown = true WHERE log = '131130'", 8, 1),
    ],
)
async def test_a_difference_is_told_by_issuer_and_position_and_nothing_is_switched(
    federation, change, position, subjects
):
    await made(federation, 2, 2)
    served = await oid(federation)
    await federation.as_owner(change)
    outcome = await rebuilt(federation)
    assert not outcome.switched
    assert await oid(federation) == served
    (found,) = outcome.differences
    assert found[:3] == ("131130", position, subjects)
    accepted = await rebuilt(federation, accept_difference=True)
    assert (accepted.switched, accepted.resumed) == (True, True)
    assert (await rebuilt(federation)).differences == []


async def test_what_an_older_software_did_not_know_is_told_apart_and_known_once_accepted(desk, shibuya):
    """The older one is played by the rows it would have made: of a type that it does not know all is unknown."""
    federation = desk.federation
    certificate, handle = shibuya.issue()
    shibuya.issue()
    shibuya.revoke(certificate)
    await federation.take(*shibuya.messages(), heartbeats=[shibuya.heartbeat(NOW)])
    await federation.as_owner(
        "UPDATE projection.certificate SET unknown = true, effect = NULL, effective_on = NULL WHERE effect IS NOT NULL"
    )
    await federation.as_owner("UPDATE projection.position SET unknown = true")
    await federation.as_owner("UPDATE projection.cursor SET missing_unknown = true")
    assert (await desk.status(shibuya, handle))["status"] == "unknown"
    outcome = await rebuilt(federation)
    assert outcome.differences == [Difference("131130", 2, 2, 2)]
    assert (await rebuilt(federation, accept_difference=True)).switched
    assert (await desk.status(shibuya, handle))["status"] == "not-valid"


async def test_watches_are_told_what_an_accepted_difference_changes(desk, shibuya):
    federation = desk.federation
    await federation.as_owner("INSERT INTO watch.issuer (log, view, settled) VALUES ('131130', 'as it is', true)")
    shibuya.issue()
    await federation.take(*shibuya.messages())
    settled = "SELECT settled FROM watch.issuer"
    await rebuilt(federation)
    assert await federation.pool.fetchval(settled) is True
    await federation.as_owner("UPDATE projection.certificate SET unknown = true")
    await rebuilt(federation, accept_difference=True)
    assert await federation.pool.fetchval(settled) is False


async def test_an_entry_that_is_illegal_where_the_serving_version_is_past_it_is_named(federation):
    _, town = await made(federation, 2, 3)
    served = await oid(federation)
    await rewritten(federation, town, 3, unknown_event(Town("011002"), None))
    with pytest.raises(RebuildFaultError) as raised:
        await rebuilt(federation, budget=2)
    assert (raised.value.log, raised.value.position) == (town.code, 3)
    assert await oid(federation) == served


async def test_an_entry_that_the_mirror_lacks_is_named(federation):
    (town,) = await made(federation, 3)
    await federation.as_owner(
        "BEGIN; SET LOCAL tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE position = 2; COMMIT"
    )
    with pytest.raises(RebuildFaultError, match="lacks") as raised:
        await rebuilt(federation)
    assert (raised.value.log, raised.value.position) == (town.code, 2)


async def test_an_entry_on_which_a_handler_fails_is_named(federation, monkeypatch):
    (town,) = await made(federation, 3)

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setitem(fold._EVOLVERS, j.CertificateRevoked, fail)
    with pytest.raises(RebuildFaultError, match="ZeroDivisionError") as raised:
        await rebuilt(federation)
    assert (raised.value.log, raised.value.position) == (town.code, 2)
    monkeypatch.undo()
    assert (await rebuilt(federation)).switched


async def test_a_certificate_issued_twice_is_named(federation):
    (town,) = await made(federation, 3)
    await rewritten(federation, town, 3, town.entries[0])
    for budget in (1, 10_000):
        with pytest.raises(RebuildFaultError) as raised:
            await rebuilt(federation, budget=budget)
        assert (raised.value.log, raised.value.position) == (town.code, 3)


async def test_logs_that_stand_still_stand_still_in_the_new_version_too(federation):
    illegal, waiting, whole = await made(federation, 2, 2, 2)
    start = illegal.size
    illegal.append(unknown_event(Town("011002"), None))
    illegal.issue()
    await federation.take(*illegal.messages(start))
    start = waiting.size
    certificate, _ = waiting.issue()
    waiting.revoke(certificate)
    waiting.revoke(certificate)
    await federation.take(*waiting.messages(start))
    cursors = await federation.pool.fetch("SELECT * FROM projection.cursor ORDER BY log")
    assert [row["halted"] is None for row in cursors] == [True, False, False]
    assert await federation.state(illegal) == "quarantined"
    assert (await rebuilt(federation)).switched
    assert await federation.pool.fetch("SELECT * FROM projection.cursor ORDER BY log") == cursors
    assert (await federation.cursor(whole))["position"] == whole.size


async def test_a_log_that_stood_still_when_the_rebuild_began_goes_on_in_both(federation):
    town, other = await made(federation, 2, 1)
    gone = await federation.pool.fetchrow("SELECT * FROM mirror.entry WHERE log = $1 AND position = 2", town.code)
    await federation.as_owner(
        "BEGIN; SET LOCAL tomoni.disowning = 'yes'; "
        "DELETE FROM mirror.entry WHERE log = '131130' AND position = 2; COMMIT"
    )
    await federation.as_owner("SELECT projection.forget_beyond('131130', 0)")
    await federation.projector.catch_up()
    assert (await federation.cursor(town))["halted"] is not None
    await federation.as_owner("UPDATE projection.certificate SET kind = 'other' WHERE log = $1", other.code)
    assert not (await rebuilt(federation)).switched
    await federation.as_owner("INSERT INTO mirror.entry VALUES ($1, $2, $3, $4)", *gone)
    await federation.projector.catch_up()
    done = await rebuilt(federation, accept_difference=True)
    assert (done.resumed, [found.log for found in done.differences]) == (True, [other.code])
    cursor = await federation.cursor(town)
    assert (cursor["position"], cursor["halted"]) == (town.size, None)


async def test_a_log_goes_on_where_only_an_older_software_stood_still_and_that_is_a_difference(federation):
    (town,) = await made(federation, 2)
    await federation.as_owner("SELECT projection.forget_beyond('131130', 0)")
    await federation.as_owner("UPDATE projection.cursor SET halted = 'it does not fit'")
    outcome = await rebuilt(federation)
    assert [found[:2] for found in outcome.differences] == [("131130", 0)]
    assert (await rebuilt(federation, accept_difference=True)).switched
    cursor = await federation.cursor(town)
    assert (cursor["position"], cursor["halted"]) == (town.size, None)


async def test_a_history_taken_back_is_taken_back_in_every_version(federation):
    town, other = await made(federation, 3, 1)
    await rebuilt(federation)
    await federation.as_owner("UPDATE projection.certificate SET kind = 'other' WHERE log = $1", other.code)
    assert not (await rebuilt(federation)).switched
    await federation.pool.execute("SELECT mirror.disown($1, 0, ''::bytea)", town.code)
    await federation.pool.execute("SELECT projection.forget_beyond($1, 0)", town.code)
    again = Town(town.code, town.log_key, town.heartbeat_key)
    for _ in range(10):
        again.issue()
    await federation.take(*again.messages())
    assert (await rebuilt(federation, accept_difference=True)).switched
    live = await digest_of(federation)
    assert (await federation.cursor(town))["position"] == 10
    assert (await rebuilt(federation)).differences == []
    assert await digest_of(federation) == live


async def test_rolling_back_brings_the_version_before_up_to_date_and_back(federation):
    (town,) = await made(federation, 3)
    first = await oid(federation)
    await rebuilt(federation)
    second = await oid(federation)
    start = town.size
    town.issue()
    await federation.take(*town.messages(start), heartbeats=[town.heartbeat()])
    live = await digest_of(federation)
    for expected in (first, second):
        outcome = await run.roll_back(federation.owner_dsn, FEDERATION)
        assert (outcome.switched, outcome.differences) == (True, [])
        assert await oid(federation) == expected
        assert await digest_of(federation) == live
    assert await run.drop_before(federation.owner_dsn) is True
    assert await run.drop_before(federation.owner_dsn) is False
    with pytest.raises(run.RebuildRefusedError, match="no version"):
        await run.roll_back(federation.owner_dsn, FEDERATION)


async def test_rolling_back_to_other_tables_is_refused(federation):
    await made(federation, 1)
    await rebuilt(federation)
    await federation.as_owner("ALTER TABLE projection.certificate ADD COLUMN later text")
    with pytest.raises(run.RebuildRefusedError, match="layout"):
        await run.roll_back(federation.owner_dsn, FEDERATION)


async def test_two_rebuilds_do_not_run_at_once(federation, monkeypatch):
    await made(federation, 1)
    monkeypatch.setitem(run._SETTINGS, "lock_timeout", "200ms")
    holder = await asyncpg.connect(federation.owner_dsn)
    await holder.execute(run._ALONE)
    with pytest.raises(run.RebuildRefusedError, match="another"):
        await rebuilt(federation)
    await holder.close()
    assert (await rebuilt(federation)).switched


async def test_a_database_that_cannot_be_reached_is_told_plainly():
    with pytest.raises(SettingsError):
        await run.rebuild("postgresql://nobody:none@127.0.0.1:1/none", FEDERATION)

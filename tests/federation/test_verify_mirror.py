"""The mirror verified anew: what is as signed passes, and what was changed or cut off is found."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.federation.towns import FEDERATION, Town
from tomoni_federation.mirror.verify import Fault, Verified, verify_mirror


async def findings(federation) -> list[Verified | Fault]:
    async with federation.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        return [finding async for finding in verify_mirror(connection, FEDERATION)]


def town_of(code: str, entries: int) -> Town:
    town = Town(code)
    for _ in range(entries):
        town.issue()
    return town


async def test_a_town_that_has_signed_its_empty_log_first_is_verified(federation):
    grown, empty = town_of("131130", 3), town_of("131121", 0)
    await federation.admit(grown, empty)
    nothing_yet = [town.checkpoint_message(note=town.note(0)) for town in (grown, empty)]
    await federation.take(*nothing_yet, heartbeats=[grown.heartbeat(size=0), empty.heartbeat(size=0)])
    await federation.take(*grown.messages(), *nothing_yet)
    await federation.take(heartbeats=[grown.heartbeat(size=0)])
    stored = await federation.pool.fetch("SELECT log, size FROM mirror.checkpoint ORDER BY size")
    assert [tuple(row) for row in stored] == [("131130", 0), ("131130", 3)]
    assert await findings(federation) == [Verified("131121", 0), Verified("131130", 3)]
    await federation.as_owner("UPDATE mirror.checkpoint SET root = sha256('x') WHERE size = 0")
    assert [type(finding) for finding in await findings(federation)] == [Verified, Fault]


async def test_a_history_that_was_cut_off_behind_a_checkpoint_is_found(federation):
    town = town_of("131130", 3)
    await federation.admit(town)
    await federation.take(*town.messages())
    shorter = await federation.pool.fetchrow("SELECT proven_size, compact FROM mirror.log")
    town.issue()
    await federation.take(*town.messages(3))
    assert await findings(federation) == [Verified("131130", 4)]
    await federation.as_owner("SET tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE position = 3")
    await federation.as_owner("UPDATE mirror.log SET proven_size = $1, compact = $2", *shorter)
    (fault,) = await findings(federation)
    assert (type(fault), fault.position) == (Fault, 3)


async def test_a_changed_compact_range_of_a_checkpoint_is_found(federation):
    town = town_of("131130", 3)
    await federation.admit(town)
    await federation.take(*town.messages(0, 2), *town.messages(2))
    await federation.as_owner("UPDATE mirror.checkpoint SET compact = sha256('x') WHERE size = 2")
    (fault,) = await findings(federation)
    assert "the compact range of the stored checkpoint" in fault.expected


PLACES = {
    "entry.data": ("position", range(6)),
    "entry.leaf": ("position", range(6)),
    "checkpoint.note": ("size", (4, 6)),
    "checkpoint.root": ("size", (4, 6)),
    "checkpoint.compact": ("size", (4, 6)),
    "log.compact": ("proven_size", (6,)),
}
"""Every column whose bytes are proven, and its rows."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(sorted(PLACES)), data=st.data())
async def test_a_bit_flipped_anywhere_in_the_mirror_is_found_and_its_position_named(federation, place, data):
    if not await federation.pool.fetchval("SELECT EXISTS (SELECT 1 FROM mirror.entry)"):
        town = town_of("131130", 6)
        await federation.admit(town)
        await federation.take(*town.messages(0, 4), *town.messages(4))
        await federation.as_owner("ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay")
    table, column = place.split(".")
    key, rows = PLACES[place]
    row = data.draw(st.sampled_from(rows))
    where = f"mirror.{table} WHERE {key} = {row}"
    size = await federation.pool.fetchval(f"SELECT length({column}) FROM {where}")
    bit = data.draw(st.integers(0, 8 * size - 1))
    flip = f"{column} = set_bit({column}, {bit}, 1 - get_bit({column}, {bit}))"
    await federation.as_owner(f"UPDATE mirror.{table} SET {flip} WHERE {key} = {row}")
    (fault,) = await findings(federation)
    expected = {"entry": [row], "checkpoint": [0 if row == 4 else 4], "log": [row]}[table]
    assert (type(fault), fault.log) == (Fault, "131130")
    assert fault.position in expected, (place, bit, fault)
    await federation.as_owner(f"UPDATE mirror.{table} SET {flip} WHERE {key} = {row}")
    assert await findings(federation) == [Verified("131130", 6)]

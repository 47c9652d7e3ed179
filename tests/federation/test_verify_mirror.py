"""The mirror verified anew: what is as signed passes, and what was changed or cut off is found."""

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

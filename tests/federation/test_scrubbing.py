"""What goes wrong in the mirror long after it was proven is found, set aside, asked for again and put back."""

import pytest

from tests.federation.changed_rows import BOTH, CHANGED, DATA, LEAF, ended, spoil, status, town
from tests.federation.test_verify_mirror import findings, town_of
from tests.federation.towns import FEDERATION, Town
from tomoni_federation.mirror.scrub import Scrubber
from tomoni_federation.mirror.verify import Verified

__all__ = ["ended", "town"]


async def opened(federation, seconds=0.0):
    scrubber = Scrubber(federation.pool, FEDERATION, seconds)
    await scrubber.start()
    return scrubber


async def whole_round(scrubber):
    for _ in range(3):  # the log, the end of the round, the log again
        await scrubber.turn()


async def held(federation):
    rows = await federation.pool.fetch("SELECT position FROM mirror.entry ORDER BY position")
    return {row["position"] for row in rows}


async def open_damages(federation):
    return await federation.pool.fetchval("SELECT count(*) FROM mirror.damage WHERE mended_at IS NULL")


GONE = "DELETE FROM mirror.entry WHERE position = 5"


@pytest.mark.parametrize(
    ("sql", "aside"),
    [
        (CHANGED, {4}),
        (LEAF, {4}),
        (f"{DATA} IN (2, 7)", {2, 7}),
        (GONE, {3, 4, 5}),
        (BOTH, {3, 4, 5}),
        (f"{GONE}; {BOTH}", {3, 4, 5}),
        ("DELETE FROM mirror.entry", set(range(9))),
    ],
)
async def test_what_is_wrong_is_set_aside_and_mended_by_what_comes_again(federation, town, sql, aside):
    scrubber = await opened(federation)
    await whole_round(scrubber)
    assert await open_damages(federation) == 0
    await spoil(federation, sql)
    await whole_round(scrubber)
    assert set(range(9)) - await held(federation) == aside
    found = await open_damages(federation)
    await whole_round(scrubber)
    assert await open_damages(federation) == found
    for message in town.messages():
        await scrubber.overhear([message])
    assert await federation.mirrored(town) == town.entries
    assert await findings(federation) == [Verified(town.code, 9)]
    await federation.projector.catch_up()
    cursor = await federation.cursor(town)
    assert (cursor["position"], cursor["halted"]) == (9, None)
    await whole_round(scrubber)
    assert (await open_damages(federation), await scrubber.older_receipts()) == (0, {})


async def test_what_projecting_stumbles_over_is_looked_at_at_once(desk, ended):
    federation = desk.federation
    await spoil(federation, "UPDATE mirror.entry SET data = sha256(data) WHERE position = 1")
    await federation.projector.catch_up()
    scrubber = await opened(federation, 1e9)
    await scrubber.turn()  # it is not due for long
    assert await open_damages(federation) == 1
    assert await scrubber.overhear(ended.town.messages())
    await federation.projector.catch_up()
    assert await status(desk, ended) == "not-valid"


async def test_what_was_projected_from_a_forged_row_is_unknown_until_it_is_mended(desk, ended):
    federation = desk.federation
    other = Town(ended.town.code)
    other.issue()
    forged = "UPDATE mirror.entry SET data = $1, leaf = sha256('\\x00'::bytea || $1) WHERE position = 1"
    await spoil(federation, forged, other.entries[0])
    await federation.projector.catch_up()
    scrubber = await opened(federation)
    await scrubber.turn()
    await federation.projector.catch_up()
    assert await status(desk, ended) == "unknown"
    await scrubber.overhear(ended.town.messages())
    await federation.projector.catch_up()
    assert await status(desk, ended) == "not-valid"
    assert await federation.pool.fetchval("SELECT count(*) FROM projection.certificate") == 1


async def test_junk_mends_nothing_and_the_true_entries_do_after_it(federation, town):
    await spoil(federation, CHANGED)
    await (await opened(federation)).turn()
    scrubber = await opened(federation)  # a restart knows what is to be mended
    assert not await scrubber.overhear([town.entry_message(4, town.entries[5])])
    assert await open_damages(federation) > 0  # nor is any other row of that part believed before
    assert await scrubber.overhear(town.messages())
    assert await federation.mirrored(town) == town.entries


async def test_a_row_that_is_changed_while_another_waits_is_set_aside_as_well(federation, town):
    scrubber = await opened(federation)
    await spoil(federation, CHANGED)
    await scrubber.turn()
    await spoil(federation, BOTH.replace("= 4", "= 3"))
    for _ in range(2):  # the first time shows that another row of the part is wrong
        await scrubber.overhear(town.messages())
        await whole_round(scrubber)
    assert await federation.mirrored(town) == town.entries
    assert await open_damages(federation) == 0


async def test_what_was_put_back_from_a_backup_is_mended(federation, town):
    rows = await federation.pool.fetch("SELECT * FROM mirror.entry WHERE position = 4")
    await spoil(federation, CHANGED)
    scrubber = await opened(federation)
    await scrubber.turn()
    await federation.pool.execute("INSERT INTO mirror.entry VALUES ($1, $2, $3, $4)", *rows[0].values())
    await scrubber.turn()
    assert await open_damages(federation) == 0


async def test_a_relay_is_asked_from_the_last_receipt_before_the_damage(federation, town):
    scrubber = await opened(federation)
    await spoil(federation, CHANGED)
    await scrubber.turn()
    older = await scrubber.older_receipts()
    assert (older[town.code] or b"").startswith(town.checkpoint_at(3).to_text().encode())
    await spoil(federation, "DELETE FROM mirror.entry WHERE position = 1")
    await whole_round(scrubber)
    assert await scrubber.older_receipts() == {town.code: None}


async def test_a_town_taken_back_to_before_the_damage_is_not_asked_for_ever(federation, town):
    scrubber = await opened(federation)
    await spoil(federation, CHANGED)
    await scrubber.turn()
    await federation.pool.execute(
        "SELECT mirror.disown($1, 3, compact) FROM mirror.checkpoint WHERE size = 3", town.code
    )
    await scrubber.turn()
    assert await scrubber.older_receipts() == {}


async def test_a_range_that_was_changed_is_computed_anew_and_the_town_goes_on(federation, town):
    await federation.as_owner("UPDATE mirror.log SET compact = sha256('x') || sha256('y')")
    await (await opened(federation)).turn()
    town.issue()
    await federation.take(*town.messages(9))
    assert await findings(federation) == [Verified(town.code, 10)]


@pytest.mark.parametrize("column", ["note = 'x'", "compact = sha256('x')", "root = sha256('x')"])
async def test_the_entries_of_a_checkpoint_that_was_changed_are_proven_by_the_next(federation, town, column):
    await federation.as_owner(f"UPDATE mirror.checkpoint SET {column} WHERE size = 6")
    scrubber = await opened(federation)
    await whole_round(scrubber)
    assert await open_damages(federation) == 0
    await spoil(federation, CHANGED)
    await whole_round(scrubber)
    await scrubber.overhear(town.messages())
    assert await federation.mirrored(town) == town.entries


async def test_a_round_goes_on_where_it_was_after_a_restart(federation):
    towns = [town_of(code, 2) for code in ("131121", "131130")]
    await federation.admit(*towns)
    for each in towns:
        await federation.take(*each.messages())
    for place in (("131121", 2), ("131130", 2), ("", 0), ("131121", 2)):
        await (await opened(federation)).turn()
        row = await federation.pool.fetchrow("SELECT log, size FROM mirror.scrubbing")
        assert tuple(row) == place
    await (await opened(federation, 1e9)).turn()
    assert tuple(await federation.pool.fetchrow("SELECT log, size FROM mirror.scrubbing")) == place


async def test_auditors_are_told_what_was_wrong_and_since_when_it_is_whole(desk, ended):
    await spoil(desk.federation, "DELETE FROM mirror.entry WHERE position = 1")
    scrubber = await opened(desk.federation)
    await scrubber.turn()

    async def told():
        return (await desk.get(f"/v1/jurisdictions/{ended.town.code}/damages", "auditor")).json()["damages"]

    (damage,) = await told()
    assert (damage["first"], damage["beyond"], "mended_at" in damage) == (0, 2, False)
    await scrubber.overhear(ended.town.messages())
    assert [damage["found_at"] < damage["mended_at"] for damage in await told()] == [True]


async def test_the_running_role_sets_aside_no_whole_log_and_forgets_no_damage(federation, town):
    for sql in (
        "SELECT mirror.set_aside('131130', 0, 2001)",
        "SELECT mirror.set_aside('131130', 0, 10)",
        "DELETE FROM mirror.damage",
        "DELETE FROM mirror.damaged",
        "DELETE FROM mirror.entry",
    ):
        with pytest.raises(Exception, match=r"set aside|permission denied"):
            await federation.pool.execute(sql)


async def test_a_damage_that_ended_beyond_what_its_log_was_taken_back_to_is_mended_once(federation, town):
    scrubber = await opened(federation)
    await spoil(federation, CHANGED)
    await scrubber.turn()
    await federation.as_owner("UPDATE mirror.damage SET beyond = 100")  # as it was before
    await scrubber.turn()
    assert await scrubber.overhear(town.messages())
    assert (await open_damages(federation), await scrubber.older_receipts()) == (0, {})

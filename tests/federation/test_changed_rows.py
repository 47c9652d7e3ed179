"""A row of the mirror that was changed after it was proven: nothing is answered from it, nobody is accused by it."""

import pytest

from tests.federation.changed_rows import BOTH, LEAF, ended, spoil, status, town
from tomoni_federation.projections.sql import GAP

__all__ = ["ended", "town"]


async def test_a_changed_row_never_reaches_the_read_model_and_its_town_is_not_accused(desk, ended):
    federation = desk.federation
    true = await federation.pool.fetchval("SELECT data FROM mirror.entry WHERE position = 1")
    await spoil(federation, "UPDATE mirror.entry SET data = sha256(data) WHERE position = 1")
    await federation.projector.catch_up()
    assert await federation.state(ended.town) == "open"
    assert (await federation.cursor(ended.town))["halted"] == GAP
    assert await status(desk, ended) == "unknown"
    await spoil(federation, "UPDATE mirror.entry SET data = $1 WHERE position = 1", true)
    await federation.projector.catch_up()
    assert await status(desk, ended) == "not-valid"


@pytest.mark.parametrize(
    ("sql", "size"), [(LEAF, 5), (BOTH, 5), ("UPDATE mirror.checkpoint SET root = sha256('x') WHERE size = 6", 6)]
)
async def test_a_town_is_not_accused_by_a_row_of_ours_that_was_changed(federation, town, sql, size):
    await spoil(federation, sql)
    await federation.take(heartbeats=[town.heartbeat(size=size)])
    assert await federation.state(town) == "open"


async def test_an_entry_that_somebody_forged_here_accuses_nobody(desk, ended):
    federation, town = desk.federation, ended.town
    forged = "UPDATE mirror.entry SET data = 'junk', leaf = sha256('\\x00'::bytea || 'junk') WHERE position = 1"
    await spoil(federation, forged)
    await federation.projector.catch_up()
    assert await federation.state(town) == "open"
    assert await status(desk, ended) == "unknown"

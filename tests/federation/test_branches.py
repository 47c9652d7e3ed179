"""Readmission with the branch that counts: the mirror and what is served hold it, and nothing of the other."""

import asyncpg
import msgspec
import pytest
import structlog.testing

from tests.databases import copied
from tests.federation.quarantines import (
    CODE,
    caught,
    convinced,
    named,
    readmit,
    renewed,
    require_equal_to_replay,
    written,
)
from tests.federation.test_answers import admission
from tests.federation.towns import Town
from tomoni.eventlog import EventReader
from tomoni.events import decode_event
from tomoni.events import federation as f
from tomoni_federation.restore import _Desk


@pytest.fixture
async def split(desk):
    return await caught(desk)


async def test_the_branch_that_the_mirror_does_not_hold_counts_and_nothing_of_the_other_is_valid(desk, split):
    town, other = split
    back = renewed(other)
    assert (await readmit(desk, back, branch=named(other), from_size=2)).status_code == 200
    assert (await desk.status(town, other.lost))["status"] == "unknown"
    event = decode_event((await EventReader(desk.federation.pool).read(0))[-1].data)
    assert isinstance(event, f.JurisdictionReadmitted)
    assert (event.data.from_size, event.data.branch) == (2, f.Branch(**named(other)))
    back.issue()
    await desk.hear(town, back)  # the machine with the other branch goes on, with the old key
    assert [(await desk.status(back, one))["status"] for one in [*other.kept, other.lost]] == [
        "valid",
        "valid",
        "not-found",
    ]
    refused = await desk.recognition(back, other.lost, Town("131121"))
    assert refused["decision"] != "recognised"
    assert await desk.federation.state(town) == "open"
    kept = await desk.federation.pool.fetch("SELECT data FROM mirror.disowned ORDER BY position")
    assert [row["data"] for row in kept] == town.entries[2:]
    assert convinced((await written(desk))[0], town).kind == "fork"
    await require_equal_to_replay(desk, back)


async def test_no_other_history_than_the_branch_that_was_named_is_proven_over_it(desk, split):
    town, other = split
    third = renewed(other)
    assert (await readmit(desk, third, branch=named(other), from_size=2)).status_code == 200
    third.entries = town.entries[:3]
    for _ in range(3):
        third.issue()
    with structlog.testing.capture_logs() as lines:
        await desk.federation.take(*third.messages())
    assert [one["event"] for one in lines] == ["root_mismatch"]
    assert await desk.federation.mirrored(town) == town.entries[:2]
    third.entries = list(other.entries)
    await desk.hear(third)
    assert await desk.federation.mirrored(town) == other.entries


async def test_the_branch_that_the_mirror_holds_counts_and_goes_on_where_it_stands(desk, split):
    town, other = split
    back = renewed(town)
    for size in (None, 5, 6):
        named_or_not = {} if size is None else {"branch": named(town, size)}
        assert (await readmit(desk, back, **named_or_not)).status_code == 200
        if size == 6:
            break
        event = decode_event((await EventReader(desk.federation.pool).read(0))[-1].data)
        assert event.data.branch == f.Branch(**named(town, size))
        await desk.post(f"/v1/jurisdictions/{CODE}/suspend", {}, "secretariat")
    _, new = back.issue()
    await desk.hear(back)
    statuses = [(await desk.status(back, one))["status"] for one in (other.lost, new, other.kept[0])]
    assert statuses == ["valid", "valid", "not-found"]
    await require_equal_to_replay(desk, back)


async def test_a_restored_federation_knows_the_branch_that_counts(desk, split, postgres, template):
    _, other = split
    assert (await readmit(desk, renewed(other), branch=named(other), from_size=2)).status_code == 200
    known = _Desk()
    for position, entry in enumerate(await EventReader(desk.federation.pool).read(0)):
        known.see(position, decode_event(entry.data))
    with copied(postgres, template) as lost:
        connection = await asyncpg.connect(lost.owner_dsn)
        await known.write(connection)
        row = await connection.fetchrow("SELECT branch_size AS size, branch_root AS root FROM mirror.log")
        await connection.close()
    assert {"size": row["size"], "root": row["root"].hex()} == named(other)


@pytest.mark.parametrize(
    ("fields", "new_key", "problem"),
    [
        ({"from_size": 2}, False, "branch-not-held"),
        ({}, True, "branch-not-held"),
        ({"from_size": 6}, True, "branch-not-held"),
        ({"from_size": 3}, True, "size-not-proven"),
    ],
)
async def test_another_branch_needs_the_size_on_which_both_agree_and_a_new_key(desk, split, fields, new_key, problem):
    town, other = split
    refused = await readmit(desk, renewed(other) if new_key else other, branch=named(other), **fields)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, problem)
    assert await desk.federation.state(town) == "quarantined"


async def test_a_branch_that_nobody_has_signed_is_refused(desk, split):
    town, other = split
    nobodys = renewed(other)
    nobodys.issue()
    for branch in (named(nobodys), named(other, 3), {"size": 4, "root": "00" * 32}):
        refused = await readmit(desk, renewed(other), branch=branch, from_size=2)
        assert refused.json()["type"].rpartition("/")[2] == "branch-not-known"
    assert await desk.federation.state(town) == "quarantined"


async def test_a_restored_federation_knows_a_town_that_was_readmitted_twice_with_its_own_key(desk, postgres, template):
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    known = _Desk()
    for _ in range(2):
        assert (await desk.post("/v1/jurisdictions/282022/suspend", {}, "secretariat")).status_code == 200
        again = {"request": msgspec.to_builtins(request)}
        assert (await desk.post("/v1/jurisdictions/282022/readmit", again, "secretariat")).status_code == 200
    for position, entry in enumerate(await EventReader(desk.federation.pool).read(0)):
        known.see(position, decode_event(entry.data))
    with copied(postgres, template) as lost:
        connection = await asyncpg.connect(lost.owner_dsn)
        await known.write(connection)
        keys = await connection.fetch("SELECT from_size, log_key, retired FROM mirror.key")
        await connection.close()
    assert [tuple(key) for key in keys] == [(0, town.log_key.vkey, False)]

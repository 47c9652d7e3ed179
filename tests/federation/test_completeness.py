"""Whose records are complete: for the prefecture's desk, the secretariat and auditors."""

from datetime import timedelta

import pytest

from tests.federation.towns import NOW, Town
from tomoni.jurisdictions import all_jurisdictions, former_jurisdictions


async def states(desk, query="", scope="secretariat", **bound):
    answer = await desk.get(f"/v1/completeness{query}", scope, **bound)
    assert answer.status_code == 200, answer.text
    return {one["code"]: one for one in answer.json()["jurisdictions"]}


async def test_a_prefecture_sees_who_is_heard_of_who_is_silent_and_who_does_not_take_part(desk, shibuya, setagaya):
    outside = Town("271004")
    await desk.federation.admit(outside)
    await desk.hear(shibuya, at=NOW - timedelta(hours=24))
    await desk.hear(outside)
    found = await states(desk, scope="aggregator", prefecture="13")
    assert found["131130"] == {
        "code": "131130",
        "name": "渋谷区",
        "romaji": "Shibuya",
        "state": "live",
        "fresh_as_of": "2026-11-22T03:00:00Z",
    }
    assert (found["131121"]["state"], found["131083"]["state"]) == ("never-heard", "not-taking-part")
    assert set(found) == {one.code for one in all_jurisdictions() if one.prefecture == "13"}
    desk.now = NOW + timedelta(seconds=1)
    silent = (await states(desk, "?prefecture=13"))["131130"]
    assert (silent["state"], silent["fresh_as_of"]) == ("silent", "2026-11-22T03:00:00Z")


async def test_one_that_stopped_is_named_for_why_it_stopped(desk, shibuya, setagaya):
    certificate, _ = shibuya.issue()
    shibuya.revoke(certificate)
    shibuya.revoke(certificate)
    await desk.hear(shibuya, setagaya)
    assert (await states(desk, "?prefecture=13"))["131130"]["state"] == "halted"
    for state in ("suspended", "quarantined"):
        await desk.federation.pool.execute("UPDATE mirror.log SET state = $1 WHERE log = '131121'", state)
        assert (await states(desk, "?prefecture=13"))["131121"]["state"] == state


@pytest.mark.parametrize("entries", [0, 1, 30])
async def test_nothing_tells_how_much_a_log_holds(desk, shibuya, entries):
    for _ in range(entries):
        shibuya.issue()
    if entries:
        await desk.federation.take(*shibuya.messages())
    found = (await states(desk, "?prefecture=13"))["131130"]
    assert found == {"code": "131130", "name": "渋谷区", "romaji": "Shibuya", "state": "never-heard"}


async def test_all_of_japan_comes_in_pages(desk, shibuya):
    listed, after = [], ""
    while after is not None:
        answer = (await desk.get(f"/v1/completeness?limit=900&after={after}", "auditor")).json()
        listed += [one["code"] for one in answer["jurisdictions"]]
        after = answer.get("after")
    assert listed == [one.code for one in all_jurisdictions()]


async def test_a_town_that_was_admitted_and_is_no_more_is_still_listed(desk):
    gone = Town(former_jurisdictions()[0].code)
    await desk.federation.admit(gone)
    assert (await states(desk, f"?prefecture={gone.code[:2]}"))[gone.code]["state"] == "never-heard"

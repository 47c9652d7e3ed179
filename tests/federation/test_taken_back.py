"""A key was stolen: what was said after a proven size counts no more, and what it was about is in doubt until then."""

from datetime import timedelta

import msgspec
import pytest

from tests.federation.test_answers import admission
from tests.federation.towns import NOW
from tomoni.documents import new_handle

MINUTE = timedelta(minutes=1)


def set_clock(desk, now):
    desk.now = desk.federation.now = now


@pytest.fixture
async def stolen(desk):
    """A town of three certificates, two of them ended and a fourth issued after the size of its suspension, 3."""
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    town.issued = [town.issue() for _ in range(3)]
    await desk.hear(town)
    set_clock(desk, NOW + MINUTE)
    town.revoke(town.issued[0][0])
    town.issued.append(town.issue())
    await desk.hear(town, at=NOW + MINUTE)
    set_clock(desk, NOW + 2 * MINUTE)
    answer = await desk.post("/v1/jurisdictions/282022/suspend", {"from_size": 3}, "secretariat")
    assert answer.status_code == 200
    await desk.federation.projector.catch_up()
    return town


async def answers(desk, town):
    told = [await desk.status(town, handle) for _, handle in town.issued]
    return [one.get("reason", one["status"]) for one in told]


async def test_what_a_stolen_key_may_have_said_is_unknown_and_what_was_said_before_counts(desk, stolen):
    assert await answers(desk, stolen) == ["taken-back", "valid", "valid", "taken-back"]
    assert (await desk.status(stolen, stolen.issued[1][1]))["fresh_as_of"] == "2026-11-23T03:00:00Z"
    set_clock(desk, NOW + timedelta(hours=25))
    assert await answers(desk, stolen) == ["taken-back", "stale", "stale", "taken-back"]


async def test_what_was_in_doubt_is_known_again_once_the_readmitted_town_is_heard_of(desk, stolen):
    renewed, request = await admission("282022")
    renewed.entries, renewed.documents = stolen.entries[:3], stolen.documents
    renewed.versions = {f"certificate/{certificate}": 1 for certificate, _ in stolen.issued[:3]}
    body = {"request": msgspec.to_builtins(request)}
    assert (await desk.post("/v1/jurisdictions/282022/readmit", body, "secretariat")).status_code == 200
    assert await answers(desk, stolen) == ["taken-back", "valid", "valid", "taken-back"]
    renewed.revoke(stolen.issued[1][0])
    await desk.federation.take(*renewed.messages())
    assert await answers(desk, stolen) == ["taken-back", "not-valid", "valid", "taken-back"]
    set_clock(desk, NOW + 3 * MINUTE)
    await desk.hear(renewed, at=NOW + 3 * MINUTE)
    assert await answers(desk, stolen) == ["valid", "not-valid", "valid", "not-found"]


async def test_an_arrangement_whose_withdrawal_may_have_been_taken_back_recognises_nothing(desk, stolen, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya, at=NOW + MINUTE)
    found = await desk.recognition(shibuya, handle, stolen)
    assert (found["decision"], [one["code"] for one in found["reasons"]]) == ("unknown", ["receiver-unknown"])


async def test_a_size_without_a_receipt_is_refused_with_the_last_one_that_has_one(desk):
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    for size in (1, 4):
        while town.size < size:
            town.issue()
        await desk.hear(town)
    refused = await desk.post("/v1/jurisdictions/282022/suspend", {"from_size": 3}, "secretariat")
    assert (refused.status_code, refused.json()["fields"]) == (409, {"from_size": 1})


async def test_a_history_taken_back_by_nothing_leaves_no_doubt(desk):
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    _, handle = town.issue()
    await desk.hear(town)
    set_clock(desk, NOW + MINUTE)
    assert (await desk.post("/v1/jurisdictions/282022/suspend", {}, "secretariat")).status_code == 200
    assert (await desk.status(town, handle))["status"] == "valid"
    assert (await desk.status(town, new_handle()))["status"] == "not-found"


async def test_an_end_whose_bytes_are_gone_when_it_is_taken_back_is_in_doubt_too(desk):
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    certificate, handle = town.issue()
    await desk.hear(town)
    town.revoke(certificate)
    await desk.hear(town)
    assert (await desk.status(town, handle))["status"] == "not-valid"
    await desk.federation.as_owner("SET tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE position = 1")
    set_clock(desk, NOW + MINUTE)
    answer = await desk.post("/v1/jurisdictions/282022/suspend", {"from_size": 1}, "secretariat")
    assert answer.status_code == 200, answer.text
    await desk.federation.projector.catch_up()
    assert (await desk.status(town, handle)).get("reason") == "taken-back"

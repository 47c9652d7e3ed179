"""Recognition over HTTP: which arrangement prevailed and why, what networks mean, and the words of it all."""

from datetime import date
from typing import get_args

import pytest

from tests.federation.towns import Town, unknown_event
from tomoni.events import jurisdiction as j
from tomoni.events import vocabulary
from tomoni.events.types import IssuerSet, Kind, Pattern
from tomoni.history.terms import TERMS

CHARTER = {
    "network": "national",
    "name": "パートナーシップ制度自治体間連携ネットワーク",
    "pattern": "E",
    "kinds": ["partnership"],
    "services": ["public-housing"],
    "effective_on": "2026-04-01",
    "conditions": ["both-present"],
}


async def charter(desk, **changes):
    answer = await desk.post("/v1/networks", CHARTER | changes, "secretariat")
    assert answer.status_code == 200, answer.text


async def accept(desk, town, **changes):
    body = {"member": town.code, "effective_on": "2026-04-01"} | changes
    answer = await desk.post("/v1/networks/national/members", body, "secretariat")
    assert answer.status_code == 200, answer.text


def join(town, event=j.NetworkJoined, on=date(2026, 4, 1)):
    town.append(town.event(event, j.NetworkMembershipData, "network/national", effective_on=on))


def reasons(answer):
    return answer["decision"], [reason["code"] for reason in answer["reasons"]]


def considered(answer):
    return [(one["arrangement"], one["outcome"], one["reason"]) for one in answer["considered"]]


async def test_an_arrangement_that_names_others_may_name_anybody_once_something_unreadable_was_said_of_it(
    desk, shibuya, setagaya
):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    other = setagaya.declare("141003", precedence=1)
    await desk.hear(shibuya, setagaya)
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "recognised"
    setagaya.append(unknown_event(setagaya, f"arrangement/{other}"))
    await desk.hear(setagaya)
    answer = await desk.recognition(shibuya, handle, setagaya)
    assert reasons(answer) == ("unknown", ["arrangement-unknown"])
    assert (other, "unknown", "arrangement-unknown") in considered(answer)


async def test_the_answer_tells_which_arrangement_prevailed_and_what_became_of_the_others(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    old = setagaya.declare(shibuya.code)
    new = setagaya.declare(shibuya.code, pattern="A", effective_from=date(2026, 10, 1))
    nursery = setagaya.declare(issuers=IssuerSet(prefecture="13"), services=("nursery",))
    setagaya.declare("141003")
    await desk.hear(shibuya, setagaya)
    answer = await desk.recognition(shibuya, handle, setagaya)
    assert (answer["pattern"], answer["arrangement"]) == ("A", new)
    assert (answer["terms"], answer["terms_ja"]) == (TERMS["A"].en, TERMS["A"].ja)
    assert considered(answer) == [
        (new, "prevails", "newer"),
        (old, "outranked", "older"),
        (nursery, "does-not-apply", "service-not-covered"),
    ]
    assert all(one["text"].endswith(".") and "entries" not in one for one in answer["considered"])
    seen = await desk.recognition(shibuya, handle, setagaya, "auditor")
    assert [one["entries"] for one in seen["considered"]] == [
        [{"log": "131121", "position": position}] for position in (1, 0, 2)
    ]


@pytest.fixture
async def members(desk, shibuya, setagaya):
    setagaya.declare(issuers=IssuerSet(network="national"), services=("public-housing", "nursery"))
    join(setagaya)
    join(shibuya)
    await charter(desk)
    for town in (shibuya, setagaya):
        await accept(desk, town)
    return shibuya, setagaya


async def test_an_answer_by_a_network_has_the_conditions_of_both_and_cites_what_made_it_so(desk, members):
    shibuya, setagaya = members
    _, handle = shibuya.issue()
    await desk.hear(*members)
    answer = await desk.recognition(shibuya, handle, setagaya, "auditor")
    assert (answer["decision"], answer["conditions"]) == ("recognised", ["both-present"])
    assert [(one["log"], one["position"]) for one in answer["entries"]] == [
        ("131130", 1),
        ("131121", 0),
        ("131130", 0),
        ("federation", 1),
        ("131121", 1),
        ("federation", 2),
        ("federation", 0),
    ]
    assert "entries" not in await desk.recognition(shibuya, handle, setagaya)
    nursery = await desk.recognition(shibuya, handle, setagaya, service="nursery")
    assert reasons(nursery) == ("not-recognised", ["service-not-in-charter"])


async def test_a_charter_is_amended_from_a_day_on_and_the_days_before_stay_as_they_were(desk, members):
    shibuya, setagaya = members
    _, handle = shibuya.issue()
    await desk.hear(*members)
    await charter(desk, services=["nursery"], effective_on="2026-11-01", conditions=[])
    await charter(desk, services=["nursery"], effective_on="2026-11-01", conditions=[])
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "not-recognised"
    assert (await desk.recognition(shibuya, handle, setagaya, service="nursery"))["decision"] == "recognised"
    before = await desk.recognition(shibuya, handle, setagaya, on="2026-10-31")
    assert (before["decision"], before["conditions"]) == ("recognised", ["both-present"])


async def test_no_town_is_a_member_by_its_own_word_or_by_the_federations_alone(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    setagaya.declare(issuers=IssuerSet(network="national"))
    join(setagaya)
    await charter(desk)
    await accept(desk, setagaya)
    await desk.hear(shibuya, setagaya)
    assert reasons(await desk.recognition(shibuya, handle, setagaya)) == ("not-recognised", ["no-arrangement"])
    join(shibuya)
    await desk.hear(shibuya)
    assert reasons(await desk.recognition(shibuya, handle, setagaya)) == ("not-recognised", ["issuer-not-member"])
    await accept(desk, shibuya)
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "recognised"
    await accept(desk, setagaya, effective_until="2026-10-31")
    assert reasons(await desk.recognition(shibuya, handle, setagaya)) == ("not-recognised", ["receiver-not-member"])


async def test_what_a_member_had_certified_before_it_left_stays_recognised_where_the_arrangement_keeps_it(
    desk, shibuya, setagaya
):
    _, old = shibuya.issue(certified_on=date(2026, 9, 30))
    _, new = shibuya.issue(certified_on=date(2026, 10, 1))
    setagaya.declare(issuers=IssuerSet(network="national"), keeps_recognised=True)
    await charter(desk)
    for town in (shibuya, setagaya):
        join(town)
        await accept(desk, town)
    join(shibuya, j.NetworkLeft, date(2026, 10, 1))
    await desk.hear(shibuya, setagaya)
    assert reasons(await desk.recognition(shibuya, old, setagaya)) == ("recognised", ["kept-recognised"])
    assert reasons(await desk.recognition(shibuya, new, setagaya)) == ("not-recognised", ["issuer-not-member"])


async def test_the_vocabulary_has_words_in_both_languages_for_every_code_an_event_can_name(desk):
    answer = (await desk.get("/v1/vocabulary", "witness")).json()
    codes = {of: {word["code"] for word in words} for of, words in answer.items()}
    assert codes == {
        "kinds": set(get_args(Kind)),
        "patterns": set(get_args(Pattern)),
        "services": set(vocabulary.SERVICES),
        "conditions": set(vocabulary.CONDITIONS),
    }
    assert all(text and not text.isspace() for words in answer.values() for word in words for text in word.values())


async def test_local_services_and_conditions_are_declared_and_asked_for_by_their_codes(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code, services=("x-bicycle-parking",), conditions=("x-photo",))
    await desk.hear(shibuya, setagaya)
    answer = await desk.recognition(shibuya, handle, setagaya, service="x-bicycle-parking")
    assert (answer["decision"], answer["conditions"]) == ("recognised", ["x-photo"])
    assert (await desk.recognition(shibuya, handle, setagaya, service="bicycles"))["status"] == 400


async def test_a_receiver_not_heard_of_says_nothing_of_its_arrangements(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    assert "considered" not in await desk.recognition(shibuya, handle, Town("141003"))


async def test_an_arrangement_that_was_withdrawn_decides_nothing_before_that_is_projected(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    arrangement = setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "recognised"
    setagaya.withdraw(arrangement)
    await desk.federation.receiver.events(setagaya.messages(1))
    answer = await desk.recognition(shibuya, handle, setagaya)
    assert reasons(answer) == ("unknown", ["arrangement-unknown"])
    await desk.federation.projector.catch_up()
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "not-recognised"


async def test_an_issuer_that_left_a_network_is_no_member_before_that_is_projected(desk, members):
    shibuya, setagaya = members
    _, handle = shibuya.issue()
    await desk.hear(*members)
    size = shibuya.size
    join(shibuya, j.NetworkLeft, date(2026, 10, 1))
    await desk.federation.receiver.events(shibuya.messages(size))
    assert reasons(await desk.recognition(shibuya, handle, setagaya)) == ("unknown", ["arrangement-unknown"])
    await desk.federation.projector.catch_up()
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "not-recognised"

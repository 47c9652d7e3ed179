"""Recognition as it was known at a time: the replay of what was proven by then is the answer that was given then."""

import random
from datetime import date, timedelta

import msgspec
import pytest

from tests.federation.test_answers import admission
from tests.federation.test_recognition_answers import accept, charter, join
from tests.federation.towns import NOW, unknown_event
from tomoni import times
from tomoni.events import jurisdiction as j
from tomoni.events.types import IssuerSet

MINUTE = timedelta(minutes=1)


async def admitted(desk, *codes):
    towns = []
    for code in codes:
        town, request = await admission(code)
        assert (await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")).status_code == 201
        towns.append(town)
    return towns


def set_clock(desk, at):
    desk.now = desk.federation.now = at


async def hear(desk, *towns):
    await desk.hear(*towns, at=desk.now)


async def ask(desk, issuer, handle, receiver, *scopes, **fields):
    body = {
        "issuer": issuer.code,
        "handle": handle,
        "receiver": receiver.code,
        "service": "public-housing",
        "purpose": "emergency",
    }
    client = f"client {random.random()}"  # each has few lookups
    answer = await desk.post("/v1/recognition", body | fields, *(scopes or ("auditor",)), subject=client)
    return answer.json()


def without_freshness(answer):
    """Return what an answer says, but for how fresh it is, and what was asked."""
    gone = {"as_known_at", "receiver_fresh_as_of"}
    kept = {key: value for key, value in answer.items() if key not in gone}
    return kept | {"certificate": {key: value for key, value in kept["certificate"].items() if key != "fresh_as_of"}}


def act(town, other, chance):
    """Let a town say something, and return the handle of a document that it made."""
    certificates = [each for each in town.documents if each not in town.ended]
    match chance.choice(["issue", "revoke", "reissue", "declare", "network", "withdraw", "leave", "unknown"]):
        case "revoke" if certificates:
            town.revoke(gone := chance.choice(certificates), effective_on=date(2026, 10, chance.randint(1, 28)))
            town.ended.add(gone)
        case "reissue" if certificates:
            return town.reissue(chance.choice(certificates))
        case "declare":
            town.declared.append(
                town.declare(other.code, pattern=chance.choice("ABCDE"), precedence=chance.randint(0, 1))
            )
        case "network":
            issuers = IssuerSet(network="national")
            town.declared.append(town.declare(issuers=issuers, keeps_recognised=chance.random() < 0.5))
        case "withdraw" if town.declared:
            town.withdraw(town.declared.pop())
        case "leave" if town.member:
            join(town, j.NetworkLeft, date(2026, 11, 1))
            town.member = False
        case "unknown" if certificates and chance.random() < 0.5:
            town.append(unknown_event(town, f"certificate/{chance.choice(certificates)}"))
        case _:
            return town.issue(certified_on=date(2026, 10, chance.randint(1, 28)))[1]
    return None


@pytest.mark.parametrize("seed", range(3))
async def test_the_replay_of_any_history_is_the_answer_that_was_given_at_the_time(desk, seed):
    chance = random.Random(seed)
    set_clock(desk, NOW - timedelta(hours=2))
    towns = await admitted(desk, "131130", "131121")
    await charter(desk, conditions=[])
    for town in towns:
        town.ended, town.declared, town.member = set(), [], True
        join(town)
        await accept(desk, town)
    handles, given = [], []
    for _ in range(6):
        set_clock(desk, desk.now + MINUTE)
        for _ in range(4):
            town, other = chance.sample(towns, 2)
            if (handle := act(town, other, chance)) is not None:
                handles.append((town, handle, other))
        await hear(desk, *towns)
        for question in chance.sample(handles, min(4, len(handles))):
            on = {"on": str(date(2026, 11, chance.randint(1, 22)))}
            answer = await ask(desk, *question, **on)
            assert "decision" in answer, answer
            assert without_freshness(await ask(desk, *question, **on, as_known_at=desk.now.isoformat())) == (
                without_freshness(answer)
            )
            given.append((desk.now, question, on, answer))
        set_clock(desk, desk.now + MINUTE)
    for then, question, on, answer in given:
        again = await ask(desk, *question, **on, as_known_at=then.isoformat())
        assert without_freshness(again) == without_freshness(answer)
    assert len({answer["decision"] for *_, answer in given}) > 1


@pytest.fixture
async def pair(desk):
    """Shibuya, and Setagaya which recognises it; all known since two hours before now."""
    set_clock(desk, NOW - timedelta(hours=2))
    shibuya, setagaya = await admitted(desk, "131130", "131121")
    setagaya.declare(shibuya.code)
    return shibuya, setagaya


async def test_an_end_that_was_recorded_later_was_not_known_before_and_is_on_the_same_day_now(desk, pair):
    shibuya, setagaya = pair
    certificate, handle = shibuya.issue()
    await hear(desk, *pair)
    then = desk.now
    set_clock(desk, NOW)
    shibuya.revoke(certificate, effective_on=date(2026, 5, 1))
    await hear(desk, *pair)
    day = {"on": "2026-11-01"}
    assert (await ask(desk, shibuya, handle, setagaya, **day))["decision"] == "not-recognised"
    as_known = await ask(desk, shibuya, handle, setagaya, **day, as_known_at=then.isoformat())
    assert (as_known["decision"], as_known["as_known_at"]) == ("recognised", "2026-11-23T01:00:00Z")
    assert [one["position"] for one in as_known["entries"]] == [0, 0]
    before = await ask(desk, shibuya, handle, setagaya, as_known_at=(then - timedelta(days=1)).isoformat())
    assert before["certificate"]["reason"] == "issuer-not-admitted"


async def test_as_known_now_is_the_live_answer_with_its_freshness(desk, pair):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    set_clock(desk, desk.now + MINUTE)
    live = await ask(desk, shibuya, handle, setagaya)
    as_known = await ask(desk, shibuya, handle, setagaya, as_known_at=desk.now.isoformat())
    assert {key: value for key, value in as_known.items() if key != "as_known_at"} == live


async def test_of_a_time_whose_heartbeats_are_gone_the_first_of_its_size_says_how_fresh_it_was(desk, pair):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    proven = desk.now
    for _ in range(2):
        set_clock(desk, desk.now + 10 * MINUTE)
        await desk.federation.take(heartbeats=[town.heartbeat(desk.now) for town in pair])
    as_known = await ask(desk, shibuya, handle, setagaya, as_known_at=(desk.now - 5 * MINUTE).isoformat())
    assert as_known["receiver_fresh_as_of"] == times.format_time(proven).replace(".000000", "")
    assert as_known["certificate"]["status"] == "valid"


async def test_a_heartbeat_that_came_later_made_nothing_fresh_before_it_came(desk, pair):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    beat = shibuya.heartbeat(desk.now + timedelta(hours=29))
    set_clock(desk, desk.now + timedelta(hours=30))
    then = desk.now
    live = await ask(desk, shibuya, handle, setagaya, purpose="counter")
    set_clock(desk, then + MINUTE)
    await desk.federation.take(heartbeats=[beat])
    as_known = await ask(desk, shibuya, handle, setagaya, purpose="counter", as_known_at=then.isoformat())
    assert live["certificate"] == as_known["certificate"]
    assert live["certificate"]["reason"] == "stale"


async def test_what_was_proven_long_after_it_was_said_was_no_fresher_for_that(desk, pair):
    """The hub has kept what a node said before it was cut off; the node comes back, and is fresh again."""
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    shibuya.issue()
    beat = shibuya.heartbeat(desk.now + MINUTE)
    set_clock(desk, desk.now + timedelta(hours=30))
    await desk.federation.take(*shibuya.messages())
    await desk.federation.take(heartbeats=[beat])
    then = desk.now
    live = await ask(desk, shibuya, handle, setagaya, purpose="counter")
    set_clock(desk, then + MINUTE)
    await hear(desk, shibuya)
    as_known = await ask(desk, shibuya, handle, setagaya, purpose="counter", as_known_at=then.isoformat())
    assert live["certificate"] == as_known["certificate"]
    assert live["certificate"]["reason"] == "stale"


async def test_what_was_proven_without_ever_being_heard_is_never_fresh(desk, pair):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    await desk.federation.take(*shibuya.messages(), *setagaya.messages())
    as_known = await ask(desk, shibuya, handle, setagaya, as_known_at=desk.now.isoformat())
    assert as_known["certificate"]["reason"] == "never-proven"


async def test_what_is_proven_and_not_projected_yet_is_never_passed_over(desk, pair):
    shibuya, setagaya = pair
    certificate, handle = shibuya.issue()
    await hear(desk, *pair)
    shibuya.revoke(certificate)
    set_clock(desk, desk.now + MINUTE)
    await desk.federation.receiver.events(shibuya.messages())
    as_known = await ask(desk, shibuya, handle, setagaya, as_known_at=desk.now.isoformat())
    assert (as_known["decision"], as_known["certificate"]["reason"]) == ("unknown", "issuer-halted")
    await desk.federation.projector.catch_up()
    await desk.federation.pool.execute("SELECT projection.forget_beyond('131130', 0)")
    again = await ask(desk, shibuya, handle, setagaya, as_known_at=desk.now.isoformat())
    assert (again["decision"], again["certificate"]["reason"]) == ("unknown", "issuer-halted")
    await desk.federation.projector.catch_up()
    known = await ask(desk, shibuya, handle, setagaya, as_known_at=desk.now.isoformat())
    assert known["certificate"]["status"] == "not-valid"


async def test_of_a_history_that_was_taken_back_since_nothing_is_told_as_it_was(desk, pair):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    shibuya.issue()
    await hear(desk, shibuya)
    then = desk.now
    suspended = await desk.post("/v1/jurisdictions/131130/suspend", {"from_size": 1}, "secretariat")
    assert suspended.status_code == 200
    set_clock(desk, desk.now + MINUTE)
    as_known = await ask(desk, shibuya, handle, setagaya, as_known_at=then.isoformat())
    assert as_known["certificate"]["reason"] == "issuer-halted"


async def test_a_log_is_quarantined_from_when_it_was_caught_until_it_was_readmitted(desk, pair):
    shibuya, setagaya = pair
    set_clock(desk, times.now() - MINUTE)
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    before = desk.now
    set_clock(desk, before + MINUTE / 2)
    shibuya.append(b"no event")
    await hear(desk, shibuya)
    set_clock(desk, times.now() + MINUTE)
    live = await ask(desk, shibuya, handle, setagaya)
    assert live["certificate"]["reason"] == "issuer-quarantined"
    caught = await ask(desk, shibuya, handle, setagaya, as_known_at=desk.now.isoformat())
    assert caught["certificate"]["reason"] == "issuer-quarantined"
    then = await ask(desk, shibuya, handle, setagaya, as_known_at=before.isoformat())
    assert then["certificate"].get("reason") is None


async def test_a_time_to_come_is_refused(desk, pair):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    refused = await ask(desk, shibuya, handle, setagaya, as_known_at=(desk.now + MINUTE).isoformat())
    assert (refused["status"], refused["type"].rpartition("/")[2]) == (422, "time-to-come")
    assert (await ask(desk, shibuya, handle, setagaya, as_known_at="2026-11-23T00:00:00"))["status"] == 400


@pytest.mark.parametrize("first", ["0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"])
async def test_before_anything_was_known_nobody_was_admitted(desk, pair, first):
    shibuya, setagaya = pair
    _, handle = shibuya.issue()
    await hear(desk, *pair)
    as_known = await ask(desk, shibuya, handle, setagaya, as_known_at=first)
    assert as_known["certificate"]["reason"] == "issuer-not-admitted"


async def test_a_question_about_the_past_reads_the_entries_it_needs_and_no_whole_log(desk, pair):
    shibuya, setagaya = pair
    handles = [shibuya.issue()[1] for _ in range(30)]
    await hear(desk, *pair)
    await desk.federation.as_owner("SET tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE position = 20")
    for handle, reason in ((handles[5], None), (handles[20], "issuer-halted")):
        as_known = await ask(desk, shibuya, handle, setagaya, as_known_at=desk.now.isoformat())
        assert as_known["certificate"].get("reason") == reason

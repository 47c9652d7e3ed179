"""The answers over HTTP: who may ask what, and what an answer holds."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
import structlog

from tests.federation.towns import FEDERATION, NOW, Town, unknown_event
from tomoni import nkey
from tomoni.admission import sign_admission
from tomoni.documents import new_handle, print_handle
from tomoni.eventlog import EventReader
from tomoni.events import decode_event
from tomoni.events import federation as f


async def test_a_life_from_oath_to_replacement_and_end(desk, shibuya):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    assert await desk.status(shibuya, print_handle(handle)) == {
        "status": "valid",
        "fresh_as_of": "2026-11-23T03:00:00Z",
    }
    new = shibuya.reissue(certificate)
    await desk.hear(shibuya)
    assert (await desk.status(shibuya, handle))["status"] == "replaced"
    assert (await desk.status(shibuya, new.lower()))["status"] == "valid"
    shibuya.revoke(certificate)
    await desk.hear(shibuya)
    assert (await desk.status(shibuya, new))["status"] == "not-valid"
    assert (await desk.status(shibuya, new_handle()))["status"] == "not-found"


async def test_an_answer_grows_unknown_with_age_by_purpose(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya, at=NOW - timedelta(days=2))
    assert (await desk.status(shibuya, handle, purpose="emergency"))["status"] == "valid"
    stale = await desk.status(shibuya, handle)
    assert (stale["status"], stale["reason"], stale["last_proven"]) == ("unknown", "stale", "valid")
    assert (await desk.status(shibuya, handle, purpose="tour"))["status"] == "unknown"
    assert (await desk.status(shibuya, new_handle()))["status"] == "unknown"


async def test_without_a_heartbeat_nothing_is_known(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.federation.take(*shibuya.messages())
    assert (await desk.status(shibuya, handle))["reason"] == "never-proven"


async def test_a_heartbeat_counts_from_when_its_entries_are_proven_and_projected(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.federation.take(heartbeats=[shibuya.heartbeat()])
    assert (await desk.status(shibuya, handle))["reason"] == "never-proven"
    await desk.federation.receiver.events(shibuya.messages())
    assert (await desk.status(shibuya, handle))["reason"] == "never-proven"
    await desk.federation.projector.catch_up()
    assert (await desk.status(shibuya, handle))["status"] == "valid"


async def test_a_heartbeat_of_a_size_passed_on_the_way_counts_too(desk, shibuya):
    shibuya.issue()
    early = shibuya.heartbeat(NOW - timedelta(minutes=1))
    _, handle = shibuya.issue()
    await desk.federation.take(heartbeats=[early])
    await desk.federation.take(*shibuya.messages())
    assert (await desk.status(shibuya, handle))["fresh_as_of"] == "2026-11-23T02:59:00Z"


@pytest.mark.parametrize(("ahead", "fresh"), [(299, "2026-11-23T03:00:00Z"), (301, None)])
async def test_a_heartbeat_from_the_future_counts_as_now_or_not_at_all(desk, shibuya, ahead, fresh):
    _, handle = shibuya.issue()
    await desk.hear(shibuya, at=NOW + timedelta(seconds=ahead))
    assert (await desk.status(shibuya, handle))["fresh_as_of"] == fresh


async def test_an_old_heartbeat_does_not_make_the_answer_older(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    await desk.hear(shibuya, at=NOW - timedelta(hours=1))
    assert (await desk.status(shibuya, handle))["fresh_as_of"] == "2026-11-23T03:00:00Z"
    assert await desk.federation.pool.fetchval("SELECT count(*) FROM mirror.heartbeat") == 1


async def test_a_stopped_log_is_unknown_at_once_and_its_neighbours_are_not(desk, shibuya, setagaya):
    certificate, handle = shibuya.issue()
    _, other = setagaya.issue()
    shibuya.revoke(certificate)
    shibuya.revoke(certificate)
    await desk.hear(shibuya, setagaya)
    assert (await desk.status(shibuya, handle))["reason"] == "issuer-halted"
    assert (await desk.status(setagaya, other))["status"] == "valid"


async def test_a_log_with_a_gap_in_the_mirror_is_unknown_and_comes_back_by_being_taken_back_before_it(desk, setagaya):
    """The rows are lost for good: the town holds a receipt for more than is left, and sends the rest again."""
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    handles = [town.issue()[1] for _ in range(3)]
    _, other = setagaya.issue()
    await desk.federation.receiver.events([*town.messages(0, 1), *setagaya.messages()])
    await desk.federation.receiver.events(town.messages(1))
    await desk.federation.as_owner("SET tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE position = 1")
    await desk.federation.take(heartbeats=[town.heartbeat(), setagaya.heartbeat()])
    assert [(await desk.status(town, handle)).get("reason") for handle in handles] == ["issuer-halted"] * 3
    assert (await desk.status(setagaya, other))["status"] == "valid"
    assert (await desk.post("/v1/jurisdictions/282022/suspend", {"from_size": 1}, "secretariat")).status_code == 200
    body = {"request": msgspec.to_builtins(request)}
    assert (await desk.post("/v1/jurisdictions/282022/readmit", body, "secretariat")).status_code == 200
    await desk.federation.take(*town.messages(1))
    await desk.federation.take(heartbeats=[town.heartbeat()])
    assert [(await desk.status(town, handle))["status"] for handle in handles] == ["valid"] * 3


async def test_only_the_issuer_and_auditors_see_how_and_when_it_ended(desk, shibuya):
    certificate, handle = shibuya.issue()
    shibuya.revoke(certificate, effect="void", effective_on=date(2026, 4, 1))
    await desk.hear(shibuya)
    for scopes, bound in ((("auditor",), {}), (("clerk",), {"jurisdiction": "131130"})):
        details = (await desk.status(shibuya, handle, *scopes, **bound))["details"]
        assert (details["effect"], details["effective_on"]) == ("void", "2026-04-01")
    for scopes, bound in ((("verifier",), {}), (("clerk",), {"jurisdiction": "131121"}), (("supervisor",), {})):
        assert "details" not in await desk.status(shibuya, handle, *scopes, **bound)


async def test_recognition_across_towns_with_its_reasons(desk, shibuya, setagaya):
    certificate, handle = shibuya.issue()
    arrangement = setagaya.declare(shibuya.code, conditions=("identity-document",))
    await desk.hear(shibuya, setagaya)
    answer = await desk.recognition(shibuya, handle, setagaya)
    assert (answer["decision"], answer["pattern"], answer["arrangement"]) == ("recognised", "E", arrangement)
    assert answer["conditions"] == ["identity-document"]
    assert [reason["code"] for reason in answer["reasons"]] == ["arrangement-applies"]
    assert "entries" not in answer
    entries = (await desk.recognition(shibuya, handle, setagaya, "auditor"))["entries"]
    assert entries == [{"log": "131130", "position": 0}, {"log": "131121", "position": 0}]
    assert (await desk.recognition(shibuya, handle, setagaya, service="nursery"))["decision"] == "not-recognised"
    assert (await desk.recognition(shibuya, handle, shibuya))["decision"] == "recognised"
    shibuya.revoke(certificate)
    await desk.hear(shibuya)
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "not-recognised"
    before = await desk.recognition(shibuya, handle, setagaya, on="2026-04-20")
    assert before["decision"] == "recognised"


async def test_a_contract_that_begins_in_spring_is_answered_by_what_is_known_now_and_no_further_than_a_year(
    desk, shibuya, setagaya
):
    _, handle = shibuya.issue()
    _, moving = shibuya.issue(conditional_until=date(2026, 12, 31))
    setagaya.declare(shibuya.code, effective_until=date(2027, 3, 31))
    await desk.hear(shibuya, setagaya)

    async def asked(handle, on):
        answer = await desk.recognition(shibuya, handle, setagaya, on=on)
        return answer["decision"], [reason["code"] for reason in answer["reasons"]]

    assert await asked(handle, "2026-11-23") == ("recognised", ["arrangement-applies"])
    assert await asked(handle, "2026-11-24") == ("recognised", ["arrangement-applies", "day-to-come"])
    assert await asked(handle, "2027-04-01") == ("not-recognised", ["date-not-covered", "day-to-come"])
    conditional = ["arrangement-applies", "certificate-conditional", "day-to-come"]
    assert await asked(moving, "2026-12-31") == ("recognised", conditional)
    assert await asked(moving, "2027-01-01") == ("unknown", ["status-unknown"])
    answer = await desk.recognition(shibuya, moving, setagaya, on="2027-01-01")
    assert answer["certificate"]["reason"] == "conditional-lapse-ahead"
    assert answer["certificate"]["fresh_as_of"] == "2026-11-23T03:00:00Z"
    assert (await desk.recognition(shibuya, handle, setagaya, on="2027-11-24"))["decision"] == "not-recognised"
    for on in ("2027-11-25", "9999-12-31"):
        refused = await desk.recognition(shibuya, handle, setagaya, on=on)
        assert (refused["status"], refused["type"].rpartition("/")[2]) == (422, "day-too-far-ahead")
        assert "2027-11-24" in refused["detail"]


async def test_a_day_is_to_come_or_not_by_the_clock_in_japan(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    for now, to_come in (
        (datetime(2026, 11, 23, 14, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 23, 15, tzinfo=UTC), False),
    ):
        desk.now = now
        answer = await desk.recognition(shibuya, handle, shibuya, on="2026-11-24")
        assert ("day-to-come" in [reason["code"] for reason in answer["reasons"]]) == to_come


async def test_recognition_is_unknown_where_the_receiver_is_not_heard_of(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya)
    await desk.federation.take(*setagaya.messages())
    answer = await desk.recognition(shibuya, handle, setagaya)
    assert (answer["decision"], answer["reasons"][0]["code"]) == ("unknown", "receiver-unknown")
    nowhere = await desk.recognition(shibuya, handle, Town("141003"))
    assert nowhere["decision"] == "unknown"


async def test_a_network_needs_both_towns_words_and_the_federations(desk, shibuya, setagaya):
    from tomoni.events import jurisdiction as j  # noqa: PLC0415
    from tomoni.events.types import IssuerSet  # noqa: PLC0415

    _, handle = shibuya.issue()
    setagaya.declare(issuers=IssuerSet(network="national"))
    for town in (shibuya, setagaya):
        joined = {"effective_on": date(2026, 4, 1)}
        town.append(town.event(j.NetworkJoined, j.NetworkMembershipData, "network/national", **joined))
    await desk.hear(shibuya, setagaya)
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "not-recognised"
    charter = {
        "network": "national",
        "name": "パートナーシップ制度自治体間連携ネットワーク",
        "pattern": "E",
        "kinds": ["partnership"],
        "services": ["public-housing"],
        "effective_on": "2026-04-01",
    }
    assert (await desk.post("/v1/networks", charter, "secretariat")).status_code == 200
    for town in (shibuya, setagaya):
        member = {"member": town.code, "effective_on": "2026-04-01"}
        answer = await desk.post("/v1/networks/national/members", member, "secretariat")
        assert answer.status_code == 200
    assert answer.json()["members"] == ["131121", "131130"]
    assert (await desk.recognition(shibuya, handle, setagaya))["decision"] == "recognised"
    shibuya.append(unknown_event(shibuya, "network/national"))  # it may have left
    await desk.hear(shibuya)
    answer = await desk.recognition(shibuya, handle, setagaya)
    assert (answer["decision"], answer["reasons"][0]["code"]) == ("unknown", "arrangement-unknown")


async def test_arrangements_are_listed_in_pages(desk, setagaya):
    ids = sorted(setagaya.declare("131130") for _ in range(5))
    setagaya.withdraw(ids[0])
    await desk.hear(setagaya)
    page = (await desk.get("/v1/arrangements?receiver=131121&limit=3", "verifier")).json()
    rest = (await desk.get(f"/v1/arrangements?receiver=131121&limit=3&after={page['after']}", "verifier")).json()
    assert [one["id"] for one in page["arrangements"] + rest["arrangements"]] == ids
    assert (page["arrangements"][0]["until"], "after" in rest) == ("2026-09-30", False)
    assert "position" not in page["arrangements"][0]


async def test_many_documents_are_asked_about_at_once(desk, shibuya, setagaya):
    handles = [(town, town.issue()[1]) for town in (shibuya, setagaya) for _ in range(3)]
    await desk.hear(shibuya, setagaya)
    documents = [{"issuer": town.code, "handle": handle} for town, handle in handles]
    documents.insert(2, {"issuer": "131130", "handle": new_handle()})
    answer = await desk.post("/v1/status/batch", {"purpose": "counter", "documents": documents}, "verifier")
    assert [one["status"] for one in answer.json()["answers"]] == ["valid"] * 2 + ["not-found"] + ["valid"] * 4


async def test_an_aggregator_asks_about_its_own_prefecture_only(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    assert (await desk.status(shibuya, handle, "aggregator", prefecture="13"))["status"] == "valid"
    body = {"issuer": "141003", "handle": handle, "purpose": "counter"}
    for bound in ({"prefecture": "13"}, {}):
        assert (await desk.post("/v1/status", body, "aggregator", **bound)).status_code == 403
    documents = [{"issuer": issuer, "handle": handle} for issuer in ("131130", "141003")]
    many = {"purpose": "counter", "documents": documents}
    answers = (await desk.post("/v1/status/batch", many, "aggregator", prefecture="13")).json()["answers"]
    assert [one["status"] for one in answers] == ["valid", 403]
    assert (await desk.post("/v1/status/batch", many, "aggregator")).status_code == 403


ASKING = {"verifier", "clerk", "supervisor", "aggregator", "auditor"}
STATUS = {"issuer": "131130", "handle": "0" * 18, "purpose": "counter"}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (STATUS | {"handle": "SECRETHANDLE"}, 422, "handle-malformed"),
        (STATUS | {"handle": "SECRETHANDLESECRET"}, 422, "handle-malformed"),
        (STATUS | {"issuer": "131131"}, 422, "jurisdiction-not-found"),
        (STATUS | {"issuer": "141046"}, 422, "jurisdiction-not-found"),
        (STATUS | {"purpose": "SECRET"}, 422, "purpose-unknown"),
        (STATUS | {"extra": "SECRET"}, 400, "malformed"),
        (STATUS | {"handle": 5}, 400, "malformed"),
        ({"issuer": "131130"}, 400, "malformed"),
        ([], 400, "malformed"),
    ],
)
async def test_bad_questions_get_a_problem_that_repeats_nothing(desk, body, status, kind):
    answer = await desk.post("/v1/status", body)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, kind)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "SECRET" not in answer.text


async def test_lookups_are_limited_for_each_client_and_the_answer_says_when_to_come_back(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    body = {"issuer": shibuya.code, "handle": handle, "purpose": "counter"}
    answered = 0
    while (refused := await desk.post("/v1/status", body)).status_code == 200 and answered < 600:
        answered += 1  # a slow machine gets a lookup back every second meanwhile
    assert answered >= 60
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (429, "too-many-requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await desk.post("/v1/status", body, subject="another")).status_code == 200
    documents = {"purpose": "counter", "documents": [{"issuer": shibuya.code, "handle": handle}] * 61}
    assert (await desk.post("/v1/status/batch", documents, subject="third")).status_code == 429


async def test_ready_tests_a_write_and_a_proof(desk, shibuya):
    shibuya.issue()
    await desk.hear(shibuya)
    assert (await desk.client.get("/health/ready")).status_code == 200
    await desk.federation.as_owner("ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay")
    await desk.federation.as_owner("UPDATE mirror.entry SET data = 'changed'")
    refused = await desk.client.get("/health/ready")
    assert (refused.status_code, "proof" in refused.text) == (503, True)


async def test_one_log_that_does_not_prove_is_an_alarm_and_the_others_are_served(desk, shibuya, setagaya):
    shibuya.issue()
    setagaya.issue()
    await desk.hear(shibuya, setagaya)
    await desk.federation.as_owner("ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay")
    await desk.federation.as_owner("UPDATE mirror.entry SET data = 'changed' WHERE log = '131130'")
    with structlog.testing.capture_logs() as lines:
        assert (await desk.client.get("/health/ready")).status_code == 200
    assert [line["code"] for line in lines if line["event"] == "log_does_not_prove"] == ["131130"]


async def admission(code, **keys):
    town = Town(code)
    seed = nkey.generate_seed()
    return town, sign_admission(FEDERATION, code, town.log_key, town.heartbeat_key, seed)


async def own_log(desk):
    return [decode_event(entry.data) for entry in await EventReader(desk.federation.pool).read(0)]


async def test_an_admission_is_proven_recorded_and_idempotent(desk):
    town, request = await admission("282022")
    body = msgspec.to_builtins(request)
    for _ in range(2):
        answer = await desk.post("/v1/admissions", body, "secretariat")
        assert (answer.status_code, answer.json()["name"], answer.json()["state"]) == (201, "尼崎市", "open")
    (event,) = await own_log(desk)
    assert isinstance(event, f.JurisdictionAdmitted)
    assert (event.subject, event.data.log_key) == ("jurisdiction/282022", town.log_key.vkey)
    _, handle = town.issue()
    await desk.hear(town)
    assert (await desk.status(town, handle))["status"] == "valid"
    listed = (await desk.get("/v1/jurisdictions", "auditor")).json()["jurisdictions"]
    assert [(one["code"], one["log_key"]) for one in listed] == [("282022", town.log_key.vkey)]
    _, other = await admission("282022")
    refused = await desk.post("/v1/admissions", msgspec.to_builtins(other), "secretariat")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "admitted-with-other-keys")


@pytest.mark.parametrize("code", ["131131", "141046", "999999"])
async def test_a_code_that_is_nobodys_is_not_admitted(desk, code):
    _, request = await admission(code)
    refused = await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (422, "jurisdiction-not-found")


async def test_keys_without_proof_of_possession_are_not_admitted(desk):
    _, request = await admission("282022")
    _, other = await admission("282022")
    stolen = msgspec.to_builtins(request) | {"log_key": other.log_key}
    refused = await desk.post("/v1/admissions", stolen, "secretariat")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (422, "admission-not-proven")
    assert await own_log(desk) == []


async def test_a_suspended_log_stands_still_and_goes_on_with_new_keys_from_a_proven_size(desk):
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    _, honest = town.issue()
    town.issue()
    await desk.hear(town)
    _, forged = town.issue()  # by a thief of the log key
    await desk.hear(town)
    assert (await desk.status(town, forged))["status"] == "valid"
    answer = await desk.post("/v1/jurisdictions/282022/suspend", {"from_size": 2}, "secretariat")
    assert (answer.status_code, answer.json()["state"]) == (200, "suspended")
    await desk.hear(town)
    await desk.federation.projector.catch_up()
    assert len(await desk.federation.mirrored(town)) == 2
    assert await desk.federation.pool.fetchval("SELECT count(*) FROM mirror.disowned") == 1
    assert await desk.federation.pool.fetchval("SELECT count(*) FROM projection.certificate") == 2
    assert (await desk.status(town, forged))["status"] in {"not-found", "unknown"}
    renewed, request = await admission("282022")
    renewed.entries, renewed.versions = town.entries[:2], town.versions
    too_far = {"request": msgspec.to_builtins(request), "from_size": 3}
    refused = await desk.post("/v1/jurisdictions/282022/readmit", too_far, "secretariat")
    assert refused.json()["type"].rpartition("/")[2] == "size-not-proven"
    body = {"request": msgspec.to_builtins(request)}
    for _ in range(2):
        answer = await desk.post("/v1/jurisdictions/282022/readmit", body, "secretariat")
        assert (answer.status_code, answer.json()["state"]) == (200, "open")
    _, new = renewed.issue()
    await desk.hear(town)  # the thief goes on with the old key
    await desk.hear(renewed)
    assert await desk.federation.mirrored(town) == renewed.entries
    assert [(await desk.status(renewed, handle))["status"] for handle in (honest, new, forged)] == [
        "valid",
        "valid",
        "not-found",
    ]
    assert await desk.federation.state(town) == "open"
    kinds = [type(event).__name__ for event in await own_log(desk)]
    assert kinds == ["JurisdictionAdmitted", "JurisdictionSuspended", "JurisdictionReadmitted"]


async def test_a_contradiction_is_recorded_in_the_federations_log_and_readmission_is_the_way_back(desk):
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    _, handle = town.issue()
    town.issue()
    await desk.hear(town)
    fork = Town(town.code, log_key=town.log_key, heartbeat_key=town.heartbeat_key)
    fork.issue()
    fork.issue()
    await desk.federation.take(fork.checkpoint_message())
    assert (await desk.status(town, handle))["reason"] == "issuer-quarantined"
    assert await desk.office.record_evidence() == 1
    assert await desk.office.record_evidence() == 0
    quarantined = (await own_log(desk))[-1]
    assert isinstance(quarantined, f.JurisdictionQuarantined)
    assert quarantined.data.evidence == await desk.federation.pool.fetchval("SELECT hash FROM mirror.evidence")
    renewed, request = await admission("282022")
    body = {"request": msgspec.to_builtins(request)}
    assert (await desk.post("/v1/jurisdictions/282022/readmit", body, "secretariat")).status_code == 200
    renewed.entries = town.entries
    await desk.hear(renewed)
    assert (await desk.status(renewed, handle))["status"] == "valid"


async def quarantined_for_an_illegal_entry(desk):
    """Return a town with receipts at 1, 2 and 6, whose entry at position 4 is no event."""
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    town.issue()
    await desk.hear(town)
    handle = town.issue()[1]
    await desk.hear(town)
    town.issue()
    town.issue()
    town.append(b"no event")
    town.issue()
    await desk.hear(town)
    assert await desk.office.record_evidence() == 1
    return town, handle


async def readmitted(desk, request, **fields):
    body = {"request": msgspec.to_builtins(request)} | fields
    return await desk.post("/v1/jurisdictions/282022/readmit", body, "secretariat")


async def test_the_same_contradiction_after_a_readmission_is_recorded_again(desk):
    town, _ = await quarantined_for_an_illegal_entry(desk)
    _, request = await admission("282022")  # with the illegal entry left in the history
    assert (await readmitted(desk, request, from_size=6)).status_code == 200
    await desk.federation.projector.catch_up()
    assert await desk.federation.state(town) == "quarantined"
    assert await desk.office.record_evidence() == 1
    assert isinstance((await own_log(desk))[-1], f.JurisdictionQuarantined)


async def test_readmitting_over_an_illegal_entry_is_refused_with_the_size_to_name_and_goes_on_from_it(desk):
    town, handle = await quarantined_for_an_illegal_entry(desk)
    renewed, request = await admission("282022")
    refused = await readmitted(desk, request)
    problem = refused.json()
    assert (refused.status_code, problem["type"].rpartition("/")[2]) == (409, "illegal-entry-stands")
    assert problem["fields"] == {"position": 4, "from_size": 2}
    assert "from_size 2" in problem["detail"]
    assert await desk.federation.state(town) == "quarantined"
    assert (await readmitted(desk, request, from_size=problem["fields"]["from_size"])).status_code == 200
    renewed.entries = town.entries[:2]
    for _ in range(3):
        new = renewed.issue()[1]  # the third in the place of what was no event
    await desk.hear(renewed)
    assert await desk.federation.mirrored(town) == renewed.entries
    assert [(await desk.status(renewed, each))["status"] for each in (handle, new)] == ["valid"] * 2
    assert (await readmitted(desk, request)).status_code == 200  # sent again it changes nothing


async def test_an_illegal_entry_that_the_town_wrote_over_stands_in_nobodys_way(desk):
    town, _ = await quarantined_for_an_illegal_entry(desk)
    renewed, request = await admission("282022")
    assert (await readmitted(desk, request, from_size=2)).status_code == 200
    renewed.entries = town.entries[:2]
    for _ in range(3):
        renewed.issue()
    await desk.hear(renewed)
    fork = Town(town.code, log_key=renewed.log_key, heartbeat_key=renewed.heartbeat_key, entries=renewed.entries[:4])
    fork.issue()
    await desk.federation.take(fork.checkpoint_message())
    assert await desk.office.record_evidence() == 1
    _, request = await admission("282022")
    assert (await readmitted(desk, request)).status_code == 200


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1, 409), (2, 409), (3, 200), (6, 409)])
async def test_a_history_is_taken_back_to_a_size_with_a_receipt_only(desk, size, status):
    """Without a checkpoint nothing would prove what is left; without a receipt its node could not go on from there."""
    town, request = await admission("282022")
    await desk.post("/v1/admissions", msgspec.to_builtins(request), "secretariat")
    for _ in range(5):
        town.issue()
    await desk.federation.take(*town.messages(0, 1), *town.messages(1, 3))
    await desk.federation.take(*town.messages(3))
    answer = await desk.post("/v1/jurisdictions/282022/suspend", {"from_size": size}, "secretariat")
    assert answer.status_code == status
    assert (await desk.get("/health/ready")).status_code == 200


async def test_commands_about_nobody_are_refused(desk, shibuya):
    assert (await desk.post("/v1/jurisdictions/271004/suspend", {}, "secretariat")).status_code == 404
    _, request = await admission("271004")
    body = {"request": msgspec.to_builtins(request)}
    assert (await desk.post("/v1/jurisdictions/271004/readmit", body, "secretariat")).status_code == 404
    assert (await desk.post("/v1/jurisdictions/282022/readmit", body, "secretariat")).status_code == 400
    member = {"member": "131130", "effective_on": "2026-04-01"}
    for name in ("nobody", "No Slug"):
        assert (await desk.post(f"/v1/networks/{name}/members", member, "secretariat")).status_code == 404


async def test_what_is_proven_and_not_projected_yet_is_never_shown_as_valid(desk, shibuya):
    certificate, handle = shibuya.issue()
    _, other = shibuya.issue()
    await desk.hear(shibuya)
    end = shibuya.size
    shibuya.revoke(certificate)
    await desk.federation.receiver.events(shibuya.messages(end))
    answer = await desk.status(shibuya, handle)
    assert (answer["status"], answer["reason"]) == ("unknown", "being-read")
    assert (await desk.recognition(shibuya, handle, shibuya))["decision"] == "unknown"
    assert (await desk.status(shibuya, new_handle()))["reason"] == "being-read"
    assert (await desk.status(shibuya, other))["status"] == "valid"
    await desk.federation.projector.catch_up()
    assert (await desk.status(shibuya, handle))["status"] == "not-valid"
    assert (await desk.status(shibuya, new_handle()))["status"] == "not-found"


@pytest.mark.parametrize("waiting", [b"no event", 1001])
async def test_what_waits_and_cannot_be_told_apart_is_about_every_document(desk, shibuya, waiting):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    size = shibuya.size
    if waiting == b"no event":
        shibuya.append(waiting)
    else:
        other, _ = shibuya.issue()
        for _ in range(waiting // 2):
            shibuya.revoke(other)
            shibuya.reinstate(other)
    await desk.federation.receiver.events(shibuya.messages(size))
    assert (await desk.status(shibuya, handle))["reason"] == "being-read"


@pytest.mark.parametrize("damage", ["DELETE FROM mirror.entry", "UPDATE mirror.entry SET data = sha256(data)"])
async def test_an_end_that_is_proven_and_lost_before_it_was_projected_is_not_shown_as_valid(desk, shibuya, damage):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    end = shibuya.size
    shibuya.revoke(certificate)
    await desk.federation.receiver.events(shibuya.messages(end))
    await desk.federation.as_owner(
        f"ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay; {damage} WHERE position = {end}"
    )
    answer = await desk.status(shibuya, handle)
    assert (answer["status"], answer["reason"]) == ("unknown", "being-read")

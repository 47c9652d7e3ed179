"""The life of certificates, the scheme, arrangements and networks over HTTP, on a real PostgreSQL."""

from datetime import UTC, datetime

import msgspec

from tests.registry.conftest import issue_body
from tomoni.documents import document_hash
from tomoni.events import decode_event
from tomoni.events.jurisdiction import CertificateIssued, SchemeOpened


async def test_what_is_issued_stands_in_the_log_and_names_its_document_by_hash_alone(node):
    await node.open_scheme()
    issued = await node.issue()
    opened, event = (decode_event(entry) for entry in await node.entries())
    assert isinstance(opened, SchemeOpened)
    assert isinstance(event, CertificateIssued)
    assert event.source == "tomoni.example/131130"
    assert event.subject == f"certificate/{issued['certificate']}"
    assert event.data.document == document_hash("131130", issued["handle"]) == issued["document"]
    assert event.time == "2026-11-23T03:00:00.000000Z"


async def test_a_certificate_through_its_whole_life(node):
    await node.open_scheme()
    issued = await node.issue()
    path = f"/v1/certificates/{issued['certificate']}"

    reissued = await node.post(f"{path}/reissue", {"reissued_on": "2026-11-01", "reason": "lost", "version": 1})
    assert reissued.status_code == 200
    assert reissued.json()["handle"] != issued["handle"]
    ended = {"effect": "ended", "reason": "dissolution", "effective_on": "2026-11-02", "version": 2}
    assert (await node.post(f"{path}/revoke", ended)).json()["standing"] == "ended"
    back = await node.post(
        f"{path}/reinstate", {"reinstated_on": "2026-11-03", "reason": "mixed up", "version": 3}, "supervisor"
    )
    assert back.json()["standing"] == "valid"
    corrected = await node.post(f"{path}/correct", {"certified_on": "2026-09-30", "reason": "slip", "version": 4})
    assert corrected.json()["certified_on"] == "2026-09-30"
    void = await node.post(f"{path}/revoke", {"effect": "void", "reason": "clerical-error"}, "supervisor")
    assert void.json()["standing"] == "void"
    assert void.json()["effective_on"] == "2026-09-30"

    read = await node.get(path)
    assert read.json() == void.json()
    history = (await node.get(f"{path}/history")).json()["events"]
    assert [event["type"].split(".")[3] for event in history] == [
        "issued",
        "reissued",
        "revoked",
        "reinstated",
        "corrected",
        "revoked",
    ]
    assert [event["data"]["version"] for event in history] == [1, 2, 3, 4, 5, 6]


async def test_a_movers_certificate_is_confirmed_or_lapses(node):
    await node.restart_with_rules(
        ('other = ["resident"]', 'other = ["resident", "moving-in"]'),
        ("[[link]]", 'mover_term = { unit = "days", count = 14 }\n\n[[link]]'),
    )
    term = {"unit": "days", "count": 14}
    kinds = [{"kind": "partnership", "conditional_term": term}]
    opened = await node.post("/v1/scheme/open", {"opens_on": "2026-01-01", "kinds": kinds}, "supervisor")
    assert opened.json()["periods"][0]["kinds"] == kinds
    application = issue_body()["application"]
    application["partners"][1] |= {"residence": "moving-in", "moves_in_on": "2026-11-25"}
    last_day = await node.post("/v1/certificates", issue_body(application=application, certified_on="9999-12-31"))
    assert last_day.json()["type"].endswith("/day-in-future")
    issued = [
        await node.issue(application=application, certified_on="2026-11-20"),
        await node.issue(application=application, certified_on="2026-11-20"),
    ]
    assert {one["conditional_until"] for one in issued} == {"2026-12-04"}
    assert {one["standing"] for one in issued} == {"conditional"}

    node.now[0] = datetime(2026, 12, 4, 14, 59, tzinfo=UTC)
    confirm = {"confirmed_on": "2026-12-04"}
    confirmed = await node.post(f"/v1/certificates/{issued[0]['certificate']}/confirm", confirm)
    assert confirmed.json()["standing"] == "valid"
    node.now[0] = datetime(2026, 12, 4, 15, 0, tzinfo=UTC)
    assert (await node.get(f"/v1/certificates/{issued[1]['certificate']}")).json()["standing"] == "lapsed"
    late = await node.post(f"/v1/certificates/{issued[1]['certificate']}/confirm", {"confirmed_on": "2026-12-05"})
    assert late.status_code == 409
    assert late.json()["type"].endswith("/certificate-lapsed")


async def test_a_scheme_is_amended_and_closed(node):
    await node.open_scheme()
    kinds = [{"kind": "familyship"}, {"kind": "partnership"}]
    amend = {"effective_on": "2026-12-01", "kinds": kinds, "name": "more", "version": 1}
    assert (await node.post("/v1/scheme/amend", amend, "supervisor")).status_code == 200
    closed = await node.post("/v1/scheme/close", {"closes_on": "2027-04-01", "version": 2}, "supervisor")
    assert closed.json() == (await node.get("/v1/scheme")).json()
    assert [(one["starts_on"], one["ends_before"]) for one in closed.json()["periods"]] == [
        ("2015-11-05", "2026-12-01"),
        ("2026-12-01", "2027-04-01"),
    ]


async def test_arrangements_are_declared_listed_and_withdrawn(node):
    body = {
        "pattern": "E",
        "issuers": {"codes": ["131121"]},
        "kinds": ["partnership"],
        "services": ["welfare", "public-housing"],
        "effective_from": "2026-04-01",
        "effective_until": "2030-03-31",
    }
    declared = await node.post("/v1/arrangements", body)
    assert declared.status_code == 201
    arrangement = declared.json()["arrangement"]
    assert declared.json()["terms"]["services"] == ["public-housing", "welfare"]
    withdrawn = await node.post(f"/v1/arrangements/{arrangement}/withdraw", {"effective_on": "2027-01-01"})
    assert withdrawn.json()["withdrawn_on"] == "2027-01-01"
    assert (await node.get("/v1/arrangements")).json() == {"arrangements": [withdrawn.json()]}


async def test_a_town_joins_and_leaves_a_network(node):
    joined = await node.post("/v1/networks/national/join", {"effective_on": "2026-12-01", "version": 0})
    assert joined.json() == {"network": "national", "version": 1, "member": True, "since": "2026-12-01"}
    left = await node.post("/v1/networks/national/leave", {"effective_on": "2027-12-01"})
    assert left.json()["member"] is False


async def test_the_vault_gives_back_names_byte_for_byte_and_records_who_read_them(node):
    await node.open_scheme()
    variants = "髙\U000e0100橋 葛\U000e0101城 \u3000𠮷"
    application = issue_body()["application"]
    application["partners"][0]["name"] = variants
    issued = await node.issue(application=application)
    path = f"/v1/certificates/{issued['certificate']}"
    ended = {"effect": "ended", "reason": "death", "effective_on": "2026-11-02", "note": "told by the survivor"}
    await node.post(f"{path}/revoke", ended, subject="clerk-2")

    held = (await node.get(f"{path}/vault", "supervisor", subject="chief")).json()
    assert held["application"]["partners"][0]["name"] == variants
    assert [one["handle"] for one in held["documents"]] == [issued["handle"].replace("-", "")]
    assert [(one["reason"], one["note"]) for one in held["reasons"]] == [("death", "told by the survivor")]
    assert [(one["who"], one["what"]) for one in held["access"]] == [
        ("clerk-1", "certificate.issue"),
        ("clerk-2", "certificate.revoke"),
        ("chief", "certificate.read-vault"),
    ]
    assert (await node.get(f"{path}/vault", "clerk")).status_code == 403


async def test_what_was_destroyed_is_gone_and_the_status_stays(node):
    await node.open_scheme()
    issued = await node.issue()
    await node.sql("DELETE FROM vault.data_key WHERE subject = $1", f"certificate/{issued['certificate']}")
    gone = await node.get(f"/v1/certificates/{issued['certificate']}/vault", "supervisor")
    assert gone.status_code == 410
    assert (await node.get(f"/v1/certificates/{issued['certificate']}")).json()["standing"] == "valid"
    ended = {"effect": "ended", "reason": "death", "effective_on": "2026-11-02"}
    assert (await node.post(f"/v1/certificates/{issued['certificate']}/revoke", ended)).status_code == 200
    held = (await node.get(f"/v1/certificates/{issued['certificate']}/vault", "supervisor")).json()
    assert held["application"] is None
    assert [one["reason"] for one in held["reasons"]] == ["death"]


async def test_the_interface_is_described_with_examples_that_are_accepted(node):
    description = (await node.client.get("/schema/openapi.json")).json()
    assert description["openapi"].startswith("3.1")
    await node.open_scheme()
    operation = description["paths"]["/v1/certificates"]["post"]
    [example] = operation["requestBody"]["content"]["application/json"]["schema"]["examples"]
    answer = await node.post("/v1/certificates", example)
    assert answer.status_code == 201
    assert set(operation["responses"]) >= {"201", "400", "401", "403", "409", "413", "422"}
    shown = operation["responses"]["201"]["content"]["application/json"]["examples"]
    assert set(answer.json()) == set(next(iter(shown.values()))["value"])
    assert msgspec.json.decode(answer.content)["certificate"] in answer.headers["Location"]


async def test_nothing_is_certified_before_there_is_a_scheme(node):
    refused = await node.post("/v1/certificates", issue_body())
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/scheme-not-open")
    assert await node.entries() == []

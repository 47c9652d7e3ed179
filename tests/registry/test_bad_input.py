"""Bad input: nothing is written, nothing is lost, nothing secret is echoed, and the text says what to do."""

import dataclasses
import uuid

import msgspec
import pytest
import pytest_asyncio

from tests.registry.conftest import issue_body

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "ひみつ・花子"
PARTNERSHIPS = [{"kind": "partnership"}]


def application(**changes):
    return issue_body()["application"] | changes


def partner(**changes):
    first, second = issue_body()["application"]["partners"]
    return application(partners=[first | changes, second])


async def refused(node, answer, status, kind):
    """The answer is this problem, with a text, without anything that was sent; and the log did not grow."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"https://tomoni.example/problems/{kind}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"].endswith(".")
    for secret in (SECRET, "渋谷 はるか", "宇田川町", "1990-02-28"):
        assert secret not in answer.text
    return body["detail"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(shared_node):
    await shared_node.open_scheme()
    return shared_node


@pytest_asyncio.fixture(loop_scope="module")
async def opened(node):
    """A node whose scheme is open, and which must hold exactly what it held before when the test is over."""
    before = await node.entries()
    yield node
    assert await node.entries() == before
    assert (await node.issue())["standing"] == "valid"


MALFORMED = {
    "not JSON": b'{"kind": "partnership",',
    "not UTF-8": b'{"kind": "\xff"}',
    "nothing": b"",
    "a list": b"[]",
    "half a body": {"kind": "partnership"},
    "an unknown field": issue_body() | {SECRET: 1},
    "an unknown field inside": issue_body(application=application(**{SECRET: SECRET})),
    "an unknown field in a person": issue_body(application=partner(**{SECRET: SECRET})),
    "an unknown kind": issue_body(kind=SECRET),
    "a day that does not exist": issue_body(certified_on="2026-02-30"),
    "a day that is none": issue_body(certified_on=SECRET),
    "a number for a name": issue_body(application=partner(name=12)),
    "a text for a truth value": issue_body(application=application(same_address="true")),
    "no name": issue_body(application=partner(name="")),
    "a name without end": issue_body(application=partner(name=SECRET * 200)),
    "a document nobody asks for": issue_body(application=application(documents=[SECRET])),
    "three partners": issue_body(application=application(partners=issue_body()["application"]["partners"] * 3)),
    "a common name to be shown and none given": issue_body(application=partner(shown_name="common")),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_body_is_refused(opened, body):
    await refused(opened, await opened.post("/v1/certificates", body), 400, "malformed")


async def test_deeply_nested_json_is_refused(opened):
    await refused(opened, await opened.post("/v1/certificates", b"[" * 60_000), 400, "malformed")


async def test_an_oversized_body_is_refused(opened):
    body = msgspec.json.encode(issue_body()) + b" " * 70_000
    await refused(opened, await opened.post("/v1/certificates", body), 413, "too-large")


async def test_a_body_that_is_not_json_is_refused(opened):
    headers = opened.headers() | {"Content-Type": "text/plain"}
    answer = await opened.client.post("/v1/certificates", content=b"{}", headers=headers)
    await refused(opened, answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("changes", "status", "kind"),
    [
        ({"certified_on": "2015-11-04"}, 422, "day-before-scheme"),
        ({"certified_on": "2026-11-24"}, 422, "day-in-future"),
        ({"kind": "familyship"}, 422, "kind-not-offered"),
        ({"application": application(facts=["sexual-minority"])}, 422, "not-eligible"),
        ({"application": application(documents=["identity-document"])}, 422, "not-eligible"),
        ({"application": partner(birth_date="2010-01-01")}, 422, "not-eligible"),
    ],
)
async def test_a_certificate_that_may_not_be_is_refused(opened, changes, status, kind):
    await refused(opened, await opened.post("/v1/certificates", issue_body(**changes)), status, kind)


async def test_the_rules_that_are_not_met_are_named_and_not_the_person(opened):
    body = issue_body(application=application(documents=["identity-document"], submitted="online"))
    answer = await opened.post("/v1/certificates", body)
    detail = await refused(opened, answer, 422, "not-eligible")
    assert answer.json()["fields"] == {"rules": "documents,online"}
    assert "notarised-partnership-deed" in detail


COMMANDS = [
    ("confirm", {"confirmed_on": "2026-11-01"}, "clerk"),
    ("reissue", {"reissued_on": "2026-11-01"}, "clerk"),
    ("revoke", {"effect": "ended", "reason": "death", "effective_on": "2026-11-01", "note": SECRET}, "clerk"),
    ("revoke", {"effect": "void", "reason": "clerical-error", "note": SECRET}, "supervisor"),
    ("reinstate", {"reinstated_on": "2026-11-01", "reason": SECRET}, "supervisor"),
    ("correct", {"certified_on": "2026-10-02", "reason": SECRET}, "clerk"),
]


@pytest.mark.parametrize(("command", "body", "scope"), COMMANDS)
async def test_nothing_is_done_to_what_is_not_there(opened, command, body, scope):
    answer = await opened.post(f"/v1/certificates/{uuid.uuid4()}/{command}", body, scope)
    await refused(opened, answer, 404, "certificate-not-found")
    answer = await opened.post(f"/v1/certificates/{SECRET}/{command}", body, scope)
    await refused(opened, answer, 404, "not-found")


async def test_what_is_ended_is_not_ended_again(node):
    path = f"/v1/certificates/{(await node.issue())['certificate']}/revoke"
    body = {"effect": "ended", "reason": "death", "effective_on": "2026-11-01", "note": SECRET}
    assert (await node.post(path, body)).status_code == 200
    entries = await node.entries()
    await refused(node, await node.post(path, body), 409, "certificate-already-ended")
    assert await node.entries() == entries


@pytest.mark.parametrize(
    ("command", "body", "status", "kind"),
    [
        ("confirm", {"confirmed_on": "2026-11-01"}, 409, "certificate-not-conditional"),
        ("reissue", {"reissued_on": "2026-11-24"}, 422, "day-in-future"),
        ("revoke", {"effect": "ended", "reason": "death"}, 422, "dates-out-of-order"),
        ("revoke", {"effect": "ended", "reason": "clerical-error"}, 422, "reason-does-not-fit"),
        ("reinstate", {"reinstated_on": "2026-11-01", "reason": SECRET}, 409, "certificate-not-revoked"),
        ("correct", {"reason": SECRET}, 422, "nothing-to-correct"),
        ("correct", {"certified_on": "2026-10-02", "reason": SECRET, "version": 7}, 409, "stale-version"),
    ],
)
async def test_what_does_not_fit_the_certificate_is_refused(node, command, body, status, kind):
    path = f"/v1/certificates/{(await node.issue())['certificate']}/{command}"
    entries = await node.entries()
    answer = await node.post(path, body, "clerk", "supervisor")
    await refused(node, answer, status, kind)
    if kind == "stale-version":
        assert answer.json()["fields"] == {"version": 1}
    assert await node.entries() == entries


@pytest.mark.parametrize(
    ("issuers", "status", "kind"),
    [
        ({"codes": ["131121", "999999"]}, 422, "jurisdiction-not-found"),
        ({"codes": ["131131"]}, 422, "jurisdiction-not-found"),
        ({"codes": ["141046"]}, 422, "jurisdiction-not-found"),
        ({"codes": ["131130"]}, 422, "jurisdiction-not-found"),
        ({"prefecture": "99"}, 422, "jurisdiction-not-found"),
        ({"codes": [SECRET]}, 400, "malformed"),
        ({"codes": ["131121"], "prefecture": "13"}, 400, "malformed"),
        ({}, 400, "malformed"),
    ],
)
async def test_an_arrangement_names_jurisdictions_that_exist(opened, issuers, status, kind):
    body = {
        "pattern": "E",
        "issuers": issuers,
        "kinds": ["partnership"],
        "services": ["welfare"],
        "effective_from": "2026-04-01",
    }
    await refused(opened, await opened.post("/v1/arrangements", body), status, kind)


@pytest.mark.parametrize(
    ("command", "body", "status", "kind"),
    [
        ("open", {"opens_on": "2026-12-01"}, 409, "scheme-already-open"),
        ("amend", {"effective_on": "2015-11-04"}, 422, "dates-out-of-order"),
        ("close", {"closes_on": "2027-01-01", "version": 3}, 409, "stale-version"),
        ("close", {"closes_on": "2027-01-01", "version": -1}, 400, "malformed"),
        ("amend", {"effective_on": "2027-01-01", "kinds": []}, 400, "malformed"),
    ],
)
async def test_a_scheme_is_changed_only_as_it_can_be(opened, command, body, status, kind):
    await refused(opened, await opened.post(f"/v1/scheme/{command}", body, "supervisor"), status, kind)


async def test_a_network_has_a_name_of_letters(opened):
    answer = await opened.post("/v1/networks/ALL/join", {"effective_on": "2026-12-01"})
    await refused(opened, answer, 400, "malformed")


ROUTES = [
    ("POST", "/v1/certificates", "clerk supervisor"),
    *(("POST", f"/v1/certificates/{uuid.uuid4()}/{command}", scopes) for command, scopes in [
        ("confirm", "clerk supervisor"),
        ("reissue", "clerk supervisor"),
        ("revoke", "clerk supervisor"),
        ("reinstate", "supervisor"),
        ("correct", "clerk supervisor"),
        ("erase", "supervisor"),
    ]),
    ("GET", f"/v1/certificates/{uuid.uuid4()}/erasure", "supervisor"),
    ("GET", f"/v1/certificates/{uuid.uuid4()}", "clerk supervisor"),
    ("GET", f"/v1/certificates/{uuid.uuid4()}/history", "clerk supervisor"),
    ("GET", f"/v1/certificates/{uuid.uuid4()}/vault", "supervisor"),
    ("POST", "/v1/scheme/open", "supervisor"),
    ("POST", "/v1/scheme/amend", "supervisor"),
    ("POST", "/v1/scheme/close", "supervisor"),
    ("GET", "/v1/scheme", "clerk supervisor"),
    ("POST", "/v1/arrangements", "clerk supervisor"),
    ("POST", f"/v1/arrangements/{uuid.uuid4()}/withdraw", "clerk supervisor"),
    ("GET", "/v1/arrangements", "clerk supervisor"),
    ("POST", "/v1/networks/national/join", "clerk supervisor"),
    ("POST", "/v1/networks/national/leave", "clerk supervisor"),
    ("POST", "/v1/keys/rotate", "supervisor"),
    ("GET", "/log/checkpoint", "auditor witness"),
    ("GET", "/log/checkpoints", "auditor witness"),
    ("GET", "/log/heartbeat", "auditor witness"),
    ("GET", "/log/tile/0/000", "auditor witness"),
]  # fmt: skip


async def test_every_route_refuses_whoever_may_not_use_it(node):
    """One sweep over all routes, so that a new one cannot be forgotten: it must be listed here or be public."""
    before = len(await node.entries())
    described = (await node.client.get("/schema/openapi.json")).json()["paths"]
    listed = {(method.lower(), _template(path)) for method, path, _ in ROUTES}
    public = ("/health/", "/metrics", "/schema")
    assert listed == {
        (method, path) for path, methods in described.items() for method in methods if not path.startswith(public)
    }
    for method, path, allowed in ROUTES:
        scopes = ["clerk", "supervisor", "aggregator", "auditor", "witness", "secretariat", "verifier"]
        wrong = [scope for scope in scopes if scope not in allowed.split()]
        for headers, status, kind in [
            ({}, 401, "invalid-token"),
            ({"Authorization": "Bearer " + SECRET.encode().hex()}, 401, "invalid-token"),
            ({"Authorization": "Basic YTpi"}, 401, "invalid-token"),
            (node.headers(*wrong), 403, "forbidden"),
        ]:
            answer = await node.client.request(method, path, headers=headers, content=b"{}")
            await refused(node, answer, status, kind)
        if path.startswith("/v1"):
            foreign = node.headers(*allowed.split(), jurisdiction="131121")
            answer = await node.client.request(method, path, headers=foreign, content=b"{}")
            assert "another town" in await refused(node, answer, 403, "forbidden")
    assert len(await node.entries()) == before


def _template(path):
    names = {"certificates": "{certificate}", "arrangements": "{arrangement}"}
    parts = path.split("/")
    if len(parts) > 3 and parts[2] in names:
        parts[3] = names[parts[2]]
    if parts[2] == "networks":
        parts[3] = "{network}"
    return "/log/tile/{path}" if path.startswith("/log/tile") else "/".join(parts)


async def test_only_a_supervisor_declares_void(node):
    path = f"/v1/certificates/{(await node.issue())['certificate']}/revoke"
    answer = await node.post(path, {"effect": "void", "reason": "false-declaration"}, "clerk")
    await refused(node, answer, 403, "forbidden")


async def test_a_token_of_another_issuer_or_audience_is_refused(node):
    body = issue_body()
    for change in ("audience", "issuer"):
        tokens = msgspec.structs.replace(node.settings.tokens, **{change: "tomoni.example/131121"})
        stranger = dataclasses.replace(node)
        stranger.client, stranger.settings = node.client, msgspec.structs.replace(node.settings, tokens=tokens)
        await refused(node, await stranger.post("/v1/certificates", body), 401, "invalid-token")


@pytest.mark.parametrize(("method", "path", "status", "kind"), [
    ("PUT", "/v1/certificates", 405, "method-not-allowed"),
    ("GET", f"/{SECRET}", 404, "not-found"),
    ("GET", f"/v1/certificates/{SECRET}", 404, "not-found"),
])  # fmt: skip
async def test_what_is_not_there_is_a_problem_too(node, method, path, status, kind):
    answer = await node.client.request(method, path, headers=node.headers("clerk"))
    await refused(node, answer, status, kind)

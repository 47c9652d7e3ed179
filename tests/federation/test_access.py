"""Whom each route of the federation answers: every route, every role, tenants of another prefecture.

The routes are those of the interface description, so that a new one cannot be forgotten: it must be listed here.
"""

import re
import uuid

import pytest

from tomoni.auth import SCOPES
from tomoni.documents import new_handle

ASKING = "aggregator auditor clerk supervisor verifier"
READING = f"{ASKING} secretariat"
WATCHING = "aggregator verifier"
ROUTES = {
    ("get", "/log/checkpoint"): "auditor secretariat witness",
    ("get", "/log/checkpoints"): "auditor secretariat witness",
    ("get", "/log/heartbeat"): "auditor secretariat witness",
    ("get", "/log/tile/{path}"): "auditor secretariat witness",
    ("get", "/v1/arrangements"): READING,
    ("get", "/v1/completeness"): "aggregator auditor secretariat",
    ("get", "/v1/jurisdictions"): f"{READING} witness",
    ("get", "/v1/jurisdictions/{code}/damages"): "auditor",
    ("get", "/v1/jurisdictions/{code}/evidence/{evidence}"): "auditor secretariat",
    ("get", "/v1/jurisdictions/{code}/log/checkpoint"): "auditor",
    ("get", "/v1/jurisdictions/{code}/log/checkpoints"): "auditor",
    ("get", "/v1/jurisdictions/{code}/log/heartbeat"): "auditor",
    ("get", "/v1/jurisdictions/{code}/log/receipts"): "auditor",
    ("get", "/v1/jurisdictions/{code}/log/tile/{path}"): "auditor",
    ("get", "/v1/jurisdictions/{code}/tail"): "auditor supervisor",
    ("post", "/v1/admissions"): "secretariat",
    ("post", "/v1/jurisdictions/{code}/readmit"): "secretariat",
    ("post", "/v1/jurisdictions/{code}/suspend"): "secretariat",
    ("post", "/v1/networks"): "secretariat",
    ("post", "/v1/networks/{name}/members"): "secretariat",
    ("get", "/v1/read-model/{code}"): "auditor",
    ("get", "/v1/read-model/{code}/{table}/{part}"): "auditor",
    ("post", "/v1/recognition"): ASKING,
    ("post", "/v1/status"): ASKING,
    ("post", "/v1/recognition/batch"): ASKING,
    ("get", "/v1/statistics"): "aggregator auditor",
    ("post", "/v1/status/batch"): ASKING,
    ("get", "/v1/vocabulary"): f"{READING} witness",
    ("get", "/v1/watches"): WATCHING,
    ("post", "/v1/watches"): WATCHING,
    ("delete", "/v1/watches/{watch}"): WATCHING,
    ("get", "/v1/watches/{watch}/changes"): WATCHING,
    ("post", "/v1/watches/{watch}/documents"): WATCHING,
    ("post", "/v1/watches/{watch}/documents/remove"): WATCHING,
}
PUBLIC = {
    "/health/live",
    "/health/ready",
    "/metrics",
    "/schema",
    "/schema/openapi.json",
    "/schema/{path}",
    "/v1/statements/keys",
}
SECRET = "花子"


async def described(desk):
    paths = (await desk.client.get("/schema/openapi.json")).json()["paths"]
    return {(method, path): operation for path, methods in paths.items() for method, operation in methods.items()}


def address(path):
    names = {"watch": str(uuid.UUID(int=1)), "path": "0/000"}
    return re.sub(r"{(\w+)}", lambda name: names.get(name[1], "131130"), path)


async def test_every_route_is_listed_and_its_description_names_whom_it_answers(desk):
    found = await described(desk)
    assert {key for key in found if key[1] not in PUBLIC} == set(ROUTES)
    for key, allowed in ROUTES.items():
        assert found[key]["security"] == [{"bearer": sorted(allowed.split())}], key
    assert all("security" not in operation for key, operation in found.items() if key[1] in PUBLIC)


async def test_no_route_is_left_out_of_the_description(desk):
    served = {re.sub(r"{(\w+):\w+}", r"{\1}", route.path) for route in desk.app.routes}
    assert served == {path for _, path in await described(desk)}


async def test_every_route_refuses_who_has_no_token_or_another_one(desk):
    for method, path in ROUTES:
        for header in (None, "Basic YTpi", "Bearer " + SECRET.encode().hex(), "Bearer"):
            headers = {} if header is None else {"Authorization": header}
            refused = await desk.client.request(method, address(path), headers=headers, content=b"{}")
            assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (401, "invalid-token"), path
            assert "oken" in refused.json()["detail"]
            assert SECRET.encode().hex() not in refused.text


async def test_every_route_refuses_every_role_it_does_not_name(desk):
    for (method, path), allowed in ROUTES.items():
        for scope in set(SCOPES) - set(allowed.split()):
            bound = {"jurisdiction": "131130", "prefecture": "13"}
            headers = {"Authorization": f"Bearer {desk.token(scope, **bound)}"}
            refused = await desk.client.request(method, address(path), headers=headers, content=b"{}")
            assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (403, "forbidden"), (path, scope)
            assert all(name in refused.json()["detail"] for name in allowed.split())


QUESTION = {"issuer": "271004", "handle": new_handle(), "purpose": "counter"}
ABOUT_OSAKA = {
    "/v1/status": QUESTION,
    "/v1/recognition": QUESTION | {"receiver": "131121", "service": "public-housing"},
}


@pytest.mark.parametrize("path", sorted(ABOUT_OSAKA))
@pytest.mark.parametrize("bound", [{"prefecture": "13"}, {"prefecture": None}, {"jurisdiction": "271004"}])
async def test_an_aggregator_asks_about_its_own_prefecture_only(desk, path, bound):
    refused = await desk.post(path, ABOUT_OSAKA[path], "aggregator", **bound)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (403, "forbidden")
    assert "own prefecture" in refused.json()["detail"]
    assert (await desk.post(path, ABOUT_OSAKA[path], "aggregator", prefecture="27")).status_code == 200

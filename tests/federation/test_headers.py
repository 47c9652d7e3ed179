"""What every answer of the federation says to browsers and to those who keep answers, refusals included."""

from tests.federation.test_access import PUBLIC, ROUTES, address
from tomoni.auth import SCOPES

CLOSED = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
KEPT = {"/v1/statements/keys"}
"""Routes whose answers others may keep."""


def require_closed(answer, path):
    assert {name: answer.headers.get(name) for name in CLOSED} == CLOSED, path
    assert answer.headers.get_list("cache-control"), path
    cached = answer.headers["cache-control"]
    assert path in KEPT or cached == "no-store" or cached.startswith("private, "), (path, cached)
    assert "access-control-allow-origin" not in answer.headers


async def test_every_answer_is_closed(desk, shibuya):
    shibuya.issue()
    await desk.hear(shibuya)
    everything = {"Authorization": f"Bearer {desk.token(*SCOPES, prefecture='13', jurisdiction='131130')}"}
    routes = [*ROUTES, *(("get", path) for path in PUBLIC)]
    for method, path in routes:
        headers = everything | {"Accept": "application/json", "Content-Type": "application/json"}
        require_closed(await desk.client.request(method, address(path), headers=headers, content=b"{}"), path)
        require_closed(await desk.client.request(method, address(path), content=b"{}"), path)
    require_closed(await desk.client.get("/nowhere"), "/nowhere")
    require_closed(await desk.client.put("/v1/status"), "/v1/status")


async def test_a_page_elsewhere_may_not_ask(desk):
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answer = await desk.client.request("options", "/v1/status", headers=asked)
    assert answer.status_code == 401
    require_closed(answer, "/v1/status")

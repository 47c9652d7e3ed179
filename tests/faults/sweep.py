"""Every route of a service that its interface description names, asked with what it needs to reach its database."""

import re
from collections.abc import Mapping

import httpx

NEED_NO_DATABASE = {
    "/health/live",
    "/metrics",
    "/schema",
    "/schema/openapi.json",
    "/schema/{path}",
    "/v1/statements/keys",
}


async def sweep(
    client: httpx.AsyncClient, headers: Mapping[str, str], names: Mapping[str, str], bodies: Mapping[str, object]
) -> dict[str, httpx.Response]:
    """Ask every route and return the answers; a route whose parameters or body are not given raises KeyError.

    `names` holds path and query parameters, `bodies` the body of each POST by its path.
    """
    description = (await client.get("/schema/openapi.json")).json()
    answers = dict[str, httpx.Response]()
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parameters = operation.get("parameters", [])
            query = {one["name"]: names[one["name"]] for one in parameters if one["in"] == "query" and one["required"]}
            address = re.sub(r"{(\w+)}", lambda name: names[name[1]], path)
            body = bodies[path] if method == "post" else None
            answers[path] = await client.request(method, address, params=query, json=body, headers=dict(headers))
            assert answers[path].status_code < 500 or answers[path].status_code == 503, (path, answers[path].text)
    return answers


def require_away(answers: Mapping[str, httpx.Response]) -> None:
    """Require that every route that needs the database says it is away, as problem details."""
    assert len(answers) > len(NEED_NO_DATABASE) + 5
    for path, answer in answers.items():
        if path in NEED_NO_DATABASE:
            assert answer.status_code in {200, 404}, path
            continue
        assert answer.status_code == 503, (path, answer.text)
        if path != "/health/ready":
            assert answer.headers["content-type"] == "application/problem+json", path
            assert answer.headers["Retry-After"] == "2", path
            assert answer.json()["type"].endswith("/unavailable"), path

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
    "/v1/vocabulary",
}
Answers = dict[tuple[str, str], httpx.Response]
"""By method and path."""


async def sweep(
    client: httpx.AsyncClient, headers: Mapping[str, str], names: Mapping[str, str], bodies: Mapping[str, object]
) -> Answers:
    """Ask every route and return the answers; a route whose parameters or body are not given raises KeyError.

    `names` holds path and query parameters, `bodies` the body of each POST by its path.
    """
    description = (await client.get("/schema/openapi.json")).json()
    answers = Answers()
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parameters = operation.get("parameters", [])
            asked = [one for one in parameters if one["in"] == "query" and (one["required"] or one["name"] in names)]
            query = {one["name"]: names[one["name"]] for one in asked}
            address = re.sub(r"{(\w+)}", lambda name: names[name[1]], path)
            body = bodies[path] if method == "post" else None
            answer = await client.request(method, address, params=query, json=body, headers=dict(headers))
            assert answer.status_code < 500 or answer.status_code == 503, (path, answer.text)
            answers[method, path] = answer
    return answers


def require_away(answers: Answers) -> None:
    """Require that every route that needs the database says it is away, as problem details."""
    assert len(answers) > len(NEED_NO_DATABASE) + 5
    for (_, path), answer in answers.items():
        if path in NEED_NO_DATABASE:
            assert answer.status_code in {200, 404}, path
            continue
        assert answer.status_code == 503, (path, answer.text)
        if path != "/health/ready":
            assert answer.headers["content-type"] == "application/problem+json", path
            assert answer.headers["Retry-After"] == "2", path
            assert answer.json()["type"].endswith("/unavailable"), path

"""Every error is a problem answer that says what to do and repeats nothing."""

from typing import Annotated

import msgspec
import pytest
from litestar import Litestar, post
from litestar.params import JSONBody
from litestar.testing import TestClient

from tomoni import problems
from tomoni.documents import parse_handle
from tomoni.problems import Problem, exception_handlers

SECRET = "7K3MQ9TX"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, msgspec.Meta(ge=0)]


@post("/echo", sync_to_thread=False, request_max_body_size=1000)
def echo(data: JSONBody[Body]) -> int:
    match data.count:
        case 1:
            raise Problem("conflict", "Read it again.", headers={"Retry-After": "3"}, version=7)
        case 2:
            raise RuntimeError(SECRET)
        case 3:
            parse_handle(SECRET)
        case _:
            pass
    return data.count


@pytest.fixture
def client() -> TestClient[Litestar]:
    return TestClient(
        Litestar([echo], exception_handlers=exception_handlers, openapi_config=None), raise_server_exceptions=False
    )


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"count":1}', "conflict", 409),
        (b'{"count":2}', "internal", 500),
        (b'{"count":3}', "handle-malformed", 422),
        (b'{"count":"' + SECRET.encode() + b'"}', "malformed", 400),
        (b'{"count":-1}', "malformed", 400),
        (b'{"count":1,"' + SECRET.encode() + b'":1}', "malformed", 400),
        (b'{"count":1,"x` - at `$' + SECRET.encode() + b'":1}', "malformed", 400),
        (b'{"count":1,"x` - at `$.' + SECRET.encode() + b'":1}', "malformed", 400),
        (b'{"count":', "malformed", 400),
        (b"", "malformed", 400),
        (b'{"count":0,"x":"' + b"y" * 2000 + b'"}', "too-large", 413),
    ],
)
def test_an_error_is_a_problem_answer(client: TestClient[Litestar], content: bytes, kind: str, status: int) -> None:
    with client:
        answer = client.post("/echo", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == problems.BASE + kind
    assert body["status"] == status
    assert body["title"] == problems.KINDS[kind].title
    assert len(body["detail"]) > 10
    assert SECRET not in answer.text


def test_fields_and_headers_reach_the_caller(client: TestClient[Litestar]) -> None:
    with client:
        answer = client.post("/echo", json={"count": 1})
    assert answer.json()["fields"] == {"version": 7}
    assert answer.headers["Retry-After"] == "3"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/echo", 405), ("GET", f"/{SECRET}?q={SECRET}", 404)])
def test_a_wrong_address_is_a_problem_answer_without_the_address(
    client: TestClient[Litestar], method: str, path: str, status: int
) -> None:
    with client:
        answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert SECRET not in answer.text


def test_a_kind_has_one_meaning() -> None:
    with pytest.raises(ValueError, match="two meanings"):
        problems.register({"conflict": problems.Kind(409, "Another title")})
    problems.register({"conflict": problems.KINDS["conflict"]})
    with pytest.raises(ValueError, match="no problem kind"):
        Problem("no-such-kind", "x")

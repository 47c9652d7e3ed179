"""Bodies as a server gives them: in parts, too large, or broken off."""

import pytest
from litestar import Litestar, Request, post

from tomoni.request import PlainRequest

MOST = 1_000


@post("/", status_code=200, request_max_body_size=MOST)
async def echo(request: Request) -> bytes:
    assert await request.body() == await request.body()
    return await request.body()


async def answered(*messages: dict[str, object]) -> tuple[int, bytes, int]:
    """Send messages; return status and body of the answer, and how many messages were not taken."""
    app = Litestar([echo], request_class=PlainRequest, openapi_config=None, logging_config=None)
    left, sent = list(messages), []

    async def receive():
        return left.pop(0)

    async def send(message):
        sent.append(message)

    headers = [(b"content-length", b"1"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": headers}
    await app({**scope, "root_path": "", "server": None, "client": None, "http_version": "1.1"}, receive, send)
    return sent[0]["status"], sent[1]["body"], len(left)


def part(body: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    "parts", [[b""], [b"one"], [b"one", b"two", b""], [b"x" * MOST], [b"x" * (MOST - 1), b"x"]], ids=len
)
async def test_a_body_is_whole_in_however_many_parts_it_comes(parts):
    messages = [part(one, more=number < len(parts)) for number, one in enumerate(parts, 1)]
    assert await answered(*messages) == (200, b"".join(parts), 0)


async def test_what_the_protocol_lets_a_server_leave_out_is_left_out():
    assert await answered({"type": "http.request"}) == (200, b"", 0)


async def test_a_body_is_refused_as_soon_as_more_has_come_than_may_whatever_was_announced():
    first, second, third = part(b"x" * MOST, more=True), part(b"x", more=True), part(b"x", more=False)
    status, _, left = await answered(first, second, third)
    assert (status, left) == (413, 1)


async def test_whoever_goes_away_before_the_end_gets_no_answer_to_the_half():
    status, _, _ = await answered(part(b"half", more=True), {"type": "http.disconnect"})
    assert status == 500

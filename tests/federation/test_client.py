"""The Python client and the commands on it, against a real server: answers, feeds, retries, and secrets kept."""

import asyncio
import sys
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import httpx
import msgspec
import pytest
import stamina
from litestar import Litestar, Response, delete, get, post
from litestar.params import FromPath

from tests.federation.towns import NOW
from tests.federation.watching import served
from tomoni.client import (
    Client,
    Document,
    FeedResetError,
    ItemProblem,
    ProblemError,
    RecognitionQuestion,
    UnreachableError,
)
from tomoni.client.retrying import BusyError, should_retry, should_wait
from tomoni.documents import new_handle, print_handle
from tomoni.processes import free_port
from tomoni.server import _serve_until


@pytest.fixture
async def http(desk):
    async with served(desk) as (http, _):
        yield http


def connect(desk, http, *scopes, **bound):
    return Client(str(http.base_url), desk.token(*(scopes or ("verifier",)), **bound))


async def test_a_status_and_many_with_a_problem_for_the_one_that_is_wrong(desk, http, shibuya):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    documents = [
        Document(issuer=shibuya.code, handle=print_handle(handle)),
        Document(issuer=shibuya.code, handle="NOT-A-HANDLE"),
        Document(issuer=shibuya.code, handle=new_handle()),
    ]
    async with connect(desk, http) as federation:
        assert (await federation.status(shibuya.code, handle, purpose="counter")).is_valid
        found = await federation.statuses(documents, purpose="counter")
        assert isinstance(found[1], ItemProblem)
        assert (found[0].status, found[1].kind, found[2].status) == ("valid", "handle-malformed", "not-found")
        shibuya.revoke(certificate)
        await desk.hear(shibuya)
        ended = await federation.status(shibuya.code, handle, purpose="counter")
        assert (ended.status, ended.is_valid) == ("not-valid", False)


async def test_recognition_with_its_reasons(desk, http, shibuya, setagaya):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    question = RecognitionQuestion(issuer=shibuya.code, handle=handle, receiver=setagaya.code, service="public-housing")
    async with connect(desk, http) as federation:
        answer = await federation.recognise(question, purpose="counter")
        assert (answer.is_recognised, answer.reasons[0].code) == (True, "arrangement-applies")
        assert [one.outcome for one in answer.considered] == ["prevails"]
        other = msgspec.structs.replace(question, service="x-nowhere")
        first, second = await federation.recognise_many([question, other], purpose="counter")
        assert (first, second.decision) == (answer, "not-recognised")


async def test_a_refusal_is_a_problem_and_no_error_holds_a_handle(desk, http, shibuya):
    handle = new_handle()
    assert handle not in repr(Document(issuer=shibuya.code, handle=handle))
    asked = RecognitionQuestion(issuer=shibuya.code, handle=handle, receiver="131121", service="nursery")
    assert handle not in repr(asked)
    async with connect(desk, http) as federation:
        with pytest.raises(ProblemError) as refused:
            await federation.status(shibuya.code, f"{handle}X", purpose="counter")
        assert (refused.value.kind, refused.value.status) == ("handle-malformed", 422)
        assert handle not in str(refused.value)
        with pytest.raises(ProblemError, match="forbidden"):
            await federation.completeness()


async def test_a_feed_goes_on_where_it_was_left(desk, http, shibuya):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    async with connect(desk, http) as federation:
        watch = await federation.create_watch("housing")
        assert await federation.create_watch("housing") == watch
        results = await federation.watch_documents(
            watch.id,
            [
                Document(issuer=shibuya.code, handle=handle, reference="case-1"),
                Document(issuer=shibuya.code, handle="wrong", reference="case-2"),
            ],
        )
        assert [(one.watched, one.reason) for one in results] == [(True, None), (False, "handle-malformed")]
        async with asyncio.timeout(30), aclosing(federation.changes(watch.id)) as changes:
            first = await anext(changes)
            assert (first.id, first.event, first.reference, first.status) == (1, "snapshot", "case-1", "valid")
            shibuya.revoke(certificate)
            await desk.hear(shibuya)
            second = await anext(changes)
        assert (second.id, second.event, second.status) == (2, "status", "not-valid")
        await federation.unwatch_documents(watch.id, ["case-1"])
        async with asyncio.timeout(30), aclosing(federation.changes(watch.id, after=1)) as changes:
            assert [(await anext(changes)).event for _ in range(2)] == ["status", "removed"]
        assert await federation.watches() == [watch]
        await federation.delete_watch(watch.id)
        assert await federation.watches() == []
        with pytest.raises(ProblemError, match="not-found"):
            await anext(federation.changes(watch.id))


async def test_a_feed_tells_how_an_issuer_stands(desk, http, shibuya, tmp_path):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    desk.now += timedelta(days=2)
    async with connect(desk, http) as federation:
        watch = await federation.create_watch("housing")
        await federation.watch_documents(watch.id, [Document(issuer=shibuya.code, handle=handle, reference="case-1")])
        async with asyncio.timeout(30), aclosing(federation.changes(watch.id)) as changes:
            first = await anext(changes)
        assert (first.id, first.event, first.issuer, first.state) == (1, "issuer", "131130", "silent")
        assert (first.reference, first.status, first.fresh_as_of) == (None, None, NOW)
    status, told = await run(desk, http, tmp_path, "watch", "follow", watch.id, "--count", "1")
    assert (status, msgspec.json.decode(told)["state"]) == (0, "silent")


async def test_a_follower_that_was_away_too_long_is_told_so(desk, http, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    async with connect(desk, http) as federation:
        watch = await federation.create_watch("housing")
        await federation.watch_documents(watch.id, [Document(issuer=shibuya.code, handle=handle, reference="case-1")])
        with pytest.raises(FeedResetError):
            await anext(federation.changes(watch.id, after=5))


async def test_a_prefecture_sees_completeness_and_what_was_published(desk, http, shibuya):
    shibuya.issue()
    await desk.hear(shibuya)
    async with connect(desk, http, "aggregator", prefecture="13") as federation:
        states = {one.code: one.state for one in await federation.completeness()}
        assert (states["131130"], states["131041"]) == ("live", "not-taking-part")
        assert (await federation.statistics()).rows == ()
        with pytest.raises(ProblemError, match="forbidden"):
            await federation.statistics("27")


@pytest.mark.parametrize(
    "url", ["http://federation.example", "http://127.0.0.1.example:8500", "federation.example", "ftp://localhost", "::"]
)
def test_a_token_and_handles_go_nowhere_that_others_read_along(url):
    with pytest.raises(ValueError, match="https"):
        Client(url, "token")


VALID = b'{"status":"valid","fresh_as_of":null}'


@asynccontextmanager
async def answering(*statuses, wait=0):
    """Serve a federation that answers with these statuses in turn, and count how often it was asked."""
    asked = []

    @post("/v1/status", status_code=200)
    async def status() -> Response[bytes]:
        asked.append(1)
        code = statuses[min(len(asked), len(statuses)) - 1]
        body = VALID if code == 200 else b"{}"
        return Response(body, status_code=code, media_type="application/json", headers={"Retry-After": str(wait)})

    @post("/v1/status/batch", status_code=200)
    async def one_too_few() -> Response[bytes]:
        return Response(b'{"answers":[' + VALID + b"]}", media_type="application/json")

    @get("/v1/watches/{name:str}/changes")
    async def no_feed(name: FromPath[str]) -> Response[bytes]:
        asked.append(1)
        events = {"page": b"<html></html>", "junk": b"id: 1\nevent: status\ndata: {}\n\n"}
        media_type = "text/html" if name == "page" else "text/event-stream"
        return Response(events[name], media_type=media_type)

    @delete("/v1/watches/{name:str}", status_code=200)
    async def gone(name: FromPath[str]) -> Response[bytes]:
        asked.append(1)
        return Response(b"{}", status_code=statuses[len(asked) - 1], media_type="application/json")

    stop, port = asyncio.Event(), free_port()
    app = Litestar([status, one_too_few, no_feed, gone], openapi_config=None, logging_config=None)
    serving = asyncio.create_task(_serve_until(stop, app, "127.0.0.1", port))
    await asyncio.sleep(0.2)
    try:
        async with Client(f"http://127.0.0.1:{port}", lambda: "token") as federation:
            yield federation, asked
    finally:
        stop.set()
        await serving


async def test_it_asks_again_while_the_federation_is_busy(desk):
    async with answering(503, 429, 200) as (federation, asked):
        assert (await federation.status("131130", new_handle(), purpose="counter")).is_valid
        assert len(asked) == 3


async def test_where_it_was_asked_too_often_it_is_waited_for_as_long_as_it_says(monkeypatch):
    monkeypatch.setattr("tomoni.client.client.TIMEOUT_SECONDS", 0.5)  # of trouble, which a limit is not
    async with answering(429, 200, wait=1) as (federation, asked):
        assert (await federation.status("131130", new_handle(), purpose="counter")).is_valid
        assert len(asked) == 2
    minute = BusyError(httpx.Response(429, headers={"Retry-After": "60"}))
    assert (should_retry(minute), should_wait(minute)) == (False, 60.0)


async def test_what_is_gone_when_it_is_deleted_again_was_deleted():
    async with answering(503, 404) as (federation, asked):  # the first attempt's true answer was lost on the way
        await federation.delete_watch("6f9c3f0e-2f5c-4c1e-9a55-0c9d0e6b7a11")
        assert len(asked) == 2
    async with answering(404) as (federation, _):
        with pytest.raises(ProblemError):
            await federation.delete_watch("6f9c3f0e-2f5c-4c1e-9a55-0c9d0e6b7a11")


async def test_answers_that_are_fewer_than_the_questions_belong_to_nobody():
    documents = [Document(issuer="131130", handle=new_handle()) for _ in range(2)]
    async with answering(200) as (federation, _):
        with pytest.raises(UnreachableError, match="not one of a federation"):
            await federation.statuses(documents, purpose="counter")


@pytest.mark.parametrize("name", ["page", "junk"])
async def test_what_is_no_feed_is_said_and_not_asked_for_again(name):
    async with answering(200) as (federation, asked), asyncio.timeout(10):
        with pytest.raises(UnreachableError):
            await anext(federation.changes(name))
        assert len(asked) == 1


async def test_nobody_answering_is_unknown_and_never_valid(desk):
    with stamina.set_testing(testing=True, attempts=2):
        async with answering(503) as (federation, asked):
            with pytest.raises(UnreachableError):
                await federation.status("131130", new_handle(), purpose="counter")
            assert len(asked) == 2
        async with Client(f"http://127.0.0.1:{free_port()}", "token") as federation:
            with pytest.raises(UnreachableError):
                await federation.status("131130", new_handle(), purpose="counter")


async def run(desk, http, folder, *arguments, text="", scopes=("verifier",), **bound):
    """Run a command as a person at a counter does; return its status and what it printed."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(desk.token(*scopes, **bound))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tomoni_cli.main", *arguments, "--url", str(http.base_url), "--token-file", str(token)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate(text.encode())
    return process.returncode, told.decode()


async def test_the_commands_say_yes_no_and_unknown_by_their_status(desk, http, shibuya, setagaya, tmp_path):
    certificate, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    status, told = await run(desk, http, tmp_path, "status", "131130", text=handle)
    assert (status, "valid" in told, handle in told) == (0, True, False)
    where = ("recognise", "131130", "--receiver", "131121", "--service", "public-housing")
    status, told = await run(desk, http, tmp_path, *where, text=handle)
    assert (status, "recognised, pattern E" in told, "because:" in told) == (0, True, True)
    shibuya.revoke(certificate)
    await desk.hear(shibuya)
    status, told = await run(desk, http, tmp_path, "status", "131130", "--json", text=handle)
    assert (status, msgspec.json.decode(told)[0]["status"]) == (1, "not-valid")
    desk.now += timedelta(days=2)
    status, told = await run(desk, http, tmp_path, *where, "--json", text=handle)
    assert (status, msgspec.json.decode(told)[0]["decision"]) == (3, "unknown")
    status, told = await run(desk, http, tmp_path, "status", "131130", "--purpose", "none", text=handle)
    assert (status, "purpose-unknown" in told) == (3, True)


async def test_the_commands_of_a_prefecture(desk, http, shibuya, tmp_path):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    desk_of = {"scopes": ("aggregator",), "prefecture": "13"}
    status, watch = await run(desk, http, tmp_path, "watch", "create", "housing", **desk_of)
    file = tmp_path / "documents.jsonl"
    file.write_text('{"issuer": "131130", "handle": "' + handle + '", "reference": "case-1"}\n')
    status, told = await run(desk, http, tmp_path, "watch", "add", watch.strip(), "--file", str(file), **desk_of)
    assert (status, "case-1" in told) == (0, True)
    status, told = await run(desk, http, tmp_path, "watch", "follow", watch.strip(), "--count", "1", **desk_of)
    assert (status, msgspec.json.decode(told)["status"]) == (0, "valid")
    status, told = await run(desk, http, tmp_path, "watch", "list", "--json", **desk_of)
    assert msgspec.json.decode(told)[0]["id"] == watch.strip()
    status, told = await run(desk, http, tmp_path, "statistics", "--json", **desk_of)
    assert (status, msgspec.json.decode(told)["rows"]) == (0, [])
    status, told = await run(desk, http, tmp_path, "statistics", "completeness", **desk_of)
    assert (status, "Shibuya" in told) == (0, True)
    file.write_text('{"issuer": "131130", "handle": 5}\n')
    status, told = await run(desk, http, tmp_path, "watch", "add", watch.strip(), "--file", str(file), **desk_of)
    assert (status, "line 1" in told) == (2, True)


async def test_of_no_documents_at_all_the_commands_do_not_say_yes(desk, http, tmp_path):
    file = tmp_path / "documents.jsonl"
    file.write_text("\n \n")
    for command in (("status",), ("recognise",), ("watch", "add", "6f9c3f0e-2f5c-4c1e-9a55-0c9d0e6b7a11")):
        status, told = await run(desk, http, tmp_path, *command, "--file", str(file))
        assert (status, "nothing to ask about" in told) == (2, True), told

"""Following a watch over a real connection: streams that go on, come back, wait for slow readers, and end."""

import asyncio
import socket
from datetime import timedelta

import pytest

from tests.federation.towns import NOW
from tests.federation.watching import MANY, Watcher, events, served, take
from tests.transport.hubs import eventually
from tomoni_federation.watches import feed as feeding
from tomoni_federation.watches.settling import Settler


@pytest.fixture
async def watcher(desk, shibuya):
    made = await Watcher(desk).open()
    made.issued = [shibuya.issue() for _ in range(3)]
    await desk.hear(shibuya)
    await made.add(*((shibuya, handle, str(number)) for number, (_, handle) in enumerate(made.issued)))
    return made


def references(taken):
    return [(number, event, data["reference"]) for number, event, data in taken]


async def test_a_follower_gets_the_state_then_changes_as_they_come_and_so_does_a_second_one(desk, watcher, shibuya):
    async with served(desk) as (http, _), watcher.stream(http) as one, watcher.stream(http) as two:
        assert one.headers["content-type"] == "text/event-stream"
        assert one.headers["cache-control"] == "no-store"
        following = [events(each) for each in (one, two)]
        for each in following:
            taken = [await anext(each) for _ in range(3)]
            assert references(taken) == [(1, "snapshot", "0"), (2, "snapshot", "1"), (3, "snapshot", "2")]
        for number, (certificate, _) in enumerate(watcher.issued):
            shibuya.revoke(certificate)
            await desk.hear(shibuya)
            for each in following:
                number_of, event, data = await anext(each)
                assert (number_of, event) == (4 + number, "status")
                assert data == {
                    "reference": str(number),
                    "issuer": "131130",
                    "status": "not-valid",
                    "fresh_as_of": "2026-11-23T03:00:00Z",
                }


async def test_a_follower_that_comes_back_goes_on_after_the_last_event_it_had(desk, watcher):
    async with served(desk) as (http, _):
        for asked in ({"last_event_id": 1}, {"after": 1}, {"last_event_id": 1, "after": 3}):
            async with watcher.stream(http, **asked) as response:
                assert references(await take(response, 2)) == [(2, "snapshot", "1"), (3, "snapshot", "2")]
        async with watcher.stream(http, last_event_id="nonsense") as response:
            assert response.status_code == 400


async def test_a_change_that_nobody_notified_of_arrives_all_the_same(desk, watcher):
    async with served(desk) as (http, _), watcher.stream(http, after=3) as response:
        await desk.federation.pool.execute(MANY, watcher.id, 1)
        assert references(await take(response, 1)) == [(4, "status", "case-1")]


@pytest.fixture
async def forgetful(desk, watcher, shibuya):
    """Documents `1`, `2` and `0`, changes 2, 3 and 5: `0` was removed and added again, and 1 and 4 are forgotten."""
    pool = desk.federation.pool
    await watcher.remove("0")
    await watcher.add((shibuya, watcher.issued[0][1], "0"))
    await pool.execute("UPDATE watch.change SET at = $1", NOW)
    await Settler(pool, timedelta(days=90), clock=lambda: NOW + timedelta(days=91)).forget()
    return watcher


STATE = [(2, "snapshot", "1"), (3, "snapshot", "2"), (5, "snapshot", "0")]


async def test_a_follower_that_was_away_too_long_is_told_to_begin_anew_and_gets_the_whole_state(desk, forgetful):
    async with served(desk) as (http, _):
        for after in (1, 99):  # what was forgotten; a database that was restored from before
            async with forgetful.stream(http, last_event_id=after) as response:
                (number, event, data), *state = await take(response, 4)
                assert (number, event, list(data)) == (0, "reset", ["text"])
                assert references(state) == STATE


@pytest.mark.parametrize("asked", [{}, {"last_event_id": 1}])
async def test_who_reads_the_state_page_by_page_goes_on_behind_what_was_forgotten(
    desk, forgetful, shibuya, monkeypatch, asked
):
    monkeypatch.setattr(feeding, "PAGE", 1)
    async with served(desk) as (http, _), forgetful.stream(http, **asked) as response:
        following = events(response)
        if asked:
            assert (await anext(following))[1] == "reset"
        assert references([await anext(following) for _ in STATE]) == STATE
        shibuya.revoke(forgetful.issued[1][0])
        await desk.hear(shibuya)
        assert references([await anext(following)]) == [(6, "status", "1")]


async def test_pages_of_the_state_go_on_behind_what_was_forgotten_and_not_if_more_was_since(desk, forgetful, shibuya):
    seen, query = [], "after=0"
    while True:
        answer = (await forgetful.ask("GET", f"/{forgetful.id}/changes?{query}&limit=1")).json()
        if not answer["changes"]:
            break
        seen += [(one["id"], one["event"], one["reference"]) for one in answer["changes"]]
        query = f"after={answer['after']}" + (f"&forgotten={answer['forgotten']}" if "forgotten" in answer else "")
    assert seen == STATE
    for known in ("", "&forgotten=3"):
        refused = await forgetful.ask("GET", f"/{forgetful.id}/changes?after=2{known}")
        assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (410, "changes-forgotten")


async def test_a_stream_is_quiet_after_the_last_thing_that_was_told_is_forgotten(desk, watcher, monkeypatch):
    monkeypatch.setattr("tomoni.eventlog.wakeup.POLL_SECONDS", 0.05)
    monkeypatch.setattr(feeding, "KEEP_ALIVE_SECONDS", 1.0)
    await watcher.remove("0", "1", "2")
    pool = desk.federation.pool
    await pool.execute("UPDATE watch.change SET at = $1", NOW)
    await Settler(pool, timedelta(days=90), clock=lambda: NOW + timedelta(days=91)).forget()
    async with served(desk) as (http, _), watcher.stream(http) as response, asyncio.timeout(15):
        lines = response.aiter_lines()
        while await anext(lines) != ": still here":
            pass


async def test_how_an_issuer_stands_comes_in_the_stream_and_is_not_missed_by_who_was_away(desk, watcher, shibuya):
    settler = Settler(desk.federation.pool, timedelta(days=90), clock=lambda: desk.now)
    desk.now = NOW + timedelta(days=2)
    async with served(desk) as (http, _):
        async with watcher.stream(http, last_event_id=3) as response:
            await settler.settle()
            silent = {"issuer": "131130", "state": "silent", "fresh_as_of": "2026-11-23T03:00:00Z"}
            assert await take(response, 1) == [(4, "issuer", silent)]
        await desk.federation.pool.execute("UPDATE projection.cursor SET fresh_as_of = $1", desk.now)
        await settler.settle()
        live = {"issuer": "131130", "state": "live", "fresh_as_of": "2026-11-25T03:00:00Z"}
        async with watcher.stream(http, last_event_id=4) as response:
            assert await take(response, 1) == [(5, "issuer", live)]


async def test_a_follower_that_goes_leaves_nothing_behind(desk, watcher):
    followers = desk.watching.feed._followers
    async with served(desk) as (http, _):
        for _ in range(3):
            async with watcher.stream(http) as response:
                await take(response, 3)
                assert len(followers) == 1
            await eventually(lambda: not followers)
        assert not [task for task in asyncio.all_tasks() if "_pump" in repr(task.get_coro())]


async def test_streams_end_cleanly_when_the_service_is_asked_to_stop(desk, watcher):
    async with served(desk) as (http, end), watcher.stream(http) as response:
        following = events(response)
        for _ in range(3):
            await anext(following)
        ending = asyncio.create_task(end())
        assert [event async for event in following] == []
        await ending
        with pytest.raises(Exception, match="unavailable"), desk.watching.feed.place(("x", None), watcher.id, 0):
            pass


async def test_a_stream_of_a_deleted_watch_ends_and_cannot_be_had_again(desk, watcher):
    async with served(desk) as (http, _), watcher.stream(http) as response:
        following = events(response)
        for _ in range(3):
            await anext(following)
        assert (await watcher.ask("DELETE", f"/{watcher.id}")).status_code == 204
        assert [event async for event in following] == []
        async with watcher.stream(http) as again:
            assert again.status_code == 404


async def test_followers_are_bounded_for_each_subject_and_in_all(desk, watcher):
    feed = desk.watching.feed
    feed._most, feed._most_of_one = 2, 1
    other, third = [await Watcher(desk, subject=name).open() for name in ("other", "third")]
    async with served(desk) as (http, _), watcher.stream(http) as one:
        following = events(one)
        await anext(following)
        async with watcher.stream(http) as refused:
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
            assert "already" in (await refused.aread()).decode()
        async with other.stream(http) as two, third.stream(http) as refused:
            assert two.status_code == 200
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


async def test_a_quiet_stream_shows_that_it_lives(desk, watcher, monkeypatch):
    monkeypatch.setattr(feeding, "KEEP_ALIVE_SECONDS", 0.05)
    async with served(desk) as (http, _), watcher.stream(http, after=3) as response:
        lines = response.aiter_lines()
        first = await anext(lines)
        assert first.startswith("retry: ")
        assert [await anext(lines) for _ in range(5)] == ["", ": still here", "", ": still here", ""]


async def test_a_reader_that_reads_nothing_costs_itself_and_nobody_else(desk, watcher):
    changes = 150_000  # twenty megabytes: more than the buffers of both ends of a connection
    await desk.federation.pool.execute(MANY, watcher.id, changes)
    feed = desk.watching.feed
    async with served(desk) as (http, _):
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((http.base_url.host, http.base_url.port))
            token = desk.token("verifier", subject="watcher")
            head = f"GET /v1/watches/{watcher.id}/changes HTTP/1.1\r\nHost: f\r\nAuthorization: Bearer {token}\r\n\r\n"
            slow.sendall(head.encode())
            await eventually(lambda: len(feed._followers) == 1)
            (stuck,) = feed._followers
            async with watcher.stream(http) as response:
                last = 0
                async for number, _, _ in events(response):
                    assert number == last + 1
                    last = number
                    if number == changes + 3:
                        break
            assert stuck in feed._followers
            assert stuck.after < changes, "what it does not take is not read"
        await eventually(lambda: not feed._followers)

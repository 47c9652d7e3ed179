"""A live federation compared with a replay: equal, or the first difference; over HTTP, with rows really changed."""

import asyncio
import random

import httpx
import pytest

from tests.auditor.archives import write_town
from tests.auditor.test_replay import varied
from tomoni_auditor.compare.comparing import compare
from tomoni_auditor.compare.live import Live
from tomoni_auditor.verify.sources import SourceError


class Bridge(httpx.BaseTransport):
    """Carries the requests of a thread to the application, which lives in the test's loop."""

    def __init__(self, desk, scope="auditor"):
        self.desk, self.scope, self.loop = desk, scope, asyncio.get_running_loop()
        self.paths, self.before_rows = [], None

    def handle_request(self, request):
        return asyncio.run_coroutine_threadsafe(self.answer(request), self.loop).result()

    async def answer(self, request):
        self.paths.append(request.url.path)
        if self.before_rows is not None and request.url.path.count("/") > 3:
            act, self.before_rows = self.before_rows, None
            await act()
        answer = await self.desk.get(request.url.raw_path.decode(), self.scope)
        return httpx.Response(answer.status_code, content=answer.content)


@pytest.fixture
async def bridge(desk):
    return Bridge(desk)


async def compared(bridge, folder, town):
    with httpx.Client(transport=bridge, base_url="http://federation") as client:
        return await asyncio.to_thread(compare, folder, town.code, Live(client))


@pytest.fixture
async def lived(desk, shibuya):
    chance = random.Random(1)
    for _ in range(3):
        varied(shibuya, chance)
    await desk.federation.take(*shibuya.messages())
    return shibuya


async def test_an_equal_state_costs_the_digests_alone(bridge, lived, tmp_path):
    found = await compared(bridge, write_town(tmp_path, lived), lived)
    assert (found.outcome, found.position) == ("equal", lived.size)
    assert bridge.paths == ["/v1/read-model/131130"]


CHANGES = {
    "certificate": "UPDATE projection.certificate SET effective_on = NULL, effect = NULL WHERE effect IS NOT NULL",
    "document": "DELETE FROM projection.document WHERE ctid = (SELECT min(ctid) FROM projection.document)",
    "arrangement": "UPDATE projection.arrangement SET conditions = '{}'",
    "membership": "UPDATE projection.membership SET member = true",
    "stream": "INSERT INTO projection.stream VALUES ('131130', 'scheme', 1, false)",
    "position": "DELETE FROM projection.position WHERE position = 1",
    "unknown": "UPDATE projection.cursor SET unknown = true",
    "halted": "UPDATE projection.cursor SET halted = 'x', position = position - 1",
}


@pytest.mark.parametrize("where", sorted(CHANGES))
async def test_whatever_is_changed_in_the_read_model_is_found_and_named(bridge, desk, lived, tmp_path, where):
    await desk.federation.as_owner(CHANGES[where])
    found = await compared(bridge, write_town(tmp_path, lived), lived)
    assert (found.outcome, found.where) == ("different", where)
    if where == "certificate":
        assert found.columns == ("effect", "effective_on")
    if where == "stream":
        assert (found.key, found.expected) == ("scheme", "no such row")
    if where == "document":
        assert found.found == "no such row"
    assert len(bridge.paths) <= 2


async def test_a_log_that_stopped_for_the_federation_stops_for_the_replay_at_the_same_entry(
    bridge, desk, lived, tmp_path
):
    lived.append(b"no event")
    lived.issue()
    await desk.federation.take(*lived.messages())
    found = await compared(bridge, write_town(tmp_path, lived), lived)
    assert (found.outcome, found.position) == ("equal", lived.size - 2)


async def test_a_folder_behind_the_federation_is_not_compared(bridge, desk, lived, tmp_path):
    folder = write_town(tmp_path, lived)
    lived.issue()
    await desk.federation.take(*lived.messages())
    found = await compared(bridge, folder, lived)
    assert (found.outcome, found.found) == ("not-comparable", f"the federation has read {lived.size} entries, "
            f"the folder holds {lived.size - 1}: fetch again")  # fmt: skip


async def test_a_folder_ahead_of_the_federation_is_replayed_to_where_that_stands(bridge, lived, tmp_path):
    size = lived.size
    lived.issue()
    found = await compared(bridge, write_town(tmp_path, lived), lived)
    assert (found.outcome, found.position) == ("equal", size)


async def test_a_federation_that_goes_on_between_digests_and_rows_is_read_anew(bridge, desk, lived, tmp_path):
    await desk.federation.as_owner(CHANGES["certificate"])
    size = lived.size
    lived.issue()

    async def go_on():
        await desk.federation.take(*lived.messages(size))

    bridge.before_rows = go_on
    found = await compared(bridge, write_town(tmp_path, lived), lived)
    assert (found.outcome, found.where, found.position) == ("different", "certificate", size + 1)
    assert bridge.paths.count("/v1/read-model/131130") == 2


async def test_a_log_the_federation_does_not_have_is_told_to_be_so(bridge, lived, tmp_path):
    folder = write_town(tmp_path, lived)
    (folder / "131130").rename(folder / "271004")
    with httpx.Client(transport=bridge, base_url="http://federation") as client:
        found = await asyncio.to_thread(compare, folder, "271004", Live(client))
    assert (found.outcome, found.found) == ("not-comparable", "the federation has no such log")


async def test_a_token_without_the_auditors_scope_is_told_to_be_needed(desk, lived, tmp_path):
    with pytest.raises(SourceError, match="auditor's scope"):
        await compared(Bridge(desk, "verifier"), write_town(tmp_path, lived), lived)


async def test_rows_of_a_part_come_in_pages_that_join_without_a_gap(desk, lived):
    model = (await desk.get("/v1/read-model/131130", "auditor")).json()
    for table, digest in model["tables"].items():
        assert sum([len(await pages(desk, table, part)) for part in digest["parts"]]) == digest["rows"]


async def pages(desk, table, part):
    rows, after = [], ""
    while after is not None:
        path = f"/v1/read-model/131130/{table}/{part}"
        answer = (await desk.get(f"{path}?{httpx.QueryParams(after=after, limit=1)}", "auditor")).json()
        rows += answer["rows"]
        after = answer.get("after")
    return rows


@pytest.mark.parametrize("path", ["000000", "131130/secrets/00", "131130/%00/00", "%00"])
async def test_what_is_not_there_is_told_as_a_problem(desk, lived, path):
    refused = await desk.get(f"/v1/read-model/{path}", "auditor")
    assert refused.status_code == 404
    assert refused.json()["detail"]


async def test_a_cursor_that_no_page_gave_is_refused(desk, lived):
    refused = await desk.get("/v1/read-model/131130/document/00?after=%00", "auditor")
    assert refused.status_code == 400

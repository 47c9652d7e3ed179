"""A town gets back what is proven of its own log, page by page; nobody else learns its size."""

import msgspec
import pytest

from tests.federation.towns import Town
from tomoni.tail import TailPage
from tomoni_federation.mirror import tail


async def read(desk, start=0, code="131130", bound="131130", scope="supervisor"):
    answer = await desk.get(f"/v1/jurisdictions/{code}/tail?from={start}", scope, jurisdiction=bound)
    return answer, msgspec.json.decode(answer.content, type=TailPage) if answer.is_success else None


async def pages(desk):
    entries, checkpoints, start = [], [], 0
    while start is not None:
        _, page = await read(desk, start)
        entries += page.entries
        checkpoints += [(one.size, one.note) for one in page.checkpoints]
        start = page.after
    return entries, checkpoints, page.ahead


@pytest.fixture
async def full(desk, shibuya):
    for size in (3, 7):
        while shibuya.size < size:
            shibuya.issue()
        await desk.federation.take(*shibuya.messages(0 if size == 3 else 3))
    return shibuya


@pytest.mark.parametrize(("entries", "size"), [(1, 10**6), (2, 10**6), (1000, 1), (1000, 10**6)])
async def test_the_pages_together_are_the_proven_log_with_its_checkpoints(desk, full, monkeypatch, entries, size):
    monkeypatch.setattr(tail, "MAX_ENTRIES", entries)
    monkeypatch.setattr(tail, "MAX_BYTES", size)
    assert await pages(desk) == (full.entries, [(3, full.note(3)), (7, full.note(7))], ())
    _, rest = await read(desk, 7)
    assert (rest.entries, rest.after) == ((), None)


async def test_what_is_signed_and_not_proven_is_told_and_its_entries_are_not_given(desk, full):
    full.issue()
    await desk.federation.take(full.entry_message(7))
    full.issue()
    await desk.federation.take(full.checkpoint_message(), heartbeats=[full.heartbeat()])
    entries, checkpoints, ahead = await pages(desk)
    assert (len(entries), len(checkpoints)) == (7, 2)
    assert {note.splitlines()[1] for note in ahead} == {b"9"}


async def test_a_page_ends_before_an_entry_that_the_mirror_lacks(desk, full):
    await desk.federation.as_owner("SET tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE position = 4")
    entries, checkpoints, _ = await pages(desk)
    assert (len(entries), [size for size, _ in checkpoints]) == (4, [3])


@pytest.mark.parametrize("scope", ["supervisor", "auditor"])
async def test_only_the_town_itself_is_answered(desk, full, scope):
    setagaya = Town("131121")
    await desk.federation.admit(setagaya)
    assert (await read(desk, scope=scope))[0].status_code == 200
    for code, bound in (("131121", "131130"), ("131130", "131121"), ("131130", None)):
        answer, _ = await read(desk, code=code, bound=bound, scope=scope)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (403, "forbidden")

"""Watches: what is told of watched documents, to whom, and in which order."""

import asyncio
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.federation.towns import NOW, Town, unknown_event
from tests.federation.watching import Watcher, change_all, register_all
from tomoni.documents import new_handle, print_handle
from tomoni_federation.watches.settling import Settler

NEW_YEAR = datetime(2026, 12, 31, 15, 0, tzinfo=UTC)
"""Midnight in Japan."""


@pytest.fixture
async def watcher(desk):
    return await Watcher(desk).open()


@pytest.fixture
def settler(desk):
    return Settler(desk.federation.pool, timedelta(days=90), page=2, clock=lambda: desk.now)


async def test_what_is_told_first_is_the_state_and_then_every_change_once(desk, watcher, shibuya):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    coming = new_handle()
    assert await watcher.add((shibuya, handle, "a"), (shibuya, coming, "b")) == ["watched", "watched"]
    assert await watcher.told() == [("b", "not-found"), ("a", "valid")]
    assert [one["event"] for one in await watcher.page()] == ["snapshot", "snapshot"]
    for change in (shibuya.revoke, shibuya.reinstate):
        change(certificate)
        await desk.hear(shibuya)
    shibuya.reissue(certificate)
    await desk.hear(shibuya)
    shibuya.revoke(certificate)
    await desk.hear(shibuya)
    assert await watcher.told(2) == [("a", "not-valid"), ("a", "valid"), ("a", "replaced"), ("a", "not-valid")]
    assert {one["event"] for one in await watcher.page(2)} == {"status"}
    first = (await watcher.page())[1]
    assert first == {
        "id": 2,
        "event": "snapshot",
        "reference": "a",
        "issuer": "131130",
        "status": "valid",
        "fresh_as_of": "2026-11-23T03:00:00Z",
    }


async def test_a_document_that_is_issued_after_it_was_registered_is_told_of_and_followed(
    desk, watcher, shibuya, monkeypatch
):
    await desk.hear(shibuya)
    handle = new_handle()
    await watcher.add((shibuya, handle, "a"))
    monkeypatch.setattr("tests.federation.towns.new_handle", lambda: handle)
    certificate, _ = shibuya.issue()
    await desk.hear(shibuya)
    shibuya.revoke(certificate)
    await desk.hear(shibuya)
    assert await watcher.told() == [("a", "not-found"), ("a", "valid"), ("a", "not-valid")]


async def test_registering_again_changes_nothing_and_a_reference_names_one_document(desk, watcher, shibuya):
    handles = [shibuya.issue()[1] for _ in range(2)]
    await desk.hear(shibuya)
    await watcher.add((shibuya, handles[0], "a"))
    again = await watcher.add((shibuya, handles[0], "a"), (shibuya, handles[1], "a"), (shibuya, handles[0], "b"))
    assert again == ["watched", "reference-in-use", "reference-in-use"]
    twice = await watcher.add((shibuya, handles[1], "c"), (shibuya, handles[1], "c"), (shibuya, handles[1], "d"))
    assert twice == ["watched", "watched", "reference-in-use"]
    assert await watcher.told() == [("a", "valid"), ("c", "valid")]


async def test_what_cannot_be_watched_is_refused_by_itself(desk, watcher, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    nowhere = Town("131130")
    nowhere.code = "999999"
    results = await watcher.add(
        (shibuya, handle[:-1] + ("0" if handle[-1] != "0" else "1"), "mistyped"),
        (nowhere, handle, "nowhere"),
        (shibuya, handle, handle.lower()),
        (shibuya, handle, f"case/{print_handle(handle)}"),
        (shibuya, other := new_handle(), handle),
        (shibuya, handle, f"{handle}/{other}"),
        (shibuya, handle, "good"),
    )
    assert results == [
        "handle-malformed",
        "jurisdiction-not-found",
        *["reference-is-the-handle"] * 4,
        "watched",
    ]
    assert await watcher.told() == [("good", "valid")]


async def test_an_aggregator_watches_its_own_prefecture_only(desk, shibuya):
    osaka = Town("271004")
    await desk.federation.admit(osaka)
    (_, here), (_, there) = shibuya.issue(), osaka.issue()
    await desk.hear(shibuya, osaka)
    tokyo = await Watcher(desk, "aggregator", prefecture="13").open()
    assert await tokyo.add((osaka, there, "there"), (shibuya, here, "here")) == ["out-of-reach", "watched"]
    assert await tokyo.told() == [("here", "valid")]
    assert (await Watcher(desk, "aggregator").ask("POST", "", {"name": "x"})).status_code == 403


async def test_nobody_but_its_owner_learns_whether_a_watch_exists(desk, watcher):
    body = {"documents": [{"issuer": "131130", "handle": new_handle(), "reference": "a"}]}
    for other in (
        Watcher(desk, subject="somebody else"),
        Watcher(desk, "aggregator", prefecture="13"),
        Watcher(desk, "aggregator", prefecture="27"),
    ):
        for identity in (watcher.id, str(uuid.uuid4())):
            answers = [
                await other.ask("POST", f"/{identity}/documents", body),
                await other.ask("POST", f"/{identity}/documents/remove", {"references": ["a"]}),
                await other.ask("GET", f"/{identity}/changes"),
                await other.ask("GET", f"/{identity}/changes", Accept="text/event-stream"),
                await other.ask("DELETE", f"/{identity}"),
            ]
            assert {answer.status_code for answer in answers} == {404}
            assert {answer.json()["detail"] for answer in answers} == {
                "You have no such watch. List yours, or make one."
            }
        assert (await other.ask("GET", "")).json() == {"watches": []}
    for scope in ("clerk", "supervisor", "auditor", "witness", "secretariat"):
        assert (await Watcher(desk, scope).ask("GET", "")).status_code == 403


async def test_a_subject_has_twenty_watches_and_a_name_is_one_of_them(desk, watcher):
    assert (await watcher.ask("POST", "", {"name": "housing"})).json()["id"] == watcher.id
    names = [f"w{number}" for number in range(19)]
    for name in names:
        assert (await watcher.ask("POST", "", {"name": name})).status_code == 200
    full = await watcher.ask("POST", "", {"name": "one-more"})
    assert (full.status_code, full.json()["type"].rpartition("/")[2]) == (409, "watches-full")
    assert [one["name"] for one in (await watcher.ask("GET", "")).json()["watches"]] == sorted(["housing", *names])
    assert (await watcher.ask("DELETE", f"/{watcher.id}")).status_code == 204
    assert (await watcher.ask("POST", "", {"name": "one-more"})).status_code == 200


async def test_what_is_removed_is_told_once_and_followed_no_more_until_it_is_added_again(desk, watcher, shibuya):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"))
    await watcher.remove("a", "never")
    await watcher.remove("a")
    shibuya.revoke(certificate)
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"))
    shibuya.reinstate(certificate)
    await desk.hear(shibuya)
    assert await watcher.told() == [("a", "valid"), ("a", "removed"), ("a", "not-valid"), ("a", "valid")]
    assert [one["event"] for one in await watcher.page()] == ["snapshot", "removed", "snapshot", "status"]


async def test_two_watches_of_one_document_are_numbered_each_by_itself(desk, watcher, shibuya):
    (certificate, handle), (_, other) = shibuya.issue(), shibuya.issue()
    await desk.hear(shibuya)
    second = await Watcher(desk, subject="second").open()
    await watcher.add((shibuya, other, "x"), (shibuya, handle, "a"))
    await second.add((shibuya, handle, "z"))
    shibuya.revoke(certificate)
    await desk.hear(shibuya)
    assert await watcher.told(2) == [("a", "not-valid")]
    assert await second.told() == [("z", "valid"), ("z", "not-valid")]


async def test_pages_go_on_where_the_last_one_ended(desk, watcher, shibuya):
    handles = [shibuya.issue()[1] for _ in range(5)]
    await desk.hear(shibuya)
    await watcher.add(*((shibuya, handle, str(number)) for number, handle in enumerate(handles)))
    seen, after = [], 0
    while True:
        answer = (await watcher.ask("GET", f"/{watcher.id}/changes?after={after}&limit=2")).json()
        seen += [one["reference"] for one in answer["changes"]]
        if answer["after"] == after:
            break
        after = answer["after"]
    assert seen == ["0", "1", "2", "3", "4"]


async def test_a_lapse_by_date_is_told_once_the_issuer_was_heard_of_after_it(desk, watcher, settler, shibuya):
    _, handle = shibuya.issue(conditional_until=date(2026, 12, 31))
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"))
    await desk.federation.pool.execute("UPDATE projection.cursor SET fresh_as_of = $1", NEW_YEAR - timedelta(hours=1))
    for now in (NOW + timedelta(days=1), NEW_YEAR - timedelta(seconds=1)):
        desk.now = now
        await settler.settle()
    assert await watcher.told() == [("a", "conditional")]
    desk.now = NEW_YEAR
    await settler.settle()
    await settler.settle()
    assert [one.get("reason") for one in await watcher.page(1)] == ["conditional-lapse-unproven"]
    await desk.federation.pool.execute("UPDATE projection.cursor SET fresh_as_of = $1", NEW_YEAR)
    for _ in range(2):
        await settler.settle()
    assert await watcher.told() == [("a", "conditional"), ("a", "unknown"), ("a", "not-valid")]


async def test_an_end_with_a_day_to_come_is_told_on_that_day(desk, watcher, settler, shibuya):
    certificate, handle = shibuya.issue()
    shibuya.revoke(certificate, effective_on=date(2027, 1, 1))
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"))
    await settler.settle()
    assert await watcher.told() == [("a", "valid")]
    desk.now = NEW_YEAR
    for _ in range(2):
        await settler.settle()
    assert await watcher.told() == [("a", "valid"), ("131130", "silent"), ("a", "not-valid")]


async def test_a_history_that_is_taken_back_ends_in_what_holds_then(desk, watcher, settler, shibuya):
    kept, lost = shibuya.issue(), shibuya.issue()
    await desk.federation.take(*shibuya.messages(0, 2))
    shibuya.revoke(kept[0])
    await desk.hear(shibuya)
    await watcher.add((shibuya, kept[1], "kept"), (shibuya, lost[1], "lost"))
    pool = desk.federation.pool
    compact = await pool.fetchval("SELECT compact FROM mirror.checkpoint WHERE size = 2")
    one = await pool.fetchval("SELECT leaf FROM mirror.entry WHERE position = 0")
    assert compact
    await pool.execute("SELECT mirror.disown($1, 1, $2)", shibuya.code, one)
    await pool.execute("SELECT projection.forget_beyond($1, 1)", shibuya.code)
    await settler.settle()
    await desk.federation.projector.catch_up()
    del shibuya.entries[1:]
    shibuya.versions[f"certificate/{kept[0]}"] = 1
    await desk.federation.take(heartbeats=[shibuya.heartbeat()])
    await settler.settle()
    told = dict(await watcher.told())
    assert told == {"131130": "live", "kept": "valid", "lost": "not-found"}
    shibuya.revoke(kept[0])
    await desk.federation.take(*shibuya.messages(1))
    assert (await watcher.told())[-1] == ("kept", "not-valid")


async def test_a_document_that_was_taken_back_is_told_of_though_nobody_looked_in_between(
    desk, watcher, settler, shibuya
):
    """What is left is projected again and heard of before the settler's next look, and none of it is watched."""
    shibuya.issue()
    await desk.hear(shibuya)
    _, lost = shibuya.issue()
    await desk.hear(shibuya)
    await watcher.add((shibuya, lost, "lost"))
    await settler.settle()
    pool = desk.federation.pool
    compact = await pool.fetchval("SELECT compact FROM mirror.checkpoint WHERE size = 1")
    await pool.execute("SELECT mirror.disown($1, 1, $2)", shibuya.code, compact)
    await pool.execute("SELECT projection.forget_beyond($1, 1)", shibuya.code)
    await desk.federation.projector.catch_up()
    del shibuya.entries[1:]
    await desk.federation.take(heartbeats=[shibuya.heartbeat()])
    await settler.settle()
    assert await watcher.told() == [("lost", "valid"), ("lost", "not-found")]


async def test_an_unknown_event_about_a_certificate_makes_its_document_unknown(desk, watcher, settler, shibuya):
    (certificate, handle), (_, other) = shibuya.issue(), shibuya.issue()
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"), (shibuya, other, "b"), (shibuya, new_handle(), "c"))
    shibuya.append(unknown_event(shibuya, f"certificate/{certificate}"))
    await desk.hear(shibuya)
    await settler.settle()
    assert await watcher.told(3) == [("a", "unknown"), ("c", "unknown")]


async def test_old_changes_are_forgotten_but_never_a_documents_newest(desk, watcher, settler, shibuya):
    (certificate, handle), (_, quiet) = shibuya.issue(), shibuya.issue()
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"), (shibuya, quiet, "b"), (shibuya, new_handle(), "c"))
    await watcher.remove("c")
    for change in (shibuya.revoke, shibuya.reinstate):
        change(certificate)
        await desk.hear(shibuya)
    pool = desk.federation.pool
    before = await watcher.page()
    desk.now = NOW + timedelta(days=60)
    await settler.forget()
    assert await watcher.page() == before
    await pool.execute("UPDATE watch.change SET at = $1", NOW)
    desk.now = NOW + timedelta(days=91)
    await settler.forget()
    assert [(one["reference"], one["status"]) for one in await watcher.page()] == [("b", "valid"), ("a", "valid")]
    newest = (await watcher.page())[-1]["id"]
    for after, status in ((1, 410), (newest - 2, 410), (newest - 1, 200), (newest, 200), (newest + 1, 410)):
        answer = await watcher.ask("GET", f"/{watcher.id}/changes?after={after}")
        assert answer.status_code == status, after
    assert "begin after 0" in (await watcher.ask("GET", f"/{watcher.id}/changes?after=1")).json()["detail"]


async def test_registering_removing_projecting_and_settling_at_once_end_in_the_true_state(desk, shibuya, setagaya):
    """Whatever the interleaving: no deadlock, numbers dense, and the last thing told is what holds."""
    issued = [(town, [town.issue() for _ in range(12)]) for town in (shibuya, setagaya)]
    await desk.hear(shibuya, setagaya)
    watchers = [await Watcher(desk, subject=f"s{number}").open() for number in range(3)]

    async def settle():
        settler = Settler(desk.federation.pool, timedelta(days=90), page=3, clock=lambda: desk.now)
        while True:
            await settler.settle()
            await asyncio.sleep(0.01)

    settling = [asyncio.create_task(settle()) for _ in range(2)]
    await asyncio.gather(change_all(desk.federation, issued), *(register_all(one, issued) for one in watchers))
    for task in settling:
        task.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*settling, return_exceptions=True)
    )
    wanted = {
        f"{town.code}-{number}": "valid" if number % 2 else "not-valid" for town, _ in issued for number in range(12)
    }
    for one in watchers:
        told = await one.told()
        assert dict(told) == wanted
        last = {}
        for reference, status in told:
            assert last.get(reference) != status, "nothing is told twice"
            last[reference] = status


async def test_a_projection_that_fails_tells_nothing(desk, watcher, shibuya):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"))
    shibuya.revoke(certificate)
    await desk.federation.as_owner(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE CONSTRAINT TRIGGER refusing AFTER UPDATE ON projection.cursor DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.position > 1) EXECUTE FUNCTION refuse()"""
    )
    await desk.federation.receiver.events(shibuya.messages())
    with pytest.raises(Exception, match="no"):
        await desk.federation.projector.catch_up()
    assert await watcher.told() == [("a", "valid")]
    await desk.federation.as_owner("DROP TRIGGER refusing ON projection.cursor")
    await desk.federation.projector.catch_up()
    assert await watcher.told() == [("a", "valid"), ("a", "not-valid")]


async def test_what_waits_to_be_projected_is_told_once_it_is(desk, shibuya):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    size = shibuya.size
    shibuya.revoke(certificate)
    await desk.federation.receiver.events(shibuya.messages(size))
    watcher = await Watcher(desk).open()
    missing = new_handle()
    await watcher.add((shibuya, handle, "case-1"), (shibuya, missing, "case-2"))
    before = await watcher.told()
    assert {("case-1", "valid"), ("case-2", "not-found")} <= set(before)
    await desk.federation.projector.catch_up()
    assert await watcher.told(len(before)) == [("case-1", "not-valid")]

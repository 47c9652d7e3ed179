"""Watches: how the issuers of watched documents stand, and what becomes of the documents with them."""

import asyncio
from datetime import timedelta

import pytest

from tests.federation.towns import NOW, Town, unknown_event
from tests.federation.watching import Watcher, change_all, register_all
from tomoni.documents import new_handle
from tomoni_federation.watches.settling import Settler


@pytest.fixture
async def watcher(desk):
    return await Watcher(desk).open()


@pytest.fixture
def settler(desk):
    return Settler(desk.federation.pool, timedelta(days=90), page=2, clock=lambda: desk.now)


@pytest.mark.parametrize(
    ("closed", "opened", "state", "reason"),
    [
        (
            "UPDATE mirror.log SET state = 'quarantined'",
            "UPDATE mirror.log SET state = 'open'",
            "quarantined",
            "issuer-quarantined",
        ),
        (
            "UPDATE projection.cursor SET halted = 'an entry'",
            "UPDATE projection.cursor SET halted = NULL",
            "halted",
            "issuer-halted",
        ),
        (
            "UPDATE projection.cursor SET unknown = true",
            "UPDATE projection.cursor SET unknown = false",
            "halted",
            "issuer-unknown-event",
        ),
    ],
)
async def test_an_issuer_that_cannot_be_trusted_is_told_of_before_each_of_its_documents_and_so_is_its_return(
    desk, watcher, settler, shibuya, setagaya, closed, opened, state, reason
):
    documents = [(shibuya, shibuya.issue()[1], str(number)) for number in range(5)]
    documents.append((setagaya, setagaya.issue()[1], "other"))
    await desk.hear(shibuya, setagaya)
    await watcher.add(*documents)
    pool = desk.federation.pool
    for statement in (closed, opened):
        await pool.execute(f"{statement} WHERE log = $1", shibuya.code)
        for _ in range(2):
            await settler.settle()
    stopped, *changes = await watcher.page(6)
    assert stopped == {
        "id": 7,
        "event": "issuer",
        "issuer": "131130",
        "state": state,
        "fresh_as_of": "2026-11-23T03:00:00Z",
    }
    assert sorted(one["reference"] for one in changes[:5]) == ["0", "1", "2", "3", "4"]
    assert {(one["status"], one.get("reason")) for one in changes[:5]} == {("unknown", reason)}
    assert (changes[5]["event"], changes[5]["state"]) == ("issuer", "live")
    assert sorted(one["reference"] for one in changes[6:]) == ["0", "1", "2", "3", "4"]
    assert {one["status"] for one in changes[6:]} == {"valid"}


async def test_silence_is_told_once_of_the_issuer_and_is_no_change_of_its_documents(
    desk, watcher, settler, shibuya, setagaya
):
    documents = [(shibuya, shibuya.issue()[1], str(number)) for number in range(5)]
    (_, other), after = setagaya.issue(), timedelta(hours=24)
    await desk.hear(shibuya, setagaya)
    await watcher.add(*documents, (setagaya, other, "other"))
    desk.now = NOW + after
    await settler.settle()
    assert (await watcher.told(6)) == []
    await desk.hear(setagaya, at=NOW + after)
    for later in (timedelta(seconds=1), timedelta(days=300)):
        desk.now = NOW + after + later
        await desk.federation.pool.execute(
            "UPDATE projection.cursor SET fresh_as_of = $1 WHERE log = $2", desk.now, setagaya.code
        )
        for _ in range(2):
            await settler.settle()
    assert await watcher.told(6) == [("131130", "silent")]
    assert (await watcher.page(6))[0]["fresh_as_of"] == "2026-11-23T03:00:00Z"
    assert (await desk.status(*documents[0][:2]))["status"] == "unknown"
    await desk.federation.pool.execute("UPDATE projection.cursor SET fresh_as_of = $1", desk.now)
    for _ in range(2):
        await settler.settle()
    assert await watcher.told(6) == [("131130", "silent"), ("131130", "live")]


async def test_of_an_issuer_only_those_are_told_who_watch_a_document_of_it(desk, watcher, settler, shibuya, setagaya):
    (_, here), (_, there) = shibuya.issue(), setagaya.issue()
    await desk.hear(shibuya, setagaya)
    second = await Watcher(desk, "aggregator", "second", prefecture="13").open()
    await watcher.add((shibuya, here, "a"))
    await second.add((shibuya, here, "a"), (setagaya, there, "b"))
    await second.remove("a")
    desk.now = NOW + timedelta(days=2)
    await settler.settle()
    assert await watcher.told(1) == [("131130", "silent")]
    assert await second.told(3) == [("131121", "silent")]


async def test_who_watches_an_issuer_that_stands_otherwise_than_live_is_told_so_first(desk, watcher, settler, shibuya):
    """Whoever comes back to an issuer is told what is new since, and never the same again."""
    (_, handle), osaka = shibuya.issue(), Town("271004")
    await desk.hear(shibuya)
    desk.now = NOW + timedelta(days=2)
    await watcher.add((shibuya, handle, "a"), (osaka, new_handle(), "nowhere"))
    await watcher.add((shibuya, new_handle(), "b"))
    assert await watcher.told() == [
        ("131130", "silent"),
        ("271004", "not-taking-part"),
        ("a", "valid"),
        ("nowhere", "unknown"),
        ("b", "not-found"),
    ]
    await watcher.remove("a", "b")
    await desk.federation.pool.execute("UPDATE projection.cursor SET fresh_as_of = $1", desk.now)
    await settler.settle()
    assert await watcher.told(7) == []
    await watcher.add((shibuya, handle, "a"))
    assert await watcher.told(7) == [("131130", "live"), ("a", "valid")]


async def test_what_is_unknown_already_is_no_news_of_the_document_but_its_issuers_stop_is(
    desk, watcher, settler, shibuya
):
    certificate, handle = shibuya.issue()
    shibuya.append(unknown_event(shibuya, f"certificate/{certificate}"))
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"))
    for state in ("quarantined", "suspended", "open"):
        await desk.federation.pool.execute("UPDATE mirror.log SET state = $1", state)
        await settler.settle()
    told = [("131130", "quarantined"), ("131130", "suspended"), ("131130", "live")]
    assert await watcher.told() == [("a", "unknown"), *told]


async def test_an_entry_that_comes_after_silence_brings_the_news_of_its_issuer_along(desk, watcher, settler, shibuya):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"))
    desk.now = NOW + timedelta(days=2)
    await settler.settle()
    desk.federation.now = desk.now
    shibuya.revoke(certificate)
    await desk.federation.receiver.heartbeats([shibuya.heartbeat(desk.now)])
    await desk.federation.take(*shibuya.messages())
    assert await watcher.told(1) == [("131130", "silent"), ("131130", "live"), ("a", "not-valid")]
    await settler.settle()
    assert len(await watcher.page(1)) == 3


async def test_issuers_that_stop_and_return_while_all_is_moving_are_told_in_turn_and_as_they_end(
    desk, shibuya, setagaya
):
    issued = [(town, [town.issue() for _ in range(12)]) for town in (shibuya, setagaya)]
    await desk.hear(shibuya, setagaya)
    watchers = [await Watcher(desk, subject=f"s{number}").open() for number in range(3)]
    settlers = [Settler(desk.federation.pool, timedelta(days=90), page=3, clock=lambda: desk.now) for _ in range(2)]

    async def settle(settler):
        for _ in range(20):
            await settler.settle()
            await asyncio.sleep(0.01)

    async def stop_and_return():
        for stopped in (True, False) * 10:
            await desk.federation.pool.execute(
                "UPDATE projection.cursor SET unknown = $1 WHERE log = '131130'", stopped
            )
            await asyncio.sleep(0.02)

    await asyncio.gather(
        stop_and_return(),
        change_all(desk.federation, issued),
        *(settle(each) for each in settlers),
        *(register_all(one, issued) for one in watchers),
    )
    await settlers[0].settle()
    for one in watchers:
        told = await one.told()
        states = [state for name, state in told if name == shibuya.code]
        assert states == (["halted", "live"] * len(states))[: len(states)]
        assert len(states) % 2 == 0
        assert not [state for name, state in told if name == setagaya.code]
        for number in range(12):
            assert dict(told)[f"131130-{number}"] == ("valid" if number % 2 else "not-valid")


async def test_what_was_told_while_an_issuer_was_closed_for_a_moment_is_put_right(desk, watcher, settler, shibuya):
    """The settler sees it open before and open after; what was told in between was not by it."""
    (_, first), (_, second) = shibuya.issue(), shibuya.issue()
    await desk.hear(shibuya)
    await watcher.add((shibuya, first, "a"))
    await settler.settle()
    pool = desk.federation.pool
    await pool.execute("UPDATE projection.cursor SET halted = 'an entry'")
    await watcher.add((shibuya, second, "b"))
    await pool.execute("UPDATE projection.cursor SET halted = NULL")
    await settler.settle()
    stopped, went_on = ("131130", "halted"), ("131130", "live")
    assert await watcher.told() == [("a", "valid"), stopped, ("b", "unknown"), went_on, ("b", "valid")]


async def test_an_issuer_that_is_admitted_after_it_was_watched_is_followed_from_then_on(desk, watcher, settler):
    town = Town("131130")
    certificate, handle = town.issue()
    await watcher.add((town, handle, "a"))
    await settler.settle()
    await desk.federation.admit(town)
    await desk.hear(town)
    await settler.settle()
    town.revoke(certificate)
    await desk.hear(town)
    assert await watcher.told() == [
        ("131130", "not-taking-part"),
        ("a", "unknown"),
        ("131130", "never-heard"),
        ("131130", "live"),
        ("a", "valid"),
        ("a", "not-valid"),
    ]


async def test_old_changes_are_forgotten_but_never_an_issuers_newest(desk, watcher, settler, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya)
    await watcher.add((shibuya, handle, "a"))
    pool = desk.federation.pool
    for state in ("quarantined", "suspended"):
        await pool.execute("UPDATE mirror.log SET state = $1", state)
        await settler.settle()
    await pool.execute("UPDATE watch.change SET at = $1", NOW)
    desk.now = NOW + timedelta(days=91)
    await settler.forget()
    state = [(one["event"], one.get("state") or one["status"]) for one in await watcher.page()]
    assert state == [("issuer", "suspended"), ("status", "valid")]

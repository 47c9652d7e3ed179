"""Quarantine: a file that convinces anybody, one issuer unknown and no other, and the way back with one branch."""

from datetime import date, timedelta

import pytest
import structlog.testing

from tests.evidence.making import forked_from
from tests.federation.quarantines import (
    CODE,
    admitted,
    convinced,
    readmit,
    renewed,
    require_equal_to_replay,
    written,
)
from tests.federation.test_statistics import OCTOBER, ask, issue, publish
from tests.federation.towns import NOW, Town, unknown_event
from tests.federation.watching import Watcher
from tomoni.eventlog import EventReader
from tomoni.events import decode_event
from tomoni.events import jurisdiction as j
from tomoni.evidence.form import EvidenceError
from tomoni_auditor.legality.reading import Reading
from tomoni_federation.intake.shrinking import PATIENCE
from tomoni_federation.watches.settling import Settler


async def fork(desk, town):
    other = forked_from(town, 2)
    other.issue()
    await desk.federation.take(other.checkpoint_message())


async def fork_within_a_heartbeat(desk, town):
    other = forked_from(town, town.size - 1)
    other.issue()
    await desk.federation.take(heartbeats=[other.heartbeat()])


async def an_entry_that_is_no_event(desk, town):
    town.append(b"no event")
    town.issue()
    await desk.federation.take(*town.messages())


async def an_end_of_nothing(desk, town):
    town.revoke("00000000-0000-4000-8000-000000000000")
    await desk.federation.take(*town.messages())


async def a_version_left_out(desk, town):
    certificate, _ = town.issue()
    town.issue()
    town.append(unknown_event(town, "scheme"))
    town.versions[f"certificate/{certificate}"] = 2
    town.revoke(certificate)
    await desk.federation.take(*town.messages())


async def a_version_said_twice(desk, town):
    certificate, _ = town.issue()
    town.revoke(certificate)
    town.versions[f"certificate/{certificate}"] = 1
    town.reinstate(certificate)
    await desk.federation.take(*town.messages())


async def a_certificate_issued_again(desk, town):
    certificate, _ = town.issue()
    town.revoke(certificate)
    data = {"kind": "partnership", "document": "ab" * 32, "certified_on": date(2026, 1, 1)}
    town.append(town.event(j.CertificateIssued, j.CertificateIssuedData, f"certificate/{certificate}", **data))
    await desk.federation.take(*town.messages())


async def shrinking(desk, town):
    for minute in range(0, PATIENCE // timedelta(minutes=1) + 1, 5):
        desk.federation.now = NOW + timedelta(minutes=30 + minute)
        await desk.federation.take(heartbeats=[town.heartbeat(desk.federation.now, town.size - 1)])


CRIMES = {
    fork: "fork",
    fork_within_a_heartbeat: "fork",
    an_entry_that_is_no_event: "illegal-entry",
    an_end_of_nothing: "missing",
    a_version_left_out: "missing",
    a_version_said_twice: "repeated",
    a_certificate_issued_again: "repeated",
    shrinking: "shrinking",
}


@pytest.mark.parametrize("crime", CRIMES)
async def test_the_file_convinces_by_the_towns_keys_and_only_that_issuer_is_unknown(desk, crime):
    guilty, *others = [await admitted(desk, code) for code in (CODE, "131121", "131148")]
    towns = [guilty, *others]
    for town in towns:
        issue(town, 12, date(2025, 10, 5))
    handles = [town.issue()[1] for town in towns]
    for town in towns:
        town.declare(*(one.code for one in towns if one is not town))
    await desk.hear(*towns)
    watcher = await Watcher(desk).open()
    await watcher.add(*[(town, handle, town.code) for town, handle in zip(towns, handles, strict=True)])
    seen = len(await watcher.told())

    await crime(desk, guilty)

    assert await desk.office.record_evidence() == 1
    [file] = await written(desk)
    found = convinced(file, guilty)
    answer = await desk.get(f"/v1/jurisdictions/{CODE}/evidence/{found.evidence}", "auditor")
    assert (answer.status_code, answer.content) == (200, file)
    assert (await desk.get(f"/v1/jurisdictions/131121/evidence/{found.evidence}", "auditor")).status_code == 404
    if found.position is not None:
        with Reading(guilty.origin) as reading:  # the auditor's own rules, written apart
            for position, entry in enumerate(guilty.entries):
                reading.take(position, entry)
            assert reading.first_illegal().position == found.position
    assert (found.kind, found.origin) == (CRIMES[crime], guilty.origin)
    assert decode_event((await EventReader(desk.federation.pool).read(0))[-1].data).data.evidence == found.evidence
    with pytest.raises(EvidenceError):
        convinced(file, others[0])
    await desk.federation.take(heartbeats=[town.heartbeat() for town in towns])
    await require_others_untouched(desk, towns, handles)
    settler = Settler(desk.federation.pool, timedelta(days=90), clock=lambda: desk.now)
    for _ in range(3):
        await settler.settle()
    assert set(await watcher.told(seen)) == {(CODE, "quarantined"), (CODE, "unknown")}


async def require_others_untouched(desk, towns, handles):
    """Ask everything there is to ask; the first town's answers are unknown."""
    statuses = [await desk.status(town, handle) for town, handle in zip(towns, handles, strict=True)]
    assert [one["status"] for one in statuses] == ["unknown", "valid", "valid"]
    assert statuses[0]["reason"] == "issuer-quarantined"
    documents = [{"issuer": town.code, "handle": handle} for town, handle in zip(towns, handles, strict=True)]
    batch = await desk.post("/v1/status/batch", {"purpose": "counter", "documents": documents}, "verifier")
    assert [one["status"] for one in batch.json()["answers"]] == ["unknown", "valid", "valid"]
    guilty, one, other = towns
    asked = [(guilty, handles[0], one), (one, handles[1], guilty), (one, handles[1], other), (other, handles[2], one)]
    decisions = [(await desk.recognition(*each))["decision"] for each in asked]
    assert decisions == ["unknown", "unknown", "recognised", "recognised"]
    await publish(desk, OCTOBER)
    states = {one["code"]: one["state"] for one in (await ask(desk))["issuers"]}
    assert states == {CODE: "missing", "131121": "counted", "131148": "counted"}


async def test_what_no_signature_of_the_town_proves_accuses_nobody_and_is_an_alarm(desk):
    """A town readmitted with a new key, whose node holds another history than it was readmitted with."""
    town = await admitted(desk)
    for _ in range(3):
        town.issue()
    await desk.hear(town)
    await desk.post(f"/v1/jurisdictions/{CODE}/suspend", {}, "secretariat")
    renewed = Town(CODE, entries=list(town.entries[:2]))
    renewed.issue()
    assert (await readmit(desk, renewed)).status_code == 200
    with structlog.testing.capture_logs() as lines:
        received = await desk.federation.take(renewed.checkpoint_message())
    assert (received.contradicted, await desk.federation.state(town)) == ((), "open")
    assert [one["event"] for one in lines] == ["evidence_does_not_convince", "root_mismatch"]
    assert await written(desk) == []


async def test_an_illegal_entry_that_evidence_cannot_show_halts_its_log_and_accuses_nobody(desk):
    """An event about the whole log, of a type that is not known, may have changed what the versions count."""
    town = await admitted(desk)
    _, handle = town.issue()
    town.append(town.event(j.SchemeClosed, j.SchemeClosedData, "scheme", closes_on=date(2026, 1, 1)))
    town.append(unknown_event(town, None))
    town.append(town.event(j.SchemeClosed, j.SchemeClosedData, "scheme", version=5, closes_on=date(2026, 1, 1)))
    await desk.hear(town)
    assert await desk.federation.state(town) == "open"
    assert (await desk.federation.cursor(town))["position"] == 3
    assert (await desk.status(town, handle))["reason"] == "issuer-halted"


async def test_a_machine_that_was_restored_and_stops_by_itself_is_not_accused(desk):
    town = await admitted(desk)
    for _ in range(3):
        town.issue()
    await desk.hear(town)
    for hours in (1, 2, 30):  # three accidents, and each time it learns from the hub how far it was
        for minutes in (0, 1):
            desk.federation.now = NOW + timedelta(hours=hours, minutes=minutes)
            with structlog.testing.capture_logs() as lines:
                await desk.federation.take(heartbeats=[town.heartbeat(desk.federation.now, 2)])
            assert [one["event"] for one in lines] == ["log_shrinks"] * (minutes == 0)
        await desk.federation.take(heartbeats=[town.heartbeat(desk.federation.now)])
    assert await desk.federation.state(town) == "open"


async def test_a_clone_beside_the_living_machine_is_accused_though_that_one_goes_on(desk):
    town = await admitted(desk)
    for _ in range(3):
        town.issue()
    await desk.hear(town)
    for minute in range(1, 18):
        for second, size in ((0, 3), (30, 2)):
            desk.federation.now = at = NOW + timedelta(minutes=minute, seconds=second)
            await desk.federation.take(heartbeats=[town.heartbeat(at, size)])
    assert await desk.federation.state(town) == "quarantined"
    [file] = await written(desk)
    assert convinced(file, town).sizes == (3, 2)


async def test_heartbeats_of_entries_still_on_their_way_and_of_a_wrong_clock_accuse_nobody(desk):
    town = await admitted(desk)
    for _ in range(3):
        town.issue()
    await desk.federation.take(*town.messages(0, 2))
    for minute in range(60):  # each covers what was there a moment ago, and the clock goes back and forth
        desk.federation.now = NOW + timedelta(minutes=minute)
        wrong = timedelta(hours=minute % 7 - 6)
        await desk.federation.take(heartbeats=[town.heartbeat(desk.federation.now + wrong, town.size - 1)])
        town.issue()
        await desk.federation.take(*town.messages(town.size - 2))
    assert await desk.federation.state(town) == "open"
    assert await desk.federation.pool.fetchval("SELECT count(*) FROM mirror.shrunk") == 0


async def test_evidence_stays_whole_after_the_entries_that_it_needs_have_left_the_history(desk):
    town = await admitted(desk)
    town.issue()
    await desk.hear(town)
    certificate, _ = town.issue()
    town.issue()
    town.versions[f"certificate/{certificate}"] = 3
    town.revoke(certificate)
    await desk.hear(town)
    assert await desk.office.record_evidence() == 1
    before = await written(desk)
    back = renewed(town)
    back.entries = town.entries[:1]
    assert (await readmit(desk, back, from_size=1)).status_code == 200
    for _ in range(3):
        back.issue()
    await desk.hear(back)
    assert await written(desk) == before
    assert convinced(before[0], town).position == 3
    await require_equal_to_replay(desk, back)


async def test_after_a_readmission_from_an_earlier_size_a_shorter_log_does_not_shrink(desk):
    town = await admitted(desk)
    for _ in range(2):
        town.issue()
    await desk.hear(town)
    for _ in range(3):
        town.issue()
    await desk.hear(town)
    desk.federation.now = NOW + timedelta(minutes=1)
    await desk.federation.take(heartbeats=[town.heartbeat(desk.federation.now, 4)])
    assert await desk.federation.pool.fetchval("SELECT count(*) FROM mirror.shrunk") == 1
    await desk.post(f"/v1/jurisdictions/{CODE}/suspend", {"from_size": 2}, "secretariat")
    town.entries = town.entries[:2]
    assert (await readmit(desk, town)).status_code == 200  # with the same keys: the machine is trusted
    town.issue()
    await desk.federation.take(*town.messages())
    for minute in range(30):  # its heartbeats have not come to the new entry yet
        desk.federation.now = NOW + timedelta(hours=1, minutes=minute)
        await desk.federation.take(heartbeats=[town.heartbeat(desk.federation.now, 2)])
    assert await desk.federation.state(town) == "open"
    assert await desk.federation.pool.fetchval("SELECT count(*) FROM mirror.shrunk") == 0

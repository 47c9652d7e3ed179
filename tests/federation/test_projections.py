import asyncio
import uuid
from datetime import date
from typing import get_args

import asyncpg
import msgspec
import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.federation.towns import FEDERATION, Town, unknown_event
from tomoni.events import JurisdictionEvent, encode_event
from tomoni.events import federation as f
from tomoni.events import jurisdiction as j
from tomoni.events.canonical import encode
from tomoni.history.fold import _HANDLERS, Prior, decode, fold, needs
from tomoni.tlog.merkle import leaf_hash
from tomoni.tlog.note import Signer, generate_signer
from tomoni_federation.projections import sql
from tomoni_federation.projections.digest import digest
from tomoni_federation.projections.project import Behind, Projector, share


@pytest.fixture
def town():
    return Town("131130")


def folded(town: Town, prior=None):
    return fold(town.code, town.origin, decode(enumerate(town.entries)), prior or Prior())


def test_every_event_of_a_jurisdictions_log_has_a_handler():
    assert set(_HANDLERS) == set(get_args(JurisdictionEvent))


async def test_a_life_is_projected_to_its_rows(federation, town):
    certificate, _ = town.issue(conditional_until=date(2026, 7, 1))
    town.append(
        town.event(
            j.CertificateConfirmed,
            j.CertificateConfirmedData,
            f"certificate/{certificate}",
            confirmed_on=date(2026, 6, 1),
        )
    )
    town.reissue(certificate)
    town.revoke(certificate)
    town.append(
        town.event(
            j.CertificateCorrected,
            j.CertificateCorrectedData,
            f"certificate/{certificate}",
            certified_on=date(2026, 4, 2),
            conditional_until=date(2026, 7, 2),
            effective_on=date(2026, 5, 2),
        )
    )
    town.append(town.event(j.CertificateErased, j.Data, f"certificate/{certificate}"))
    await federation.admit(town)
    await federation.take(*town.messages())
    row = await federation.pool.fetchrow("SELECT * FROM projection.certificate")
    assert (str(row["certificate"]), row["version"], row["effect"]) == (certificate, 6, "ended")
    assert (row["certified_on"], row["effective_on"]) == (date(2026, 4, 2), date(2026, 5, 2))
    assert (row["conditional_until"], row["confirmed_on"]) == (date(2026, 7, 2), date(2026, 6, 1))
    assert row["document"].hex() == town.documents[certificate]
    assert (row["first_position"], row["last_position"]) == (0, 5)
    assert await federation.pool.fetchval("SELECT count(*) FROM projection.document") == 2
    assert (await federation.cursor(town))["position"] == 6


async def test_rows_and_cursor_agree_when_events_come_one_by_one_or_all_at_once(federation, town):
    other = Town("131121")
    for one in (town, other):
        certificate, _ = one.issue()
        one.reissue(certificate)
        one.revoke(certificate)
        one.reinstate(certificate)
        one.withdraw(one.declare("141003"))
    one_by_one = [(one, n) for n in range(6) for one in (town, other)]
    await federation.admit(town, other)
    for one, position in one_by_one:
        await federation.take(*one.messages(position, position + 1))
    slowly = await digest_of(federation)
    await forget(federation, town, other)
    await federation.projector.catch_up()
    assert await digest_of(federation) == slowly
    assert (await federation.cursor(other))["position"] == 6


async def digest_of(federation) -> str:
    async with federation.pool.acquire() as connection, connection.transaction():
        return await digest(connection)


async def forget(federation, *towns):
    for town in towns:
        for table in ("certificate", "document", "arrangement", "membership", "stream", "position"):
            await federation.pool.execute(f"DELETE FROM projection.{table} WHERE log = $1", town.code)
        await federation.pool.execute("UPDATE projection.cursor SET position = 0 WHERE log = $1", town.code)


def history(town: Town, steps) -> dict[int, list[Signer]]:
    """Append what happens in a town, and return who signs at which size: both keys over a rotation."""
    certificates, signers = [], {0: [town.log_key]}
    for step in steps:
        match step:
            case "issue":
                certificates.append(town.issue()[0])
            case "reissue" if certificates:
                town.reissue(certificates[-1])
            case "revoke" if certificates:
                town.revoke(certificates.pop())
            case "declare":
                town.declare("271004")
            case "rotate":
                old = town.rotate()
                signers |= {town.size: [old, town.log_key], town.size + 1: [town.log_key]}
            case "unknown":
                town.append(unknown_event(town, f"certificate/{uuid.uuid4()}"))
            case _:
                pass
    return signers


STEPS = st.lists(st.sampled_from(["issue", "reissue", "revoke", "declare", "rotate", "unknown"]), max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories=st.lists(STEPS, min_size=2, max_size=3), data=st.data())
async def test_any_interleaving_of_logs_gives_the_same_rows(federation, histories, data):
    towns = [Town(f"{uuid.uuid4().int % 10**6:06d}") for _ in histories]
    await federation.admit(*towns)
    signers = {town.code: history(town, steps) for town, steps in zip(towns, histories, strict=True)}
    turns = data.draw(st.permutations([town for town in towns for _ in town.entries]))
    cuts = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    sent, pending = dict.fromkeys([town.code for town in towns], 0), []
    for number, town in enumerate(turns):
        position = sent[town.code]
        signing = signers[town.code]
        by = signing[max(size for size in signing if size <= position + 1)]
        pending += [town.entry_message(position), town.checkpoint_message(position + 1, signers=by)]
        sent[town.code] += 1
        if number % cuts[number % len(cuts)] == 0:
            await federation.take(*pending)
            pending = []
    if pending:
        await federation.take(*pending)
    interleaved = await digest_of(federation)
    await forget(federation, *towns)
    small = Projector(federation.pool, FEDERATION, budget=2)
    await small.catch_up()
    assert await digest_of(federation) == interleaved


ILLEGAL = {
    "another source": lambda town: town.event(
        j.SchemeClosed, j.SchemeClosedData, "scheme", source=f"{FEDERATION}/131121", closes_on=date(2026, 1, 1)
    ),
    "a version too high": lambda town: town.event(
        j.SchemeClosed, j.SchemeClosedData, "scheme", version=2, closes_on=date(2026, 1, 1)
    ),
    "a first version too high": lambda town: town.event(
        j.CertificateIssued,
        j.CertificateIssuedData,
        f"certificate/{uuid.uuid4()}",
        version=2,
        kind="partnership",
        document="ab" * 32,
        certified_on=date(2026, 1, 1),
    ),
    "another noun": lambda town: town.event(
        j.SchemeClosed, j.SchemeClosedData, f"certificate/{uuid.uuid4()}", closes_on=date(2026, 1, 1)
    ),
    "no identity": lambda town: town.event(j.CertificateErased, j.Data, "certificate/x"),
    "an end of nothing": lambda town: town.event(j.CertificateErased, j.Data, f"certificate/{uuid.uuid4()}"),
    "an event of the federation": lambda town: town.event(
        f.JurisdictionSuspended, f.JurisdictionSuspendedData, "jurisdiction/131130", from_size=0
    ),
    "a key of another log": lambda town: town.event(
        j.KeyRotated, j.KeyRotatedData, "key", log_key=generate_signer(f"{FEDERATION}/131121").vkey
    ),
    "not an event": lambda _: b"\x00",
    "white space": lambda town: (
        encode_event(town.event(j.SchemeClosed, j.SchemeClosedData, "scheme", closes_on=date(2026, 1, 1))) + b" "
    ),
    "a field of its own": lambda town: encode(
        msgspec.json.decode(
            encode_event(town.event(j.SchemeClosed, j.SchemeClosedData, "scheme", closes_on=date(2026, 1, 1)))
        )
        | {"extra": 1}
    ),
}


@pytest.mark.parametrize("name", sorted(ILLEGAL))
async def test_a_proven_entry_that_is_no_legal_event_is_evidence_and_quarantines_its_log_alone(federation, town, name):
    other = Town("131121")
    town.issue()
    town.append(ILLEGAL[name](town))
    town.issue()
    other.issue()
    await federation.admit(town, other)
    await federation.take(*town.messages(), *other.messages())
    evidence = await federation.pool.fetchrow("SELECT * FROM mirror.evidence")
    assert (evidence["log"], evidence["position"], evidence["leaf"]) == (town.code, 1, leaf_hash(town.entries[1]))
    assert (await federation.state(town), await federation.state(other)) == ("quarantined", "open")
    assert (await federation.cursor(town))["position"] == 1
    assert (await federation.cursor(other))["position"] == 1


def revoked_twice(town, certificate):
    town.revoke(certificate)
    town.revoke(certificate)


def replacing_another(town, certificate):
    town.documents[certificate] = "ab" * 32
    town.reissue(certificate)


def with_a_document_of_another(town, certificate):
    document = town.documents[certificate]
    town.append(
        town.event(
            j.CertificateIssued,
            j.CertificateIssuedData,
            f"certificate/{uuid.uuid4()}",
            kind="partnership",
            document=document,
            certified_on=date(2026, 1, 1),
        )
    )


def correcting_no_end(town, certificate):
    town.append(
        town.event(
            j.CertificateCorrected,
            j.CertificateCorrectedData,
            f"certificate/{certificate}",
            certified_on=date(2026, 1, 1),
            effective_on=date(2026, 1, 1),
        )
    )


def withdrawn_twice(town, _):
    arrangement = town.declare("141003")
    town.withdraw(arrangement)
    town.withdraw(arrangement)


@pytest.mark.parametrize(
    "mishap",
    [
        revoked_twice,
        replacing_another,
        with_a_document_of_another,
        correcting_no_end,
        withdrawn_twice,
        lambda town, certificate: town.reinstate(certificate),
    ],
)
async def test_an_entry_that_proves_but_does_not_fit_stops_its_log_loudly_and_alone(federation, town, mishap):
    other = Town("131121")
    certificate, _ = town.issue()
    mishap(town, certificate)
    wrong = town.size - 1
    town.issue()
    other.issue()
    await federation.admit(town, other)
    await federation.take(*town.messages(), *other.messages())
    cursor = await federation.cursor(town)
    assert (cursor["position"], cursor["halted"] is not None) == (wrong, True)
    assert (await federation.state(town), (await federation.cursor(other))["position"]) == ("open", 1)
    assert await federation.pool.fetchval("SELECT count(*) FROM projection.certificate WHERE log = $1", town.code) == 1
    started = Projector(federation.pool, FEDERATION)
    for tries in (1, 0):  # each start gives it another try
        with structlog.testing.capture_logs() as lines:
            await started.step()
        assert [line["position"] for line in lines] == [wrong] * tries
        assert (await federation.cursor(town))["halted"] is not None


async def test_an_unknown_event_makes_its_certificate_unknown_for_good(federation, town):
    certificate, _ = town.issue()
    town.append(unknown_event(town, f"certificate/{certificate}"))
    town.versions[f"certificate/{certificate}"] = 2
    town.revoke(certificate)
    town.issue()
    await federation.admit(town)
    await federation.take(*town.messages())
    rows = await federation.pool.fetch("SELECT unknown, effect FROM projection.certificate ORDER BY first_position")
    assert [tuple(row) for row in rows] == [(True, None), (False, None)]
    cursor = await federation.cursor(town)
    assert (cursor["missing_unknown"], cursor["unknown"]) == (True, False)


async def test_a_certificate_first_heard_of_in_an_unknown_event_is_unknown_and_no_fault(federation, town):
    certificate = str(uuid.uuid4())
    town.append(unknown_event(town, f"certificate/{certificate}"))
    await federation.admit(town)
    await federation.take(*town.messages())
    town.versions[f"certificate/{certificate}"] = 1
    town.revoke(certificate)
    issued = town.event(
        j.CertificateIssued,
        j.CertificateIssuedData,
        f"certificate/{certificate}",
        kind="partnership",
        document="ab" * 32,
        certified_on=date(2026, 1, 1),
    )
    town.append(issued)
    await federation.take(*town.messages(1))
    assert await federation.pool.fetchval("SELECT unknown FROM projection.certificate") is True
    assert await federation.state(town) == "open"


@pytest.mark.parametrize("together", [True, False])
async def test_a_certificate_issued_after_an_unknown_event_about_it_is_unknown_and_others_are_not(
    federation, town, together
):
    """Whether an event of an unknown type counts in the versions of its stream is not known either."""
    certificate, _ = town.issue()
    issued = town.entries.pop()
    town.append(unknown_event(town, f"certificate/{certificate}"))
    town.append(issued)
    town.issue()
    await federation.admit(town)
    if not together:
        await federation.take(*town.messages(0, 1))
    await federation.take(*town.messages())
    unknown = await federation.pool.fetch("SELECT unknown FROM projection.certificate ORDER BY first_position")
    assert [row["unknown"] for row in unknown] == [True, False]


@pytest.mark.parametrize("subject", [None, "key"])
async def test_an_unknown_event_about_the_log_or_its_keys_makes_the_whole_log_unknown(federation, town, subject):
    town.append(unknown_event(town, subject))
    await federation.admit(town)
    await federation.take(*town.messages())
    assert (await federation.cursor(town))["unknown"] is True


async def test_an_unknown_event_about_an_arrangement_makes_that_one_unknown(federation, town):
    arrangement = town.declare("131121")
    town.append(unknown_event(town, f"arrangement/{arrangement}"))
    town.withdraw(arrangement)
    town.append(unknown_event(town, "arrangement/" + str(uuid.uuid4())))
    await federation.admit(town)
    await federation.take(*town.messages())
    assert await federation.pool.fetchval("SELECT count(*) FROM projection.stream WHERE unknown") == 2
    assert (await federation.cursor(town))["halted"] is None


@pytest.mark.parametrize("subject", ["scheme\0", "scheme/" + "".join(str(uuid.uuid4()) for _ in range(500))])
async def test_a_subject_that_cannot_be_stored_stops_its_own_log_alone(federation, town, subject):
    other = Town("131121")
    other.issue()
    await federation.admit(town, other)
    town.append(unknown_event(town, subject))
    await federation.take(*town.messages(), *other.messages())
    assert (await federation.cursor(other))["position"] == 1
    assert await federation.state(town) == "quarantined"


async def test_evidence_that_could_not_be_stored_is_stored_with_the_next_step(federation, town):
    town.append(b"no event")
    await federation.admit(town)
    await federation.receiver.events(town.messages())
    await federation.as_owner("ALTER TABLE mirror.evidence RENAME TO away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await federation.projector.step()
    await federation.as_owner("ALTER TABLE mirror.away RENAME TO evidence")
    assert await federation.projector.step() == 1
    assert await federation.state(town) == "quarantined"
    assert await federation.projector.step() == 0


async def remove_from_mirror(federation, town, *positions) -> list:
    """Delete rows as an intruder would; return what puts them back."""
    rows = await federation.pool.fetch(
        "SELECT * FROM mirror.entry WHERE log = $1 AND position = ANY($2)", town.code, positions
    )
    listed = ", ".join(map(str, positions))
    await federation.as_owner(
        f"SET tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE log = '{town.code}' AND position IN ({listed})"
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("missing", [(0,), (1,), (1, 3), (4,)])
async def test_entries_missing_from_the_mirror_stop_their_log_alone_until_they_are_there_again(
    federation, town, missing
):
    other = Town("131121")
    certificate, _ = town.issue()
    for _ in range(3):
        town.issue()
    town.revoke(certificate)
    other.issue()
    await federation.admit(town, other)
    await federation.receiver.events([*town.messages(), *other.messages()])
    rows = await remove_from_mirror(federation, town, *missing)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await federation.projector.catch_up()
    stopped = [(one["event"], one["log_level"], one["code"], one["position"]) for one in lines]
    assert stopped == [("log_stopped", "error", town.code, missing[0])]
    other.issue()
    await federation.take(*other.messages(1))
    assert (await federation.cursor(other))["position"] == 2
    for number, row in enumerate(rows, 1):
        cursor = await federation.cursor(town)
        assert (cursor["position"], cursor["halted"]) == (missing[number - 1], sql.GAP)
        await federation.pool.execute("INSERT INTO mirror.entry SELECT $1, $2, $3, $4", *row)
        await federation.projector.catch_up()
    cursor = await federation.cursor(town)
    assert (cursor["position"], cursor["halted"]) == (5, None)
    effects = await federation.pool.fetch("SELECT effect FROM projection.certificate WHERE effect IS NOT NULL")
    assert [row["effect"] for row in effects] == ["ended"]


async def test_a_log_that_is_taken_back_while_its_cursor_is_waited_for_lacks_nothing(federation, town):
    """The statement that waits for the cursor sees the proven size as it was before it waited."""
    town.issue()
    town.issue()
    await federation.admit(town)
    await federation.receiver.events([*town.messages(0, 1), *town.messages(1)])
    (leaf,) = await federation.pool.fetchrow("SELECT leaf FROM mirror.entry WHERE position = 0")
    async with federation.pool.acquire() as taking_back:
        async with taking_back.transaction():
            await taking_back.execute("SELECT mirror.disown($1, 1, $2)", town.code, leaf)
            await taking_back.execute("SELECT projection.forget_beyond($1, 1)", town.code)
            waiting = asyncio.create_task(federation.projector.catch_up())
            while not await federation.pool.fetchval(WAITS):
                await asyncio.sleep(0.01)
        await waiting
    cursor = await federation.cursor(town)
    assert (cursor["position"], cursor["halted"]) == (1, None)


WAITS = """
SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


async def test_an_illegal_entry_whose_proof_has_a_gap_stops_nobody_else_and_is_accused_once_it_can_be(federation, town):
    other = Town("131121")
    for one in (town, other):
        one.issue()
    town.append(b"no event")
    await federation.admit(town, other)
    await federation.receiver.events(town.messages())
    kept = await federation.pool.fetchrow("SELECT * FROM mirror.checkpoint")
    await federation.as_owner("DELETE FROM mirror.checkpoint")
    await federation.projector.catch_up()
    cursor = await federation.cursor(town)
    assert (cursor["position"], cursor["halted"] is None) == (1, False)
    await federation.take(*other.messages())
    assert (await federation.cursor(other))["position"] == 1
    assert await federation.state(town) == "open"
    await federation.pool.execute("INSERT INTO mirror.checkpoint SELECT $1, $2, $3, $4, $5, $6, $7", *kept)
    again = Projector(federation.pool, FEDERATION)
    await again.start()
    await again.catch_up()
    assert await federation.state(town) == "quarantined"


async def test_the_running_role_cannot_change_or_remove_what_is_proven(federation, town):
    town.issue()
    await federation.admit(town)
    await federation.take(*town.messages())
    for statement in (
        "UPDATE mirror.entry SET data = 'x'",
        "DELETE FROM mirror.entry",
        "TRUNCATE mirror.entry",
        "UPDATE mirror.checkpoint SET note = 'x'",
        "DELETE FROM mirror.checkpoint",
    ):
        with pytest.raises(Exception, match="permission denied"):
            await federation.pool.execute(statement)
    for statement in ("UPDATE mirror.entry SET data = 'x'", "DELETE FROM mirror.entry", "TRUNCATE mirror.entry"):
        with pytest.raises(Exception, match="append-only"):
            await federation.as_owner(statement)


def test_no_log_waits_because_another_has_a_long_history():
    extents = (("a", 0, 10**6), ("b", 5, 7), ("c", 0, 30))
    behind = [Behind(*extent, missing_unknown=False) for extent in extents]
    shares = {one.log: one.high - one.low for one in share(behind, 100)}
    assert shares == {"a": 68, "b": 2, "c": 30}


def test_needs_names_every_row_that_folding_reads(town):
    certificate, _ = town.issue()
    town.reissue(certificate)
    arrangement = town.declare("131121")
    certificates, documents, streams = needs(decode(enumerate(town.entries)), new_too=True)
    assert (certificates, len(documents), streams) == ({certificate}, 2, {f"arrangement/{arrangement}"})


def test_what_an_issue_makes_is_read_beforehand_only_when_asked_for(town):
    town.issue()
    assert needs(decode(enumerate(town.entries)), new_too=False) == (set(), set(), set())
    assert [len(one) for one in needs(decode(enumerate(town.entries)), new_too=True)] == [1, 1, 0]


async def test_what_was_issued_in_an_earlier_step_is_found_when_it_is_issued_again(federation, town):
    other, third = Town("131121"), Town("131148")
    certificate, _ = town.issue()
    document = other.documents[other.issue()[0]]
    await federation.admit(town, other, third)
    await federation.take(*town.messages(), *other.messages())
    fields = {"kind": "partnership", "certified_on": date(2026, 1, 1)}
    issued = (j.CertificateIssued, j.CertificateIssuedData)
    town.append(town.event(*issued, f"certificate/{certificate}", version=1, document="ab" * 32, **fields))
    other.append(other.event(*issued, f"certificate/{uuid.uuid4()}", document=document, **fields))
    third.issue()
    await federation.take(*town.messages(1), *other.messages(1), *third.messages())
    assert (await federation.state(town), await federation.state(other)) == ("quarantined", "open")
    assert (await federation.cursor(other))["halted"] == "two documents cannot have one hash"
    assert [(await federation.cursor(one))["position"] for one in (town, other, third)] == [1, 1, 1]


def test_nothing_of_an_event_that_does_not_fit_is_kept(town):
    certificate, _ = town.issue()
    town.revoke(certificate)
    correcting_no_end_of = town.event(
        j.CertificateCorrected,
        j.CertificateCorrectedData,
        f"certificate/{certificate}",
        effective_on=date(2026, 1, 1),
        conditional_until=date(2026, 1, 1),
    )
    town.append(correcting_no_end_of)
    changes = folded(town)
    assert changes.fault is not None
    assert changes.new_certificates[certificate].effective_on == date(2026, 5, 1)

"""Replaying a log from a folder: the state at any position and on any day is the federation's read model of then."""

import random
import tracemalloc
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.auditor.archives import write_files, write_mirror, write_town
from tests.federation.test_projections import ILLEGAL, STEPS, history
from tests.federation.towns import FEDERATION, Town, unknown_event
from tomoni.events import jurisdiction as j
from tomoni.history import fold
from tomoni.history.rows import TABLES, Parts
from tomoni.tlog.cosignature import generate_cosigner
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.replay.moments import size_on
from tomoni_auditor.replay.replaying import replayed
from tomoni_auditor.verify.sources import SourceError
from tomoni_federation.auditing import sql


@pytest.fixture
def town():
    return Town("131130")


@pytest.fixture
def receipts():
    return generate_cosigner(f"{FEDERATION}/receipts")


def digests(state):
    found = {}
    for name, table in TABLES.items():
        parts = Parts(table)
        for row in state.rows(table):
            parts.add(row)
        found[name] = parts.digests()
    return found


async def live_digests(federation, town):
    return {
        name: {row["part"]: row["digest"] for row in await federation.pool.fetch(query, town.code)}
        for name, query in sql.DIGESTS.items()
    }


def varied(town: Town, chance: random.Random) -> None:
    """Append everything that leaves a row: a year of a town's life, in any order."""
    certificate, _ = town.issue(conditional_until=date(2026, 7, 1))
    town.append(
        town.event(
            j.CertificateConfirmed, j.CertificateConfirmedData, f"certificate/{certificate}", confirmed_on=date(1, 1, 1)
        )
    )
    for _ in range(chance.randint(0, 3)):
        town.reissue(certificate)
    town.revoke(certificate, effective_on=date(9999, 12, 31))
    if chance.random() < 0.5:
        town.reinstate(certificate)
    town.withdraw(town.declare("131121", "271004", conditions=("identity-document",), precedence=7))
    town.append(town.event(j.NetworkJoined, j.NetworkMembershipData, "network/national", effective_on=date(2026, 1, 1)))
    town.append(town.event(j.NetworkLeft, j.NetworkMembershipData, "network/national", effective_on=date(2026, 9, 1)))
    if chance.random() < 0.5:
        town.append(unknown_event(town, f"certificate/{certificate}"))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(0, 2**16), wrong=st.sampled_from([None, *sorted(ILLEGAL)]))
async def test_a_replay_to_any_position_is_the_read_model_at_that_position(federation, tmp_path, steps, seed, wrong):
    town, chance = Town(f"{uuid.uuid4().int % 10**6:06d}"), random.Random(seed)
    await federation.admit(town)
    signers = history(town, steps)
    varied(town, chance)
    if wrong is not None:
        town.append(ILLEGAL[wrong](town))
        town.issue()
    folder = LogFolder(write_town(tmp_path, town) / town.code)
    for size in range(town.size + 1):
        if size > 0:
            by = signers[max(one for one in signers if one <= size)]
            await federation.take(town.entry_message(size - 1), town.checkpoint_message(size, signers=by))
        cursor = await federation.cursor(town)
        with replayed(folder, town.code, size) as own:
            assert (own.position, own.fault is not None) == (cursor["position"], cursor["halted"] is not None)
            assert (own.unknown, own.missing_unknown) == (cursor["unknown"], cursor["missing_unknown"])
            assert digests(own.state) == await live_digests(federation, town)
        if own.fault is not None:
            break


async def test_a_replay_to_each_day_of_a_mixed_history_is_the_read_model_of_that_day(federation, tmp_path):
    chance, towns = random.Random(7), [Town("131130"), Town("131121")]
    await federation.admit(*towns)
    evening = datetime(2026, 11, 20, 14, 59, 59, tzinfo=UTC)  # the last second of the day in Japan
    days = [date(2026, 11, 20) + timedelta(days=number) for number in range(5)]
    then = {}
    for number, day in enumerate(days):
        for hours in (-9, 0):
            federation.now = evening + timedelta(days=number, hours=hours)
            for town in (
                chance.sample(towns, chance.randint(1, 2)) if number else towns
            ):  # some days pass without a word
                size = town.size
                varied(town, chance)
                await federation.take(*town.messages(size))
        then[day] = {town.code: await live_digests(federation, town) for town in towns}
    folder = await write_mirror(tmp_path, federation, *towns)
    for day in days:
        for town in towns:
            log = LogFolder(folder / town.code)
            with replayed(log, town.code, size_on(log, town.code, day)) as own:
                assert digests(own.state) == then[day][town.code]
    assert len({str(each) for each in then.values()}) == len(days)


def test_a_log_larger_than_a_portion_is_the_same_state_as_in_one_piece(tmp_path, town, monkeypatch):
    for _ in range(5):
        varied(town, random.Random(town.size))
    folder = LogFolder(write_town(tmp_path, town) / town.code)
    with replayed(folder, town.code) as whole:
        expected = digests(whole.state)
    monkeypatch.setattr("tomoni_auditor.replay.replaying._ENTRIES", 3)
    with replayed(folder, town.code) as own:
        assert digests(own.state) == expected


def test_a_size_beyond_the_folders_log_is_refused(tmp_path, town):
    town.issue()
    folder = LogFolder(write_town(tmp_path, town) / town.code)
    with pytest.raises(SourceError, match="ends at 1 entries"), replayed(folder, town.code, 2):
        pass


@pytest.mark.parametrize("size", [1, 2, 3])
def test_entries_that_are_not_those_under_the_checkpoint_are_not_replayed(tmp_path, town, size):
    certificate, _ = town.issue()
    town.revoke(certificate)
    town.issue()
    folder = write_town(tmp_path, town) / town.code
    tiles = (folder / "tile/0/000.p/3").read_bytes()
    other = Town("131130", town.log_key)
    other.issue()
    write_files(folder, [other.entries[0], *town.entries[1:]])
    (folder / "tile/0/000.p/3").write_bytes(tiles)
    with (
        pytest.raises(SourceError, match="not those under the checkpoint"),
        replayed(LogFolder(folder), "131130", size),
    ):
        pass


@pytest.mark.parametrize("lost", ["tile/entries/000.p/3", "tile/0/000.p/3"])
def test_a_file_that_is_lost_or_cut_off_is_told(tmp_path, town, lost):
    for _ in range(3):
        town.issue()
    folder = write_town(tmp_path, town) / town.code
    file = folder / lost
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SourceError, match="may be damaged"), replayed(LogFolder(folder), town.code, 2):
        pass
    file.unlink()
    with pytest.raises(SourceError, match="is missing"), replayed(LogFolder(folder), town.code, 2):
        pass


def test_an_entry_on_which_the_software_fails_is_named_and_nothing_half_is_given(tmp_path, town, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    town.issue()
    town.declare("131121")
    folder = LogFolder(write_town(tmp_path, town) / town.code)
    noun, _ = fold._HANDLERS[j.ArrangementDeclared]
    monkeypatch.setitem(fold._HANDLERS, j.ArrangementDeclared, (noun, fail))
    with pytest.raises(SourceError, match="fails on entry 1"), replayed(folder, town.code):
        pass


def test_a_day_means_what_had_a_receipt_before_it_ended_in_japan(tmp_path, town, receipts):
    for _ in range(4):
        town.issue()
    midnight = datetime(2026, 11, 22, 15, tzinfo=UTC)  # of the 23rd in Japan
    second = timedelta(seconds=1)
    received = [(1, midnight - timedelta(days=1)), (2, midnight - second), (3, midnight), (4, midnight + 9 * second)]
    folder = LogFolder(write_town(tmp_path, town, receipts, received) / town.code)
    assert [size_on(folder, town.code, date(2026, 11, day)) for day in (22, 23, 30)] == [2, 4, 4]
    assert size_on(folder, town.code, date.max) == 4
    with pytest.raises(SourceError, match="no proof of this log by then"):
        size_on(folder, town.code, date(2026, 11, 20))


def test_without_receipts_nothing_tells_what_a_day_means(tmp_path, town):
    town.issue()
    folder = LogFolder(write_town(tmp_path, town) / town.code)
    with pytest.raises(SourceError, match="no receipts"):
        size_on(folder, town.code, date(2026, 11, 23))


def test_memory_stays_flat_however_long_the_log_is(tmp_path, town, monkeypatch):
    """Ten times the entries, many portions in both: what is kept of each would show."""
    monkeypatch.setattr("tomoni_auditor.replay.replaying._ENTRIES", 500)
    for _ in range(20_000):
        town.issue()
    folder = LogFolder(write_town(tmp_path, town) / town.code)

    def peak(size):
        tracemalloc.start()
        try:
            with replayed(folder, town.code, size) as own:
                assert sum(1 for _ in own.state.rows(TABLES["certificate"])) == size
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(2_000), peak(20_000)
    assert large < small + 500_000  # bytes; 18,000 rows more are several megabytes

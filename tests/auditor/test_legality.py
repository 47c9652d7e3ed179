"""What an entry may follow: each rule broken once, and found at its place; what is laid aside comes back in order."""

import uuid
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tests.auditor.archives import Archive
from tests.federation.towns import Town, unknown_event
from tomoni import times
from tomoni.events import federation as f
from tomoni.events import jurisdiction as j
from tomoni.events.types import OfferedKind
from tomoni_auditor.legality.reading import Illegal, Reading
from tomoni_auditor.legality.spill import HELD_BYTES, Spill

TODAY = date(2026, 11, 23)
TOMORROW = TODAY + timedelta(days=1)
DOCUMENT = "ab" * 32


def first_illegal(town: Town) -> Illegal | None:
    with Reading(town.origin) as reading:
        for position, entry in enumerate(town.entries):
            reading.take(position, entry)
        return reading.first_illegal()


def happen(town: Town, subject: str, cls, **fields) -> None:
    town.append(town.event(cls, cls.__annotations__["data"], subject, **fields))


class Life:
    """A certificate, certified on 1 April 2026, and what happens to it."""

    def __init__(self, **fields) -> None:
        self.town = Town("131130")
        self.certificate, _ = self.town.issue(**fields)

    def then(self, noun: str, **fields) -> "Life":
        cls = getattr(j, f"Certificate{noun}")
        happen(self.town, f"certificate/{self.certificate}", cls, **fields)
        return self

    def reissued(self, **fields) -> "Life":
        now = self.town.documents[self.certificate]
        return self.then("Reissued", **({"document": DOCUMENT, "replaces": now, "reissued_on": TODAY} | fields))

    def ended(self, on=date(2026, 5, 1), effect="ended") -> "Life":
        return self.then("Revoked", effect=effect, effective_on=on)


MOVER = {"conditional_until": date(2026, 7, 1)}
LONG = {"conditional_until": date(2026, 12, 31)}

LEGAL = {
    "a life": Life().reissued().ended().then("Reinstated", reinstated_on=date(2026, 6, 1)),
    "void": Life().ended(date(2026, 4, 1), "void"),
    "moved": Life(**MOVER).then("Confirmed", confirmed_on=date(2026, 7, 1)).reissued(),
    "lapsed and erased": Life(**MOVER).then("Erased"),
    "ended today and erased": Life().ended(TODAY).then("Erased"),
    "corrected": Life(**LONG).ended().then("Corrected", certified_on=date(2026, 3, 1), effective_on=date(2026, 3, 1)),
    "conditional day corrected": Life(**MOVER).then("Corrected", conditional_until=date(2026, 4, 1)),
}

ILLEGAL = {
    "issued on a day to come": Life(certified_on=TOMORROW),
    "conditional until before": Life(conditional_until=date(2026, 3, 31)),
    "confirmed without condition": Life().then("Confirmed", confirmed_on=TODAY),
    "confirmed after the term": Life(**MOVER).then("Confirmed", confirmed_on=date(2026, 7, 2)),
    "confirmed before": Life(**MOVER).then("Confirmed", confirmed_on=date(2026, 3, 31)),
    "confirmed tomorrow": Life(**LONG).then("Confirmed", confirmed_on=TOMORROW),
    "confirmed after the end": Life(**LONG).ended().then("Confirmed", confirmed_on=TODAY),
    "reissued of another": Life().reissued(replaces="cd" * 32),
    "reissued tomorrow": Life().reissued(reissued_on=TOMORROW),
    "reissued before": Life().reissued(reissued_on=date(2026, 3, 31)),
    "reissued after the end": Life().ended().reissued(),
    "reissued after the term": Life(**MOVER).reissued(),
    "ended before": Life().ended(date(2026, 3, 31)),
    "ended tomorrow": Life().ended(TOMORROW),
    "void from another day": Life().ended(date(2026, 4, 2), "void"),
    "ended twice": Life().ended().ended(),
    "reinstated without end": Life().then("Reinstated", reinstated_on=TODAY),
    "reinstated before the end": Life().ended().then("Reinstated", reinstated_on=date(2026, 4, 30)),
    "reinstated tomorrow": Life().ended().then("Reinstated", reinstated_on=TOMORROW),
    "an end corrected that is not": Life().then("Corrected", effective_on=date(2026, 5, 1)),
    "a condition corrected that is not": Life().then("Corrected", conditional_until=date(2026, 5, 1)),
    "certified after the end": Life().ended().then("Corrected", certified_on=date(2026, 5, 2)),
    "void moved alone": Life().ended(date(2026, 4, 1), "void").then("Corrected", certified_on=date(2026, 4, 2)),
    "erased while it counts": Life().then("Erased"),
    "erased while conditional": Life(**LONG).then("Erased"),
    "after it was erased": Life().ended().then("Erased").then("Reinstated", reinstated_on=TODAY),
    "a version left out": Life().ended().then("Reinstated", reinstated_on=TODAY, version=4),
    "a version again": Life().ended().then("Reinstated", reinstated_on=TODAY, version=2),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_may_happen_is_legal(name: str):
    assert first_illegal(LEGAL[name].town) is None


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_may_not_happen_is_found_at_its_position(name: str):
    town = ILLEGAL[name].town
    found = first_illegal(town)
    assert found is not None
    assert found.position == town.size - 1


class TestOtherSubjects:
    def declared(self, *steps) -> Town:
        town = Town("131130")
        for subject, cls, fields in steps:
            happen(town, subject, cls, **fields)
        return town

    def scheme(self, *steps) -> Town:
        offered = {"name": "制度", "kinds": (OfferedKind(kind="partnership"),)}
        each = {
            "open": lambda day: (j.SchemeOpened, offered | {"opens_on": day}),
            "amend": lambda day: (j.SchemeAmended, offered | {"effective_on": day}),
            "close": lambda day: (j.SchemeClosed, {"closes_on": day}),
        }
        return self.declared(*(("scheme", *each[what](date(2026, 1, day))) for what, day in steps))

    @pytest.mark.parametrize(
        "steps",
        [
            [("open", 1), ("amend", 2), ("amend", 2), ("close", 5), ("open", 5)],
            [("open", 5), ("close", 5), ("open", 1)],
            [("open", 1), ("amend", 5), ("close", 5), ("open", 5)],
        ],
    )
    def test_a_scheme_goes_forward(self, steps):
        assert first_illegal(self.scheme(*steps)) is None

    @pytest.mark.parametrize(
        "steps",
        [
            [("amend", 1)],
            [("close", 1)],
            [("open", 1), ("open", 2)],
            [("open", 2), ("amend", 1)],
            [("open", 1), ("close", 3), ("open", 2)],
            [("open", 1), ("amend", 5), ("close", 5), ("open", 4)],
        ],
    )
    def test_a_scheme_that_does_not_is_found(self, steps):
        town = self.scheme(*steps)
        assert first_illegal(town) == Illegal(town.size - 1, first_illegal(town).expected)

    def test_arrangements_and_networks_have_their_turns(self):
        town = Town("131130")
        joined, left = j.NetworkJoined, j.NetworkLeft
        for cls, day in ((joined, 1), (left, 2), (joined, 2)):
            happen(town, "network/national", cls, effective_on=date(2026, 1, day))
        arrangement = town.declare("131121", effective_until=date(2026, 4, 1))
        town.withdraw(arrangement, date(2026, 4, 1))
        assert first_illegal(town) is None
        happen(town, "network/national", joined, effective_on=date(2026, 1, 3))
        town.withdraw(arrangement)
        assert first_illegal(town).position == 5
        for wrong in (
            self.declared(("network/national", left, {"effective_on": TODAY})),
            self.declared((f"arrangement/{uuid.uuid4()}", j.ArrangementWithdrawn, {"effective_on": TODAY})),
        ):
            assert first_illegal(wrong).position == 0

    @pytest.mark.parametrize("subject", ["certificate/1", "certificate", "scheme/1", "scheme/", "key", "network/A"])
    def test_a_subject_that_is_not_what_the_type_is_about_is_found(self, subject: str):
        cls = j.NetworkJoined if subject.startswith("network") else j.SchemeClosed
        fields = {"effective_on": TODAY} if cls is j.NetworkJoined else {"closes_on": TODAY}
        assert first_illegal(self.declared((subject, cls, fields))).position == 0

    def test_an_event_of_the_other_kind_of_log_is_found(self, tmp_path: Path):
        archive = Archive(tmp_path)
        archive.admit(Town("131130"))
        town = Town("131130")
        happen(town, "jurisdiction/131130", f.JurisdictionQuarantined, evidence="ab" * 32, proven_size=0)
        assert first_illegal(town).position == 0
        assert first_illegal(archive.federation) is None

    def test_a_network_is_chartered_before_it_has_members(self):
        own = Town("federation")
        happen(own, "network/national", f.NetworkMemberAccepted, member="131130", effective_on=TODAY)
        assert first_illegal(own).position == 0

    def test_admissions_have_their_turns(self, tmp_path: Path):
        archive = Archive(tmp_path)
        town = archive.admit(Town("131130"))
        archive.suspend(town, 0)
        archive.readmit(town, 0)
        assert first_illegal(archive.federation) is None
        archive.readmit(town, 0)
        assert first_illegal(archive.federation).position == 3


def test_after_something_unknown_only_what_it_is_about_is_not_judged():
    one, other = Life(), Life()
    town = one.town
    town.append(unknown_event(town, f"certificate/{one.certificate}"))
    town.reinstate(one.certificate)
    assert first_illegal(town) is None
    town.reinstate("00000000-0000-4000-8000-000000000000")
    assert first_illegal(town).position == 3
    town = other.town
    town.append(unknown_event(town, None))
    town.reinstate(other.certificate)
    assert first_illegal(town) is None


def test_an_event_counts_by_the_day_it_had_in_japan():
    town = Town("131130")
    late = datetime.fromisoformat("2026-11-23T15:00:00+00:00")
    town.issue(certified_on=TOMORROW)
    assert first_illegal(town) is not None
    old = times.format_time(datetime.fromisoformat("2026-11-23T03:00:00+00:00")).encode()
    town.entries[0] = town.entries[0].replace(old, times.format_time(late).encode())
    assert first_illegal(town) is None


def test_what_is_laid_aside_on_disk_comes_back_key_by_key_in_order_and_leaves_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    keys = [number.to_bytes(2, "big") for number in range(500)]
    rounds = HELD_BYTES // (500 * 400) + 20
    with Spill() as spill:
        for number in range(rounds):
            for key in keys:
                spill.put(key, key + number.to_bytes(4, "big") + bytes(400))
        assert list(tmp_path.rglob("*")), "nothing was written: the test shows nothing"
        seen: dict[bytes, int] = {}
        for part in spill.parts():
            mine: set[bytes] = set()
            for record in part:
                key = bytes(record[:2])
                assert int.from_bytes(record[2:6], "big") == seen.get(key, 0)
                seen[key] = seen.get(key, 0) + 1
                mine.add(key)
        assert seen == dict.fromkeys(keys, rounds)
    assert not list(tmp_path.iterdir())

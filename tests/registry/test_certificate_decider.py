from contextlib import suppress
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from tests.registry.specification import STAMP, TODAY, Specification
from tomoni.events.jurisdiction import (
    CertificateConfirmed,
    CertificateConfirmedData,
    CertificateCorrected,
    CertificateCorrectedData,
    CertificateErased,
    CertificateIssued,
    CertificateIssuedData,
    CertificateReinstated,
    CertificateReinstatedData,
    CertificateReissuedData,
    CertificateRevoked,
    CertificateRevokedData,
    NetworkJoined,
    NetworkMembershipData,
)
from tomoni.events.types import Data, OfferedKind, Term
from tomoni_registry.certificates.commands import Confirm, Correct, Erase, Issue, Reinstate, Reissue, Revoke
from tomoni_registry.certificates.decider import decide, evolve
from tomoni_registry.certificates.state import Certificate, Revocation
from tomoni_registry.deciding import Refused
from tomoni_registry.schemes.decider import Period, Scheme

SUBJECT = "certificate/00000000-0000-4000-8000-00000000000c"
DOCUMENT, OTHER_DOCUMENT = "a" * 64, "b" * 64
THREE_MONTHS = Term(unit="months", count=3)
CERTIFIED = date(2026, 10, 1)
UNTIL = date(2027, 1, 1)
SCHEME = Scheme(
    version=2,
    periods=(
        Period(
            name="before",
            kinds=(OfferedKind(kind="partnership"),),
            starts_on=date(2015, 11, 5),
            ends_before=date(2026, 4, 1),
        ),
        Period(
            name="now",
            kinds=(OfferedKind(kind="partnership", conditional_term=THREE_MONTHS),),
            starts_on=date(2026, 4, 1),
        ),
    ),
)
certificate = Specification(decide, evolve, None)
about = {"stamp": STAMP, "subject": SUBJECT}
wrapped = STAMP.attributes(SUBJECT)


def issued(certified_on=CERTIFIED, conditional_until=msgspec.UNSET):
    data = CertificateIssuedData(
        version=1,
        kind="partnership",
        document=DOCUMENT,
        certified_on=certified_on,
        conditional_until=conditional_until,
    )
    return CertificateIssued(**wrapped, data=data)


def revoked(effect="ended", effective_on=date(2026, 11, 1), version=2):
    return CertificateRevoked(
        **wrapped, data=CertificateRevokedData(version=version, effect=effect, effective_on=effective_on)
    )


def confirmed(day=date(2026, 11, 1)):
    return CertificateConfirmed(**wrapped, data=CertificateConfirmedData(version=2, confirmed_on=day))


def issue(**changes):
    command = Issue(**about, scheme=SCHEME, kind="partnership", document=DOCUMENT, certified_on=CERTIFIED, mover=False)
    return msgspec.structs.replace(command, **changes)


def revoke(effect="ended", reason="dissolution", effective_on=date(2026, 11, 1), seen=None):
    return Revoke(**about, effect=effect, reason=reason, effective_on=effective_on, seen=seen)


def correct(**dates):
    return Correct(**about, scheme=SCHEME, **dates)


class TestIssuing:
    def test_a_resident_couple_gets_a_certificate_without_an_end(self):
        state = certificate.given().when(issue()).then(issued().data)
        assert state.standing(date(2099, 1, 1)) == "valid"

    def test_a_movers_certificate_is_conditional_for_the_issuers_term(self):
        state = certificate.given().when(issue(mover=True)).then(issued(conditional_until=UNTIL).data)
        assert [state.standing(day) for day in (CERTIFIED, UNTIL, date(2027, 1, 2))] == [
            "conditional",
            "conditional",
            "lapsed",
        ]

    def test_the_term_is_that_of_the_certified_day(self):
        before = issue(certified_on=date(2026, 3, 31), mover=True)
        certificate.given().when(before).refused("kind-not-offered")

    def test_the_kind_must_be_offered_on_the_certified_day(self):
        detail = certificate.given().when(issue(kind="familyship")).refused("kind-not-offered")
        assert "it offers: partnership" in detail

    def test_nothing_is_certified_before_the_scheme_opened(self):
        certificate.given().when(issue(certified_on=date(2015, 11, 4))).refused("day-before-scheme")

    def test_nothing_is_certified_without_a_scheme_or_after_it_closed(self):
        certificate.given().when(issue(scheme=Scheme())).refused("scheme-not-open")
        closed = Scheme(version=1, periods=(msgspec.structs.replace(SCHEME.periods[0], ends_before=CERTIFIED),))
        certificate.given().when(issue(scheme=closed)).refused("scheme-not-open")

    def test_nothing_is_certified_in_the_future(self):
        certificate.given().when(issue(certified_on=date(2026, 11, 24))).refused("day-in-future")

    def test_the_day_begins_at_midnight_in_japan(self):
        evening_in_utc = msgspec.structs.replace(STAMP, at=datetime(2026, 11, 23, 15, tzinfo=UTC))
        certificate.given().when(issue(certified_on=date(2026, 11, 24), stamp=evening_in_utc)).then(
            issued(certified_on=date(2026, 11, 24)).data
        )


class TestConfirming:
    def test_a_proven_move_makes_it_valid_without_an_end(self):
        confirm = Confirm(**about, confirmed_on=date(2026, 11, 1))
        state = certificate.given(issued(conditional_until=UNTIL)).when(confirm).then(confirmed().data)
        assert state.standing(date(2099, 1, 1)) == "valid"

    def test_a_move_proven_within_the_term_counts_though_recorded_after_it(self):
        confirm = Confirm(**about, confirmed_on=date(2026, 10, 15))
        certificate.given(issued(conditional_until=date(2026, 10, 15))).when(confirm).then(
            CertificateConfirmedData(version=2, confirmed_on=date(2026, 10, 15))
        )

    @pytest.mark.parametrize(
        ("day", "reason"),
        [
            (date(2026, 10, 16), "certificate-lapsed"),
            (date(2026, 9, 30), "dates-out-of-order"),
            (date(2026, 11, 24), "day-in-future"),
        ],
    )
    def test_a_day_that_cannot_be_is_refused(self, day, reason):
        given = certificate.given(issued(conditional_until=date(2026, 10, 15)))
        given.when(Confirm(**about, confirmed_on=day)).refused(reason)

    def test_only_a_conditional_certificate_is_confirmed_and_only_once(self):
        confirm = Confirm(**about, confirmed_on=TODAY)
        certificate.given(issued()).when(confirm).refused("certificate-not-conditional")
        certificate.given(issued(conditional_until=UNTIL), confirmed()).when(confirm).refused(
            "certificate-not-conditional"
        )

    def test_an_ended_certificate_is_not_confirmed(self):
        given = certificate.given(issued(conditional_until=UNTIL), revoked())
        given.when(Confirm(**about, confirmed_on=TODAY)).refused("certificate-already-ended")


class TestReissuing:
    command = Reissue(**about, document=OTHER_DOCUMENT, reissued_on=TODAY)

    def test_the_new_document_takes_the_place_of_the_current_one(self):
        data = CertificateReissuedData(version=2, document=OTHER_DOCUMENT, replaces=DOCUMENT, reissued_on=TODAY)
        state = certificate.given(issued()).when(self.command).then(data)
        assert state.document == OTHER_DOCUMENT
        assert state.certified_on == CERTIFIED

    def test_a_certificate_that_counts_no_more_gets_no_document(self):
        certificate.given(issued(), revoked()).when(self.command).refused("certificate-not-current")
        lapsed = issued(conditional_until=date(2026, 10, 15))
        certificate.given(lapsed).when(self.command).refused("certificate-not-current")

    def test_a_document_is_not_older_than_the_certificate(self):
        early = msgspec.structs.replace(self.command, reissued_on=date(2026, 9, 30))
        certificate.given(issued()).when(early).refused("dates-out-of-order")


class TestRevoking:
    def test_an_end_takes_effect_on_its_day(self):
        state = certificate.given(issued()).when(revoke()).then(revoked().data)
        assert state.standing(date(2026, 10, 31)) == "valid"
        assert state.standing(date(2026, 11, 1)) == "ended"

    def test_void_is_from_the_certified_day_on(self):
        command = revoke("void", "false-declaration", effective_on=None)
        state = certificate.given(issued()).when(command).then(revoked("void", CERTIFIED).data)
        assert state.standing(CERTIFIED) == "void"

    def test_a_lapsed_certificate_can_be_ended_for_the_record(self):
        lapsed = issued(conditional_until=date(2026, 10, 15))
        command = revoke(reason="never-moved", effective_on=date(2026, 10, 16))
        certificate.given(lapsed).when(command).then(revoked(effective_on=date(2026, 10, 16)).data)

    def test_what_is_ended_is_not_ended_again(self):
        certificate.given(issued(), revoked()).when(revoke()).refused("certificate-already-ended")
        certificate.given(issued(), revoked("void", CERTIFIED)).when(revoke()).refused("certificate-already-ended")

    @pytest.mark.parametrize(
        ("effect", "effective_on", "reason"),
        [
            ("ended", date(2026, 9, 30), "dates-out-of-order"),
            ("ended", date(2026, 11, 24), "day-in-future"),
            ("ended", None, "dates-out-of-order"),
            ("void", date(2026, 11, 1), "dates-out-of-order"),
        ],
    )
    def test_a_day_that_cannot_be_is_refused(self, effect, effective_on, reason):
        why = "clerical-error" if effect == "void" else "death"
        certificate.given(issued()).when(revoke(effect, why, effective_on)).refused(reason)

    @pytest.mark.parametrize(("effect", "reason"), [("ended", "clerical-error"), ("void", "death")])
    def test_the_effect_follows_from_the_reason(self, effect, reason):
        detail = certificate.given(issued()).when(revoke(effect, reason, None)).refused("reason-does-not-fit")
        assert reason not in detail

    def test_a_command_for_another_version_is_refused(self):
        detail = certificate.given(issued()).when(revoke(seen=2)).refused("stale-version")
        assert "current one is 1" in detail


class TestReinstating:
    def test_it_counts_again_as_if_never_revoked(self):
        data = CertificateReinstatedData(version=3, reinstated_on=TODAY)
        command = Reinstate(**about, reinstated_on=TODAY)
        state = certificate.given(issued(), revoked()).when(command).then(data)
        assert state.standing(date(2026, 11, 1)) == "valid"

    def test_only_what_was_revoked_is_reinstated(self):
        certificate.given(issued()).when(Reinstate(**about, reinstated_on=TODAY)).refused("certificate-not-revoked")

    def test_not_before_it_ended(self):
        command = Reinstate(**about, reinstated_on=date(2026, 10, 31))
        certificate.given(issued(), revoked()).when(command).refused("dates-out-of-order")


class TestCorrecting:
    def test_the_conditional_day_moves_with_the_certified_day(self):
        data = CertificateCorrectedData(version=2, certified_on=date(2026, 9, 1), conditional_until=date(2026, 12, 1))
        given = certificate.given(issued(conditional_until=UNTIL))
        state = given.when(correct(certified_on=date(2026, 9, 1))).then(data)
        assert (state.certified_on, state.conditional_until) == (date(2026, 9, 1), date(2026, 12, 1))

    def test_a_void_certificate_is_void_from_the_corrected_day_on(self):
        data = CertificateCorrectedData(version=3, certified_on=date(2026, 9, 1), effective_on=date(2026, 9, 1))
        given = certificate.given(issued(), revoked("void", CERTIFIED))
        state = given.when(correct(certified_on=date(2026, 9, 1))).then(data)
        assert state.revocation == Revocation(effect="void", effective_on=date(2026, 9, 1), recorded_on=TODAY)

    def test_the_day_of_an_end_is_corrected_alone(self):
        data = CertificateCorrectedData(version=3, effective_on=date(2026, 10, 20))
        certificate.given(issued(), revoked()).when(correct(effective_on=date(2026, 10, 20))).then(data)

    def test_a_shorter_condition_is_corrected_alone(self):
        data = CertificateCorrectedData(version=2, conditional_until=date(2026, 12, 24))
        given = certificate.given(issued(conditional_until=UNTIL))
        state = given.when(correct(conditional_until=date(2026, 12, 24))).then(data)
        assert state.conditional_until == date(2026, 12, 24)

    @pytest.mark.parametrize(
        ("events", "dates", "reason"),
        [
            ([issued()], {"certified_on": CERTIFIED}, "nothing-to-correct"),
            ([issued()], {}, "nothing-to-correct"),
            ([issued(conditional_until=UNTIL)], {}, "nothing-to-correct"),
            ([issued()], {"certified_on": date(2026, 11, 24)}, "day-in-future"),
            ([issued()], {"certified_on": date(2010, 1, 1)}, "day-before-scheme"),
            ([issued()], {"conditional_until": UNTIL}, "certificate-not-conditional"),
            ([issued()], {"effective_on": CERTIFIED}, "certificate-not-revoked"),
            ([issued(conditional_until=UNTIL)], {"conditional_until": date(2027, 1, 2)}, "dates-out-of-order"),
            ([issued(conditional_until=UNTIL)], {"conditional_until": date(2026, 9, 30)}, "dates-out-of-order"),
            (
                [issued(conditional_until=UNTIL), confirmed()],
                {"conditional_until": date(2026, 10, 31)},
                "dates-out-of-order",
            ),
            (
                [issued(conditional_until=UNTIL), confirmed()],
                {"certified_on": date(2026, 11, 2)},
                "dates-out-of-order",
            ),
            ([issued(), revoked()], {"effective_on": date(2026, 9, 30)}, "dates-out-of-order"),
            ([issued(), revoked()], {"effective_on": date(2026, 11, 24)}, "day-in-future"),
            ([issued(), revoked()], {"certified_on": date(2026, 11, 2)}, "dates-out-of-order"),
            (
                [issued(), revoked("void", CERTIFIED)],
                {"effective_on": date(2026, 10, 2)},
                "dates-out-of-order",
            ),
        ],
    )
    def test_dates_that_cannot_be_are_refused(self, events, dates, reason):
        certificate.given(*events).when(correct(**dates)).refused(reason)


def erase(count=1, unit="days"):
    return Erase(**about, retention=Term(unit=unit, count=count))


class TestErasing:
    def test_what_has_ended_is_erased_after_the_retention_and_its_standing_stays(self):
        erased = certificate.given(issued(), revoked(effective_on=date(2026, 11, 1)))
        assert "until 2026-11-23" in erased.when(erase(22)).refused("retention-not-over")
        state = erased.when(erase(21)).then(Data(version=3))
        assert state.erased
        assert state.standing(TODAY) == "ended"

    def test_a_retention_of_months_is_counted_as_terms_are(self):
        ended = certificate.given(issued(date(2025, 1, 1)), revoked(effective_on=date(2025, 11, 22)))
        ended.when(erase(12, "months")).then(Data(version=3))
        day_later = certificate.given(issued(date(2025, 1, 1)), revoked(effective_on=date(2025, 11, 23)))
        day_later.when(erase(12, "months")).refused("retention-not-over")

    def test_what_is_void_is_kept_from_the_day_that_was_found(self):
        """It counts as never given, so its certified day is long past; what proves the fraud is needed from now on."""
        found_today = certificate.given(issued(date(2016, 1, 1)), revoked("void", date(2016, 1, 1)))
        assert "until 2026-11-24" in found_today.when(erase()).refused("retention-not-over")
        long_ago = CertificateRevoked(
            **wrapped | {"time": "2026-11-21T14:59:59.000000Z"},
            data=CertificateRevokedData(version=2, effect="void", effective_on=date(2016, 1, 1)),
        )
        state = certificate.given(issued(date(2016, 1, 1)), long_ago).when(erase()).then(Data(version=3))
        assert state.standing(TODAY) == "void"

    def test_nothing_is_erased_before_its_end(self):
        certificate.given(issued()).when(erase()).refused("certificate-not-ended")
        lapsed = issued(conditional_until=date(2026, 10, 15))
        certificate.given(lapsed).when(erase()).refused("certificate-not-ended")
        reinstated = CertificateReinstated(
            **wrapped, data=CertificateReinstatedData(version=3, reinstated_on=date(2026, 11, 2))
        )
        certificate.given(issued(), revoked(), reinstated).when(erase()).refused("certificate-not-ended")

    def test_a_town_that_states_no_retention_erases_nothing(self):
        command = msgspec.structs.replace(erase(), retention=None)
        certificate.given(issued(), revoked()).when(command).refused("retention-not-set")


COMMANDS = [
    Confirm(**about, confirmed_on=TODAY),
    Reissue(**about, document=OTHER_DOCUMENT, reissued_on=TODAY),
    revoke(),
    Reinstate(**about, reinstated_on=TODAY),
    correct(certified_on=date(2026, 9, 1)),
    Erase(**about, retention=Term(unit="days", count=1)),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_nothing_can_be_done_to_what_is_not_there_or_erased(command):
    certificate.given().when(command).refused("certificate-not-found")
    erased = CertificateErased(**wrapped, data=Data(version=3))
    certificate.given(issued(), revoked(), erased).when(command).refused("certificate-erased")


def test_events_of_other_things_change_nothing():
    joined = NetworkJoined(**wrapped, data=NetworkMembershipData(version=1, effective_on=TODAY))
    assert evolve(None, joined) is None
    state = evolve(None, issued())
    assert evolve(state, joined) == state
    assert evolve(None, revoked()) is None


def test_a_correction_of_an_end_that_was_undone_changes_dates_only():
    """A history written by another version of the rules is still read without failing."""
    corrected = CertificateCorrected(**wrapped, data=CertificateCorrectedData(version=2, effective_on=TODAY))
    state = evolve(evolve(None, issued()), corrected)
    assert state is not None
    assert state.revocation is None
    assert state.version == 2


days = st.dates(date(2015, 1, 1), date(2027, 12, 31))
commands = st.one_of(
    st.builds(Confirm, stamp=st.just(STAMP), subject=st.just(SUBJECT), confirmed_on=days),
    st.builds(
        Reissue, stamp=st.just(STAMP), subject=st.just(SUBJECT), document=st.just(OTHER_DOCUMENT), reissued_on=days
    ),
    st.builds(
        Revoke,
        stamp=st.just(STAMP),
        subject=st.just(SUBJECT),
        effect=st.sampled_from(["ended", "void"]),
        reason=st.sampled_from(["death", "clerical-error"]),
        effective_on=st.none() | days,
    ),
    st.builds(Reinstate, stamp=st.just(STAMP), subject=st.just(SUBJECT), reinstated_on=days),
    st.builds(
        Correct,
        stamp=st.just(STAMP),
        subject=st.just(SUBJECT),
        scheme=st.just(SCHEME),
        certified_on=st.none() | days,
        conditional_until=st.none() | days,
        effective_on=st.none() | days,
    ),
)


@generated(st.booleans(), days, st.lists(commands, max_size=15))
def test_whatever_is_asked_the_dates_of_a_certificate_stay_in_order(mover, certified_on, asked):
    state: Certificate | None = None
    for command in [issue(mover=mover, certified_on=certified_on), *asked]:
        with suppress(Refused):
            for event in decide(state, command):
                state = evolve(state, event)
    if state is not None:
        assert SCHEME.on(state.certified_on) is not None
        assert state.certified_on <= TODAY
        assert state.conditional_until is None or state.certified_on <= state.conditional_until
        if state.confirmed_on is not None:
            assert state.certified_on <= state.confirmed_on <= (state.conditional_until or TODAY)
        if state.revocation is not None:
            assert state.certified_on <= state.revocation.effective_on <= TODAY
            assert state.revocation.effect == "ended" or state.revocation.effective_on == state.certified_on

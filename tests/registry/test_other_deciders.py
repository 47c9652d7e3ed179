"""Schemes, arrangements, networks and keys."""

from datetime import date

import msgspec
import pytest

from tests.registry.specification import STAMP, TODAY, Specification
from tomoni.events.jurisdiction import (
    ArrangementDeclared,
    ArrangementDeclaredData,
    ArrangementWithdrawn,
    ArrangementWithdrawnData,
    KeyRotated,
    KeyRotatedData,
    NetworkJoined,
    NetworkLeft,
    NetworkMembershipData,
    SchemeAmended,
    SchemeAmendedData,
    SchemeClosed,
    SchemeClosedData,
    SchemeOpened,
    SchemeOpenedData,
)
from tomoni.events.types import IssuerSet, OfferedKind
from tomoni_registry.arrangements import decider as arrangements
from tomoni_registry.keys import decider as keys
from tomoni_registry.networks import decider as networks
from tomoni_registry.schemes import decider as schemes

PARTNERSHIP, FAMILYSHIP = OfferedKind(kind="partnership"), OfferedKind(kind="familyship")
OPENED, AMENDED, CLOSED = date(2015, 11, 5), date(2026, 4, 1), date(2027, 4, 1)

scheme = Specification(schemes.decide, schemes.evolve, schemes.Scheme())
arrangement = Specification(arrangements.decide, arrangements.evolve, None)
network = Specification(networks.decide, networks.evolve, networks.Membership())
key = Specification(keys.decide, keys.evolve, keys.LogKeys())

opened = SchemeOpened(
    **STAMP.attributes("scheme"),
    data=SchemeOpenedData(version=1, name="first", kinds=(PARTNERSHIP,), opens_on=OPENED),
)
amended = SchemeAmended(
    **STAMP.attributes("scheme"),
    data=SchemeAmendedData(version=2, name="second", kinds=(FAMILYSHIP, PARTNERSHIP), effective_on=AMENDED),
)
closed = SchemeClosed(**STAMP.attributes("scheme"), data=SchemeClosedData(version=3, closes_on=CLOSED))


class TestSchemes:
    def test_a_scheme_offers_from_its_first_day_on(self):
        command = schemes.Open(stamp=STAMP, name="first", kinds=(PARTNERSHIP,), opens_on=OPENED)
        state = scheme.given().when(command).then(opened.data)
        assert state.on(date(2015, 11, 4)) is None
        assert state.on(OPENED) == state.open

    def test_what_was_offered_before_a_change_stays_known(self):
        command = schemes.Amend(
            stamp=STAMP, name="second", kinds=(PARTNERSHIP, FAMILYSHIP), effective_on=AMENDED, seen=1
        )
        state = scheme.given(opened).when(command).then(amended.data)
        assert [period.name for day in (date(2026, 3, 31), AMENDED) if (period := state.on(day))] == [
            "first",
            "second",
        ]

    def test_a_closed_scheme_offers_nothing_from_its_day_on(self):
        state = scheme.given(opened, amended).when(schemes.Close(stamp=STAMP, closes_on=CLOSED)).then(closed.data)
        assert state.on(date(2027, 3, 31)) is not None
        assert state.on(CLOSED) is None
        assert state.open is None

    def test_a_change_on_the_first_day_replaces_what_was_offered(self):
        again = msgspec.structs.replace(amended, data=msgspec.structs.replace(amended.data, effective_on=OPENED))
        state = schemes.evolve(schemes.evolve(schemes.Scheme(), opened), again)
        assert [period.name for period in state.periods] == ["second"]

    def test_a_closed_scheme_opens_again_when_it_has_ended(self):
        reopen = schemes.Open(stamp=STAMP, name="third", kinds=(PARTNERSHIP,), opens_on=CLOSED)
        state = (
            scheme.given(opened, amended, closed)
            .when(reopen)
            .then(SchemeOpenedData(version=4, name="third", kinds=(PARTNERSHIP,), opens_on=CLOSED))
        )
        assert [period.name for period in state.periods] == ["first", "second", "third"]
        early = msgspec.structs.replace(reopen, opens_on=date(2027, 3, 31))
        scheme.given(opened, amended, closed).when(early).refused("dates-out-of-order")

    def test_a_scheme_is_opened_once_and_changed_only_while_open(self):
        again = schemes.Open(stamp=STAMP, name="first", kinds=(PARTNERSHIP,), opens_on=TODAY)
        scheme.given(opened).when(again).refused("scheme-already-open")
        close = schemes.Close(stamp=STAMP, closes_on=TODAY)
        scheme.given().when(close).refused("scheme-not-open")
        scheme.given(opened, amended, closed).when(close).refused("scheme-not-open")

    def test_changes_only_go_forward(self):
        close = schemes.Close(stamp=STAMP, closes_on=date(2026, 3, 31))
        scheme.given(opened, amended).when(close).refused("dates-out-of-order")

    def test_a_command_for_another_version_is_refused(self):
        scheme.given(opened).when(schemes.Close(stamp=STAMP, closes_on=TODAY, seen=4)).refused("stale-version")

    def test_events_of_other_things_change_nothing(self):
        assert schemes.evolve(schemes.Scheme(), declared()) == schemes.Scheme()


SUBJECT = "arrangement/00000000-0000-4000-8000-00000000000a"
TERMS = ArrangementDeclaredData(
    version=1,
    pattern="E",
    issuers=IssuerSet(codes=("131121", "131130")),
    kinds=("familyship", "partnership"),
    services=("public-housing", "welfare"),
    effective_from=date(2026, 4, 1),
)
DECLARE = arrangements.Declare(stamp=STAMP, subject=SUBJECT, receiver="130001", declared=0, terms=TERMS)


def declared(terms=TERMS):
    return ArrangementDeclared(**STAMP.attributes(SUBJECT), data=terms)


class TestArrangements:
    def test_the_same_terms_are_the_same_bytes(self):
        jumbled = msgspec.structs.replace(
            TERMS,
            issuers=IssuerSet(codes=("131130", "131121", "131130")),
            kinds=("partnership", "familyship"),
            services=("welfare", "public-housing", "welfare"),
        )
        arrangement.given().when(msgspec.structs.replace(DECLARE, terms=jumbled)).then(TERMS)

    def test_issuers_may_be_a_prefecture(self):
        terms = msgspec.structs.replace(TERMS, issuers=IssuerSet(prefecture="13"))
        arrangement.given().when(msgspec.structs.replace(DECLARE, terms=terms)).then(terms)

    def test_it_ends_after_it_begins(self):
        terms = msgspec.structs.replace(TERMS, effective_until=date(2026, 3, 31))
        arrangement.given().when(msgspec.structs.replace(DECLARE, terms=terms)).refused("dates-out-of-order")

    def test_a_town_needs_none_about_itself(self):
        own = msgspec.structs.replace(DECLARE, receiver="131130")
        arrangement.given().when(own).refused("jurisdiction-not-found")

    def test_their_number_is_bounded(self):
        many = msgspec.structs.replace(DECLARE, declared=arrangements.MAX_ARRANGEMENTS)
        arrangement.given().when(many).refused("too-many-arrangements")

    def test_it_is_withdrawn_once_and_not_before_it_begins(self):
        withdraw = arrangements.Withdraw(stamp=STAMP, subject=SUBJECT, effective_on=TODAY, seen=1)
        data = ArrangementWithdrawnData(version=2, effective_on=TODAY)
        state = arrangement.given(declared()).when(withdraw).then(data)
        assert state is not None
        assert state.withdrawn_on == TODAY
        withdrawn = ArrangementWithdrawn(**STAMP.attributes(SUBJECT), data=data)
        once_more = msgspec.structs.replace(withdraw, seen=2)
        arrangement.given(declared(), withdrawn).when(once_more).refused("arrangement-withdrawn")
        arrangement.given(declared(), withdrawn).when(withdraw).refused("stale-version")
        early = msgspec.structs.replace(withdraw, effective_on=date(2026, 3, 31))
        arrangement.given(declared()).when(early).refused("dates-out-of-order")

    def test_what_was_not_declared_is_not_withdrawn(self):
        withdraw = arrangements.Withdraw(stamp=STAMP, subject=SUBJECT, effective_on=TODAY)
        arrangement.given().when(withdraw).refused("arrangement-not-found")
        withdrawn = ArrangementWithdrawn(
            **STAMP.attributes(SUBJECT), data=ArrangementWithdrawnData(version=2, effective_on=TODAY)
        )
        assert arrangements.evolve(None, withdrawn) is None


class TestNetworks:
    join = networks.Join(stamp=STAMP, subject="network/national", effective_on=date(2026, 4, 1))
    leave = networks.Leave(stamp=STAMP, subject="network/national", effective_on=TODAY)
    joined = NetworkJoined(
        **STAMP.attributes("network/national"),
        data=NetworkMembershipData(version=1, effective_on=date(2026, 4, 1)),
    )
    left = NetworkLeft(
        **STAMP.attributes("network/national"), data=NetworkMembershipData(version=2, effective_on=TODAY)
    )

    def test_a_town_joins_leaves_and_joins_again(self):
        assert network.given().when(self.join).then(self.joined.data).member
        assert not network.given(self.joined).when(self.leave).then(self.left.data).member
        again = msgspec.structs.replace(self.join, effective_on=TODAY)
        data = NetworkMembershipData(version=3, effective_on=TODAY)
        assert network.given(self.joined, self.left).when(again).then(data).member

    def test_it_joins_and_leaves_once(self):
        network.given(self.joined).when(self.join).refused("network-already-joined")
        network.given().when(self.leave).refused("network-not-joined")
        network.given(self.joined, self.left).when(self.leave).refused("network-not-joined")

    def test_days_only_go_forward_and_versions_are_current(self):
        early = msgspec.structs.replace(self.leave, effective_on=date(2026, 3, 31))
        network.given(self.joined).when(early).refused("dates-out-of-order")
        network.given(self.joined).when(msgspec.structs.replace(self.leave, seen=3)).refused("stale-version")
        assert networks.evolve(networks.Membership(), opened) == networks.Membership()


class TestKeys:
    rotate = keys.Rotate(stamp=STAMP, current="a+1+A", log_key="b+2+B")

    def test_the_log_goes_on_with_another_key(self):
        state = key.given().when(self.rotate).then(KeyRotatedData(version=1, log_key="b+2+B"))
        assert state.rotated == ("b+2+B",)

    @pytest.mark.parametrize("reused", ["a+1+A", "b+2+B"])
    def test_a_key_is_never_used_again(self, reused):
        rotated = KeyRotated(**STAMP.attributes("key"), data=KeyRotatedData(version=1, log_key="b+2+B"))
        key.given(rotated).when(msgspec.structs.replace(self.rotate, log_key=reused)).refused("key-in-use")
        assert keys.evolve(keys.LogKeys(), opened) == keys.LogKeys()

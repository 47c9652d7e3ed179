"""Admissions and networks in the federation's own log: given these events, a command makes these, or is refused."""

from datetime import UTC, date, datetime

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tomoni import nkey
from tomoni.admission import sign_admission
from tomoni.events import decode_event, encode_event
from tomoni.events import federation as f
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.note import generate_signer
from tomoni_federation.admissions import decider
from tomoni_federation.admissions.decider import Admission, IllegalEntry, Network, Refused, Stamp

ORIGIN = "tomoni.example/federation"
STAMP = Stamp(event_id="00000000-0000-4000-8000-000000000001", origin=ORIGIN, at=datetime(2026, 11, 23, 3, tzinfo=UTC))
NEVER = Admission(code="131130")
EVIDENCE = "ab" * 32


def request():
    name = "tomoni.example/131130"
    keys = (generate_signer(name), generate_cosigner(f"{name}/heartbeat"), nkey.generate_seed())
    return sign_admission("tomoni.example", "131130", *keys)


FIRST, OTHER = request(), request()


def after(admission, *event_lists):
    """Evolve by what was decided; every event is a legal entry."""
    for events in event_lists:
        for event in events:
            assert decode_event(encode_event(event)) == event
            admission = decider.evolve(admission, event)
    return admission


OPEN = after(NEVER, decider.admit(NEVER, FIRST, STAMP))
SUSPENDED = after(OPEN, decider.suspend(OPEN, 7, 9, STAMP))
QUARANTINED = after(OPEN, decider.quarantine(OPEN, EVIDENCE, 9, STAMP))


def refused(reason, command, *arguments):
    with pytest.raises(Refused) as caught:
        command(*arguments, STAMP)
    assert caught.value.reason == reason
    assert caught.value.text.endswith(".")


def test_an_admission_carries_the_keys_and_their_proofs():
    (event,) = decider.admit(NEVER, FIRST, STAMP)
    assert (event.source, event.subject) == (ORIGIN, "jurisdiction/131130")
    assert event.data.proofs == FIRST.proofs
    assert (OPEN.state, OPEN.version, OPEN.up_to) == ("open", 1, None)
    assert OPEN.keys == (FIRST.log_key, FIRST.heartbeat_key, FIRST.transport_key)


def test_the_same_request_again_changes_nothing():
    assert decider.admit(OPEN, FIRST, STAMP) == ()
    assert decider.readmit(OPEN, FIRST, 0, 9, STAMP) == ()
    assert decider.suspend(SUSPENDED, 7, 9, STAMP) == ()
    assert decider.quarantine(QUARANTINED, EVIDENCE, 9, STAMP) == ()
    assert decider.quarantine(NEVER, EVIDENCE, 0, STAMP) == ()


def test_who_is_admitted_gets_no_other_keys_by_a_second_admission():
    refused("admitted-with-other-keys", decider.admit, OPEN, OTHER)
    refused("jurisdiction-open", decider.readmit, OPEN, OTHER, 0, 9)


@pytest.mark.parametrize("state", [SUSPENDED, QUARANTINED])
def test_who_is_out_comes_back_by_readmission_only(state):
    refused("jurisdiction-not-open", decider.admit, state, FIRST)
    back = after(state, decider.readmit(state, OTHER, 5, 9, STAMP))
    assert (back.state, back.version, back.up_to) == ("open", 3, None)
    assert back.keys[0] == OTHER.log_key


def test_a_history_stands_still_where_it_was_stopped():
    assert (SUSPENDED.state, SUSPENDED.up_to) == ("suspended", 7)
    assert (QUARANTINED.state, QUARANTINED.up_to) == ("quarantined", 9)
    earlier = after(SUSPENDED, decider.suspend(SUSPENDED, 3, 9, STAMP))
    assert earlier.up_to == 3
    assert after(SUSPENDED, decider.quarantine(SUSPENDED, EVIDENCE, 9, STAMP)).state == "quarantined"


def test_nothing_is_done_to_who_was_never_admitted():
    refused("jurisdiction-not-admitted", decider.suspend, NEVER, 0, 0)
    refused("jurisdiction-not-admitted", decider.readmit, NEVER, FIRST, 0, 0)


def test_a_history_goes_on_from_a_proven_size_only():
    refused("size-not-proven", decider.suspend, OPEN, 10, 9)
    refused("size-not-proven", decider.readmit, SUSPENDED, OTHER, 10, 9)
    refused("jurisdiction-not-open", decider.suspend, QUARANTINED, 3, 9)


def test_a_history_goes_on_where_it_stands_still_unless_another_size_is_named_or_an_illegal_entry_stands_there():
    illegal = IllegalEntry(position=6, receipt=4)
    assert decider.going_on_from(QUARANTINED, None, 9, None) == 9
    assert decider.going_on_from(QUARANTINED, 3, 9, illegal) == 3
    assert decider.going_on_from(QUARANTINED, 9, 9, illegal) == 9  # a newer version may know the entry to be legal
    assert decider.going_on_from(after(OPEN, decider.suspend(OPEN, 6, 9, STAMP)), None, 9, illegal) == 6
    with pytest.raises(Refused) as caught:
        decider.going_on_from(QUARANTINED, None, 9, illegal)
    assert (caught.value.reason, caught.value.fields) == ("illegal-entry-stands", {"position": 6, "from_size": 4})


def test_a_succession_is_a_version_and_other_events_are_none():
    data = f.JurisdictionSucceededData(version=2, successor="131121", effective_on=date(2027, 4, 1))
    succeeded = f.JurisdictionSucceeded(**STAMP.attributes(OPEN.subject), data=data)
    assert decider.fold(OPEN, [succeeded]).version == 2
    assert decider.evolve(OPEN, object()) == OPEN


TERMS = f.NetworkTermsData(
    version=1,
    name="パートナーシップ制度自治体間連携ネットワーク",
    pattern="B",
    kinds=("partnership", "familyship"),
    services=("new-certificate",),
    effective_on=date(2024, 11, 1),
)
UNKNOWN = Network(name="national")


def network_after(network, events):
    for event in events:
        assert decode_event(encode_event(event)) == event
        network = decider.evolve_network(network, event)
    return network


CHARTERED = network_after(UNKNOWN, decider.charter(UNKNOWN, TERMS, STAMP))


def test_a_network_is_chartered_once_with_its_terms_in_order():
    assert CHARTERED.terms is not None
    assert CHARTERED.terms.kinds == ("familyship", "partnership")
    assert decider.charter(CHARTERED, TERMS, STAMP) == ()


def test_other_terms_amend_it():
    (event,) = decider.charter(CHARTERED, replace(TERMS, conditions=("consent-to-notify",)), STAMP)
    assert isinstance(event, f.NetworkAmended)
    assert network_after(CHARTERED, [event]).version == 2


def test_a_member_is_accepted_once_for_the_same_days():
    accept = (CHARTERED, "131130", date(2024, 11, 1), UNSET, STAMP)
    accepted = network_after(CHARTERED, decider.accept_member(*accept))
    assert accepted.members == (("131130", date(2024, 11, 1), None),)
    assert decider.accept_member(accepted, *accept[1:]) == ()
    (ended,) = decider.accept_member(accepted, "131130", date(2024, 11, 1), date(2026, 3, 31), STAMP)
    assert ended.data.version == 3


def test_nobody_is_a_member_of_a_network_that_does_not_exist():
    with pytest.raises(Refused) as caught:
        decider.accept_member(UNKNOWN, "131130", date(2024, 11, 1), UNSET, STAMP)
    assert caught.value.reason == "network-not-found"
    assert decider.evolve_network(CHARTERED, object()) == CHARTERED

"""What holds of recognition whatever was declared: tested over arrangements, networks and days of every sort."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.federation.test_recognition_decision import CHARTER, HOUSING, QUESTION, VALID
from tests.federation.test_status_decision import DAY, TODAY, having
from tomoni.history.networks import Acceptance, Change, Network, Standing
from tomoni.history.recognition import ReceiverView, decide

days = st.integers(-6, 6).map(lambda number: TODAY + number * DAY)
some_kinds = st.sets(st.sampled_from(["partnership", "familyship"]), min_size=1).map(frozenset)
some_services = st.sets(st.sampled_from(["public-housing", "nursery"]), min_size=1).map(frozenset)
patterns = st.sampled_from("AB")


@st.composite
def arrangements(draw):
    by_network = draw(st.booleans())
    begins = draw(days)
    return replace(
        HOUSING,
        id=draw(st.uuids().map(str)),
        position=draw(st.integers(0, 99)),
        pattern=draw(patterns),
        codes=frozenset() if by_network else HOUSING.codes,
        network="national" if by_network else None,
        kinds=draw(some_kinds),
        services=draw(some_services),
        effective_from=begins,
        effective_until=draw(st.none() | days),
        withdrawn_on=draw(st.none() | days),
        precedence=draw(st.integers(0, 2)),
        keeps_recognised=draw(st.booleans()),
    )


changes = st.lists(st.builds(Change, days, st.integers(0, 99), st.booleans()), max_size=4, unique_by=lambda one: one[1])
acceptances = st.lists(st.builds(Acceptance, days, st.none() | days, st.integers(0, 99)), max_size=3)
standings = st.builds(
    lambda some, others: Standing(changes=tuple(some), acceptances=tuple(others)), changes, acceptances
)
charters = st.lists(
    st.builds(
        lambda on, position, pattern, kinds, services: CHARTER._replace(
            effective_on=on, position=position, pattern=pattern, kinds=kinds, services=services
        ),
        days,
        st.integers(0, 99),
        patterns,
        some_kinds,
        some_services,
    ),
    max_size=3,
    unique_by=lambda one: one.position,
)
networks = st.builds(
    lambda terms, issuer, receiver: Network(charters=tuple(terms), issuer=issuer, receiver=receiver),
    charters,
    standings,
    standings,
)
certificates = st.builds(
    lambda on, kind: having(certified_on=on, kind=kind), days, st.sampled_from(["partnership", "familyship"])
)


def ask(some, network, on, document):
    view = ReceiverView(known=True, arrangements=tuple(some), networks={"national": network})
    return decide(replace(QUESTION, on=on), document, VALID, view)


@given(st.lists(arrangements(), min_size=1, max_size=3), networks, days, certificates, st.data())
def test_an_arrangement_that_lasts_longer_never_recognises_less(some, network, on, document, data):
    before = ask(some, network, on, document)
    longer = data.draw(st.sampled_from(some))
    more = timedelta(days=data.draw(st.integers(1, 9)))
    ends = {
        name: None if end is None or data.draw(st.booleans()) else end + more
        for name, end in (("effective_until", longer.effective_until), ("withdrawn_on", longer.withdrawn_on))
    }
    extended = [replace(one, **ends) if one is longer else one for one in some]
    if before.outcome == "recognised":
        assert ask(extended, network, on, document).outcome == "recognised"


@given(st.lists(arrangements(), max_size=4, unique_by=lambda one: one.id), networks, days, certificates, st.data())
def test_whatever_order_things_became_known_in_the_decision_is_the_same(some, network, on, document, data):
    def shuffled(things):
        return tuple(data.draw(st.permutations(things)))

    def shuffled_standing(standing):
        return Standing(changes=shuffled(standing.changes), acceptances=shuffled(standing.acceptances))

    reordered = Network(
        charters=shuffled(network.charters),
        issuer=shuffled_standing(network.issuer),
        receiver=shuffled_standing(network.receiver),
    )
    first, second = (ask(*each, on, document) for each in ((some, network), (shuffled(some), reordered)))
    assert first == replace(second, entries=first.entries, considered=first.considered)
    assert sorted(set(first.entries)) == sorted(set(second.entries))
    assert [one.arrangement for one in first.considered] == [one.arrangement for one in second.considered]


@given(st.lists(arrangements(), max_size=4, unique_by=lambda one: one.id), networks, days, certificates)
def test_one_arrangement_prevails_where_it_is_recognised_and_none_elsewhere(some, network, on, document):
    decision = ask(some, network, on, document)
    prevailing = [one for one in decision.considered if one.outcome == "prevails"]
    assert [one.arrangement for one in prevailing] == ([decision.arrangement] if decision.arrangement else [])
    assert (decision.outcome == "recognised") == bool(prevailing)

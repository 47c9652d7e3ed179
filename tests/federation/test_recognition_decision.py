from dataclasses import replace
from datetime import date

import pytest

from tests.federation.test_status_decision import CURRENT, DAY, TODAY, having
from tomoni.events.vocabulary import PATTERNS
from tomoni.history.arrangements import Arrangement, Entry, Question
from tomoni.history.networks import Acceptance, Change, Charter, Network, Standing
from tomoni.history.recognition import ReceiverView, decide
from tomoni.history.status import Answer
from tomoni.history.terms import TERMS
from tomoni.history.texts import RANKING_TEXTS, TEXTS

SHIBUYA, SETAGAYA, YOKOHAMA = "131130", "131121", "141003"
VALID = Answer(status="valid", fresh_as_of=None)
QUESTION = Question(issuer=SHIBUYA, receiver=SETAGAYA, service="public-housing", on=TODAY, today=TODAY)
HOUSING = Arrangement(
    id="a" * 8,
    position=5,
    pattern="E",
    codes=frozenset({SHIBUYA}),
    prefecture=None,
    network=None,
    kinds=frozenset({"partnership"}),
    services=frozenset({"public-housing"}),
    effective_from=TODAY - 10 * DAY,
    effective_until=None,
    withdrawn_on=None,
    withdrawn_position=None,
    conditions=("identity-document",),
    precedence=0,
    keeps_recognised=False,
)
CONTINUATION = replace(HOUSING, id="b" * 8, pattern="B", services=frozenset({"new-certificate"}))


def ask(*arrangements, question=QUESTION, document=CURRENT, status=VALID, **receiver):
    return decide(question, document, status, ReceiverView(known=True, arrangements=arrangements, **receiver))


def test_a_covered_service_is_recognised_with_its_conditions_and_the_entries_that_decided():
    decision = ask(HOUSING)
    assert (decision.outcome, decision.pattern, decision.conditions) == ("recognised", "E", ("identity-document",))
    assert decision.entries == (Entry(log=SHIBUYA, position=3), Entry(log=SETAGAYA, position=5))
    assert decision.reasons == ("arrangement-applies",)


def test_a_continuation_opens_a_new_certificate_and_no_other_service():
    continuing = replace(QUESTION, service="new-certificate")
    assert ask(CONTINUATION, question=continuing).pattern == "B"
    assert ask(CONTINUATION).reasons == ("service-not-covered",)


def test_the_issuer_recognises_its_own_certificate_without_any_arrangement():
    own = replace(QUESTION, receiver=SHIBUYA)
    decision = decide(own, CURRENT, VALID, ReceiverView(known=False))
    assert (decision.outcome, decision.reasons) == ("recognised", ("own-certificate",))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("not-valid", "not-recognised"),
        ("replaced", "not-recognised"),
        ("not-found", "not-recognised"),
        ("unknown", "unknown"),
    ],
)
def test_without_a_valid_document_no_arrangement_helps(status, outcome):
    decision = ask(HOUSING, status=Answer(status=status, fresh_as_of=None))
    assert (decision.outcome, decision.reasons) == (outcome, (f"status-{status}",))


def test_a_conditional_certificate_is_recognised_and_said_to_be_conditional():
    decision = ask(HOUSING, status=Answer(status="conditional", fresh_as_of=None))
    assert (decision.outcome, decision.reasons) == ("recognised", ("arrangement-applies", "certificate-conditional"))


LAST = replace(HOUSING, effective_until=TODAY)
ENDED = replace(HOUSING, effective_until=TODAY - DAY)
WITHDRAWN = replace(HOUSING, withdrawn_on=TODAY, withdrawn_position=9)


@pytest.mark.parametrize(
    ("arrangement", "reason"),
    [
        (replace(HOUSING, effective_from=TODAY), "arrangement-applies"),
        (replace(HOUSING, effective_from=TODAY + DAY), "date-not-covered"),
        (LAST, "arrangement-applies"),
        (ENDED, "date-not-covered"),
        (WITHDRAWN, "date-not-covered"),
        (replace(WITHDRAWN, withdrawn_on=TODAY + DAY), "arrangement-applies"),
        (replace(ENDED, keeps_recognised=True), "kept-recognised"),
        (replace(WITHDRAWN, keeps_recognised=True), "kept-recognised"),
        (replace(HOUSING, kinds=frozenset({"familyship"})), "kind-not-covered"),
        (replace(HOUSING, services=frozenset({"nursery"})), "service-not-covered"),
        (replace(HOUSING, codes=frozenset({YOKOHAMA})), "no-arrangement"),
        (replace(HOUSING, codes=frozenset(), prefecture="13"), "arrangement-applies"),
        (replace(HOUSING, codes=frozenset(), prefecture="14"), "no-arrangement"),
        (replace(HOUSING, codes=frozenset(), network="national"), "no-arrangement"),
        (replace(HOUSING, unknown=True), "arrangement-unknown"),
        (replace(HOUSING, codes=frozenset({YOKOHAMA}), unknown=True), "arrangement-unknown"),
    ],
)
def test_dates_kinds_services_and_issuers_rule(arrangement, reason):
    decision = ask(arrangement)
    assert decision.reasons[0] == reason
    assert decision.outcome == {
        "arrangement-applies": "recognised",
        "kept-recognised": "recognised",
        "arrangement-unknown": "unknown",
    }.get(reason, "not-recognised")


TOMORROW = replace(QUESTION, on=TODAY + DAY)


@pytest.mark.parametrize(
    ("arrangement", "outcome", "reasons"),
    [
        (HOUSING, "recognised", ("arrangement-applies", "day-to-come")),
        (replace(HOUSING, effective_from=TODAY + DAY), "recognised", ("arrangement-applies", "day-to-come")),
        (LAST, "not-recognised", ("date-not-covered", "day-to-come")),
        (replace(LAST, keeps_recognised=True), "recognised", ("kept-recognised", "day-to-come")),
        (replace(HOUSING, unknown=True), "unknown", ("arrangement-unknown",)),
    ],
)
def test_whatever_is_said_of_a_day_to_come_is_said_to_be_what_is_known_now(arrangement, outcome, reasons):
    decision = ask(arrangement, question=TOMORROW)
    assert (decision.outcome, decision.reasons) == (outcome, reasons)


def test_the_issuers_own_word_of_a_day_to_come_is_what_is_known_now_too():
    own = replace(TOMORROW, receiver=SHIBUYA)
    assert decide(own, CURRENT, VALID, ReceiverView(known=False)).reasons == ("own-certificate", "day-to-come")
    gone = Answer(status="not-found", fresh_as_of=None)
    assert ask(HOUSING, question=TOMORROW, document=None, status=gone).reasons == ("status-not-found", "day-to-come")


@pytest.mark.parametrize("on", [TODAY, TODAY - DAY])
def test_of_today_and_of_days_before_nothing_is_yet_to_come(on):
    assert "day-to-come" not in ask(HOUSING, question=replace(QUESTION, on=on)).reasons


def test_an_arrangement_keeps_only_what_was_certified_before_it_ended():
    kept = replace(ENDED, keeps_recognised=True)
    assert ask(kept, document=having(certified_on=TODAY)).reasons == ("date-not-covered",)


@pytest.mark.parametrize("withdrawn_on", [HOUSING.effective_from, date.min])
def test_an_arrangement_withdrawn_before_it_began_keeps_nothing(withdrawn_on):
    never = replace(HOUSING, withdrawn_on=withdrawn_on, withdrawn_position=6, keeps_recognised=True)
    assert ask(never).outcome == "not-recognised"


def test_the_higher_precedence_prevails_then_the_newer_then_the_identity():
    newer = replace(HOUSING, id="n", effective_from=TODAY - DAY)
    higher = replace(HOUSING, id="h", precedence=1, conditions=("both-present",))
    assert ask(HOUSING, newer).arrangement == "n"
    assert ask(HOUSING, newer, higher).arrangement == "h"
    assert ask(replace(HOUSING, id="z"), replace(HOUSING, id="c")).arrangement == "c"


@pytest.mark.parametrize("pattern", "ABCDE")
def test_each_pattern_is_recognised_under_its_own_terms_in_both_languages(pattern):
    decision = ask(replace(HOUSING, pattern=pattern))
    assert (decision.outcome, decision.pattern, decision.terms) == ("recognised", pattern, TERMS[pattern])
    assert set(TERMS) == set("ABCDE") == set(PATTERNS)
    assert len(set(TERMS.values())) == len(TERMS)


NETWORKED = replace(HOUSING, codes=frozenset(), network="national", conditions=("identity-document",))
CHARTER = Charter(
    date(2024, 11, 1), 0, "E", frozenset({"partnership"}), frozenset({"public-housing"}), ("both-present",)
)
JOINED = Standing(changes=(Change(date(2026, 4, 1), 7, True),), acceptances=(Acceptance(date(2026, 5, 1), None, 8),))  # noqa: FBT003
NATIONAL = Network(charters=(CHARTER,), issuer=JOINED, receiver=JOINED)
LEFT = replace(JOINED, changes=(*JOINED.changes, Change(TODAY - DAY, 9, False)))  # noqa: FBT003


def ask_network(arrangement=NETWORKED, *, on=TODAY, document=CURRENT, **changes):
    network = replace(NATIONAL, **changes)
    return ask(arrangement, question=replace(QUESTION, on=on), document=document, networks={"national": network})


def test_a_network_recognises_by_what_arrangement_and_charter_both_say_and_all_that_counts_is_cited():
    decision = ask_network()
    assert (decision.outcome, decision.conditions) == ("recognised", ("identity-document", "both-present"))
    assert decision.entries == (
        Entry(log=SHIBUYA, position=3),
        Entry(log=SETAGAYA, position=5),
        Entry(log=SHIBUYA, position=7),
        Entry(log="federation", position=8),
        Entry(log=SETAGAYA, position=7),
        Entry(log="federation", position=0),
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"charters": ()}, "no-charter"),
        ({"charters": (CHARTER._replace(effective_on=TODAY + DAY),)}, "no-charter"),
        ({"charters": (CHARTER._replace(pattern="B"),)}, "pattern-not-in-charter"),
        ({"charters": (CHARTER._replace(kinds=frozenset({"familyship"})),)}, "kind-not-in-charter"),
        ({"charters": (CHARTER._replace(services=frozenset({"nursery"})),)}, "service-not-in-charter"),
        ({"issuer": replace(JOINED, acceptances=())}, "issuer-not-member"),
        ({"issuer": replace(JOINED, changes=())}, "issuer-not-member"),
        ({"receiver": Standing()}, "receiver-not-member"),
        ({"issuer": LEFT}, "issuer-not-member"),
        ({"issuer": Standing()}, "no-arrangement"),
        ({"unclear": True}, "arrangement-unknown"),
    ],
)
def test_what_a_network_lacks_is_told(changes, reason):
    assert ask_network(**changes).reasons == (reason,)


def test_an_amendment_counts_from_its_own_day_and_of_one_day_the_later_entry():
    amended = CHARTER._replace(effective_on=TODAY, position=20, services=frozenset({"nursery"}))
    mended = CHARTER._replace(effective_on=TODAY, position=21)
    assert ask_network(on=TODAY - DAY, charters=(CHARTER, amended)).outcome == "recognised"
    assert ask_network(charters=(CHARTER, amended)).outcome == "not-recognised"
    assert ask_network(charters=(CHARTER, amended, mended)).outcome == "recognised"


@pytest.mark.parametrize("side", ["issuer", "receiver"])
def test_when_a_member_leaves_what_was_certified_by_the_last_common_day_is_kept_if_the_arrangement_keeps_it(side):
    keeping = replace(NETWORKED, keeps_recognised=True)
    assert ask_network(**{side: LEFT}).outcome == "not-recognised"
    kept = ask_network(keeping, **{side: LEFT})
    assert (kept.outcome, kept.reasons) == ("recognised", ("kept-recognised",))
    assert Entry(log={"issuer": SHIBUYA, "receiver": SETAGAYA}[side], position=9) in kept.entries
    for certified_on, outcome in ((TODAY - 2 * DAY, "recognised"), (TODAY - DAY, "not-recognised")):
        assert ask_network(keeping, document=having(certified_on=certified_on), **{side: LEFT}).outcome == outcome


def test_what_a_charter_says_only_since_the_end_was_not_recognised_before_and_is_not_kept():
    both = frozenset({"partnership", "familyship"})
    ended = replace(NETWORKED, kinds=both, keeps_recognised=True, withdrawn_on=TODAY - 2 * DAY, withdrawn_position=9)
    widened = CHARTER._replace(effective_on=TODAY - DAY, position=20, kinds=both)
    narrowed = CHARTER._replace(effective_on=TODAY - 4 * DAY, position=19, kinds=frozenset({"de-facto-partnership"}))
    for kind, charters, reason in (
        ("partnership", (CHARTER, widened), "kept-recognised"),
        ("partnership", (CHARTER, narrowed, widened), "kept-recognised"),
        ("familyship", (CHARTER, widened), "date-not-covered"),
        ("familyship", (CHARTER, narrowed, widened), "date-not-covered"),
        ("familyship", (CHARTER._replace(kinds=both), widened), "kept-recognised"),
    ):
        assert ask_network(ended, document=having(kind=kind), charters=charters).reasons == (reason,)


def test_an_acceptance_with_a_last_day_ends_the_membership_too():
    until = replace(JOINED, acceptances=(Acceptance(date(2026, 5, 1), TODAY - DAY, 8),))
    assert ask_network(on=TODAY - DAY, issuer=until).outcome == "recognised"
    assert ask_network(issuer=until).reasons == ("issuer-not-member",)
    again = replace(until, acceptances=(*until.acceptances, Acceptance(TODAY, None, 12)))
    assert ask_network(issuer=again).outcome == "recognised"


def considered(decision):
    return [(one.arrangement, one.outcome, one.reason) for one in decision.considered]


def test_every_arrangement_that_names_the_issuer_is_told_of_the_prevailing_one_first():
    older = replace(HOUSING, id="o", precedence=1)
    newer = replace(HOUSING, id="n", precedence=1, effective_from=TODAY)
    nursery = replace(HOUSING, id="x", services=frozenset({"nursery"}))
    elsewhere = replace(HOUSING, id="y", codes=frozenset({YOKOHAMA}))
    assert considered(ask(HOUSING, nursery, older, elsewhere, newer)) == [
        ("n", "prevails", "newer"),
        ("o", "outranked", "older"),
        (HOUSING.id, "outranked", "lower-precedence"),
        ("x", "does-not-apply", "service-not-covered"),
    ]
    assert considered(ask(HOUSING)) == [(HOUSING.id, "prevails", "only-one")]
    assert considered(ask(HOUSING, older))[0] == ("o", "prevails", "higher-precedence")
    twins = ask(replace(HOUSING, id="b"), replace(HOUSING, id="a"))
    assert considered(twins) == [("a", "prevails", "first-by-identity"), ("b", "outranked", "later-by-identity")]


def test_where_something_is_unreadable_nothing_is_said_to_prevail():
    unreadable = replace(HOUSING, id="u", unknown=True)
    nursery = replace(HOUSING, id="x", services=frozenset({"nursery"}))
    assert sorted(considered(ask(HOUSING, unreadable, nursery))) == [
        (HOUSING.id, "unknown", "arrangement-unknown"),
        ("u", "unknown", "arrangement-unknown"),
        ("x", "does-not-apply", "service-not-covered"),
    ]


def test_what_the_receiver_declared_must_be_known():
    assert decide(QUESTION, CURRENT, VALID, ReceiverView(known=False)).reasons == ("receiver-unknown",)
    assert ask(HOUSING, unreadable=True).reasons == ("arrangement-unknown",)


def test_every_miss_is_told_and_its_entries_are_shown_to_auditors():
    decision = ask(replace(HOUSING, services=frozenset({"nursery"})), WITHDRAWN)
    assert decision.reasons == ("date-not-covered", "service-not-covered")
    assert Entry(log=SETAGAYA, position=9) in decision.entries


def test_a_valid_status_without_a_document_is_a_defect_and_never_an_answer():
    with pytest.raises(ValueError, match="belongs to a document"):
        decide(QUESTION, None, VALID, ReceiverView(known=True))


def test_every_reason_has_words():
    assert all(text.endswith((".", "!")) for text in {**TEXTS, **RANKING_TEXTS}.values())

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tomoni.history.status import Certificate, Document, IssuerView, decide

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)  # noon in Japan
TODAY = date(2026, 11, 23)
DAY = timedelta(days=1)
PLAIN = Certificate(kind="partnership", certified_on=date(2026, 4, 1), first_position=3, last_position=3)
CURRENT = Document(certificate=PLAIN, current=True)
FRESH = IssuerView(state="open", fresh_as_of=NOW - timedelta(minutes=1))


def having(*, current=True, **changes):
    return Document(certificate=replace(PLAIN, **changes), current=current)


def view(**changes):
    return replace(FRESH, **changes)


YESTERDAY, TOMORROW = TODAY - DAY, TODAY + DAY

TABLE = [
    ("a plain certificate", CURRENT, FRESH, "valid", None),
    ("certified today", having(certified_on=TODAY), FRESH, "valid", None),
    ("certified tomorrow", having(certified_on=TOMORROW), FRESH, "not-valid", None),
    ("no such document", None, FRESH, "not-found", None),
    ("replaced", having(current=False), FRESH, "replaced", None),
    ("void from the start", having(effect="void", effective_on=PLAIN.certified_on), FRESH, "not-valid", None),
    ("ended yesterday", having(effect="ended", effective_on=YESTERDAY), FRESH, "not-valid", None),
    ("ended today", having(effect="ended", effective_on=TODAY), FRESH, "not-valid", None),
    ("ending tomorrow", having(effect="ended", effective_on=TOMORROW), FRESH, "valid", None),
    ("replaced and ended", having(current=False, effect="ended", effective_on=TODAY), FRESH, "not-valid", None),
    ("conditional", having(conditional_until=TOMORROW), FRESH, "conditional", None),
    ("conditional, last day", having(conditional_until=TODAY), FRESH, "conditional", None),
    ("lapsed, known past it", having(conditional_until=YESTERDAY), FRESH, "not-valid", None),
    ("confirmed", having(conditional_until=YESTERDAY, confirmed_on=YESTERDAY), FRESH, "valid", None),
    (
        "lapsed, not known past it",
        having(conditional_until=YESTERDAY),
        view(fresh_as_of=datetime(2026, 11, 22, 14, 59, 59, tzinfo=UTC)),
        "unknown",
        "conditional-lapse-unproven",
    ),
    (
        "lapsed, known from midnight in Japan on",
        having(conditional_until=YESTERDAY),
        view(fresh_as_of=datetime(2026, 11, 22, 15, 0, tzinfo=UTC)),
        "not-valid",
        None,
    ),
    ("not admitted", None, IssuerView(state=None), "unknown", "issuer-not-admitted"),
    ("quarantined", CURRENT, view(state="quarantined"), "unknown", "issuer-quarantined"),
    ("suspended, still fresh", CURRENT, view(state="suspended"), "valid", None),
    ("halted", CURRENT, view(halted=True), "unknown", "issuer-halted"),
    ("an unknown event about the log", CURRENT, view(unknown=True), "unknown", "issuer-unknown-event"),
    ("an unknown event about it", having(unknown=True), FRESH, "unknown", "certificate-unknown-event"),
    ("an unknown event about another", CURRENT, view(missing_unknown=True), "valid", None),
    ("not found beside an unknown event", None, view(missing_unknown=True), "unknown", "certificate-unknown-event"),
    ("never proven", CURRENT, view(fresh_as_of=None), "unknown", "never-proven"),
    ("as old as allowed", CURRENT, view(fresh_as_of=NOW - DAY), "valid", None),
    ("older than allowed", CURRENT, view(fresh_as_of=NOW - DAY - timedelta(seconds=1)), "unknown", "stale"),
    ("not found, but stale", None, view(fresh_as_of=NOW - 2 * DAY), "unknown", "stale"),
]


@pytest.mark.parametrize(
    ("document", "issuer", "status", "reason"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_the_status_table(document, issuer, status, reason):
    answer = decide(document, issuer, max_age=DAY, now=NOW, on=TODAY)
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.fresh_as_of == issuer.fresh_as_of


def test_a_stale_answer_says_what_was_last_proven_as_of_then():
    ended_since = having(effect="ended", effective_on=TODAY)
    answer = decide(ended_since, view(fresh_as_of=NOW - 3 * DAY), max_age=DAY, now=NOW, on=TODAY)
    assert (answer.status, answer.last_proven, answer.fresh_as_of) == ("unknown", "valid", NOW - 3 * DAY)


def test_the_day_changes_at_midnight_in_japan():
    ending = having(effect="ended", effective_on=TODAY)
    assert decide(ending, FRESH, max_age=DAY, now=NOW, on=YESTERDAY).status == "valid"
    assert decide(ending, FRESH, max_age=DAY, now=NOW, on=TODAY).status == "not-valid"


@pytest.mark.parametrize(
    ("document", "ahead", "status", "reason"),
    [
        (CURRENT, 300, "valid", None),
        (having(effect="ended", effective_on=TODAY + 3 * DAY), 2, "valid", None),
        (having(effect="ended", effective_on=TODAY + 3 * DAY), 3, "not-valid", None),
        (having(certified_on=TODAY + 3 * DAY), 3, "valid", None),
        (having(conditional_until=TODAY + 3 * DAY), 3, "conditional", None),
        (having(conditional_until=TODAY + 3 * DAY), 4, "unknown", "conditional-lapse-ahead"),
        (having(conditional_until=TODAY), 1, "unknown", "conditional-lapse-ahead"),
        (having(conditional_until=YESTERDAY), 1, "not-valid", None),
        (having(conditional_until=TODAY, confirmed_on=TODAY), 1, "valid", None),
        (having(conditional_until=TODAY, effect="ended", effective_on=TODAY + DAY), 1, "not-valid", None),
    ],
)
def test_of_a_day_to_come_only_what_is_recorded_is_known(document, ahead, status, reason):
    answer = decide(document, FRESH, max_age=DAY, now=NOW, on=TODAY + ahead * DAY)
    assert (answer.status, answer.reason) == (status, reason)


@given(
    age=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30)),
    max_age=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30)),
    document=st.sampled_from([row[1] for row in TABLE]),
    state=st.sampled_from([None, "open", "suspended", "quarantined"]),
)
def test_nothing_older_than_the_purpose_allows_is_ever_shown_as_valid(age, max_age, document, state):
    answer = decide(document, IssuerView(state=state, fresh_as_of=NOW - age), max_age=max_age, now=NOW, on=TODAY)
    if age > max_age or state in {None, "quarantined"}:
        assert answer.status == "unknown"

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomoni.events.types import Term
from tomoni_registry.terms import last_day_of_term


@pytest.mark.parametrize(
    ("certified_on", "unit", "count", "last"),
    [
        (date(2026, 11, 23), "days", 14, date(2026, 12, 7)),
        (date(2026, 11, 23), "months", 3, date(2027, 2, 23)),
        (date(2026, 11, 30), "months", 3, date(2027, 2, 28)),
        (date(2026, 1, 30), "months", 1, date(2026, 2, 28)),
        (date(2026, 1, 31), "months", 1, date(2026, 2, 28)),
        (date(2026, 2, 28), "months", 1, date(2026, 3, 31)),
        (date(2028, 1, 30), "months", 1, date(2028, 2, 29)),
        (date(2026, 12, 31), "months", 12, date(2027, 12, 31)),
    ],
)
def test_a_term_ends_as_the_civil_code_counts(certified_on, unit, count, last):
    assert last_day_of_term(certified_on, Term(unit=unit, count=count)) == last


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(1, 119))
def test_a_longer_term_never_ends_earlier(certified_on, count):
    shorter, longer = (last_day_of_term(certified_on, Term(unit="months", count=count + more)) for more in (0, 1))
    assert certified_on < shorter < longer

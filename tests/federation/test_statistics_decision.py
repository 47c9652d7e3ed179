"""The disclosure control, audited: of every table the attacker learns what it shares with all others that look alike.

The attacker here knows the rules, has everything that is published, and any amount of time: it groups all possible
tables by what would be published of them. What it can say of a cell is what holds in every table of a group. Each value
in the core of a cell, zero among them where nothing is shown, has to occur.
"""

import itertools
from collections import defaultdict

import pytest

from tomoni_federation.statistics.decision import (
    ShownYear,
    Year,
    shown_count,
    shown_month,
    shown_prefecture,
    shown_sum,
    shown_year,
)

N = 3
MOST = 5
"""Counts in the tables; cores that reach beyond are not audited."""


def uncovered(tables, publish):
    """Return the cells of which something is learnt that must not be: their name, what is shown, what is ruled out.

    A table is its cells by name; `publish` gives what is shown of each of them.
    """
    seen = defaultdict(lambda: defaultdict(set))
    for table in tables:
        shown = publish(table)
        for name, value in table.items():
            seen[tuple(shown.items())][name].add(value)
    found = set()
    for published, values in seen.items():
        shown = dict(published)
        if all(shown[name] + N - 1 <= MOST for name in values):
            for name, possible in values.items():
                if ruled_out := set(range(shown[name], shown[name] + N)) - possible:
                    found.add((name, shown[name], tuple(ruled_out)))
    return found


def tables_of(parts, *, empty=()):
    for counts in itertools.product(range(MOST + 1), repeat=parts):
        if not any(counts[part] for part in empty):
            yield dict(enumerate(counts))


def months_and_their_year(table):
    shown = {name: shown_month(count, 0, N)[0] for name, count in table.items()}
    return shown | {"year": shown_sum(sum(table.values()), sum(shown.values()), len(table), N)}


def towns_and_their_prefecture(table):
    years = {
        str(name): shown_year(
            Year(months=1, shown=shown_count(count, N), certified=count, ended=0, held=0, before=0), N
        )
        for name, count in table.items()
    }
    whole = shown_prefecture(years, list(table.values()), N)
    return {name: years[str(name)].certified for name in table} | {"prefecture": whole}


def rounded_and_not_capped(table):
    shown = {name: shown_count(count, N) for name, count in table.items()}
    return shown | {"year": shown_count(sum(table.values()), N)}


def small_ones_hidden_and_totals_exact(table):
    shown = {name: count if count >= N else 0 for name, count in table.items()}
    return shown | {"year": sum(table.values())}


@pytest.mark.parametrize("publish", [months_and_their_year, towns_and_their_prefecture])
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5])
def test_every_value_in_the_core_of_every_cell_goes_together_with_all_that_is_shown(publish, parts):
    assert uncovered(tables_of(parts), publish) == set()


@pytest.mark.parametrize("publish", [months_and_their_year, towns_and_their_prefecture])
def test_to_somebody_who_knows_half_of_the_parts_to_be_empty_as_well(publish):
    known = uncovered(tables_of(6, empty=(0, 2, 5)), publish)
    assert {cell for cell in known if cell[0] not in (0, 2, 5)} == set()


@pytest.mark.parametrize("publish", [rounded_and_not_capped, small_ones_hidden_and_totals_exact])
@pytest.mark.parametrize("parts", [2, 3])
def test_the_same_audit_uncovers_cells_where_the_suppression_is_broken(publish, parts):
    hidden = {cell for cell in uncovered(tables_of(parts), publish) if cell[1] == 0}
    assert any(0 in ruled_out for _, _, ruled_out in hidden), "it tells none from some"


def test_the_cap_matters_only_where_the_parts_would_be_found_out():
    assert shown_sum(16, 0, 2, 10) == 0  # both parts of 8: each would be known to be no zero
    assert shown_sum(16, 0, 6, 10) == 10
    assert shown_sum(1_000, 960, 12, 10) == 1_000


def two_years():
    """Return all tables of two years of one month each, with those conditional and ended."""
    for n1, n2 in itertools.product(range(MOST + 1), repeat=2):
        for c1, c2 in itertools.product(range(n1 + 1), range(n2 + 1)):
            for e1 in range(n1 - c1 + 1):
                for e2 in range(n1 - e1 + n2 - c2 + 1):
                    yield {"n1": n1, "n2": n2, "c1": c1, "c2": c2, "e1": e1, "e2": e2}


def lives(table):
    first, held = shown_month(table["n1"], table["c1"], N)
    year = shown_year(Year(months=1, shown=first, certified=table["n1"], ended=table["e1"], held=held, before=0), N)
    second, held_next = shown_month(table["n2"], table["c2"], N)
    before = year.certified - year.ended
    following = shown_year(
        Year(months=1, shown=second, certified=table["n2"], ended=table["e2"], held=held_next, before=before), N
    )
    return {
        "n1": first, "n2": second, "c1": held, "c2": held_next, "e1": year.ended, "e2": following.ended,
    }  # fmt: skip


def lives_not_capped(table):
    return {name: shown_count(count, N) for name, count in table.items()}


def test_what_is_conditional_or_ended_does_not_tell_that_there_was_something():
    assert uncovered(two_years(), lives) == set()


def test_without_the_cap_on_ends_it_would():
    hidden = uncovered(two_years(), lives_not_capped)
    assert any(shown == 0 and 0 in ruled_out for _, shown, ruled_out in hidden)


def test_an_end_that_was_shown_is_not_shown_as_more_than_what_was_shown_as_certified():
    year = Year(months=12, shown=20, certified=29, ended=29, held=10, before=10)
    assert shown_year(year, 10) == ShownYear(certified=20, ended=20)

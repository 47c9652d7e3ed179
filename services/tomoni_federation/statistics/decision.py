"""What may be shown of counts: pure functions from true counts to multiples of the threshold.

A count is shown as the greatest multiple of the threshold N that is not above it: "at least 20" stands for 20 to 29,
and nothing shown for 0 to 9. Such an interval of N values is the *core* of a cell. A sum is shown the same way, but
never as more than its parts can make up if any one of them stays at the bottom of its core. So each value in the core
of each cell goes together with everything shown (docs/decisions/0068 has the proof, the tests try all tables).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

LEAST_THRESHOLD = 5
"""Below it the interval would be too short to hide whether there is anybody."""


class Year(NamedTuple):
    """What a year is made of at one issuer: what is shown of its months, and what is true of the whole."""

    months: int
    """In how many months of the year it was counted."""
    shown: int
    """The sum of its cells shown by month and kind."""
    certified: int
    ended: int
    held: int
    """What is shown, of this year's end, as conditional still, and so cannot be shown as ended."""
    before: int
    """What is shown as certified in earlier years, less what is shown as ended in them."""


class ShownYear(NamedTuple):
    """What is shown of an issuer's year."""

    certified: int
    ended: int


def shown_count(count: int, threshold: int) -> int:
    """Return the greatest multiple of the threshold that is not above a count."""
    return count // threshold * threshold


def shown_part(count: int, whole: int, threshold: int) -> int:
    """Return what is shown of those in a whole that have something in common, `whole` being what is shown of it.

    More would say that there must be more in the whole.
    """
    return min(shown_count(count, threshold), whole)


def shown_sum(count: int, parts: int, number: int, threshold: int) -> int:
    """Return what is shown of a sum of so many parts, `parts` being the sum of what is shown of them.

    Half of the parts count as empty: that a scheme began in July, or is closed, is known to everybody.
    """
    room = (threshold - 1) * max(0, number // 2 - 1)
    return shown_count(min(count, parts + room), threshold)


def shown_month(certified: int, conditional: int, threshold: int) -> tuple[int, int]:
    """Return what is shown of an issuer's month and kind: how many, and how many of them conditional at its end."""
    whole = shown_count(certified, threshold)
    return whole, shown_part(conditional, whole, threshold)


def shown_year(year: Year, threshold: int) -> ShownYear:
    """Return what is shown of an issuer's year."""
    certified = shown_sum(year.certified, year.shown, year.months, threshold)
    room = max(0, year.before + certified - year.held)
    return ShownYear(certified, shown_part(year.ended, room, threshold))


def shown_prefecture(years: Mapping[str, ShownYear], certified: Sequence[int], threshold: int) -> int:
    """Return what is shown of a prefecture's year, given what is shown of its issuers' and how many they truly are."""
    return shown_sum(sum(certified), sum(year.certified for year in years.values()), len(years), threshold)

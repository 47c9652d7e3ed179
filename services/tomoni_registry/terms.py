"""Terms of days and months as Japanese law counts them."""

import calendar
from datetime import date, timedelta

from tomoni.events.types import Term


def last_day_of_term(certified_on: date, term: Term) -> date:
    """Return the last day of a term that a day sets running.

    The day itself does not count (Civil Code, Art. 140). A term of months ends on the day before the one that
    corresponds to its first day; where the month has no such day, with the month (Art. 143 (2)). So one month from
    28 February ends on 31 March.
    """
    if term.unit == "days":
        return certified_on + timedelta(days=term.count)
    first = certified_on + timedelta(days=1)
    months = first.month - 1 + term.count
    year, month = first.year + months // 12, months % 12 + 1
    days_in_month = calendar.monthrange(year, month)[1]
    if first.day > days_in_month:
        return date(year, month, days_in_month)
    return date(year, month, first.day) - timedelta(days=1)

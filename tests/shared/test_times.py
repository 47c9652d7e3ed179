"""Instants have one form; days begin at midnight in Japan."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomoni import times


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(times.JST)))  # noqa: DTZ001
def test_an_instant_is_read_back_as_it_was_written(instant: datetime) -> None:
    assert times.parse_time(times.format_time(instant)) == instant


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T03:38:36Z",
        "2026-11-23T03:38:36.000000",
        "2026-11-23T03:38:36.000000+00:00",
        "2026-11-23T03:38:36.1Z",
        "2026-02-30T00:00:00.000000Z",
        "",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        times.parse_time(text)


def test_a_day_begins_at_midnight_in_japan() -> None:
    midnight = times.midnight_in_japan(date(2026, 11, 23))
    assert times.day_in_japan(midnight) == date(2026, 11, 23)
    assert times.day_in_japan(midnight - timedelta(microseconds=1)) == date(2026, 11, 22)
    assert midnight.astimezone(UTC).hour == 15


def test_now_is_an_aware_instant() -> None:
    assert times.now().tzinfo is UTC

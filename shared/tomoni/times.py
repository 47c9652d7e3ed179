"""Instants and days: UTC with fixed precision in events, days that begin at midnight in Japan."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

JST = timezone(timedelta(hours=9), "JST")
"""Japan Standard Time; Japan has had no summer time since 1951."""

TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$(?!\n)"
"""The one form of an instant in events: UTC, microseconds, `Z`."""


_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):\d{2}:\d{2}\.\d{6}Z", re.ASCII)
"""Of the day 24:00 some versions of `fromisoformat` make the next day's midnight."""


def now() -> datetime:
    """Return this instant, in UTC."""
    return datetime.now(UTC)


def format_time(instant: datetime) -> str:
    """Return an aware instant in the fixed form of events, `2026-11-23T03:38:36.000000Z`."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_time(text: str) -> datetime:
    """Return the instant of a text in the fixed form; raise ValueError on any other form."""
    if _TIME.fullmatch(text) is None:
        raise ValueError("a time is written as 2026-11-23T03:38:36.000000Z")
    return datetime.fromisoformat(text)


def day_in_japan(instant: datetime) -> date:
    """Return the calendar day in Japan at an aware instant."""
    return instant.astimezone(JST).date()


def midnight_in_japan(day: date) -> datetime:
    """Return the instant at which a day begins in Japan."""
    return datetime(day.year, day.month, day.day, tzinfo=JST)

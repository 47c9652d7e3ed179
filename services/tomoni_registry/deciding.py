"""What the deciders share: the stamp a command carries, and the closed set of reasons to refuse one.

A decider is two pure functions, `decide(state, command) -> events` and `evolve(state, event) -> state`. It knows no
clock, no network and no database: what it needs of them stands in the command.
"""

from datetime import date, datetime
from typing import Literal, TypedDict

import msgspec

from tomoni.times import day_in_japan, format_time

RefusalReason = Literal[
    "arrangement-not-found",
    "arrangement-withdrawn",
    "certificate-already-ended",
    "certificate-erased",
    "certificate-lapsed",
    "certificate-not-conditional",
    "certificate-not-current",
    "certificate-not-ended",
    "certificate-not-found",
    "certificate-not-revoked",
    "dates-out-of-order",
    "day-before-scheme",
    "day-in-future",
    "jurisdiction-not-found",
    "key-in-use",
    "kind-not-offered",
    "network-already-joined",
    "network-not-joined",
    "not-eligible",
    "nothing-to-correct",
    "reason-does-not-fit",
    "retention-not-over",
    "retention-not-set",
    "scheme-already-open",
    "scheme-not-open",
    "stale-version",
    "too-many-arrangements",
]
"""Why a command is refused; each is the kind of a problem over HTTP (tomoni.problems)."""


class Refused(Exception):  # noqa: N818  # not a fault: an answer
    """A command is refused: nothing happens. The detail says what to do and names no person, handle or reason."""

    def __init__(self, reason: RefusalReason, detail: str, **fields: str | int) -> None:
        super().__init__(detail)
        self.reason: RefusalReason = reason
        self.detail = detail
        self.fields = fields


class Attributes(TypedDict):
    """The CloudEvents attributes of one event."""

    id: str
    source: str
    subject: str
    time: str


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """The identity and time of the event a command may become; the shell makes them, so that deciders stay pure."""

    event_id: str
    origin: str
    at: datetime

    @property
    def today(self) -> date:
        """The calendar day in Japan on which the command is recorded."""
        return day_in_japan(self.at)

    def attributes(self, subject: str) -> Attributes:
        """Return the envelope's attributes of an event of a stream."""
        return Attributes(id=self.event_id, source=self.origin, subject=subject, time=format_time(self.at))


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to happen; `seen` is the version of the stream they looked at, where they say so."""

    stamp: Stamp
    seen: int | None = None


def refuse_stale(seen: int | None, version: int) -> None:
    """Refuse a command that was made looking at another version of its stream."""
    if seen is not None and seen != version:
        raise Refused(
            "stale-version",
            f"the command was made for version {seen}, the current one is {version}: "
            "read it again, check that the command still fits, and send it with a new Idempotency-Key",
            version=version,
        )


def refuse_future(day: date, stamp: Stamp, what: str) -> None:
    """Refuse a day after today in Japan; `what` names the field."""
    if day > stamp.today:
        raise Refused("day-in-future", f"{what} is after today in Japan ({stamp.today}): record it on that day")

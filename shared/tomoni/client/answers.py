"""Answers as a client reads them: fields that are not known here are passed over, since a federation may be newer."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a document as of `fresh_as_of`. Only `valid` is valid: whatever else, or new, it says is not."""

    status: str
    fresh_as_of: datetime | None = None
    reason: str | None = None
    text: str | None = None
    last_proven: str | None = None
    """Where it is unknown because it is old: what held then, for people's judgement; never to be taken as valid."""

    @property
    def is_valid(self) -> bool:
        """Whether the certificate counts without condition."""
        return self.status == "valid"


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason, for programs and for people."""

    code: str
    text: str


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """An arrangement of the receiver that names the issuer, and whether it prevailed."""

    arrangement: str
    pattern: str
    outcome: str
    reason: str
    text: str


class Recognition(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a document counts, under which terms, what else to show, and why."""

    decision: str
    reasons: tuple[Reason, ...]
    certificate: Status
    on: date
    receiver_fresh_as_of: datetime | None = None
    pattern: str | None = None
    arrangement: str | None = None
    terms: str | None = None
    terms_ja: str | None = None
    conditions: tuple[str, ...] = ()
    considered: tuple[Considered, ...] = ()

    @property
    def is_recognised(self) -> bool:
        """Whether it counts."""
        return self.decision == "recognised"


class ItemProblem(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one item of many that could not be answered; the others were."""

    type: str
    title: str
    status: int
    detail: str

    @property
    def kind(self) -> str:
        """The stable name of the problem."""
        return self.type.rpartition("/")[2]


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """A watch."""

    id: str
    name: str
    created_at: datetime


class WatchItem(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one document that was to be watched."""

    reference: str
    watched: bool
    reason: str | None = None
    text: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a watched document or of its issuer: its number in the watch, its kind, and what holds now."""

    id: Annotated[int, Meta(ge=0)]
    event: str
    """Of a document `snapshot` (the state when it was first watched), `status` or `removed`; or `issuer`."""
    reference: str | None = None
    """None with `issuer`."""
    issuer: str
    state: str | None = None
    """With `issuer`: how it stands, in the words of completeness. One that nothing was said of is `live`."""
    status: str | None = None
    reason: str | None = None
    fresh_as_of: datetime | None = None


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """A jurisdiction, and as of when what is known of it is complete."""

    code: str
    name: str
    romaji: str
    state: str
    fresh_as_of: datetime | None = None


class StatisticsRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of one count: at least so many. A count that has no row is too small to be shown."""

    area: str
    span: str
    closes_on: date
    measure: str
    at_least: int
    kind: str | None = None


class StatisticsIssuer(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer and whether it could be counted; `missing` is no zero."""

    code: str
    state: str
    fresh_as_of: datetime | None = None
    counted_from: date | None = None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What was published of a prefecture."""

    prefecture: str
    threshold: int | None
    as_of: date | None
    issuers: tuple[StatisticsIssuer, ...]
    rows: tuple[StatisticsRow, ...]

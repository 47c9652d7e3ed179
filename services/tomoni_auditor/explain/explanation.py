"""What an explanation says, as `--json` prints it."""

from datetime import date, datetime, timedelta
from typing import Literal

import msgspec

from tomoni.history.recognition import Considered, Outcome
from tomoni.history.status import Reason as StatusReason
from tomoni.history.status import Status


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question: the status of a document, or with a receiver and a service whether it counts there."""

    issuer: str
    document: bytes
    """Its hash, which names it in events."""
    on: date | None = None
    """The day in Japan; by default that of the time from which it is answered."""
    as_known_at: datetime | None = None
    """By default now: all that the folder holds."""
    max_age: timedelta = timedelta.max
    """How old knowledge may be, as the purpose allows; by default any age."""
    receiver: str | None = None
    service: str | None = None


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why, for programs and for people."""

    code: str
    text: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """How far a log was known, and as of when."""

    log: str
    size: int
    fresh_as_of: datetime | None
    stopped_at: int | None
    """The entry at which it stopped, because it is illegal or does not fit."""
    may_be_longer: bool
    """Entries after these may have counted then: the federation has suspended or readmitted the log from here since."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that decides, and its proof under the smallest checkpoint with a receipt that covers it."""

    log: str
    position: int
    type: str
    written_at: str | None
    """By its writer's word; None where the type is unknown."""
    ja: str
    en: str
    leaf_hash: str
    proof: tuple[str, ...]
    """The audit path, the entry's sibling first; verified."""
    checkpoint_size: int
    checkpoint_root: str
    receipt_at: datetime | None
    """When the federation had that checkpoint proven; None: the folder has no receipt that covers the entry."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer is not what the entries say."""

    field: str
    answered: str
    by_entries: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the entries say of an answer that was given.

    `open`: the folder neither bears it out nor refutes it, and `why_open` says why.
    """

    verdict: Literal["borne-out", "refuted", "open"]
    differences: tuple[Difference, ...] = ()
    why_open: str | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, from what was known at a time about a day, with what it rests on."""

    issuer: str
    document: str
    on: date
    known_at: datetime
    status: Status
    status_reason: StatusReason | None
    status_text: str | None
    last_proven: Status | None
    """With `stale`: what held when it was last proven."""
    decision: Outcome | None
    """None: the status alone was asked for."""
    receiver: str | None
    service: str | None
    reasons: tuple[Reason, ...]
    pattern: str | None
    arrangement: str | None
    terms: str | None
    terms_ja: str | None
    conditions: tuple[str, ...]
    considered: tuple[Considered, ...]
    sources: tuple[Source, ...]
    entries: tuple[Evidence, ...]
    judgement: Judgement | None = None
    """Of the answer that was to be judged; None where none was given."""

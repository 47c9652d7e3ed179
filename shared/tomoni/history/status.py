"""The status of a document: a pure decision over what was projected of its certificate and how fresh that is.

An outage costs availability and never a trust decision: what is older than the caller's purpose allows is `unknown`,
and so is `not-found` from a stale log. Days begin at midnight in Japan.
"""

from datetime import date, datetime, timedelta
from typing import Literal

import msgspec

from tomoni.times import day_in_japan, midnight_in_japan

Status = Literal["valid", "conditional", "replaced", "not-valid", "not-found", "unknown"]

Reason = Literal[
    "issuer-not-admitted",
    "issuer-quarantined",
    "issuer-halted",
    "issuer-unknown-event",
    "certificate-unknown-event",
    "taken-back",
    "never-proven",
    "being-read",
    "stale",
    "conditional-lapse-unproven",
    "conditional-lapse-ahead",
]
"""Why a status is unknown."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What the read model holds of a certificate; days are days in Japan."""

    kind: str
    certified_on: date
    conditional_until: date | None = None
    """The last day on which a mover's certificate counts without the move proven."""
    confirmed_on: date | None = None
    effect: str | None = None
    """`ended` or `void` once revoked."""
    effective_on: date | None = None
    """The first day on which a revoked certificate no longer counts."""
    unknown: bool = False
    """An event of an unknown type is about it."""
    first_position: int
    last_position: int
    taken_back_at: datetime | None = None
    """When something that had been proven of it left the issuer's history."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document found in the read model, with its certificate."""

    certificate: Certificate
    current: bool
    """False once another document was issued in its place."""
    waits: bool = False
    """Something is proven of its certificate that was not projected yet."""


class IssuerView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an issuer's log in the snapshot the document was read in."""

    state: str | None
    """`open`, `suspended` or `quarantined`; None: not admitted."""
    fresh_as_of: datetime | None = None
    halted: bool = False
    """A proven entry could not be applied; everything after it is missing."""
    unknown: bool = False
    """An event of an unknown type is about the whole log."""
    missing_unknown: bool = False
    """An event of an unknown type is about a certificate: a document not found may be one it issued."""
    taken_back_at: datetime | None = None
    """When entries that had been proven left its history."""
    waiting: frozenset[str] = frozenset()
    """Subjects with a proven entry that was not projected yet: it may be an end. The empty text is every one."""

    @property
    def is_taken_back(self) -> bool:
        """Whether entries left its history and it has not been heard of since: what they said may hold or not."""
        taken = self.taken_back_at
        return taken is not None and (self.fresh_as_of is None or self.fresh_as_of < taken)

    def waits(self, subject: str) -> bool:
        """Return whether something about a subject is proven and not projected yet."""
        return subject in self.waiting or "" in self.waiting

    def waits_for(self, kind: str) -> bool:
        """Return whether that may be so of any subject of a kind, `certificate` for one."""
        return any(not subject or subject.startswith(f"{kind}/") for subject in self.waiting)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The status, how fresh it is, and where it is unknown why, with what was last proven."""

    status: Status
    fresh_as_of: datetime | None
    reason: Reason | None = None
    last_proven: Status | None = None
    """With `stale`: what held at `fresh_as_of`, for the reader's judgement; never to be taken as valid."""


def decide(document: Document | None, issuer: IssuerView, *, max_age: timedelta, now: datetime, on: date) -> Answer:
    """Return the status of a document on a day in Japan, from a log no older than `max_age` at `now`.

    On a day to come it is what is known now of that day: an end that is recorded counts, one that is not cannot.
    What is proven and not projected yet may be an end: until it is read the document is unknown.
    """
    fresh = issuer.fresh_as_of
    if (reason := _untrusted(issuer)) is not None:
        return Answer(status="unknown", fresh_as_of=fresh, reason=reason)
    if fresh is None:
        return Answer(status="unknown", fresh_as_of=None, reason="never-proven")
    taken_back_at = issuer.taken_back_at if document is None else document.certificate.taken_back_at
    if taken_back_at is not None and fresh < taken_back_at:
        return Answer(status="unknown", fresh_as_of=fresh, reason="taken-back")
    today = day_in_japan(now)
    if now - fresh > max_age:
        then = _on_day(document, issuer, day_in_japan(fresh), fresh, today)
        return Answer(status="unknown", fresh_as_of=fresh, reason="stale", last_proven=then.status)
    return _on_day(document, issuer, on, fresh, today)


def _untrusted(issuer: IssuerView) -> Reason | None:
    if issuer.state is None:
        return "issuer-not-admitted"
    if issuer.state == "quarantined":
        return "issuer-quarantined"
    if issuer.halted:
        return "issuer-halted"
    return "issuer-unknown-event" if issuer.unknown else None


def _on_day(document: Document | None, issuer: IssuerView, on: date, fresh: datetime, today: date) -> Answer:
    if (reason := _unread(document, issuer)) is not None:
        return Answer(status="unknown", fresh_as_of=fresh, reason=reason)
    if document is None:
        return Answer(status="not-found", fresh_as_of=fresh)
    certificate = document.certificate
    condition = _condition(certificate, on, fresh, today)
    if has_ended(certificate, on) or on < certificate.certified_on or condition == "not-valid":
        return Answer(status="not-valid", fresh_as_of=fresh)
    if not document.current:
        return Answer(status="replaced", fresh_as_of=fresh)
    if condition in ("conditional-lapse-unproven", "conditional-lapse-ahead"):
        return Answer(status="unknown", fresh_as_of=fresh, reason=condition)
    return Answer(status=condition, fresh_as_of=fresh)


def _unread(document: Document | None, issuer: IssuerView) -> Reason | None:
    """Return why nothing can be said of a document: something about it was not read yet, or cannot be read."""
    waits, unknown = (
        (issuer.waits_for("certificate"), issuer.missing_unknown)
        if document is None
        else (document.waits, document.certificate.unknown)
    )
    if waits:
        return "being-read"
    return "certificate-unknown-event" if unknown else None


def has_ended(certificate: Certificate, on: date) -> bool:
    """Return whether a certificate was revoked with effect on or before a day; void counts from the start."""
    if certificate.effect == "void":
        return True
    return certificate.effective_on is not None and certificate.effective_on <= on


def _condition(
    certificate: Certificate, on: date, fresh: datetime, today: date
) -> Literal["valid", "conditional", "not-valid", "conditional-lapse-unproven", "conditional-lapse-ahead"]:
    """Judge the mover's term: past its last day the proof of the move may be on its way until we are fresher."""
    until = certificate.conditional_until
    if until is None or certificate.confirmed_on is not None:
        return "valid"
    if on <= until:
        return "conditional"
    if fresh >= midnight_in_japan(until + timedelta(days=1)):
        return "not-valid"
    return "conditional-lapse-ahead" if today <= until else "conditional-lapse-unproven"

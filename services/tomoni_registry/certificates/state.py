"""A certificate as its events make it, and how it stands on a day."""

from datetime import date
from typing import Literal

import msgspec
from msgspec import UNSET

from tomoni.events import JurisdictionEvent
from tomoni.events.jurisdiction import (
    CertificateConfirmed,
    CertificateCorrected,
    CertificateErased,
    CertificateIssued,
    CertificateReinstated,
    CertificateReissued,
    CertificateRevoked,
)
from tomoni.events.types import Kind, RevocationEffect
from tomoni.times import day_in_japan, parse_time

Standing = Literal["valid", "conditional", "lapsed", "ended", "void"]


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """How and from which day a certificate ended."""

    effect: RevocationEffect
    effective_on: date
    recorded_on: date
    """The day in Japan on which the town wrote it down."""

    @property
    def kept_from(self) -> date:
        """The day that sets the retention running: the end; what is void has none, so the day that was found."""
        return self.recorded_on if self.effect == "void" else self.effective_on


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate: no person, no handle, no reason."""

    version: int
    kind: Kind
    document: str
    certified_on: date
    conditional_until: date | None = None
    confirmed_on: date | None = None
    revocation: Revocation | None = None
    erased: bool = False

    @property
    def conditional(self) -> bool:
        """Whether it was given to a mover whose move is not proven yet."""
        return self.conditional_until is not None and self.confirmed_on is None

    def standing(self, day: date) -> Standing:
        """Return how it stands on a day; that a conditional one lapsed follows from the day, no event says it."""
        if self.revocation is not None and self.revocation.effect == "void":
            return "void"
        if self.revocation is not None and day >= self.revocation.effective_on:
            return "ended"
        if not self.conditional:
            return "valid"
        return "conditional" if self.conditional_until is None or day <= self.conditional_until else "lapsed"


def evolve(state: Certificate | None, event: JurisdictionEvent) -> Certificate | None:
    """Return the certificate after one of its events; other events change nothing."""
    if isinstance(event, CertificateIssued):
        return Certificate(
            version=event.data.version,
            kind=event.data.kind,
            document=event.data.document,
            certified_on=event.data.certified_on,
            conditional_until=None if event.data.conditional_until is UNSET else event.data.conditional_until,
        )
    return state and _changed(state, event)


def _changed(state: Certificate, event: JurisdictionEvent) -> Certificate:
    changes: dict[str, object] = {}
    match event:
        case CertificateConfirmed(data=data):
            changes = {"confirmed_on": data.confirmed_on}
        case CertificateReissued(data=data):
            changes = {"document": data.document}
        case CertificateRevoked(data=data):
            recorded_on = day_in_japan(parse_time(event.time))
            changes = {
                "revocation": Revocation(effect=data.effect, effective_on=data.effective_on, recorded_on=recorded_on)
            }
        case CertificateReinstated():
            changes = {"revocation": None}
        case CertificateCorrected():
            changes = _corrections(state, event)
        case CertificateErased():
            changes = {"erased": True}
        case _:
            return state
    return msgspec.structs.replace(state, version=event.data.version, **changes)


def _corrections(state: Certificate, event: CertificateCorrected) -> dict[str, object]:
    data, changes = event.data, dict[str, object]()
    if data.certified_on is not UNSET:
        changes["certified_on"] = data.certified_on
    if data.conditional_until is not UNSET:
        changes["conditional_until"] = data.conditional_until
    if data.effective_on is not UNSET and state.revocation is not None:
        changes["revocation"] = msgspec.structs.replace(state.revocation, effective_on=data.effective_on)
    return changes

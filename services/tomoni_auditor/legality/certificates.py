"""The life of a certificate: which event may follow which, and days in their order."""

from collections.abc import Callable
from datetime import date
from typing import Any, Final, Literal

from msgspec import UNSET, structs

from tomoni.events import jurisdiction as j
from tomoni_auditor.legality.steps import NotLegalError, State, Step

Standing = Literal["valid", "conditional", "lapsed", "ended", "void"]


class Certificate(State, kw_only=True):
    """A certificate so far."""

    document: str
    certified_on: date
    conditional_until: date | None = None
    confirmed_on: date | None = None
    effect: str | None = None
    effective_on: date | None = None
    erased: bool = False

    def standing(self, day: date) -> Standing:
        """Return how it stands on a day."""
        if self.effect == "void":
            return "void"
        if self.effective_on is not None and day >= self.effective_on:
            return "ended"
        if self.conditional_until is None or self.confirmed_on is not None:
            return "valid"
        return "conditional" if day <= self.conditional_until else "lapsed"


def live(state: State, step: Step) -> State:
    """Return a certificate after a step of its life; raise NotLegalError."""
    if step.cls is j.CertificateIssued:
        _require(state.version == 0, "a certificate is issued once")
        return _in_order(_issued(step), step.day)
    if not isinstance(state, Certificate):
        raise NotLegalError("the certificate is issued before anything else happens to it")
    _require(not state.erased, "nothing happens to a certificate that was erased")
    return _in_order(_LIFE[step.cls](state, step), step.day)


def _issued(step: Step) -> Certificate:
    data: j.CertificateIssuedData = step.data
    until = None if data.conditional_until is UNSET else data.conditional_until
    return Certificate(document=data.document, certified_on=data.certified_on, conditional_until=until)


def _confirmed(state: Certificate, step: Step) -> Certificate:
    _require(state.effect is None, "a certificate that has ended is not confirmed")
    conditional = state.conditional_until is not None and state.confirmed_on is None
    _require(conditional, "only a conditional certificate is confirmed, and once")
    _require(step.data.confirmed_on <= step.day, "the move is confirmed on the day of the event or before")
    return structs.replace(state, confirmed_on=step.data.confirmed_on)


def _reissued(state: Certificate, step: Step) -> Certificate:
    data: j.CertificateReissuedData = step.data
    _require(data.replaces == state.document, "a reissue replaces the current document")
    current = state.standing(step.day) in {"valid", "conditional"}
    _require(current, "only a certificate that counts gets a new document")
    _require(state.certified_on <= data.reissued_on <= step.day, "it is reissued between its certified day and today")
    return structs.replace(state, document=data.document)


def _revoked(state: Certificate, step: Step) -> Certificate:
    data: j.CertificateRevokedData = step.data
    _require(state.effect is None, "a certificate that was revoked is not revoked again")
    return structs.replace(state, effect=data.effect, effective_on=data.effective_on)


def _reinstated(state: Certificate, step: Step) -> Certificate:
    data: j.CertificateReinstatedData = step.data
    if state.effective_on is None:
        raise NotLegalError("only a revoked certificate is reinstated")
    _require(state.effective_on <= data.reinstated_on <= step.day, "it is reinstated between its end and today")
    return structs.replace(state, effect=None, effective_on=None)


def _corrected(state: Certificate, step: Step) -> Certificate:
    data: j.CertificateCorrectedData = step.data
    changes: dict[str, date] = {}
    if data.effective_on is not UNSET:
        _require(state.effect is not None, "only a revoked certificate has a day of its end to correct")
        changes["effective_on"] = data.effective_on
    if data.conditional_until is not UNSET:
        _require(state.conditional_until is not None, "only a mover's certificate has a last conditional day")
        changes["conditional_until"] = data.conditional_until
    if data.certified_on is not UNSET:
        changes["certified_on"] = data.certified_on
    return structs.replace(state, **changes)


def _erased(state: Certificate, step: Step) -> Certificate:
    over = state.standing(step.day) not in {"valid", "conditional"}
    _require(over, "a certificate is erased only after its end")
    return structs.replace(state, erased=True)


_LIFE: Final[dict[type[Any] | None, Callable[[Certificate, Step], Certificate]]] = {
    j.CertificateConfirmed: _confirmed,
    j.CertificateReissued: _reissued,
    j.CertificateRevoked: _revoked,
    j.CertificateReinstated: _reinstated,
    j.CertificateCorrected: _corrected,
    j.CertificateErased: _erased,
}


def _in_order(state: Certificate, today: date) -> Certificate:
    """Return a certificate whose days are in order and not to come; raise NotLegalError for any other."""
    _require(state.certified_on <= today, "it is certified on the day of the event or before")
    until, confirmed, effective = state.conditional_until, state.confirmed_on, state.effective_on
    if until is not None:
        _require(state.certified_on <= until, "the last conditional day is not before the certified day")
        if confirmed is not None:
            _require(state.certified_on <= confirmed <= until, "the move is confirmed within the conditional days")
    if effective is not None:
        if state.effect == "void":
            _require(effective == state.certified_on, "void is from the certified day on")
        _require(state.certified_on <= effective <= today, "it ends between its certified day and today")
    return state


def _require(fact: bool, text: str) -> None:  # a fact, not a flag
    if not fact:
        raise NotLegalError(text)

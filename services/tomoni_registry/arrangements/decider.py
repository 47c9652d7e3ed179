"""Arrangements: what a receiver may declare about other issuers' certificates, and how it ends."""

from datetime import date

import msgspec
from msgspec import UNSET

from tomoni.events import JurisdictionEvent
from tomoni.events.jurisdiction import (
    ArrangementDeclared,
    ArrangementDeclaredData,
    ArrangementWithdrawn,
    ArrangementWithdrawnData,
)
from tomoni.events.types import IssuerSet
from tomoni.jurisdictions import JurisdictionError, by_code, prefecture_of
from tomoni_registry.deciding import Command, Refused, refuse_stale

MAX_ARRANGEMENTS = 1_000
"""Arrangements in one log: the federation evaluates them for every answer, so no town may grow them without bound."""


class Arrangement(msgspec.Struct, frozen=True, kw_only=True):
    """An arrangement as its events make it."""

    version: int
    terms: ArrangementDeclaredData
    withdrawn_on: date | None = None


class Declare(Command, frozen=True, kw_only=True):
    """Recognise certificates of others; `declared`: how many arrangements this log holds already."""

    subject: str
    receiver: str
    declared: int
    terms: ArrangementDeclaredData


class Withdraw(Command, frozen=True, kw_only=True):
    """Recognise them no more from a day on."""

    subject: str
    effective_on: date


def decide(state: Arrangement | None, command: Declare | Withdraw) -> tuple[JurisdictionEvent, ...]:
    """Return what happens to an arrangement (None: there is none yet); raise Refused where nothing may."""
    attributes = command.stamp.attributes(command.subject)
    match command:
        case Declare():
            _refuse_declaration(command)
            return (ArrangementDeclared(**attributes, data=_in_order(command.terms)),)
        case Withdraw():
            if state is None:
                raise Refused("arrangement-not-found", "this registry has declared no such arrangement: check its id")
            refuse_stale(command.seen, state.version)
            _refuse_withdrawal(state, command)
            withdrawn = ArrangementWithdrawnData(version=state.version + 1, effective_on=command.effective_on)
            return (ArrangementWithdrawn(**attributes, data=withdrawn),)


def evolve(state: Arrangement | None, event: JurisdictionEvent) -> Arrangement | None:
    """Return the arrangement after one of its events; other events change nothing."""
    match event:
        case ArrangementDeclared(data=data):
            return Arrangement(version=data.version, terms=data)
        case ArrangementWithdrawn(data=data) if state is not None:
            return msgspec.structs.replace(state, version=data.version, withdrawn_on=data.effective_on)
        case _:
            return state


def _refuse_declaration(command: Declare) -> None:
    terms = command.terms
    if command.declared >= MAX_ARRANGEMENTS:
        raise Refused(
            "too-many-arrangements",
            f"a log holds at most {MAX_ARRANGEMENTS} arrangements: name a prefecture or a network in one",
        )
    if terms.effective_until is not UNSET and terms.effective_until < terms.effective_from:
        raise Refused("dates-out-of-order", "effective_until is before effective_from: mend one of them")
    _refuse_issuers(terms.issuers, command.receiver)


def _refuse_issuers(issuers: IssuerSet, receiver: str) -> None:
    codes = () if issuers.codes is UNSET else issuers.codes
    if receiver in codes:
        raise Refused("jurisdiction-not-found", "a town's own certificates count without an arrangement: leave it out")
    try:
        for code in codes:
            by_code(code)
        if issuers.prefecture is not UNSET:
            prefecture_of(issuers.prefecture)
    except JurisdictionError as error:
        raise Refused("jurisdiction-not-found", str(error)) from error


def _refuse_withdrawal(state: Arrangement, command: Withdraw) -> None:
    if state.withdrawn_on is not None:
        raise Refused("arrangement-withdrawn", f"the arrangement ended on {state.withdrawn_on} already")
    if command.effective_on < state.terms.effective_from:
        raise Refused(
            "dates-out-of-order",
            f"the arrangement begins on {state.terms.effective_from}: it is withdrawn on that day or later",
        )


def _in_order(terms: ArrangementDeclaredData) -> ArrangementDeclaredData:
    """Return the terms with their sets sorted and free of doubles, so that the same terms are the same bytes."""
    codes = terms.issuers.codes
    issuers = terms.issuers if codes is UNSET else IssuerSet(codes=tuple(sorted(set(codes))))
    return msgspec.structs.replace(
        terms,
        issuers=issuers,
        kinds=tuple(sorted(set(terms.kinds))),
        services=tuple(sorted(set(terms.services))),
        conditions=tuple(sorted(set(terms.conditions))),
    )

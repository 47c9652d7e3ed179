"""The scheme as its events make it: what is offered on which day."""

from datetime import date

import msgspec

from tomoni.events import JurisdictionEvent
from tomoni.events.jurisdiction import (
    SchemeAmended,
    SchemeAmendedData,
    SchemeClosed,
    SchemeClosedData,
    SchemeOpened,
    SchemeOpenedData,
)
from tomoni.events.types import OfferedKind
from tomoni_registry.deciding import Command, Refused, refuse_stale

SUBJECT = "scheme"


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Days on which the same was offered: from `starts_on` until the day before `ends_before`."""

    name: str
    kinds: tuple[OfferedKind, ...]
    starts_on: date
    ends_before: date | None = None


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """What a jurisdiction offers and offered, oldest first; periods never overlap."""

    version: int = 0
    periods: tuple[Period, ...] = ()

    def on(self, day: date) -> Period | None:
        """Return what is offered on a day, None where the scheme is not open."""
        for period in self.periods:
            if period.starts_on <= day and (period.ends_before is None or day < period.ends_before):
                return period
        return None

    @property
    def open(self) -> Period | None:
        """The period without an end; None before the scheme opens and once its closing is recorded."""
        return self.periods[-1] if self.periods and self.periods[-1].ends_before is None else None


class Open(Command, frozen=True, kw_only=True):
    """Offer certificates from a day on."""

    name: str
    kinds: tuple[OfferedKind, ...]
    opens_on: date


class Amend(Command, frozen=True, kw_only=True):
    """Offer something else from a day on, given whole."""

    name: str
    kinds: tuple[OfferedKind, ...]
    effective_on: date


class Close(Command, frozen=True, kw_only=True):
    """Offer nothing from a day on."""

    closes_on: date


def decide(state: Scheme, command: Open | Amend | Close) -> tuple[JurisdictionEvent, ...]:
    """Return what happens; raise Refused where nothing may.

    Days may lie in the past: a town that adopts the system records the history of its scheme. They only go forward,
    so that an earlier record is never rewritten by a later one.
    """
    refuse_stale(command.seen, state.version)
    version, attributes = state.version + 1, command.stamp.attributes(SUBJECT)
    match command:
        case Open():
            _refuse_opening(state, command.opens_on)
            opened = SchemeOpenedData(
                version=version, name=command.name, kinds=_sorted(command.kinds), opens_on=command.opens_on
            )
            return (SchemeOpened(**attributes, data=opened),)
        case Amend():
            _refuse_change(state, command.effective_on)
            amended = SchemeAmendedData(
                version=version, name=command.name, kinds=_sorted(command.kinds), effective_on=command.effective_on
            )
            return (SchemeAmended(**attributes, data=amended),)
        case Close():
            _refuse_change(state, command.closes_on)
            return (SchemeClosed(**attributes, data=SchemeClosedData(version=version, closes_on=command.closes_on)),)


def evolve(state: Scheme, event: JurisdictionEvent) -> Scheme:
    """Return the scheme after one of its events; other events change nothing."""
    match event:
        case SchemeOpened(data=data):
            period = Period(name=data.name, kinds=data.kinds, starts_on=data.opens_on)
            return Scheme(version=data.version, periods=(*state.periods, period))
        case SchemeAmended(data=data):
            before = _ended(state.periods, data.effective_on)
            period = Period(name=data.name, kinds=data.kinds, starts_on=data.effective_on)
            return Scheme(version=data.version, periods=(*before, period))
        case SchemeClosed(data=data):
            return Scheme(version=data.version, periods=_ended(state.periods, data.closes_on))
        case _:
            return state


def _ended(periods: tuple[Period, ...], day: date) -> tuple[Period, ...]:
    *before, last = periods
    if last.starts_on >= day:  # it was replaced before its first day
        return tuple(before)
    return (*before, msgspec.structs.replace(last, ends_before=day))


def _sorted(kinds: tuple[OfferedKind, ...]) -> tuple[OfferedKind, ...]:
    return tuple(sorted(kinds, key=lambda offered: offered.kind))


def _refuse_opening(state: Scheme, day: date) -> None:
    if state.open is not None:
        raise Refused("scheme-already-open", "the scheme is open: amend it, or close it first")
    if state.periods and day < (state.periods[-1].ends_before or day):
        raise Refused("dates-out-of-order", f"the scheme was open until {state.periods[-1].ends_before}: open it later")


def _refuse_change(state: Scheme, day: date) -> None:
    if state.open is None:
        raise Refused("scheme-not-open", "the scheme is not open: open it first")
    if day < state.open.starts_on:
        raise Refused(
            "dates-out-of-order",
            f"what is offered now has been since {state.open.starts_on}: a change takes effect on that day or later",
        )

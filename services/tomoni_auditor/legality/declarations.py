"""What a jurisdiction's log says beside certificates: its scheme, its arrangements, its networks, its keys."""

from datetime import date

from msgspec import UNSET, structs

from tomoni.events import jurisdiction as j
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier
from tomoni_auditor.legality.steps import NotLegalError, Rule, State, Step


class Scheme(State, kw_only=True):
    """The scheme so far: since when what is offered is offered, None while it is closed, and the ends before."""

    starts_on: date | None = None
    ended_on: date | None = None


class Arrangement(State, kw_only=True):
    """An arrangement so far."""

    effective_from: date
    withdrawn: bool = False


class Membership(State, kw_only=True):
    """What the jurisdiction says about one network."""

    member: bool = False
    since: date = date.min


def scheme(state: State, step: Step) -> State:
    """Return the scheme after a step: opened, amended and closed, its days going forward only."""
    known = state if isinstance(state, Scheme) else Scheme(version=state.version)
    if step.cls is j.SchemeOpened:
        if known.starts_on is not None:
            raise NotLegalError("a scheme that is open is not opened")
        _forward(known.ended_on, step.data.opens_on)
        return structs.replace(known, starts_on=step.data.opens_on)
    if known.starts_on is None:
        raise NotLegalError("a scheme is opened before it is amended or closed")
    day: date = step.data.closes_on if step.cls is j.SchemeClosed else step.data.effective_on
    _forward(known.starts_on, day)
    ended_on = day if day > known.starts_on else known.ended_on  # what was replaced before its first day never was
    return structs.replace(known, ended_on=ended_on, starts_on=None if step.cls is j.SchemeClosed else day)


def arrangement(state: State, step: Step) -> State:
    """Return an arrangement after a step: declared once, then withdrawn once."""
    if step.cls is j.ArrangementDeclared:
        data: j.ArrangementDeclaredData = step.data
        if state.version:
            raise NotLegalError("an arrangement is declared once, and first")
        if data.effective_until is not UNSET:
            _forward(data.effective_from, data.effective_until)
        return Arrangement(effective_from=data.effective_from)
    if not isinstance(state, Arrangement) or state.withdrawn:
        raise NotLegalError("an arrangement is withdrawn once, after it was declared")
    _forward(state.effective_from, step.data.effective_on)
    return structs.replace(state, withdrawn=True)


def membership(state: State, step: Step) -> State:
    """Return a membership after a step: joined and left in turn."""
    known = state if isinstance(state, Membership) else Membership(version=state.version)
    joined = step.cls is j.NetworkJoined
    if joined == known.member:
        raise NotLegalError("a network is joined and left in turn")
    _forward(known.since, step.data.effective_on)
    return structs.replace(known, member=joined, since=step.data.effective_on)


def key_of(origin: str) -> Rule:
    """Return the rule for the keys of a log: each next one is named after the log. Who signs is seen elsewhere."""

    def key(state: State, step: Step) -> State:
        try:
            name = Verifier.parse(step.data.log_key).name
        except NoteError as error:
            raise NotLegalError("the next key is the verifier key of a log") from error
        if name != origin:
            raise NotLegalError("the next key is one of this log")
        return state

    return key


def _forward(before: date | None, day: date) -> None:
    if before is not None and day < before:
        raise NotLegalError(f"the day is {before} or later")

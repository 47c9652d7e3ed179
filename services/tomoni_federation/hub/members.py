"""Who may connect: the federation's log folded into one transport key for each admitted jurisdiction. Pure.

Everything doubtful closes: a suspended or quarantined log, an event of an unknown type about a jurisdiction, a key
that another jurisdiction holds already. A log that cannot be read as a whole halts the fold.
"""

from collections.abc import Mapping

from tomoni.events import EventError, UnknownEvent, decode_event
from tomoni.events.federation import (
    JurisdictionAdmitted,
    JurisdictionQuarantined,
    JurisdictionReadmitted,
    JurisdictionSuspended,
)

Users = Mapping[str, str]
"""Six-digit code → public user nkey."""

_PREFIX = "jurisdiction/"


class FoldError(ValueError):
    """The federation's log says something that this version cannot interpret; nobody's access may change."""


def apply_entry(users: Users, entry: bytes, origin: str) -> Users:
    """Return the users after one proven entry of the log of that origin; raise FoldError where it cannot be read."""
    try:
        event = decode_event(entry)
    except EventError as error:
        raise FoldError("a proven entry of the federation's log is no event") from error
    if event.source != origin:
        raise FoldError("an entry of the federation's log names another source")
    match event:
        case JurisdictionAdmitted() | JurisdictionReadmitted():
            code = event.subject.removeprefix(_PREFIX)
            return _with(users, code, event.data.transport_key)
        case JurisdictionSuspended() | JurisdictionQuarantined():
            return _without(users, event.subject.removeprefix(_PREFIX))
        case UnknownEvent(subject=None):
            raise FoldError("an event of an unknown type makes the whole log unknown")
        case UnknownEvent(subject=str() as subject) if subject.startswith(_PREFIX):
            return _without(users, subject.removeprefix(_PREFIX))
        case _:
            return users


def _with(users: Users, code: str, key: str) -> Users:
    """One key in two accounts would make the server refuse its whole configuration: the first holder keeps it."""
    others = _without(users, code)
    return others if key in others.values() else {**others, code: key}


def _without(users: Users, code: str) -> Users:
    return {other: key for other, key in users.items() if other != code}

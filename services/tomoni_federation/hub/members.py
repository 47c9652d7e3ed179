"""Who may connect: the federation's log folded into the transport keys of each admitted jurisdiction. Pure.

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
    JurisdictionTransportKeyAccepted,
    JurisdictionTransportKeyRetired,
)

Users = Mapping[str, tuple[str, ...]]
"""Six-digit code → public user nkeys: one, and two while one replaces the other."""

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
            return _with(_without(users, code), code, event.data.transport_key)
        case JurisdictionTransportKeyAccepted():
            code = event.subject.removeprefix(_PREFIX)
            return _with(users, code, event.data.transport_key) if code in users else users
        case JurisdictionTransportKeyRetired():
            code = event.subject.removeprefix(_PREFIX)
            left = tuple(key for key in users.get(code, ()) if key != event.data.transport_key)
            return {**users, code: left} if left else _without(users, code)
        case JurisdictionSuspended() | JurisdictionQuarantined():
            return _without(users, event.subject.removeprefix(_PREFIX))
        case UnknownEvent(subject=None):
            raise FoldError("an event of an unknown type makes the whole log unknown")
        case UnknownEvent(subject=str() as subject) if subject.startswith(_PREFIX):
            return _without(users, subject.removeprefix(_PREFIX))
        case _:
            return users


def _with(users: Users, code: str, key: str) -> Users:
    """Add a key. In two accounts it would make the server refuse its whole configuration: the first holder keeps it."""
    held = {one for keys in users.values() for one in keys}
    return users if key in held else {**users, code: (*users.get(code, ()), key)}


def _without(users: Users, code: str) -> Users:
    return {other: keys for other, keys in users.items() if other != code}

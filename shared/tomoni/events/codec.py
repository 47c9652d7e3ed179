"""Reading and writing entries: bytes to events and back, with the one rule that keeps all readers agreed.

The re-encode rule: whoever reads an entry parses it, encodes it again and requires the same bytes. An event of an
unknown type is not an error and never ignored: it comes back as `UnknownEvent` and makes its subject unknown.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_args

import msgspec

from tomoni import times
from tomoni.events import federation, jurisdiction
from tomoni.events.canonical import CanonicalError, decode_canonical, encode
from tomoni.events.types import MAX_ENTRY_BYTES, Envelope, Subject

JurisdictionEvent = (
    jurisdiction.SchemeOpened
    | jurisdiction.SchemeAmended
    | jurisdiction.SchemeClosed
    | jurisdiction.CertificateIssued
    | jurisdiction.CertificateConfirmed
    | jurisdiction.CertificateReissued
    | jurisdiction.CertificateRevoked
    | jurisdiction.CertificateReinstated
    | jurisdiction.CertificateCorrected
    | jurisdiction.CertificateErased
    | jurisdiction.ArrangementDeclared
    | jurisdiction.ArrangementWithdrawn
    | jurisdiction.NetworkJoined
    | jurisdiction.NetworkLeft
    | jurisdiction.KeyRotated
)
"""What a jurisdiction's log may hold."""

FederationEvent = (
    federation.JurisdictionAdmitted
    | federation.JurisdictionSuspended
    | federation.JurisdictionQuarantined
    | federation.JurisdictionReadmitted
    | federation.JurisdictionTransportKeyAccepted
    | federation.JurisdictionTransportKeyRetired
    | federation.JurisdictionSucceeded
    | federation.NetworkChartered
    | federation.NetworkAmended
    | federation.NetworkMemberAccepted
    | federation.ReceiptKeyRotated
    | jurisdiction.KeyRotated
)
"""What the federation's own log may hold."""

Event = JurisdictionEvent | FederationEvent

EVENT_TYPES: Mapping[str, type[Event]] = {
    str(cls.__struct_config__.tag): cls for cls in cast("tuple[type[Event], ...]", get_args(Event))
}
"""Every known event by its CloudEvents `type`."""


class UnknownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed event of a type this version does not know; its subject (None: the whole log) is unknown."""

    type: str
    source: str
    subject: str | None


class EventError(ValueError):
    """An entry is no legal event: not canonical, malformed, too large, or of another log."""


Upcaster = Callable[[Any], Any]
UPCASTERS: dict[type[Any], Upcaster] = {}
"""Old event class → pure function to the next version's event. An old class stays in `Event` so that it is read."""

E = TypeVar("E", bound=Envelope)

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class _Type(msgspec.Struct):
    type: str


_type_decoder = msgspec.json.Decoder(_Type)


def encode_event(event: Event) -> bytes:
    """Return the entry of an event, its canonical bytes; raise EventError where they would break a limit."""
    data = encode(event)
    if len(data) > MAX_ENTRY_BYTES:
        raise EventError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
    return data


def decode_event(data: bytes, upcasters: Mapping[type[Any], Upcaster] = UPCASTERS) -> Event | UnknownEvent:
    """Return the event of an entry, in its newest version; raise EventError where the bytes are no legal event."""
    if len(data) > MAX_ENTRY_BYTES:
        raise EventError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
    try:
        event = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if _has_unknown_type(data):
            return _decode_unknown(data)
        raise EventError("the entry is not an event of a known form") from error
    if encode(event) != data:
        raise EventError("the entry is not the canonical form of its event")
    try:
        times.parse_time(event.time)
    except ValueError as error:
        raise EventError("the event's time does not exist") from error
    return upcast(event, upcasters)


def upcast(event: Event, upcasters: Mapping[type[Any], Upcaster]) -> Event:
    """Return an event lifted step by step to its newest version."""
    current: Event = event
    while (step := upcasters.get(type(current))) is not None:
        current = cast("Event", step(current))
    return current


def _has_unknown_type(data: bytes) -> bool:
    try:
        return _type_decoder.decode(data).type not in EVENT_TYPES
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _decode_unknown(data: bytes) -> UnknownEvent:
    try:
        value = decode_canonical(data)
    except CanonicalError as error:
        raise EventError(f"the entry is not a canonical event: {error}") from error
    fields = cast("dict[str, object]", value)
    event_type, source, subject = fields.get("type"), fields.get("source"), fields.get("subject")
    if not (isinstance(event_type, str) and isinstance(source, str) and isinstance(fields.get("id"), str)):
        raise EventError("the entry lacks the attributes every event has (id, source, type)")
    if fields.get("specversion") != "1.0":
        raise EventError("the entry is not a CloudEvent 1.0")
    try:
        return UnknownEvent(type=event_type, source=source, subject=msgspec.convert(subject, Subject | None))
    except msgspec.ValidationError as error:
        raise EventError("the event's subject is not one to 120 visible ASCII characters") from error

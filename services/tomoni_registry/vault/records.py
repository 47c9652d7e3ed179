"""What the vault holds about a stream: each record is one structure, sealed as JSON, never shown in a repr."""

from typing import Literal

from tomoni.events.types import Sha256Hex, Time
from tomoni_registry.certificates.application import Application, Personal
from tomoni_registry.certificates.commands import EndReason

Field = Literal["access", "application", "document", "reason"]


class AccessRecord(Personal, frozen=True, kw_only=True):
    """Who did or read what, and when: the clerk's name stands here and not in the event."""

    who: str
    what: str
    at: Time


class ApplicationRecord(Personal, frozen=True, kw_only=True):
    """The application as it was handed in."""

    application: Application
    at: Time


class DocumentRecord(Personal, frozen=True, kw_only=True):
    """The handle printed on one document."""

    handle: str
    document: Sha256Hex
    at: Time


class ReasonRecord(Personal, frozen=True, kw_only=True):
    """Why something was done to a certificate."""

    what: str
    reason: EndReason | None = None
    note: str | None = None
    at: Time


Record = AccessRecord | ApplicationRecord | DocumentRecord | ReasonRecord

RECORD_TYPES: dict[Field, type[Record]] = {
    "access": AccessRecord,
    "application": ApplicationRecord,
    "document": DocumentRecord,
    "reason": ReasonRecord,
}
FIELDS: dict[type[Record], Field] = {cls: field for field, cls in RECORD_TYPES.items()}

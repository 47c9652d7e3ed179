"""The bodies of commands about certificates and of their answers, with examples."""

from datetime import date
from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from tomoni.documents import print_handle
from tomoni.events.types import Day, Kind, RevocationEffect, Sha256Hex, Time, Uuid
from tomoni_registry.certificates.application import Application, Personal
from tomoni_registry.certificates.commands import EndReason
from tomoni_registry.certificates.state import Certificate, Standing
from tomoni_registry.vault.records import AccessRecord, DocumentRecord, ReasonRecord

Seen = Annotated[
    int,
    Meta(ge=1, description="The version you looked at: the command is refused if it has changed.", examples=[1]),
]
Note = Annotated[str, Meta(min_length=1, max_length=2000, description="Why; kept in the vault, never in an event.")]


class IssueBody(Personal, frozen=True, kw_only=True):
    """Certify a relationship."""

    kind: Kind
    certified_on: Annotated[Day, Meta(description="The day of the oath or notification (宣誓日, 証明日).")]
    application: Application


class ConfirmBody(Personal, frozen=True, kw_only=True):
    """The mover has moved."""

    confirmed_on: Annotated[Day, Meta(description="The day on which the move was proven.")]
    version: Seen | None = None


class ReissueBody(Personal, frozen=True, kw_only=True):
    """Replace the document: lost, damaged, or a name changed."""

    reissued_on: Day
    reason: Note | None = None
    version: Seen | None = None


class RevokeBody(Personal, frozen=True, kw_only=True):
    """End a certificate, or declare it void from the start (for which the scope supervisor is needed)."""

    effect: RevocationEffect
    reason: EndReason
    effective_on: Annotated[Day, Meta(description="The first day without it; left out for `void`.")] | None = None
    note: Note | None = None
    version: Seen | None = None


class ReinstateBody(Personal, frozen=True, kw_only=True):
    """Undo a revocation made in error."""

    reinstated_on: Day
    reason: Note
    version: Seen | None = None


class CorrectBody(Personal, frozen=True, kw_only=True):
    """Put wrong dates right; those that stand are left out."""

    certified_on: Day | None = None
    conditional_until: Day | None = None
    effective_on: Annotated[Day, Meta(description="The first day without a certificate that has ended.")] | None = None
    reason: Note
    version: Seen | None = None


class EraseBody(Personal, frozen=True, kw_only=True):
    """Destroy the personal data of a certificate that has ended."""

    version: Seen | None = None


class CertificateAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate as it stands today in Japan: no person, no handle, no reason."""

    certificate: Uuid
    version: int
    kind: Kind
    standing: Standing
    document: Annotated[Sha256Hex, Meta(description="The name of the current document in events.")]
    certified_on: Day
    conditional_until: Day | None = None
    confirmed_on: Day | None = None
    effect: RevocationEffect | None = None
    effective_on: Day | None = None
    erased: bool = False


class DocumentAnswer(CertificateAnswer, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate with a new document: the only answer that shows a handle, to be printed and given to the couple."""

    handle: Annotated[str, Meta(description="As printed on the document.", examples=["7K3M-Q9TX-0VWC-52HB-9F"])]

    def __repr__(self) -> str:
        """Return the name of the structure: the handle is a bearer secret."""
        return "DocumentAnswer(…)"


class HistoryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a certificate, oldest first, as they stand in the log."""

    certificate: Uuid
    events: tuple[msgspec.Raw, ...]


class VaultAnswer(Personal, frozen=True, kw_only=True):
    """What the vault holds about a certificate."""

    certificate: Uuid
    application: Application | None
    """None where it was destroyed, and the certificate has gone on since."""
    documents: tuple[DocumentRecord, ...]
    reasons: tuple[ReasonRecord, ...]
    access: Annotated[tuple[AccessRecord, ...], Meta(description="Who did or read what, this reading included.")]


class ErasureAnswer(Personal, frozen=True, kw_only=True):
    """When and by whom a certificate was erased."""

    certificate: Uuid
    erased_at: Time
    erased_by: Annotated[str | None, Meta(description="None where that record was lost with a database.")]


def answer_of(identity: str, certificate: Certificate, standing: Standing) -> CertificateAnswer:
    """Return the answer about a certificate."""
    return CertificateAnswer(**_fields(identity, certificate, standing))


def answer_with_handle(identity: str, certificate: Certificate, standing: Standing, handle: str) -> DocumentAnswer:
    """Return the answer about a certificate whose document was just made."""
    return DocumentAnswer(**_fields(identity, certificate, standing), handle=print_handle(handle))


def _fields(identity: str, certificate: Certificate, standing: Standing) -> "_Fields":
    revocation = certificate.revocation
    return _Fields(
        certificate=identity,
        version=certificate.version,
        kind=certificate.kind,
        standing=standing,
        document=certificate.document,
        certified_on=certificate.certified_on,
        conditional_until=certificate.conditional_until,
        confirmed_on=certificate.confirmed_on,
        effect=revocation.effect if revocation else None,
        effective_on=revocation.effective_on if revocation else None,
        erased=certificate.erased,
    )


class _Fields(TypedDict):
    certificate: str
    version: int
    kind: Kind
    standing: Standing
    document: str
    certified_on: date
    conditional_until: date | None
    confirmed_on: date | None
    effect: RevocationEffect | None
    effective_on: date | None
    erased: bool

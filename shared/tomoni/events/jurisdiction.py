"""The events of a jurisdiction's own log: its schemes, certificates, arrangements, memberships and keys."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from tomoni.events.types import (
    Condition,
    Data,
    Day,
    Envelope,
    IssuerSet,
    Kind,
    OfferedKind,
    Pattern,
    PublicText,
    RevocationEffect,
    Service,
    Sha256Hex,
    VerifierKey,
)

OfferedKinds = Annotated[tuple[OfferedKind, ...], Meta(min_length=1, max_length=10)]


class SchemeOpenedData(Data, frozen=True, kw_only=True):
    """The scheme (制度) a jurisdiction offers from a day on."""

    name: PublicText
    kinds: OfferedKinds
    opens_on: Day


class SchemeOpened(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.scheme.opened.v1"):
    """A jurisdiction offers certificates from a day on. Subject `scheme`."""

    data: SchemeOpenedData


class SchemeAmendedData(Data, frozen=True, kw_only=True):
    """What the scheme offers from `effective_on` on, whole."""

    name: PublicText
    kinds: OfferedKinds
    effective_on: Day


class SchemeAmended(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.scheme.amended.v1"):
    """The scheme offers something else from a day on. Subject `scheme`."""

    data: SchemeAmendedData


class SchemeClosedData(Data, frozen=True, kw_only=True):
    """The first day without the scheme."""

    closes_on: Day


class SchemeClosed(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.scheme.closed.v1"):
    """No certificate is issued any more from a day on. Subject `scheme`."""

    data: SchemeClosedData


class CertificateIssuedData(Data, frozen=True, kw_only=True):
    """A relationship as certified, with its first document."""

    kind: Kind
    document: Sha256Hex
    certified_on: Day
    conditional_until: Day | UnsetType = UNSET
    """The last day on which a mover's certificate counts without the move proven."""


class CertificateIssued(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.certificate.issued.v1"):
    """A certificate was issued. Subject `certificate/<uuid>`."""

    data: CertificateIssuedData


class CertificateConfirmedData(Data, frozen=True, kw_only=True):
    """The day on which the move was proven."""

    confirmed_on: Day


class CertificateConfirmed(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.certificate.confirmed.v1"):
    """The mover has moved: the certificate is conditional no more."""

    data: CertificateConfirmedData


class CertificateReissuedData(Data, frozen=True, kw_only=True):
    """A new document in the place of the current one."""

    document: Sha256Hex
    replaces: Sha256Hex
    reissued_on: Day


class CertificateReissued(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.certificate.reissued.v1"):
    """A document was replaced; the partnership and its certified day go on."""

    data: CertificateReissuedData


class CertificateRevokedData(Data, frozen=True, kw_only=True):
    """How and from when the certificate ended; why is known to the vault alone."""

    effect: RevocationEffect
    effective_on: Day
    """The first day on which it no longer counts; for `void` the certified day."""


class CertificateRevoked(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.certificate.revoked.v1"):
    """A certificate ended or is void."""

    data: CertificateRevokedData


class CertificateReinstatedData(Data, frozen=True, kw_only=True):
    """The day of the correction; the certificate counts as if never revoked."""

    reinstated_on: Day


class CertificateReinstated(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.certificate.reinstated.v1"):
    """A certificate was revoked in error and counts again, from its certified day."""

    data: CertificateReinstatedData


class CertificateCorrectedData(Data, frozen=True, kw_only=True):
    """The dates that were wrong, as they are right; those that stand are left out."""

    certified_on: Day | UnsetType = UNSET
    conditional_until: Day | UnsetType = UNSET
    effective_on: Day | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.certified_on is UNSET and self.conditional_until is UNSET and self.effective_on is UNSET:
            raise ValueError("a correction names at least one date")


class CertificateCorrected(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.certificate.corrected.v1"):
    """Dates of a certificate were wrong and are corrected."""

    data: CertificateCorrectedData


class CertificateErased(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.certificate.erased.v1"):
    """The personal data of an ended certificate is destroyed; its status stays."""

    data: Data


class ArrangementDeclaredData(Data, frozen=True, kw_only=True):
    """Whose certificates count here, as what, for what and how long."""

    pattern: Pattern
    issuers: IssuerSet
    kinds: Annotated[tuple[Kind, ...], Meta(min_length=1, max_length=10)]
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=50)]
    effective_from: Day
    effective_until: Day | UnsetType = UNSET
    """The last day on which it counts."""
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=20)] = ()
    precedence: Annotated[int, Meta(ge=0, le=1000)] = 0
    """Of overlapping arrangements the one with the higher number prevails."""
    keeps_recognised: bool = False
    """Whether a certificate that was recognised on the last day stays so afterwards."""


class ArrangementDeclared(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.arrangement.declared.v1"):
    """The receiver recognises certificates of others. Subject `arrangement/<uuid>`."""

    data: ArrangementDeclaredData


class ArrangementWithdrawnData(Data, frozen=True, kw_only=True):
    """The first day without the arrangement."""

    effective_on: Day


class ArrangementWithdrawn(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.arrangement.withdrawn.v1"):
    """The receiver recognises them no more from a day on."""

    data: ArrangementWithdrawnData


class NetworkMembershipData(Data, frozen=True, kw_only=True):
    """The day from which the jurisdiction is, or is no longer, a member."""

    effective_on: Day


class NetworkJoined(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.network.joined.v1"):
    """A jurisdiction joins a network; the federation must accept it too. Subject `network/<name>`."""

    data: NetworkMembershipData


class NetworkLeft(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.network.left.v1"):
    """A jurisdiction leaves a network."""

    data: NetworkMembershipData


class KeyRotatedData(Data, frozen=True, kw_only=True):
    """The next key of the log."""

    log_key: VerifierKey


class KeyRotated(Envelope, frozen=True, kw_only=True, tag="jp.tomoni.key.rotated.v1"):
    """The log's next key; the first checkpoint after this entry carries both signatures. Subject `key`."""

    data: KeyRotatedData

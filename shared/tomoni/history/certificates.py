"""Certificates in the read model: one row for each, changed by its events in the order of the log."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from operator import attrgetter

from msgspec import UNSET

from tomoni.events.jurisdiction import (
    CertificateConfirmed,
    CertificateCorrected,
    CertificateIssued,
    CertificateReinstated,
    CertificateReissued,
    CertificateRevoked,
)
from tomoni.history.faults import InapplicableError
from tomoni.history.status import Certificate


@dataclass(slots=True)
class CertificateRow:
    """A row of projection.certificate; `document` is the current document's hash."""

    log: str
    certificate: str
    version: int
    kind: str
    document: bytes
    certified_on: date
    conditional_until: date | None
    confirmed_on: date | None
    effect: str | None
    effective_on: date | None
    unknown: bool
    first_position: int
    last_position: int


as_row: Callable[[CertificateRow], tuple[object, ...]] = attrgetter(*CertificateRow.__slots__)
"""Return the columns of a row, in order."""


def as_certificate(row: CertificateRow) -> Certificate:
    """Return what an answer needs of a certificate."""
    return Certificate(
        kind=row.kind,
        certified_on=row.certified_on,
        conditional_until=row.conditional_until,
        confirmed_on=row.confirmed_on,
        effect=row.effect,
        effective_on=row.effective_on,
        unknown=row.unknown,
        first_position=row.first_position,
        last_position=row.last_position,
    )


def issued(log: str, certificate: str, position: int, event: CertificateIssued) -> CertificateRow:
    """Return the row of a new certificate."""
    data = event.data
    return CertificateRow(
        log,
        certificate,
        data.version,
        data.kind,
        bytes.fromhex(data.document),
        data.certified_on,
        None if data.conditional_until is UNSET else data.conditional_until,
        None,
        None,
        None,
        False,  # noqa: FBT003  # unknown
        position,
        position,
    )


def confirm(row: CertificateRow, event: CertificateConfirmed) -> None:
    """Make it conditional no more: the mover has moved."""
    if row.conditional_until is None or row.confirmed_on is not None:
        raise InapplicableError("only a conditional certificate can be confirmed, and once")
    row.confirmed_on = event.data.confirmed_on


def reissue(row: CertificateRow, event: CertificateReissued) -> None:
    """Make another document the current one."""
    if bytes.fromhex(event.data.replaces) != row.document:
        raise InapplicableError("a reissue replaces the certificate's current document")
    row.document = bytes.fromhex(event.data.document)


def revoke(row: CertificateRow, event: CertificateRevoked) -> None:
    """End it, or make it void."""
    if row.effect is not None:
        raise InapplicableError("a certificate that was revoked cannot be revoked again")
    row.effect, row.effective_on = event.data.effect, event.data.effective_on


def reinstate(row: CertificateRow, _: CertificateReinstated) -> None:
    """Undo its end: it was revoked in error."""
    if row.effect is None:
        raise InapplicableError("only a revoked certificate can be reinstated")
    row.effect = row.effective_on = None


def correct(row: CertificateRow, event: CertificateCorrected) -> None:
    """Put right the dates that are named."""
    data = event.data
    if data.effective_on is not UNSET:
        if row.effect is None:
            raise InapplicableError("only a revoked certificate has a day of its end to correct")
        row.effective_on = data.effective_on
    if data.conditional_until is not UNSET:
        if row.conditional_until is None:
            raise InapplicableError("only a mover's certificate has a last conditional day to correct")
        row.conditional_until = data.conditional_until
    if data.certified_on is not UNSET:
        row.certified_on = data.certified_on

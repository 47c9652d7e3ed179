"""What can be asked of a certificate, and the vocabulary of reasons (which stay in the vault)."""

from datetime import date
from typing import Literal

from tomoni.events.types import Kind, RevocationEffect, Term
from tomoni_registry.deciding import Command
from tomoni_registry.schemes.decider import Scheme

EndReason = Literal[
    "dissolution",
    "both-moved-out",
    "death",
    "marriage",
    "requirement-not-met",
    "misuse",
    "never-moved",
    "continued-elsewhere",
    "scheme-closed",
    "false-declaration",
    "clerical-error",
]
VOID_REASONS: frozenset[EndReason] = frozenset({"false-declaration", "clerical-error"})
"""Reasons for which a certificate counts as never given; all others end it from a day on."""


class CertificateCommand(Command, frozen=True, kw_only=True):
    """A command about one certificate."""

    subject: str


class Issue(CertificateCommand, frozen=True, kw_only=True):
    """Certify a relationship of applicants found eligible; `mover`: only because one of them is about to move in."""

    scheme: Scheme
    kind: Kind
    document: str
    certified_on: date
    mover: bool


class Confirm(CertificateCommand, frozen=True, kw_only=True):
    """The move was proven on a day."""

    confirmed_on: date


class Reissue(CertificateCommand, frozen=True, kw_only=True):
    """Replace the document."""

    document: str
    reissued_on: date


class Revoke(CertificateCommand, frozen=True, kw_only=True):
    """End a certificate from a day on, or declare it void from the start (then without a day)."""

    effect: RevocationEffect
    reason: EndReason
    effective_on: date | None = None


class Reinstate(CertificateCommand, frozen=True, kw_only=True):
    """Undo a revocation made in error."""

    reinstated_on: date


class Correct(CertificateCommand, frozen=True, kw_only=True):
    """Put wrong dates right."""

    scheme: Scheme
    certified_on: date | None = None
    conditional_until: date | None = None
    effective_on: date | None = None


class Erase(CertificateCommand, frozen=True, kw_only=True):
    """Destroy the personal data of a certificate that has ended; `retention`: how long the town keeps it after that."""

    retention: Term | None


CertificateCommands = Issue | Confirm | Reissue | Revoke | Reinstate | Correct | Erase

"""Which events a log may hold and which rules they live by: a jurisdiction's, and the federation's own."""

import re
from typing import Final

from tomoni.events import federation as f
from tomoni.events import jurisdiction as j
from tomoni.jurisdictions import JurisdictionError, by_code
from tomoni_auditor.archive.folder import FEDERATION
from tomoni_auditor.legality import admissions, certificates, declarations
from tomoni_auditor.legality.steps import Law, Noun

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SLUG: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")

_OF_A_JURISDICTION: Final = {
    j.SchemeOpened: "scheme",
    j.SchemeAmended: "scheme",
    j.SchemeClosed: "scheme",
    j.CertificateIssued: "certificate",
    j.CertificateConfirmed: "certificate",
    j.CertificateReissued: "certificate",
    j.CertificateRevoked: "certificate",
    j.CertificateReinstated: "certificate",
    j.CertificateCorrected: "certificate",
    j.CertificateErased: "certificate",
    j.ArrangementDeclared: "arrangement",
    j.ArrangementWithdrawn: "arrangement",
    j.NetworkJoined: "network",
    j.NetworkLeft: "network",
    j.KeyRotated: "key",
}

_OF_THE_FEDERATION: Final = {
    f.JurisdictionAdmitted: "jurisdiction",
    f.JurisdictionSuspended: "jurisdiction",
    f.JurisdictionQuarantined: "jurisdiction",
    f.JurisdictionReadmitted: "jurisdiction",
    f.JurisdictionTransportKeyAccepted: "jurisdiction",
    f.JurisdictionTransportKeyRetired: "jurisdiction",
    f.JurisdictionSucceeded: "jurisdiction",
    f.NetworkChartered: "network",
    f.NetworkAmended: "network",
    f.NetworkMemberAccepted: "network",
    f.ReceiptKeyRotated: "receipt-key",
    j.KeyRotated: "key",
}


def law_of(origin: str) -> Law:
    """Return the rules for the log of an origin, `<federation>/<code>`."""
    federation, _, code = origin.rpartition("/")
    key = Noun(_is_nothing, declarations.key_of(origin))
    if code == FEDERATION:
        nouns = {
            "jurisdiction": Noun(_is_code, admissions.jurisdiction_of(federation)),
            "network": Noun(_SLUG.fullmatch, admissions.network),
            "receipt-key": Noun(_is_nothing, admissions.receipt_key),
            "key": key,
        }
        return Law(_OF_THE_FEDERATION, nouns)
    nouns = {
        "scheme": Noun(_is_nothing, declarations.scheme),
        "certificate": Noun(_UUID.fullmatch, certificates.live),
        "arrangement": Noun(_UUID.fullmatch, declarations.arrangement),
        "network": Noun(_SLUG.fullmatch, declarations.membership),
        "key": key,
    }
    return Law(_OF_A_JURISDICTION, nouns)


def _is_nothing(identity: str) -> bool:
    return identity == ""


def _is_code(identity: str) -> bool:
    try:
        by_code(identity)
    except JurisdictionError:
        return False
    return True

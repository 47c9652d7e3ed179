"""What may happen to a certificate: every rule about its life in one place."""

from datetime import date

from msgspec import UNSET, UnsetType

from tomoni.events import JurisdictionEvent
from tomoni.events.jurisdiction import (
    CertificateConfirmed,
    CertificateConfirmedData,
    CertificateCorrected,
    CertificateCorrectedData,
    CertificateErased,
    CertificateIssued,
    CertificateIssuedData,
    CertificateReinstated,
    CertificateReinstatedData,
    CertificateReissued,
    CertificateReissuedData,
    CertificateRevoked,
    CertificateRevokedData,
)
from tomoni.events.types import Data, Kind, OfferedKind
from tomoni_registry.certificates.commands import (
    VOID_REASONS,
    CertificateCommands,
    Confirm,
    Correct,
    Erase,
    Issue,
    Reinstate,
    Reissue,
    Revoke,
)
from tomoni_registry.certificates.state import Certificate, evolve
from tomoni_registry.deciding import Refused, refuse_future, refuse_stale
from tomoni_registry.schemes.decider import Scheme
from tomoni_registry.terms import last_day_of_term

__all__ = ["decide", "evolve"]


def decide(state: Certificate | None, command: CertificateCommands) -> tuple[JurisdictionEvent, ...]:
    """Return what happens to a certificate (None: there is none yet); raise Refused where nothing may."""
    if isinstance(command, Issue):
        return (_issue(command),)
    certificate = _present(state)
    refuse_stale(command.seen, certificate.version)
    event: JurisdictionEvent
    match command:
        case Confirm():
            event = _confirm(certificate, command)
        case Reissue():
            event = _reissue(certificate, command)
        case Revoke():
            event = _revoke(certificate, command)
        case Reinstate():
            event = _reinstate(certificate, command)
        case Correct():
            event = _correct(certificate, command)
        case Erase():
            event = _erase(certificate, command)
    return (event,)


def _present(state: Certificate | None) -> Certificate:
    if state is None:
        raise Refused("certificate-not-found", "this registry has no such certificate: check its id")
    if state.erased:
        raise Refused("certificate-erased", "the certificate ended and was erased: nothing can be done to it any more")
    return state


def _issue(command: Issue) -> CertificateIssued:
    offered = _offered(command.scheme, command.kind, command.certified_on)
    refuse_future(command.certified_on, command.stamp, "certified_on")
    data = CertificateIssuedData(
        version=1,
        kind=command.kind,
        document=command.document,
        certified_on=command.certified_on,
        conditional_until=_conditional_until(offered, command.certified_on) if command.mover else UNSET,
    )
    return CertificateIssued(**command.stamp.attributes(command.subject), data=data)


def _offered(scheme: Scheme, kind: Kind, day: date) -> OfferedKind:
    period = scheme.on(day)
    if period is None:
        if scheme.periods and day < scheme.periods[0].starts_on:
            raise Refused(
                "day-before-scheme",
                f"the scheme opened on {scheme.periods[0].starts_on}: no certificate is certified before that day",
            )
        raise Refused("scheme-not-open", "the scheme is not open on that day: check certified_on, or open the scheme")
    for offered in period.kinds:
        if offered.kind == kind:
            return offered
    offers = ", ".join(offered.kind for offered in period.kinds)
    raise Refused("kind-not-offered", f"the scheme does not offer this kind on that day; it offers: {offers}")


def _conditional_until(offered: OfferedKind, certified_on: date) -> date:
    if offered.conditional_term is UNSET:
        raise Refused("kind-not-offered", "the scheme has no term for movers: it offers this kind to residents only")
    return last_day_of_term(certified_on, offered.conditional_term)


def _confirm(certificate: Certificate, command: Confirm) -> CertificateConfirmed:
    refuse_future(command.confirmed_on, command.stamp, "confirmed_on")
    if certificate.revocation is not None:
        raise Refused("certificate-already-ended", "the certificate has ended: there is nothing to confirm")
    if not certificate.conditional or certificate.conditional_until is None:
        raise Refused("certificate-not-conditional", "the certificate is not conditional: there is nothing to confirm")
    if command.confirmed_on > certificate.conditional_until:
        raise Refused(
            "certificate-lapsed",
            f"the move had to be proven by {certificate.conditional_until}: it has lapsed, issue a new certificate",
        )
    if command.confirmed_on < certificate.certified_on:
        raise Refused("dates-out-of-order", f"confirmed_on is before the certified day, {certificate.certified_on}")
    data = CertificateConfirmedData(version=certificate.version + 1, confirmed_on=command.confirmed_on)
    return CertificateConfirmed(**command.stamp.attributes(command.subject), data=data)


def _reissue(certificate: Certificate, command: Reissue) -> CertificateReissued:
    refuse_future(command.reissued_on, command.stamp, "reissued_on")
    if certificate.standing(command.stamp.today) not in ("valid", "conditional"):
        raise Refused("certificate-not-current", "the certificate counts no more: it gets no new document")
    if command.reissued_on < certificate.certified_on:
        raise Refused("dates-out-of-order", f"reissued_on is before the certified day, {certificate.certified_on}")
    data = CertificateReissuedData(
        version=certificate.version + 1,
        document=command.document,
        replaces=certificate.document,
        reissued_on=command.reissued_on,
    )
    return CertificateReissued(**command.stamp.attributes(command.subject), data=data)


def _revoke(certificate: Certificate, command: Revoke) -> CertificateRevoked:
    if certificate.revocation is not None:
        raise Refused("certificate-already-ended", "the certificate has ended already: reinstate it first if in error")
    if (command.effect == "void") != (command.reason in VOID_REASONS):
        raise Refused(
            "reason-does-not-fit",
            "a false declaration or a clerical error makes a certificate void from the start; "
            "every other reason ends it from a day on",
        )
    data = CertificateRevokedData(
        version=certificate.version + 1, effect=command.effect, effective_on=_effective_on(certificate, command)
    )
    return CertificateRevoked(**command.stamp.attributes(command.subject), data=data)


def _effective_on(certificate: Certificate, command: Revoke) -> date:
    if command.effect == "void":
        if command.effective_on not in (None, certificate.certified_on):
            raise Refused("dates-out-of-order", "void is from the certified day on: leave effective_on out")
        return certificate.certified_on
    if command.effective_on is None:
        raise Refused("dates-out-of-order", "an end needs effective_on, the first day without the certificate")
    refuse_future(command.effective_on, command.stamp, "effective_on")
    if command.effective_on < certificate.certified_on:
        raise Refused("dates-out-of-order", f"effective_on is before the certified day, {certificate.certified_on}")
    return command.effective_on


def _reinstate(certificate: Certificate, command: Reinstate) -> CertificateReinstated:
    if certificate.revocation is None:
        raise Refused("certificate-not-revoked", "the certificate was not revoked: there is nothing to undo")
    refuse_future(command.reinstated_on, command.stamp, "reinstated_on")
    if command.reinstated_on < certificate.revocation.effective_on:
        raise Refused(
            "dates-out-of-order",
            f"the certificate counted until {certificate.revocation.effective_on}: it is reinstated then or later",
        )
    data = CertificateReinstatedData(version=certificate.version + 1, reinstated_on=command.reinstated_on)
    return CertificateReinstated(**command.stamp.attributes(command.subject), data=data)


def _correct(certificate: Certificate, command: Correct) -> CertificateCorrected:
    certified_on = command.certified_on or certificate.certified_on
    refuse_future(certified_on, command.stamp, "certified_on")
    offered = _offered(command.scheme, certificate.kind, certified_on)
    if certificate.confirmed_on is not None and certificate.confirmed_on < certified_on:
        raise Refused(
            "dates-out-of-order", f"the move was confirmed on {certificate.confirmed_on}, before certified_on"
        )
    conditional_until = _corrected_condition(certificate, command, offered, certified_on)
    effective_on = _corrected_effect(certificate, command, certified_on)
    changed = (
        _change(certificate.certified_on, certified_on),
        _change(certificate.conditional_until, conditional_until),
        _change(certificate.revocation and certificate.revocation.effective_on, effective_on),
    )
    if all(change is UNSET for change in changed):
        raise Refused("nothing-to-correct", "the certificate has these dates already: name one that is wrong")
    data = CertificateCorrectedData(
        version=certificate.version + 1,
        certified_on=changed[0],
        conditional_until=changed[1],
        effective_on=changed[2],
    )
    return CertificateCorrected(**command.stamp.attributes(command.subject), data=data)


def _corrected_condition(
    certificate: Certificate, command: Correct, offered: OfferedKind, certified_on: date
) -> date | None:
    """Return the last conditional day; the term runs from the certified day, so it moves along with it."""
    if certificate.conditional_until is None:
        if command.conditional_until is not None:
            raise Refused("certificate-not-conditional", "the certificate is not conditional: leave that day out")
        return None
    if command.conditional_until is None and command.certified_on is None:
        return certificate.conditional_until
    longest = _conditional_until(offered, certified_on)
    last_day = command.conditional_until or longest
    if not certified_on <= last_day <= longest:
        raise Refused(
            "dates-out-of-order", f"conditional_until lies between {certified_on} and {longest}, the term's end"
        )
    if certificate.confirmed_on is not None and last_day < certificate.confirmed_on:
        raise Refused("dates-out-of-order", f"the move was confirmed on {certificate.confirmed_on}, after that day")
    return last_day


def _corrected_effect(certificate: Certificate, command: Correct, certified_on: date) -> date | None:
    """Return the first day without the certificate; void is from the certified day on, whichever that is."""
    if certificate.revocation is None:
        if command.effective_on is not None:
            raise Refused("certificate-not-revoked", "the certificate has not ended: leave effective_on out")
        return None
    if certificate.revocation.effect == "void":
        if command.effective_on not in (None, certified_on):
            raise Refused("dates-out-of-order", "void is from the certified day on: leave effective_on out")
        return certified_on
    effective_on = command.effective_on or certificate.revocation.effective_on
    refuse_future(effective_on, command.stamp, "effective_on")
    if effective_on < certified_on:
        raise Refused("dates-out-of-order", f"effective_on is before the certified day, {certified_on}")
    return effective_on


def _erase(certificate: Certificate, command: Erase) -> CertificateErased:
    if certificate.revocation is None or certificate.standing(command.stamp.today) not in ("ended", "void"):
        raise Refused(
            "certificate-not-ended",
            "the certificate has not ended: only what has ended is erased (revoke one that has lapsed: never-moved)",
        )
    if command.retention is None:
        raise Refused(
            "retention-not-set",
            "rules.toml says nothing of a retention: state how long personal data is kept, and restart the node",
        )
    kept_until = last_day_of_term(certificate.revocation.kept_from, command.retention)
    if command.stamp.today <= kept_until:
        raise Refused("retention-not-over", f"the town's rules keep its personal data until {kept_until}")
    return CertificateErased(**command.stamp.attributes(command.subject), data=Data(version=certificate.version + 1))


def _change(before: date | None, after: date | None) -> date | UnsetType:
    return UNSET if after is None or after == before else after

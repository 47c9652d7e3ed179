"""Commands about certificates: what is read, what is decided, and what goes to the vault with the event."""

from collections.abc import Callable
from uuid import UUID, uuid4

from tomoni.documents import document_hash, new_handle
from tomoni.events import JurisdictionEvent
from tomoni.times import format_time
from tomoni_registry.certificates.bodies import (
    CertificateAnswer,
    ConfirmBody,
    CorrectBody,
    EraseBody,
    IssueBody,
    ReinstateBody,
    ReissueBody,
    RevokeBody,
    answer_of,
    answer_with_handle,
)
from tomoni_registry.certificates.commands import (
    CertificateCommands,
    Confirm,
    Correct,
    Erase,
    Issue,
    Reinstate,
    Reissue,
    Revoke,
)
from tomoni_registry.certificates.decider import decide
from tomoni_registry.certificates.state import Certificate, evolve
from tomoni_registry.deciding import Refused, Stamp, refuse_future
from tomoni_registry.desk import Decision, Outcome
from tomoni_registry.interface import Town
from tomoni_registry.schemes import decider as schemes
from tomoni_registry.schemes import decision as eligibility
from tomoni_registry.schemes.api import current_scheme
from tomoni_registry.vault.records import ApplicationRecord, DocumentRecord, ReasonRecord, Record

INITIAL: Certificate | None = None


def subject_of(certificate: UUID) -> str:
    """Return the stream of a certificate."""
    return f"certificate/{certificate}"


def erasure_of(certificate: UUID) -> str:
    """Return what the vault keeps the record of a certificate's erasure under: it has a data key of its own."""
    return f"erasure/{certificate}"


def issue(town: Town, body: IssueBody) -> Decision:
    """Return the decision to certify a relationship."""

    async def decide_issue(stamp: Stamp) -> Outcome:
        scheme = await current_scheme(town)
        refuse_future(body.certified_on, stamp, "certified_on")  # no term runs from the last day of the calendar
        identity, handle = uuid4(), new_handle()
        found = eligibility.decide(town.rules, body.kind, body.application, body.certified_on)
        command = Issue(
            stamp=stamp,
            subject=subject_of(identity),
            scheme=scheme,
            kind=body.kind,
            document=document_hash(town.code, handle),
            certified_on=body.certified_on,
            mover=isinstance(found, eligibility.Eligible) and found.mover,
        )
        events = decide(None, command)
        if isinstance(found, eligibility.Ineligible):
            raise _not_eligible(found)
        state = _after(None, events)
        at = format_time(stamp.at)
        return Outcome(
            subject=command.subject,
            events=events,
            read={command.subject: 0, schemes.SUBJECT: scheme.version},
            answer=answer_with_handle(str(identity), state, state.standing(stamp.today), handle),
            status=201,
            location=f"/v1/certificates/{identity}",
            records=(
                ApplicationRecord(application=body.application, at=at),
                DocumentRecord(handle=handle, document=command.document, at=at),
            ),
        )

    return decide_issue


def confirm(town: Town, certificate: UUID, body: ConfirmBody) -> Decision:
    """Return the decision that the move was proven."""

    def command(stamp: Stamp) -> Confirm:
        return Confirm(stamp=stamp, subject=subject_of(certificate), seen=body.version, confirmed_on=body.confirmed_on)

    return _change(town, certificate, command)


def reissue(town: Town, certificate: UUID, body: ReissueBody) -> Decision:
    """Return the decision to replace the document."""

    async def decide_reissue(stamp: Stamp) -> Outcome:
        state = await _state(town, certificate)
        handle, at = new_handle(), format_time(stamp.at)
        command = Reissue(
            stamp=stamp,
            subject=subject_of(certificate),
            seen=body.version,
            document=document_hash(town.code, handle),
            reissued_on=body.reissued_on,
        )
        events = decide(state, command)
        after = _after(state, events)
        return Outcome(
            subject=command.subject,
            events=events,
            read={command.subject: after.version - 1},
            answer=answer_with_handle(str(certificate), after, after.standing(stamp.today), handle),
            records=(
                DocumentRecord(handle=handle, document=command.document, at=at),
                ReasonRecord(what="certificate.reissue", note=body.reason, at=at),
            ),
        )

    return decide_reissue


def revoke(town: Town, certificate: UUID, body: RevokeBody) -> Decision:
    """Return the decision to end a certificate."""

    def command(stamp: Stamp) -> Revoke:
        return Revoke(
            stamp=stamp,
            subject=subject_of(certificate),
            seen=body.version,
            effect=body.effect,
            reason=body.reason,
            effective_on=body.effective_on,
        )

    def records(at: str) -> tuple[Record, ...]:
        return (ReasonRecord(what="certificate.revoke", reason=body.reason, note=body.note, at=at),)

    return _change(town, certificate, command, records)


def reinstate(town: Town, certificate: UUID, body: ReinstateBody) -> Decision:
    """Return the decision to undo a revocation."""

    def command(stamp: Stamp) -> Reinstate:
        return Reinstate(
            stamp=stamp, subject=subject_of(certificate), seen=body.version, reinstated_on=body.reinstated_on
        )

    def records(at: str) -> tuple[Record, ...]:
        return (ReasonRecord(what="certificate.reinstate", note=body.reason, at=at),)

    return _change(town, certificate, command, records)


def correct(town: Town, certificate: UUID, body: CorrectBody) -> Decision:
    """Return the decision to put dates right."""

    async def decide_correction(stamp: Stamp) -> Outcome:
        scheme = await current_scheme(town)

        def command(stamp: Stamp) -> Correct:
            return Correct(
                stamp=stamp,
                subject=subject_of(certificate),
                seen=body.version,
                scheme=scheme,
                certified_on=body.certified_on,
                conditional_until=body.conditional_until,
                effective_on=body.effective_on,
            )

        def records(at: str) -> tuple[Record, ...]:
            return (ReasonRecord(what="certificate.correct", note=body.reason, at=at),)

        return await _change(town, certificate, command, records, {schemes.SUBJECT: scheme.version})(stamp)

    return decide_correction


def erase(town: Town, certificate: UUID, body: EraseBody) -> Decision:
    """Return the decision to destroy the personal data; that of who did it is kept apart from what is destroyed."""

    async def decide_erasure(stamp: Stamp) -> Outcome:
        state, subject = await _state(town, certificate), subject_of(certificate)
        command = Erase(stamp=stamp, subject=subject, seen=body.version, retention=town.rules.retention)
        events = decide(state, command)
        after = _after(state, events)
        return Outcome(
            subject=subject,
            events=events,
            read={subject: after.version - 1},
            answer=_answer(certificate, after, stamp),
            kept_under=erasure_of(certificate),
            companions=(town.desk.vault.destroy(subject), town.desk.answers.forget_about(subject)),
        )

    return decide_erasure


def _no_records(_: str) -> tuple[Record, ...]:
    return ()


def _change(
    town: Town,
    certificate: UUID,
    command: Callable[[Stamp], CertificateCommands],
    records: Callable[[str], tuple[Record, ...]] = _no_records,
    read: dict[str, int] | None = None,
) -> Decision:
    async def decide_change(stamp: Stamp) -> Outcome:
        state = await _state(town, certificate)
        commanded = command(stamp)
        events = decide(state, commanded)
        after = _after(state, events)
        return Outcome(
            subject=commanded.subject,
            events=events,
            read={**(read or {}), commanded.subject: after.version - 1},
            answer=_answer(certificate, after, stamp),
            records=records(format_time(stamp.at)),
        )

    return decide_change


async def _state(town: Town, certificate: UUID) -> Certificate | None:
    return (await town.desk.history(subject_of(certificate))).fold(evolve, INITIAL)


def _after(state: Certificate | None, events: tuple[JurisdictionEvent, ...]) -> Certificate:
    for event in events:
        state = evolve(state, event)
    if state is None:
        raise TypeError("a certificate's first event issues it")
    return state


def _answer(certificate: UUID, state: Certificate, stamp: Stamp) -> CertificateAnswer:
    return answer_of(str(certificate), state, state.standing(stamp.today))


def _not_eligible(found: eligibility.Ineligible) -> Refused:
    asks = "; ".join(f"{rule.rule} asks for {rule.asks}" for rule in found.broken)
    return Refused(
        "not-eligible",
        f"the application does not meet the rules of this scheme: {asks}",
        rules=",".join(rule.rule for rule in found.broken),
    )

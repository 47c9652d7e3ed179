"""Reading certificates: their state, their history, and what the vault holds (which leaves a trace)."""

from uuid import UUID

import msgspec

from tomoni.events import encode_event
from tomoni.events.jurisdiction import CertificateErased
from tomoni.problems import Problem
from tomoni.times import day_in_japan, format_time
from tomoni_registry.certificates.bodies import CertificateAnswer, ErasureAnswer, HistoryAnswer, VaultAnswer, answer_of
from tomoni_registry.certificates.changes import INITIAL, erasure_of, subject_of
from tomoni_registry.certificates.state import evolve
from tomoni_registry.desk import History
from tomoni_registry.interface import Town
from tomoni_registry.vault.records import AccessRecord, ApplicationRecord, DocumentRecord, ReasonRecord
from tomoni_registry.vault.store import ErasedError


async def read_certificate(town: Town, certificate: UUID) -> CertificateAnswer:
    """Return a certificate as it stands today; raise Problem where there is none."""
    state = (await _history(town, certificate)).fold(evolve, INITIAL)
    if state is None:
        raise _not_found()
    return answer_of(str(certificate), state, state.standing(day_in_japan(town.desk.clock())))


async def read_history(town: Town, certificate: UUID) -> HistoryAnswer:
    """Return the events of a certificate, byte for byte as in the log; raise Problem where there is none."""
    history = await _history(town, certificate)
    return HistoryAnswer(
        certificate=str(certificate), events=tuple(msgspec.Raw(encode_event(event)) for event in history.events)
    )


async def read_vault(town: Town, certificate: UUID, who: str) -> VaultAnswer:
    """Return what the vault holds, after the reading itself is on record; raise Problem where it holds nothing."""
    history = await _history(town, certificate)
    if isinstance(history.events[-1], CertificateErased):
        raise _erased()  # whatever an old backup has brought back
    subject, vault = subject_of(certificate), town.desk.vault
    try:
        await vault.write(
            subject, AccessRecord(who=who, what="certificate.read-vault", at=format_time(town.desk.clock()))
        )
        records = await vault.read(subject)
    except ErasedError:
        raise _erased() from None
    return VaultAnswer(
        certificate=str(certificate),
        application=next((record.application for record in records if isinstance(record, ApplicationRecord)), None),
        documents=tuple(record for record in records if isinstance(record, DocumentRecord)),
        reasons=tuple(record for record in records if isinstance(record, ReasonRecord)),
        access=tuple(record for record in records if isinstance(record, AccessRecord)),
    )


async def read_erasure(town: Town, certificate: UUID) -> ErasureAnswer:
    """Return when and by whom a certificate was erased; raise Problem where it was not."""
    last = (await _history(town, certificate)).events[-1]
    if not isinstance(last, CertificateErased):
        raise Problem("certificate-not-erased", "Its personal data is still in the vault.")
    try:
        records = await town.desk.vault.read(erasure_of(certificate))
    except ErasedError:
        records = []
    by = next((record.who for record in records if isinstance(record, AccessRecord)), None)
    return ErasureAnswer(certificate=str(certificate), erased_at=last.time, erased_by=by)


async def _history(town: Town, certificate: UUID) -> History:
    history = await town.desk.history(subject_of(certificate))
    if not history.events:
        raise _not_found()
    return history


def _erased() -> Problem:
    return Problem("certificate-erased", "The personal data of this certificate was destroyed.")


def _not_found() -> Problem:
    return Problem("certificate-not-found", "This registry has no such certificate. Check its id.")

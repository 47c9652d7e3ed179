"""Explaining an answer: the federation's own decision, made again from a folder of logs, with each entry proven."""

from datetime import datetime
from functools import partial
from pathlib import Path

from tomoni import times
from tomoni.events import UnknownEvent, decode_event
from tomoni.history.arrangements import FEDERATION_LOG, Entry
from tomoni.history.texts import STATUS_TEXTS, TEXTS
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.merkle import ProofError, leaf_hash, verify_inclusion
from tomoni.tlog.note import read_note
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.explain.behind import Behind, Made, Progress, behind
from tomoni_auditor.explain.explanation import Asked, Evidence, Explanation, Judgement, Reason, Source
from tomoni_auditor.explain.given import Given
from tomoni_auditor.explain.judging import GRAIN, judge
from tomoni_auditor.proofs.making import make_proof
from tomoni_auditor.replay.moments import RECEIPTS_KEY, cosigned_at
from tomoni_auditor.verify.sources import SourceError
from tomoni_auditor.words import describe


def explain(folder: Path, asked: Asked | Given, on_progress: Progress | None = None) -> Explanation:
    """Return the answer to a question as the federation would give it, and what it rests on.

    An answer that was given is judged as well. Raises SourceError where the folder does not hold what is needed, where
    an entry is not under its checkpoint, or where a statement is another federation's.
    """
    given = asked if isinstance(asked, Given) else None
    asked = asked.asked if isinstance(asked, Given) else asked
    at = asked.as_known_at or times.now()
    with behind(folder, asked, at if given is None else at + GRAIN, on_progress) as logs:
        if given is not None and given.said_by not in {None, logs.name}:
            raise SourceError(f"the statement is one of {given.said_by}, the folder has the logs of {logs.name}")
        made = logs.answer(at, at)
        deciding = sorted(_deciding(logs, made, at), key=partial(_place, asked.issuer))
        entries = tuple(_prove(folder, entry) for entry in deciding)
        judgement = None if given is None else judge(logs, given, at)
        return _explanation(logs, made, at, entries, judgement)


def _deciding(logs: Behind, made: Made, at: datetime) -> set[Entry]:
    """Return every entry about the certificate, those of declarations that decided, and those of an admission."""
    issuer = logs.asked.issuer
    size = made.pasts[issuer].size
    found = {Entry(log=issuer, position=one) for one in logs.of_certificate() if one < size}
    if made.decision is not None:
        found.update(made.decision.entries)
        for one in made.decision.considered:
            found.update(one.entries)
    if made.status.reason in {"issuer-not-admitted", "issuer-quarantined"}:
        found.update(Entry(log=FEDERATION_LOG, position=one) for one in logs.federation.positions(issuer, at))
    return found


def _place(issuer: str, entry: Entry) -> tuple[bool, bool, str, int]:
    """Return where an entry is told: the issuer's come first, the federation's last."""
    return (entry.log != issuer, entry.log == FEDERATION_LOG, entry.log, entry.position)


def _prove(folder: Path, entry: Entry) -> Evidence:
    """Return an entry with its proof under the first checkpoint with a receipt that covers it."""
    proof = make_proof(LogFolder(folder / entry.log), entry.position)
    note = read_note(proof.checkpoint)
    checkpoint, data = parse_checkpoint(note.text), proof.extra or b""
    try:
        verify_inclusion(leaf_hash(data), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    except ProofError as error:
        text = f"{entry.log}: the entry at {entry.position} is not the one under the checkpoint of {checkpoint.size}"
        raise SourceError(f"{text}; `tomoni audit verify` tells more") from error
    event = decode_event(data)
    words = describe(event)
    unknown = isinstance(event, UnknownEvent)
    return Evidence(
        log=entry.log,
        position=entry.position,
        type=event.type if unknown else str(type(event).__struct_config__.tag),
        written_at=None if unknown else event.time,
        ja=words.ja,
        en=words.en,
        leaf_hash=leaf_hash(data).hex(),
        proof=tuple(one.hex() for one in proof.hashes),
        checkpoint_size=checkpoint.size,
        checkpoint_root=checkpoint.root.hex(),
        receipt_at=cosigned_at(note, f"{checkpoint.origin.removesuffix(f'/{entry.log}')}/{RECEIPTS_KEY}"),
    )


def _source(logs: Behind, code: str, made: Made, at: datetime) -> Source:
    past, fault = made.pasts[code], logs.logs[code].replay.fault
    return Source(
        log=code,
        size=past.size,
        fresh_as_of=past.view.fresh_as_of,
        stopped_at=None if fault is None or fault.position >= past.size else fault.position,
        may_be_longer=logs.federation.may_have_taken_back(code, past.size, at),
    )


def _explanation(
    logs: Behind, made: Made, at: datetime, entries: tuple[Evidence, ...], judgement: Judgement | None
) -> Explanation:
    asked, answer, decision = logs.asked, made.status, made.decision
    terms = None if decision is None else decision.terms
    return Explanation(
        issuer=asked.issuer,
        document=asked.document.hex(),
        on=logs.question(at).on,
        known_at=at,
        status=answer.status,
        status_reason=answer.reason,
        status_text=None if answer.reason is None else STATUS_TEXTS[answer.reason],
        last_proven=answer.last_proven,
        decision=None if decision is None else decision.outcome,
        receiver=asked.receiver,
        service=asked.service,
        reasons=() if decision is None else tuple(Reason(code=one, text=TEXTS[one]) for one in decision.reasons),
        pattern=None if decision is None else decision.pattern,
        arrangement=None if decision is None else decision.arrangement,
        terms=None if terms is None else terms.en,
        terms_ja=None if terms is None else terms.ja,
        conditions=() if decision is None else decision.conditions,
        considered=() if decision is None else decision.considered,
        sources=tuple(_source(logs, code, made, at) for code in logs.logs),
        entries=entries,
        judgement=judgement,
    )

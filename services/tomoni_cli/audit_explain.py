"""`tomoni audit explain`: the federation's answer made again from the entries, and one that was given judged by it."""

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from tomoni import times
from tomoni.documents import HandleError, document_hash
from tomoni.settings import SettingsError
from tomoni.statements import Statement, StatementError, read_signed
from tomoni_auditor.explain.explaining import explain as explain_answer
from tomoni_auditor.explain.explanation import Asked, Evidence, Explanation, Judgement, Source
from tomoni_auditor.explain.given import Given, of_body, of_statement
from tomoni_cli.asking import NO, UNKNOWN, print_json, read_handle
from tomoni_cli.audit import Folder, Json, ending, progress
from tomoni_cli.statement import read_file, read_keys

_STATUSES: Final = {"borne-out": 0, "refuted": NO, "open": UNKNOWN}
_VERDICTS: Final = {
    "borne-out": "BORNE OUT: the entries say the same",
    "refuted": "REFUTED: the entries cannot have led to it",
    "open": "OPEN",
}
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HASH_BYTES: Final = 32


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about a document."""

    document: Annotated[str | None, Parameter(help="Hash of the document; else its handle is read from input.")] = None
    receiver: Annotated[str | None, Parameter(help="Code of who is to recognise it; without, the status.")] = None
    service: Annotated[str | None, Parameter(help="With --receiver: for what, such as public-housing.")] = None
    on: Annotated[date | None, Parameter(help="The day in Japan the question is about.")] = None
    as_known_at: Annotated[datetime | None, Parameter(help="From what was known when (in Japan); now.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Claim:
    """An answer that is to be judged."""

    statement: Annotated[Path | None, Parameter(help="A signed statement: it says itself what was asked.")] = None
    keys: Annotated[str | None, Parameter(help="With --statement: the federation's key set, a file or address.")] = None
    answer: Annotated[Path | None, Parameter(help="The JSON of an answer, as the federation gave it.")] = None


def explain(
    folder: Folder,
    issuer: Annotated[str | None, Parameter(help="Code of the issuer; a statement names it itself.")] = None,
    /,
    *,
    question: Question = Question(),  # immutable
    claim: Claim = Claim(),  # immutable
    max_age: Annotated[
        int | None, Parameter(help="Hours that knowledge may be old, as the purpose allows (24 at a counter); any.")
    ] = None,
    json: Json = False,
) -> None:
    """Give the federation's answer from the entries that decide it, each with its proof and checkpoint.

    The same rules as the federation's, over the folder's logs; verify these first. With --statement or --answer it is
    said whether the entries bear out what was answered. Status 1 means that they refute it, 3 that they leave it open;
    2, that the folder does not say what is asked.
    """
    if (question.receiver is None) != (question.service is None):
        raise SettingsError("name --receiver and --service together")
    if (claim.statement is None) != (claim.keys is None) or None not in {claim.statement, claim.answer}:
        raise SettingsError("name --statement with the --keys of its federation, or --answer")
    with ending(), progress("replaying") as show:
        found = explain_answer(folder, _asked(issuer, question, claim, max_age), show)
    if json:
        print_json(found)
    else:
        _print(found)
    sys.exit(0 if found.judgement is None else _STATUSES[found.judgement.verdict])


def _asked(issuer: str | None, question: Question, claim: Claim, hours: int | None) -> Asked | Given:
    allowed = None if hours is None else timedelta(hours=hours)
    if claim.statement is not None and claim.keys is not None:
        if issuer is not None or question != Question():
            raise SettingsError("a statement says itself what was asked")
        return of_statement(_signed(claim.statement, claim.keys), allowed)
    if issuer is None:
        raise SettingsError("name the issuer by its code, or a --statement")
    asked = Asked(
        issuer=issuer,
        document=_hash(issuer, question.document),
        on=question.on,
        as_known_at=_instant(question.as_known_at),
        max_age=timedelta.max if allowed is None else allowed,
        receiver=question.receiver,
        service=question.service,
    )
    return asked if claim.answer is None else of_body(read_file(claim.answer), asked)


def _hash(issuer: str, document: str | None) -> bytes:
    """Return the hash of a document, given or of the handle that is typed."""
    try:
        found = bytes.fromhex(document or document_hash(issuer, read_handle()))
    except HandleError as error:
        raise SettingsError(str(error)) from error
    except ValueError:
        found = b""
    if len(found) != _HASH_BYTES:
        raise SettingsError("--document is the hash of a document, 64 hex digits")
    return found


def _instant(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    instant = at if at.tzinfo is not None else at.replace(tzinfo=times.JST)
    if not _FIRST < instant <= times.now():
        raise SettingsError("--as-known-at is a time that has been")
    return instant


def _signed(statement: Path, keys: str) -> Statement:
    try:
        return read_signed(read_file(statement).strip(), read_keys(keys))
    except StatementError as error:
        raise SettingsError(f"the statement does not hold: {error}") from error


def _print(found: Explanation) -> None:
    say = Console(soft_wrap=True, highlight=False, markup=False).print
    say(f"Document {found.document[:16]}… of {found.issuer}, on {found.on}, as known at {_time(found.known_at)}")
    if found.judgement is not None:
        for line in _judged(found.judgement):
            say(line)
    for line in (*_decided(found), *_status(found)):
        say(line)
    for source in found.sources:
        say(_source(source))
    say("Entries that decide it:" if found.entries else "No entry is about this document.")
    for one in found.entries:
        for line in _evidence(one):
            say(line)


def _judged(judgement: Judgement) -> list[str]:
    why = f": {judgement.why_open}" if judgement.why_open is not None else ""
    lines = [f"The answer is {_VERDICTS[judgement.verdict]}{why}"]
    for one in judgement.differences:
        lines += [f"  {one.field}", f"    answered        {one.answered}", f"    by the entries  {one.by_entries}"]
    return lines


def _decided(found: Explanation) -> list[str]:
    if found.decision is None:
        return []
    pattern = f", pattern {found.pattern}" if found.pattern else ""
    lines = [f"Decision: {found.decision} at {found.receiver} for {found.service}{pattern}"]
    lines += [f"  because: {reason.text}" for reason in found.reasons]
    lines += [f"  terms: {text}" for text in (found.terms, found.terms_ja) if text is not None]
    return [*lines, f"  also to show: {', '.join(found.conditions)}"] if found.conditions else lines


def _status(found: Explanation) -> list[str]:
    lines = [f"Status: {found.status}"]
    if found.status_text is not None:
        lines.append(f"  because: {found.status_text}")
    if found.last_proven is not None:
        lines.append(f"  last proven: {found.last_proven}, never to be taken as valid now")
    return lines


def _source(source: Source) -> str:
    fresh = "never proven" if source.fresh_as_of is None else f"known as of {_time(source.fresh_as_of)}"
    stopped = "" if source.stopped_at is None else f"; it stopped at entry {source.stopped_at}"
    longer = "; it may have been longer then, see the federation's log" if source.may_be_longer else ""
    return f"Known of {source.log}: {source.size} entries, {fresh}{stopped}{longer}"


def _evidence(one: Evidence) -> list[str]:
    receipt = "which has no receipt" if one.receipt_at is None else f"received on {_time(one.receipt_at)}"
    return [
        f"  {one.log}, entry {one.position}: {one.en}",
        f"    {one.ja}",
        f"    {one.type}, written {one.written_at or 'at a time that cannot be read'}",
        f"    proven to stand under the checkpoint of size {one.checkpoint_size} (hashes: {len(one.proof)}),",
        f"    root {one.checkpoint_root}, {receipt}",
    ]


def _time(instant: datetime) -> str:
    return instant.astimezone(times.JST).strftime("%Y-%m-%d %H:%M:%S JST")

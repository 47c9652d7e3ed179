"""Judging an answer that was given: whether the entries say the same, or cannot have led to it.

Nobody is accused of what an honest federation may answer. How fresh a log was is the federation's word, since
heartbeats of the past are kept nowhere. A live answer may be made from what was known at any moment from shortly
before that freshness up to when it was given. And `unknown` is never refuted: an outage costs availability alone.
"""

from datetime import datetime, timedelta
from typing import Final

from tomoni.client.answers import Recognition, Status
from tomoni_auditor.explain.behind import Behind, Freshness, Made
from tomoni_auditor.explain.explanation import Difference, Judgement
from tomoni_auditor.explain.given import Given, freshness

_SLACK: Final = timedelta(minutes=5)
"""How far clocks may differ: heartbeats further ahead are refused."""
GRAIN: Final = timedelta(seconds=1)
"""Receipts and statements have whole seconds."""


def judge(behind: Behind, judged: Given, at: datetime) -> Judgement:
    """Return what the entries say of an answer that was given at a time, or asked for as it was known then."""
    given, live = judged.answer, judged.live
    certificate = given.certificate if isinstance(given, Recognition) else given
    fresh: dict[str, datetime | None] = {behind.asked.issuer: certificate.fresh_as_of}
    if isinstance(given, Recognition):
        fresh.setdefault(behind.receiver, given.receiver_fresh_as_of)
    named = freshness(given)
    if named and max(named) > at + GRAIN:
        difference = Difference(field="fresh_as_of", answered=str(max(named)), by_entries=f"no later than {at}")
        return Judgement(verdict="refuted", differences=(difference,))
    earliest = min(named, default=at) - _SLACK if live else at - GRAIN
    latest = at + GRAIN if live else at
    differences: tuple[Difference, ...] = ()
    for known in sorted({earliest, latest, *behind.changes_between(earliest, latest)}):
        for now in sorted({at, latest}):
            differences = _differences(given, behind.answer(known, now, fresh))
            if not differences:
                return Judgement(verdict="borne-out")
    why = _why_open(behind, given, fresh, latest)
    return Judgement(verdict="refuted" if why is None else "open", differences=differences, why_open=why)


def _why_open(behind: Behind, given: Status | Recognition, fresh: Freshness, at: datetime) -> str | None:
    """Return why an answer that differs is not refuted; None where nothing excuses it."""
    said = given.decision if isinstance(given, Recognition) else given.status
    if said == "unknown":
        return "it says unknown, as a federation may that could not read, or had not heard, what the entries say"
    pasts = behind.answer(at, at, fresh).pasts
    for code, log in behind.logs.items():
        if log.receipts.known_at(at) is None:  # a federation that was restored has given its receipts anew
            return f"the folder has no receipt of {code} from before it, so nothing tells what was known of it then"
        if behind.federation.may_have_taken_back(code, pasts[code].size, at):
            return f"entries of {code} that counted then may have been taken out of its history since"
        if not log.reaches(at):
            return f"the folder may lack entries of {code} that were known then; fetch it again"
    return None


def _differences(given: Status | Recognition, made: Made) -> tuple[Difference, ...]:
    """Return where an answer is not what was made from the entries."""
    certificate = given.certificate if isinstance(given, Recognition) else given
    pairs: list[tuple[str, object, object]] = [
        ("status", certificate.status, made.status.status),
        ("status reason", certificate.reason, made.status.reason),
        ("last_proven", certificate.last_proven, made.status.last_proven),
    ]
    decision = made.decision
    if isinstance(given, Recognition) and decision is not None:
        pairs = [
            ("decision", given.decision, decision.outcome),
            ("reasons", [one.code for one in given.reasons], list(decision.reasons)),
            ("pattern", given.pattern, decision.pattern),
            ("arrangement", given.arrangement, decision.arrangement),
            ("terms", given.terms, None if decision.terms is None else decision.terms.en),
            ("terms_ja", given.terms_ja, None if decision.terms is None else decision.terms.ja),
            ("conditions", list(given.conditions), list(decision.conditions)),
            (
                "considered",
                [(one.arrangement, one.pattern, one.outcome, one.reason) for one in given.considered],
                [(one.arrangement, one.pattern, one.outcome, one.reason) for one in decision.considered],
            ),
            *pairs,
        ]
    return tuple(
        Difference(field=name, answered=_text(answered), by_entries=_text(by_entries))
        for name, answered, by_entries in pairs
        if answered != by_entries
    )


def _text(value: object) -> str:
    match value:
        case None | [] | ():
            return "nothing"
        case list():
            return "; ".join(" ".join(one) if isinstance(one, tuple) else str(one) for one in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return str(value)

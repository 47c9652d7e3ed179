"""Recognition: whether a document counts at a receiver, for a service, on a day.

A pure decision over the document's status, the receiver's arrangements and the networks they name. The published truth
table is docs/recognition.md; a test holds it against this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tomoni.events.vocabulary import Words
from tomoni.history.arrangements import Arrangement, Entry, Judged, Question, judge
from tomoni.history.networks import Network
from tomoni.history.status import Answer, Document
from tomoni.history.terms import OWN_TERMS, TERMS
from tomoni.history.texts import Miss, Ranking, Reason

Outcome = Literal["recognised", "not-recognised", "unknown"]
Standing = Literal["prevails", "outranked", "does-not-apply", "unknown"]
"""What became of an arrangement: `unknown` where something unreadable was said about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiverView:
    """What is known of the receiver: its arrangements, whether they are fresh, and the networks they name."""

    known: bool
    """Its log is admitted, trusted and fresh enough for the purpose."""
    arrangements: tuple[Arrangement, ...] = ()
    networks: Mapping[str, Network] = field(default_factory=dict[str, Network])
    unreadable: bool = False
    """An arrangement of it exists that could not be read at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Considered:
    """An arrangement that names the issuer, what became of it and why."""

    arrangement: str
    pattern: str
    outcome: Standing
    reason: Reason | Ranking
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The answer with its terms, what else has to be shown or done, its reasons and the entries that decided it."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    pattern: str | None = None
    arrangement: str | None = None
    terms: Words | None = None
    conditions: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    considered: tuple[Considered, ...] = ()
    """Every arrangement of the receiver that names the issuer, the prevailing one first."""


def decide(question: Question, document: Document | None, status: Answer, receiver: ReceiverView) -> Decision:
    """Return whether a document is recognised; `status` is the document's on the question's day.

    Until a day has come certificates may end and arrangements change, so no answer about it is given without saying so.
    """
    decision = _decide(question, document, status, receiver)
    if question.on <= question.today or decision.outcome == "unknown":
        return decision
    return replace(decision, reasons=(*decision.reasons, "day-to-come"))


def _decide(question: Question, document: Document | None, status: Answer, receiver: ReceiverView) -> Decision:
    entries = _certificate_entries(question.issuer, document)
    match status.status:
        case "unknown":
            return Decision(outcome="unknown", reasons=("status-unknown",), entries=entries)
        case "not-valid":
            return Decision(outcome="not-recognised", reasons=("status-not-valid",), entries=entries)
        case "replaced":
            return Decision(outcome="not-recognised", reasons=("status-replaced",), entries=entries)
        case "not-found":
            return Decision(outcome="not-recognised", reasons=("status-not-found",))
        case "valid" | "conditional":
            pass
    if document is None:
        raise ValueError("a valid status belongs to a document")
    also: tuple[Reason, ...] = ("certificate-conditional",) if status.status == "conditional" else ()
    if question.issuer == question.receiver:
        return Decision(outcome="recognised", reasons=("own-certificate", *also), terms=OWN_TERMS, entries=entries)
    return _by_arrangement(question, document, receiver, entries, also)


def _by_arrangement(
    question: Question, document: Document, receiver: ReceiverView, entries: tuple[Entry, ...], also: tuple[Reason, ...]
) -> Decision:
    if not receiver.known:
        return Decision(outcome="unknown", reasons=("receiver-unknown",), entries=entries)
    judged = [
        found
        for one in receiver.arrangements
        if (found := judge(one, question, document.certificate, receiver.networks)) is not None
    ]
    ranked = sorted((one for one in judged if one.miss is None and not one.unclear), key=_rank)
    considered = _consider(ranked, judged)
    if receiver.unreadable or any(one.unclear for one in judged):
        return Decision(
            outcome="unknown", reasons=("arrangement-unknown",), entries=entries, considered=_unsettled(considered)
        )
    if not ranked:
        shown = entries + tuple(entry for one in considered for entry in one.entries)
        reasons = _nearest_misses(judged)
        return Decision(outcome="not-recognised", reasons=reasons, entries=shown, considered=considered)
    prevailing, arrangement = ranked[0], ranked[0].arrangement
    reason: Reason = "kept-recognised" if prevailing.kept else "arrangement-applies"
    return Decision(
        outcome="recognised",
        reasons=(reason, *also),
        pattern=arrangement.pattern,
        arrangement=arrangement.id,
        terms=TERMS[arrangement.pattern],
        conditions=prevailing.conditions,
        entries=entries + prevailing.entries,
        considered=considered,
    )


def _rank(judged: Judged) -> tuple[int, int, str]:
    """Order: the higher precedence prevails, then the newer, then the identity, so that every reader agrees."""
    one = judged.arrangement
    return (-one.precedence, -one.effective_from.toordinal(), one.id)


def _consider(ranked: Sequence[Judged], judged: Sequence[Judged]) -> tuple[Considered, ...]:
    """Tell of each arrangement what became of it: the prevailing one, those it outranks, those that do not apply."""
    told: list[Considered] = []
    for number, one in enumerate(ranked):
        if number == 0:
            told.append(_told(one, "prevails", _why_first(ranked)))
        else:
            told.append(_told(one, "outranked", _BEHIND[_ahead_by(ranked[0], one)]))
    rest = sorted((one for one in judged if one.miss is not None or one.unclear), key=lambda one: one.arrangement.id)
    for one in rest:
        if one.unclear or one.miss is None:
            told.append(_told(one, "unknown", "arrangement-unknown"))
        else:
            told.append(_told(one, "does-not-apply", one.miss))
    return tuple(told)


def _unsettled(considered: Sequence[Considered]) -> tuple[Considered, ...]:
    """Return what may be said where something is unreadable: nothing prevails, whatever applies may be outranked."""
    open_ones = {"prevails", "outranked"}
    return tuple(
        replace(one, outcome="unknown", reason="arrangement-unknown") if one.outcome in open_ones else one
        for one in considered
    )


def _told(judged: Judged, outcome: Standing, reason: Reason | Ranking) -> Considered:
    one = judged.arrangement
    return Considered(arrangement=one.id, pattern=one.pattern, outcome=outcome, reason=reason, entries=judged.entries)


_Ahead = Literal["higher-precedence", "newer", "first-by-identity"]
_BEHIND: Mapping[_Ahead, Ranking] = {
    "higher-precedence": "lower-precedence",
    "newer": "older",
    "first-by-identity": "later-by-identity",
}


def _why_first(ranked: Sequence[Judged]) -> Ranking:
    return "only-one" if len(ranked) == 1 else _ahead_by(ranked[0], ranked[1])


def _ahead_by(first: Judged, other: Judged) -> _Ahead:
    if first.arrangement.precedence != other.arrangement.precedence:
        return "higher-precedence"
    return "newer" if first.arrangement.effective_from != other.arrangement.effective_from else "first-by-identity"


_CLOSENESS: tuple[Miss, ...] = (
    "date-not-covered",
    "receiver-not-member",
    "issuer-not-member",
    "no-charter",
    "pattern-not-in-charter",
    "service-not-in-charter",
    "kind-not-in-charter",
    "service-not-covered",
    "kind-not-covered",
)
"""From the nearest miss to the farthest."""


def _nearest_misses(judged: Sequence[Judged]) -> tuple[Reason, ...]:
    misses = {one.miss for one in judged}
    return tuple(reason for reason in _CLOSENESS if reason in misses) or ("no-arrangement",)


def _certificate_entries(issuer: str, document: Document | None) -> tuple[Entry, ...]:
    if document is None:
        return ()
    positions = sorted({document.certificate.first_position, document.certificate.last_position})
    return tuple(Entry(log=issuer, position=position) for position in positions)

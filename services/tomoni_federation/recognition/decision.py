"""Recognition: whether a document counts at a receiver, for a service, on a day.

A pure decision over the document's status and the receiver's arrangements. Each pattern of "recognised elsewhere"
(mutual use, continuation, hand-over, fewer documents, service recognition) is one entry of `TERMS`; an arrangement of
a pattern that is not there prevails as any other would, and then the answer is `unknown` and not a guess.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from tomoni_federation.status.decision import Answer, Document

Outcome = Literal["recognised", "not-recognised", "unknown"]

Reason = Literal[
    "own-certificate",
    "arrangement-applies",
    "kept-recognised",
    "certificate-conditional",
    "day-to-come",
    "status-not-valid",
    "status-replaced",
    "status-not-found",
    "status-unknown",
    "no-arrangement",
    "kind-not-covered",
    "service-not-covered",
    "date-not-covered",
    "receiver-unknown",
    "arrangement-unknown",
    "pattern-undecided",
]

TEXTS: Mapping[Reason, str] = {
    "own-certificate": "The receiver issued this certificate itself.",
    "arrangement-applies": "The receiver has declared an arrangement that covers this issuer, kind, service and day.",
    "kept-recognised": "The arrangement has ended, and what it recognised before stays recognised.",
    "certificate-conditional": "The certificate is conditional: its holders have yet to prove their move.",
    "day-to-come": "This day is yet to come, and this is what is known now. Ask again on the day.",
    "status-not-valid": "The certificate is not valid on this day.",
    "status-replaced": "Another document was issued in the place of this one: ask for the current one.",
    "status-not-found": "The issuer has no such document.",
    "status-unknown": "The status of the document on this day is not known: the certificate's part says why.",
    "no-arrangement": "The receiver has declared nothing about this issuer.",
    "kind-not-covered": "The receiver's arrangement does not cover this kind of certificate.",
    "service-not-covered": "The receiver's arrangement does not cover this service.",
    "date-not-covered": "The receiver's arrangement does not cover this day.",
    "receiver-unknown": "What the receiver has declared is not known freshly enough. Ask the receiver.",
    "arrangement-unknown": "Something was declared about this that this version cannot read. Ask the receiver.",
    "pattern-undecided": "The prevailing arrangement is of a pattern not decided here. Ask the receiver.",
}

TERMS: Mapping[str, str] = {
    "B": "The receiver issues its own certificate without a new oath, and tells the issuer if the holders consent.",
    "E": "The certificate counts for this service as the receiver's own would.",
}
"""What recognition means under each pattern that is decided here."""

_DAY = timedelta(days=1)
_FIRST_DAY = date.min + _DAY
"""No day can be counted before `date.min`, which an event may name."""

OWN_TERMS = "The receiver's own certificate."


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """What a receiver has declared about others' certificates, as projected; days are days in Japan."""

    id: str
    position: int
    """Where the receiver's log declares it."""
    pattern: str
    codes: frozenset[str]
    prefecture: str | None
    network: str | None
    kinds: frozenset[str]
    services: frozenset[str]
    effective_from: date
    effective_until: date | None
    """The last day on which it counts, by its own words."""
    withdrawn_on: date | None
    """The first day without it."""
    withdrawn_position: int | None
    conditions: tuple[str, ...]
    precedence: int
    keeps_recognised: bool
    unknown: bool = False
    """An event of an unknown type is about it."""

    @property
    def last_day(self) -> date | None:
        """The last day on which it counts, withdrawal considered; None where it is open."""
        ends = [] if self.effective_until is None else [self.effective_until]
        if self.withdrawn_on is not None:
            ends.append(max(self.withdrawn_on, _FIRST_DAY) - _DAY)
        return min(ends, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An entry that decided an answer; for auditors only."""

    log: str
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiverView:
    """What is known of the receiver: its arrangements, whether they are fresh, and the networks it is in."""

    known: bool
    """Its log is admitted, trusted and fresh enough for the purpose."""
    arrangements: tuple[Arrangement, ...] = ()
    unreadable: bool = False
    """An arrangement of it exists that could not be read at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Who issued, who is asked to recognise, for what, on which day; `shared_networks` hold both on that day.

    The answer says so where the day is after `today`. `unclear_networks` are those the issuer may have left or joined
    by an event of an unknown type.
    """

    issuer: str
    receiver: str
    service: str
    on: date
    today: date
    shared_networks: frozenset[str] = frozenset()
    unclear_networks: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The answer with its terms, what else has to be shown or done, its reasons and the entries that decided it."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    pattern: str | None = None
    arrangement: str | None = None
    terms: str | None = None
    conditions: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


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
    about = [one for one in receiver.arrangements if _names_issuer(one, question)]
    unclear = any(one.network in question.unclear_networks for one in receiver.arrangements)
    if receiver.unreadable or unclear or any(one.unknown for one in about):
        return Decision(outcome="unknown", reasons=("arrangement-unknown",), entries=entries)
    applying = [one for one in about if _missing(one, question, document) is None]
    if not applying:
        shown = entries + tuple(entry for one in about for entry in _entries(question.receiver, one))
        return Decision(outcome="not-recognised", reasons=_nearest_misses(about, question, document), entries=shown)
    prevailing = min(applying, key=_rank)
    shown = entries + _entries(question.receiver, prevailing)
    if prevailing.pattern not in TERMS:
        return Decision(
            outcome="unknown",
            reasons=("pattern-undecided",),
            pattern=prevailing.pattern,
            arrangement=prevailing.id,
            entries=shown,
        )
    reason: Reason = "arrangement-applies" if _in_force(prevailing, question.on) else "kept-recognised"
    return Decision(
        outcome="recognised",
        reasons=(reason, *also),
        pattern=prevailing.pattern,
        arrangement=prevailing.id,
        terms=TERMS[prevailing.pattern],
        conditions=prevailing.conditions,
        entries=shown,
    )


def _names_issuer(arrangement: Arrangement, question: Question) -> bool:
    return (
        question.issuer in arrangement.codes
        or arrangement.prefecture == question.issuer[:2]
        or arrangement.network in question.shared_networks
    )


def _missing(arrangement: Arrangement, question: Question, document: Document) -> Reason | None:
    """Return what keeps an arrangement that names the issuer from applying; None where it applies."""
    if document.certificate.kind not in arrangement.kinds:
        return "kind-not-covered"
    if question.service not in arrangement.services:
        return "service-not-covered"
    if _in_force(arrangement, question.on) or _kept(arrangement, question.on, document.certificate.certified_on):
        return None
    return "date-not-covered"


def _in_force(arrangement: Arrangement, on: date) -> bool:
    last = arrangement.last_day
    return arrangement.effective_from <= on and (last is None or on <= last)


def _kept(arrangement: Arrangement, on: date, certified_on: date) -> bool:
    """Whether an ended arrangement still covers a certificate that was there on its last day."""
    last = arrangement.last_day
    if last is None or not arrangement.keeps_recognised:
        return False
    return arrangement.effective_from <= last < on and certified_on <= last


def _rank(arrangement: Arrangement) -> tuple[int, int, str]:
    """Order: the higher precedence prevails, then the newer, then the identity, so that every reader agrees."""
    return (-arrangement.precedence, -arrangement.effective_from.toordinal(), arrangement.id)


_CLOSENESS: tuple[Reason, ...] = ("date-not-covered", "service-not-covered", "kind-not-covered")


def _nearest_misses(about: Iterable[Arrangement], question: Question, document: Document) -> tuple[Reason, ...]:
    misses = {_missing(one, question, document) for one in about}
    return tuple(reason for reason in _CLOSENESS if reason in misses) or ("no-arrangement",)


def _certificate_entries(issuer: str, document: Document | None) -> tuple[Entry, ...]:
    if document is None:
        return ()
    positions = sorted({document.certificate.first_position, document.certificate.last_position})
    return tuple(Entry(log=issuer, position=position) for position in positions)


def _entries(receiver: str, arrangement: Arrangement) -> tuple[Entry, ...]:
    positions = [arrangement.position]
    if arrangement.withdrawn_position is not None:
        positions.append(arrangement.withdrawn_position)
    return tuple(Entry(log=receiver, position=position) for position in positions)

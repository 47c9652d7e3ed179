"""What one arrangement of a receiver says about one certificate, one service and one day. Pure.

An arrangement that names a network recognises what it and the network's charter both say: the town speaks for itself,
and the charter bounds what the network means (docs/decisions/0060).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from tomoni.history.networks import Charter, Network, Span, Spans, Standing, hold, intersect, last_before
from tomoni.history.status import Certificate
from tomoni.history.texts import Miss

FEDERATION_LOG = "federation"
"""How the federation's own log is named beside the codes of jurisdictions."""

_DAY = timedelta(days=1)
_FIRST_DAY = date.min + _DAY
"""No day can be counted before `date.min`, which an event may name."""


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

    @property
    def spans(self) -> Spans:
        """The days on which it is in force by the receiver's own word; none where it ended before it began."""
        last = self.last_day
        return () if last is not None and last < self.effective_from else (Span(self.effective_from, last),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Who issued, who is asked to recognise, for what and on which day; one after `today` is told to be so."""

    issuer: str
    receiver: str
    service: str
    on: date
    today: date


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Entry:
    """An entry that decided an answer; for auditors only."""

    log: str
    position: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What an arrangement that names the issuer says: it applies, is kept beyond its end, or misses and why."""

    arrangement: Arrangement
    miss: Miss | None
    kept: bool
    conditions: tuple[str, ...]
    """The receiver's and the charter's, together."""
    entries: tuple[Entry, ...]
    unclear: bool
    """Something unreadable was said about it, so that nobody can tell."""


def judge(
    arrangement: Arrangement, question: Question, certificate: Certificate, networks: Mapping[str, Network]
) -> Judged | None:
    """Return what an arrangement says about a certificate; None where it does not name the issuer.

    One about which something unreadable was said may name any issuer by now.
    """
    if arrangement.network is None:
        named = question.issuer in arrangement.codes or arrangement.prefecture == question.issuer[:2]
        return _judge(arrangement, question, certificate, None) if named or arrangement.unknown else None
    network = networks.get(arrangement.network)
    if network is None or not (network.issuer or network.unclear or arrangement.unknown):
        return None
    return _judge(arrangement, question, certificate, network)


def _judge(arrangement: Arrangement, question: Question, certificate: Certificate, network: Network | None) -> Judged:
    spans = arrangement.spans if network is None else intersect(arrangement.spans, network.spans)
    counts = hold(spans, question.on)
    last = None if counts else _last_recognised(spans, arrangement, question, certificate, network)
    kept = arrangement.keeps_recognised and last is not None
    charter = None if network is None else network.charter(question.on)
    miss = _not_covered(arrangement, question, certificate)
    if miss is None and charter is not None:
        miss = _not_in_charter(arrangement, question, certificate, charter)
    if miss is None and not counts and not kept:
        miss = _why_not_on_the_day(arrangement, question.on, network)
    return Judged(
        arrangement=arrangement,
        miss=miss,
        kept=kept,
        conditions=tuple(dict.fromkeys((*arrangement.conditions, *(() if charter is None else charter.conditions)))),
        entries=_entries(arrangement, question, network, last if kept and last is not None else question.on),
        unclear=arrangement.unknown or (network is not None and network.unclear),
    )


def _last_recognised(
    spans: Spans, arrangement: Arrangement, question: Question, certificate: Certificate, network: Network | None
) -> date | None:
    """Return the last day before on which the certificate was recognised, by the charter of that day; None: never."""
    if network is not None:
        spans = intersect(
            spans,
            network.chartered(lambda then: _not_in_charter(arrangement, question, certificate, then) is None),
        )
    last = last_before(spans, question.on)
    return last if last is not None and certificate.certified_on <= last else None


def _not_covered(arrangement: Arrangement, question: Question, certificate: Certificate) -> Miss | None:
    if certificate.kind not in arrangement.kinds:
        return "kind-not-covered"
    return None if question.service in arrangement.services else "service-not-covered"


def _not_in_charter(
    arrangement: Arrangement, question: Question, certificate: Certificate, charter: Charter
) -> Miss | None:
    if certificate.kind not in charter.kinds:
        return "kind-not-in-charter"
    if question.service not in charter.services:
        return "service-not-in-charter"
    return None if arrangement.pattern == charter.pattern else "pattern-not-in-charter"


def _why_not_on_the_day(arrangement: Arrangement, on: date, network: Network | None) -> Miss:
    if network is None or not hold(arrangement.spans, on):
        return "date-not-covered"
    if network.charter(on) is None:
        return "no-charter"
    return "receiver-not-member" if hold(network.issuer.spans, on) else "issuer-not-member"


def _entries(arrangement: Arrangement, question: Question, network: Network | None, day: date) -> tuple[Entry, ...]:
    """Return what decided: the declaration, its end, and of a network all that made, or ended, the common days."""
    own = [arrangement.position]
    if arrangement.withdrawn_position is not None:
        own.append(arrangement.withdrawn_position)
    found = [Entry(log=question.receiver, position=position) for position in own]
    if network is not None:
        for log, standing in ((question.issuer, network.issuer), (question.receiver, network.receiver)):
            found += _of_standing(log, standing, {day, question.on})
        if (charter := network.charter(question.on)) is not None:
            found.append(Entry(log=FEDERATION_LOG, position=charter.position))
    return tuple(dict.fromkeys(found))


def _of_standing(log: str, standing: Standing, days: set[date]) -> list[Entry]:
    changes = {change.position for day in days if (change := standing.last_change(day)) is not None}
    accepted = {position for day in days for position in standing.positions(day)}
    return [
        *(Entry(log=log, position=position) for position in sorted(changes)),
        *(Entry(log=FEDERATION_LOG, position=position) for position in sorted(accepted)),
    ]

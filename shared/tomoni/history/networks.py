"""Networks: who is in one on which day, and what its charter says then. Pure.

A town is in a network on the days on which its own word and the federation's both say so. The charter bounds what the
network means; days are days in Japan.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple, TypeVar

_DAY = timedelta(days=1)


class Span(NamedTuple):
    """Days from the first to the last; None: without end."""

    first: date
    last: date | None

    def holds(self, on: date) -> bool:
        """Tell whether a day is one of them."""
        return self.first <= on and (self.last is None or on <= self.last)


Spans = tuple[Span, ...]


class Change(NamedTuple):
    """A town's own word: a member, or none, from a day on; `position` is in its own log."""

    effective_on: date
    position: int
    member: bool


class Acceptance(NamedTuple):
    """The federation's word about a town, up to a last day if it has one; `position` is in the federation's log."""

    effective_on: date
    effective_until: date | None
    position: int

    @property
    def span(self) -> Span:
        """The days it is about."""
        return Span(self.effective_on, self.effective_until)


class Charter(NamedTuple):
    """The common terms of a network from a day on, until a later charter's; `position` is in the federation's log."""

    effective_on: date
    position: int
    pattern: str
    kinds: frozenset[str]
    services: frozenset[str]
    conditions: tuple[str, ...]


Word = TypeVar("Word", Change, Charter)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """All that was said about one town and one network."""

    changes: tuple[Change, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.acceptances)

    @property
    def spans(self) -> Spans:
        """The days on which the town is in, by both words."""
        return intersect(self._own_word(), tuple(one.span for one in self.acceptances))

    def last_change(self, on: date) -> Change | None:
        """Return the town's word that counts on a day: of one day, the later entry."""
        return max((one for one in self.changes if one.effective_on <= on), default=None)

    def positions(self, on: date) -> tuple[int, ...]:
        """Return where the federation has accepted the town for a day."""
        return tuple(one.position for one in self.acceptances if one.span.holds(on))

    def _own_word(self) -> Spans:
        return tuple(span for span, change in _in_force(self.changes) if change.member)


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network as an answer about an issuer and a receiver needs it."""

    charters: tuple[Charter, ...] = ()
    issuer: Standing = Standing()
    receiver: Standing = Standing()
    unclear: bool = False
    """An event of an unknown type is about the issuer's membership: it may have left, or joined."""

    @property
    def spans(self) -> Spans:
        """The days on which both are in and the network has a charter."""
        chartered = min((one.effective_on for one in self.charters), default=None)
        if chartered is None:
            return ()
        return intersect((Span(chartered, None),), intersect(self.issuer.spans, self.receiver.spans))

    def chartered(self, says: Callable[[Charter], bool]) -> Spans:
        """Return the days on which the charter of the day says something."""
        return tuple(span for span, charter in _in_force(self.charters) if says(charter))

    def charter(self, on: date) -> Charter | None:
        """Return the charter, or its amendment, that counts on a day: the one that began last."""
        begun = [one for one in self.charters if one.effective_on <= on]
        return max(begun, key=lambda one: (one.effective_on, one.position), default=None)


def _in_force(words: Iterable[Word]) -> list[tuple[Span, Word]]:
    """Return words with the days on which each counts, until the next one's: of one day, the later entry."""
    last_of_day = {one.effective_on: one for one in sorted(words, key=lambda one: (one.effective_on, one.position))}
    days = sorted(last_of_day)
    ends: list[date | None] = [*(day - _DAY for day in days[1:]), None]
    return [(Span(first, last), last_of_day[first]) for first, last in zip(days, ends, strict=False)]


def intersect(some: Iterable[Span], others: Iterable[Span]) -> Spans:
    """Return the days that are in both, as spans that may overlap."""
    others = tuple(others)
    found: list[Span] = []
    for one in some:
        for other in others:
            lasts = [last for last in (one.last, other.last) if last is not None]
            both = Span(max(one.first, other.first), min(lasts, default=None))
            if both.last is None or both.first <= both.last:
                found.append(both)
    return tuple(found)


def hold(spans: Spans, on: date) -> bool:
    """Tell whether a day is in one of them."""
    return any(span.holds(on) for span in spans)


def last_before(spans: Spans, on: date) -> date | None:
    """Return the last day of the spans that is before a day in none of them."""
    return max((span.last for span in spans if span.last is not None and span.last < on), default=None)

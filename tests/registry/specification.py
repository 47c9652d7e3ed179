"""Given these events, when this command comes, then these happen, or it is refused (in Emmett's manner)."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Generic, TypeVar

import msgspec
import pytest

from tomoni.events import JurisdictionEvent, decode_event, encode_event
from tomoni_registry.deciding import Refused, Stamp

ORIGIN = "tomoni.example/131130"
S = TypeVar("S")
C = TypeVar("C")

TODAY = date(2026, 11, 23)
STAMP = Stamp(event_id="00000000-0000-4000-8000-000000000001", origin=ORIGIN, at=datetime(2026, 11, 23, 3, tzinfo=UTC))


class Specification(Generic[S, C]):
    """A decider under test."""

    def __init__(
        self,
        decide: Callable[[S, C], Sequence[JurisdictionEvent]],
        evolve: Callable[[S, JurisdictionEvent], S],
        initial: S,
    ):
        self.decide, self.evolve, self.initial = decide, evolve, initial

    def given(self, *events: JurisdictionEvent) -> "Given[S, C]":
        state = self.initial
        for event in events:
            state = self.evolve(state, event)
        return Given(self, state)


class Given(Generic[S, C]):
    def __init__(self, specification: Specification[S, C], state: S):
        self.specification, self.state = specification, state

    def when(self, command: C) -> "When[S, C]":
        return When(self, command)


class When(Generic[S, C]):
    def __init__(self, given: Given[S, C], command: C):
        self.given, self.command = given, command

    def then(self, *expected: msgspec.Struct) -> S:
        """Events happen whose data are these; each is a legal entry. Return the state after them."""
        events = self.given.specification.decide(self.given.state, self.command)
        assert tuple(event.data for event in events) == expected
        state = self.given.state
        for event in events:
            assert decode_event(encode_event(event)) == event
            state = self.given.specification.evolve(state, event)
        return state

    def refused(self, reason: str) -> str:
        with pytest.raises(Refused) as caught:
            self.given.specification.decide(self.given.state, self.command)
        assert caught.value.reason == reason
        return caught.value.detail

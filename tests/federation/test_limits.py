import pytest

from tomoni.problems import Problem
from tomoni_federation.limits import LookupLimit


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_client_waits_as_long_as_it_was_told_and_then_may_ask():
    clock = Clock()
    limit = LookupLimit(60, clock=clock)
    limit.take("somebody", 60)
    with pytest.raises(Problem) as refused:
        limit.take("somebody", 5)
    assert refused.value.headers == {"Retry-After": "5"}
    limit.take("somebody else", 60)
    clock.now = 5.0
    limit.take("somebody", 5)


def test_more_than_a_minutes_worth_at_once_is_never_allowed():
    clock = Clock()
    limit = LookupLimit(60, clock=clock)
    for clock.now in (0.0, 3600.0):
        with pytest.raises(Problem) as refused:
            limit.take("somebody", 61)
        assert (refused.value.headers, "fewer at once" in refused.value.detail) == ({}, True)


def test_clients_that_have_gone_are_forgotten():
    clock = Clock()
    limit = LookupLimit(60, clock=clock)
    for number in range(10_000):
        limit.take(str(number))
    clock.now = 60.0
    limit.take("another")
    assert len(limit._buckets) == 1

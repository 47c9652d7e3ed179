"""Rows of the benchmark: a figure of ours, the limit measured beside it in the same run, and the ratio to reach."""

import statistics
from collections.abc import Awaitable, Callable, Sequence

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table of the design's §11. `value` and `limit` are in `unit`; `ratio` is ours to the limit."""

    name: str
    value: float
    limit: float
    ratio: float
    reach: float
    unit: str


Measure = Callable[[], Awaitable[float]]
"""Does the work once and returns its rate: more is better."""


async def compare(name: str, ours: Measure, limit: Measure, *, reach: float, unit: str, rounds: int = 3) -> Row:
    """Measure ours and the limit in turn, so that a drift of the machine meets both, and keep the median round."""
    pairs = [(await ours(), await limit()) for _ in range(rounds)]
    return median_row(name, pairs, reach=reach, unit=unit)


def median_row(name: str, pairs: Sequence[tuple[float, float]], *, reach: float, unit: str) -> Row:
    """Return the row of the round whose ratio is the median one."""
    ratios = sorted(pairs, key=lambda pair: pair[0] / pair[1])
    value, limit = ratios[len(ratios) // 2]
    ratio = statistics.median(ours / bound for ours, bound in pairs)
    return Row(name=name, value=value, limit=limit, ratio=ratio, reach=reach, unit=unit)

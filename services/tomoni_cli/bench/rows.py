"""Rows of the benchmark: a figure of ours, the limit measured beside it in the same run, and the ratio to reach."""

import gc
from collections.abc import Awaitable, Callable, Sequence

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table of the design's §11. `value` and `limit` are in `unit`; `ratio` is ours to the limit.

    Of waiting times, where less is better, it is the limit to ours: more is always better for a ratio. A row without
    `reach` is no work of ours: another's, printed beside.
    """

    name: str
    value: float
    limit: float
    ratio: float
    reach: float | None
    unit: str


Measure = Callable[[], Awaitable[float]]
"""Does the work once and returns its rate: more is better."""


async def compare(name: str, ours: Measure, limit: Measure, *, reach: float, unit: str, rounds: int = 3) -> Row:
    """Measure ours and the limit in turn, so that a drift of the machine meets both, and keep the median round.

    What was made beforehand is kept out of garbage collection: a service has no hundred thousand samples in memory,
    whose traversal would be measured with it.
    """
    gc.collect()
    gc.freeze()
    pairs = [(await ours(), await limit()) for _ in range(rounds)]
    return median_row(name, pairs, reach=reach, unit=unit)


def median_row(
    name: str, pairs: Sequence[tuple[float, float]], *, reach: float, unit: str, less_is_better: bool = False
) -> Row:
    """Return the row of the round whose ratio is the median one."""

    def ratio_of(pair: tuple[float, float]) -> float:
        return pair[1] / pair[0] if less_is_better else pair[0] / pair[1]

    pair = sorted(pairs, key=ratio_of)[len(pairs) // 2]
    return Row(name=name, value=pair[0], limit=pair[1], ratio=ratio_of(pair), reach=reach, unit=unit)

"""Work at a steady pace, and the waiting times of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence


async def paced(count: int, per_second: int) -> AsyncIterator[int]:
    """Yield numbers at the pace; where the taker was slow, at once until it has caught up."""
    started = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
        yield number


def p99(seconds: Sequence[float]) -> float:
    """Return the 99th percentile of seconds, in milliseconds."""
    return sorted(seconds)[len(seconds) * 99 // 100] * 1000

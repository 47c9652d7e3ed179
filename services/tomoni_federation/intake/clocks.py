"""Whose clock is wrong, told by what nodes say in their heartbeats and when the hub stored them.

Nothing is decided by it: a heartbeat that is ahead was dropped, and one that is behind speaks for its own time. But
answers age by it, and their operators should know why.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from prometheus_client import Gauge

MAX_CLOCK_OFFSET: Final = timedelta(minutes=5)
"""How far a node's clock may be off; the design refuses heartbeats that are further ahead."""

WRONG: Final = Gauge("tomoni_federation_clocks_wrong", "Nodes whose clocks are more than five minutes off")

log = structlog.get_logger()


class Beat(NamedTuple):
    """When a node says that it signed a heartbeat, and when it was heard."""

    node_time: datetime
    heard: datetime


class Clocks:
    """The clocks of nodes, as far as they were heard since this process began."""

    def __init__(self) -> None:
        self._last: dict[str, Beat] = {}
        self._wrong: set[str] = set()

    def compare(self, code: str, beat: Beat) -> None:
        """Take a heartbeat, and say so where a clock is seen to be wrong, or right again.

        One that comes again tells nothing. One that is late may have waited somewhere, so that a clock is behind only
        when the one before it was late, too.
        """
        before = self._last.get(code)
        if before is not None and before.node_time == beat.node_time:
            return
        self._last[code] = beat
        if not _is_off(beat):
            if code in self._wrong:
                self._wrong.remove(code)
                log.warning("clock_right_again", code=code)
        elif code not in self._wrong and (beat.node_time > beat.heard or (before is not None and _is_off(before))):
            self._wrong.add(code)
            log.error("clock_wrong", code=code, seconds=round((beat.node_time - beat.heard).total_seconds()))
        WRONG.set(len(self._wrong))


def _is_off(beat: Beat) -> bool:
    return abs(beat.node_time - beat.heard) > MAX_CLOCK_OFFSET

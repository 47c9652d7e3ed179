"""What keys sign that speak for their log no more: an alarm, kept so that anybody can look at it, and of no effect.

A key that was replaced may be found years later, in a backup or on a disk that was sold. What its finder signs must not
close the town's log, so it is no evidence against it; nor may it pass in silence, since somebody has the key.
"""

import hashlib
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import Counter

from tomoni.database import Connection

log = structlog.get_logger()

RETIRED_KEYS: Final = Counter(
    "tomoni_federation_retired_key_words_total", "Checkpoints by keys that were replaced; each is an alarm"
)
MOST_KEPT: Final = 100
"""Of one log: whoever has such a key can sign any number."""

_KEEP: Final = """
INSERT INTO mirror.retired_word (hash, log, size, log_key, note, found_at)
SELECT $1, $2, $3, $4, $5, $6 WHERE (SELECT count(*) FROM mirror.retired_word WHERE log = $2) < $7
ON CONFLICT (hash) DO NOTHING RETURNING true
"""


async def alarm(connection: Connection, code: str, size: int, log_key: str, note: bytes, now: datetime) -> None:
    """Keep a checkpoint that a retired key has signed and that is not in the log's history; tell of a new one."""
    digest = hashlib.sha256(note).hexdigest()
    if await connection.fetchval(_KEEP, digest, code, size, log_key, note, now, MOST_KEPT):
        RETIRED_KEYS.inc()
        log.error("retired_key_signs", code=code, size=size)

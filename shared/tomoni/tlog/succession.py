"""Which key of a log speaks for which size of its tree: the rule that a node and a federation must share."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """A log key and the size from which its checkpoints count; `retired` keys prove old sizes and accuse nobody.

    A key announced by the entry at a position counts from `position + 1`, the first size that holds the entry.
    """

    from_size: int
    log_key: str
    retired: bool = False


def keys_for(keys: Sequence[Key], size: int) -> list[Key]:
    """Return the keys whose word counts for a size: the newest announced within it that is not retired.

    A checkpoint over an announcement is opened by the old key, since nothing newer is known then, and must be signed
    by the new one as well; from then on the old key speaks for the sizes before the announcement only.
    """
    known = [key for key in keys if not key.retired]
    newest = max((key.from_size for key in known if key.from_size <= size), default=None)
    return [key for key in known if key.from_size == newest]

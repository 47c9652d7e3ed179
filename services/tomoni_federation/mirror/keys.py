"""The keys of a mirrored log: which of them speaks for which size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tomoni.tlog.cosignature import CosignatureVerifier
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier


@dataclass(frozen=True, slots=True)
class Key:
    """A log key and the size from which its checkpoints count; `retired` keys prove old sizes and accuse nobody."""

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


def is_log_key(text: str, origin: str) -> bool:
    """Tell whether a text is a verifier key of a log of this origin."""
    verifier = verifier_of(text)
    return verifier is not None and verifier.name == origin


@lru_cache(maxsize=4_096)
def verifier_of(log_key: str) -> Verifier | None:
    """Return the verifier of a log key's text, None where it is none."""
    try:
        return Verifier.parse(log_key)
    except NoteError:
        return None


@lru_cache(maxsize=4_096)
def cosignature_verifier_of(heartbeat_key: str) -> CosignatureVerifier:
    """Return the verifier of a heartbeat key's text; raise NoteError where it is none."""
    return CosignatureVerifier.parse(heartbeat_key)

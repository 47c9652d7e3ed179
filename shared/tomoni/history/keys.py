"""The keys of a mirrored log, from their texts."""

from collections.abc import Iterable
from functools import lru_cache

from tomoni.tlog.cosignature import CosignatureVerifier
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier


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


def verifiers_of(log_keys: Iterable[str]) -> list[Verifier]:
    """Return the verifiers of the texts that are log keys."""
    return [verifier for key in log_keys if (verifier := verifier_of(key)) is not None]


@lru_cache(maxsize=4_096)
def cosignature_verifier_of(heartbeat_key: str) -> CosignatureVerifier:
    """Return the verifier of a heartbeat key's text; raise NoteError where it is none."""
    return CosignatureVerifier.parse(heartbeat_key)

"""Documents and their handles: the bearer secret printed on a certificate, and the hash that names it in events.

A handle is 16 random characters of Crockford's base32 (80 bits) and 2 check characters, printed in groups:
`7K3M-Q9TX-…`. It is read forgivingly (lower case, hyphens, `O` for zero, `I` and `L` for one) and hashed in one form
only: upper case, without separators. The hash is the sole name of a document outside its issuing node.
"""

import hashlib
import secrets
from collections.abc import Collection

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
HANDLE_LENGTH = 18
_SECRET_LENGTH = 16
_CHECK_MODULUS = 1021
"""The largest prime below 32²: every single wrong character and every swap of neighbours changes the remainder."""

_CHARACTERS = frozenset(ALPHABET)
_TO_BASE32 = bytes.maketrans(ALPHABET.encode(), b"0123456789abcdefghijklmnopqrstuv")
"""To the digits that `int` reads."""
_FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None, "\u3000": None, "\u2010": None})
_DOMAIN = b"tomoni-document-v1"


class HandleError(ValueError):
    """A handle cannot be one. The message never repeats what was given: a mistyped handle is nearly a secret."""


def new_handle() -> str:
    """Return a new random handle of 18 characters, without separators."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(_SECRET_LENGTH))
    return body + _check_characters(body)


def parse_handle(text: str) -> str:
    """Return the one form of a handle as typed or scanned; raise HandleError where it is mistyped."""
    handle = text.replace("-", "")  # as printed, which most are: to forgive takes longer than the rest
    if len(handle) != HANDLE_LENGTH or not _CHARACTERS.issuperset(handle):
        handle = _in_one_form(text)
    if len(handle) != HANDLE_LENGTH:
        raise HandleError(f"a handle has {HANDLE_LENGTH} characters, not counting hyphens and spaces")
    if not _CHARACTERS.issuperset(handle):
        raise HandleError("a handle has only digits and letters other than I, L, O and U")
    if _check_characters(handle[:_SECRET_LENGTH]) != handle[_SECRET_LENGTH:]:
        raise HandleError("the check characters do not match: the handle is mistyped somewhere")
    return handle


def holds_one_of(text: str, handles: Collection[str]) -> bool:
    """Tell whether one of some handles, each in its one form, stands somewhere in a text, however it is written."""
    found = _in_one_form(text)
    return any(found[start : start + HANDLE_LENGTH] in handles for start in range(len(found) - HANDLE_LENGTH + 1))


def print_handle(handle: str) -> str:
    """Return a handle as it is printed on a document, in groups: `XXXX-XXXX-XXXX-XXXX-CC`."""
    return "-".join(handle[start : start + 4] for start in range(0, HANDLE_LENGTH, 4))


def document_hash(issuer: str, handle: str) -> str:
    """Return the name of a document in events: SHA-256(domain ‖ issuer's code ‖ handle), 64 hex digits."""
    return hashlib.sha256(_DOMAIN + issuer.encode("ascii") + parse_handle(handle).encode("ascii")).hexdigest()


def _in_one_form(text: str) -> str:
    return text.strip().upper().translate(_FORGIVEN)


def _check_characters(body: str) -> str:
    number = int(body.encode().translate(_TO_BASE32), 32)
    high, low = divmod(number % _CHECK_MODULUS, 32)
    return ALPHABET[high] + ALPHABET[low]

"""Canonical bytes of JSON values, as RFC 8785 (JCS) has them, within a narrower profile.

msgspec's sorted encoder equals RFC 8785 as long as keys are ASCII and no floats occur; outside of that the two differ
(`1.0`, `1e21`, `-0.0`; keys from U+E000 up sort otherwise than astral ones), so the profile forbids both. Integers
stay within ±(2^53 − 1) (RFC 8785 §3.2.2.3, I-JSON). Values are at most 32 deep: how deep a reader can go by itself
depends on its stack, and one would read what another refuses.
"""

import msgspec

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 32
"""Arrays and objects within each other, the outermost counted."""

_encoder = msgspec.json.Encoder(order="sorted")


class CanonicalError(ValueError):
    """Bytes or a value are not canonical JSON within the profile."""


def encode(value: object) -> bytes:
    """Return the canonical bytes of a value made of msgspec Structs, dicts, lists, strings, integers and booleans.

    The caller vouches for the profile: Structs do by their types, anything else is checked by `check_profile`.
    """
    return _encoder.encode(value)


def check_profile(value: object, depth: int = MAX_DEPTH) -> None:
    """Raise CanonicalError where a decoded JSON value has a float, a non-ASCII key, an unsafe integer or more depth."""
    if depth == 0 and isinstance(value, list | dict):
        raise CanonicalError(f"the value is more than {MAX_DEPTH} deep")
    match value:
        case None | bool() | str():
            return
        case int():
            if abs(value) > MAX_SAFE_INTEGER:
                raise CanonicalError("an integer is beyond 2^53 - 1")
        case list():
            for item in value:  # pyright: ignore[reportUnknownVariableType]  # JSON is any shape
                check_profile(item, depth - 1)  # pyright: ignore[reportUnknownArgumentType]
        case dict():
            for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
                if not str(key).isascii():  # pyright: ignore[reportUnknownArgumentType]
                    raise CanonicalError("a key is not ASCII")
                check_profile(item, depth - 1)  # pyright: ignore[reportUnknownArgumentType]
        case _:
            raise CanonicalError(f"a {type(value).__name__} cannot stand in a canonical value")


def decode_canonical(data: bytes) -> object:
    """Return the JSON value of canonical bytes; raise CanonicalError when re-encoding does not give the same bytes.

    Duplicate keys, white space and odd escapes would let two readers see two values, so nothing but the one
    canonical form is read.
    """
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CanonicalError("the bytes are not JSON") from error
    check_profile(value)
    if encode(value) != data:
        raise CanonicalError("the bytes are not the canonical form of their value")
    return value

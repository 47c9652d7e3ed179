"""The few encodings that the C2SP texts share, read strictly: one value has one form, and nothing else is read."""

import base64
import binascii
import re

from tomoni.tlog.merkle import MAX_SIZE

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def decode_base64(text: str) -> bytes:
    """Return the bytes of standard base64 (RFC 4648 §4); raise ValueError on any form but the canonical one.

    The padding must be there and its unused bits must be zero (§3.5): the same bytes never have two texts, so that
    nobody can make a second, different note out of a signed one.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the text is not base64") from error
    if encode_base64(data) != text:
        raise ValueError("the text is not canonical base64")
    return data


def encode_base64(data: bytes) -> str:
    """Return the standard base64 of bytes, with padding (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


def parse_decimal(text: str) -> int:
    """Return a number in ASCII decimals without leading zeros, at most 2^63 - 1; raise ValueError on other forms.

    `int()` would also read `+5`, ` 5`, `5_0`, `٥` and `05`.
    """
    if _DECIMAL.fullmatch(text) is None or (number := int(text)) > MAX_SIZE:
        raise ValueError("the text is not a decimal number up to 2^63 - 1 without leading zeros")
    return number

"""Base64 and decimals have one form each, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomoni.tlog.encoding import decode_base64, encode_base64, parse_decimal
from tomoni.tlog.merkle import MAX_SIZE


@given(st.binary(max_size=80))
def test_base64_comes_back(data: bytes) -> None:
    assert decode_base64(encode_base64(data)) == data


@pytest.mark.parametrize(
    "text",
    [
        "AA",  # padding left out
        "AA=",
        "AA===",
        "AA==AA==",
        "AB==",  # unused bits that are not zero
        "AAB=",
        "AA==\n",
        " AA==",
        "A A==",
        "A",
        "-_-_",  # the alphabet for URLs
        "AAAA!",
        "ÄAAA",
    ],
)
def test_base64_that_is_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode_base64(text)


@given(st.integers(0, MAX_SIZE))
def test_decimals_come_back(number: int) -> None:
    assert parse_decimal(str(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+5",
        "-5",
        "-0",
        " 5",
        "5 ",
        "5\n",
        "05",
        "00",
        "5_0",
        "0x5",
        "5.0",
        "5e0",
        "٥",
        "５",
        str(MAX_SIZE + 1),
        "9" * 5000,
    ],
)
def test_numbers_in_any_other_form_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_decimal(text)

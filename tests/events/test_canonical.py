"""Canonical bytes equal RFC 8785, by another implementation of it, within the profile."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.events.strategies import events, texts
from tomoni.events import Event, encode_event
from tomoni.events.canonical import CanonicalError, decode_canonical, encode

keys = st.text(st.characters(max_codepoint=0x7F), max_size=10)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5)
)


@given(events())
def test_every_event_encodes_as_rfc_8785_says(event: Event) -> None:
    data = encode_event(event)
    assert data == rfc8785.dumps(json.loads(data))


@given(json_values)
def test_every_value_of_the_profile_encodes_as_rfc_8785_says(value: object) -> None:
    data = encode(value)
    assert data == rfc8785.dumps(value)  # type: ignore[arg-type]
    assert decode_canonical(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b' {"a":1}',
        b'{"a":1}\n',
        b'"\\u0061"',
        b'"\\/"',
        b'"\\u00E9"',
        b'"\xc3\xa9\\u0000"x',
    ],
)
def test_a_form_that_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        decode_canonical(data)


@pytest.mark.parametrize(
    "data",
    [b"1.0", b"1e21", b"-0.0", b"9007199254740992", b"-9007199254740992", '{"é":1}'.encode(), b"[[0.5]]", b'{"a":1.5}'],
)
def test_what_two_readers_could_read_differently_is_outside_the_profile(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        decode_canonical(data)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\xed\xa0\x80"', b'"\\ud800"', b"[" * 100_000])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        decode_canonical(data)

"""Handles: forgiving to people, strict about mistakes, hashed in one form."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomoni.documents import ALPHABET, HandleError, document_hash, new_handle, parse_handle, print_handle

bodies = st.text(ALPHABET, min_size=16, max_size=16)
handles = st.builds(lambda _: new_handle(), st.integers())


@given(handles)
def test_a_handle_is_read_as_it_was_printed(handle: str) -> None:
    assert parse_handle(print_handle(handle)) == handle
    assert parse_handle(f" {print_handle(handle).lower()} ") == handle


@given(handles, st.data())
def test_every_single_wrong_character_is_found(handle: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 17))
    wrong = data.draw(st.sampled_from([c for c in ALPHABET if c != handle[place]]))
    with pytest.raises(HandleError, match="check characters"):
        parse_handle(handle[:place] + wrong + handle[place + 1 :])


@given(handles, st.integers(0, 14))
def test_every_swap_of_neighbours_is_found(handle: str, place: int) -> None:
    swapped = handle[:place] + handle[place + 1] + handle[place] + handle[place + 2 :]
    if swapped != handle:
        with pytest.raises(HandleError):
            parse_handle(swapped)


def test_letters_that_look_like_digits_are_read_as_digits() -> None:
    handle = next(h for h in iter(new_handle, None) if "0" in h and "1" in h)
    assert parse_handle(handle.replace("0", "O").replace("1", "l")) == handle


@pytest.mark.parametrize("text", ["", "ABC", "U" * 18, "0" * 17, "0" * 19, "é" * 18])
def test_what_cannot_be_a_handle_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(HandleError) as caught:
        parse_handle(text)
    assert not text or text not in str(caught.value)


def test_a_document_is_named_by_issuer_and_handle_in_upper_case() -> None:
    handle = new_handle()
    expected = hashlib.sha256(f"tomoni-document-v1131130{handle}".encode()).hexdigest()
    assert document_hash("131130", print_handle(handle).lower()) == expected
    assert document_hash("131121", handle) != expected


def test_handles_are_random() -> None:
    assert len({new_handle() for _ in range(1000)}) == 1000

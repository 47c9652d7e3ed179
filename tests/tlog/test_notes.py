"""Files of notes: what is written is read again, and what is not whole is not read."""

from contextlib import nullcontext
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.federation.towns import Town
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import MAX_NOTE_SIZE
from tomoni.tlog.notes import UnfinishedNoteError, join_notes, read_notes

TOWN = Town("131130")
TOWN.append(b"one", b"two")
NOTES = [TOWN.note(size) for size in (0, 1, 2)]


def test_notes_are_read_as_they_were_written() -> None:
    for count in range(4):
        assert list(read_notes(BytesIO(join_notes(NOTES[:count])))) == NOTES[:count]


@given(st.data())
def test_a_file_that_is_cut_off_gives_what_was_whole_and_says_so(data: st.DataObject) -> None:
    whole = join_notes(NOTES)
    cut = data.draw(st.integers(1, len(whole) - 1))
    ends = [len(join_notes(NOTES[:count])) for count in range(4)]
    read: list[bytes] = []
    with nullcontext() if cut in ends else pytest.raises(UnfinishedNoteError):
        for note in read_notes(BytesIO(whole[:cut])):
            read.append(note)  # noqa: PERF402  # what came before the end is looked at
    assert read == NOTES[: sum(end <= cut for end in ends) - 1]


def test_what_is_longer_than_any_note_is_not_read_into_memory() -> None:
    for endless in (b"x" * (MAX_NOTE_SIZE + 1), b"x\n" * MAX_NOTE_SIZE):
        with pytest.raises(NoteError, match="longer than"):
            list(read_notes(BytesIO(endless)))

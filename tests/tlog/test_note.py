"""Signed notes: one test for each MUST of C2SP signed-note, and the forms a looser parser would let pass."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tlog.test_keys import C2SP_VKEY, GO_PRIVATE, GO_PUBLIC
from tomoni.tlog.cosignature import Cosigner
from tomoni.tlog.encoding import encode_base64
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import (
    MAX_NOTE_SIZE,
    MAX_SIGNATURES,
    Signature,
    Signer,
    Verifier,
    add_signature,
    generate_signer,
    open_note,
    read_note,
    sign_note,
)

C2SP_NOTE = """\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
""".encode()
POEM = """\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore \
NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
""".encode()
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    GO_TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

ALICE = Signer("alice.example", b"\x01" * 32)
BOB = Signer("bob.example", b"\x02" * 32)
TEXT = "a text\n"
NOTE = sign_note(TEXT, [ALICE])
LINE = NOTE.decode().splitlines()[-1]
BASE64 = LINE.split(" ")[-1]


def test_the_example_of_the_specification_opens() -> None:
    note = open_note(C2SP_NOTE, [Verifier.parse(C2SP_VKEY)])
    assert note.text == "This is an example message.\n"
    assert note.verified == (("example.com/foo", bytes.fromhex("530d903a")),)
    assert note.unverified == ()


def test_the_example_of_go_opens_and_is_signed_the_same() -> None:
    assert open_note(GO_NOTE, [Verifier.parse(GO_PUBLIC)]).text == GO_TEXT
    assert sign_note(GO_TEXT, [Signer.parse(GO_PRIVATE)]) == GO_NOTE


def test_a_text_may_have_empty_lines_the_last_one_separates() -> None:
    note = read_note(POEM)
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert [signature.name for signature in note.signatures] == ["quasimodo.example/salvatore"]


@pytest.mark.parametrize("text", ["\n", "\n\n", "a\n\n\n", "— not a signature\n"])
def test_any_text_that_ends_in_a_newline_can_be_signed(text: str) -> None:
    assert open_note(sign_note(text, [ALICE]), [ALICE.verifier]).text == text


@pytest.mark.parametrize("text", ["", "no newline", "carriage return\r\n", "tab\t\n", "nul\0\n", "escape\x1b\n"])
def test_other_texts_cannot_be_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign_note(text, [ALICE])


@pytest.mark.parametrize("count", [0, MAX_SIGNATURES + 1])
def test_a_note_has_at_least_one_signer_and_not_too_many(count: int) -> None:
    with pytest.raises(NoteError):
        sign_note(TEXT, [ALICE] * count)


MALFORMED = {
    "nothing": "",
    "a newline only": "\n",
    "no signatures": TEXT,
    "no signatures after the blank line": f"{TEXT}\n",
    "no blank line": f"{TEXT}{LINE}\n",
    "no text": f"\n{LINE}\n",
    "the text does not end in a newline": f"a text {LINE}\n",
    "no last newline": f"{TEXT}\n{LINE}",
    "an empty line at the end": f"{TEXT}\n{LINE}\n\n",
    "an empty line at the end, and nothing wrong before it": f"{TEXT}\n{LINE}\n\n\n",
    "windows line ends": f"{TEXT}\n{LINE}\n".replace("\n", "\r\n"),
    "a carriage return": f"{TEXT}\n{LINE}\r\n",
    "a tab in the text": f"a\ttext\n\n{LINE}\n",
    "a nul in the text": f"a\0text\n\n{LINE}\n",
    "a space in the blank line": f"{TEXT} \n{LINE}\n",
    "a line that is no signature, first": f"{TEXT}\nnonsense\n{LINE}\n",
    "a line that is no signature, last": f"{TEXT}\n{LINE}\nnonsense\n",
    "a hyphen for the dash": f"{TEXT}\n{LINE.replace('—', '-')}\n",
    "an en dash for the dash": f"{TEXT}\n{LINE.replace('—', '–')}\n",
    "a space before the dash": f"{TEXT}\n {LINE}\n",
    "no space after the dash": f"{TEXT}\n{LINE.replace('— ', '—')}\n",
    "two spaces after the dash": f"{TEXT}\n{LINE.replace('— ', '—  ')}\n",
    "a wide space after the dash": f"{TEXT}\n—\u3000alice.example {BASE64}\n",
    "a space at the end": f"{TEXT}\n{LINE} \n",
    "two spaces before the signature": f"{TEXT}\n— alice.example  {BASE64}\n",
    "no name": f"{TEXT}\n—  {BASE64}\n",
    "no name and no space": f"{TEXT}\n— {BASE64}\n",
    "no signature": f"{TEXT}\n— alice.example\n",
    "an empty signature": f"{TEXT}\n— alice.example \n",
    "a name with a plus sign": f"{TEXT}\n— alice+example {BASE64}\n",
    "a name with a no-break space": f"{TEXT}\n— alice\u00a0example {BASE64}\n",
    "a name with two words": f"{TEXT}\n— alice example {BASE64}\n",
    "base64 without padding": f"{TEXT}\n— alice.example {BASE64.rstrip('=')}\n",
    "base64 for URLs": f"{TEXT}\n— alice.example {'_' * 92}\n",
    "base64 with loose bits": f"{TEXT}\n— alice.example AAAAAAB=\n",
    "base64 with nonsense": f"{TEXT}\n— alice.example {BASE64[:-1]}!\n",
    "a signature shorter than a key id": f"{TEXT}\n— alice.example {encode_base64(b'abc')}\n",
    "a key id alone": f"{TEXT}\n— alice.example {encode_base64(b'abcd')}\n",
    "too many signatures": f"{TEXT}\n{(LINE + chr(10)) * (MAX_SIGNATURES + 1)}",
    "too long": "a" * MAX_NOTE_SIZE + f"\n\n{LINE}\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_note_is_refused_whoever_has_signed(data: str) -> None:
    with pytest.raises(NoteError) as caught:
        read_note(data.encode())
    with pytest.raises(NoteError, match=f"^{re.escape(str(caught.value))}$"):
        open_note(data.encode(), [ALICE.verifier])


@pytest.mark.parametrize("junk", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80"])
def test_a_note_is_utf_8(junk: bytes) -> None:
    with pytest.raises(NoteError, match="UTF-8"):
        read_note(junk + NOTE)


@pytest.mark.parametrize("count", [16, MAX_SIGNATURES])
def test_sixteen_and_more_signatures_are_accepted(count: int) -> None:
    signers = [generate_signer(f"s{number}.example") for number in range(count - 1)]
    note = open_note(sign_note(TEXT, [*signers, ALICE]), [ALICE.verifier])
    assert (len(note.verified), len(note.unverified)) == (1, count - 1)


def test_signatures_of_unknown_keys_are_ignored_even_with_a_known_name_or_id() -> None:
    namesake = generate_signer(ALICE.name)
    same_id = Signature("mallory.example", ALICE.key_id, b"nothing right")
    other_type = Signature("w.example", b"\xff\xff\xff\xff", bytes(3000))
    data = sign_note(TEXT, [namesake, ALICE])
    for line in (same_id, other_type):
        data = add_signature(data, line)
    note = open_note(data, [ALICE.verifier])
    assert note.verified == ((ALICE.name, ALICE.key_id),)
    assert note.unverified == (
        (namesake.name, namesake.key_id),
        ("mallory.example", ALICE.key_id),
        ("w.example", b"\xff\xff\xff\xff"),
    )


def test_a_known_key_that_fails_rejects_the_whole_note() -> None:
    wrong = Signature(BOB.name, BOB.key_id, BOB.sign(b"another text\n"))
    note = add_signature(NOTE, wrong)
    assert open_note(note, [ALICE.verifier]).unverified == ((BOB.name, BOB.key_id),)
    with pytest.raises(NoteError, match="wrong"):
        open_note(note, [ALICE.verifier, BOB.verifier])


@pytest.mark.parametrize("size", [1, 63, 65])
def test_a_signature_of_a_known_key_has_64_bytes(size: int) -> None:
    with pytest.raises(NoteError, match="wrong"):
        open_note(add_signature(NOTE, Signature(BOB.name, BOB.key_id, bytes(size))), [ALICE.verifier, BOB.verifier])


@pytest.mark.parametrize("verifiers", [[], [BOB.verifier]])
def test_a_note_that_no_known_key_has_signed_is_refused(verifiers: list[Verifier]) -> None:
    with pytest.raises(NoteError, match="no known key"):
        open_note(NOTE, verifiers)


def test_a_key_that_signs_twice_counts_once_and_both_must_be_right() -> None:
    assert open_note(NOTE + f"{LINE}\n".encode(), [ALICE.verifier]).verified == ((ALICE.name, ALICE.key_id),)
    with pytest.raises(NoteError, match="wrong"):
        open_note(add_signature(NOTE, Signature(ALICE.name, ALICE.key_id, bytes(64))), [ALICE.verifier])


def test_the_same_known_key_may_be_given_twice_but_two_that_look_the_same_may_not() -> None:
    assert open_note(NOTE, [ALICE.verifier, ALICE.verifier]).text == TEXT
    lookalike = Verifier(ALICE.name, BOB.public_key)
    lookalike.key_id = ALICE.key_id  # 2^32 keys would have to be tried to find a true one
    with pytest.raises(NoteError, match="same name and the same id"):
        open_note(NOTE, [ALICE.verifier, lookalike])


def test_the_same_key_bytes_of_another_type_are_another_key() -> None:
    cosigner = Cosigner(ALICE.name, b"\x01" * 32)
    assert (cosigner.name, cosigner.public_key) == (ALICE.name, ALICE.public_key)
    with pytest.raises(NoteError, match="no known key"):
        open_note(NOTE, [cosigner.verifier])


def test_a_full_note_takes_no_more_signatures() -> None:
    full = sign_note(TEXT, [ALICE] * MAX_SIGNATURES)
    with pytest.raises(NoteError, match="more than"):
        add_signature(full, Signature(BOB.name, BOB.key_id, bytes(64)))


@given(st.integers(0, len(NOTE) * 8 - 1))
def test_any_flipped_bit_is_found(bit: int) -> None:
    changed = bytearray(NOTE)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        open_note(bytes(changed), [ALICE.verifier])


@given(
    st.binary(max_size=200) | st.lists(st.sampled_from([b"\n", "— ".encode(), b"a", b" ", b"AAAAAAA="])).map(b"".join)
)
def test_what_is_read_has_only_one_form(data: bytes) -> None:
    try:
        note = read_note(data)
    except NoteError:
        return
    assert f"{note.text}\n{''.join(signature.to_line() for signature in note.signatures)}".encode() == data

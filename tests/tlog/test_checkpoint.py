"""Checkpoints: each MUST of C2SP tlog-checkpoint, and whose word a checkpoint is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomoni.tlog.checkpoint import Checkpoint, CheckpointError, open_checkpoint, parse_checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import Cosigner, open_cosigned
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import EMPTY_ROOT, MAX_SIZE
from tomoni.tlog.note import Signer, generate_signer, read_note, sign_note

ORIGIN = "tomoni.example/131130"
LOG = Signer(ORIGIN, b"\x01" * 32)
HEARTBEAT = Cosigner(f"{ORIGIN}/heartbeat", b"\x02" * 32)
ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
CHECKPOINT = Checkpoint(
    ORIGIN, 20852163, bytes.fromhex("0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62")
)

# The example of C2SP tlog-cosignature: a log's signature and a witness's.
C2SP_CHECKPOINT = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 \
jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
""".encode()

single_lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


def test_the_example_of_the_specification_is_read_and_written_as_it_is() -> None:
    note = read_note(C2SP_CHECKPOINT)
    checkpoint = parse_checkpoint(note.text)
    assert checkpoint == Checkpoint("example.com/behind-the-sofa", 20852163, CHECKPOINT.root)
    assert checkpoint.to_text() == note.text
    assert [(each.name, len(each.data)) for each in note.signatures] == [
        ("example.com/behind-the-sofa", 64),
        ("witness.example.com/w1", 72),
    ]


@given(single_lines, st.integers(0, MAX_SIZE), st.binary(min_size=32, max_size=32), st.lists(single_lines, max_size=3))
def test_every_checkpoint_comes_back(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert parse_checkpoint(checkpoint.to_text()) == checkpoint


@pytest.mark.parametrize("origin", ["go.sum database tree", "a+b", "日本"])
def test_an_origin_need_not_look_like_a_url(origin: str) -> None:
    assert parse_checkpoint(f"{origin}\n1\n{ROOT}\n").origin == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n1\n",
        f"{ORIGIN}\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n1\n\n",
        f"{ORIGIN}\n1\n{ROOT}\n\n",
        f"{ORIGIN}\n1\n{ROOT}\nextension\n\n",
        f"{ORIGIN}\n1\n{ROOT}\n\nextension\n",
        f"{ORIGIN}\n01\n{ROOT}\n",
        f"{ORIGIN}\n00\n{ROOT}\n",
        f"{ORIGIN}\n+1\n{ROOT}\n",
        f"{ORIGIN}\n-1\n{ROOT}\n",
        f"{ORIGIN}\n 1\n{ROOT}\n",
        f"{ORIGIN}\n1 \n{ROOT}\n",
        f"{ORIGIN}\n1_0\n{ROOT}\n",
        f"{ORIGIN}\n１\n{ROOT}\n",
        f"{ORIGIN}\n0x1\n{ROOT}\n",
        f"{ORIGIN}\n{MAX_SIZE + 1}\n{ROOT}\n",
        f"{ORIGIN}\n1\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n1\n {ROOT}\n",
        f"{ORIGIN}\n1\n{ROOT.replace('I=', 'J=')}\n",
        f"{ORIGIN}\n1\nAAAA\n",
        f"{ORIGIN}\n1\n{ROOT[:-4]}\n",
        f"{ORIGIN}\n{ROOT}\n1\n",
    ],
)
def test_a_text_in_any_other_form_is_no_checkpoint(text: str) -> None:
    with pytest.raises(CheckpointError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [
        ("", 1, EMPTY_ROOT, ()),
        ("a\nb", 1, EMPTY_ROOT, ()),
        (ORIGIN, -1, EMPTY_ROOT, ()),
        (ORIGIN, MAX_SIZE + 1, EMPTY_ROOT, ()),
        (ORIGIN, 1, b"", ()),
        (ORIGIN, 1, EMPTY_ROOT, ("",)),
        (ORIGIN, 1, EMPTY_ROOT, ("a\nb",)),
    ],
)
def test_what_cannot_be_read_cannot_be_made(origin: str, size: int, root: bytes, extensions: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError):
        Checkpoint(origin, size, root, extensions)


def test_a_signed_checkpoint_opens_under_the_keys_of_its_log() -> None:
    data = sign_checkpoint(CHECKPOINT, [LOG], [HEARTBEAT], time=1_790_000_000)
    assert open_checkpoint(data, ORIGIN, [LOG.verifier]) == CHECKPOINT
    assert open_checkpoint(data, ORIGIN, [LOG.verifier, HEARTBEAT.verifier]) == CHECKPOINT
    assert open_cosigned(data, HEARTBEAT.verifier) == 1_790_000_000


def test_at_a_rotation_the_old_and_the_new_key_sign_and_either_opens() -> None:
    new = generate_signer(ORIGIN)
    data = sign_checkpoint(CHECKPOINT, [LOG, new])
    for verifiers in ([LOG.verifier], [new.verifier], [LOG.verifier, new.verifier]):
        assert open_checkpoint(data, ORIGIN, verifiers) == CHECKPOINT


def test_a_checkpoint_of_another_log_of_the_same_key_is_refused() -> None:
    with pytest.raises(CheckpointError, match="another log"):
        open_checkpoint(sign_checkpoint(CHECKPOINT, [LOG]), "tomoni.example/131121", [LOG.verifier])


def test_a_cosignature_alone_is_not_the_word_of_the_log() -> None:
    data = sign_checkpoint(CHECKPOINT, [generate_signer("mallory.example")], [HEARTBEAT], time=1)
    with pytest.raises(CheckpointError, match="own signature is missing"):
        open_checkpoint(data, ORIGIN, [LOG.verifier, HEARTBEAT.verifier])


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(CheckpointError, match="three lines"):
        open_checkpoint(sign_note("a text\n", [LOG]), ORIGIN, [LOG.verifier])


@given(st.data())
def test_any_flipped_bit_is_found(data: st.DataObject) -> None:
    note = bytearray(sign_checkpoint(CHECKPOINT, [LOG]))
    bit = data.draw(st.integers(0, len(note) * 8 - 1))
    note[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        open_checkpoint(bytes(note), ORIGIN, [LOG.verifier])

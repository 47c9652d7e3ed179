"""Proofs of single entries: made from a folder, checked with keys alone, and wrong once a bit is another."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auditor.archives import Archive, lively
from tests.federation.towns import NOW, Town
from tests.tlog import reference
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.note import generate_signer
from tomoni.tlog.proof import LogProof, LogProofError, format_proof, parse_proof
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.proofs.making import check_proof, make_proof
from tomoni_auditor.verify.sources import SourceError
from tomoni_cli.audit import app


class Proving:
    """A town of 306 entries with receipts at several sizes."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(folder)
        self.town = self.archive.admit(lively("131130", 51))
        for size in (1, 100, 300):
            self.archive.sign(self.town, size)
        self.archive.sign(self.town)
        self.archive.write(self.town)
        self.folder = LogFolder(folder / "131130")
        self.keys = [self.town.log_key.vkey, self.archive.cosigner.vkey]

    def proof(self, position: int) -> bytes:
        return format_proof(make_proof(self.folder, position))


@pytest.fixture(scope="module")
def proving(tmp_path_factory: pytest.TempPathFactory) -> Proving:
    return Proving(tmp_path_factory.mktemp("proving") / "histories")


@pytest.mark.parametrize(("position", "size"), [(0, 1), (1, 100), (99, 100), (100, 300), (255, 300), (305, 306)])
def test_an_entry_is_proven_under_the_first_receipt_that_covers_it(proving: Proving, position: int, size: int):
    checked = check_proof(proving.proof(position), proving.keys)
    assert (checked.position, checked.size) == (position, size)
    assert bytes(checked.event) == proving.town.entries[position]
    assert checked.known_at is not None
    assert checked.known_at > NOW
    proof = parse_proof(proving.proof(position))
    assert list(proof.hashes) == reference.path(position, proving.town.entries[:size])


def test_without_receipts_the_newest_checkpoint_proves_an_entry(proving: Proving, tmp_path: Path):
    archive = Archive(tmp_path)
    town = archive.admit(lively("131130", 1))
    archive.sign(town, receipt=False)
    archive.write(town)
    checked = check_proof(format_proof(make_proof(LogFolder(tmp_path / "131130"), 2)), [town.log_key.vkey])
    assert (checked.size, checked.known_at) == (6, None)


def test_a_position_that_is_not_there_is_told(proving: Proving):
    for position in (-1, 306):
        with pytest.raises(SourceError, match="its log has 306"):
            make_proof(proving.folder, position)


def test_a_proof_is_checked_with_the_right_keys_only(proving: Proving):
    proof = proving.proof(7)
    with pytest.raises(LogProofError, match="no key was given for the log of"):
        check_proof(proof, [proving.archive.cosigner.vkey])
    with pytest.raises(LogProofError, match="no known key has signed"):
        check_proof(proof, [generate_signer(proving.town.origin).vkey])
    with pytest.raises(LogProofError, match="has not cosigned"):
        check_proof(proof, [proving.town.log_key.vkey, generate_cosigner("tomoni.example/receipts").vkey])


def test_the_commands_make_and_check_a_proof(proving: Proving, tmp_path: Path, capsys):
    file = tmp_path / "entry.tlog-proof"
    folder = proving.archive.folder
    with pytest.raises(SystemExit) as ended:
        app(["prove", str(folder), "131130", "42", "-o", str(file)])
    assert ended.value.code == 0
    assert file.read_text().startswith("c2sp.org/tlog-proof@v1\nextra ")
    arguments = [str(file), *(f"--key={key}" for key in proving.keys)]
    with pytest.raises(SystemExit):
        app(["check-proof", *arguments])
    assert proving.town.entries[42].decode() in capsys.readouterr().out
    file.write_bytes(file.read_bytes().replace(b"index 42", b"index 43"))
    with pytest.raises(SystemExit) as ended:
        app(["check-proof", *arguments])
    assert ended.value.code == 1
    assert "line 3: the entry is not proven at index 43" in capsys.readouterr().err


def test_a_proof_as_json_holds_the_entry(proving: Proving, tmp_path: Path, capsys):
    file = tmp_path / "entry.tlog-proof"
    file.write_bytes(proving.proof(5))
    with pytest.raises(SystemExit):
        app(["check-proof", str(file), f"--key={proving.keys[0]}", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["proof"]["event"] == msgspec.json.decode(proving.town.entries[5])
    assert "known_at" not in report["proof"]


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_a_bit_of_a_proof_that_is_another_is_found_on_its_line(proving: Proving, data):
    right = proving.proof(data.draw(st.sampled_from([0, 1, 42, 256, 305])))
    at = data.draw(st.integers(0, len(right) * 8 - 1))
    wrong = bytearray(right)
    wrong[at // 8] ^= 1 << at % 8
    with pytest.raises(LogProofError) as caught:
        check_proof(bytes(wrong), proving.keys)
    line = right.count(b"\n", 0, at // 8) + 1
    proof = parse_proof(right)
    if line < proof.checkpoint_line - 1 and caught.value.line not in {line, line + 1}:
        # a hash, the index or the entry that is another one leads to another root: the line of the index is named
        assert "is not proven at index" in str(caught.value)


class TestForm:
    def test_the_form_is_that_of_the_specification(self):
        proof = LogProof(7, (bytes(32), bytes([255]) * 32), b"origin\n8\nroot\n\n\xe2\x80\x94 name sig\n", b"entry")
        text = format_proof(proof)
        assert text.decode().split("\n")[:6] == [
            "c2sp.org/tlog-proof@v1",
            "extra ZW50cnk=",
            "index 7",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "//////////////////////////////////////////8=",
            "",
        ]
        assert parse_proof(text) == proof
        assert proof.checkpoint_line == 7
        short = LogProof(0, (), b"checkpoint")
        assert parse_proof(format_proof(short)) == short

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", 1),
            ("c2sp.org/tlog-proof@v1\nindex 0\n", 1),
            ("c2sp.org/tlog-proof@v2\nindex 0\n\nx", 1),
            ("c2sp.org/tlog-proof@v1\n\nx", 2),
            ("c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nx", 2),
            ("c2sp.org/tlog-proof@v1\nextra YQ\nindex 0\n\nx", 2),
            ("c2sp.org/tlog-proof@v1\nindex 00\n\nx", 2),
            ("c2sp.org/tlog-proof@v1\nindex +1\n\nx", 2),
            ("c2sp.org/tlog-proof@v1\nindex 1 \n\nx", 2),
            ("c2sp.org/tlog-proof@v1\nindex 1\nYQ==\n\nx", 3),
            ("c2sp.org/tlog-proof@v1\nindex 1\né\n\nx", 3),
            ("c2sp.org/tlog-proof@v1\nindex 1\n" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64 + "\nx", 66),
        ],
    )
    def test_whatever_is_not_the_form_is_refused_with_its_line(self, text: str, line: int):
        with pytest.raises(LogProofError) as caught:
            parse_proof(text.encode())
        assert caught.value.line == line

    def test_a_proof_without_the_entry_is_told_so(self, proving: Proving):
        proof = parse_proof(proving.proof(3))
        bare = LogProof(proof.index, proof.hashes, proof.checkpoint)
        with pytest.raises(LogProofError, match="the entry is not here"):
            check_proof(format_proof(bare), proving.keys)

    def test_a_proven_entry_of_another_log_is_refused(self, tmp_path: Path):
        archive, other = Archive(tmp_path), Town("131121")
        town = archive.admit(Town("131130"))
        other.issue()
        town.append(other.entries[0])
        archive.write(town)
        proof = format_proof(make_proof(LogFolder(tmp_path / "131130"), 0))
        with pytest.raises(LogProofError, match="names another log"):
            check_proof(proof, [town.log_key.vkey])

"""What docs/auditor.md says others can check with, run as it stands there: it shares no code with ours."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.auditor.archives import Archive, lively
from tomoni.tlog.proof import format_proof
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.proofs.making import make_proof

PAGE = Path(__file__).parents[2] / "docs" / "auditor.md"
BUNDLE, CHECKPOINTS, RECEIPTS = "tile/entries/001.p/44", "checkpoints", "receipts"


class Auditor:
    """A history with receipts and a rotated key, and the program that the page gives."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(folder / "histories")
        self.town = self.archive.admit(lively("131130", 49))
        for size in (1, 100, 257):
            self.archive.sign(self.town, size)
        old = self.town.rotate()
        self.archive.sign(self.town, signers=[old, self.town.log_key])
        lives = 5
        for _ in range(lives):
            self.town.issue()
        self.archive.sign(self.town)
        self.archive.write(self.town)
        self.keys = [old.vkey, self.town.log_key.vkey, self.archive.cosigner.vkey]
        self.place = folder / "histories" / "131130"
        self.program = folder / "check.py"
        (block,) = re.findall(r"```python\n(# check\.py\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        self.program.write_text(block, "utf-8")

    def check(self, what: str, place: Path, *keys: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(self.program), what, str(place), *(keys or self.keys)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("other-tools"))


def test_the_program_of_the_page_proves_a_history(auditor: Auditor) -> None:
    done = auditor.check("history", auditor.place)
    assert done.returncode == 0, done.stderr
    assert f"tomoni.example/131130: {auditor.town.size} entries under 11 checkpoints and receipts" in done.stdout
    of_federation = auditor.check(
        "history", auditor.place.parent / "federation", auditor.archive.federation.log_key.vkey
    )
    assert "1 entries under" in of_federation.stdout, of_federation.stderr


@pytest.mark.parametrize("file", [BUNDLE, CHECKPOINTS, RECEIPTS, "checkpoint", "tile/entries/000"])
def test_the_program_of_the_page_finds_a_flipped_bit(auditor: Auditor, file: str) -> None:
    path = auditor.place / file
    right = path.read_bytes()
    wrong = bytearray(right)
    wrong[len(right) // 2] ^= 1
    path.write_bytes(wrong)
    try:
        assert auditor.check("history", auditor.place).returncode == 1
    finally:
        path.write_bytes(right)


def test_the_program_of_the_page_takes_no_other_key(auditor: Auditor) -> None:
    assert auditor.check("history", auditor.place, auditor.archive.federation.log_key.vkey).returncode == 1


def test_the_program_of_the_page_checks_a_proof(auditor: Auditor, tmp_path: Path) -> None:
    file = tmp_path / "entry.tlog-proof"
    for position in (0, 99, 256, auditor.town.size - 1):
        file.write_bytes(format_proof(make_proof(LogFolder(auditor.place), position)))
        done = auditor.check("proof", file)
        assert done.returncode == 0, done.stderr
        assert auditor.town.entries[position].decode() in done.stdout
    file.write_bytes(file.read_bytes().replace(b"index ", b"index 1", 1))
    assert auditor.check("proof", file).returncode == 1

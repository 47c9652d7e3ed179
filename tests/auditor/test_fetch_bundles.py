"""A bundle as a source: the folder becomes what any other source would have made it, or stays as it was."""

import json
from pathlib import Path

import pytest

from tests.auditor.archives import Archive, lively
from tests.auditor.test_fetch import files_of
from tests.bundles import carry
from tests.federation.towns import NOW, Town
from tomoni_auditor.fetch.log import ContradictionError
from tomoni_auditor.fetch.places import fetch_all
from tomoni_auditor.history.folders import Keys, prove_folder
from tomoni_auditor.history.proving import Proven
from tomoni_auditor.verify.sources import SourceError
from tomoni_cli.audit import app

SIZES = (0, 3, 256, 257, 300, 512, 660)


@pytest.fixture(scope="module")
def town() -> Town:
    return lively("131130", 110)


@pytest.fixture(scope="module")
def wanted(town: Town, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an auditor's folder of the town has, but for the receipts and the checkpoints on the way."""
    archive = Archive(tmp_path_factory.mktemp("source"))
    archive.admit(town)
    archive.write(town)
    files = files_of(archive.folder / town.code)
    return {path: data for path, data in files.items() if path not in {"receipts", "checkpoints"}}


def bundle(town: Town, tmp_path: Path, start: int, size: int) -> Path:
    beat = town.heartbeat(NOW, size).data
    return carry(town, tmp_path / f"{start}-{size}", start, size, step=100, heartbeat=beat)


@pytest.mark.parametrize("steps", [(660,), (3, 660), (256, 300, 660), (257, 512, 660), (300, 301, 400, 660)])
def test_a_history_that_comes_in_bundles_is_file_by_file_the_same(town, wanted, tmp_path: Path, steps):
    held = tmp_path / "held"
    for start, size in zip((0, *steps), steps, strict=False):
        for low in {start, start // 2}:  # also one that overlaps
            dict(fetch_all(str(bundle(town, tmp_path, low, size)), held))
    files = files_of(held / town.code)
    del files["checkpoints"]
    assert files == wanted
    assert all(isinstance(one, Proven) for one in prove_folder(held, Keys([town.log_key.vkey])))


def test_a_bundle_with_a_gap_before_it_is_refused_with_the_size_to_ask_for(town, tmp_path: Path, capsys):
    held = tmp_path / "held"
    with pytest.raises(SourceError, match=r"begins after 100 entries, and the folder has 0.*--since 0"):
        dict(fetch_all(str(bundle(town, tmp_path, 100, 660)), held))
    dict(fetch_all(str(bundle(town, tmp_path, 0, 99)), held))
    before = files_of(held)
    with pytest.raises(SystemExit) as ended:
        app(["fetch", str(bundle(town, tmp_path, 100, 660)), str(held)])
    assert ended.value.code == 2
    assert "--since 99" in capsys.readouterr().err
    assert files_of(held) == before


def test_an_altered_bundle_or_one_of_another_history_leaves_the_folder_as_it_was(town, tmp_path: Path, capsys):
    held = tmp_path / "held"
    dict(fetch_all(str(bundle(town, tmp_path, 0, 300)), held))
    before = files_of(held)
    file = bundle(town, tmp_path, 300, 660)
    altered = file.read_bytes().replace(b"2026-04-01", b"2026-04-02", 1)
    (tmp_path / "altered").write_bytes(altered)
    fork = Town(town.code, town.log_key, town.heartbeat_key, [*town.entries[:200], *town.entries[:300]])
    for other in (tmp_path / "altered", bundle(fork, tmp_path, 100, 500)):
        with pytest.raises(SystemExit) as ended:
            app(["fetch", str(other), str(held)])
        assert ended.value.code == 1
        after = files_of(held)
        assert {path: after[path] for path in before} == before
    assert "position 300 of the log" in capsys.readouterr().err
    with pytest.raises(ContradictionError, match="two roots"):
        dict(fetch_all(str(bundle(fork, tmp_path, 0, 300)), held))


def test_the_command_tells_what_came_and_takes_no_other_towns(town, tmp_path: Path, capsys):
    file, held = str(bundle(town, tmp_path, 0, 660)), str(tmp_path / "held")
    with pytest.raises(SystemExit) as ended:
        app(["fetch", file, held, "--code", "131121"])
    assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        app(["fetch", file, held, "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["code"], one["size"], one["bundles_fetched"]) for one in told] == [("131130", 660, 3)]


def test_a_bundle_whose_origin_could_name_another_folder_is_refused(tmp_path: Path):
    elsewhere = Elsewhere("131130")
    elsewhere.issue()
    with pytest.raises(SourceError, match="what a folder can be called"):
        dict(fetch_all(str(carry(elsewhere, tmp_path / "b")), tmp_path / "held"))


class Elsewhere(Town):
    """A log whose name ends in the way out of a folder."""

    origin = "tomoni.example/.."

"""Fetching: from folders and over HTTP, only what is missing, and never a history that contradicts the folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from tests.auditor.archives import Archive, lively
from tests.auditor.log_server import serving
from tests.federation.towns import Town
from tests.tlog import reference
from tomoni.tlog.tiles import entries_path
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.fetch.log import ContradictionError, fetch_log
from tomoni_auditor.fetch.places import ArchiveSource, fetch_all
from tomoni_auditor.history.folders import Keys, prove_folder
from tomoni_auditor.history.proving import Proven
from tomoni_auditor.verify.sources import SourceError
from tomoni_cli.audit import app


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Try again at once, as often as in earnest."""
    stamina.set_testing(True, attempts=2)
    yield
    stamina.set_testing(False)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "source")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def fetch(archive: Archive, folder: Path, **how):
    return dict(fetch_all(str(archive.folder), folder, **how))


def grow(archive: Archive, town: Town, lives: int) -> None:
    """Let a town go on and sign, and give the folder of the source anew, as a log that keeps no partial tiles does."""
    for _ in range(lives):
        town.issue()
    if lives:
        archive.sign(town)
    shutil.rmtree(archive.folder)
    archive.write(town)


def test_histories_are_for_whoever_fetched_them(archive: Archive, tmp_path: Path):
    archive.write(archive.admit(lively("131130", 1)))
    fetch(archive, tmp_path / "histories")
    assert (tmp_path / "histories").stat().st_mode & 0o777 == 0o700


class Cut(ArchiveSource):
    """A source whose line breaks after a number of bundles."""

    def __init__(self, folder: Path, bundles: int) -> None:
        super().__init__(folder)
        self.left = bundles

    def fetch(self, path: str) -> bytes:
        if path.startswith("tile/entries/"):
            if self.left == 0:
                raise SourceError("the line broke")
            self.left -= 1
        return super().fetch(path)


def test_what_a_folder_has_is_fetched_file_by_file_the_same(archive: Archive, tmp_path: Path):
    town = archive.admit(lively("131130", 110))
    for size in (0, 3, 256, 300):
        archive.sign(town, size)
    archive.sign(town)
    archive.write(town)
    done = fetch(archive, tmp_path / "held")
    assert {code: (one.size, one.bundles) for code, one in done.items()} == {"federation": (1, 1), "131130": (660, 3)}
    assert files_of(tmp_path / "held") == files_of(archive.folder)
    assert all(isinstance(one, Proven) for one in prove_folder(tmp_path / "held", Keys(archive.keys)))


def test_nothing_is_fetched_twice_and_a_fuller_tile_replaces_a_partial_one(archive: Archive, tmp_path: Path):
    town = archive.admit(Town("131130"))
    archive.write(town)
    held = tmp_path / "held"
    for lives, bundles in ((1, 1), (254, 1), (0, 0), (1, 1), (0, 0), (1, 1), (600, 3), (300, 2)):
        grow(archive, town, lives)
        assert fetch(archive, held)["131130"].bundles == bundles
        assert files_of(held) == files_of(archive.folder)
    assert all(isinstance(one, Proven) for one in prove_folder(held, Keys(archive.keys)))


@pytest.mark.parametrize("bundles", range(6))
def test_after_a_cut_it_goes_on_where_it_was(archive: Archive, tmp_path: Path, bundles: int):
    town = archive.admit(Town("131130"))
    for _ in range(3):
        town.issue()
    archive.sign(town)
    archive.write(town)
    held = tmp_path / "held"
    fetch(archive, held)
    before = files_of(held / "131130")
    grow(archive, town, 1_100)
    with pytest.raises(SourceError, match="the line broke") if bundles < 5 else pytest.raises(AssertionError):
        fetch_log(Cut(archive.folder / "131130", bundles), LogFolder(held / "131130"))
        raise AssertionError("nothing broke")
    if bundles < 5:
        after = files_of(held / "131130")
        assert all(after[path] == data for path, data in before.items())
        assert all(isinstance(one, Proven) for one in prove_folder(held, Keys(archive.keys)))
    done = fetch(archive, held)
    assert done["131130"].bundles == 5 - bundles
    assert files_of(held) == files_of(archive.folder)


def test_a_file_of_notes_that_was_cut_off_is_mended(archive: Archive, tmp_path: Path):
    town = archive.admit(lively("131130", 2))
    for size in (3, 6, 12):
        archive.sign(town, size)
    archive.write(town)
    held = tmp_path / "held"
    fetch(archive, held)
    file = held / "131130" / "receipts"
    file.write_bytes(file.read_bytes()[:-40])
    (held / "131130" / "checkpoint").unlink()
    fetch(archive, held)
    assert files_of(held) == files_of(archive.folder)


def test_tiles_of_three_levels_are_made_and_gone_on_with(archive: Archive, tmp_path: Path):
    entries = [b"entry %d" % number for number in range(66_100)]
    key = reference.Key("other.example/log")
    held = LogFolder(tmp_path / "held" / "log")
    for size in (65_536, 65_800, 66_100):
        shutil.rmtree(tmp_path / "log", ignore_errors=True)
        reference.write_log(tmp_path / "log", entries[:size], key)
        fetch_log(ArchiveSource(tmp_path / "log"), held)
        found = files_of(held.path)
        del found["checkpoints"]
        assert found == files_of(tmp_path / "log")


class TestContradictions:
    def held(self, archive: Archive, folder: Path, town: Town) -> Path:
        archive.admit(town)
        archive.sign(town)
        archive.write(town)
        fetch(archive, folder)
        return folder

    def forked(self, tmp_path: Path, town: Town, entries: list[bytes]) -> Archive:
        other = Archive(tmp_path / "other")
        fork = Town(town.code, town.log_key, town.heartbeat_key, entries)
        other.write(fork)
        return other

    @pytest.mark.parametrize(("changed", "grown"), [(2, 0), (2, 1), (300, 1), (300, 0)])
    def test_another_history_than_the_folders_is_refused_and_the_folder_stays(
        self, archive: Archive, tmp_path: Path, changed: int, grown: int
    ):
        town = lively("131130", 51)
        held = self.held(archive, tmp_path / "held", town)
        before = files_of(held / "131130")
        entries = [*town.entries, *town.entries[:grown]]
        entries[changed] = town.entries[0]
        other = self.forked(tmp_path, town, entries)
        with pytest.raises(ContradictionError):
            fetch_log(ArchiveSource(other.folder / "131130"), LogFolder(held / "131130"))
        after = files_of(held / "131130")
        assert {path: after[path] for path in before} == before

    def test_a_source_that_is_behind_changes_nothing(self, archive: Archive, tmp_path: Path):
        town = lively("131130", 51)
        held = self.held(archive, tmp_path / "held", town)
        before = files_of(held)
        other = self.forked(tmp_path, town, town.entries[:9])
        done = fetch_log(ArchiveSource(other.folder / "131130"), LogFolder(held / "131130"))
        assert (done.behind, done.size) == (True, 306)
        assert files_of(held) == before

    def test_entries_that_the_checkpoint_does_not_cover_leave_the_folder_without_it(self, tmp_path: Path):
        archive = Archive(tmp_path / "source")
        town = archive.admit(lively("131130", 51))
        archive.write(town)
        file = archive.folder / "131130" / entries_path(0)
        file.write_bytes(file.read_bytes().replace(b"2026-04-01", b"2026-04-02", 1))
        with pytest.raises(ContradictionError, match="do not give the root"):
            fetch(archive, tmp_path / "held")
        assert not (tmp_path / "held" / "131130" / "checkpoint").exists()


class TestPlaces:
    def test_any_log_is_fetched_over_http_by_its_prefix_or_its_service(self, archive: Archive, tmp_path: Path, capsys):
        town = archive.admit(lively("131130", 51))
        archive.write(town)
        shutil.rmtree(archive.folder / "federation")
        with serving(archive.folder / "131130") as server:
            for url in (server.url, server.url.removesuffix("/log")):
                with pytest.raises(SystemExit) as ended:
                    app(["fetch", url, str(tmp_path / "held"), "--json"])
                assert ended.value.code == 0
                told = json.loads(capsys.readouterr().out)
                assert [(one["code"], one["size"]) for one in told] == [("131130", 306)]
        assert [one.size for one in prove_folder(tmp_path / "held", Keys([town.log_key.vkey]))] == [306]

    def test_what_cannot_be_read_and_what_contradicts_end_with_their_status(
        self, archive: Archive, tmp_path: Path, capsys
    ):
        town = archive.admit(lively("131130", 51))
        archive.write(town)
        for source, status in ((str(tmp_path / "nowhere"), 2), (str(tmp_path), 2)):
            with pytest.raises(SystemExit) as ended:
                app(["fetch", source, str(tmp_path / "held")])
            assert ended.value.code == status
        file = archive.folder / "131130" / entries_path(0)
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(SystemExit) as ended:
            app(["fetch", str(archive.folder), str(tmp_path / "held")])
        assert ended.value.code == 1
        assert "tile/entries/000 of the source is no bundle of 256 entries" in capsys.readouterr().err

    def test_only_the_logs_named_are_fetched_with_the_one_that_admits_them(self, archive: Archive, tmp_path: Path):
        towns = [archive.admit(lively(code, 1)) for code in ("131130", "131121")]
        archive.write(*towns)
        assert list(fetch(archive, tmp_path / "held", codes=["131121"])) == ["federation", "131121"]
        with pytest.raises(SourceError, match="holds no log of 271004"):
            fetch(archive, tmp_path / "held", codes=["271004"])

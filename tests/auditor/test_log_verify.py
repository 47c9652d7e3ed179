"""`tomoni log verify`: any log, over HTTP or from a folder; what it says and with which status."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from tests.auditor.log_server import LogServer, serving
from tests.tlog import reference
from tests.tlog.reference import Key
from tomoni_cli.log import app

KEY = Key("other.example/log")
ENTRIES = [b"entry %d" % number for number in range(20_000)]
TOKEN = "t0ken-of-an-auditor"


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Try again at once, as often as in earnest."""
    stamina.set_testing(True, attempts=6)
    yield
    stamina.set_testing(False)


@pytest.fixture(scope="module")
def root_and_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("log")
    return reference.write_log(folder, ENTRIES, KEY).hex(), folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    reference.write_log(tmp_path, ENTRIES[:300], KEY)
    return tmp_path


@pytest.fixture
def server(small: Path) -> Iterator[LogServer]:
    with serving(small) as running:
        yield running


class Outcome:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str, key: str = KEY.vkey) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            app(["verify", *arguments, "--key", key])
        return Outcome(int(caught.value.code or 0), *capsys.readouterr())

    return run


def token_file(folder: Path, text: str = f"{TOKEN}\n") -> str:
    file = folder / "token"
    file.write_text(text)
    file.chmod(0o600)
    return str(file)


class TestRightLogs:
    def test_a_folder_is_verified_by_the_command_itself(self, root_and_folder: tuple[str, Path]) -> None:
        root, folder = root_and_folder
        command = [sys.executable, "-m", "tomoni_cli.main", "log", "verify", str(folder), "--key", KEY.vkey]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        assert run.stdout.splitlines() == [
            "origin    other.example/log",
            "size      20000",
            f"root      {root}",
            "verified  yes",
        ]

    def test_a_url_is_verified_and_each_file_is_fetched_once(self, root_and_folder: tuple[str, Path], verify) -> None:
        root, folder = root_and_folder
        with serving(folder) as server:
            outcome = verify(server.url, "--json")
            asked = dict(server.asked)
        report = json.loads(outcome.out)
        assert report.pop("seconds") >= 0
        assert report == {"ok": True, "origin": "other.example/log", "size": 20_000, "root": root}
        assert outcome.status == 0
        assert asked == {str(file.relative_to(folder)): 1 for file in folder.rglob("*") if file.is_file()}

    def test_a_slash_at_the_end_of_the_prefix_changes_nothing(self, server: LogServer, verify) -> None:
        assert verify(f"{server.url}/").status == 0

    def test_compressed_answers_are_read(self, server: LogServer, verify) -> None:
        server.compressed = True
        assert verify(server.url).status == 0

    def test_a_moved_log_is_followed(self, server: LogServer, verify) -> None:
        assert verify(server.url.replace("/log", "/moved")).status == 0

    def test_temporary_failures_are_tried_again_without_a_word(self, server: LogServer, verify) -> None:
        server.failures.update({"checkpoint": 2, "tile/0/000": 1, "tile/entries/001.p/44": 5})
        outcome = verify(server.url)
        assert (outcome.status, outcome.err) == (0, "")
        assert server.asked["tile/entries/001.p/44"] == 6

    def test_a_token_opens_a_log_that_is_not_for_everybody(
        self, server: LogServer, verify, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        server.token = TOKEN
        file = token_file(tmp_path_factory.mktemp("secret"))
        assert verify(server.url, "--token-file", file).status == 0

    def test_one_of_several_keys_suffices(self, small: Path, verify) -> None:
        other = Key("other.example/log", b"\x09" * 32)
        assert verify(str(small), "--key", other.vkey).status == 0

    def test_an_empty_log_is_verified(self, tmp_path: Path, verify) -> None:
        root = reference.write_log(tmp_path, [], KEY)
        assert root.hex() in verify(str(tmp_path)).out


class TestFaults:
    """Status 1: the log is not what its checkpoint says."""

    def test_the_first_fault_is_printed_with_its_position(self, small: Path, verify) -> None:
        forged = [*ENTRIES[:256]]
        forged[77] = b"forged"
        bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in forged)
        (small / "tile/entries/000").write_bytes(bundle)
        outcome = verify(str(small))
        assert outcome.status == 1
        assert outcome.out.splitlines() == [
            "verified  NO",
            "position  77",
            "file      tile/entries/000",
            f"expected  an entry with the signed leaf hash {reference.mth([ENTRIES[77]]).hex()}",
            f"found     one with the leaf hash {reference.mth([b'forged']).hex()}",
        ]

    def test_over_http_it_is_the_same_fault(self, server: LogServer, verify) -> None:
        data = bytearray((server.folder / "tile/0/001.p/44").read_bytes())
        data[0] ^= 1
        (server.folder / "tile/0/001.p/44").write_bytes(data)
        outcome = verify(server.url, "--json")
        report = json.loads(outcome.out)
        assert (outcome.status, report["ok"]) == (1, False)
        assert report["fault"] == {
            "path": "tile/0/001.p/44",
            "position": 256,
            "expected": f"the hash {reference.mth([ENTRIES[256]]).hex()} at 0",
            "found": bytes(data[:32]).hex(),
        }

    def test_a_missing_file_is_a_fault_of_the_log(self, server: LogServer, verify) -> None:
        (server.folder / "tile/entries/000").unlink()
        outcome = verify(server.url)
        assert outcome.status == 1
        assert "found     nothing published" in outcome.out

    def test_a_log_of_another_key_is_refused(self, small: Path, verify) -> None:
        outcome = verify(str(small), key=Key("other.example/log", b"\x09" * 32).vkey)
        assert outcome.status == 1
        assert "position  none in particular" in outcome.out
        assert "no known key has signed" in outcome.out

    def test_another_origin_than_the_one_asked_for_is_refused(self, small: Path, verify) -> None:
        assert verify(str(small), "--origin", "another.example/log").status == 1
        assert verify(str(small), "--origin", "other.example/log").status == 0

    @pytest.mark.parametrize("compressed", [False, True])
    def test_a_file_without_end_is_not_read_to_its_end(self, server: LogServer, verify, compressed: bool) -> None:
        server.endless, server.compressed = True, compressed
        assert "longer than" in verify(server.url).out

    def test_a_folder_with_a_huge_file_is_not_read_to_its_end(self, small: Path, verify) -> None:
        with (small / "tile/0/000").open("ab") as file:
            file.truncate(10_000_000_000)
        outcome = verify(str(small))
        assert outcome.status == 1
        assert "found     8193 bytes" in outcome.out


class TestUnreadable:
    """Status 2: nothing can be said about the log."""

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_closed_log_asks_for_a_token(self, server: LogServer, verify, status: int) -> None:
        server.status = status
        outcome = verify(server.url)
        assert outcome.status == 2
        assert "--token-file" in outcome.err

    def test_a_wrong_token_is_not_repeated(self, server: LogServer, verify, tmp_path_factory) -> None:
        server.token = "another"
        outcome = verify(server.url, "--token-file", token_file(tmp_path_factory.mktemp("secret")))
        assert outcome.status == 2
        assert TOKEN not in outcome.err + outcome.out

    def test_a_token_does_not_follow_to_another_server(
        self, server: LogServer, small: Path, verify, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        with serving(small) as other:
            other.token, server.elsewhere = TOKEN, other.url
            outcome = verify(server.url, "--token-file", token_file(tmp_path_factory.mktemp("secret")))
            assert other.asked["checkpoint"] == 1
        assert outcome.status == 2
        assert "answers 401" in outcome.err

    @pytest.mark.parametrize("status", [500, 503, 418])
    def test_a_server_that_keeps_failing_is_no_fault_of_the_log(self, server: LogServer, verify, status: int) -> None:
        server.status = status
        outcome = verify(server.url)
        assert (outcome.status, outcome.out) == (2, "")
        assert f"answers {status}" in outcome.err

    def test_a_failure_half_way_is_no_fault_either(self, server: LogServer, verify) -> None:
        server.failures["tile/entries/000"] = 100
        outcome = verify(server.url)
        assert (outcome.status, outcome.out) == (2, "")
        assert "tile/entries/000" in outcome.err

    def test_nobody_listens(self, verify) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closing:
            port = closing.getsockname()[1]
        assert verify(f"http://127.0.0.1:{port}/log").status == 2

    @pytest.mark.parametrize("location", ["/no/such/folder", "ftp://log.example", "http://[::1", "http://:port"])
    def test_a_location_that_is_none(self, verify, location: str) -> None:
        assert verify(location).status == 2

    def test_a_file_that_is_a_folder(self, small: Path, verify) -> None:
        (small / "tile/0/000").unlink()
        (small / "tile/0/000").mkdir()
        outcome = verify(str(small))
        assert outcome.status == 2
        assert "tile/0/000 cannot be read" in outcome.err

    @pytest.mark.parametrize("key", ["nonsense", KEY.vkey.replace("other", "another")])
    def test_a_text_that_is_no_key(self, small: Path, verify, key: str) -> None:
        assert verify(str(small), key=key).status == 2

    @pytest.mark.parametrize("host", ["log.example", "192.0.2.7", "127.0.0.1.example"])
    def test_a_token_is_not_sent_in_clear_to_other_machines(self, verify, tmp_path: Path, host: str) -> None:
        outcome = verify(f"http://{host}/log", "--token-file", token_file(tmp_path))
        assert outcome.status == 2
        assert "https://" in outcome.err

    @pytest.mark.parametrize("text", ["", "two words", "two\nlines", "ümlaut"])
    def test_a_token_file_holds_one_token(self, server: LogServer, verify, tmp_path: Path, text: str) -> None:
        assert verify(server.url, "--token-file", token_file(tmp_path, text)).status == 2
        assert server.asked == {}

    def test_a_token_file_that_others_can_read_is_refused(self, server: LogServer, verify, tmp_path: Path) -> None:
        file = token_file(tmp_path)
        Path(file).chmod(0o644)
        outcome = verify(server.url, "--token-file", file)
        assert outcome.status == 2
        assert "readable by others" in outcome.err

    def test_a_token_file_that_is_not_there(self, server: LogServer, verify, tmp_path: Path) -> None:
        assert verify(server.url, "--token-file", str(tmp_path / "none")).status == 2

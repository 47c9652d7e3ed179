"""The command as people and scripts call it."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from tomoni_cli.jurisdictions import app
from tomoni_cli.main import app as tomoni

FIELDS = ["code", "name", "kana", "romaji", "kind", "prefecture", "valid_from", "valid_to", "successor"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = app(arguments, result_action="return_value")
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_real_command_finds_shibuya() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tomoni_cli.main", "jurisdictions", "find", "渋谷"],
        capture_output=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert all(word in done.stdout for word in ("131130", "渋谷区", "シブヤク", "Shibuya", "special-ward", "東京都"))


def test_the_real_command_refuses_an_ordinary_ward_with_status_1() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tomoni_cli.main", "jurisdictions", "find", "141046"],
        capture_output=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "tomoni: 141046 is 横浜市中区, an ordinary ward, which issues nothing: use 横浜市 141003\n"


def test_the_list_in_json_has_every_jurisdiction_with_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "list", "--json")
    places = json.loads(out)
    assert status == 0
    assert len(places) == 1788
    assert all(list(place) == FIELDS for place in places)
    assert {place["code"]: place for place in places}["042161"] == {
        "code": "042161", "name": "富谷市", "kana": "トミヤシ", "romaji": "Tomiya", "kind": "city", "prefecture": "04",
        "valid_from": "2016-10-10", "valid_to": None, "successor": None,
    }  # fmt: skip


@pytest.mark.parametrize("prefecture", ["13", "東京都", "東京", "tokyo", "130001"])
def test_the_list_is_limited_to_a_prefecture(capsys: pytest.CaptureFixture[str], prefecture: str) -> None:
    status, out, _ = run(capsys, "list", "--json", "--prefecture", prefecture)
    places = json.loads(out)
    assert status == 0
    assert len(places) == 63
    assert {place["prefecture"] for place in places} == {"13"}


def test_the_list_for_people_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "list", "--prefecture", "鳥取県")
    assert status == 0
    assert out.count("鳥取県") == 1 + 1 + 19
    assert "日吉津村" in out


def test_what_is_found_can_be_limited_to_a_prefecture(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "find", "府中市", "--prefecture", "広島県", "--json")
    assert status == 0
    assert [place["code"] for place in json.loads(out)] == ["342084"]


def test_what_is_no_more_shows_its_end_and_who_took_over(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "find", "富谷町")
    assert status == 0
    assert "2016-10-09" in out
    assert "富谷市 042161" in out


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("find", "131131"), 1, "the check digit of 131131 is wrong"),
        (("find", "999997"), 1, "999997 is nobody's code"),
        (("find", "横浜市中区"), 1, "use its city, 横浜市 141003"),
        (("find", "どこにもない"), 1, "no jurisdiction has such a name"),
        (("find", "府中市", "--prefecture", "大阪府"), 1, "no jurisdiction has such a name"),
        (("find", "府中市", "--prefecture", "48"), 2, "--prefecture takes"),
        (("list", "--prefecture", "渋谷"), 2, "--prefecture takes"),
    ],
)
def test_a_refusal_says_what_to_do(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, text: str
) -> None:
    got, out, err = run(capsys, *arguments)
    assert (got, out) == (status, "")
    assert err.startswith("tomoni: ")
    assert text in err


def test_the_command_tells_the_version_that_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    tomoni(["--version"], result_action="return_value")
    assert capsys.readouterr().out.strip() == metadata.version("tomoni") != "0.0.0"

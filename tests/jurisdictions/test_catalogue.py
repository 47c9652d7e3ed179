"""The codes: all there, each with a right check digit, each kind of wrong code told apart."""

import csv
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomoni.jurisdictions import (
    CheckDigitError,
    Jurisdiction,
    JurisdictionError,
    OrdinaryWardError,
    UnknownCodeError,
    all_jurisdictions,
    by_code,
    check_digit,
    find,
    former_jurisdictions,
    ordinary_wards,
    prefecture_of,
)
from tomoni.jurisdictions.catalogue import FOLDER, former_wards, read_rows
from tomoni.jurisdictions.romaji import hepburn
from tomoni.jurisdictions.suffixes import split_kana

KNOWN = {
    "130001": "東京都",
    "131130": "渋谷区",
    "131121": "世田谷区",
    "131083": "江東区",
    "141003": "横浜市",
    "092061": "日光市",
    "232301": "日進市",
    "271004": "大阪市",
    "282022": "尼崎市",
}
DESIGNATED = {
    "札幌市": "011002",
    "仙台市": "041009",
    "さいたま市": "111007",
    "千葉市": "121002",
    "横浜市": "141003",
    "川崎市": "141305",
    "相模原市": "141500",
    "新潟市": "151009",
    "静岡市": "221007",
    "浜松市": "221309",
    "名古屋市": "231002",
    "京都市": "261009",
    "大阪市": "271004",
    "堺市": "271403",
    "神戸市": "281000",
    "岡山市": "331007",
    "広島市": "341002",
    "北九州市": "401005",
    "福岡市": "401307",
    "熊本市": "431001",
}


def test_there_are_47_prefectures_and_1741_municipalities() -> None:
    kinds = Counter(place.kind for place in all_jurisdictions())
    assert kinds == {"prefecture": 47, "city": 792, "special-ward": 23, "town": 743, "village": 183}
    assert len(all_jurisdictions()) == len({place.code for place in all_jurisdictions()}) == 1788


def test_there_are_171_ordinary_wards_of_20_cities() -> None:
    assert len(ordinary_wards()) == len({ward.code for ward in ordinary_wards()}) == 171
    assert {by_code(ward.city).name: ward.city for ward in ordinary_wards()} == DESIGNATED
    assert all(ward.name.startswith(by_code(ward.city).name) for ward in ordinary_wards())


def test_the_prefectures_are_numbered_1_to_47() -> None:
    prefectures = [place for place in all_jurisdictions() if place.kind == "prefecture"]
    assert [place.prefecture for place in prefectures] == [f"{number:02}" for number in range(1, 48)]
    assert {place.prefecture for place in all_jurisdictions()} == {place.prefecture for place in prefectures}


def test_every_code_ends_in_its_check_digit() -> None:
    for entry in (*all_jurisdictions(), *former_jurisdictions(), *ordinary_wards(), *former_wards()):
        assert check_digit(entry.code[:5]) == entry.code[5], entry.name


@pytest.mark.parametrize(("code", "name"), KNOWN.items())
def test_a_known_code_has_its_name(code: str, name: str) -> None:
    assert by_code(code).name == name
    assert find(code) == find(code[:5]) == [by_code(code)]


def test_no_name_stands_twice_in_a_prefecture() -> None:
    names = Counter((place.prefecture, place.name) for place in all_jurisdictions())
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("five", ["", "1311", "131130", "13a13", "１３１１３", "-1311", "1311²"])
def test_a_check_digit_needs_five_digits(five: str) -> None:
    with pytest.raises(ValueError, match="five digits"):
        check_digit(five)


def test_a_check_digit_misses_so_few_single_wrong_digits_that_the_list_must_catch_the_rest() -> None:
    current = {place.code for place in all_jurisdictions()}
    slipped = [
        wrong
        for code in current
        for position in range(6)
        for digit in "0123456789".replace(code[position], "")
        if check_digit((wrong := code[:position] + digit + code[position + 1 :])[:5]) == wrong[5]
    ]
    assert 0.010 < len(slipped) / (len(current) * 6 * 9) < 0.020
    taken_for_another = [code for code in slipped if code in current]
    assert len(taken_for_another) < len(slipped) / 4


@given(st.sampled_from(all_jurisdictions()), st.integers(0, 5), st.integers(1, 9))
def test_a_wrong_digit_gives_an_error_or_another_code_that_exists(place, position: int, shift: int) -> None:
    digit = str((int(place.code[position]) + shift) % 10)
    wrong = place.code[:position] + digit + place.code[position + 1 :]
    if check_digit(wrong[:5]) != wrong[5]:
        with pytest.raises(CheckDigitError, match=wrong):
            by_code(wrong)
    elif wrong not in {entry.code for entry in (*all_jurisdictions(), *former_jurisdictions())}:
        with pytest.raises((UnknownCodeError, OrdinaryWardError), match=wrong):
            by_code(wrong)


def test_a_wrong_check_digit_names_the_right_code() -> None:
    with pytest.raises(CheckDigitError, match="渋谷区 is 131130"):
        by_code("131131")
    with pytest.raises(CheckDigitError, match="横浜市中区 is 141046"):
        by_code("141040")
    with pytest.raises(CheckDigitError, match="a digit is mistyped"):
        by_code("999990")


def test_an_unknown_code_is_told_so() -> None:
    five = "99999"
    with pytest.raises(UnknownCodeError, match="nobody's code"):
        by_code(five + check_digit(five))


@pytest.mark.parametrize("text", ["", "13113", "1311300", "13113O", "１３１１３０", " 131130", "13113\n", "渋谷区"])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(UnknownCodeError, match="six digits"):
        by_code(text)


def test_a_handle_pasted_as_a_code_is_not_repeated() -> None:
    with pytest.raises(UnknownCodeError) as refusal:
        by_code("7K3MQ9TXAB12CD34EF")
    assert "7K3M" not in str(refusal.value)


def test_an_ordinary_ward_names_its_city() -> None:
    with pytest.raises(OrdinaryWardError, match=r"横浜市中区, an ordinary ward.*use 横浜市 141003") as refusal:
        by_code("141046")
    assert refusal.value.cities == ("141003",)
    for ward in ordinary_wards():
        with pytest.raises(OrdinaryWardError, match=ward.city):
            by_code(ward.code)


def test_a_ward_that_is_no_more_names_its_city_too() -> None:
    with pytest.raises(OrdinaryWardError, match=r"浜松市北区.*浜松市 221309"):
        by_code("221350")


def test_all_errors_of_a_code_are_one_family() -> None:
    assert {CheckDigitError, OrdinaryWardError, UnknownCodeError} <= set(JurisdictionError.__subclasses__())


def test_a_prefecture_is_found_from_any_code_of_it() -> None:
    assert prefecture_of("131130").name == prefecture_of("130001").name == prefecture_of("13").name == "東京都"
    with pytest.raises(UnknownCodeError, match="01 to 47"):
        prefecture_of("48")
    with pytest.raises(CheckDigitError):
        prefecture_of("131131")


def test_a_town_that_became_a_city_has_a_successor_that_begins_the_day_after() -> None:
    old, new = by_code("044237"), by_code("042161")
    assert (old.name, new.name, old.successor) == ("富谷町", "富谷市", new.code)
    assert old.is_valid_on(date(2016, 10, 9))
    assert not old.is_valid_on(date(2016, 10, 10))
    assert new.is_valid_on(date(2016, 10, 10))
    assert not new.is_valid_on(date(2016, 10, 9))


def test_a_town_that_was_absorbed_leaves_its_successor_as_it_was() -> None:
    old = by_code("112267")
    assert (old.name, old.valid_to, old.successor) == ("鳩ヶ谷市", date(2011, 10, 10), "112038")
    assert by_code("112038").is_valid_on(date(2000, 1, 1))


def test_hamamatsu_has_three_wards_since_2024() -> None:
    today = [ward for ward in ordinary_wards() if ward.city == "221309"]
    assert [ward.name for ward in today] == ["浜松市中央区", "浜松市浜名区", "浜松市天竜区"]
    assert {ward.valid_from for ward in today} == {date(2024, 1, 1)}
    assert len(former_wards()) == 7
    divided = next(ward for ward in former_wards() if ward.name == "浜松市北区")
    assert (divided.valid_to, divided.successor) == (date(2023, 12, 31), None)


def test_every_succession_is_whole() -> None:
    current = {entry.code: entry for entry in (*all_jurisdictions(), *ordinary_wards())}
    for row in read_rows("successions.csv"):
        assert row["code"] not in current
        last_day = date.fromisoformat(row["valid_to"])
        if row["successor"]:
            successor = current[row["successor"]]
            assert successor.code[:2] == row["code"][:2]
            founded = last_day + timedelta(days=1) if row["founded_on"] else None
            assert successor.valid_from == founded or row["founded_on"] == ""
            assert row["founded_on"] in ("", str(founded))


def test_the_romaji_kept_by_hand_are_those_of_the_table() -> None:
    for place in former_jurisdictions():
        proper, _ = split_kana(place.name, place.kana)
        assert place.romaji == hepburn(proper).capitalize()


def test_the_data_files_are_sorted_and_in_unix_lines() -> None:
    for name in ("jurisdictions.csv", "ordinary_wards.csv", "successions.csv"):
        text = (FOLDER / name).read_bytes().decode("utf-8")
        assert "\r" not in text
        assert text.endswith("\n")
        codes = [row["code"] for row in csv.DictReader(text.splitlines())]
        assert codes == sorted(set(codes))


@given(st.text(alphabet="0123456789", min_size=6, max_size=6))
def test_six_digits_give_a_jurisdiction_or_a_reason(code: str) -> None:
    assert outcome(by_code, code) in (code, "a reason")


@settings(deadline=None)
@given(st.text(max_size=12))
def test_finding_gives_an_answer_or_a_reason(text: str) -> None:
    assert outcome(find, text) in ("an answer", "a reason")


def outcome(look_up: Callable[[str], Jurisdiction | list[Jurisdiction]], text: str) -> str:
    try:
        found = look_up(text)
    except JurisdictionError as error:
        return "a reason" if str(error) else "nothing"
    return found.code if isinstance(found, Jurisdiction) else "an answer"

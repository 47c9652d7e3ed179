"""Names: found in every usual spelling, all of them where they repeat, the likeliest first."""

import unicodedata

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tomoni.jurisdictions import OrdinaryWardError, UnknownCodeError, all_jurisdictions, by_code, find
from tomoni.jurisdictions.romaji import hepburn

PLACES = st.sampled_from(all_jurisdictions())


def codes(text: str) -> list[str]:
    return [place.code for place in find(text)]


@pytest.mark.parametrize(
    "text",
    [
        "渋谷", "渋谷区", "東京都渋谷区", "東京都 渋谷区", "しぶや", "しぶやく", "シブヤ", "ｼﾌﾞﾔｸ", "shibuya",
        "SHIBUYA", "Shibuya-ku",
        "shibuyaku", "Shibuya City", "Shibuya Ward", "ｓｈｉｂｕｙａ", "sibuya", "131130", "１３１１３０", "13113",
    ],
)  # fmt: skip
def test_shibuya_is_found_however_it_is_typed(text: str) -> None:
    assert codes(text)[0] == "131130"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("関ヶ原", "関ケ原町"), ("関ケ原町", "関ケ原町"), ("鎌ヶ谷", "鎌ケ谷市"), ("茅ケ崎", "茅ヶ崎市"),
        ("ちがさき", "茅ヶ崎市"),
        ("檮原", "梼原町"), ("梼原町", "梼原町"), ("須惠町", "須恵町"), ("須恵町", "須恵町"),
        ("アズミノ", "安曇野市"), ("あづみの", "安曇野市"), ("つくば", "つくば市"), ("ツクバ", "つくば市"),
        ("Tsukuba", "つくば市"),
        ("にせこ", "ニセコ町"), ("南アルプス", "南アルプス市"), ("Minami Alps", "南アルプス市"),
        ("minamiarupusu", "南アルプス市"),
        ("東京", "東京都"), ("とうきょう", "東京都"), ("toukyou", "東京都"), ("Tōkyō", "東京都"),
        ("Tokyo Metropolis", "東京都"),
        ("Hokkaidō", "北海道"), ("北海道", "北海道"), ("Gumma", "群馬県"), ("gunma-ken", "群馬県"),
        ("Oosaka-shi", "大阪市"), ("Ohsaka-shi", "大阪市"), ("Ōtsu", "大津市"), ("Nan'yo", "南陽市"),
        ("Nan-yo", "南陽市"),
        ("Nihommatsu", "二本松市"), ("Kucchan", "倶知安町"), ("hukuoka-si", "福岡市"), ("Tiyoda", "千代田区"),
        ("Tikusei", "筑西市"), ("Zyoso", "常総市"), ("Syonai", "庄内町"), ("mori-machi", "森町"), ("Minoh", "箕面市"),
    ],
)  # fmt: skip
def test_a_spelling_is_folded(text: str, name: str) -> None:
    assert name in [place.name for place in find(text)]
    assert find(text)[0].romaji[0] == by_name(name).romaji[0]


def by_name(name: str):
    return next(place for place in all_jurisdictions() if place.name == name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("府中市", ["132063", "342084"]),
        ("府中", ["132063", "342084", "343021"]),
        ("伊達市", ["012335", "072133"]),
        ("森町", ["013455", "224618"]),
        ("池田町", ["016446", "183822", "204811", "214043"]),
        ("広島県府中市", ["342084"]),
        ("安芸郡府中町", ["343021"]),
        ("広島県安芸郡府中町", ["343021"]),
        ("大阪", ["270008", "271004", "272311"]),
        ("三宅島三宅村", []),
        ("三宅村", ["133817"]),
        ("上郡町", ["284815"]),
        ("赤穂郡上郡町", ["284815"]),
        ("港区", ["131032"]),
        ("北区", ["131172"]),
        ("13", ["130001"]),
        ("", []),
        ("  ", []),
        ("知らない町", []),
        ("zzz", []),
    ],
)
def test_a_name_gives_all_who_bear_it_and_nobody_else(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_the_very_name_comes_before_what_sounds_alike_and_what_begins_so() -> None:
    names = [place.name for place in find("おの")]
    assert names[:2] == ["小野町", "小野市"]
    assert names.index("小野市") < names.index("大野市") < names.index("尾道市")


def test_a_part_of_a_name_is_enough_where_no_name_begins_so() -> None:
    assert codes("苫前") == ["014834"]
    assert "渋谷区" in [place.name for place in find("buya")]
    assert [place.name for place in find("須賀川")] == ["須賀川市"]


def test_those_that_are_no_more_are_found_where_none_of_today_is() -> None:
    assert [(place.name, place.successor) for place in find("鳩ケ谷")] == [("鳩ヶ谷市", "112038")]
    assert [place.valid_to for place in find("浜松市")] == [None]


@pytest.mark.parametrize("text", ["横浜市中区", "神奈川県横浜市中区", "浜松市北区", "中区"])
def test_a_name_that_only_ordinary_wards_bear_leads_to_the_city(text: str) -> None:
    with pytest.raises(OrdinaryWardError, match=r"use its city, .*市") as refusal:
        find(text)
    assert all(by_code(code).kind == "city" for code in refusal.value.cities)


@pytest.mark.parametrize("digits", ["1", "131", "1311", "1311300", "48"])
def test_digits_that_are_no_code_are_refused(digits: str) -> None:
    with pytest.raises(UnknownCodeError):
        find(digits)


@settings(deadline=None)
@given(PLACES)
def test_every_jurisdiction_is_found_by_each_of_its_names(place) -> None:
    for text in (place.code, place.code[:5], place.name, place.kana, place.romaji):
        assert place in find(text)


@settings(deadline=None)
@given(PLACES, st.data())
def test_width_script_case_and_separators_do_not_matter(place, data) -> None:
    hiragana = "".join(chr(ord(char) - 0x60) if "ァ" <= char <= "ヶ" else char for char in place.kana)
    assert codes(hiragana) == codes(place.kana)
    assert codes(unicodedata.normalize("NFD", place.kana)) == codes(place.kana)
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in place.romaji)
    at = data.draw(st.integers(0, len(place.romaji)))
    separator = data.draw(st.sampled_from(["-", " ", "'", "’", "\u3000"]))
    spellings = (wide, place.romaji.upper(), place.romaji[:at] + separator + place.romaji[at:])
    assert {tuple(codes(spelling)) for spelling in spellings} == {tuple(codes(place.romaji))}


@settings(deadline=None)
@given(PLACES, st.sampled_from(["ō", "ô", "ou", "oo", "ū", "û", "uu"]))
@example(by_code("352161"), "ou")  # Sanyoonoda: two of them meet, and all of it is one
def test_any_way_to_write_long_vowels_is_one(place, way: str) -> None:
    vowel = "o" if way[0] in "oōô" else "u"
    assume(f"{vowel}u" not in place.romaji.lower())  # Wanouchi: the u begins the next syllable, nothing is long
    assert place in find(place.romaji.replace(vowel, way))


@settings(deadline=None)
@given(PLACES)
def test_a_beginning_of_two_letters_finds_it_too(place) -> None:
    found = find(place.name[:2])
    assert place in found or any(place.name[:2] in (other.name, other.name[:-1]) for other in found)


ROMAJI = {
    "尼崎市": "Amagasaki", "大阪市": "Osaka", "京都市": "Kyoto", "大津市": "Otsu", "神戸市": "Kobe",
    "東京都": "Tokyo",
    "北海道": "Hokkaido", "群馬県": "Gunma", "兵庫県": "Hyogo", "北九州市": "Kitakyushu", "新潟市": "Niigata",
    "津市": "Tsu",
    "世田谷区": "Setagaya", "江東区": "Koto", "日光市": "Nikko", "日進市": "Nisshin", "二本松市": "Nihonmatsu",
    "善通寺市": "Zentsuji", "八王子市": "Hachioji", "調布市": "Chofu", "青梅市": "Ome", "福生市": "Fussa",
    "十日町市": "Tokamachi",
    "糸魚川市": "Itoigawa", "各務原市": "Kakamigahara", "松浦市": "Matsuura", "勝浦市": "Katsuura",
    "瀬戸内市": "Setouchi",
    "豊岡市": "Toyooka", "豊浦町": "Toyoura", "広尾町": "Hiroo", "西之表市": "Nishinoomote", "山ノ内町": "Yamanouchi",
    "輪之内町": "Wanouchi", "小海町": "Koumi", "曽於市": "Soo", "琴浦町": "Kotoura", "滝上町": "Takinoue",
    "山陽小野田市": "Sanyoonoda", "周防大島町": "Suooshima", "豊後大野市": "Bungoono", "勝央町": "Shoo",
    "直方市": "Nogata",
    "真岡市": "Moka", "郡山市": "Koriyama", "小郡市": "Ogori", "佐那河内村": "Sanagochi", "倶知安町": "Kutchan",
    "南アルプス市": "Minami-Alps", "箕面市": "Minoh", "飯能市": "Hanno", "まんのう町": "Manno", "高知市": "Kochi",
    "大宜味村": "Ogimi", "豊見城市": "Tomigusuku", "日向市": "Hyuga", "行方市": "Namegata", "宍粟市": "Shiso",
    "匝瑳市": "Sosa",
    "神津島村": "Kozushima", "竜王町": "Ryuo", "占冠村": "Shimukappu", "天栄村": "Tenei", "大町町": "Omachi",
    "市川市": "Ichikawa",
}  # fmt: skip


@pytest.mark.parametrize(("name", "romaji"), ROMAJI.items())
def test_a_difficult_name_is_written_as_its_municipality_does(name: str, romaji: str) -> None:
    assert by_name(name).romaji == romaji


def test_romaji_is_plain_ascii_letters() -> None:
    for place in all_jurisdictions():
        letters = place.romaji.replace("-", "")
        assert letters.isascii()
        assert letters.isalpha()
        assert place.romaji[0].isupper()


@pytest.mark.parametrize(
    ("kana", "romaji"),
    [
        ("しゃちょう", "shacho"), ("じゅう", "ju"), ("ぎゃく", "gyaku"), ("ヴァ", "va"), ("ラーメン", "ramen"),
        ("マッチャ", "matcha"),
        ("ざっし", "zasshi"), ("ヂャ", "ja"), ("オ|オ", "oo"), ("ファ", "fa"), ("いっ", "i"), ("", ""),
    ],
)  # fmt: skip
def test_kana_become_hepburn(kana: str, romaji: str) -> None:
    assert hepburn(kana) == romaji


@pytest.mark.parametrize("text", ["渋谷", "a", "ー", "ャ", "ァ", "ガャ"])
def test_what_is_no_kana_has_no_romaji(text: str) -> None:
    with pytest.raises(ValueError, match="only kana"):
        hepburn(text)

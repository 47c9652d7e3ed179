"""The script gives the data files byte for byte, past each trap of its source."""

import pytest

from tomoni.jurisdictions import all_jurisdictions, by_code
from tomoni.jurisdictions.build import build, romaji_of
from tomoni.jurisdictions.catalogue import FOLDER


def test_the_script_gives_the_files_that_are_shipped() -> None:
    for name, content in build().items():
        assert (FOLDER / name).read_bytes() == content


@pytest.mark.parametrize(
    ("code", "name", "kana"),
    [
        pytest.param("133817", "三宅村", "ミヤケムラ", id="an island before a village"),
        pytest.param("134015", "八丈町", "ハチジョウマチ", id="an island before a town"),
        pytest.param("072036", "郡山市", "コオリヤマシ", id="郡 at the beginning of a city"),
        pytest.param("212199", "郡上市", "グジョウシ", id="郡 at the beginning of another city"),
        pytest.param("292036", "大和郡山市", "ヤマトコオリヤマシ", id="郡 inside a city"),
        pytest.param("402168", "小郡市", "オゴオリシ", id="郡 at the end of a city"),
        pytest.param("232149", "蒲郡市", "ガマゴオリシ", id="郡 at the end of another city"),
        pytest.param("284815", "上郡町", "カミゴオリチョウ", id="郡 inside a town"),
        pytest.param("103446", "榛東村", "シントウムラ", id="グン inside a district"),
        pytest.param("103454", "吉岡町", "ヨシオカマチ", id="グン inside the same district"),
        pytest.param("043419", "丸森町", "マルモリマチ", id="グ before グン"),
        pytest.param("394050", "梼原町", "ユスハラチョウ", id="the ministry's 梼"),
        pytest.param("403440", "須恵町", "スエマチ", id="the ministry's 恵"),
        pytest.param("221309", "浜松市", "ハママツシ", id="a designated city whose wards begin at 138"),
        pytest.param("271403", "堺市", "サカイシ", id="a ward that begins as its city"),
        pytest.param("222119", "磐田市", "イワタシ", id="a city as it stands"),
        pytest.param("414239", "大町町", "オオマチチョウ", id="町 twice"),
        pytest.param("122319", "印西市", "インザイシ", id="a town that became a city"),
    ],
)
def test_a_trap_of_the_source_is_passed(code: str, name: str, kana: str) -> None:
    place = by_code(code)
    assert (place.name, place.kana) == (name, kana)


def test_no_district_and_no_island_is_left_before_a_name() -> None:
    with_district = {place.name for place in all_jurisdictions() if "郡" in place.name}
    assert with_district == {"郡山市", "郡上市", "蒲郡市", "大和郡山市", "小郡市", "上郡町"}
    assert not [place.name for place in all_jurisdictions() if "島" in place.name[:-2] and place.kind == "special-ward"]


def test_a_reading_that_does_not_fit_its_name_stops_the_script() -> None:
    with pytest.raises(ValueError, match="no reading"):
        romaji_of(("渋谷区", "シブヤシ"))

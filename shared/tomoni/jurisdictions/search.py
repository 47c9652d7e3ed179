"""Finding jurisdictions by what people type: kanji, kana or romaji, with or without the suffix, in any usual spelling.

Every name is known under a few keys, folded as the query is. Names in Japanese script keep their long vowels, so that
おの (小野) comes before 大野; in Latin script all ways to write one sound become one, which is not the way we write it.
"""

import re
import unicodedata
from functools import cache
from typing import NamedTuple

from tomoni.jurisdictions.catalogue import (
    all_jurisdictions,
    by_code,
    former_jurisdictions,
    former_wards,
    ordinary_wards,
    prefecture_of,
)
from tomoni.jurisdictions.model import Jurisdiction, Kind, OrdinaryWard, OrdinaryWardError, check_digit
from tomoni.jurisdictions.romaji import hepburn, katakana
from tomoni.jurisdictions.suffixes import split_kana, split_name

_VARIANTS = str.maketrans(
    {"ヶ": "ケ", "ヵ": "カ", "檮": "梼", "惠": "恵", "﨑": "崎", "髙": "高", "ヂ": "ジ", "ヅ": "ズ"}
)
"""Forms of one character, so folded only to search: a name is stored and shown as the ministry writes it."""

_IGNORED = re.compile(r"[\s'’ʼ`´.,・\-‐‑–—ー−]+")
_DISTRICT = re.compile(r"^.+?郡(?=.+[町村]$)")

_LATIN = tuple((re.compile(pattern), spelling) for pattern, spelling in (
    (r"(?<![sc])hu", "fu"), (r"si", "shi"), (r"ti", "chi"), (r"tu", "tsu"), (r"zi|di", "ji"), (r"dzu|du", "zu"),
    (r"sy", "sh"), (r"cy|ty", "ch"), (r"zy|jy", "j"), (r"cch", "tch"),
    (r"m(?=[bmp])", "n"),
    (r"o(?:h(?![aeiouy])|[ou])+", "o"), (r"uu+", "u"),
))  # fmt: skip
"""Kunrei to Hepburn, `m` for ん, and long vowels written in every way, each to one spelling."""

_ENGLISH: dict[Kind, tuple[str, ...]] = {
    "prefecture": ("prefecture", "metropolis"),
    "city": ("city",),
    "special-ward": ("ward", "city"),
    "town": ("town",),
    "village": ("village",),
}

_IS, _SOUNDS, _BEGINS, _CONTAINS, _NOT_FOUND = range(5)
"""How well a text fits a name, best first: it is the name, it sounds so, the name begins so, contains it."""


_MARK = "\n"
"""Stands before and after each spelling of an entry; no folded query holds it."""


class _Entry(NamedTuple):
    """A jurisdiction and every spelling it is known by, folded: one text a script, so that finding is quick."""

    place: Jurisdiction
    japanese: str
    latin: str


def find(text: str) -> list[Jurisdiction]:
    """Return the jurisdictions of today that a text may mean, the likeliest first, by code where equally likely.

    The text is a name in kanji, kana or romaji (ケ/ヶ, width, macrons, hyphens, letter case and suffix do not matter),
    a name behind its prefecture or 郡, or a code of six, five (without check digit) or two (prefecture) digits. Names
    that are the text come first, then those that begin so; those that contain it only where there is neither. Those
    that are no more are found only where none of today is.

    Raises what `by_code` raises for a code, and OrdinaryWardError where only ordinary wards bear the name.
    """
    query = _fold_japanese(text)
    if not query:
        return []
    if query.isascii() and query.isdigit():
        return [_by_digits(query)]
    found = _search(query, _current()) or _search(query, _former())
    if not found:
        _refuse_ordinary_ward(query)
    return found


def _by_digits(digits: str) -> Jurisdiction:
    if len(digits) == 2:
        return prefecture_of(digits)
    return by_code(digits + check_digit(digits) if len(digits) == 5 else digits)


def _search(query: str, entries: tuple[_Entry, ...]) -> list[Jurisdiction]:
    name, prefecture = _split_prefecture(query)
    name = _DISTRICT.sub("", name)
    latin = _to_latin(name)
    candidates = (entry for entry in entries if prefecture in ("", entry.place.prefecture))
    ranked = [(_rank(name, latin, entry), entry.place.code, entry.place) for entry in candidates]
    best = min((rank for rank, _, _ in ranked), default=_NOT_FOUND)
    worst = _BEGINS if best <= _BEGINS else _CONTAINS
    return [place for rank, _, place in sorted(ranked, key=lambda entry: entry[:2]) if rank <= worst]


def _split_prefecture(query: str) -> tuple[str, str]:
    """Return what follows a prefecture's name in a query, and the prefecture; the query itself where none leads it."""
    for place in all_jurisdictions():
        if place.kind == "prefecture" and query != place.name and query.startswith(place.name):
            return query.removeprefix(place.name), place.prefecture
    return query, ""


def _rank(name: str, latin: str, entry: _Entry) -> int:
    if f"{_MARK}{name}{_MARK}" in entry.japanese:
        return _IS
    if latin and f"{_MARK}{latin}{_MARK}" in entry.latin:
        return _SOUNDS
    if f"{_MARK}{name}" in entry.japanese or (latin and f"{_MARK}{latin}" in entry.latin):
        return _BEGINS
    if name in entry.japanese or (latin and latin in entry.latin):
        return _CONTAINS
    return _NOT_FOUND


@cache
def _current() -> tuple[_Entry, ...]:
    return tuple(map(_index, all_jurisdictions()))


@cache
def _former() -> tuple[_Entry, ...]:
    return tuple(map(_index, former_jurisdictions()))


def _index(place: Jurisdiction) -> _Entry:
    proper, _ = split_name(place.name)
    proper_kana, suffix_kana = split_kana(place.name, place.kana)
    japanese = {_fold_japanese(spelling) for spelling in (place.name, proper, place.kana, proper_kana)}
    stems = {_fold_latin(place.romaji), _fold_latin(hepburn(proper_kana))}
    endings = ("", *map(_fold_latin, (hepburn(suffix_kana), *_ENGLISH[place.kind])))
    latin = {stem + ending for stem in stems for ending in endings}
    return _Entry(place, _between_marks(japanese), _between_marks(latin))


def _between_marks(spellings: set[str]) -> str:
    return _MARK + _MARK.join(sorted(spellings)) + _MARK


def _refuse_ordinary_ward(query: str) -> None:
    cities = sorted({ward.city for ward in (*former_wards(), *ordinary_wards()) if query in _ward_names(ward)})
    if cities:
        names = ", ".join(f"{by_code(city).name} {city}" for city in cities)
        raise OrdinaryWardError(f"an ordinary ward issues nothing: use its city, {names}", tuple(cities))


@cache
def _ward_names(ward: OrdinaryWard) -> frozenset[str]:
    """Return 横浜市中区, 神奈川県横浜市中区 and 中区, folded."""
    city = by_code(ward.city)
    names = {ward.name, prefecture_of(city.code).name + ward.name, ward.name.removeprefix(city.name)}
    return frozenset(map(_fold_japanese, names))


def _fold_japanese(text: str) -> str:
    """Fold width, script of kana, variants and what stands between; Latin letters become small and lose accents."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(char for char in decomposed if not "\u0300" <= char <= "\u036f")
    composed = unicodedata.normalize("NFC", plain)
    return _IGNORED.sub("", katakana(composed).translate(_VARIANTS))


def _fold_latin(text: str) -> str:
    folded = _fold_japanese(text)
    for pattern, spelling in _LATIN:
        folded = pattern.sub(spelling, folded)
    return folded


def _to_latin(query: str) -> str:
    """Return a folded query in Latin letters or kana as folded romaji; nothing where it holds kanji."""
    if query.isascii():
        return _fold_latin(query)
    try:
        return _fold_latin(hepburn(query))
    except ValueError:
        return ""

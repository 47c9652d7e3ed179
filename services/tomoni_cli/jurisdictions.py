"""`tomoni jurisdictions`: look a jurisdiction up, or list them all."""

import sys
from collections.abc import Sequence

import msgspec
from cyclopts import App
from rich.console import Console
from rich.table import Table

from tomoni.jurisdictions import Jurisdiction, JurisdictionError, all_jurisdictions, by_code, find

app = App(name="jurisdictions", help="The prefectures and municipalities of Japan: their codes and names.")

_COLUMNS = ("code", "name", "kana", "romaji", "kind", "prefecture")
_WIDE = 200


@app.command(name="find")
def find_jurisdictions(text: str, /, *, prefecture: str | None = None, json: bool = False) -> int:
    """Find jurisdictions by name (kanji, kana or romaji) or code, the likeliest first.

    Parameters
    ----------
    text
        渋谷, しぶや, shibuya, 131130; names that repeat give several answers.
    prefecture
        Only in this one: its name or its two digits.
    json
        Print a JSON array.

    """
    try:
        found = _within(find(text), prefecture)
    except JurisdictionError as error:
        return _refuse(str(error), 1)
    except _PrefectureError as error:
        return _refuse(str(error), 2)
    if not found:
        return _refuse("no jurisdiction has such a name: type less of it, or another script", 1)
    _show(found, as_json=json)
    return 0


@app.command(name="list")
def list_jurisdictions(*, prefecture: str | None = None, json: bool = False) -> int:
    """List all 1,788 jurisdictions of today, by code.

    Parameters
    ----------
    prefecture
        Only in this one: its name or its two digits.
    json
        Print a JSON array.

    """
    try:
        found = _within(all_jurisdictions(), prefecture)
    except _PrefectureError as error:
        return _refuse(str(error), 2)
    _show(found, as_json=json)
    return 0


class _PrefectureError(Exception):
    """`--prefecture` names none."""


def _within(places: Sequence[Jurisdiction], prefecture: str | None) -> Sequence[Jurisdiction]:
    if prefecture is None:
        return places
    digits = _prefecture_digits(prefecture)
    return [place for place in places if place.prefecture == digits]


def _prefecture_digits(text: str) -> str:
    try:
        found = [place for place in find(text) if place.kind == "prefecture"]
    except JurisdictionError:
        found = []
    if not found:
        raise _PrefectureError("--prefecture takes a prefecture's name or its two digits, such as 東京都, Tokyo or 13")
    return found[0].prefecture


def _show(places: Sequence[Jurisdiction], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(places), indent=2).decode() + "\n")
        return
    ended = any(place.valid_to for place in places)
    table = Table()
    for column in (*_COLUMNS, *(("until", "now") if ended else ())):
        table.add_column(column, overflow="fold")
    prefectures = {place.prefecture: place.name for place in all_jurisdictions() if place.kind == "prefecture"}
    for place in places:
        row = [place.code, place.name, place.kana, place.romaji, place.kind, prefectures[place.prefecture]]
        table.add_row(*row, *(_end_of(place) if ended else ()))
    # A pipe or a file has no width of its own: nothing is folded there.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _end_of(place: Jurisdiction) -> tuple[str, str]:
    successor = by_code(place.successor) if place.successor else None
    return str(place.valid_to or ""), f"{successor.name} {successor.code}" if successor else ""


def _refuse(text: str, status: int) -> int:
    sys.stderr.write(f"tomoni: {text}\n")
    return status

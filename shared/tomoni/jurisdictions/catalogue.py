"""The catalogue: read once, on first use, from the data files beside this module; looked up by code."""

import csv
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import cast

from tomoni.jurisdictions.model import (
    CheckDigitError,
    Jurisdiction,
    Kind,
    OrdinaryWard,
    OrdinaryWardError,
    UnknownCodeError,
    check_digit,
)

FOLDER = Path(__file__).parent
ORDINARY_WARD = "ordinary-ward"
"""The kind of a ward in successions.csv."""


@cache
def all_jurisdictions() -> tuple[Jurisdiction, ...]:
    """Return the 47 prefectures and 1,741 municipalities of today, by code."""
    return tuple(_jurisdiction(row) for row in read_rows("jurisdictions.csv"))


@cache
def former_jurisdictions() -> tuple[Jurisdiction, ...]:
    """Return those that are no more, by code, with their last day and their successor. Known since April 2011."""
    return tuple(_jurisdiction(row) for row in read_rows("successions.csv") if row["kind"] != ORDINARY_WARD)


@cache
def ordinary_wards() -> tuple[OrdinaryWard, ...]:
    """Return the 171 ordinary wards of designated cities, by code. They issue nothing."""
    return tuple(_ward(row, row["city"]) for row in read_rows("ordinary_wards.csv"))


@cache
def former_wards() -> tuple[OrdinaryWard, ...]:
    """Return ordinary wards that are no more, by code."""
    cities = {ward.code[:3]: ward.city for ward in ordinary_wards()}
    rows = (row for row in read_rows("successions.csv") if row["kind"] == ORDINARY_WARD)
    return tuple(_ward(row, cities[row["code"][:3]]) for row in rows)


def by_code(code: str) -> Jurisdiction:
    """Return the jurisdiction of a six-digit code, one that is no more included (ask `is_valid_on`).

    Raises CheckDigitError where the digits do not fit together, OrdinaryWardError for a ward that issues nothing,
    UnknownCodeError where there is no such code or the text is no code. Such a text is not repeated: it may be a
    secret pasted into the wrong field.
    """
    found = _jurisdictions_by_code().get(code)
    if found is not None:
        return found
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        raise UnknownCodeError("a code has six digits, such as 131130 (渋谷区): look it up by name")
    if check_digit(code[:5]) != code[5]:
        raise CheckDigitError(_explain_check_digit(code))
    ward = _wards_by_code().get(code)
    if ward is not None:
        raise OrdinaryWardError(_explain_ward(ward), (ward.city,))
    raise UnknownCodeError(f"{code} is nobody's code: compare each digit, or look the code up by name")


def prefecture_of(code: str) -> Jurisdiction:
    """Return the prefecture of a jurisdiction's six-digit code, or of a prefecture's two digits.

    Raises what `by_code` raises.
    """
    two = code if len(code) == 2 else by_code(code).prefecture
    found = _prefectures().get(two)
    if found is None:
        raise UnknownCodeError("a prefecture has two digits, 01 to 47")
    return found


def read_rows(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of one of the package's data files."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _explain_check_digit(code: str) -> str:
    right = code[:5] + check_digit(code[:5])
    known = _jurisdictions_by_code().get(right) or _wards_by_code().get(right)
    if known is None:
        return f"the check digit of {code} is wrong: a digit is mistyped, compare each with the original"
    return f"the check digit of {code} is wrong: {known.name} is {right}; if another is meant, compare each digit"


def _explain_ward(ward: OrdinaryWard) -> str:
    city = by_code(ward.city)
    return f"{ward.code} is {ward.name}, an ordinary ward, which issues nothing: use {city.name} {city.code}"


@cache
def _jurisdictions_by_code() -> dict[str, Jurisdiction]:
    return {jurisdiction.code: jurisdiction for jurisdiction in (*former_jurisdictions(), *all_jurisdictions())}


@cache
def _wards_by_code() -> dict[str, OrdinaryWard]:
    return {ward.code: ward for ward in (*former_wards(), *ordinary_wards())}


@cache
def _prefectures() -> dict[str, Jurisdiction]:
    return {place.prefecture: place for place in all_jurisdictions() if place.kind == "prefecture"}


def _jurisdiction(row: dict[str, str]) -> Jurisdiction:
    return Jurisdiction(
        code=row["code"],
        name=row["name"],
        kana=row["kana"],
        romaji=row["romaji"],
        kind=cast("Kind", row["kind"]),
        prefecture=row["code"][:2],
        valid_from=_day(row["valid_from"]),
        valid_to=_day(row["valid_to"]),
        successor=row["successor"] or None,
    )


def _ward(row: dict[str, str], city: str) -> OrdinaryWard:
    return OrdinaryWard(
        code=row["code"],
        name=row["name"],
        kana=row["kana"],
        romaji=row["romaji"],
        city=city,
        valid_from=_day(row["valid_from"]),
        valid_to=_day(row["valid_to"]),
        successor=row["successor"] or None,
    )


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None

"""Jurisdictions, ordinary wards, the check digit of their codes, and the errors of a code."""

from datetime import date
from typing import Literal

import msgspec

Kind = Literal["prefecture", "city", "special-ward", "town", "village"]
"""What may issue certificates; a designated city is a city."""


class Jurisdiction(msgspec.Struct, frozen=True, kw_only=True):
    """A prefecture or municipality, known by its 全国地方公共団体コード."""

    code: str
    """Six digits: prefecture (JIS X 0401), municipality (JIS X 0402), check digit."""
    name: str
    """Kanji with the suffix, as in the ministry's list: 渋谷区."""
    kana: str
    """Katakana with the suffix: シブヤク."""
    romaji: str
    """Plain ASCII without the suffix: Shibuya."""
    kind: Kind
    prefecture: str
    """Two digits, JIS X 0401: 13; a prefecture names itself."""
    valid_from: date | None = None
    """First day of the code; None where unknown: it began before any certificate."""
    valid_to: date | None = None
    """Last day of the code; None while it is in force."""
    successor: str | None = None
    """Code that took over after `valid_to`; None where there is none, several or unknown."""

    def is_valid_on(self, day: date) -> bool:
        """Say whether the code is in force on a day in Japan; both its first and its last day count."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


class OrdinaryWard(msgspec.Struct, frozen=True, kw_only=True):
    """An ordinary ward (行政区) of a designated city: it has a code and issues nothing."""

    code: str
    name: str
    """With its city's: 横浜市中区."""
    kana: str
    romaji: str
    city: str
    """Code of the city, which issues."""
    valid_from: date | None = None
    valid_to: date | None = None
    successor: str | None = None


class JurisdictionError(ValueError):
    """A code or a name stands for no jurisdiction. The text says what to do."""


class UnknownCodeError(JurisdictionError):
    """No jurisdiction and no ward has, or had, this code."""


class CheckDigitError(JurisdictionError):
    """The sixth digit does not follow from the first five: some digit is mistyped."""


class OrdinaryWardError(JurisdictionError):
    """An ordinary ward is no issuer, its city is: `cities` holds the code of each city that may be meant."""

    def __init__(self, message: str, cities: tuple[str, ...]) -> None:
        super().__init__(message)
        self.cities = cities


def check_digit(five: str) -> str:
    """Return the check digit of a code's first five digits: (11 − (6a+5b+4c+3d+2e) mod 11) mod 10.

    Raises ValueError on anything but five ASCII digits. One wrong digit goes unnoticed in 1.5 % of cases, so a code
    must also exist.
    """
    if len(five) != 5 or not (five.isascii() and five.isdigit()):
        raise ValueError("a check digit is computed from five digits")
    weighted = sum(int(digit) * weight for digit, weight in zip(five, (6, 5, 4, 3, 2), strict=True))
    return str((11 - weighted % 11) % 10)

"""Codes and names of all jurisdictions of Japan: 47 prefectures and 1,741 municipalities. Pure; read on first use."""

from tomoni.jurisdictions.catalogue import (
    all_jurisdictions,
    by_code,
    former_jurisdictions,
    ordinary_wards,
    prefecture_of,
)
from tomoni.jurisdictions.model import (
    CheckDigitError,
    Jurisdiction,
    JurisdictionError,
    Kind,
    OrdinaryWard,
    OrdinaryWardError,
    UnknownCodeError,
    check_digit,
)
from tomoni.jurisdictions.search import find

__all__ = [
    "CheckDigitError",
    "Jurisdiction",
    "JurisdictionError",
    "Kind",
    "OrdinaryWard",
    "OrdinaryWardError",
    "UnknownCodeError",
    "all_jurisdictions",
    "by_code",
    "check_digit",
    "find",
    "former_jurisdictions",
    "ordinary_wards",
    "prefecture_of",
]

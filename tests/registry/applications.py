"""Applications to try the rules with."""

from datetime import date

import msgspec

from tomoni_registry.certificates.application import Application, Partner

PARTNER = Partner(
    name="渋谷 はるか", birth_date=date(1990, 2, 28), address="東京都渋谷区宇田川町1-1", residence="resident"
)
APPLICATION = Application(
    applied_on=date(2026, 10, 1),
    partners=(PARTNER, msgspec.structs.replace(PARTNER, name="神南 みのり", birth_date=date(1991, 12, 24))),
    facts=("same-registered-sex", "sexual-minority"),
    documents=("identity-document", "notarised-guardianship-deed", "notarised-partnership-deed"),
)


def partner(residence: str, moves_in_on: date | None = None, **changes: object) -> Partner:
    return msgspec.structs.replace(PARTNER, residence=residence, moves_in_on=moves_in_on, **changes)

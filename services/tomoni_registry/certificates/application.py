"""An application: the facts the rules look at, and the personal data that goes to the vault as it was given.

Names are kept byte for byte: variants of the family register (MJ+, variation selectors) must survive, so nothing here
normalises, trims or folds a text. None of these structures shows its content in a repr, since tracebacks travel.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tomoni.events.types import Day

PersonalText = Annotated[str, Meta(min_length=1, max_length=200)]
Address = Annotated[str, Meta(min_length=1, max_length=400)]

Residence = Literal["resident", "moving-in", "elsewhere"]
"""How a partner stands to the town on the certified day."""

CoupleFact = Literal[
    "same-registered-sex",
    "sexual-minority",
    "de-facto",
    "married-to-each-other-abroad",
    "married",
    "other-partner",
    "close-kin",
]
"""What two people declare of themselves; `sexual-minority`: one of them or both."""

Relation = Literal["child", "parent"]

DocumentShown = Annotated[
    Literal[
        "identity-document",
        "residence-record",
        "proof-of-single-status",
        "notarised-partnership-deed",
        "notarised-guardianship-deed",
        "proof-of-work-or-study",
        "proof-of-family-relation",
        "proof-of-marriage-abroad",
    ],
    Meta(description="A document shown with the application."),
]


class Personal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what belongs in the vault only."""

    def __repr__(self) -> str:
        """Return the name of the structure without what it holds."""
        return f"{type(self).__name__}(…)"


class Partner(Personal, frozen=True, kw_only=True):
    """One of the two people."""

    name: Annotated[PersonalText, Meta(examples=["渋谷 はるか"])]
    birth_date: Day
    address: Annotated[Address, Meta(examples=["東京都渋谷区宇田川町1-1"])]
    common_name: PersonalText | None = None
    shown_name: Literal["registered", "common", "both"] = "registered"
    """Which name the document shows: the holder's choice."""
    residence: Residence
    moves_in_on: Day | None = None
    works_or_studies_here: bool = False

    def __post_init__(self) -> None:
        if self.shown_name != "registered" and self.common_name is None:
            raise ValueError("a common name is to be shown and none is given")
        if (self.residence == "moving-in") != (self.moves_in_on is not None):
            raise ValueError("moves_in_on is given for a partner who is moving in, and for nobody else")


class FamilyMember(Personal, frozen=True, kw_only=True):
    """A child or parent whom a familyship names."""

    name: PersonalText
    birth_date: Day
    relation: Relation


class Application(Personal, frozen=True, kw_only=True):
    """What two people hand in."""

    applied_on: Day
    partners: tuple[Partner, Partner]
    family: Annotated[tuple[FamilyMember, ...], Meta(max_length=20)] = ()
    facts: Annotated[tuple[CoupleFact, ...], Meta(max_length=10)] = ()
    same_address: bool = False
    """Whether they live, or will live, at one address."""
    documents: Annotated[tuple[DocumentShown, ...], Meta(max_length=20)] = ()
    submitted: Literal["counter", "online"] = "counter"

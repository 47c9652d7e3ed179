"""The couples of the tour. None of these people exists."""

from datetime import date

from tomoni_registry.certificates.application import Application, FamilyMember, Partner
from tomoni_registry.certificates.bodies import IssueBody


def shibuya_couple(today: date) -> IssueBody:
    """Return the application of two residents of Shibuya, who show two notarised deeds."""
    return IssueBody(
        kind="partnership",
        certified_on=today,
        application=Application(
            applied_on=today,
            partners=(
                Partner(
                    name="髙橋 はるか",
                    birth_date=date(1990, 2, 28),
                    address="東京都渋谷区宇田川町1-1",
                    residence="resident",
                ),
                Partner(
                    name="神南 みのり",
                    birth_date=date(1991, 12, 24),
                    address="東京都渋谷区神南1-19-8",
                    residence="resident",
                ),
            ),
            facts=("same-registered-sex", "sexual-minority"),
            documents=("identity-document", "notarised-guardianship-deed", "notarised-partnership-deed"),
        ),
    )


def yokohama_couple(today: date) -> IssueBody:
    """Return the application of two people in Yokohama, one of whom moves in next month."""
    return IssueBody(
        kind="partnership",
        certified_on=today,
        application=Application(
            applied_on=today,
            partners=(
                Partner(
                    name="関内 あおい",
                    birth_date=date(1985, 5, 5),
                    address="神奈川県横浜市中区本町6-50-10",
                    residence="resident",
                ),
                Partner(
                    name="山手 ひかる",
                    birth_date=date(1987, 7, 7),
                    address="神奈川県横浜市中区山手町1",
                    residence="resident",
                ),
            ),
            facts=("sexual-minority",),
            documents=("identity-document", "proof-of-single-status", "residence-record"),
        ),
    )


def setagaya_family(today: date) -> IssueBody:
    """Return the application of a couple in Setagaya whose certificate names their child."""
    return IssueBody(
        kind="familyship",
        certified_on=today,
        application=Application(
            applied_on=today,
            partners=(
                Partner(
                    name="三軒 つばさ",
                    birth_date=date(1988, 8, 8),
                    address="東京都世田谷区三軒茶屋2-1",
                    residence="resident",
                ),
                Partner(
                    name="代田 なぎさ",
                    birth_date=date(1989, 9, 9),
                    address="東京都世田谷区代田4-1",
                    residence="resident",
                ),
            ),
            family=(FamilyMember(name="三軒 そら", birth_date=date(2020, 4, 1), relation="child"),),
            facts=("sexual-minority",),
            documents=("identity-document", "proof-of-family-relation", "residence-record"),
        ),
    )

"""The couples of the tour. None of these people exists."""

from datetime import date

from tomoni_registry.certificates.application import Application, CoupleFact, DocumentShown, Partner
from tomoni_registry.certificates.bodies import IssueBody


def shibuya_couple(today: date) -> IssueBody:
    """Return the application of two residents of Shibuya, who show two notarised deeds."""
    return _couple(
        today,
        ("髙橋 はるか", date(1990, 2, 28), "東京都渋谷区宇田川町1-1"),
        ("神南 みのり", date(1991, 12, 24), "東京都渋谷区神南1-19-8"),
        facts=("same-registered-sex", "sexual-minority"),
        documents=("identity-document", "notarised-guardianship-deed", "notarised-partnership-deed"),
    )


def yokohama_couple(today: date) -> IssueBody:
    """Return the application of two residents of Yokohama."""
    return _couple(
        today,
        ("関内 あおい", date(1985, 5, 5), "神奈川県横浜市中区本町6-50-10"),
        ("山手 ひかる", date(1987, 7, 7), "神奈川県横浜市中区山手町1"),
        facts=("sexual-minority",),
        documents=("identity-document", "proof-of-single-status", "residence-record"),
    )


def _couple(
    today: date,
    *partners: tuple[str, date, str],
    facts: tuple[CoupleFact, ...],
    documents: tuple[DocumentShown, ...],
) -> IssueBody:
    first, second = (
        Partner(name=name, birth_date=birth_date, address=address, residence="resident")
        for name, birth_date, address in partners
    )
    application = Application(applied_on=today, partners=(first, second), facts=facts, documents=documents)
    return IssueBody(kind="partnership", certified_on=today, application=application)
